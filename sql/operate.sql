-- What an operator types, where it is refused or says why.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
CREATE SCHEMA operated;
SET search_path TO operated, public;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';

-- All of it is readable at once, and at its end.
CREATE FOREIGN TABLE events (event_type text, user_id text NOT NULL, total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '10', "limit" '3000', partitions '2', seed '7', event_time 'ts', watermark_delay '10 seconds', disorder '10 seconds');
CREATE MATERIALIZED VIEW minutes WITH (weir.continuous) AS
SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue
FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, event_type;

-- REFRESH is weir.wait: all is read, and closed as far as that goes
REFRESH MATERIALIZED VIEW minutes;
SELECT sum(events) AS events, count(DISTINCT window_start) AS windows, weir.closed_to('minutes') AS closed_to FROM minutes;
SELECT count(*) > 10 AS closed FROM weir_data.minutes_closed;
SELECT count(*) AS different FROM (
    (TABLE minutes EXCEPT ALL TABLE weir_data.minutes_query) UNION ALL (TABLE weir_data.minutes_query EXCEPT ALL TABLE minutes)) d;
REFRESH MATERIALIZED VIEW CONCURRENTLY minutes;
SELECT weir.wait('minutes');
SELECT weir.wait('minutes', '1 minute');

-- What has closed no window: the view says what it waits for
CREATE MATERIALIZED VIEW days WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS events
FROM events, weir.tumble(ts, '1 day') WHERE total_amount < 0 GROUP BY window_start, window_end;
REFRESH MATERIALIZED VIEW days;
SELECT count(*) AS rows, weir.closed_to('days') AS closed_to FROM days;
SELECT why FROM weir.why('days') why WHERE why !~ '^The view is';

--
-- Who cannot wait
--
SELECT weir.wait('events');
SELECT weir.wait('pg_class');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT weir.wait('minutes');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
REFRESH MATERIALIZED VIEW minutes;
ROLLBACK;
BEGIN;
CREATE MATERIALIZED VIEW here WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
SELECT weir.wait('here');
ROLLBACK;
SELECT weir.pause('minutes');
SELECT weir.wait('minutes');
REFRESH MATERIALIZED VIEW minutes;
SELECT status FROM weir.stat_view WHERE view = 'minutes'::regclass;
SELECT weir.why('minutes') LIMIT 1;
-- what writes is refused where nothing may be written, as on a standby
BEGIN READ ONLY;
SELECT weir.resume('minutes');
ROLLBACK;
BEGIN READ ONLY;
SELECT weir.pause('minutes');
ROLLBACK;
BEGIN READ ONLY;
SELECT weir.stop_producer('nobody');
ROLLBACK;
-- a second pause changes nothing
SELECT weir.pause('minutes');
SELECT weir.resume('minutes');
SELECT weir.wait('minutes');
SELECT weir.resume('minutes');
SELECT sum(events) AS events FROM minutes;

-- A view whose lock is held does not get on: the timeout gives the reasons
CREATE FOREIGN TABLE flowing (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '-10 seconds', rate '1000', partitions '1', event_time 'ts');
CREATE MATERIALIZED VIEW held WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS events
FROM flowing, weir.tumble(ts, '1 second') GROUP BY window_start, window_end;
SELECT weir.wait('held', '1 minute');
CREATE FUNCTION wait(view text, timeout interval, OUT message text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM weir.wait(view::regclass, timeout);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    detail := regexp_replace(detail, '[0-9]{4}-[-0-9]* [0-9:.]*[+]00', '(time)', 'g');
    -- what depends on how far it came
    detail := regexp_replace(detail, '^The view is (running|without a reader)[^\n]*', 'The view is (running)');
    detail := regexp_replace(detail, '\n(Next, windows|Windows that end by \(time\) are due)[^\n]*', E'\n(next)');
    detail := regexp_replace(detail, '\nThe newest record is of [^\n]*', '');
END $$;
BEGIN;
LOCK TABLE held IN ACCESS SHARE MODE;
SELECT weir.wait('held', '1 minute');
ROLLBACK;
BEGIN;
LOCK TABLE held IN ACCESS EXCLUSIVE MODE;
SELECT * FROM wait('held', '0.2 seconds') \gx
ROLLBACK;
SELECT weir.wait('held', '1 minute');
CREATE FUNCTION raises(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'no price for %', 'anything'; END $$;
CREATE MATERIALIZED VIEW failing WITH (weir.continuous) AS
SELECT window_start, window_end, raises(event_type) AS r, count(*) AS events
FROM flowing, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, raises(event_type);
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN EXISTS (SELECT FROM weir.stat_view WHERE view = 'failing'::regclass AND status = 'failed');
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT status, sqlstate, error FROM weir.stat_view WHERE view = 'failing'::regclass;
SELECT regexp_replace(regexp_replace(why, 'at [-0-9:.+ ]* with', 'at (time) with'), 'again at [-0-9:.+ ]*|again from time to time', 'again at (time)') AS why FROM weir.why('failing') why LIMIT 1;

--
-- Only closed windows, or all of them: under both keywords, with a view that
-- depends on it and a reader at work
--
CREATE VIEW dependent AS SELECT window_start, events FROM minutes WHERE events > 0;
ALTER MATERIALIZED VIEW minutes SET (weir.emit = final);
SELECT count(*) FILTER (WHERE window_end <= weir.closed_to('minutes')) > 10 AS closed, count(*) FILTER (WHERE window_end > weir.closed_to('minutes')) AS open FROM minutes;
SELECT (SELECT sum(events) FROM dependent) = (SELECT sum(events) FROM weir_data.minutes_closed) AS dependent;
ALTER VIEW minutes SET (weir.emit = changes);
SELECT (SELECT sum(events) FROM minutes) AS events, (SELECT sum(events) FROM dependent) AS dependent;
SELECT weir.wait('minutes', '1 minute');
ALTER MATERIALIZED VIEW held SET (weir.emit = final);
SELECT weir.wait('held', '1 minute');
SELECT count(*) FILTER (WHERE window_end <= weir.closed_to('held')) > 5 AS closed, count(*) FILTER (WHERE window_end > weir.closed_to('held')) AS open FROM held;
ALTER MATERIALIZED VIEW held RESET (weir.emit);
SELECT weir.wait('held', '1 minute');
SELECT count(*) FILTER (WHERE window_end > weir.closed_to('held')) > 0 AS open FROM held;

--
-- Closed by hand
--
SELECT weir.advance('days', '2024-01-03 12:00:00+00');
SELECT weir.wait('days', '1 minute');
SELECT weir.closed_to('days'), weir.watermark('days');
SELECT kind, partition, "offset", "from", "to" FROM weir.exception WHERE view = 'days'::regclass;
SELECT regexp_replace(why, 'at [0-9]{4}-[-0-9]* [0-9:.]*[+]00', 'at (time)') AS why FROM weir.why('days') why WHERE why ~ 'advance';
-- no more ends by then
SELECT weir.advance('days', '2024-01-03 12:00:00+00');
-- windows stay open for lateness
CREATE MATERIALIZED VIEW patient WITH (weir.continuous, weir.lateness = '1 hour') AS
SELECT window_start, window_end, count(*) AS events
FROM events, weir.cumulate(ts, '1 hour', '10 minutes') GROUP BY window_start, window_end;
SELECT weir.wait('patient', '1 minute');
SELECT * FROM patient ORDER BY window_end;
SELECT weir.closed_to('patient');
SELECT weir.advance('patient', '2024-01-01 10:25:00+00');
SELECT weir.wait('patient', '1 minute');
SELECT weir.closed_to('patient'), weir.watermark('patient');
SELECT count(*) AS closed FROM weir_data.patient_closed;
SELECT * FROM patient ORDER BY window_end;
-- rolled back, nothing has happened
BEGIN;
SELECT weir.advance('patient', '2024-01-01 10:35:00+00');
ROLLBACK;
SELECT weir.wait('patient', '1 minute');
SELECT weir.closed_to('patient');
-- refused
SELECT weir.advance('days', '2024-01-02 12:00:00+00');
\echo :LAST_ERROR_SQLSTATE
SELECT weir.advance('days', 'infinity');
SELECT weir.advance('days', '-infinity');
SELECT weir.advance('days', now() + interval '1 minute');
SELECT weir.advance('events', '2024-01-03');
SELECT weir.advance('days', NULL) IS NULL AS nothing;
BEGIN READ ONLY;
SELECT weir.advance('days', '2024-01-05');
ROLLBACK;
SELECT weir.pause('days');
SELECT weir.advance('days', '2024-01-05');
\echo :LAST_ERROR_SQLSTATE
SELECT weir.resume('days');
CREATE ROLE regress_operated;
GRANT USAGE ON SCHEMA operated TO regress_operated;
GRANT SELECT ON days TO regress_operated;
SET ROLE regress_operated;
SELECT weir.advance('days', '2024-01-05');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

--
-- Refused while a view reads the stream
--
ALTER FOREIGN TABLE events OPTIONS (SET rate '20');
ALTER FOREIGN TABLE events OPTIONS (SET seed '8');
ALTER FOREIGN TABLE events OPTIONS (SET "limit" '6000');
ALTER FOREIGN TABLE events OPTIONS (SET watermark_delay '20 seconds');
ALTER FOREIGN TABLE events OPTIONS (ADD max_future '1 second');
ALTER FOREIGN TABLE events OPTIONS (ADD timezone 'Europe/Berlin');
ALTER FOREIGN TABLE events OPTIONS (DROP event_time);
ALTER FOREIGN TABLE events ALTER COLUMN ts OPTIONS (SET field 'other');
ALTER FOREIGN TABLE events ALTER COLUMN event_type OPTIONS (ADD metadata 'topic');
ALTER FOREIGN TABLE events ALTER COLUMN user_id DROP NOT NULL;
ALTER FOREIGN TABLE events ALTER COLUMN total_amount TYPE float8;
ALTER FOREIGN TABLE events DROP COLUMN user_id;
ALTER FOREIGN TABLE events DROP COLUMN event_type;
ALTER FOREIGN TABLE events ADD COLUMN device text NOT NULL;
-- allowed: records are what they were
ALTER FOREIGN TABLE events ADD COLUMN device text;
ALTER FOREIGN TABLE events DROP COLUMN device;
ALTER FOREIGN TABLE events OPTIONS (ADD idle_timeout '2 minutes', ADD close_timeout '1 hour', ADD on_error 'skip');
REFRESH MATERIALIZED VIEW minutes;
SELECT sum(events) AS events FROM minutes;

SET client_min_messages TO warning;
DROP SCHEMA operated CASCADE;
DROP ROLE regress_operated;
SELECT count(*) AS relations FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace AND relname ~ '^(minutes|days|held|failing|patient)_';
