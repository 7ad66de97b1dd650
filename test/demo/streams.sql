-- The stream "events" of the demo.  Variables: topic and bootstrap, which is
-- empty without Kafka.
--
-- Events are up to 4 minutes out of order, 1 in 200 is late and 1 in 1000 is
-- no event at all.  With Kafka a producer sends them to the topic and goes on.

CREATE EXTENSION pg_weir;

SELECT :'bootstrap' <> '' AS kafka,
       CASE WHEN :'bootstrap' <> '' THEN 'shop' ELSE 'events' END AS generated \gset

CREATE FOREIGN TABLE :generated (
    event_id text, event_type text, user_id text, device text, location text,
    total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'),
    "partition" int OPTIONS (metadata 'partition'),
    "offset" bigint OPTIONS (metadata 'offset'),
    recorded_at timestamptz OPTIONS (metadata 'timestamp')
) SERVER generator OPTIONS (
    kind 'ecommerce', rate '200', start '-15 minutes', disorder '4 minutes',
    late_fraction '0.005', late_by '12 minutes', poison_fraction '0.001',
    event_time 'ts', watermark_delay '5 minutes');

\if :kafka
CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
    OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE events (
    event_id text, event_type text, user_id text, device text, location text,
    total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'),
    "partition" int OPTIONS (metadata 'partition'),
    "offset" bigint OPTIONS (metadata 'offset'),
    recorded_at timestamptz OPTIONS (metadata 'timestamp')
) SERVER kafka OPTIONS (
    topic :'topic', event_time 'ts', watermark_delay '5 minutes');
SELECT weir.start_producer('shop', 'shop', 'events');
\endif
