-- weir.tumble, weir.hop and weir.cumulate give the windows that contain a time
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET TimeZone = 'America/New_York';
SET DateStyle = 'ISO, MDY';

-- by hand
SELECT * FROM weir.tumble('2024-05-05 10:01:30+00', '1 minute');
SELECT * FROM weir.tumble('2024-05-05 10:01:30+00', '1 hour', origin => '2024-01-01 00:20');
SELECT * FROM weir.tumble('2024-05-05 10:01:30+00', '1 hour', 'Asia/Kathmandu');
SELECT * FROM weir.tumble(ts => '2024-05-05 10:01:30+00', size => '1 week', timezone => 'Europe/Berlin');
SELECT * FROM weir.tumble('2024-05-05 10:01:30+00', '1 month', 'Europe/Berlin');
SELECT * FROM weir.tumble('2023-02-28 10:01:30+00', '1 month', origin => '2024-01-31');
SELECT * FROM weir.hop('2024-05-05 10:01:30+00', '5 minutes', '2 minutes');
SELECT * FROM weir.hop('2024-05-05 10:00:30+00', '5 minutes', '2 minutes');
SELECT * FROM weir.hop('2024-05-05 10:01:30+00', '2 months', '1 month', 'Europe/Berlin');
SELECT * FROM weir.hop('2024-05-05 10:01:30+00', '2 weeks', '1 week');
SELECT * FROM weir.cumulate('2024-05-05 10:03:30+00', '10 minutes', '2 minutes');
SELECT * FROM weir.cumulate(ts => '2024-05-05 10:03:30+00', size => '10 minutes', step => '5 minutes', timezone => 'UTC', origin => '2024-01-01 00:03');
SELECT * FROM weir.cumulate('2024-02-27 18:30:30+00', '1 month', '1 day', 'Europe/Berlin');
SELECT * FROM weir.cumulate('2024-02-27 18:30:30+00', '1 year', '3 months', 'Europe/Berlin');
SELECT * FROM weir.cumulate('2024-10-26 18:30:30+00', '1 week', '1 day', 'Europe/Berlin');

-- Steps of hours are exact time from the start of the day: a day of 23 hours
-- has 23, one of 25 has 25, and the last step ends with the day
SELECT count(*), min(window_end), max(window_end) FROM weir.cumulate('2024-03-31 00:00+01', '1 day', '1 hour', 'Europe/Berlin');
SELECT count(*), min(window_end), max(window_end) FROM weir.cumulate('2024-10-27 00:00+02', '1 day', '1 hour', 'Europe/Berlin');
SET TimeZone = 'Europe/Berlin';
SELECT window_end, window_end - window_start AS length FROM weir.cumulate('2024-03-31 00:00+01', '1 day', '6 hours', 'Europe/Berlin');
SELECT window_end, window_end - window_start AS length FROM weir.cumulate('2024-10-27 00:00+02', '1 day', '6 hours', 'Europe/Berlin');
SET TimeZone = 'America/New_York';

-- an event without a time is in no window
SELECT * FROM weir.tumble(NULL, '1 minute');
SELECT * FROM weir.hop(NULL, '5 minutes', '1 minute');
SELECT count(*) FROM (VALUES (NULL::timestamptz), ('2024-05-05')) v(ts), weir.tumble(ts, '1 day');
SELECT count(*) FROM (VALUES (NULL::timestamptz), ('2024-05-05')) v(ts), weir.hop(ts, '3 days', '1 day', 'Europe/Berlin');
SELECT * FROM weir.cumulate(NULL, '5 minutes', '1 minute');
SELECT count(*) FROM (VALUES (NULL::timestamptz), ('2024-05-05')) v(ts), weir.cumulate(ts, '3 days', '1 day', 'Europe/Berlin');

-- times around two years of clock changes, and long ago
CREATE TABLE window_event AS
SELECT timestamptz '2023-01-01 00:00+00' + n * interval '7 hours 13 minutes 0.7 seconds' AS ts
FROM generate_series(0, 2500) n
UNION
SELECT timestamptz '1887-02-03 00:00+00' + n * interval '19 hours 1 microsecond'
FROM generate_series(0, 200) n
UNION
SELECT change + n * interval '10 minutes' - interval '1 microsecond' * (n % 2)
FROM (VALUES (timestamptz '2024-03-31 01:00+00'), ('2024-10-27 01:00+00'),
             ('2024-11-03 05:00+00'), ('2018-11-04 03:00+00'), ('2011-12-30 10:00+00')) v(change),
     generate_series(-160, 160) n;

-- exact sizes are those of date_bin
SELECT size, count(*), count(*) FILTER (WHERE (window_start, window_end) IS DISTINCT FROM
           (date_bin(size, ts, '1970-01-01 00:00+00'), date_bin(size, ts, '1970-01-01 00:00+00') + size)) AS wrong
FROM (VALUES (interval '1 second'), ('7 minutes'), ('1 hour'), ('36 hours'), ('0.1 seconds')) v(size),
     window_event, weir.tumble(ts, size)
GROUP BY size ORDER BY size;

-- calendar sizes are those of date_trunc in the zone
SELECT unit, zone, count(*), count(*) FILTER (WHERE (window_start, window_end) IS DISTINCT FROM
           (date_trunc(unit, ts, zone), (date_trunc(unit, ts, zone) AT TIME ZONE zone + ('1 ' || unit)::interval) AT TIME ZONE zone)) AS wrong
FROM (VALUES ('day'), ('week'), ('month'), ('year')) u(unit),
     (VALUES ('UTC'), ('Europe/Berlin'), ('America/New_York'), ('Asia/Kathmandu'), ('Australia/Lord_Howe')) z(zone),
     window_event, weir.tumble(ts, ('1 ' || unit)::interval, zone)
GROUP BY unit, zone ORDER BY unit, zone;

-- where midnight is skipped or happens twice, and where a whole day is
-- skipped, windows are those between the midnights
WITH midnight AS (
    SELECT zone, size, day AT TIME ZONE zone AS start, (day + size) AT TIME ZONE zone AS "end"
    FROM (VALUES ('America/Sao_Paulo'), ('America/Havana'), ('Pacific/Apia')) z(zone),
         (VALUES (interval '1 day'), ('3 days')) s(size),
         generate_series(timestamp '1970-01-01' - 40000 * size, timestamp '1970-01-01' + 21000 * size, size) day
    WHERE day BETWEEN '1886-12-01' AND '2026-12-31'
), expected AS (
    SELECT zone, size, ts, start, "end"
    FROM midnight JOIN window_event ON ts >= start AND ts < "end"
), got AS (
    SELECT zone, size, ts, window_start, window_end
    FROM (SELECT DISTINCT zone, size FROM midnight) m, window_event, weir.tumble(ts, size, zone)
)
SELECT (SELECT count(*) FROM got) AS windows,
       (SELECT count(*) FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM expected) d) AS too_many,
       (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM got) d) AS missing;

-- hop: every start of a series whose window contains the time
WITH param (size, slide) AS (
    VALUES (interval '5 hours', interval '1 hour'), ('5 hours', '2 hours'), ('90 minutes', '40 minutes'), ('1 hour', '1 hour')
), event AS (
    SELECT ts FROM window_event WHERE ts >= '2024-01-01' AND ts < '2025-01-01'
), expected AS (
    SELECT size, slide, ts, start AS window_start, start + size AS window_end
    FROM param, event, generate_series(date_bin(slide, ts - size, '1970-01-01 00:00+00'), ts, slide) start
    WHERE ts >= start AND ts < start + size
), got AS (
    SELECT size, slide, ts, window_start, window_end FROM param, event, weir.hop(ts, size, slide)
)
SELECT (SELECT count(*) FROM got) AS windows,
       (SELECT count(*) FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM expected) d) AS too_many,
       (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM got) d) AS missing;
WITH expected AS (
    SELECT ts, day AT TIME ZONE 'Europe/Berlin' AS window_start, (day + interval '3 days') AT TIME ZONE 'Europe/Berlin' AS window_end
    FROM window_event, generate_series(ts::date - 5, ts::date + 5, interval '1 day') d(at), CAST(at AS timestamp) day
    WHERE ts >= day AT TIME ZONE 'Europe/Berlin' AND ts < (day + interval '3 days') AT TIME ZONE 'Europe/Berlin'
), got AS (
    SELECT ts, window_start, window_end FROM window_event, weir.hop(ts, '3 days', '1 day', 'Europe/Berlin')
)
SELECT (SELECT count(*) FROM got) AS windows,
       (SELECT count(*) FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM expected) d) AS too_many,
       (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM got) d) AS missing;

-- cumulate: every end after the time, of a series from the start of its period
-- to the next one; a clock that skips a day makes no window twice
WITH param (unit, size, step) AS (
    VALUES ('day', interval '1 day', interval '1 hour'), ('day', '1 day', '8 hours'), ('week', '7 days', '1 day'),
           ('month', '1 month', '1 day'), ('month', '1 month', '12 hours'), ('year', '1 year', '3 months')
), zone (zone) AS (
    VALUES ('UTC'), ('Europe/Berlin'), ('Australia/Lord_Howe'), ('America/Sao_Paulo'), ('Pacific/Apia')
), event AS (
    SELECT ts FROM window_event WHERE date_part('minute', ts)::int % 29 = 0 AND date_part('hour', ts)::int % 4 = 1
), period AS (
    SELECT unit, size, step, zone, ts, date_trunc(unit, ts AT TIME ZONE zone) AS local
    FROM param, zone, event
), expected AS (
    SELECT unit, step, zone, ts, start, "end"
    FROM period,
         LATERAL (SELECT local AT TIME ZONE zone AS start, (local + size) AT TIME ZONE zone AS last) p,
         LATERAL (SELECT DISTINCT least(CASE WHEN step < interval '1 day' THEN start + n * step
                                        ELSE (local + n * step) AT TIME ZONE zone END, last) AS "end"
                  FROM generate_series(1, 70) n) e
    WHERE "end" > ts
), got AS (
    SELECT unit, step, zone, ts, window_start, window_end FROM param, zone, event, weir.cumulate(ts, size, step, zone)
)
SELECT (SELECT count(*) FROM got) AS windows,
       (SELECT count(*) FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM expected) d) AS too_many,
       (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM got) d) AS missing;

-- an exact origin is a local time
SELECT window_start FROM weir.tumble('2024-05-05 10:01:30+00', '6 hours', 'Asia/Kathmandu', '2024-01-01 01:00');

-- they are inlined: no function scan of them
EXPLAIN (VERBOSE, COSTS OFF)
SELECT window_start, window_end, count(*) FROM window_event, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
EXPLAIN (VERBOSE, COSTS OFF)
SELECT ts, window_start, window_end FROM window_event, weir.hop(ts, '5 minutes', '1 minute');
EXPLAIN (VERBOSE, COSTS OFF)
SELECT ts, window_start, window_end FROM window_event, weir.hop(ts, '5 minutes', '2 minutes');
EXPLAIN (VERBOSE, COSTS OFF)
SELECT ts, window_start, window_end FROM window_event, weir.cumulate(ts, '5 minutes', '1 minute');

-- what is refused
\set SHOW_CONTEXT never
SELECT * FROM weir.tumble('2024-05-05', '0');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM weir.tumble('2024-05-05', '-1 minute');
SELECT * FROM weir.tumble('2024-05-05', '1 day 2 hours');
SELECT * FROM weir.tumble('2024-05-05', '1 month -30 days');
SELECT * FROM weir.tumble('2024-05-05', '1001 years');
SELECT * FROM weir.tumble('2024-05-05', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM weir.tumble('2024-05-05', '1 day', NULL);
SELECT * FROM weir.tumble('2024-05-05', '1 day', 'Europe/Atlantis');
SELECT * FROM weir.tumble('2024-05-05', '1 day', 'UTC', 'infinity');
SELECT * FROM weir.tumble('infinity', '1 day');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM weir.tumble('-infinity', '1 day');
SELECT * FROM weir.tumble('294276-12-31 23:59:59.5+00', '1 minute');
SELECT * FROM weir.tumble('4714-11-24 00:00:00+00 BC', '1 month');
SELECT * FROM weir.hop('2024-05-05', '1 hour', NULL);
SELECT * FROM weir.hop('2024-05-05', '1 hour', '0');
SELECT * FROM weir.hop('2024-05-05', '1 hour', '1 day 1 hour');
SELECT * FROM weir.hop('2024-05-05', '1 hour', '2 hours');
SELECT * FROM weir.hop('2024-05-05', '1 day', '1 hour');
SELECT * FROM weir.hop('2024-05-05', '3 days', '2 days');
SELECT * FROM weir.hop('2024-05-05', '1 hour', '1 microsecond');
SELECT * FROM weir.hop('infinity', '1 hour', '1 hour');
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', NULL);
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '0');
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '1 day 1 hour');
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '1001 years');
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '7 minutes');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '2 hours');
SELECT * FROM weir.cumulate('2024-05-05', '1 day', '5 hours');
SELECT * FROM weir.cumulate('2024-05-05', '1 month', '1 week', 'Europe/Berlin');
SELECT * FROM weir.cumulate('2024-05-05', '1 week', '1 month');
SELECT * FROM weir.cumulate('2024-05-05', '1 hour', '1 microsecond');
SELECT * FROM weir.cumulate('infinity', '1 hour', '1 hour');
SELECT * FROM weir.cumulate('294276-12-31 23:59:59.5+00', '1 hour', '1 minute');

DROP TABLE window_event;
