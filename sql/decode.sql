-- Every message is a row, or bad for a reason.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;
SET TimeZone = 'America/New_York';

SET DateStyle = 'ISO';

-- one message in five is poison; the error column makes rows of them
CREATE FOREIGN TABLE shown (
    event_id text, event_type text, user_id text, quantity int, total_amount numeric,
    ts timestamptz OPTIONS (field 'timestamp'),
    value bytea OPTIONS (metadata 'value'), part int OPTIONS (metadata 'partition'), pos bigint OPTIONS (metadata 'offset'),
    error text OPTIONS (metadata 'error')
) SERVER generator OPTIONS ("limit" '5000', seed '7', start '2024-01-01T00:00:00Z', poison_fraction '0.2', event_time 'ts');
CREATE FOREIGN TABLE hidden (
    event_id text, event_type text, user_id text, quantity int, total_amount numeric,
    ts timestamptz OPTIONS (field 'timestamp'),
    value bytea OPTIONS (metadata 'value'), part int OPTIONS (metadata 'partition'), pos bigint OPTIONS (metadata 'offset')
) SERVER generator OPTIONS ("limit" '5000', seed '7', start '2024-01-01T00:00:00Z', poison_fraction '0.2', event_time 'ts');

SELECT error, count(*), count(event_type) AS with_values, count(value) AS with_bytes
FROM shown WHERE error IS NOT NULL GROUP BY error ORDER BY error COLLATE "C";
SELECT count(*), count(*) FILTER (WHERE error IS NULL) AS good FROM shown;
SELECT count(*) FROM hidden;

-- oracle: jsonb decides what is JSON, and gives the same values
CREATE FUNCTION is_json_object(bytes bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_typeof(convert_from(bytes, 'UTF8')::jsonb) = 'object';
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;
CREATE TEMP TABLE bytes AS SELECT part, pos, value, error, is_json_object(value) AS json FROM shown;
SELECT count(*) FILTER (WHERE NOT json AND error IS NULL) AS too_lax,
       count(*) FILTER (WHERE json AND error IS NOT NULL AND error !~ 'event time|column "ts"') AS too_strict
FROM bytes;
CREATE TYPE populated AS (event_id text, event_type text, user_id text, quantity int, total_amount numeric, "timestamp" timestamptz);
CREATE TEMP TABLE expected AS
    SELECT part, pos, r.* FROM bytes, jsonb_populate_record(NULL::populated, convert_from(value, 'UTF8')::jsonb) r WHERE error IS NULL;
CREATE TEMP TABLE decoded AS
    SELECT part, pos, event_id, event_type, user_id, quantity, total_amount, ts FROM hidden;
SELECT count(*) FROM (SELECT * FROM decoded EXCEPT ALL SELECT * FROM expected) x;
SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM decoded) x;

-- numbers and texts through each type: the event types are the values
CREATE FOREIGN TABLE texts (
    t text OPTIONS (field 'event_type'), v varchar(4) OPTIONS (field 'event_type'), c char(6) OPTIONS (field 'event_type'),
    j json OPTIONS (field 'event_type'), jb jsonb OPTIONS (field 'event_type'),
    i2 smallint OPTIONS (field 'event_type'), i4 int OPTIONS (field 'event_type'), i8 bigint OPTIONS (field 'event_type'),
    f4 real OPTIONS (field 'event_type'), f8 float8 OPTIONS (field 'event_type'),
    n numeric OPTIONS (field 'event_type'), n2 numeric(6, 2) OPTIONS (field 'event_type'),
    b boolean OPTIONS (field 'event_type'), d date OPTIONS (field 'event_type'), i interval OPTIONS (field 'event_type'),
    absent text, nested text OPTIONS (field 'event_type.below'), amount text OPTIONS (field 'total_amount'),
    ts timestamptz OPTIONS (field 'timestamp')
) SERVER generator OPTIONS ("limit" '2000', start '2024-01-01T00:00:00Z', event_time 'ts', event_types
    '1:1,-40000:1,2147483648:1,1.005:1,12345.678:1,1e3:1,NaN:1,Infinity:1,-0:1,true:1,2024-02-29:1,2024-02-30:1,today:1,99999999999999999999:1, 5 days:1');
SELECT DISTINCT t COLLATE "C" AS t, v FROM texts ORDER BY 1;
SELECT DISTINCT t COLLATE "C" AS t, c, octet_length(c) FROM texts ORDER BY 1;
SELECT DISTINCT j::text COLLATE "C" AS j, jb FROM texts ORDER BY 1;
SELECT DISTINCT i2 FROM texts ORDER BY 1;
SELECT DISTINCT i4 FROM texts ORDER BY 1;
SELECT DISTINCT i8 FROM texts ORDER BY 1;
SELECT DISTINCT f4 FROM texts ORDER BY 1;
SELECT DISTINCT f8 FROM texts ORDER BY 1;
SELECT DISTINCT n FROM texts ORDER BY 1;
SELECT DISTINCT n2 FROM texts ORDER BY 1;
SELECT DISTINCT b FROM texts ORDER BY 1;
SELECT DISTINCT d FROM texts ORDER BY 1;
SELECT DISTINCT i FROM texts ORDER BY 1;
SELECT count(absent), count(nested), count(amount) FROM texts;
DROP FOREIGN TABLE texts;

-- the zone is the stream's, never the session's
CREATE FOREIGN TABLE berlin (
    text_ts text OPTIONS (field 'timestamp'), ts timestamptz OPTIONS (field 'timestamp'),
    local timestamp OPTIONS (field 'timestamp'), day date OPTIONS (field 'timestamp'), ts0 timestamptz(0) OPTIONS (field 'timestamp')
) SERVER generator OPTIONS (rate '1', "limit" '3000', start '2024-03-30T23:50:00Z', zone 'false', timezone 'Europe/Berlin', event_time 'ts');
CREATE FOREIGN TABLE zulu (
    text_ts text OPTIONS (field 'timestamp'), ts timestamptz OPTIONS (field 'timestamp'),
    local timestamp OPTIONS (field 'timestamp'), day date OPTIONS (field 'timestamp')
) SERVER generator OPTIONS (rate '1', "limit" '3000', start '2024-03-30T23:50:00Z', timezone 'Europe/Berlin', event_time 'ts');
SELECT count(*), count(*) FILTER (WHERE ts <> text_ts::timestamp AT TIME ZONE 'Europe/Berlin') AS wrong,
       count(*) FILTER (WHERE local <> text_ts::timestamp OR day <> text_ts::date) AS wrong_local,
       count(*) FILTER (WHERE ts0 <> ts::timestamptz(0)) AS wrong_precision FROM berlin;
SELECT count(*), count(*) FILTER (WHERE ts <> text_ts::timestamptz) AS wrong,
       count(*) FILTER (WHERE local <> text_ts::timestamptz AT TIME ZONE 'Europe/Berlin' OR day <> local::date) AS wrong_local FROM zulu;
SET TimeZone = 'Asia/Tokyo';
SELECT min(extract(epoch FROM ts)), max(extract(epoch FROM ts)) FROM berlin;
SET TimeZone = 'UTC';
SELECT min(extract(epoch FROM ts)), max(extract(epoch FROM ts)) FROM berlin;
DROP FOREIGN TABLE berlin, zulu;

-- constraints are a contract
CREATE DOMAIN quantity AS int CHECK (VALUE < 5);
CREATE TYPE device AS ENUM ('mobile', 'desktop');
CREATE FOREIGN TABLE contract (
    event_type text, quantity quantity, device device, total_amount numeric CONSTRAINT cheap CHECK (total_amount < 300),
    ts timestamptz OPTIONS (field 'timestamp'), error text OPTIONS (metadata 'error'),
    CONSTRAINT no_division CHECK (1 / (quantity::int - 3) < 100)
) SERVER generator OPTIONS ("limit" '5000', start '2024-01-01T00:00:00Z', event_time 'ts');
SELECT error, count(*) > 0 AS some FROM contract GROUP BY error ORDER BY error COLLATE "C";
ALTER FOREIGN TABLE contract ALTER COLUMN total_amount SET NOT NULL;
SELECT event_type, error FROM contract WHERE error ~ 'null' GROUP BY 1, 2;
SELECT count(*), count(DISTINCT event_type) FROM contract WHERE error IS NULL AND total_amount >= 300;
DROP FOREIGN TABLE contract;

-- the day of an instant, to the last microsecond of it
CREATE FOREIGN TABLE days (t text, day date OPTIONS (field 't'), ts timestamptz) SERVER generator OPTIONS (event_time 'ts');
SELECT d.t, d.day FROM unnest(ARRAY['9999-12-31T23:59:59.999999Z', '2400-01-01T23:59:59.999999Z', '2400-01-02T00:00:00Z', '2000-01-01T00:00:00Z', '1999-12-31T23:59:59.999999Z', '1999-12-31T00:00:00Z', '0001-01-01T00:00:00Z']) t,
    weir.decode(NULL::days, (NULL, 0, 0, NULL, now(), now(), NULL, convert_to(json_build_object('t', t, 'ts', '2024-01-01T00:00:00Z')::text, 'UTF8'), now())::weir.late_event) d;
DROP FOREIGN TABLE days;

-- a long message, and the bytes as they are
CREATE FOREIGN TABLE short (event_type text, ts timestamptz OPTIONS (field 'timestamp'), error text OPTIONS (metadata 'error'))
    SERVER generator OPTIONS ("limit" '100', start '2024-01-01T00:00:00Z', event_time 'ts', max_message_bytes '100');
SELECT error, count(*) FROM short GROUP BY 1;
CREATE FOREIGN TABLE raw (line text, error text OPTIONS (metadata 'error'), at timestamptz OPTIONS (metadata 'timestamp'))
    SERVER generator OPTIONS ("limit" '5000', seed '7', start '2024-01-01T00:00:00Z', format 'raw', poison_fraction '0.2', event_time 'at');
SELECT error, count(*) FROM raw GROUP BY 1 ORDER BY 2;
SELECT count(*) FROM (
    (SELECT line FROM raw WHERE error IS NULL) EXCEPT ALL
    SELECT convert_from(value, 'UTF8') FROM shown WHERE error IS DISTINCT FROM 'invalid UTF-8') x;
-- more members than jsonb has room for
CREATE FOREIGN TABLE huge (j jsonb, t text OPTIONS (field 'j'), same json OPTIONS (field 'j'), n int, ts timestamptz, error text OPTIONS (metadata 'error'))
    SERVER generator OPTIONS (event_time 'ts', max_message_bytes '100000000');
SELECT d.n, d.error, d.j IS NULL AS no_jsonb, length(d.same::text) FROM
    weir.decode(NULL::huge, (NULL, 0, 0, NULL, now(), now(), NULL, convert_to('{"ts":"2024-01-01T00:00:00Z","n":1,"j":[' || repeat('1,', 17000000) || '1]}', 'UTF8'), now())::weir.late_event) d;
DROP FOREIGN TABLE short, raw, shown, hidden, huge;
DROP FUNCTION is_json_object;
DROP TYPE populated, device;
DROP DOMAIN quantity;
