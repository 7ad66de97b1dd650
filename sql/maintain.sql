-- What is too old goes: weir.retention, weir.maintain(), what is told of it;
-- and late records as columns.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
CREATE SCHEMA kept;
SET search_path TO kept, public;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';

-- Thirty days, all of them readable at once; some records are late, some bad.
CREATE FOREIGN TABLE events (
    event_type text, user_id text, total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'),
    p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'),
    kts timestamptz OPTIONS (metadata 'timestamp'), headers jsonb OPTIONS (metadata 'headers'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00+00', rate '0.01', "limit" '26000', partitions '2', seed '7', event_time 'ts', watermark_delay '10 seconds', disorder '10 seconds', late_fraction '0.2', poison_fraction '0.001');
CREATE MATERIALIZED VIEW days WITH (weir.continuous, weir.retention = '10 days') AS
SELECT window_start, window_end, event_type, count(*) AS events, avg(total_amount) AS mean
FROM events, weir.tumble(ts, '1 day') GROUP BY window_start, window_end, event_type;
-- the same for ever, and with names and places of its own
CREATE MATERIALIZED VIEW for_ever WITH (weir.continuous) AS
SELECT window_start, window_end, event_type, count(*) AS events, avg(total_amount) AS mean
FROM events, weir.tumble(ts, '1 day') GROUP BY window_start, window_end, event_type;
CREATE MATERIALIZED VIEW odd (till, n) WITH (weir.continuous) AS
SELECT window_end, count(*) FROM events, weir.hop(ts, '2 days', '1 day') GROUP BY window_start, window_end HAVING count(*) > 0;
REFRESH MATERIALIZED VIEW days;
REFRESH MATERIALIZED VIEW for_ever;
REFRESH MATERIALIZED VIEW odd;
SELECT weir.closed_to('days'), weir.closed_to('odd');

--
-- Retention
--
SELECT why FROM weir.why('days') why WHERE why ~ 'retention';
-- a few rows at a time, but whole windows
SELECT what, view, rows, up_to, error FROM weir.maintain(max_rows => 5);
SELECT what, view, rows, up_to, error FROM weir.maintain();
SELECT what, view, rows, up_to, error FROM weir.maintain();
SELECT count(*) AS windows, min(window_start), weir.closed_to('days') FROM (SELECT DISTINCT window_start FROM days) d;
SELECT count(*) AS different FROM (
    (TABLE days EXCEPT ALL SELECT * FROM for_ever WHERE window_end > weir.closed_to('for_ever') - interval '10 days')
    UNION ALL (SELECT * FROM for_ever WHERE window_end > weir.closed_to('for_ever') - interval '10 days' EXCEPT ALL TABLE days)) d;
SELECT regexp_replace(why, ' at .*', '') FROM weir.why('days') why WHERE why ~ 'retention';
SELECT view, what, rows, up_to FROM weir.trimmed;

-- set later, where window_start is hidden; longer, shorter, none
SELECT count(*), min(till), max(till) FROM odd;
ALTER MATERIALIZED VIEW odd SET (weir.retention = '1 mon');
SELECT what, view, rows, up_to, error FROM weir.maintain();
ALTER MATERIALIZED VIEW odd SET (weir.retention = '5 days');
SELECT what, view, rows, up_to, error FROM weir.maintain();
SELECT count(*), min(till), max(till) FROM odd;
ALTER MATERIALIZED VIEW odd RESET (weir.retention);
SELECT what, view, rows, up_to, error FROM weir.maintain();
ALTER MATERIALIZED VIEW odd SET (weir.retention = '2 days');
ALTER MATERIALIZED VIEW odd SET (weir.retention = 'none');
SELECT what, view, rows, up_to, error FROM weir.maintain();
SELECT weir.definition('days') ~ $$weir.retention = '10 days'$$ AS days, weir.definition('odd') ~ 'retention' AS odd;
ALTER MATERIALIZED VIEW odd SET (weir.retention = '0');
ALTER MATERIALIZED VIEW odd SET (weir.retention = 'some time');

-- sessions are windows too
CREATE MATERIALIZED VIEW visits WITH (weir.continuous) AS
SELECT window_start, window_end, user_id, count(*) AS events
FROM events, weir.session(ts, '30 minutes') GROUP BY window_start, window_end, user_id;
REFRESH MATERIALIZED VIEW visits;
CREATE TABLE visits_before AS TABLE visits;
ALTER MATERIALIZED VIEW visits SET (weir.retention = '36 hours');
SELECT what, view, rows > 100 AS many, up_to, error FROM weir.maintain();
SELECT count(*) > 100 AS some FROM visits;
SELECT count(*) AS different FROM (
    (TABLE visits EXCEPT ALL SELECT * FROM visits_before WHERE window_end > weir.closed_to('visits') - interval '36 hours')
    UNION ALL (SELECT * FROM visits_before WHERE window_end > weir.closed_to('visits') - interval '36 hours' EXCEPT ALL TABLE visits)) d;
DROP MATERIALIZED VIEW visits;

-- a paused view has windows that are too old like any other
SELECT weir.pause('odd');
ALTER MATERIALIZED VIEW odd SET (weir.retention = '3 days');
SELECT what, view, rows, up_to, error FROM weir.maintain();

-- what stands in the way is said, and stands in nobody else's
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE DELETE ON weir_data.days_closed FOR EACH ROW EXECUTE FUNCTION keep();
ALTER MATERIALIZED VIEW days SET (weir.retention = '5 days');
ALTER MATERIALIZED VIEW odd SET (weir.retention = '2 days');
SELECT what, view, rows, up_to, error FROM weir.maintain();
DROP TRIGGER keep ON weir_data.days_closed;
ALTER TABLE weir_data.days_closed ADD PRIMARY KEY (window_start, event_type);
CREATE TABLE notes (window_start timestamptz, event_type text, note text, FOREIGN KEY (window_start, event_type) REFERENCES weir_data.days_closed DEFERRABLE INITIALLY DEFERRED);
INSERT INTO notes SELECT window_start, event_type, 'a good day' FROM weir_data.days_closed ORDER BY 1, 2 LIMIT 1;
SELECT what, view, rows, up_to, error FROM weir.maintain();
TRUNCATE notes;
SELECT what, view, rows, up_to, error FROM weir.maintain();
-- rows of triggers, as those of any DELETE
CREATE TABLE archive (LIKE weir_data.days_closed);
CREATE FUNCTION archive() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO kept.archive VALUES (old.*); RETURN NULL; END';
CREATE TRIGGER archive AFTER DELETE ON weir_data.days_closed FOR EACH ROW EXECUTE FUNCTION archive();
ALTER MATERIALIZED VIEW days SET (weir.retention = '4 days');
SELECT what, view, rows, up_to, error FROM weir.maintain();
SELECT count(*), min(window_start), max(window_start) FROM archive;

--
-- Late records as columns
--
SELECT count(*) > 20 AS many, count(*) = (SELECT sum(late + partly_late) FROM weir.checkpoint WHERE view = 'days'::regclass) AS all
FROM weir.late_event WHERE view = 'days'::regclass;
SELECT count(*) > 20 AS many FROM weir.late_events(NULL::events, 'days');
SELECT count(*) AS different FROM (
    (SELECT e.* FROM events e JOIN weir.late_event l ON (l.partition, l."offset") = (e.p, e.o) AND l.view = 'days'::regclass
     EXCEPT ALL SELECT * FROM weir.late_events(NULL::events, 'days'))
    UNION ALL
    (SELECT * FROM weir.late_events(NULL::events, 'days')
     EXCEPT ALL SELECT e.* FROM events e JOIN weir.late_event l ON (l.partition, l."offset") = (e.p, e.o) AND l.view = 'days'::regclass)) d;
-- each once, whichever views it is late for
SELECT count(*) = count(DISTINCT (p, o)) AS once, count(*) = (SELECT count(DISTINCT (partition, "offset")) FROM weir.late_event) AS all
FROM weir.late_events(NULL::events);
SELECT l.partition, l."offset", l.event_time = e.ts AS same, l.late_bound, e.event_type, e.user_id, e.total_amount
FROM weir.late_event l, weir.decode(NULL::events, l) e WHERE l.view = 'days'::regclass ORDER BY l.partition, l."offset" LIMIT 3;
SELECT count(*) FROM weir.late_events(NULL::events, 'notes');
-- a long one, and one that is bad for the stream as it is now
BEGIN;
INSERT INTO weir.late_event (view, partition, "offset", event_time, late_bound, value)
SELECT 'odd', 7, n, '2024-01-01', '2024-01-02', v FROM (VALUES
    (1, convert_to(jsonb_build_object('timestamp', '2024-01-01T00:00:00Z', 'user_id', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3000) i))::text, 'UTF8')),
    (2, '{"timestamp": never'::bytea)) x (n, v);
SELECT l."offset", e IS NULL AS bad, e.ts, length(e.user_id), md5(e.user_id) = (SELECT md5(string_agg(md5(i::text), '')) FROM generate_series(1, 3000) i) AS same
FROM weir.late_event l, weir.decode(NULL::events, l) e WHERE l.partition = 7 ORDER BY 1;
ROLLBACK;
SELECT * FROM weir.late_events(NULL::notes);
SELECT * FROM weir.late_events(1);
SELECT weir.decode(NULL::events, NULL);

--
-- A query that cannot be planned any more does not keep weir.why() from telling
--
CREATE FUNCTION same(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT n';
CREATE MATERIALIZED VIEW unplanned WITH (weir.continuous, weir.retention = '5 days') AS
SELECT window_start, window_end, sum(same(total_amount)) AS revenue
FROM events, weir.tumble(ts, '1 day') GROUP BY window_start, window_end;
REFRESH MATERIALIZED VIEW unplanned;
SELECT weir.pause('unplanned');
BEGIN;
SELECT why ~ 'go with the next maintenance' AS due FROM weir.why('unplanned') why WHERE why ~ 'retention';
-- who has asked keeps no space from being reclaimed
SELECT count(*) AS locked FROM pg_locks l, weir.view v WHERE l.pid = pg_backend_pid() AND v.view = 'unplanned'::regclass AND l.relation = ANY (v.segments::oid[]);
COMMIT;
ALTER FUNCTION same VOLATILE;
SELECT why FROM weir.why('unplanned') why WHERE why ~ 'paused|retention';
DROP MATERIALIZED VIEW unplanned;

--
-- Ages
--
SELECT what, view, rows > 0 AS some, error FROM weir.maintain(late_event_age => '0', dead_letter_age => NULL);
SELECT (SELECT count(*) FROM weir.late_event) AS late, (SELECT count(*) FROM weir.dead_letter) > 0 AS dead;
SELECT what, view, rows > 0 AS some, error FROM weir.maintain('0', '0');
SELECT (SELECT count(*) FROM weir.late_event) AS late, (SELECT count(*) FROM weir.dead_letter) AS dead;
SELECT regexp_replace(why, ' at .*', '') FROM weir.why('for_ever') why WHERE why ~ 'age';
SELECT weir.maintain('-1 day');
SELECT weir.maintain(late_event_age => '-1 day');
SELECT weir.maintain(max_rows => 0);
BEGIN READ ONLY;
SELECT weir.maintain();
ROLLBACK;

--
-- Everybody trims what is his
--
CREATE ROLE regress_weir_other;
GRANT USAGE ON SCHEMA kept TO regress_weir_other;
ALTER MATERIALIZED VIEW days SET (weir.retention = '3 days');
SET ROLE regress_weir_other;
SELECT weir.maintain('0', '0');
SELECT weir.late_events(NULL::events);
SELECT weir.decode(NULL::events, ROW('kept.days'::regclass, 0, 0, now(), now(), now(), ''::bytea, ''::bytea, now())::weir.late_event);
INSERT INTO weir.trimmed VALUES ('kept.days', 'closed rows', 1, now(), now());
RESET ROLE;
SELECT what, view, rows, up_to, error FROM weir.maintain('0', '0');

--
-- pg_cron is not here
--
DO $$
DECLARE hint text;
BEGIN
    PERFORM weir.schedule_maintenance();
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RAISE NOTICE '%: %', sqlerrm, regexp_replace(hint, 'postgresql-\d+', 'postgresql-NN');
END $$;
SELECT weir.unschedule_maintenance();

DROP TABLE notes;
DROP MATERIALIZED VIEW days, odd, for_ever;
SELECT * FROM weir.trimmed;
SET client_min_messages TO warning;
DROP SCHEMA kept CASCADE;
DROP ROLE regress_weir_other;
