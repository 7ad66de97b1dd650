-- The last line of the demo: are the rows of each continuous view those of its
-- own query over the stream?  The query is run on the records that the view
-- has read, each counted only in the windows it was not late for.  That is
-- judged here from the records alone: a record is late for a window that ends
-- by the watermark its partition had before it.  No view may be running.

\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
SET TimeZone = 'UTC';

CREATE TEMP TABLE record AS
SELECT "partition", "offset",
       max(least(ts, recorded_at)) OVER (PARTITION BY "partition" ORDER BY "offset"
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval '5 minutes' AS watermark
FROM   events;
ANALYZE record;

-- The text of a view's query, with its stream and its windows cut down.
CREATE FUNCTION pg_temp.batch(v weir.view) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(replace(query, 'FROM events,', records), '\n  GROUP BY',
                          CASE WHEN query ~ '\n  WHERE ' THEN ' AND' ELSE ' WHERE' END ||
                          ' coalesce(window_end > watermark, true) GROUP BY')
    FROM   (SELECT rtrim(pg_get_viewdef(v.query), ';') AS query,
                   format('FROM (SELECT e.*, r.watermark
                                 FROM   events e JOIN record r USING ("partition", "offset")
                                        JOIN weir.checkpoint c ON c.partition = r.partition
                                 WHERE  c.view = %s AND r.offset >= c.start AND r.offset < c.next_offset) events,',
                          v.view::oid) AS records) t;
$$;

CREATE TEMP TABLE result (view regclass, closed bigint, open bigint, missing bigint, extra bigint);
DO $$
DECLARE
    v weir.view;
BEGIN
    FOR v IN SELECT * FROM weir.view LOOP
        EXECUTE format('CREATE TEMP TABLE batch AS %s', pg_temp.batch(v));
        EXECUTE format('INSERT INTO result
            SELECT %1$L, count(*) FILTER (WHERE closed), count(*) FILTER (WHERE NOT closed),
                   (SELECT count(*) FROM (SELECT * FROM batch EXCEPT ALL SELECT * FROM %1$s) m),
                   (SELECT count(*) FROM (SELECT * FROM %1$s EXCEPT ALL SELECT * FROM batch) e)
            FROM (SELECT window_end <= weir.closed_to(%1$L) AS closed FROM %1$s) w', v.view);
        DROP TABLE batch;
    END LOOP;
END
$$;

SELECT format('%s: %s rows of the batch query are missing, %s are not in it', view, missing, extra)
FROM   result
WHERE  missing > 0 OR extra > 0;
SELECT format('closed %s, open %s, late %s, equals batch: %s', sum(closed), sum(open),
              (SELECT sum(late) FROM weir.checkpoint),
              CASE WHEN bool_and(missing = 0 AND extra = 0) THEN 'yes' ELSE 'no' END)
FROM   result;
