-- Which queries a continuous view may have: what is accepted, and every
-- refusal with its position, reason and hint.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
CREATE SCHEMA plan;
SET search_path TO plan, public;

CREATE FOREIGN TABLE events (
    event_id text, event_type text, user_id text, total_amount numeric,
    small smallint, number int, big bigint, real4 float4, real8 float8,
    flag boolean, cash money, lasts interval, day date, ts timestamptz
) SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00+00', event_time 'ts');
CREATE FOREIGN TABLE others (event_id text, ts timestamptz)
    SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00+00', event_time 'ts');
CREATE TABLE ordinary (event_type text, ts timestamptz);
CREATE FUNCTION stable_text(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION volatile_text(text) RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN $1; END';

-- Runs a query as the definition of a view that is dropped at once, and tells
-- what its relations look like.
CREATE FUNCTION accepted(query text) RETURNS TABLE (relation text, columns text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM weir.create_view('plan.accepted_view', query, with_data => false);
    RETURN QUERY
        SELECT r.name, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
        FROM (SELECT 'view' AS name, 1 AS nth, 'plan.accepted_view'::regclass AS oid
              UNION ALL SELECT 'closed', 2, v.closed FROM weir.view v WHERE v.view = 'plan.accepted_view'::regclass
              UNION ALL SELECT 'partial', 3, v.segments[1] FROM weir.view v WHERE v.view = 'plan.accepted_view'::regclass) r
             JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
        GROUP BY r.name, r.nth ORDER BY r.nth;
    DROP VIEW plan.accepted_view;
END $$;

--
-- Accepted
--
SELECT * FROM accepted($$SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue
    FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, event_type$$);
-- every aggregate that is kept, by the types of its states
SELECT * FROM accepted($$SELECT window_start, window_end,
    count(*) AS c, count(number) AS cn, sum(small) AS s2, sum(number) AS s4, sum(big) AS s8, sum(total_amount) AS sn,
    sum(real4) AS sf4, sum(real8) AS sf8, sum(cash) AS sm, sum(lasts) AS si,
    avg(small) AS a2, avg(number) AS a4, avg(big) AS a8, avg(total_amount) AS an, avg(real4) AS af4, avg(real8) AS af8, avg(lasts) AS ai,
    min(event_type) AS mt, max(ts) AS mz, min(day) AS md, max(lasts) AS mi, min(total_amount) AS mn,
    bool_and(flag) AS ba, bool_or(flag) AS bo, every(flag) AS e
    FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end$$);
-- equal parts are kept once: avg shares sum and count
SELECT * FROM accepted($$SELECT window_start, window_end, avg(number), sum(number), count(number), sum(number) + 1 AS more
    FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end$$);
-- but not with another filter
SELECT * FROM accepted($$SELECT window_start, window_end, count(*) AS a, count(*) FILTER (WHERE flag) AS b, count(*) FILTER (WHERE flag) + 1 AS c
    FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end$$);
-- by number, by expression, a key that is not an output, HAVING, WHERE, hop, no aggregate, an explicit join
SELECT * FROM accepted($$SELECT window_start, window_end, lower(event_type) AS t, count(*)
    FROM events, weir.hop(ts, '5 minutes', '1 minute') GROUP BY 1, 2, 3$$);
SELECT * FROM accepted($$SELECT window_start AS ws, upper(event_type) || '!' AS t, sum(number) * 2 AS twice
    FROM events e CROSS JOIN weir.tumble(e.ts, interval '30 seconds' * 2, 'Europe/Berlin') w
    WHERE flag AND number > 0 GROUP BY window_start, window_end, upper(event_type), user_id HAVING count(*) > 1$$);
SELECT * FROM accepted($$SELECT window_start, window_end, user_id FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2, 3$$);
-- a stable key, under the recorded settings; names that partials have themselves
SELECT * FROM accepted($$SELECT window_start, window_end, stable_text(user_id) AS pane_start, to_char(ts, 'Day') AS late_bound, count(*)
    FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2, 3, 4$$);
-- an output may be called window_start
SELECT * FROM accepted($$SELECT event_type AS window_start, count(*) FROM events, weir.tumble(ts, '1 minute') w
    GROUP BY w.window_start, w.window_end, event_type$$);
SELECT * FROM accepted($$SELECT window_start, window_end, 1 + count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2$$);

--
-- Refused: the form of the query
--
\set create 'CREATE MATERIALIZED VIEW refused WITH (weir.continuous) AS'
:create SELECT * FROM events;
:create SELECT event_type, count(*) FROM events GROUP BY event_type;
:create SELECT window_start, window_end, event_type FROM events, weir.tumble(ts, '1 minute');
:create SELECT event_type, count(*) FROM ordinary, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, event_type;
:create SELECT window_start, count(*) FROM weir.tumble(now(), '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, others, weir.tumble(events.ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, ordinary o, weir.tumble(events.ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT w.window_start, count(*) FROM events, weir.tumble(ts, '1 minute') w, weir.tumble(ts, '2 minutes') x GROUP BY w.window_start, w.window_end;
:create SELECT w.window_start, count(*) FROM events LEFT JOIN weir.tumble(ts, '1 minute') w ON true GROUP BY w.window_start, w.window_end;
:create SELECT count(*) FROM events, generate_series(1, 2) g GROUP BY g;
:create SELECT count(*) FROM (SELECT * FROM events) e, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create WITH e AS (SELECT * FROM events) SELECT count(*) FROM e, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2 UNION ALL SELECT now(), now(), 1;
:create SELECT DISTINCT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2;
:create SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2 ORDER BY 3;
:create SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2 LIMIT 5;
:create SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, ROLLUP (event_type);
:create SELECT window_start, window_end, rank() OVER (ORDER BY count(*)) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2;
:create SELECT window_start, window_end, generate_series(1, 2) FROM events, weir.tumble(ts, '1 minute') GROUP BY 1, 2;
:create SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') WHERE event_type IN (SELECT event_type FROM ordinary) GROUP BY 1, 2;
-- the window
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start;
:create SELECT event_type, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY event_type;
:create SELECT window_start, count(*) FROM events, weir.tumble(day, '1 day') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, lasts) GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '-1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, NULL) GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.hop(ts, '1 minute', '5 minutes') GROUP BY window_start, window_end;
-- expressions of a record
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') WHERE ts > now() - interval '1 day' GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') WHERE ts > current_timestamp GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') WHERE random() < 0.5 GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') WHERE window_start > '2024-01-01' GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, volatile_text(user_id);
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, date_trunc('hour', window_start);
:create SELECT window_start, sum(extract(epoch FROM window_end - ts)) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FILTER (WHERE window_end > ts) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(events) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, max(volatile_text(user_id)) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, row(user_id, flag) AS r, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, row(user_id, flag);
-- aggregates
:create SELECT window_start, count(DISTINCT user_id) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, sum(number ORDER BY ts) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, percentile_cont(0.5) WITHIN GROUP (ORDER BY real8) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, string_agg(user_id, ',') FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
-- what is above the aggregates
:create SELECT window_start, now() - max(ts) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, to_char(sum(total_amount), '999') FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
:create SELECT window_start, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end HAVING random() > count(*);
-- names
:create SELECT window_start, count(*), count(number) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
-- the position in the argument of the function
SELECT weir.create_view('plan.refused', 'SELECT window_start, count(DISTINCT user_id) FROM events, weir.tumble(ts, ''1 minute'') GROUP BY window_start, window_end');
SELECT weir.create_view('plan.refused', 'SELECT nothing FROM events');
SELECT weir.create_view('plan.refused', 'DELETE FROM ordinary');

SELECT count(*) AS views FROM weir.view WHERE stream = 'plan.events'::regclass;
SELECT count(*) AS relations FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace AND relname LIKE 'refused%';
DROP SCHEMA plan CASCADE;
