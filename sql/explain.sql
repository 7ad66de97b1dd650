-- EXPLAIN CREATE MATERIALIZED VIEW: what a continuous view would be, in the
-- words of its plan; with ANALYZE, what it would make of the newest records.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';
SET intervalstyle TO 'postgres';
CREATE SCHEMA dry;
SET search_path TO dry, public;

CREATE FOREIGN TABLE events (
    event_id text, event_type text, user_id text NOT NULL, device text, location text,
    total_amount numeric CHECK (total_amount > 0), ts timestamptz OPTIONS (field 'timestamp'),
    partition int OPTIONS (metadata 'partition'), "offset" bigint OPTIONS (metadata 'offset'),
    recorded timestamptz OPTIONS (metadata 'timestamp')
) SERVER generator OPTIONS (kind 'ecommerce', rate '10', "limit" '3000', partitions '3', seed '7',
    start '2024-01-01 00:00:00+00', disorder '30 seconds', late_fraction '0.05', late_by '4 minutes', poison_fraction '0.02',
    event_time 'ts', watermark_delay '30 seconds');
CREATE TABLE relations AS SELECT oid FROM pg_class;

--
-- The plan
--
EXPLAIN CREATE MATERIALIZED VIEW per_minute WITH (weir.continuous) AS
SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue
FROM events, weir.tumble(ts, '1 minute')
GROUP BY window_start, window_end, event_type;
EXPLAIN CREATE MATERIALIZED VIEW so_far WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS events FROM events, weir.cumulate(ts, '1 day', '1 hour') GROUP BY window_start, window_end;
EXPLAIN (VERBOSE, COSTS OFF, SUMMARY OFF)
CREATE MATERIALIZED VIEW other_names (a, b, "C d") WITH (weir.continuous, weir.lateness = '1 hour', weir.emit = final,
    weir.on_late = count, weir.start = '2024-01-01 00:02:00+00') AS
SELECT window_start, window_end, avg(length(device)) AS "avg", max(ts) FILTER (WHERE location <> 'Berlin'), lower(device) || '!' AS d,
       sum(total_amount), count(total_amount), avg(total_amount) * 2 AS twice
FROM events, weir.hop(ts, '5 minutes', '2 minutes', 'Europe/Berlin', '2024-01-01')
WHERE event_type = 'purchase' AND user_id IS NOT NULL
GROUP BY window_start, window_end, lower(device) || '!', location HAVING count(*) > 1
WITH NO DATA;
EXPLAIN (FORMAT json) CREATE MATERIALIZED VIEW per_day WITH (weir.continuous) AS
SELECT window_start, window_end, avg(total_amount) AS average FROM events, weir.tumble(ts, '1 day', 'Europe/Berlin')
WHERE event_type = 'purchase' GROUP BY window_start, window_end;
EXPLAIN (FORMAT yaml) CREATE MATERIALIZED VIEW per_day WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 day') GROUP BY window_start, window_end;

--
-- ANALYZE
--
EXPLAIN (ANALYZE) CREATE MATERIALIZED VIEW purchases WITH (weir.continuous) AS
SELECT window_start, window_end, device, count(*) AS events, sum(total_amount) AS revenue
FROM events, weir.tumble(ts, '1 minute') WHERE event_type = 'purchase'
GROUP BY window_start, window_end, device;

CREATE FUNCTION explain(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE result jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || statement INTO result;
    RETURN result->0;
END $$;
CREATE TABLE found AS SELECT explain($$CREATE MATERIALIZED VIEW purchases WITH (weir.continuous) AS
SELECT window_start, window_end, device, count(*) AS events, sum(total_amount) AS revenue
FROM events, weir.tumble(ts, '1 minute') WHERE event_type = 'purchase'
GROUP BY window_start, window_end, device$$) AS e;
-- the same from plain SQL over the stream: its SELECT leaves out bad records
SET client_min_messages TO error;
CREATE TABLE record AS
SELECT *, date_bin('1 minute', ts, '2000-01-01') AS start, date_bin('1 minute', ts, '2000-01-01') + interval '1 minute'
       <= max(least(ts, recorded)) OVER (PARTITION BY partition ORDER BY "offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
          - interval '30 seconds' AS late
FROM events;
RESET client_min_messages;
SELECT e->'Newest Records Read' = '3000' AS read,
       e->'Filtered' = to_jsonb(r.filtered) AS filtered, e->'Late' = to_jsonb(r.late) AS late,
       e->'Aggregated' = to_jsonb(r.aggregated) AS aggregated, e->'Bad' = to_jsonb(3000 - r.all) AS bad,
       e->'Tombstones' = '0' AS tombstones,
       r.filtered > 500 AND r.late > 10 AND r.aggregated > 100 AND r.all < 2990 AS there_are_some
FROM found, (SELECT count(*) AS all, count(*) FILTER (WHERE event_type <> 'purchase') AS filtered,
                    count(*) FILTER (WHERE event_type = 'purchase' AND late) AS late,
                    count(*) FILTER (WHERE event_type = 'purchase' AND late IS NOT TRUE) AS aggregated
             FROM record) r;
SELECT e->'Groups' = to_jsonb((SELECT count(*) FROM (SELECT DISTINCT start, device FROM record
                               WHERE event_type = 'purchase' AND late IS NOT TRUE) g)) AS groups,
       (e->>'Bytes per Group')::int BETWEEN 40 AND 200 AS bytes,
       e->>'First Bad' ~ '^partition \d offset \d+: ' AS first_bad
FROM found;
-- and from the view itself
CREATE MATERIALIZED VIEW purchases WITH (weir.continuous) AS
SELECT window_start, window_end, device, count(*) AS events, sum(total_amount) AS revenue
FROM events, weir.tumble(ts, '1 minute') WHERE event_type = 'purchase'
GROUP BY window_start, window_end, device;
SELECT weir.wait('purchases', '2 minutes');
SELECT e->'Filtered' = to_jsonb(sum(filtered)) AND e->'Late' = to_jsonb(sum(late)) AND e->'Bad' = to_jsonb(sum(dead_lettered))
       AND e->'Aggregated' = to_jsonb(sum(aggregated)) AND e->'Newest Records Read' = to_jsonb(sum(read)) AS same
FROM found, weir.checkpoint WHERE view = 'purchases'::regclass GROUP BY e;
DROP VIEW purchases;

-- a record that an expression cannot take is bad; on_error = stop does not stop a dry run
ALTER FOREIGN TABLE events OPTIONS (ADD on_error 'stop', SET poison_fraction '0', SET late_fraction '0');
SELECT e->'Bad' = to_jsonb(count(*) FILTER (WHERE event_type = 'login')) AS bad, count(*) FILTER (WHERE event_type = 'login') > 0 AS some,
       e->>'First Bad' ~ 'division by zero$' AS why
FROM events, explain($$CREATE MATERIALIZED VIEW bad WITH (weir.continuous) AS
SELECT window_start, window_end, sum(1 / CASE event_type WHEN 'login' THEN 0 ELSE 1 END)
FROM events, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end$$) e GROUP BY e;
-- windows that begin before the start are not built: their records are filtered
SELECT (e->>'Filtered')::int > 100 AS filtered FROM explain($$CREATE MATERIALIZED VIEW v WITH (weir.continuous, weir.start = '2024-01-01 00:02:00+00') AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end$$) e;
-- sessions: each user's, by gaps and islands; max_length cuts them at midnight
CREATE TABLE hits AS SELECT *, lag(ts) OVER (PARTITION BY user_id ORDER BY ts) AS previous FROM events;
SELECT e->'Groups' = to_jsonb(count(*) FILTER (WHERE previous IS NULL OR previous + interval '20 seconds' < ts
                                                 OR date_trunc('day', previous) < date_trunc('day', ts))) AS sessions, count(*) AS records
FROM hits, explain($$CREATE MATERIALIZED VIEW v WITH (weir.continuous, weir.lateness = '10 hours') AS
SELECT window_start, window_end, user_id, count(*) FROM events, weir.session(ts, '20 seconds', '24 hours') GROUP BY window_start, window_end, user_id$$) e
GROUP BY e;
EXPLAIN CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
SELECT window_start, window_end, user_id, count(*) FROM events, weir.session(ts, '20 seconds') GROUP BY window_start, window_end, user_id;
-- an empty stream
ALTER FOREIGN TABLE events OPTIONS (SET "limit" '0');
EXPLAIN (ANALYZE, FORMAT text) CREATE MATERIALIZED VIEW nothing WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;

--
-- Nothing is created, and what CREATE refuses is refused in the same words
--
SELECT oid::regclass FROM pg_class WHERE oid NOT IN (SELECT oid FROM relations) AND relname NOT LIKE 'pg_toast%' ORDER BY relname;
SELECT count(*) AS views FROM weir.view;
EXPLAIN CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS SELECT event_type, count(*) FROM events GROUP BY event_type;
EXPLAIN CREATE MATERIALIZED VIEW v WITH (weir.continuous, weir.emit = never) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN CREATE MATERIALIZED VIEW record WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN CREATE MATERIALIZED VIEW IF NOT EXISTS record WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN CREATE MATERIALIZED VIEW v (a, b, c, d) WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN CREATE MATERIALIZED VIEW v USING heap WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN (ANALYSE) CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN (FORMAT csv) CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
CREATE ROLE dry_stranger;
GRANT ALL ON SCHEMA dry TO dry_stranger;
SET ROLE dry_stranger;
EXPLAIN ANALYZE CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
RESET ROLE;
-- an ordinary materialized view is PostgreSQL's
EXPLAIN (COSTS OFF) CREATE MATERIALIZED VIEW ordinary AS SELECT 1 AS one;

-- prepared, and from the plan cache
PREPARE dry AS SELECT explain->'Groups' AS groups FROM explain('CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, ''1 minute'') GROUP BY window_start, window_end');
EXECUTE dry;
EXECUTE dry;
DO $$
DECLARE line text; lines int := 0;
BEGIN
    FOR i IN 1 .. 7 LOOP
        FOR line IN EXPLAIN CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
            SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end LOOP
            lines := lines + 1;
        END LOOP;
    END LOOP;
    RAISE NOTICE '% lines', lines;
END $$;

REVOKE ALL ON SCHEMA dry FROM dry_stranger;
DROP ROLE dry_stranger;
SET client_min_messages TO warning;
DROP SCHEMA dry CASCADE;
