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
ALTER FOREIGN TABLE events OPTIONS (ADD idle_timeout '2 minutes', ADD on_error 'skip');
REFRESH MATERIALIZED VIEW minutes;
SELECT sum(events) AS events FROM minutes;

SET client_min_messages TO warning;
DROP SCHEMA operated CASCADE;
SELECT count(*) AS relations FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace AND relname ~ '^(minutes|days|held|failing)_';
