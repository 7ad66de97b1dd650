-- The four continuous views of the demo, over the stream "events".

CREATE MATERIALIZED VIEW events_per_minute WITH (weir.continuous) AS
SELECT window_start, window_end, event_type,
       count(*) AS events, sum(total_amount) AS revenue
FROM   events, weir.tumble(ts, '1 minute')
GROUP  BY window_start, window_end, event_type;

CREATE MATERIALIZED VIEW revenue_10_minutes WITH (weir.continuous) AS
SELECT window_start, window_end, sum(total_amount) AS revenue,
       count(*) AS purchases, round(avg(total_amount), 2) AS average_purchase
FROM   events, weir.tumble(ts, '10 minutes')
WHERE  event_type = 'purchase'
GROUP  BY window_start, window_end;

CREATE MATERIALIZED VIEW user_activity WITH (weir.continuous) AS
SELECT window_start, window_end, user_id, count(*) AS events
FROM   events, weir.hop(ts, '5 minutes', '1 minute')
GROUP  BY window_start, window_end, user_id;

CREATE MATERIALIZED VIEW device_location WITH (weir.continuous) AS
SELECT window_start, window_end, device, location,
       count(*) AS events, sum(total_amount) AS revenue
FROM   events, weir.tumble(ts, '5 minutes')
GROUP  BY window_start, window_end, device, location;
