-- The statistic views: their columns are what monitoring is built on.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;

SELECT c.relname AS view, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM   pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE  c.relnamespace = 'weir'::regnamespace AND c.relkind = 'v'
ORDER  BY c.relname, a.attnum;

-- All are described, and may be read by everybody
SELECT c.relname AS view, obj_description(c.oid, 'pg_class') IS NOT NULL AS described,
       has_table_privilege('public', c.oid, 'SELECT') AS readable
FROM   pg_class c
WHERE  c.relnamespace = 'weir'::regnamespace AND c.relkind = 'v'
ORDER  BY c.relname;

-- What may quote messages is not for everybody
SELECT p.proname, has_function_privilege('public', p.oid, 'EXECUTE') AS everybody
FROM   pg_proc p WHERE p.oid = 'weir.stat_reset()'::regprocedure;
SELECT has_column_privilege('public', 'weir.view', 'status', 'SELECT') AS status,
       has_column_privilege('public', 'weir.view', 'error', 'SELECT') AS error,
       has_column_privilege('pg_monitor', 'weir.view', 'error', 'SELECT') AS monitor;

-- The bounds of the histograms are part of that too
SELECT commit_seconds, event_seconds FROM weir._stat_latency() LIMIT 0;
CREATE SCHEMA counted;
SET search_path TO counted, public;
CREATE FOREIGN TABLE events (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '10', "limit" '300', partitions '2', event_time 'ts');
CREATE MATERIALIZED VIEW counts WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS events FROM events, weir.tumble(ts, '10 seconds') GROUP BY window_start, window_end;
SELECT weir.wait('counts', '2 minutes');
-- what is measured of a batch is there a moment after its rows
DO $$
BEGIN
    FOR i IN 1 .. 600 LOOP
        EXIT WHEN (SELECT event_seconds_count = 300 FROM weir.stat_latency WHERE view = 'counts'::regclass);
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SELECT view, commit_seconds, event_seconds, commit_seconds_count > 0 AS committed, event_seconds_count,
       event_seconds_bucket[array_upper(event_seconds_bucket, 1)] AS within_a_day
FROM   weir.stat_latency WHERE view = 'counts'::regclass;
SELECT view, status, lag, lag_seconds, watermark_age > '1 year' AS old, late, bad, error FROM weir.overview WHERE view = 'counts'::regclass;
SELECT view, stream, partition, start, next_offset, end_offset, lag, lag_seconds, holds_watermark, idle, read, aggregated, gaps
FROM   weir.stat_partition WHERE view = 'counts'::regclass ORDER BY partition;

-- A reset leaves the counters
SELECT weir.stat_reset();
SELECT commit_seconds_count, event_seconds_count, event_seconds_sum FROM weir.stat_latency WHERE view = 'counts'::regclass;
SELECT read, events_per_second, last_commit FROM weir.stat_view WHERE view = 'counts'::regclass;

SET client_min_messages TO warning;
DROP SCHEMA counted CASCADE;
