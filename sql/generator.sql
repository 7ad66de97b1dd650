-- A generator stream is a pure function of its options, read like any table.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

CREATE FOREIGN TABLE events (
    event_id uuid, event_type text, user_id text, session_id text, device text, location text, page text,
    product_id text, quantity int, total_amount numeric,
    ts timestamptz OPTIONS (field 'timestamp'),
    part int OPTIONS (metadata 'partition'), pos bigint OPTIONS (metadata 'offset'),
    arrived timestamptz OPTIONS (metadata 'timestamp'), source text OPTIONS (metadata 'topic'),
    value bytea OPTIONS (metadata 'value')
) SERVER generator OPTIONS (kind 'ecommerce', rate '1000', "limit" '20000', partitions '4', skew '10,1,1,0',
    seed '42', start '2024-02-28T23:59:50Z', disorder '30 seconds', late_fraction '0.01', late_by '1 hour',
    event_time 'ts', watermark_delay '30 seconds');

SELECT part, pos, event_type, user_id, ts, arrived, quantity, total_amount, source FROM events WHERE pos < 3 ORDER BY 1, 2;

-- the partitions are as long as their weights say, the offsets have no gap
SELECT part, count(*), min(pos), max(pos) FROM events GROUP BY part ORDER BY part;
SELECT * FROM weir.partitions('events');
SELECT part, count(*) FILTER (WHERE pos <> expected) AS gaps
FROM (SELECT part, pos, row_number() OVER (PARTITION BY part ORDER BY pos) - 1 AS expected FROM events) x
GROUP BY part ORDER BY part;

-- record timestamps follow the rate, event times the disorder
SELECT min(arrived), max(arrived), bool_and(ts <= arrived) AS never_ahead,
       count(*) FILTER (WHERE ts < arrived - interval '31 seconds') BETWEEN 120 AND 280 AS late_about_right,
       count(*) FILTER (WHERE ts < arrived - interval '31 seconds' AND ts > arrived - interval '1 hour') AS in_between
FROM events;
SELECT count(*) FILTER (WHERE NOT in_order) AS out_of_order
FROM (SELECT arrived >= lag(arrived, 1, '-infinity') OVER (PARTITION BY part ORDER BY pos) AS in_order FROM events) x;

-- the same again, whole or in part
CREATE TEMP TABLE first_time AS SELECT * FROM events;
SELECT count(*) FROM (SELECT * FROM events EXCEPT ALL SELECT * FROM first_time) x;
SELECT count(*) FROM (
    (SELECT * FROM first_time WHERE part = 1 AND pos >= 100 AND pos < 300)
    EXCEPT ALL SELECT * FROM events WHERE part = 1 AND pos >= 100 AND pos < 300) x;

-- shape of the fields
SELECT count(DISTINCT event_id), bool_and(event_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS uuid,
       bool_and(user_id ~ '^user_[0-9]{4}$') AS user_id, bool_and((event_type = 'purchase') = (total_amount IS NOT NULL)) AS amounts,
       bool_and(scale(total_amount) = 2) AS cents
FROM events;

-- conditions on partition and offset narrow what is read
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE part = 1 AND pos >= 10 AND 20 > pos;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE part IN (1, 2) AND event_type = 'login';
PREPARE slice(int, bigint) AS SELECT count(*), min(pos), max(pos) FROM events WHERE part = $1 AND pos > $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE slice(1, 1600);
EXECUTE slice(7, 0);
EXECUTE slice(1, NULL);
RESET plan_cache_mode;
SELECT count(*) FROM events WHERE pos < -9223372036854775808;
SELECT count(*) FROM events WHERE pos > 9223372036854775807;
SELECT count(*) FROM events WHERE part = 9;

-- rescans, LIMIT, cursors, self-joins
SELECT i, (SELECT count(*) FROM events WHERE part = i AND pos < 5) FROM generate_series(0, 4) i;
SELECT count(*) FROM (SELECT 1 FROM events LIMIT 5) x;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(*) FROM events a, events b WHERE a.part = 1 AND b.part = 1 AND a.pos < 20 AND b.pos < 20 AND a.pos = b.pos;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
BEGIN READ ONLY;
SELECT count(*) FROM events;
COMMIT;

-- the newest rows
SELECT part, pos FROM weir.tail(NULL::events, 3);
SELECT count(*) FROM (
    (SELECT part, pos FROM weir.tail(NULL::events, 500))
    EXCEPT ALL
    (SELECT part, pos FROM first_time ORDER BY arrived DESC, part, pos DESC LIMIT 500)) x;
SELECT count(*) FROM weir.tail(NULL::events, 0);
-- bad ones are left out, and that is said
CREATE FOREIGN TABLE poisoned (event_id uuid, ts timestamptz OPTIONS (field 'timestamp')) SERVER generator
OPTIONS (kind 'ecommerce', start '2024-01-01 00:00:00Z', "limit" '20', partitions '1', poison_fraction '1', event_time 'ts');
SELECT count(*) FROM weir.tail(NULL::poisoned, 5);
DROP FOREIGN TABLE poisoned;
SELECT * FROM weir.tail(NULL::pg_class, 1);
SELECT * FROM weir.tail(1, 1);
SELECT * FROM weir.tail(NULL::events, -1);
SELECT * FROM weir.partitions('pg_class');
SELECT * FROM weir.topics('generator');

-- any event types
CREATE FOREIGN TABLE types (event_type text, ts timestamptz OPTIONS (field 'timestamp')) SERVER generator
    OPTIONS (event_types 'sign up: 3, Käse:1,never:0', "limit" '4000', start '2024-01-01T00:00:00Z', event_time 'ts');
SELECT event_type, round(count(*), -2) FROM types GROUP BY 1 ORDER BY 2;

-- a stream that is being written ends all the same
CREATE FOREIGN TABLE live (ts timestamptz OPTIONS (field 'timestamp')) SERVER generator
    OPTIONS (rate '100000', start '-1 second', event_time 'ts');
SELECT count(*) >= 100000 AS ended, max(ts) <= clock_timestamp() AS not_ahead FROM live;

DROP FOREIGN TABLE events, types, live;
