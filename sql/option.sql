-- Options are checked by name, by place and by value.
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pg_weir;
RESET client_min_messages;

-- servers
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka;
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_server 'localhost:9092');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', sasl_password 'secret');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', "plugin.library.paths" '/tmp/x.so');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', plugin_library_paths '/tmp/x.so');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', ssl_ca_location '/etc/passwd');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', sasl_kerberos_kinit_cmd 'id');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', enable_ssl_certificate_verification 'false');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', sasl_mechanism 'GSSAPI');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', security_protocol 'ssl sasl_ssl');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'one:9092,two:99999,three');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', auto_offset_reset 'latest');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', socket_timeout_ms '9');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', socket_timeout_ms '10.5');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:9092', topic 'events');
CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka
    OPTIONS (bootstrap_servers 'localhost:9092', security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512',
             socket_timeout_ms '5000', compression_type 'lz4');
ALTER SERVER s OPTIONS (DROP bootstrap_servers);

-- user mappings
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (sasl_usrname 'me');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (sasl_username 'me', sasl_password 'secret');
CREATE USER MAPPING FOR PUBLIC SERVER generator OPTIONS (password 'secret');

-- streams of Kafka
CREATE FOREIGN TABLE t (a text) SERVER s;
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a topic');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', rate '5');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', format 'avro');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', format 'xml');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', on_error 'ignore');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', watermark_delay 'soon');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', watermark_delay '1 day');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', watermark_delay '-1 minute');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', watermark_delay 'infinity');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', idle_timeout '0');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', idle_timeout 'off');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', close_timeout '0');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', close_timeout '-1 second');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', close_timeout 'infinity');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', close_timeout '1 day');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', close_timeout 'never');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', timezone 'Mars/Olympus');
CREATE FOREIGN TABLE t (a text OPTIONS (metadata 'offsets')) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a text OPTIONS (metadata 'key', field 'b')) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a timestamptz OPTIONS (unit 'ns')) SERVER s OPTIONS (topic 'a');

-- columns
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', event_time 'b');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a', event_time 'a');
CREATE FOREIGN TABLE t (a int OPTIONS (unit 's')) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a int OPTIONS (metadata 'offset')) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a text[]) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a pg_class) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE t (a text, b text) SERVER s OPTIONS (topic 'a', format 'raw');
CREATE FOREIGN TABLE t (a int) SERVER s OPTIONS (topic 'a', format 'raw');
CREATE FOREIGN TABLE t (a timestamptz CHECK (a < now())) SERVER s OPTIONS (topic 'a', event_time 'a');
CREATE FOREIGN TABLE t (a text) SERVER s OPTIONS (topic 'a');
CREATE FOREIGN TABLE u (a text, ts timestamptz OPTIONS (unit 'ms'), o bigint OPTIONS (metadata 'offset'))
    SERVER s OPTIONS (topic 'a', event_time 'ts', idle_timeout 'infinity', max_future '1 minute', close_timeout 'off');
ALTER FOREIGN TABLE u OPTIONS (SET close_timeout '90 seconds');
ALTER FOREIGN TABLE u OPTIONS (DROP close_timeout);
ALTER FOREIGN TABLE u ADD COLUMN b int[];
ALTER FOREIGN TABLE u ALTER COLUMN ts TYPE text;

-- generator streams
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (kind 'nexmark');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (kind 'market');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (topic 'a');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (rate '0');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (rate 'NaN');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (partitions '1025');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (partitions '2', skew '1,2,3');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (skew '1,-2');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (skew '0,0');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (event_types 'a,b');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (event_types 'a"b:1');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (late_fraction '0.6', poison_fraction '0.6');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (start 'tomorrow');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (start '5 minutes');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (start '-1 day');
CREATE FOREIGN TABLE v (a text) SERVER generator OPTIONS (start '1969-12-31T23:59:59Z');

-- a relative start becomes an instant when the stream is created
BEGIN;
CREATE FOREIGN TABLE v (a text, ts timestamptz OPTIONS (field 'timestamp')) SERVER generator
    OPTIONS (start '-15 minutes', event_time 'ts');
SELECT option_value::timestamptz = now() - interval '15 minutes' AS resolved
FROM pg_foreign_table, pg_options_to_table(ftoptions) WHERE ftrelid = 'v'::regclass AND option_name = 'start';
COMMIT;
INSERT INTO v VALUES ('a');
DELETE FROM v;

-- everybody may use the generator, nobody else's secrets
CREATE ROLE regress_weir_user;
SET ROLE regress_weir_user;
SELECT umoptions FROM pg_user_mappings WHERE srvname = 's';
SELECT count(*) FROM v;
RESET ROLE;
SELECT has_server_privilege('regress_weir_user', 'generator', 'USAGE'),
       has_foreign_data_wrapper_privilege('regress_weir_user', 'weir_kafka', 'USAGE');
DROP ROLE regress_weir_user;

DROP FOREIGN TABLE t, u, v;
DROP SERVER s CASCADE;
