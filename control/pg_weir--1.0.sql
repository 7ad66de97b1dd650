/* control/pg_weir--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_weir" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA weir;
COMMENT ON SCHEMA weir IS 'pg_weir: functions, catalog and statistics';
GRANT USAGE ON SCHEMA weir TO PUBLIC;

CREATE FUNCTION weir._require_preload() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_require_preload';
REVOKE ALL ON FUNCTION weir._require_preload() FROM PUBLIC;
COMMENT ON FUNCTION weir._require_preload() IS 'raise an error with the line to add unless the library is preloaded';
SELECT weir._require_preload();

CREATE SCHEMA weir_data;
COMMENT ON SCHEMA weir_data IS 'pg_weir: relations behind the continuous views';
GRANT USAGE ON SCHEMA weir_data TO PUBLIC;

--
-- Catalog
--

CREATE TABLE weir.view (
    view regclass PRIMARY KEY,
    stream regclass NOT NULL,
    query regclass NOT NULL,
    closed regclass NOT NULL UNIQUE,
    segments regclass[] NOT NULL,
    start text NOT NULL,
    emit text NOT NULL CHECK (emit IN ('changes', 'final')),
    lateness interval NOT NULL,
    on_late text NOT NULL CHECK (on_late IN ('store', 'count')),
    retention interval,
    settings text[] NOT NULL,
    status text NOT NULL,
    error text,
    sqlstate text,
    error_at timestamptz
);
COMMENT ON TABLE weir.view IS 'continuous views, their relations, options and status';
-- An error may quote what was in messages: weir.stat_view shows it to owners.
GRANT SELECT (view, stream, query, closed, segments, start, emit, lateness, on_late, retention, settings, status, sqlstate, error_at) ON weir.view TO PUBLIC;
GRANT SELECT ON weir.view TO pg_read_all_stats;

-- Padded, so that any read of a page prunes it: see window/segment.c.
CREATE TABLE weir.view_state (
    closed regclass PRIMARY KEY,
    closed_to timestamptz NOT NULL,
    closed_before timestamptz NOT NULL,
    live int[] NOT NULL,
    groups bigint NOT NULL,
    pad character(800) NOT NULL DEFAULT ''
) WITH (fillfactor = 10);
ALTER TABLE weir.view_state ALTER COLUMN pad SET STORAGE PLAIN;
COMMENT ON TABLE weir.view_state IS 'state row of each continuous view: which windows are closed, which segments are live';
GRANT SELECT ON weir.view_state TO PUBLIC;

CREATE TABLE weir.checkpoint (
    view regclass NOT NULL,
    partition int NOT NULL,
    start bigint NOT NULL,
    next_offset bigint NOT NULL,
    max_event_time timestamptz,
    max_timestamp timestamptz,
    watermark timestamptz,
    anchor_offset bigint,
    anchor_timestamp timestamptz,
    anchor_crc bigint,
    epoch bigint NOT NULL,
    read bigint NOT NULL,
    aggregated bigint NOT NULL,
    filtered bigint NOT NULL,
    late bigint NOT NULL,
    dead_lettered bigint NOT NULL,
    skipped bigint NOT NULL,
    tombstones bigint NOT NULL,
    gaps bigint NOT NULL,
    partly_late bigint NOT NULL,
    late_closed bigint NOT NULL,
    PRIMARY KEY (view, partition)
) WITH (fillfactor = 20);
COMMENT ON TABLE weir.checkpoint IS 'position of each continuous view in each partition, with the counters of the law: read = aggregated + filtered + late + dead_lettered + skipped + tombstones; next_offset - start = read + gaps';
GRANT SELECT ON weir.checkpoint TO PUBLIC;

-- Never dumped: a restored or copied view stays paused until weir.resume().
CREATE TABLE weir.armed (
    view regclass PRIMARY KEY,
    system_identifier bigint NOT NULL,
    database oid NOT NULL
);
COMMENT ON TABLE weir.armed IS 'continuous views that may run, in this very database of this very cluster; never dumped';
GRANT SELECT ON weir.armed TO PUBLIC;

CREATE TABLE weir.dead_letter (
    view regclass NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    topic text NOT NULL,
    "timestamp" timestamptz,
    key bytea,
    value bytea,
    sqlstate text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view, partition, "offset")
);
COMMENT ON TABLE weir.dead_letter IS 'records that a continuous view could not use, with their bytes and the reason';

CREATE TABLE weir.late_event (
    view regclass NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    "timestamp" timestamptz,
    event_time timestamptz NOT NULL,
    late_bound timestamptz NOT NULL,
    key bytea,
    value bytea,
    PRIMARY KEY (view, partition, "offset")
);
COMMENT ON TABLE weir.late_event IS 'late and partly late records of each continuous view; late_bound is the greatest end of a window that was missed';

CREATE TABLE weir.exception (
    view regclass NOT NULL,
    partition int,
    "offset" bigint,
    kind text NOT NULL,
    "from" timestamptz,
    "to" timestamptz,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON weir.exception (view, partition, "offset");
COMMENT ON TABLE weir.exception IS 'clock-driven and manual moves of a watermark: the only ways in which rows may depend on timing';

CREATE TABLE weir.producer (
    name text PRIMARY KEY,
    owner regrole NOT NULL,
    source text NOT NULL,
    target regclass NOT NULL,
    rate double precision NOT NULL,
    settings text[] NOT NULL,
    enabled boolean NOT NULL,
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    produced bigint NOT NULL,
    error text
);
COMMENT ON TABLE weir.producer IS 'producers: which rows are sent to which stream, and how fast; one runs only in the very database that started it, so a restored or copied one is stopped';

CREATE FUNCTION weir._is_here(system_identifier bigint, database oid) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_is_here';
COMMENT ON FUNCTION weir._is_here(bigint, oid) IS 'is this the very database of the very cluster';

SELECT pg_extension_config_dump('weir.view', '');
SELECT pg_extension_config_dump('weir.view_state', '');
SELECT pg_extension_config_dump('weir.checkpoint', '');
SELECT pg_extension_config_dump('weir.dead_letter', '');
SELECT pg_extension_config_dump('weir.late_event', '');
SELECT pg_extension_config_dump('weir.exception', '');
SELECT pg_extension_config_dump('weir.producer', '');

-- Rows that hold what was in messages belong to the view's owner.
CREATE FUNCTION weir.owns(relation regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = relation AND pg_catalog.pg_has_role(c.relowner, 'USAGE')) $$;
COMMENT ON FUNCTION weir.owns(regclass) IS 'does the current user own the relation, directly or by membership';

ALTER TABLE weir.dead_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.dead_letter USING (weir.owns(view));
GRANT SELECT, DELETE ON weir.dead_letter TO PUBLIC;
ALTER TABLE weir.late_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.late_event USING (weir.owns(view));
GRANT SELECT, DELETE ON weir.late_event TO PUBLIC;
ALTER TABLE weir.exception ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.exception FOR SELECT USING (weir.owns(view) OR pg_has_role('pg_monitor', 'USAGE'));
GRANT SELECT ON weir.exception TO PUBLIC;
ALTER TABLE weir.producer ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.producer FOR SELECT USING (pg_has_role(owner::oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE'));
GRANT SELECT ON weir.producer TO PUBLIC;

--
-- Streams: foreign data wrappers (commands/fdw.c)
--

CREATE FUNCTION weir.kafka_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_kafka_handler';
COMMENT ON FUNCTION weir.kafka_handler() IS 'handler of foreign data wrapper weir_kafka';
CREATE FUNCTION weir.kafka_validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_kafka_validator';
COMMENT ON FUNCTION weir.kafka_validator(text[], oid) IS 'validator of foreign data wrapper weir_kafka';
CREATE FOREIGN DATA WRAPPER weir_kafka HANDLER weir.kafka_handler VALIDATOR weir.kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER weir_kafka IS 'topics of Kafka as streams';

CREATE FUNCTION weir.generator_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_generator_handler';
COMMENT ON FUNCTION weir.generator_handler() IS 'handler of foreign data wrapper weir_generator';
CREATE FUNCTION weir.generator_validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_generator_validator';
COMMENT ON FUNCTION weir.generator_validator(text[], oid) IS 'validator of foreign data wrapper weir_generator';
CREATE FOREIGN DATA WRAPPER weir_generator HANDLER weir.generator_handler VALIDATOR weir.generator_validator;
COMMENT ON FOREIGN DATA WRAPPER weir_generator IS 'synthetic streams that need no broker';

CREATE SERVER generator FOREIGN DATA WRAPPER weir_generator;
COMMENT ON SERVER generator IS 'synthetic streams: CREATE FOREIGN TABLE ... SERVER generator OPTIONS (kind ''ecommerce'')';
GRANT USAGE ON FOREIGN SERVER generator TO PUBLIC;

CREATE FUNCTION weir.topics(server name, OUT topic text, OUT partitions int) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'weir_topics';
COMMENT ON FUNCTION weir.topics(name) IS 'topics of a Kafka server, as the current user sees them';

CREATE FUNCTION weir.partitions(stream regclass, OUT partition int, OUT low bigint, OUT high bigint, OUT stable bigint) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'weir_partitions';
COMMENT ON FUNCTION weir.partitions(regclass) IS 'partitions of a stream: first offset, next offset, and the end that readers may see';

CREATE FUNCTION weir.tail(stream anyelement, n int DEFAULT 10) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'weir_tail';
COMMENT ON FUNCTION weir.tail(anyelement, int) IS 'newest rows of a stream: weir.tail(NULL::events, 5)';

--
-- Windows (window/functions.c)
--

CREATE FUNCTION weir._tumble_start(ts timestamptz, size interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_tumble_start';
CREATE FUNCTION weir._tumble_end(ts timestamptz, size interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_tumble_end';
CREATE FUNCTION weir._hop_start(ts timestamptz, nth int, size interval, slide interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_hop_start';
CREATE FUNCTION weir._hop_end(ts timestamptz, nth int, size interval, slide interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_hop_end';
CREATE FUNCTION weir._hop_count(size interval, slide interval, timezone text, origin timestamp) RETURNS int
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_hop_count';
CREATE FUNCTION weir._hop_even(size interval, slide interval, timezone text, origin timestamp) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_hop_even';

-- Made so that PostgreSQL inlines them: no SET, not strict, immutable.
CREATE FUNCTION weir.tumble(ts timestamptz, size interval, timezone text DEFAULT 'UTC', origin timestamp DEFAULT NULL)
    RETURNS TABLE (window_start timestamptz, window_end timestamptz)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
    BEGIN ATOMIC
        SELECT weir._tumble_start(ts, size, timezone, origin), weir._tumble_end(ts, size, timezone, origin)
        WHERE ts IS NOT NULL;
    END;
COMMENT ON FUNCTION weir.tumble(timestamptz, interval, text, timestamp) IS 'the window of one size, side by side with the others, that a time is in; none for NULL';

-- The windows of a time are numbered from the newest; the oldest may miss it
-- only if size is no multiple of slide.
CREATE FUNCTION weir.hop(ts timestamptz, size interval, slide interval, timezone text DEFAULT 'UTC', origin timestamp DEFAULT NULL)
    RETURNS TABLE (window_start timestamptz, window_end timestamptz)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
    BEGIN ATOMIC
        SELECT weir._hop_start(ts, nth, size, slide, timezone, origin), weir._hop_end(ts, nth, size, slide, timezone, origin)
        FROM generate_series(0, weir._hop_count(size, slide, timezone, origin) - 1) AS nth
        WHERE ts IS NOT NULL
          AND (weir._hop_even(size, slide, timezone, origin)
               OR weir._hop_end(ts, nth, size, slide, timezone, origin) > ts);
    END;
COMMENT ON FUNCTION weir.hop(timestamptz, interval, interval, text, timestamp) IS 'the overlapping windows of one size, one every slide, that a time is in; none for NULL';

CREATE FUNCTION weir._cumulate_start(ts timestamptz, size interval, step interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_cumulate_start';
CREATE FUNCTION weir._cumulate_end(ts timestamptz, nth int, size interval, step interval, timezone text, origin timestamp) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_cumulate_end';
CREATE FUNCTION weir._cumulate_count(ts timestamptz, size interval, step interval, timezone text, origin timestamp) RETURNS int
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_cumulate_count';
CREATE FUNCTION weir._cumulate_distinct(size interval, step interval, timezone text, origin timestamp) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_cumulate_distinct';

-- The windows of a time are numbered from the first to end; two are the same
-- only where a zone skipped a whole day.
CREATE FUNCTION weir.cumulate(ts timestamptz, size interval, step interval, timezone text DEFAULT 'UTC', origin timestamp DEFAULT NULL)
    RETURNS TABLE (window_start timestamptz, window_end timestamptz)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
    BEGIN ATOMIC
        SELECT weir._cumulate_start(ts, size, step, timezone, origin), weir._cumulate_end(ts, nth, size, step, timezone, origin)
        FROM generate_series(0, weir._cumulate_count(ts, size, step, timezone, origin) - 1) AS nth
        WHERE ts IS NOT NULL
          AND (weir._cumulate_distinct(size, step, timezone, origin) OR nth = 0
               OR weir._cumulate_end(ts, nth, size, step, timezone, origin) > weir._cumulate_end(ts, nth - 1, size, step, timezone, origin));
    END;
COMMENT ON FUNCTION weir.cumulate(timestamptz, interval, interval, text, timestamp) IS 'the windows of a growing length, from the start of a period of one size to each step in it, that a time is in; none for NULL';

CREATE FUNCTION weir._session_takes(session_end timestamptz, ts timestamptz, gap interval, max_length interval) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_session_takes';
COMMENT ON FUNCTION weir._session_takes(timestamptz, timestamptz, interval, interval) IS 'does a record belong to a session that begins by then and ends at session_end';

CREATE FUNCTION weir.session(ts timestamptz, gap interval, max_length interval DEFAULT '24 hours')
    RETURNS TABLE (window_start timestamptz, window_end timestamptz)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'weir_session';
COMMENT ON FUNCTION weir.session(timestamptz, interval, interval) IS 'in the query of a continuous view: the session of its key that a time is in, from the first record to gap after the last, cut at multiples of max_length';

--
-- Continuous views (commands/ddl.c, commands/definition.c, window/merge.c)
--

CREATE FUNCTION weir.create_view(name text, query text, start text DEFAULT 'earliest', emit text DEFAULT 'changes',
                                 lateness interval DEFAULT '0', on_late text DEFAULT 'store',
                                 retention interval DEFAULT NULL, with_data boolean DEFAULT true) RETURNS regclass
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'weir_create_view';
COMMENT ON FUNCTION weir.create_view(text, text, text, text, interval, text, interval, boolean)
    IS 'create a continuous view, as CREATE MATERIALIZED VIEW ... WITH (weir.continuous) does';

CREATE FUNCTION weir.definition(view regclass) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'weir_definition';
COMMENT ON FUNCTION weir.definition(regclass) IS 'the statement that creates a continuous view again';

CREATE FUNCTION weir.closed(view regclass) RETURNS regclass
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'weir_closed';
COMMENT ON FUNCTION weir.closed(regclass) IS 'the table of a continuous view''s closed windows, for indexes, triggers, foreign keys and publications';

CREATE FUNCTION weir._merge_sql(view regclass, merge text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'weir_merge_sql';
COMMENT ON FUNCTION weir._merge_sql(regclass, text) IS 'the statement by which a continuous view is read (live), closed (close) or compacted (compact)';

-- Not strict: it must meet NULL to raise.
CREATE FUNCTION weir.need(live int[]) RETURNS int[]
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'weir_need';
COMMENT ON FUNCTION weir.need(int[]) IS 'the live segments of a continuous view; raises if its state row is missing';

--
-- What an operator types (commands/operate.c, why.c)
--

CREATE FUNCTION weir.wait(view regclass, timeout interval DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_wait';
COMMENT ON FUNCTION weir.wait(regclass, interval) IS 'wait until the view has read what is in its stream now, and closed what that allows';

CREATE FUNCTION weir.pause(view regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_pause';
COMMENT ON FUNCTION weir.pause(regclass) IS 'read nothing more for the view, until weir.resume()';

CREATE FUNCTION weir.resume(view regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_resume';
COMMENT ON FUNCTION weir.resume(regclass) IS 'let a paused, failed or restored view run, from its checkpoint';

CREATE FUNCTION weir.advance(view regclass, "to" timestamptz) RETURNS timestamptz
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_advance';
COMMENT ON FUNCTION weir.advance(regclass, timestamptz) IS 'close by hand the windows that end by then, and record it in weir.exception; gives the closed_to that the view''s reader brings about after the commit';

-- In SQL, so that they see what the query around them sees.
CREATE FUNCTION weir.watermark(view regclass) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT max(c.watermark) FROM weir.checkpoint c WHERE c.view = watermark.view;
END;
COMMENT ON FUNCTION weir.watermark(regclass) IS 'the watermark of the view as of its last checkpoint; NULL before there is one';

CREATE FUNCTION weir.closed_to(view regclass) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT s.closed_to FROM weir.view v JOIN weir.view_state s ON s.closed = v.closed WHERE v.view = closed_to.view;
END;
COMMENT ON FUNCTION weir.closed_to(regclass) IS 'windows with window_end <= this are closed: their rows are final; NULL if it is no continuous view';

CREATE FUNCTION weir.why(view regclass) RETURNS SETOF text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'weir_why';
COMMENT ON FUNCTION weir.why(regclass) IS 'why is there no output: what the view is doing, what it waits for, and what to type';

--
-- Statistics (worker/stats.c).  Counters, positions and status are in tables;
-- who runs, rates, times and histograms are in shared memory; a broker is
-- never asked.  Errors may quote what was in messages: they are shown to
-- owners and to members of pg_read_all_stats, which pg_monitor is.
--

CREATE FUNCTION weir._may_read_errors(relation regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR weir.owns(relation) $$;
COMMENT ON FUNCTION weir._may_read_errors(regclass) IS 'may the current user see errors of this relation, which may quote messages';

CREATE FUNCTION weir._stat_worker(OUT pid int, OUT kind text, OUT database oid, OUT object oid, OUT name text,
        OUT started timestamptz, OUT main boolean, OUT records bigint, OUT batches bigint,
        OUT cpu_seconds double precision, OUT rss_bytes bigint, OUT error text, OUT error_since timestamptz)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_stat_workers';
COMMENT ON FUNCTION weir._stat_worker() IS 'workers as shared memory knows them; no rows if the library is not preloaded';

CREATE FUNCTION weir._stat_view(OUT view oid, OUT pid int, OUT main boolean, OUT rate double precision,
        OUT last_commit timestamptz, OUT commit_ms double precision, OUT retry_at timestamptz,
        OUT catch_up_since timestamptz, OUT catch_up_from bigint, OUT catch_up_end bigint, OUT stats_reset timestamptz)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_stat_views';
COMMENT ON FUNCTION weir._stat_view() IS 'who serves each view of this database, and how fast, as shared memory knows it';

CREATE FUNCTION weir._stat_latency(OUT view oid,
        OUT commit_seconds double precision[], OUT commit_seconds_bucket bigint[],
        OUT commit_seconds_sum double precision, OUT commit_seconds_count bigint,
        OUT event_seconds double precision[], OUT event_seconds_bucket bigint[],
        OUT event_seconds_sum double precision, OUT event_seconds_count bigint, OUT stats_reset timestamptz)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_stat_latencies';
COMMENT ON FUNCTION weir._stat_latency() IS 'histograms of the views of this database, as shared memory knows them';

CREATE FUNCTION weir._stat_partition(OUT stream oid, OUT partition int, OUT low bigint, OUT high bigint, OUT stable bigint, OUT asked_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_stat_partitions';
COMMENT ON FUNCTION weir._stat_partition() IS 'ends of partitions as the readers last learned them; no query to a broker';

CREATE FUNCTION weir._stream_times(stream oid, OUT watermark_delay interval, OUT idle_timeout interval)
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_stream_times_sql';
COMMENT ON FUNCTION weir._stream_times(oid) IS 'two options of a stream; an idle_timeout of NULL is infinity';

CREATE FUNCTION weir._seconds_ago(t timestamptz) RETURNS double precision
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN greatest(extract(epoch FROM statement_timestamp() - t)::double precision, 0);
COMMENT ON FUNCTION weir._seconds_ago(timestamptz) IS 'seconds between a time and the start of the statement, not below 0';

CREATE VIEW weir.stat_worker AS
SELECT w.pid, w.kind, d.datname AS database,
       CASE WHEN d.datname = current_database() THEN w.object::regclass::text ELSE w.object::text END AS stream,
       w.name AS producer, w.started, w.main, w.records, w.batches, w.cpu_seconds, w.rss_bytes, w.error
FROM   weir._stat_worker() w LEFT JOIN pg_database d ON d.oid = w.database;
COMMENT ON VIEW weir.stat_worker IS 'one row a worker: what it serves, what it has done since it started, CPU time and memory as of when it last worked';
GRANT SELECT ON weir.stat_worker TO PUBLIC;

-- Idle and who holds the watermark are judged as the readers do, by the ends
-- that they learned last.
CREATE VIEW weir.stat_partition AS
SELECT p.view, p.stream, p.partition, p.start, p.next_offset, p.end_offset, p.lag,
       CASE WHEN p.lag = 0 THEN 0 WHEN p.lag > 0 THEN weir._seconds_ago(p.max_timestamp) END AS lag_seconds,
       p.max_event_time, p.watermark, weir._seconds_ago(p.watermark) AS watermark_age_seconds,
       NOT p.idle AND row_number() OVER (PARTITION BY p.view ORDER BY p.idle, p.max_event_time NULLS FIRST, p.partition) = 1 AS holds_watermark,
       p.idle, p.read, p.aggregated, p.filtered, p.late, p.late_closed, p.partly_late,
       p.dead_lettered, p.skipped, p.tombstones, p.gaps, p.asked_at
FROM   (SELECT c.*, v.stream, CASE WHEN e.high IS NOT NULL THEN greatest(e.high, c.next_offset) END AS end_offset, e.asked_at,
               CASE WHEN e.high IS NOT NULL THEN greatest(e.high - c.next_offset, 0) END AS lag,
               coalesce(c.next_offset >= e.high
                        AND max(c.max_timestamp) OVER (PARTITION BY c.view) - c.max_timestamp >= v.idle_timeout, false) AS idle,
               c.max_event_time - v.watermark_delay AS watermark
        FROM   (SELECT c.view, c.partition, c.start, c.next_offset, c.max_event_time, c.max_timestamp,
                       c.read, c.aggregated, c.filtered, c.late, c.late_closed, c.partly_late,
                       c.dead_lettered, c.skipped, c.tombstones, c.gaps
                FROM weir.checkpoint c) c
               JOIN (SELECT v.view, v.stream, t.watermark_delay, t.idle_timeout
                     FROM weir.view v JOIN pg_class r ON r.oid = v.view, weir._stream_times(v.stream) t) v ON v.view = c.view
               LEFT JOIN weir._stat_partition() e ON e.stream = v.stream AND e.partition = c.partition) p;
COMMENT ON VIEW weir.stat_partition IS 'one row a view and partition: position, lag, event time, and the counters of the law; the end is as of asked_at';
GRANT SELECT ON weir.stat_partition TO PUBLIC;

CREATE VIEW weir.stat_view AS
SELECT v.view, v.stream,
       CASE WHEN a.view IS NULL THEN 'paused' ELSE v.status END AS status,
       s.pid, s.main, coalesce(round(s.rate::numeric, 1), 0)::double precision AS events_per_second,
       p.lag, p.lag_seconds, w.watermark, weir._seconds_ago(w.watermark) AS watermark_age_seconds,
       t.closed_to, s.last_commit, round(s.commit_ms::numeric, 1)::double precision AS commit_ms,
       coalesce(p.read, 0) AS read, coalesce(p.aggregated, 0) AS aggregated, coalesce(p.filtered, 0) AS filtered,
       coalesce(p.late, 0) AS late, coalesce(p.late_closed, 0) AS late_closed, coalesce(p.partly_late, 0) AS partly_late,
       coalesce(p.dead_lettered, 0) AS dead_lettered, coalesce(p.skipped, 0) AS skipped, coalesce(p.tombstones, 0) AS tombstones,
       coalesce(p.dead_lettered + p.skipped, 0) AS bad, coalesce(x.exceptions, 0) AS exceptions,
       CASE WHEN weir._may_read_errors(v.view) THEN coalesce(v.error, r.error) END AS error,
       v.sqlstate, coalesce(v.error_at, r.error_since) AS error_at, s.retry_at
FROM   weir.view v
       JOIN pg_class c ON c.oid = v.view
       LEFT JOIN weir.armed a ON a.view = v.view AND weir._is_here(a.system_identifier, a.database)
       LEFT JOIN weir.view_state t ON t.closed = v.closed
       LEFT JOIN weir._stat_view() s ON s.view = v.view
       LEFT JOIN weir._stat_worker() r ON r.pid = s.pid
       LEFT JOIN (SELECT y.view, max(y.watermark) AS watermark FROM weir.checkpoint y GROUP BY y.view) w ON w.view = v.view
       LEFT JOIN (SELECT y.view, count(*) AS exceptions FROM weir.exception y GROUP BY y.view) x ON x.view = v.view
       LEFT JOIN (SELECT y.view,
                         CASE WHEN bool_and(y.lag IS NOT NULL) THEN sum(y.lag)::bigint END AS lag,
                         CASE WHEN bool_and(y.lag_seconds IS NOT NULL) THEN max(y.lag_seconds) END AS lag_seconds,
                         sum(y.read)::bigint AS read, sum(y.aggregated)::bigint AS aggregated, sum(y.filtered)::bigint AS filtered,
                         sum(y.late)::bigint AS late, sum(y.late_closed)::bigint AS late_closed, sum(y.partly_late)::bigint AS partly_late,
                         sum(y.dead_lettered)::bigint AS dead_lettered, sum(y.skipped)::bigint AS skipped, sum(y.tombstones)::bigint AS tombstones
                  FROM weir.stat_partition y GROUP BY y.view) p ON p.view = v.view;
COMMENT ON VIEW weir.stat_view IS 'one row a continuous view: status, reader, rate, lag, watermark, counters, and the last error';
GRANT SELECT ON weir.stat_view TO PUBLIC;

CREATE VIEW weir.overview AS
SELECT v.view, v.status, v.events_per_second, v.lag, round(v.lag_seconds::numeric, 1)::double precision AS lag_seconds,
       date_trunc('second', make_interval(secs => v.watermark_age_seconds)) AS watermark_age, v.late, v.bad, v.error
FROM   weir.stat_view v
ORDER  BY v.view::text;
COMMENT ON VIEW weir.overview IS 'one line a continuous view, for people: SELECT * FROM weir.overview \watch 1';
GRANT SELECT ON weir.overview TO PUBLIC;

CREATE VIEW weir.stat_latency AS
SELECT v.view, l.commit_seconds, l.commit_seconds_bucket, l.commit_seconds_sum, l.commit_seconds_count,
       l.event_seconds, l.event_seconds_bucket, l.event_seconds_sum, l.event_seconds_count, l.stats_reset
FROM   weir.view v
       JOIN pg_class c ON c.oid = v.view
       JOIN weir._stat_latency() l ON l.view = v.view;
COMMENT ON VIEW weir.stat_latency IS 'one row a continuous view: histograms of the times that batches took to be applied and committed, and of the times from a record''s timestamp to its commit; bounds, cumulative counts, sum, count, since stats_reset';
GRANT SELECT ON weir.stat_latency TO PUBLIC;

-- The pace is that of offsets applied since it began, less that of offsets
-- that came in the meantime.
CREATE VIEW weir.stat_progress_catch_up AS
SELECT s.pid, current_database() AS datname, v.view,
       CASE WHEN w.error IS NOT NULL THEN 'waiting' WHEN p.position = s.catch_up_from THEN 'starting' ELSE 'reading' END AS phase,
       greatest(p.ends, p.position) - s.catch_up_from AS offsets_total, p.position - s.catch_up_from AS offsets_done,
       round(s.rate::numeric, 1)::double precision AS events_per_second,
       CASE WHEN (p.position - s.catch_up_from) > (p.ends - s.catch_up_end) AND p.position > s.catch_up_from
            THEN make_interval(secs => ceil(weir._seconds_ago(s.catch_up_since) * greatest(p.ends - p.position, 0)
                                                            / ((p.position - s.catch_up_from) - (p.ends - s.catch_up_end)))) END AS eta
FROM   weir._stat_view() s
       JOIN weir.view v ON v.view = s.view
       JOIN pg_class c ON c.oid = v.view
       LEFT JOIN weir._stat_worker() w ON w.pid = s.pid
       JOIN (SELECT y.view, sum(y.next_offset)::bigint AS position, sum(y.end_offset)::bigint AS ends
             FROM weir.stat_partition y GROUP BY y.view) p ON p.view = v.view
WHERE  s.catch_up_since IS NOT NULL AND s.pid IS NOT NULL;
COMMENT ON VIEW weir.stat_progress_catch_up IS 'one row for each continuous view that has begun more than a batch behind the end of its stream and has not got there yet';
GRANT SELECT ON weir.stat_progress_catch_up TO PUBLIC;

CREATE FUNCTION weir.stat_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_stat_reset';
REVOKE ALL ON FUNCTION weir.stat_reset() FROM PUBLIC;
COMMENT ON FUNCTION weir.stat_reset() IS 'let the rates, times and histograms of this database begin anew; the counters in weir.checkpoint stay';

--
-- Producers (commands/produce.c, worker/producer.c)
--

CREATE FUNCTION weir.start_producer(name text, source text, target regclass, rate double precision DEFAULT 0)
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_start_producer';
COMMENT ON FUNCTION weir.start_producer(text, text, regclass, double precision) IS 'send the rows of source, a query or a relation, to the stream target from now on, at most rate a second (0: as fast as it goes); a stopped producer goes on where it was';

CREATE FUNCTION weir.stop_producer(name text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'weir_stop_producer';
COMMENT ON FUNCTION weir.stop_producer(text) IS 'stop a producer; weir.start_producer with the same source and target goes on where it was';

CREATE FUNCTION weir._producer_activity(OUT name text, OUT pid int, OUT rate double precision)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_producer_activity';
COMMENT ON FUNCTION weir._producer_activity() IS 'producers of this database that run now, as shared memory knows them';

CREATE VIEW weir.stat_producer AS
SELECT p.name,
       CASE WHEN a.pid IS NOT NULL THEN 'running' WHEN NOT p.enabled OR NOT weir._is_here(p.system_identifier, p.database) THEN 'stopped'
            WHEN p.error IS NOT NULL THEN 'failed' ELSE 'starting' END AS state,
       p.produced, coalesce(a.rate, 0) AS rate, p.target, a.pid, p.error
FROM   weir.producer p LEFT JOIN weir._producer_activity() a ON a.name = p.name
WHERE  pg_has_role(p.owner::oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW weir.stat_producer IS 'one row a producer: what it has sent, how fast it is now, and why it failed last';
GRANT SELECT ON weir.stat_producer TO PUBLIC;

--
-- The launcher finds this database by its label (worker/launcher.c)
--

CREATE FUNCTION weir._label_database() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_label_this_database';
REVOKE ALL ON FUNCTION weir._label_database() FROM PUBLIC;
COMMENT ON FUNCTION weir._label_database() IS 'put the security label on this database by which the launcher finds it';
SELECT weir._label_database();
