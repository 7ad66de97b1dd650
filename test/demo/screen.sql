-- One picture of the demo, as lines of text.  Variables: source (what the
-- first line says), closed and open (what bars are drawn with).

\pset format unaligned
\pset tuples_only on

SELECT format('pg_weir demo   %s UTC   %s', to_char(now(), 'HH24:MI:SS'), :'source');
SELECT '';

SELECT format('%-18s %-11s %8s %11s %6s %-9s %6s %4s', 'continuous view',
              'state', 'events/s', 'events/hour', 'lag', 'watermark', 'late', 'bad');
SELECT format('%-18s %-11s %8s %11s %6s %-9s %6s %4s', view,
              replace(status, '_', ' '), events_per_second,
              round(events_per_second * 3600), coalesce(lag::text, '?'),
              coalesce(to_char(watermark, 'HH24:MI:SS'), 'none yet'), coalesce(late, 0), coalesce(bad, 0))
FROM   weir.stat_view
ORDER  BY array_position('{events_per_minute,revenue_10_minutes,user_activity,device_location}',
                         view::text);
SELECT '';

SELECT 'newest windows, closed and open';
WITH line AS (
    SELECT 1 AS nth, 'events_per_minute'::regclass AS view, window_start, window_end,
           string_agg(event_type || ' ' || events, ', ' ORDER BY events DESC) AS says
    FROM events_per_minute GROUP BY 3, 4
  UNION ALL
    SELECT 2, 'revenue_10_minutes', window_start, window_end,
           format('revenue %s, %s purchases, average %s', revenue, purchases, average_purchase)
    FROM revenue_10_minutes
  UNION ALL
    SELECT 3, 'user_activity', window_start, window_end,
           format('%s users: %s, ...', count(*),
                  array_to_string((array_agg(user_id || ' ' || events ORDER BY events DESC, user_id))[:2], ', '))
    FROM user_activity GROUP BY 3, 4
  UNION ALL
    SELECT 4, 'device_location', window_start, window_end,
           format('%s, ...', array_to_string((array_agg(format('%s %s %s = %s', device, location, events, revenue)
                                                        ORDER BY events DESC, device, location))[:2], ', '))
    FROM device_location GROUP BY 3, 4
), newest AS (
    SELECT *, row_number() OVER (PARTITION BY nth, closed ORDER BY window_end DESC) AS age
    FROM   line, LATERAL (SELECT window_end <= weir.closed_to(view) AS closed) c
)
SELECT format('%-18s %s-%s %-6s %s', view, to_char(window_start, 'HH24:MI'),
              to_char(window_end, 'HH24:MI'),
              CASE WHEN closed THEN 'closed' ELSE 'open' END, says)
FROM   newest
WHERE  age = 1
ORDER  BY nth, window_end;
SELECT '';

SELECT format('events per minute   %s closed   %s open', :'closed', :'open');
WITH minute AS (
    SELECT window_start, window_end, sum(events) AS events
    FROM   events_per_minute
    GROUP  BY 1, 2
    ORDER  BY 1 DESC
    LIMIT  15
)
SELECT format('%s %7s %s', to_char(window_start, 'HH24:MI'), events,
              repeat(CASE WHEN window_end <= weir.closed_to('events_per_minute')
                          THEN :'closed' ELSE :'open' END,
                     ceil(64 * events / max(events) OVER ())::int))
FROM   minute
ORDER  BY window_start DESC;
