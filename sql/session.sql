-- Sessions: what is refused, what a view of them is made of, which partials
-- make one session, and the first rows.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';
SET intervalstyle TO 'postgres';
CREATE SCHEMA sessions;
SET search_path TO sessions, public;

CREATE FOREIGN TABLE events (event_type text, user_id text, amount numeric, number int, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00+00', "limit" '100', event_time 'ts');

--
-- Outside of a continuous view: the error shows what to type
--
CREATE TABLE copy (user_id text, ts timestamptz);
SELECT * FROM copy, weir.session(ts, '30 minutes');
INSERT INTO copy VALUES ('a', '2024-01-01 10:00:00+00'), ('a', '2024-01-01 10:30:00+00'), ('a', '2024-01-01 11:00:00.000001+00'),
    ('b', '2024-01-01 23:40:00+00'), ('b', '2024-01-02 00:00:00+00'), (NULL, '2024-01-01 10:00:00+00');
SELECT * FROM copy, weir.session(ts, '30 minutes');
SELECT * FROM copy, weir.session(max_length => '2 hours', gap => '90 seconds', ts => ts);
SELECT * FROM copy, weir.session(ts, NULL);
-- that query, with the names of the table
SELECT min(ts) AS window_start, least(max(ts) + '00:30:00'::interval, cut + '24:00:00'::interval) AS window_end, user_id, count(*)
FROM (SELECT *, count(*) FILTER (WHERE ts > previous + '00:30:00'::interval) OVER (PARTITION BY user_id, cut ORDER BY ts) AS session
      FROM (SELECT *, lag(ts) OVER (PARTITION BY user_id, cut ORDER BY ts) AS previous
            FROM (SELECT *, date_bin('24:00:00', ts, '1970-01-01 00:00:00+00') AS cut FROM copy) e) e) e
GROUP BY user_id, cut, session ORDER BY user_id, window_start;

--
-- Refused
--
\set create 'CREATE MATERIALIZED VIEW refused WITH (weir.continuous) AS SELECT window_start, window_end, count(*) FROM events,'
\set group 'GROUP BY window_start, window_end'
:create weir.session(ts) :group;
:create weir.session(ts, '0') :group;
:create weir.session(ts, '-1 minute') :group;
:create weir.session(ts, '1 day') :group;
:create weir.session(ts, '1 month') :group;
:create weir.session(ts, NULL) :group;
:create weir.session(ts, '1 minute', NULL) :group;
:create weir.session(ts, '1 minute', '0') :group;
:create weir.session(ts, '1 minute', '1 day') :group;
:create weir.session(ts, '1 minute', '59 seconds') :group;
:create weir.session(ts, '25 hours') :group;
:create weir.session(ts, '9000000 hours', '9000000 hours') :group;
:create weir.session(ts, make_interval(mins => number)) :group;
:create weir.session(now(), '1 minute') :group;
:create weir.session(ts, '1 minute') GROUP BY window_start;
:create weir.session(ts, '1 minute') :group, (number::text)::xid;

--
-- What a view of sessions is made of
--
CREATE MATERIALIZED VIEW visits WITH (weir.continuous, weir.lateness = '5 seconds') AS
SELECT window_start, window_end, user_id, count(*) AS events, sum(amount) AS revenue, avg(amount) AS average,
       window_end - window_start AS lasted, user_id AS session_end, count(*) FILTER (WHERE number > 1) AS many
FROM events, weir.session(ts, gap => '10 minutes', max_length => '1 hour') WHERE event_type <> 'login'
GROUP BY window_start, window_end, user_id HAVING count(*) > 1
WITH NO DATA;
\d visits
\d weir_data.visits_closed
\d weir_data.visits_partial_0
SELECT weir.definition('visits');
-- the query itself cannot be run by hand, but the view can be read, changed and dropped
SELECT * FROM weir_data.visits_query;
SELECT * FROM visits;
ALTER MATERIALIZED VIEW visits SET (weir.emit = 'final');
SELECT count(*) FROM visits;
ALTER MATERIALIZED VIEW visits SET (weir.emit = 'changes');
SELECT why FROM weir.why('visits') why WHERE why ~ 'paused';

--
-- Which partials make one session: known answers, from partials by hand
--
CREATE FUNCTION piece(start text, "end" text, k text, n int, segment int DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO weir_data.visits_partial_%s (session_start, session_end, user_id, events, revenue, average_count, many)
                    VALUES ($1, $2, $3, $4, $4, $4, 0)', segment)
    USING ('2024-01-01 ' || start || '+00')::timestamptz, ('2024-01-01 ' || "end" || '+00')::timestamptz, k, n;
END $$;
CREATE VIEW live AS SELECT window_start::time AS start, window_end::time AS "end", user_id, events, average, lasted FROM visits ORDER BY user_id, window_start;
UPDATE weir.view_state SET live = '{0,3}' WHERE closed = weir.closed('visits');
-- touch, and do not; overlap, within, in the other segment and in any order
SELECT piece('10:10', '10:20', 'touch', 1), piece('10:00', '10:10', 'touch', 2, 3), piece('10:20:00.000001', '10:31', 'touch', 4, 3);
SELECT piece('10:00', '10:30', 'overlap', 1, 3), piece('10:05', '10:20', 'overlap', 2), piece('10:25', '10:35', 'overlap', 4), piece('10:35', '10:45', 'overlap', 8);
SELECT piece('10:00', '10:10', 'same', 1), piece('10:00', '10:10', 'same', 2), piece('10:00', '10:15', 'same', 4, 3);
-- cut on the hour: sessions on both sides never merge
SELECT piece('10:52', '11:00', 'cut', 2), piece('11:00', '11:10', 'cut', 4), piece('11:00', '11:12', 'cut', 8, 3);
-- NULL is a key; HAVING leaves out a session of one record
SELECT piece('10:00', '10:10', NULL, 1), piece('10:10', '10:20', NULL, 2), piece('10:40', '10:50', NULL, 1);
-- not alive: in a segment that is not live
SELECT piece('10:00', '10:10', 'dead', 9, 5);
TABLE live;
-- compacted, the same
CREATE FUNCTION compact(segment int, OUT rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO weir_data.visits_partial_%s %s', segment, weir._merge_sql('visits', 'compact'));
    GET DIAGNOSTICS rows = ROW_COUNT;
    UPDATE weir.view_state SET live = ARRAY[segment] WHERE closed = weir.closed('visits');
END $$;
SELECT * FROM compact(1);
TABLE live;
-- closed in steps; what stays open from when on
CREATE FUNCTION close_sessions(upto timestamptz, OUT merged bigint, OUT inserted bigint, OUT open_from timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE weir._merge_sql('visits', 'close') INTO merged, inserted, open_from USING upto;
    UPDATE weir.view_state SET closed_to = upto, closed_before = least(upto, open_from) WHERE closed = weir.closed('visits');
END $$;
SELECT * FROM close_sessions('2024-01-01 10:19:59.999999+00');
TABLE live;
SELECT * FROM close_sessions('2024-01-01 10:50:00+00');
-- a partition behind the others may begin a session before the open ones
SELECT piece('10:50:00.000001', '10:51', 'behind', 2, 1);
TABLE live;
-- compaction leaves out what is closed
SELECT * FROM compact(2);
SELECT user_id FROM weir_data.visits_partial_2 ORDER BY user_id, session_start;
SELECT * FROM close_sessions('2024-01-01 12:00:00+00');
SELECT * FROM close_sessions('2024-01-01 12:00:00+00');
TABLE live;
-- a condition on a key reaches the segments
CREATE FUNCTION scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'Filter:.*user_id' THEN RETURN NEXT trim(line); END IF;
    END LOOP;
END $$;
SELECT DISTINCT scans('SELECT * FROM visits WHERE user_id = ''a''');
DROP MATERIALIZED VIEW visits CASCADE;

--
-- First rows: the cut, and keys that are equal with different bytes
--
CREATE FOREIGN TABLE flowing (user_id text, device text, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '1', "limit" '3600', partitions '2', seed '7',
                          event_time 'ts', watermark_delay '30 seconds', disorder '30 seconds', users '3');
CREATE MATERIALIZED VIEW first_rows WITH (weir.continuous) AS
SELECT window_start, window_end, CASE device WHEN 'mobile' THEN 1.0 WHEN 'tablet' THEN 1.00 ELSE 2 END AS k, count(*) AS events
FROM flowing, weir.session(ts, '5 seconds', max_length => '20 minutes') GROUP BY window_start, window_end, CASE device WHEN 'mobile' THEN 1.0 WHEN 'tablet' THEN 1.00 ELSE 2 END;
SELECT weir.wait('first_rows', '2 minutes');
CREATE VIEW islands AS
SELECT min(ts) AS window_start, least(max(ts) + interval '5 seconds', cut + interval '20 minutes') AS window_end, k, count(*) AS events
FROM (SELECT *, count(*) FILTER (WHERE ts > previous + interval '5 seconds') OVER (PARTITION BY k, cut ORDER BY ts) AS session
      FROM (SELECT *, lag(ts) OVER (PARTITION BY k, cut ORDER BY ts) AS previous
            FROM (SELECT ts, CASE device WHEN 'mobile' THEN 1.0 WHEN 'tablet' THEN 1.00 ELSE 2 END AS k,
                         date_bin('20 minutes', ts, '1970-01-01 00:00:00+00') AS cut FROM flowing) e) e) e
GROUP BY k, cut, session;
SELECT count(*) FILTER (WHERE window_end <= weir.closed_to('first_rows')) > 10 AS closed, count(*) FILTER (WHERE window_end > weir.closed_to('first_rows')) > 0 AS open,
       sum(events) AS events, count(DISTINCT k) AS keys, max(window_end - window_start) <= '20 minutes' AS within, count(*) FILTER (WHERE window_end IN ('2024-01-01 10:20:00+00', '2024-01-01 10:40:00+00')) > 0 AS cut
FROM first_rows;
-- equal to the gaps and islands of the topic
SELECT count(*) AS different FROM (
    (SELECT window_start, window_end, k, events FROM first_rows EXCEPT ALL TABLE islands) UNION ALL
    (TABLE islands EXCEPT ALL SELECT window_start, window_end, k, events FROM first_rows)) d;
SELECT weir.closed_to('first_rows') = weir.watermark('first_rows') - interval '1 microsecond' AS closed_to;
SELECT why FROM weir.why('first_rows') why WHERE why ~ 'session closes';
-- closed by hand up to the end of a session: that one too
SELECT min(window_end) AS next_end FROM first_rows WHERE window_end > weir.closed_to('first_rows') \gset
SELECT weir.advance('first_rows', :'next_end') = :'next_end' AS closed_to;
SELECT weir.wait('first_rows', '2 minutes');
SELECT weir.closed_to('first_rows') = :'next_end' AS closed_to, count(*) > 0 AS closed FROM weir_data.first_rows_closed WHERE window_end = :'next_end';
SELECT count(*) AS different FROM (
    (SELECT window_start, window_end, k, events FROM first_rows EXCEPT ALL TABLE islands) UNION ALL
    (TABLE islands EXCEPT ALL SELECT window_start, window_end, k, events FROM first_rows)) d;
DROP SCHEMA sessions CASCADE;
