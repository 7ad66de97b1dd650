-- The shop: a topic of its events, a producer that fills it, and the continuous
-- views that the containers, docs/tutorial.md and the dashboards in grafana/
-- are about.  To be run once, as a superuser, in an empty database:
--
--	psql -X -v ON_ERROR_STOP=1 -d shop -f docker/shop.sql
--
-- Variables: bootstrap_servers (kafka:19092; empty: no Kafka, the views read a
-- generator stream) and start (of the generated events: '-30 minutes', so that
-- there are closed windows at once).  The topic streaming-events must exist.
-- Run it again and it says that the stream is already there, and changes nothing.

\if :{?bootstrap_servers}
\else
	\set bootstrap_servers kafka:19092
\endif
\if :{?start}
\else
	\set start '-30 minutes'
\endif
SELECT :'bootstrap_servers' <> '' AS kafka,
       CASE WHEN :'bootstrap_servers' <> '' THEN 'shop' ELSE 'events' END AS generated \gset

BEGIN;

CREATE EXTENSION IF NOT EXISTS pg_weir;

-- 14 events a second from 2000 users, as they would come from a web shop: up to
-- 20 seconds out of order, and 1 in 500 late.
CREATE FOREIGN TABLE :generated (
    event_id text, event_type text, user_id text, device text, location text,
    total_amount numeric, ts timestamptz OPTIONS (field 'timestamp')
) SERVER generator OPTIONS (
    kind 'ecommerce', rate '14', start :'start', users '2000',
    disorder '20 seconds', late_fraction '0.002', late_by '10 minutes',
    event_time 'ts', watermark_delay '5 minutes');

\if :kafka
CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
    OPTIONS (bootstrap_servers :'bootstrap_servers');

CREATE FOREIGN TABLE events (
    event_id text, event_type text, user_id text, device text, location text,
    total_amount numeric, ts timestamptz OPTIONS (field 'timestamp')
) SERVER kafka OPTIONS (
    topic 'streaming-events', event_time 'ts', watermark_delay '5 minutes');

SELECT weir.start_producer('shop', 'shop', 'events');
\endif

-- Events per minute, by type.
CREATE MATERIALIZED VIEW events_per_minute WITH (weir.continuous) AS
SELECT window_start, window_end, event_type,
       count(*) AS events, sum(total_amount) AS revenue
FROM   events, weir.tumble(ts, '1 minute')
GROUP  BY window_start, window_end, event_type;

-- Revenue in windows of 10 minutes.
CREATE MATERIALIZED VIEW revenue WITH (weir.continuous) AS
SELECT window_start, window_end, sum(total_amount) AS revenue,
       count(*) AS purchases, round(avg(total_amount), 2) AS average_purchase
FROM   events, weir.tumble(ts, '10 minutes')
WHERE  event_type = 'purchase'
GROUP  BY window_start, window_end;

-- What each user did in the last 5 minutes, every minute.
CREATE MATERIALIZED VIEW user_activity WITH (weir.continuous) AS
SELECT window_start, window_end, user_id, count(*) AS events
FROM   events, weir.hop(ts, '5 minutes', '1 minute')
GROUP  BY window_start, window_end, user_id;

-- Where the events come from, and by which device.
CREATE MATERIALIZED VIEW devices_and_locations WITH (weir.continuous) AS
SELECT window_start, window_end, device, location,
       count(*) AS events, sum(total_amount) AS revenue
FROM   events, weir.tumble(ts, '5 minutes')
GROUP  BY window_start, window_end, device, location;

-- Visits: a user's events with no pause of 5 minutes between them.
CREATE MATERIALIZED VIEW user_sessions WITH (weir.continuous) AS
SELECT window_start, window_end, user_id, count(*) AS events,
       sum(total_amount) AS revenue
FROM   events, weir.session(ts, '5 minutes', '1 hour')
GROUP  BY window_start, window_end, user_id;

COMMIT;
