-- weir.resume() lets no view run that is not whole, as in the midst of a
-- restore; and what CREATE makes is seen by event triggers.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
CREATE SCHEMA whole;
SET search_path TO whole, public;
CREATE FOREIGN TABLE events (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '10', "limit" '3000', partitions '1', event_time 'ts');

CREATE TABLE seen (tag text, type text, name text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO whole.seen SELECT command_tag, object_type, object_identity FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION see();
CREATE MATERIALIZED VIEW minutes WITH (weir.continuous) AS
SELECT window_start, window_end, count(*) AS events FROM events, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end
WITH NO DATA;
DROP EVENT TRIGGER see;
SELECT tag, type, name FROM seen WHERE type <> 'index' AND name !~ 'partial_[1-7]' GROUP BY 1, 2, 3 ORDER BY name COLLATE "C", tag;

-- the stub that pg_dump makes of a view first
SELECT rtrim(pg_get_viewdef('minutes'), ';') AS definition \gset
CREATE OR REPLACE VIEW minutes AS SELECT NULL::timestamptz AS window_start, NULL::timestamptz AS window_end, NULL::bigint AS events;
SELECT weir.resume('minutes');
-- one that reads something else besides
CREATE OR REPLACE VIEW minutes AS SELECT m.* FROM (:definition
UNION ALL SELECT ts, ts, 1 FROM events WHERE false) m;
SELECT weir.resume('minutes');
\set definition 'CREATE OR REPLACE VIEW minutes AS ' :definition
:definition;
-- whose segments belong to somebody else
SELECT current_user AS me \gset
CREATE ROLE weir_somebody;
GRANT CREATE ON SCHEMA weir_data TO weir_somebody;
ALTER TABLE weir_data.minutes_partial_3 OWNER TO weir_somebody;
\set VERBOSITY terse
SELECT weir.resume('minutes');
ALTER TABLE weir_data.minutes_partial_3 OWNER TO :"me";
SELECT weir.resume('minutes');
SELECT weir.wait('minutes', '1 minute');
SELECT sum(events) AS events FROM minutes;

SET client_min_messages TO warning;
DROP SCHEMA whole CASCADE;
REVOKE CREATE ON SCHEMA weir_data FROM weir_somebody;
DROP ROLE weir_somebody;
