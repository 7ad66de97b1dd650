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
    error_at timestamptz,
    status_since timestamptz NOT NULL,
    status_by text
);
COMMENT ON TABLE weir.view IS 'continuous views, their relations, options and status';
-- An error may quote what was in messages: weir.stat_view shows it to owners.
GRANT SELECT (view, stream, query, closed, segments, start, emit, lateness, on_late, retention, settings, status, sqlstate, error_at, status_since, status_by) ON weir.view TO PUBLIC;
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
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view, partition, "offset")
);
COMMENT ON TABLE weir.late_event IS 'late and partly late records of each continuous view, at most weir.max_late_events; late_bound is the greatest end of a window that was missed; weir.late_events() shows them as columns';

CREATE TABLE weir.exception (
    view regclass NOT NULL,
    partition int,
    "offset" bigint,
    kind text NOT NULL,
    "from" timestamptz,
    "to" timestamptz,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX exception_offset_idx ON weir.exception (view, partition, "offset");
COMMENT ON INDEX weir.exception_offset_idx IS 'has a partition been recorded as idle at this offset?';
COMMENT ON TABLE weir.exception IS 'clock-driven and manual moves of a watermark: the only ways in which rows may depend on timing';

-- What is not there any more must be told by whoever looks for it.
CREATE TABLE weir.trimmed (
    view regclass NOT NULL,
    what text NOT NULL CHECK (what IN ('closed rows', 'late events', 'dead letters', 'late events not stored')),
    rows bigint NOT NULL,
    up_to timestamptz NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (view, what)
) WITH (fillfactor = 50);
COMMENT ON TABLE weir.trimmed IS 'what maintenance removed of each continuous view so far, and late events beyond weir.max_late_events; windows that end by up_to are concerned, of dead letters those stored by it';
GRANT SELECT ON weir.trimmed TO PUBLIC;

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
SELECT pg_extension_config_dump('weir.trimmed', '');
SELECT pg_extension_config_dump('weir.producer', '');

-- Rows that hold what was in messages belong to the view's owner: asked once
-- for each view, not for each of a hundred thousand rows.
CREATE FUNCTION weir.owns(relation regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = relation AND pg_catalog.pg_has_role(c.relowner, 'USAGE')) $$;
COMMENT ON FUNCTION weir.owns(regclass) IS 'does the current user own the relation, directly or by membership';

ALTER TABLE weir.dead_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.dead_letter USING (view IN (SELECT v.view FROM weir.view v WHERE weir.owns(v.view)));
COMMENT ON POLICY owner ON weir.dead_letter IS 'owners of a view see its rows, and may delete them';
GRANT SELECT, DELETE ON weir.dead_letter TO PUBLIC;
ALTER TABLE weir.late_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.late_event USING (view IN (SELECT v.view FROM weir.view v WHERE weir.owns(v.view)));
COMMENT ON POLICY owner ON weir.late_event IS 'owners of a view see its rows, and may delete them';
GRANT SELECT, DELETE ON weir.late_event TO PUBLIC;
ALTER TABLE weir.exception ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.exception FOR SELECT
    USING (view IN (SELECT v.view FROM weir.view v WHERE weir.owns(v.view)) OR pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON POLICY owner ON weir.exception IS 'owners of a view see its rows, and so does pg_monitor';
GRANT SELECT ON weir.exception TO PUBLIC;
ALTER TABLE weir.producer ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON weir.producer FOR SELECT USING (pg_has_role(owner::oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON POLICY owner ON weir.producer IS 'owners of a producer see it, and so does pg_monitor';
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

-- Late records as rows of their stream (commands/late.c).

CREATE FUNCTION weir._row_stream(stream anyelement) RETURNS regclass
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'weir_row_stream';
COMMENT ON FUNCTION weir._row_stream(anyelement) IS 'the stream whose row the argument is; raises for any other';

CREATE FUNCTION weir.decode(stream anyelement, late weir.late_event) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_decode_late';
COMMENT ON FUNCTION weir.decode(anyelement, weir.late_event)
    IS 'a late record as a row of its stream: SELECT l.partition, l."offset", l.late_bound, e.* FROM weir.late_event l, weir.decode(NULL::events, l) e WHERE l.view = ''v''::regclass';

CREATE FUNCTION weir.late_events(stream anyelement, view regclass DEFAULT NULL) RETURNS SETOF anyelement
    LANGUAGE sql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT weir._row_stream($1);
        SELECT weir.decode($1, d.late)
        FROM (SELECT DISTINCT ON (e.partition, e."offset") e AS late
              FROM weir.late_event e JOIN weir.view v ON v.view = e.view
              WHERE v.stream = weir._row_stream($1) AND ($2 IS NULL OR e.view = $2)
              ORDER BY e.partition, e."offset") AS d;
    $$;
COMMENT ON FUNCTION weir.late_events(anyelement, regclass)
    IS 'stored late records as rows of their stream, those of one view or of all: SELECT * FROM weir.late_events(NULL::events)';

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

COMMENT ON FUNCTION weir._tumble_start(timestamptz, interval, text, timestamp) IS 'start of the window of weir.tumble that a time is in';
COMMENT ON FUNCTION weir._tumble_end(timestamptz, interval, text, timestamp) IS 'its end';
COMMENT ON FUNCTION weir._hop_start(timestamptz, int, interval, interval, text, timestamp) IS 'start of the nth newest window of weir.hop that has begun by a time';
COMMENT ON FUNCTION weir._hop_end(timestamptz, int, interval, interval, text, timestamp) IS 'its end, which that time may have passed';
COMMENT ON FUNCTION weir._hop_count(interval, interval, text, timestamp) IS 'how many windows of weir.hop a time is in at most';
COMMENT ON FUNCTION weir._hop_even(interval, interval, text, timestamp) IS 'is a time in exactly so many';

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

COMMENT ON FUNCTION weir._cumulate_start(timestamptz, interval, interval, text, timestamp) IS 'start of the windows of weir.cumulate that a time is in';
COMMENT ON FUNCTION weir._cumulate_end(timestamptz, int, interval, interval, text, timestamp) IS 'end of the nth of them, the shortest first';
COMMENT ON FUNCTION weir._cumulate_count(timestamptz, interval, interval, text, timestamp) IS 'how many they are';
COMMENT ON FUNCTION weir._cumulate_distinct(interval, interval, text, timestamp) IS 'do they always end at different times';

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
COMMENT ON FUNCTION weir.resume(regclass) IS 'let a paused, failed or restored view run, or one that a bad record stopped, from its checkpoint';

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
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'weir_closed_to';
COMMENT ON FUNCTION weir.closed_to(regclass) IS 'windows with window_end <= this are closed: their rows are final; NULL if it is no continuous view';

CREATE FUNCTION weir.why(view regclass) RETURNS SETOF text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'weir_why';
COMMENT ON FUNCTION weir.why(regclass) IS 'why is there no output: what the view is doing, what it waits for, and what to type';

--
-- Maintenance (commands/maintain.c, schedule.c)
--

CREATE FUNCTION weir.maintain(dead_letter_age interval DEFAULT '30 days', late_event_age interval DEFAULT '30 days',
                              job_run_age interval DEFAULT '7 days', max_rows bigint DEFAULT 10000000,
                              OUT what text, OUT view regclass, OUT rows bigint, OUT up_to timestamptz, OUT error text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'weir_maintain';
COMMENT ON FUNCTION weir.maintain(interval, interval, interval, bigint)
    IS 'trim what is too old: closed rows past weir.retention, dead letters, late events, pg_cron''s job runs; returns what went, and what could not';

CREATE FUNCTION weir.schedule_maintenance(schedule text DEFAULT '17 3 * * *', command text DEFAULT 'SELECT * FROM weir.maintain()')
    RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_schedule_maintenance';
COMMENT ON FUNCTION weir.schedule_maintenance(text, text)
    IS 'let pg_cron run weir.maintain() as the current user: minute, hour, day, month, weekday; called again it changes the job';

CREATE FUNCTION weir.unschedule_maintenance() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'weir_unschedule_maintenance';
COMMENT ON FUNCTION weir.unschedule_maintenance() IS 'let pg_cron no longer run weir.maintain() for the current user; false if it did not';

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

CREATE FUNCTION weir._producer_activity(OUT name text, OUT pid int, OUT rate double precision, OUT error text)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_producer_activity';
COMMENT ON FUNCTION weir._producer_activity() IS 'producers of this database that run now and that the user may see, as shared memory knows them';

CREATE VIEW weir.stat_producer AS
SELECT p.name,
       CASE WHEN a.pid IS NOT NULL THEN 'running' WHEN NOT p.enabled OR NOT weir._is_here(p.system_identifier, p.database) THEN 'stopped'
            WHEN p.error IS NOT NULL THEN 'failed' WHEN pg_is_in_recovery() THEN 'running' ELSE 'starting' END AS state,
       p.produced, coalesce(a.rate, 0) AS rate, p.target, a.pid, coalesce(a.error, p.error) AS error
FROM   weir.producer p LEFT JOIN weir._producer_activity() a ON a.name = p.name
WHERE  pg_has_role(p.owner::oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW weir.stat_producer IS 'one row a producer: what it has sent, how fast it is now, and why it failed last';
GRANT SELECT ON weir.stat_producer TO PUBLIC;

--
-- What the columns are
--

COMMENT ON COLUMN weir.view.view IS 'the view itself';
COMMENT ON COLUMN weir.view.stream IS 'the stream it reads';
COMMENT ON COLUMN weir.view.query IS 'an ordinary view that holds its query';
COMMENT ON COLUMN weir.view.closed IS 'the table of its closed windows';
COMMENT ON COLUMN weir.view.segments IS 'the tables of its partials';
COMMENT ON COLUMN weir.view.start IS 'weir.start as it was given';
COMMENT ON COLUMN weir.view.emit IS 'weir.emit: changes or final';
COMMENT ON COLUMN weir.view.lateness IS 'weir.lateness';
COMMENT ON COLUMN weir.view.on_late IS 'weir.on_late: store or count';
COMMENT ON COLUMN weir.view.retention IS 'weir.retention; NULL: closed windows are kept';
COMMENT ON COLUMN weir.view.settings IS 'settings under which its expressions are evaluated';
COMMENT ON COLUMN weir.view.status IS 'queued, catching up, running, paused, failed, close_failed or stopped';
COMMENT ON COLUMN weir.view.status_since IS 'when it took that status';
COMMENT ON COLUMN weir.view.status_by IS 'who set it; NULL: a worker';
COMMENT ON COLUMN weir.view.error IS 'the last error, until it is overcome';
COMMENT ON COLUMN weir.view.sqlstate IS 'its SQLSTATE';
COMMENT ON COLUMN weir.view.error_at IS 'when it was raised';

COMMENT ON COLUMN weir.view_state.closed IS 'the table of closed windows';
COMMENT ON COLUMN weir.view_state.closed_to IS 'windows that end by it are closed';
COMMENT ON COLUMN weir.view_state.closed_before IS 'no open window begins before it';
COMMENT ON COLUMN weir.view_state.live IS 'numbers of the segments that hold what is alive';
COMMENT ON COLUMN weir.view_state.groups IS 'number of partials after the last compaction';
COMMENT ON COLUMN weir.view_state.pad IS 'nothing';

COMMENT ON COLUMN weir.checkpoint.view IS 'the view';
COMMENT ON COLUMN weir.checkpoint.partition IS 'the partition';
COMMENT ON COLUMN weir.checkpoint.start IS 'the offset at which the view began';
COMMENT ON COLUMN weir.checkpoint.next_offset IS 'the next offset to read';
COMMENT ON COLUMN weir.checkpoint.max_event_time IS 'greatest event time, guarded by max_future, that moves the watermark';
COMMENT ON COLUMN weir.checkpoint.max_timestamp IS 'greatest Kafka timestamp, by which a partition is idle';
COMMENT ON COLUMN weir.checkpoint.watermark IS 'the view''s watermark at that commit';
COMMENT ON COLUMN weir.checkpoint.anchor_offset IS 'the last record read, by which another topic of the same name is known';
COMMENT ON COLUMN weir.checkpoint.anchor_timestamp IS 'its Kafka timestamp';
COMMENT ON COLUMN weir.checkpoint.anchor_crc IS 'its CRC';
COMMENT ON COLUMN weir.checkpoint.epoch IS 'increased by weir.resume: readers from before are fenced off';
COMMENT ON COLUMN weir.checkpoint.read IS 'records read';
COMMENT ON COLUMN weir.checkpoint.aggregated IS 'records counted in at least one window';
COMMENT ON COLUMN weir.checkpoint.filtered IS 'records that WHERE left out';
COMMENT ON COLUMN weir.checkpoint.late IS 'records late for all their windows';
COMMENT ON COLUMN weir.checkpoint.dead_lettered IS 'records kept in weir.dead_letter';
COMMENT ON COLUMN weir.checkpoint.skipped IS 'bad records only counted, by on_error = skip';
COMMENT ON COLUMN weir.checkpoint.tombstones IS 'records without a value';
COMMENT ON COLUMN weir.checkpoint.gaps IS 'offsets that hold no record: control records, compacted or aborted ones';
COMMENT ON COLUMN weir.checkpoint.partly_late IS 'aggregated records that were late for some of their windows';
COMMENT ON COLUMN weir.checkpoint.late_closed IS 'records that lost a window only because it was already closed';

COMMENT ON COLUMN weir.armed.view IS 'the view';
COMMENT ON COLUMN weir.armed.system_identifier IS 'the cluster in which it may run';
COMMENT ON COLUMN weir.armed.database IS 'the database in which it may run';

COMMENT ON COLUMN weir.dead_letter.view IS 'the view that could not use it';
COMMENT ON COLUMN weir.dead_letter.partition IS 'its partition';
COMMENT ON COLUMN weir.dead_letter."offset" IS 'its offset';
COMMENT ON COLUMN weir.dead_letter.topic IS 'the topic it came from';
COMMENT ON COLUMN weir.dead_letter."timestamp" IS 'its Kafka timestamp';
COMMENT ON COLUMN weir.dead_letter.key IS 'its key';
COMMENT ON COLUMN weir.dead_letter.value IS 'its bytes';
COMMENT ON COLUMN weir.dead_letter.sqlstate IS 'SQLSTATE of the reason';
COMMENT ON COLUMN weir.dead_letter.reason IS 'why it could not be used';
COMMENT ON COLUMN weir.dead_letter.at IS 'when it was kept';

COMMENT ON COLUMN weir.late_event.view IS 'the view it was late for';
COMMENT ON COLUMN weir.late_event.partition IS 'its partition';
COMMENT ON COLUMN weir.late_event."offset" IS 'its offset';
COMMENT ON COLUMN weir.late_event."timestamp" IS 'its Kafka timestamp';
COMMENT ON COLUMN weir.late_event.event_time IS 'its event time';
COMMENT ON COLUMN weir.late_event.late_bound IS 'greatest end of a window that it was late for';
COMMENT ON COLUMN weir.late_event.key IS 'its key';
COMMENT ON COLUMN weir.late_event.value IS 'its bytes';
COMMENT ON COLUMN weir.late_event.at IS 'when it was kept';

COMMENT ON COLUMN weir.trimmed.view IS 'the view';
COMMENT ON COLUMN weir.trimmed.what IS 'closed rows, late events, dead letters or late events not stored';
COMMENT ON COLUMN weir.trimmed.rows IS 'how many have gone, in all';
COMMENT ON COLUMN weir.trimmed.up_to IS 'windows that end by it are concerned; of dead letters, those kept by it';
COMMENT ON COLUMN weir.trimmed.at IS 'when some went last';

COMMENT ON COLUMN weir.exception.view IS 'the view';
COMMENT ON COLUMN weir.exception.partition IS 'the partition, if it is about one';
COMMENT ON COLUMN weir.exception."offset" IS 'its next offset then';
COMMENT ON COLUMN weir.exception.kind IS 'what moved the watermark';
COMMENT ON COLUMN weir.exception."from" IS 'the watermark before';
COMMENT ON COLUMN weir.exception."to" IS 'the watermark after';
COMMENT ON COLUMN weir.exception.at IS 'when';

COMMENT ON COLUMN weir.producer.name IS 'its name';
COMMENT ON COLUMN weir.producer.owner IS 'the role it runs as';
COMMENT ON COLUMN weir.producer.source IS 'the relation or query whose rows it sends';
COMMENT ON COLUMN weir.producer.target IS 'the stream it sends to';
COMMENT ON COLUMN weir.producer.rate IS 'rows a second at most; 0: no limit';
COMMENT ON COLUMN weir.producer.settings IS 'settings under which a query is run';
COMMENT ON COLUMN weir.producer.enabled IS 'it is to run';
COMMENT ON COLUMN weir.producer.system_identifier IS 'the cluster in which it was started';
COMMENT ON COLUMN weir.producer.database IS 'the database in which it was started';
COMMENT ON COLUMN weir.producer.produced IS 'rows delivered for certain';
COMMENT ON COLUMN weir.producer.error IS 'why it stopped last';

COMMENT ON COLUMN weir.overview.view IS 'the view';
COMMENT ON COLUMN weir.overview.status IS 'queued, catching up, running, paused, failed, close_failed or stopped';
COMMENT ON COLUMN weir.overview.events_per_second IS 'records read a second, over the last 5 seconds';
COMMENT ON COLUMN weir.overview.lag IS 'records it is behind the end, as the reader last learned it';
COMMENT ON COLUMN weir.overview.lag_seconds IS 'age of the last record applied, while there are newer ones';
COMMENT ON COLUMN weir.overview.watermark_age IS 'how far the watermark is behind the clock';
COMMENT ON COLUMN weir.overview.late IS 'records late for all their windows';
COMMENT ON COLUMN weir.overview.bad IS 'records that could not be used: dead letters and skipped ones';
COMMENT ON COLUMN weir.overview.error IS 'the last error; to owners and pg_read_all_stats only';

COMMENT ON COLUMN weir.stat_view.view IS 'the view';
COMMENT ON COLUMN weir.stat_view.stream IS 'the stream it reads';
COMMENT ON COLUMN weir.stat_view.status IS 'queued, catching up, running, paused, failed, close_failed or stopped';
COMMENT ON COLUMN weir.stat_view.pid IS 'its reader';
COMMENT ON COLUMN weir.stat_view.main IS 'its reader is the main one of the stream';
COMMENT ON COLUMN weir.stat_view.events_per_second IS 'records read a second, over the last 5 seconds';
COMMENT ON COLUMN weir.stat_view.lag IS 'records it is behind the end, all partitions; NULL if an end is unknown';
COMMENT ON COLUMN weir.stat_view.lag_seconds IS 'age of the last record applied, in the partition where that is greatest; 0 at the end';
COMMENT ON COLUMN weir.stat_view.watermark IS 'its watermark as of the last checkpoint';
COMMENT ON COLUMN weir.stat_view.watermark_age_seconds IS 'how far that is behind the clock';
COMMENT ON COLUMN weir.stat_view.closed_to IS 'windows that end by it are closed';
COMMENT ON COLUMN weir.stat_view.last_commit IS 'when its last batch was committed';
COMMENT ON COLUMN weir.stat_view.commit_ms IS 'milliseconds that took';
COMMENT ON COLUMN weir.stat_view.read IS 'records read';
COMMENT ON COLUMN weir.stat_view.aggregated IS 'records counted in at least one window';
COMMENT ON COLUMN weir.stat_view.filtered IS 'records that WHERE left out';
COMMENT ON COLUMN weir.stat_view.late IS 'records late for all their windows';
COMMENT ON COLUMN weir.stat_view.late_closed IS 'records that lost a window only because it was already closed';
COMMENT ON COLUMN weir.stat_view.partly_late IS 'aggregated records that were late for some of their windows';
COMMENT ON COLUMN weir.stat_view.dead_lettered IS 'records kept in weir.dead_letter';
COMMENT ON COLUMN weir.stat_view.skipped IS 'bad records only counted, by on_error = skip';
COMMENT ON COLUMN weir.stat_view.tombstones IS 'records without a value';
COMMENT ON COLUMN weir.stat_view.bad IS 'dead_lettered + skipped';
COMMENT ON COLUMN weir.stat_view.exceptions IS 'rows of weir.exception';
COMMENT ON COLUMN weir.stat_view.error IS 'the last error; to owners and pg_read_all_stats only';
COMMENT ON COLUMN weir.stat_view.sqlstate IS 'its SQLSTATE';
COMMENT ON COLUMN weir.stat_view.error_at IS 'when it was raised';
COMMENT ON COLUMN weir.stat_view.retry_at IS 'when it is tried again';

COMMENT ON COLUMN weir.stat_partition.view IS 'the view';
COMMENT ON COLUMN weir.stat_partition.stream IS 'the stream it reads';
COMMENT ON COLUMN weir.stat_partition.partition IS 'the partition';
COMMENT ON COLUMN weir.stat_partition.start IS 'the offset at which the view began';
COMMENT ON COLUMN weir.stat_partition.next_offset IS 'the next offset to read';
COMMENT ON COLUMN weir.stat_partition.end_offset IS 'its end, as the reader last learned it';
COMMENT ON COLUMN weir.stat_partition.lag IS 'end_offset - next_offset';
COMMENT ON COLUMN weir.stat_partition.lag_seconds IS 'age of the last record applied, while there are newer ones';
COMMENT ON COLUMN weir.stat_partition.max_event_time IS 'greatest event time that moves the watermark';
COMMENT ON COLUMN weir.stat_partition.watermark IS 'the partition''s own watermark';
COMMENT ON COLUMN weir.stat_partition.watermark_age_seconds IS 'how far that is behind the clock';
COMMENT ON COLUMN weir.stat_partition.holds_watermark IS 'the view''s watermark is this one''s';
COMMENT ON COLUMN weir.stat_partition.idle IS 'read to its end, and silent for idle_timeout while others went on';
COMMENT ON COLUMN weir.stat_partition.read IS 'records read';
COMMENT ON COLUMN weir.stat_partition.aggregated IS 'records counted in at least one window';
COMMENT ON COLUMN weir.stat_partition.filtered IS 'records that WHERE left out';
COMMENT ON COLUMN weir.stat_partition.late IS 'records late for all their windows';
COMMENT ON COLUMN weir.stat_partition.late_closed IS 'records that lost a window only because it was already closed';
COMMENT ON COLUMN weir.stat_partition.partly_late IS 'aggregated records that were late for some of their windows';
COMMENT ON COLUMN weir.stat_partition.dead_lettered IS 'records kept in weir.dead_letter';
COMMENT ON COLUMN weir.stat_partition.skipped IS 'bad records only counted, by on_error = skip';
COMMENT ON COLUMN weir.stat_partition.tombstones IS 'records without a value';
COMMENT ON COLUMN weir.stat_partition.gaps IS 'offsets that hold no record: control records, compacted or aborted ones';
COMMENT ON COLUMN weir.stat_partition.asked_at IS 'when the end was last learned';

COMMENT ON COLUMN weir.stat_worker.pid IS 'the process';
COMMENT ON COLUMN weir.stat_worker.kind IS 'launcher, database, reader or producer';
COMMENT ON COLUMN weir.stat_worker.database IS 'its database';
COMMENT ON COLUMN weir.stat_worker.stream IS 'the stream a reader reads';
COMMENT ON COLUMN weir.stat_worker.producer IS 'the producer it runs';
COMMENT ON COLUMN weir.stat_worker.started IS 'when it started';
COMMENT ON COLUMN weir.stat_worker.main IS 'the reader is the main one of its stream';
COMMENT ON COLUMN weir.stat_worker.records IS 'records read or sent';
COMMENT ON COLUMN weir.stat_worker.batches IS 'batches committed';
COMMENT ON COLUMN weir.stat_worker.cpu_seconds IS 'CPU time, user and system, when it last worked';
COMMENT ON COLUMN weir.stat_worker.rss_bytes IS 'resident memory when it last worked';
COMMENT ON COLUMN weir.stat_worker.error IS 'what it waits for, such as a broker that does not answer';

COMMENT ON COLUMN weir.stat_producer.name IS 'the producer';
COMMENT ON COLUMN weir.stat_producer.state IS 'running, starting, stopped or failed';
COMMENT ON COLUMN weir.stat_producer.produced IS 'rows delivered for certain';
COMMENT ON COLUMN weir.stat_producer.rate IS 'rows a second, over the last 5 seconds';
COMMENT ON COLUMN weir.stat_producer.target IS 'the stream it sends to';
COMMENT ON COLUMN weir.stat_producer.pid IS 'its worker';
COMMENT ON COLUMN weir.stat_producer.error IS 'what it waits for, or why it stopped last';

COMMENT ON COLUMN weir.stat_latency.view IS 'the view';
COMMENT ON COLUMN weir.stat_latency.commit_seconds IS 'upper bounds, in seconds';
COMMENT ON COLUMN weir.stat_latency.commit_seconds_bucket IS 'batches applied and committed within each bound';
COMMENT ON COLUMN weir.stat_latency.commit_seconds_sum IS 'seconds in all';
COMMENT ON COLUMN weir.stat_latency.commit_seconds_count IS 'batches';
COMMENT ON COLUMN weir.stat_latency.event_seconds IS 'upper bounds, in seconds';
COMMENT ON COLUMN weir.stat_latency.event_seconds_bucket IS 'records within each bound, by the time from a record''s timestamp to its commit';
COMMENT ON COLUMN weir.stat_latency.event_seconds_sum IS 'seconds in all';
COMMENT ON COLUMN weir.stat_latency.event_seconds_count IS 'how many were measured';
COMMENT ON COLUMN weir.stat_latency.stats_reset IS 'since when';

COMMENT ON COLUMN weir.stat_progress_catch_up.pid IS 'its reader';
COMMENT ON COLUMN weir.stat_progress_catch_up.datname IS 'this database';
COMMENT ON COLUMN weir.stat_progress_catch_up.view IS 'the view';
COMMENT ON COLUMN weir.stat_progress_catch_up.phase IS 'starting, reading or waiting';
COMMENT ON COLUMN weir.stat_progress_catch_up.offsets_total IS 'offsets between where it began and the end';
COMMENT ON COLUMN weir.stat_progress_catch_up.offsets_done IS 'offsets read of them';
COMMENT ON COLUMN weir.stat_progress_catch_up.events_per_second IS 'records read a second, over the last 5 seconds';
COMMENT ON COLUMN weir.stat_progress_catch_up.eta IS 'time until it has caught up, at the pace so far; NULL while it does not come nearer';

--
-- The launcher finds this database by its label (worker/launcher.c)
--

CREATE FUNCTION weir._label_database() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'weir_label_this_database';
REVOKE ALL ON FUNCTION weir._label_database() FROM PUBLIC;
COMMENT ON FUNCTION weir._label_database() IS 'put the security label on this database by which the launcher finds it';
SELECT weir._label_database();
