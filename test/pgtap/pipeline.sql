-- What a user's own pipeline test looks like: a generator stream, a view,
-- weir.wait, and the same query by hand.
CREATE SCHEMA shop;
CREATE FOREIGN TABLE shop.events (
    event_type text,
    user_id text,
    total_amount numeric,
    ts timestamptz OPTIONS (field 'timestamp')
) SERVER generator OPTIONS (
    kind 'ecommerce', rate '1000', "limit" '30000', start '2026-01-01 00:00:00+00', partitions '3',
    event_time 'ts', watermark_delay '5 seconds', disorder '4 seconds'
);
CREATE MATERIALIZED VIEW shop.per_minute WITH (weir.continuous) AS
SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue, avg(total_amount) AS average
FROM   shop.events, weir.tumble(ts, '1 minute')
GROUP  BY window_start, window_end, event_type;
SELECT weir.wait('shop.per_minute', '1 minute');

BEGIN;
SELECT plan(8);
SELECT has_view('shop', 'per_minute', 'a continuous view is a view');
SELECT columns_are('shop', 'per_minute', ARRAY['window_start', 'window_end', 'event_type', 'events', 'revenue', 'average']);
SELECT cmp_ok((SELECT count(*) FROM shop.per_minute), '>', 4::bigint, 'it has rows');
SELECT bag_eq(
    'SELECT * FROM shop.per_minute',
    $$SELECT window_start, window_end, event_type, count(*), sum(total_amount), avg(total_amount)
      FROM shop.events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, event_type$$,
    'its rows are those of the same query by hand');
SELECT cmp_ok((SELECT sum(events) FROM shop.per_minute), '=', 30000::numeric, 'every record is in it once');
SELECT cmp_ok(weir.closed_to('shop.per_minute'), '<=', weir.watermark('shop.per_minute'), 'no window is closed ahead of the watermark');
SELECT is((SELECT sum(late + dead_lettered)::int FROM weir.stat_partition WHERE view = 'shop.per_minute'::regclass), 0, 'no record was late or bad');
SELECT throws_ok('INSERT INTO shop.events (event_type) VALUES (''login'')', NULL, NULL, 'a generator cannot be written to');
SELECT * FROM finish();
COMMIT;
DROP SCHEMA shop CASCADE;
