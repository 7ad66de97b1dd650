-- Are the rows of each continuous view of the shop those of its own query over
-- what Kafka's console consumer has read from the topic?
--
-- checking.dump has its lines; every view has read to the end.  A record counts
-- only in windows that it was not late for: those that end after the watermark
-- its own partition had before it, judged here from the dump alone.  Raises an
-- error unless both differences are empty, and the views are not; prints one
-- line a view.

SET TimeZone = 'UTC';
SET client_min_messages = warning;
SET search_path = checking, public;

CREATE TABLE event AS
SELECT "partition", "offset", least(ts, recorded) AS counts_as, d.event_id, d.event_type,
       d.user_id, d.device, d.location, d.total_amount, d.ts
FROM   (SELECT "partition", "offset", to_timestamp(recorded / 1000.0) AS recorded,
               doc->>'event_id' AS event_id, doc->>'event_type' AS event_type,
               doc->>'user_id' AS user_id, doc->>'device' AS device,
               doc->>'location' AS location,
               (doc->>'total_amount')::numeric AS total_amount,
               (doc->>'timestamp')::timestamptz AS ts
        FROM   dump) d;

CREATE TABLE judged AS
SELECT *, max(counts_as) OVER (PARTITION BY "partition" ORDER BY "offset"
              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval '5 minutes' AS watermark
FROM   event;

-- The text of a view's query over the dump.  (A session's cannot be run by hand.)
CREATE FUNCTION batch(v weir.view) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(replace(query, 'FROM events,', 'FROM judged events,'), '\n  GROUP BY',
                          CASE WHEN query ~ '\n  WHERE ' THEN ' AND' ELSE ' WHERE' END ||
                          ' coalesce(window_end > watermark, true) GROUP BY')
    FROM   rtrim(pg_get_viewdef(v.query), ';') query
    WHERE  query !~ 'weir\.session'
$$;

CREATE TABLE result (view text, closed bigint, open bigint, missing bigint, extra bigint);
DO $$
DECLARE
    v weir.view;
BEGIN
    FOR v IN SELECT * FROM weir.view WHERE batch(view.*) IS NOT NULL LOOP
        EXECUTE format('CREATE TEMP TABLE batch AS %s', batch(v));
        EXECUTE format('INSERT INTO result
            SELECT %1$L, count(*) FILTER (WHERE closed), count(*) FILTER (WHERE NOT closed),
                   (SELECT count(*) FROM (SELECT * FROM batch EXCEPT ALL SELECT * FROM %1$s) m),
                   (SELECT count(*) FROM (SELECT * FROM %1$s EXCEPT ALL SELECT * FROM batch) e)
            FROM (SELECT window_end <= weir.closed_to(%1$L) AS closed FROM %1$s) w', v.view);
        DROP TABLE batch;
    END LOOP;
END
$$;

-- One of them without any function of pg_weir.
CREATE TABLE minute AS
SELECT date_bin('1 minute', ts, '2000-01-01Z') AS window_start,
       date_bin('1 minute', ts, '2000-01-01Z') + interval '1 minute' AS window_end,
       event_type, count(*) AS events, sum(total_amount) AS revenue
FROM   judged
WHERE  coalesce(date_bin('1 minute', ts, '2000-01-01Z') + interval '1 minute' > watermark, true)
GROUP  BY 1, 2, 3;
INSERT INTO result
SELECT 'events_per_minute by date_bin', count(*) FILTER (WHERE closed), count(*) FILTER (WHERE NOT closed),
       (SELECT count(*) FROM (SELECT * FROM minute EXCEPT ALL SELECT * FROM events_per_minute) m),
       (SELECT count(*) FROM (SELECT * FROM events_per_minute EXCEPT ALL SELECT * FROM minute) e)
FROM   (SELECT window_end <= weir.closed_to('events_per_minute') AS closed FROM events_per_minute) w;

SELECT format('%s: %s closed, %s open, %s missing, %s too many', view, closed, open, missing, extra)
FROM   result;
DO $$
BEGIN
    ASSERT (SELECT count(*) >= 5 FROM result), 'there are fewer views than expected';
    ASSERT (SELECT bool_and(closed > 0 AND open > 0) FROM result), 'a view has no rows';
    ASSERT (SELECT bool_and(missing = 0 AND extra = 0) FROM result), 'a view differs from its query';
    ASSERT (SELECT count(*) FROM judged) = (SELECT sum(next_offset - gaps) FROM weir.stat_partition
                                            WHERE view::text = 'events_per_minute'),
           'the views have not read what the consumer has';
    ASSERT NOT EXISTS (SELECT FROM weir.stat_partition
                       WHERE read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
                          OR next_offset - start <> read + gaps), 'the law does not hold';
    ASSERT NOT EXISTS (SELECT FROM weir.stat_partition WHERE late_closed > 0), 'late_closed is not 0';
END
$$;
