-- Windows of days, weeks and months by a time zone in continuous views, over
-- both changes of the clock.  One event every half hour, in order.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
CREATE SCHEMA calendar;
SET search_path TO calendar, public;
SET timezone TO 'Europe/Berlin';
SET datestyle TO 'ISO';

CREATE FOREIGN TABLE events (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-02-20 00:00:00Z', rate '0.0005555555555555556', "limit" '13000',
    partitions '1', seed '3', disorder '0', late_fraction '0', poison_fraction '0', event_time 'ts');
CREATE MATERIALIZED VIEW days WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.tumble(ts, '1 day', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW weeks WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.tumble(ts, '1 week', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW months WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.tumble(ts, '1 month', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW two_days WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.hop(ts, '2 days', '1 day', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW quarters WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.hop(ts, '3 months', '1 month', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW day_by_hour WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.cumulate(ts, '1 day', '1 hour', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW month_by_day WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS n, min(ts) AS first, max(ts) AS last
FROM events, weir.cumulate(ts, '1 month', '1 day', 'Europe/Berlin') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW by_ten_minutes WITH (weir.continuous, weir.emit = final) AS
SELECT window_start, window_end, event_type, count(*) AS n
FROM events, weir.cumulate(ts, '1 hour', '10 minutes') GROUP BY window_start, window_end, event_type;
DO $$
DECLARE
    v text;
BEGIN
    FOREACH v IN ARRAY '{days,weeks,months,two_days,quarters,day_by_hour,month_by_day,by_ten_minutes}'::text[] LOOP
        PERFORM weir.wait(v::regclass, '2 minutes');
    END LOOP;
END $$;
CREATE TABLE plain AS SELECT * FROM events;
SELECT count(*), min(ts), max(ts) FROM plain;

-- Days of 23 and of 25 hours
SELECT * FROM days WHERE window_start IN ('2024-03-30', '2024-03-31', '2024-04-01', '2024-10-26', '2024-10-27', '2024-10-28') ORDER BY 1;
SELECT n, count(*) FROM days GROUP BY n ORDER BY n;
SELECT * FROM weeks WHERE window_start IN ('2024-03-25', '2024-10-21') ORDER BY 1;
SELECT window_start, window_end, n FROM months ORDER BY 1;
SELECT window_start, window_end, n FROM quarters ORDER BY 1;
SELECT window_start, window_end, n FROM two_days WHERE window_start IN ('2024-03-30', '2024-03-31', '2024-10-26') ORDER BY 1;
SELECT count(*), min(n), max(n), max(window_end) FROM day_by_hour WHERE window_start = '2024-03-31';
SELECT count(*), min(n), max(n), max(window_end) FROM day_by_hour WHERE window_start = '2024-10-27';
SELECT window_end, n FROM month_by_day WHERE window_start = '2024-03-01' AND window_end > '2024-03-29' ORDER BY 1;

-- All windows, as plain SQL has them, with no function of ours; closed rows
-- and open ones
CREATE FUNCTION differences(view text, query text) RETURNS TABLE (name text, rows bigint, closed bigint, different bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT %1$L, (SELECT count(*) FROM %1$I), (SELECT count(*) FROM %1$I WHERE window_end <= weir.closed_to(%1$L)),
        (SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL TABLE %1$I)) d)', view, query);
END $$;
SELECT d.* FROM (VALUES
    ('days', $$(SELECT date_trunc('day', ts, 'Europe/Berlin'), (date_trunc('day', ts AT TIME ZONE 'Europe/Berlin') + interval '1 day') AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts) FROM plain GROUP BY 1, 2)$$),
    ('weeks', $$(SELECT date_trunc('week', ts, 'Europe/Berlin'), (date_trunc('week', ts AT TIME ZONE 'Europe/Berlin') + interval '1 week') AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts) FROM plain GROUP BY 1, 2)$$),
    ('months', $$(SELECT date_trunc('month', ts, 'Europe/Berlin'), (date_trunc('month', ts AT TIME ZONE 'Europe/Berlin') + interval '1 month') AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts) FROM plain GROUP BY 1, 2)$$),
    ('two_days', $$(SELECT s AT TIME ZONE 'Europe/Berlin', (s + interval '2 days') AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts)
        FROM plain, generate_series(date_trunc('day', ts AT TIME ZONE 'Europe/Berlin') - interval '1 day', date_trunc('day', ts AT TIME ZONE 'Europe/Berlin'), interval '1 day') s GROUP BY s)$$),
    ('quarters', $$(SELECT s AT TIME ZONE 'Europe/Berlin', (s + interval '3 months') AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts)
        FROM plain, generate_series(date_trunc('month', ts AT TIME ZONE 'Europe/Berlin') - interval '2 months', date_trunc('month', ts AT TIME ZONE 'Europe/Berlin'), interval '1 month') s GROUP BY s)$$),
    ('day_by_hour', $$(SELECT s, e, count(*), min(ts), max(ts)
        FROM plain, LATERAL (SELECT date_trunc('day', ts, 'Europe/Berlin') AS s) s, generate_series(s + interval '1 hour', (s AT TIME ZONE 'Europe/Berlin' + interval '1 day') AT TIME ZONE 'Europe/Berlin', interval '1 hour') e
        WHERE e > ts GROUP BY s, e)$$),
    ('month_by_day', $$(SELECT s AT TIME ZONE 'Europe/Berlin', e AT TIME ZONE 'Europe/Berlin', count(*), min(ts), max(ts)
        FROM plain, LATERAL (SELECT date_trunc('month', ts AT TIME ZONE 'Europe/Berlin') AS s) s, generate_series(s + interval '1 day', s + interval '1 month', interval '1 day') e
        WHERE e > ts AT TIME ZONE 'Europe/Berlin' GROUP BY s, e)$$),
    ('by_ten_minutes', $$(SELECT s, e, event_type, count(*)
        FROM plain, LATERAL (SELECT date_trunc('hour', ts) AS s) s, generate_series(s + interval '10 minutes', s + interval '1 hour', interval '10 minutes') e
        WHERE e > ts AND e <= weir.closed_to('by_ten_minutes') GROUP BY s, e, event_type)$$)) q(view, query), differences(q.view, q.query) d;
SELECT weir.definition('month_by_day');

SET client_min_messages TO warning;
DROP SCHEMA calendar CASCADE;
