-- Continuous views as relations: what is created, who owns it, what follows
-- what, options; and that closed and open windows together always equal the
-- plain query over the same rows.  Views are paused: partials and state are
-- written by hand.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';
SET intervalstyle TO 'postgres';
CREATE SCHEMA shop;
SET search_path TO shop, public;

CREATE FOREIGN TABLE events (
    event_id text, event_type text, user_id text, amount numeric, number int, real8 float8, lasts interval, ts timestamptz
) SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00+00', event_time 'ts');

CREATE MATERIALIZED VIEW per_minute WITH (weir.continuous) AS
SELECT window_start, window_end, event_type, count(*) AS events, sum(amount) AS revenue
FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, event_type
WITH NO DATA;
\d per_minute
SELECT stream, query, closed, segments, start, emit, lateness, on_late, retention, status FROM weir.view WHERE view = 'per_minute'::regclass;
SELECT closed, closed_to, closed_before, live, groups FROM weir.view_state WHERE closed = weir.closed('per_minute');
SELECT count(*) AS armed FROM weir.armed WHERE view = 'per_minute'::regclass;
SELECT weir.definition('per_minute');
SELECT c.relname, c.relkind, c.reloptions, pg_get_userbyid(c.relowner) = current_user AS mine,
       (SELECT string_agg(DISTINCT a.attstorage::text, '') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) AS storage, c.reltoastrelid <> 0 AS toast
FROM pg_class c WHERE c.relnamespace = 'weir_data'::regnamespace AND c.relname ~ '^per_minute' ORDER BY 1;
-- everything behind the view goes with it, nothing goes alone
SELECT c.relname, d.deptype FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
WHERE d.refobjid = 'per_minute'::regclass AND d.classid = 'pg_class'::regclass ORDER BY 1;
DROP TABLE weir_data.per_minute_partial_3;
DROP TABLE weir_data.per_minute_closed;
DROP VIEW weir_data.per_minute_query;
DROP FOREIGN TABLE events;

--
-- Segments that are not live are never executed
--
CREATE FUNCTION scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line ~ 'Seq Scan|One-Time' THEN RETURN NEXT trim(line); END IF;
    END LOOP;
END $$;
SELECT scans('SELECT * FROM per_minute');
-- a missing state row is an error, not an empty view
BEGIN;
DELETE FROM weir.view_state WHERE closed = weir.closed('per_minute');
SELECT * FROM per_minute;
ROLLBACK;

--
-- Equal to the plain query, open and closed
--
CREATE TABLE copy AS
SELECT 'e' || i AS event_id, (ARRAY['view', 'cart', 'buy', NULL])[1 + i * 7 % 4] AS event_type, 'user_' || i * 13 % 5 AS user_id,
       round((i * 37 % 1000)::numeric / 7, i % 4) AS amount, CASE WHEN i % 11 > 0 THEN i * 31 % 100 - 50 END AS number,
       i::float8 / 8 AS real8, make_interval(secs => i % 90) AS lasts,
       '2024-01-01 10:00:00+00'::timestamptz + make_interval(secs => i * 7919 % 1800) AS ts
FROM generate_series(1, 3000) i;

CREATE MATERIALIZED VIEW hopping WITH (weir.continuous) AS
SELECT window_start, upper(event_type) AS type, count(*) AS events, avg(amount) AS mean, round(avg(number), 3) + 1 AS number,
       avg(real8) AS real8, avg(lasts) AS lasts, min(user_id) AS first, max(ts) AS last,
       count(number) FILTER (WHERE number > 0) AS positive, bool_or(number > 48) AS large
FROM events, weir.hop(ts, '5 minutes', '1 minute') WHERE user_id <> 'user_4'
GROUP BY window_start, window_end, upper(event_type), user_id HAVING count(*) > 2
WITH NO DATA;
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a WHERE a.attrelid = weir.closed('hopping') AND a.attnum > 0 ORDER BY a.attnum;
SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) AS partial FROM pg_attribute a WHERE a.attrelid = 'weir_data.hopping_partial_0'::regclass AND a.attnum > 0;

-- partials of one minute, each group in three rows over two segments
CREATE VIEW per_minute_partials AS
SELECT date_bin('1 minute', ts, '2000-01-01'), NULL::timestamptz, event_type, count(*), sum(amount), hashtext(event_id) % 3 AS part
FROM copy GROUP BY 1, event_type, part;
INSERT INTO weir_data.per_minute_partial_2 SELECT date_bin, timestamptz, event_type, count, sum FROM per_minute_partials WHERE part <> 0;
INSERT INTO weir_data.per_minute_partial_5 SELECT date_bin, timestamptz, event_type, count, sum FROM per_minute_partials WHERE part = 0;
UPDATE weir.view_state SET live = '{2,5}' WHERE closed = weir.closed('per_minute');

CREATE VIEW hopping_partials AS
SELECT date_bin('1 minute', ts, '2000-01-01') AS pane, NULL::timestamptz AS late_bound, upper(event_type) AS type, user_id, count(*) AS c,
       sum(amount) AS sa, count(amount) AS ca, sum(number) AS sn, count(number) AS cn, sum(real8) AS sr, count(real8) AS cr, sum(lasts) AS sl, count(lasts) AS cl,
       min(user_id) AS first, max(ts) AS last, count(number) FILTER (WHERE number > 0) AS positive, bool_or(number > 48) AS large, hashtext(event_id) % 3 AS part
FROM copy WHERE user_id <> 'user_4' GROUP BY 1, upper(event_type), user_id, part;
DO $$
DECLARE columns text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                         WHERE a.attrelid = 'hopping_partials'::regclass AND a.attname <> 'part');
BEGIN
    EXECUTE format('INSERT INTO weir_data.hopping_partial_0 SELECT %s FROM hopping_partials WHERE part <> 0', columns);
    EXECUTE format('INSERT INTO weir_data.hopping_partial_7 SELECT %s FROM hopping_partials WHERE part = 0', columns);
END $$;
UPDATE weir.view_state SET live = '{0,7}' WHERE closed = weir.closed('hopping');

-- the oracles: the text of the definitions, over the ordinary table
SELECT format('CREATE VIEW %I AS %s', name || '_oracle',
              regexp_replace(pg_get_viewdef(query), 'FROM events,', 'FROM copy events,')) AS sql
FROM (SELECT relname AS name, query FROM weir.view JOIN pg_class ON oid = view WHERE relname IN ('per_minute', 'hopping')) v \gexec

CREATE FUNCTION differences(view text) RETURNS TABLE (missing bigint, extra bigint, equal bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM (SELECT * FROM %1$I_oracle EXCEPT ALL SELECT * FROM %1$I) m),
        (SELECT count(*) FROM (SELECT * FROM %1$I EXCEPT ALL SELECT * FROM %1$I_oracle) e), (SELECT count(*) FROM %1$I)', view);
END $$;
SELECT * FROM differences('per_minute');
SELECT * FROM differences('hopping');
-- numerics have the same display scale too
SELECT count(*) AS other_scale FROM hopping h JOIN hopping_oracle o USING (window_start, type, first) WHERE h.mean::text <> o.mean::text;

-- close in three steps, compact between; what close inserts is what it merged
CREATE FUNCTION close_windows(view text, upto timestamptz, before timestamptz, OUT merged bigint, OUT inserted bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE weir._merge_sql(view::regclass, 'close') INTO merged, inserted USING upto;
    UPDATE weir.view_state SET closed_to = upto, closed_before = before WHERE closed = weir.closed(view::regclass);
END $$;
SELECT * FROM close_windows('per_minute', '2024-01-01 10:10:00+00', '2024-01-01 10:10:00+00');
SELECT * FROM differences('per_minute');
SELECT * FROM close_windows('hopping', '2024-01-01 10:10:00+00', '2024-01-01 10:06:00+00');
SELECT * FROM differences('hopping');
SELECT (SELECT count(*) FROM weir_data.hopping_partial_0) + (SELECT count(*) FROM weir_data.hopping_partial_7) AS rows;
SELECT format('INSERT INTO weir_data.hopping_partial_1 %s', weir._merge_sql('hopping', 'compact')) AS sql \gexec
UPDATE weir.view_state SET live = '{1}' WHERE closed = weir.closed('hopping');
SELECT count(*) AS rows FROM weir_data.hopping_partial_1;
SELECT * FROM differences('hopping');
SELECT * FROM close_windows('hopping', '2024-01-01 10:20:00+00', '2024-01-01 10:16:00+00');
SELECT * FROM differences('hopping');
SELECT * FROM close_windows('hopping', '2024-01-01 11:00:00+00', '2024-01-01 10:56:00+00');
SELECT * FROM close_windows('per_minute', '2024-01-01 11:00:00+00', '2024-01-01 11:00:00+00');
SELECT * FROM differences('hopping');
SELECT * FROM differences('per_minute');
-- closed twice: nothing is left
SELECT * FROM close_windows('hopping', '2024-01-01 11:00:00+00', '2024-01-01 10:56:00+00');
-- a partial with a late bound counts only in windows that end after it
BEGIN;
TRUNCATE weir_data.hopping_partial_1;
TRUNCATE weir_data.hopping_closed;
INSERT INTO weir_data.hopping_partial_1 (pane_start, late_bound, type, user_id, events, count_1)
VALUES ('2024-01-01 10:00:00+00', '2024-01-01 10:02:00+00', 'LATE', 'u', 3, 0), ('2024-01-01 10:00:00+00', NULL, 'LATE', 'u', 4, 0);
UPDATE weir.view_state SET closed_to = '2024-01-01 10:00:00+00', closed_before = '2024-01-01 09:56:00+00' WHERE closed = weir.closed('hopping');
SELECT window_start, type, events FROM hopping ORDER BY window_start;
ROLLBACK;

--
-- Statements under both keywords
--
COMMENT ON MATERIALIZED VIEW per_minute IS 'events of a minute';
COMMENT ON COLUMN per_minute.events IS 'how many';
SELECT obj_description('per_minute'::regclass);
ALTER MATERIALIZED VIEW per_minute RENAME TO minutely;
ALTER VIEW minutely RENAME COLUMN events TO n;
ALTER MATERIALIZED VIEW minutely RENAME COLUMN revenue TO total;
CREATE SCHEMA other;
ALTER MATERIALIZED VIEW minutely SET SCHEMA other;
SELECT view, query, closed FROM weir.view WHERE view = 'other.minutely'::regclass;
SELECT weir.definition('other.minutely');
SELECT sum(n) AS events FROM other.minutely;
ALTER MATERIALIZED VIEW IF EXISTS nothing RENAME TO anything;
DROP MATERIALIZED VIEW IF EXISTS nothing;

--
-- Options
--
ALTER MATERIALIZED VIEW other.minutely SET (weir.emit = 'final');
ALTER MATERIALIZED VIEW other.minutely SET (weir.retention = '30 days');
ALTER VIEW other.minutely SET (weir.on_late = 'count');
SELECT emit, on_late, retention FROM weir.view WHERE view = 'other.minutely'::regclass;
SELECT weir.definition('other.minutely');
SELECT count(*) AS segments_read FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
WHERE r.ev_class = 'other.minutely'::regclass AND d.refobjid = 'weir_data.per_minute_partial_0'::regclass;
SELECT sum(n) AS events FROM other.minutely;
ALTER VIEW other.minutely SET (security_barrier = true);
ALTER VIEW other.minutely RESET (weir.emit, weir.retention);
SELECT emit, on_late, retention FROM weir.view WHERE view = 'other.minutely'::regclass;
SELECT reloptions FROM pg_class WHERE oid = 'other.minutely'::regclass;
SELECT pg_get_viewdef('other.minutely') ~ 'per_minute_partial_7' AS live;
ALTER VIEW other.minutely SET (weir.emit = 'sometimes');
ALTER VIEW other.minutely SET (weir.on_late = 'drop');
ALTER VIEW other.minutely SET (weir.retention = '-1 day');
ALTER VIEW other.minutely SET (weir.start = 'latest');
ALTER VIEW other.minutely SET (weir.sink = 'somewhere');
ALTER VIEW other.minutely SET (weir.nothing = 1);
ALTER VIEW other.minutely SET (weir.continuous = false);
ALTER VIEW other.minutely SET (weir.emit = 'final'), OWNER TO CURRENT_USER;
CREATE OR REPLACE VIEW other.minutely (window_start, window_end, event_type, n, total) AS TABLE weir_data.per_minute_query;
SELECT pg_get_viewdef('other.minutely') AS same \gset
CREATE OR REPLACE VIEW other.minutely AS :same
-- what is easily forgotten
CREATE MATERIALIZED VIEW once AS SELECT event_type, count(*) FROM events GROUP BY event_type WITH NO DATA;
DROP MATERIALIZED VIEW once;
CREATE VIEW plain AS SELECT 1 AS one;
CREATE OR REPLACE VIEW plain AS SELECT 2 AS one;
ALTER VIEW plain SET (weir.emit = 'final');
\set query 'SELECT window_start, count(*) FROM events, weir.tumble(ts, \'1 minute\') GROUP BY window_start, window_end'
CREATE MATERIALIZED VIEW bad WITH (weir.emit = 'x') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.lateness = '1 day') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = 'yesterday morning') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": "x"}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": -1}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": 1.5}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": [1]}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"-1": 0}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": 1') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{0: 17}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"one": 17}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.start = '{"0": "17"}') AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.continous) AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.continuous, weir.emit) AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.continuous, fillfactor = 50) AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.continuous = false, weir.emit = 'final') AS :query;
CREATE MATERIALIZED VIEW bad USING heap WITH (weir.continuous) AS :query;
CREATE MATERIALIZED VIEW bad WITH (weir.continuous) TABLESPACE pg_default AS :query;
CREATE MATERIALIZED VIEW bad (a, b, c) WITH (weir.continuous) AS :query;
CREATE MATERIALIZED VIEW hopping WITH (weir.continuous) AS :query;
CREATE MATERIALIZED VIEW IF NOT EXISTS hopping WITH (weir.continuous) AS :query;
REFRESH MATERIALIZED VIEW hopping WITH NO DATA;
-- a column list, every option, a name that needs quotes, names that are taken
CREATE MATERIALIZED VIEW "A view" ("The start", n) WITH (weir.continuous, weir.start = '2024-01-01 12:00:00+01', weir.emit = 'final', weir.lateness = '90 s', weir.on_late = 'count')
AS :query WITH NO DATA;
SELECT weir.definition('"A view"');
CREATE MATERIALIZED VIEW per_minute WITH (weir.start = 'latest') AS :query WITH NO DATA;
SELECT query, closed, segments[1] FROM weir.view WHERE view = 'per_minute'::regclass;
-- the function does the same
SELECT weir.create_view('shop.by_function', :'query', start => 'latest', emit => 'final', lateness => '90 s', on_late => 'count', with_data => false);
SELECT weir.definition('by_function');
-- what definition gives can be run again
CREATE SCHEMA again;
SELECT replace(replace(weir.definition('"A view"'), 'VIEW shop.', 'VIEW again.'), ';', ' WITH NO DATA;') AS sql \gexec
SELECT replace(weir.definition('again."A view"'), 'again.', 'shop.') = weir.definition('"A view"') AS same;

--
-- Frozen while a view reads the stream
--
ALTER FOREIGN TABLE events OPTIONS (SET event_time 'other');
ALTER FOREIGN TABLE events ALTER COLUMN number TYPE bigint;
ALTER FOREIGN TABLE events ALTER COLUMN number SET NOT NULL;
ALTER TABLE events ADD CHECK (number > 0);
ALTER FOREIGN TABLE events RENAME COLUMN number TO nr;
ALTER FOREIGN TABLE events RENAME TO happenings;
ALTER FOREIGN TABLE happenings RENAME TO events;
ALTER FOREIGN TABLE events ADD COLUMN more text;
-- nor by what the stream inherits from
CREATE TABLE parent (number int UNIQUE);
CREATE TABLE grandparent (number int);
ALTER TABLE parent INHERIT grandparent;
ALTER FOREIGN TABLE events INHERIT parent;
ALTER TABLE parent ADD CHECK (number > 0);
ALTER TABLE grandparent ALTER number SET NOT NULL;
ALTER TABLE grandparent RENAME COLUMN number TO nr;
ALTER TABLE parent ALTER COLUMN number TYPE bigint;
ALTER TABLE ONLY parent ADD CHECK (number > 0) NO INHERIT;
ALTER TABLE parent ADD UNIQUE (number), DROP CONSTRAINT parent_number_key;
ALTER TABLE parent ADD COLUMN still_more text;
ALTER FOREIGN TABLE events NO INHERIT parent;
ALTER TABLE grandparent RENAME COLUMN number TO nr;
DROP TABLE parent, grandparent;
-- nor by the types of its columns
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FOREIGN TABLE typed (number small, mood mood, ts timestamptz) SERVER generator OPTIONS (event_time 'ts');
ALTER DOMAIN positive ADD CONSTRAINT more CHECK (VALUE > 1);
CREATE MATERIALIZED VIEW of_typed WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM typed, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end WITH NO DATA;
ALTER DOMAIN positive DROP CONSTRAINT more;
ALTER DOMAIN small SET NOT NULL;
ALTER DOMAIN positive SET DEFAULT 1;
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
ALTER TYPE mood ADD VALUE 'happy';
DROP FOREIGN TABLE typed CASCADE;
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
ALTER DOMAIN positive DROP CONSTRAINT more;
DROP TYPE mood, small, positive;

--
-- Owners and permissions
--
CREATE ROLE weir_alice;
CREATE ROLE weir_bob;
GRANT USAGE ON SCHEMA shop TO weir_alice, weir_bob;
GRANT USAGE, CREATE ON SCHEMA other TO weir_alice;
SET ROLE weir_alice;
CREATE MATERIALIZED VIEW other.hers WITH (weir.continuous) AS :query WITH NO DATA;
RESET ROLE;
GRANT SELECT ON events TO weir_alice;
SET ROLE weir_alice;
CREATE MATERIALIZED VIEW shop.hers WITH (weir.continuous) AS :query WITH NO DATA;
CREATE TABLE weir_data.mine (a int);
CREATE MATERIALIZED VIEW other.hers WITH (weir.continuous) AS :query WITH NO DATA;
SELECT * FROM other.hers;
SELECT * FROM weir_data.hers_partial_0;
INSERT INTO weir_data.hers_partial_0 DEFAULT VALUES;
ALTER MATERIALIZED VIEW shop.hopping SET (weir.emit = 'final');
REFRESH MATERIALIZED VIEW shop.hopping;
RESET ROLE;
SELECT relname, pg_get_userbyid(relowner) = 'weir_alice' AS hers, relacl IS NOT NULL AND has_table_privilege('weir_alice', oid, 'SELECT') AS granted
FROM pg_class WHERE relname ~ '^hers' AND relkind IN ('r', 'v') ORDER BY 1;
GRANT USAGE ON SCHEMA other TO weir_bob;
SET ROLE weir_bob;
SELECT * FROM other.hers;
RESET ROLE;
GRANT weir_bob TO weir_alice;
GRANT SELECT ON events TO weir_bob;
ALTER MATERIALIZED VIEW other.hers OWNER TO weir_bob;
SELECT relname, pg_get_userbyid(relowner) = 'weir_bob' AS his, has_table_privilege('weir_bob', oid, 'SELECT') AS bob,
       relname ~ 'partial' AND relacl::text ~ 'weir_alice' AS alice
FROM pg_class WHERE relname ~ '^hers' AND relkind IN ('r', 'v') ORDER BY 1;
SET ROLE weir_bob;
SELECT * FROM other.hers;
RESET ROLE;
REASSIGN OWNED BY weir_bob TO weir_alice;
SELECT count(*) AS owned FROM pg_class WHERE relname ~ '^hers' AND relowner = 'weir_alice'::regrole;

--
-- Drop
--
CREATE MATERIALIZED VIEW ordinary AS SELECT 1 AS one;
DROP MATERIALIZED VIEW ordinary, hopping, other.minutely CASCADE;
SELECT count(*) AS ordinary FROM pg_class WHERE relname = 'ordinary';
SELECT count(*) AS left_over FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace AND relname ~ '^hopping|minutely';
DROP VIEW "A view", again."A view";
DROP FOREIGN TABLE events CASCADE;
SELECT count(*) AS views FROM weir.view;
SELECT count(*) AS states FROM weir.view_state;
SELECT count(*) AS relations FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace;
SET client_min_messages TO warning;
DROP SCHEMA shop, other, again CASCADE;
DROP OWNED BY weir_alice, weir_bob;
DROP ROLE weir_alice, weir_bob;
