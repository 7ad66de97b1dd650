# Topics as tables: what SELECT reads and what it need not read, what INSERT
# sends, what an operator sees, who may see what; and every kind of bad input,
# which ends as a dead letter.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use PostgreSQL::Test::Utils;

need_kafka();
kafka_start();
kafka_topic('orders',  3);
kafka_topic('written', 2);
kafka_topic('zones',   1);
kafka_topic('bad',     2, 'max.message.bytes=4000000');

my $node      = weir_node('main');
my $bootstrap = kafka_bootstrap();
my $dir       = PostgreSQL::Test::Utils::tempdir('files');

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# What a statement that has to fail says; %opts as for psql.
sub error_of
{
	my ($statement, %opts) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', $statement, %opts);

	return $status == 0 ? 'no error' : $stderr;
}

sub messages_of
{
	my ($statement) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', $statement);
	return $stderr;
}

# kcat as a producer, with options that kcat_produce has not.
sub kcat_send
{
	my ($topic, $partition, $file, @options) = @_;

	system_or_bail('kcat', '-q', '-b', $bootstrap, '-P', '-t', $topic, '-p',
		$partition, @options, $file);
	return;
}

sub file_with
{
	my ($name, $bytes) = @_;

	open(my $file, '>:raw', "$dir/$name") or die "$dir/$name: $!";
	print $file $bytes;
	close $file;
	return "$dir/$name";
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE orders (
		id int, price numeric, ts timestamptz,
		topic text OPTIONS (metadata 'topic'),
		p int OPTIONS (metadata 'partition'),
		o bigint OPTIONS (metadata 'offset'),
		key text OPTIONS (metadata 'key'),
		recorded timestamptz OPTIONS (metadata 'timestamp'),
		headers jsonb OPTIONS (metadata 'headers'))
		SERVER kafka OPTIONS (topic 'orders', event_time 'ts');
	CREATE FOREIGN TABLE orders_bad (
		id int, o bigint OPTIONS (metadata 'offset'),
		p int OPTIONS (metadata 'partition'),
		value bytea OPTIONS (metadata 'value'),
		error text OPTIONS (metadata 'error'))
		SERVER kafka OPTIONS (topic 'orders');
	});

#
# SELECT
#

kafka_produce('orders', map {
	[ $_ % 3, 1_700_000_000_000 + $_, "key$_",
		qq({"id": $_, "price": $_.50, "ts": "2024-03-01T00:00:00Z"}) ]
} 0 .. 2999);

is(sql('SELECT count(*), sum(id), sum(price) FROM orders'),
	'3000|4498500|4500000.00', 'SELECT reads the whole topic');
kcat_load($node, 'postgres', 'orders_dump', 'orders');
same_rows(
	$node, 'postgres',
	'SELECT topic, p, o, key, recorded, id FROM orders',
	q{SELECT 'orders' AS topic, partition, "offset", convert_from(key, 'UTF8') AS key,
	         '1970-01-01Z'::timestamptz + ts * interval '1 ms' AS recorded,
	         (convert_from(value, 'UTF8')::jsonb->>'id')::int AS id FROM orders_dump},
	'metadata columns are what kcat reads', min => 3000);

my $some = 'p = 1 AND o >= 990 AND o < 995';
is(sql("SELECT array_agg(id ORDER BY o) FROM orders WHERE $some"),
	'{2971,2974,2977,2980,2983}', 'a range of offsets');
like(sql("EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE $some"),
	qr/Reads Only: offset >= 990 AND offset < 995 AND partition = 1/,
	'EXPLAIN shows what is pushed down');
is( sql("SELECT count(*) FROM orders WHERE p IN (0, 2) AND o > 997"),
	4, 'partitions of a list');
is(sql('SELECT count(*) FROM orders WHERE p = 7'), 0, 'a partition there is not');
is(sql('SELECT count(*) FROM orders LIMIT 1'), 3000, 'an aggregate over all');
is(sql('SELECT count(*) FROM (SELECT * FROM orders LIMIT 5) x'), 5, 'LIMIT');

kcat_produce('orders', 1, 'no JSON', '{"id": "x"}');
like(messages_of('SELECT count(id) FROM orders'),
	qr/WARNING:  skipped 2 bad messages of stream public.orders\n/,
	'bad messages are one WARNING with their number');
is( sql(q{SELECT p, o, convert_from(value, 'UTF8'), error IS NOT NULL
	FROM orders_bad WHERE id IS NULL AND error IS NOT NULL ORDER BY o}),
	"1|1000|no JSON|t\n1|1001|{\"id\": \"x\"}|t",
	'the columns value and error show them');
unlike(
	messages_of("SELECT count(id) FROM orders WHERE $some"),
	qr/bad message/, 'what is not read is not bad');

kcat_send('orders', 0, file_with('headers', '{"id": 5000, "ts": "2024-03-01T00:00:00Z"}'),
	'-H', 'source=web', '-H', 'trace=1');
is(sql(q{SELECT headers->>'source', headers->>'trace' FROM orders WHERE id = 5000}),
	'web|1', 'headers');

is(sql('SELECT partition, low, high, stable FROM weir.partitions(\'orders\')'),
	"0|0|1001|1001\n1|0|1002|1002\n2|0|1000|1000", 'weir.partitions');
is( sql(q{SELECT topic, partitions FROM weir.topics('kafka') ORDER BY 1}),
	"bad|2\norders|3\nwritten|2\nzones|1", 'weir.topics');
is(sql('SELECT count(*) FROM weir.tail(NULL::orders, 7)'), 7, 'weir.tail');
is(sql('SELECT max(id) FROM weir.tail(NULL::orders, 9)'),
	5000, 'weir.tail has the newest');

#
# INSERT
#

sql(q{
	CREATE FOREIGN TABLE written (
		id int, name text, amount numeric, ok bool, ts timestamptz,
		key text OPTIONS (metadata 'key'),
		p int OPTIONS (metadata 'partition'))
		SERVER kafka OPTIONS (topic 'written', event_time 'ts');
	INSERT INTO written (id, name, amount, ok, ts, key, p)
	SELECT i, 'name ' || i, i / 4.0, i % 2 = 0, '2024-03-01Z'::timestamptz
	       + i * interval '1 s', 'k' || i, i % 2
	FROM generate_series(1, 1000) i;
	INSERT INTO written (id, name, ts, p)
	VALUES (1001, E'quote " \\\\ \n \u00e9', '2024-03-02Z', 1);
	});
is(kcat_count('written'), 1001, 'kcat reads what INSERT sent');
kcat_load($node, 'postgres', 'written_dump', 'written');
same_rows(
	$node, 'postgres',
	q{SELECT (d->>'id')::int AS id, d->>'name' AS name, (d->>'amount')::numeric AS amount,
	  (d->>'ok')::bool AS ok, (d->>'ts')::timestamptz AS ts, k, partition
	  FROM (SELECT convert_from(value, 'UTF8')::jsonb AS d,
	               convert_from(key, 'UTF8') AS k, partition FROM written_dump) x},
	q{SELECT i AS id, 'name ' || i AS name, i / 4.0 AS amount, i % 2 = 0 AS ok,
	  '2024-03-01Z'::timestamptz + i * interval '1 s' AS ts, 'k' || i AS key, i % 2 AS p
	  FROM generate_series(1, 1000) i
	  UNION ALL SELECT 1001, E'quote " \\\\ \n \u00e9', NULL, NULL, '2024-03-02Z', NULL, 1},
	'and it is what was inserted', min => 1001);
same_rows($node, 'postgres', 'SELECT id, name, amount, ok, ts, key, p FROM written',
	q{SELECT (d->>'id')::int AS id, d->>'name' AS name, (d->>'amount')::numeric AS amount,
	  (d->>'ok')::bool AS ok, (d->>'ts')::timestamptz AS ts, k, partition
	  FROM (SELECT convert_from(value, 'UTF8')::jsonb AS d,
	               convert_from(key, 'UTF8') AS k, partition FROM written_dump) x},
	'SELECT gives it back', min => 1001);
sql('BEGIN; INSERT INTO written (id, ts) VALUES (2000, now()); ROLLBACK');
is(sql('SELECT count(*) FROM written WHERE id = 2000'),
	1, 'ROLLBACK does not unsend');
is(kcat_count('written'), 1002, 'kcat reads it too');

#
# Options and secrets
#

my $create = 'CREATE SERVER s FOREIGN DATA WRAPPER weir_kafka OPTIONS';
like( error_of("$create (bootstrap_servers 'x:1', \"plugin.library.paths\" '/x.so')"),
	qr/option "plugin.library.paths" is not allowed.*load code/s,
	'plugin.library.paths is refused');
like( error_of("$create (bootstrap_server 'x:1')"),
	qr/Perhaps you meant "bootstrap_servers"/, 'a mistyped option has a hint');
like( error_of(q{CREATE FOREIGN TABLE t (a int) SERVER kafka OPTIONS (topik 'x')}),
	qr/Perhaps you meant "topic"/, 'that of a stream too');
like( error_of(q{CREATE FOREIGN TABLE t (a int) SERVER kafka
	OPTIONS (topic 'x', event_time 'a')}),
	qr/event time column "a" of stream public.t is not of type timestamp/, 'an event time that is no timestamptz is refused');
like( error_of("$create (bootstrap_servers 'x:1', sasl_password 'secret')"),
	qr/USER MAPPING/, 'a secret belongs to a user mapping');

sql(q{
	CREATE ROLE alice; CREATE ROLE bob;
	GRANT CREATE ON SCHEMA public TO alice, bob;
	GRANT USAGE ON FOREIGN SERVER kafka TO alice, bob;
	CREATE USER MAPPING FOR alice SERVER kafka
		OPTIONS (sasl_username 'alice', sasl_password 'open sesame');
	});
foreach my $catalog (qw(pg_user_mappings information_schema.user_mapping_options))
{
	unlike(sql("SET ROLE bob; SELECT x::text FROM $catalog x"),
		qr/sesame/, "another role does not see the secret in $catalog");
}
like( error_of('SET ROLE bob; SELECT * FROM pg_user_mapping'),
	qr/permission denied/, 'nor in pg_user_mapping');
like(sql('SET ROLE alice; SELECT umoptions::text FROM pg_user_mappings'),
	qr/sesame/, 'its user does');
like(error_of('SET ROLE bob; SELECT * FROM orders'),
	qr/permission denied for foreign table/, 'SELECT needs the privilege');
like(error_of('SET ROLE bob; INSERT INTO written (id) VALUES (1)'),
	qr/permission denied for foreign table/, 'INSERT too');

#
# Time zones
#

my @times = map { sprintf '2024-03-31T%02d:30:00', $_ } 0 .. 5;
kcat_produce('zones', 0,
	map { ( qq({"kind": "with", "ts": "${_}Z"}),
			qq({"kind": "without", "ts": "$_"})) } @times);
sql(q{
	CREATE FOREIGN TABLE zones (kind text, ts timestamptz) SERVER kafka
		OPTIONS (topic 'zones', event_time 'ts', watermark_delay '10 hours')});
my %seen;
foreach my $zone ('UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu')
{
	(my $name = lc $zone) =~ s/\W/_/g;
	sql(qq{
		SET timezone = '$zone';
		CREATE MATERIALIZED VIEW zone_$name WITH (weir.continuous) AS
		SELECT window_start, window_end, kind, count(*) AS events
		FROM zones, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end, kind});
	sql("SELECT weir.wait('zone_$name', '1 minute')");
	$seen{ sql("SELECT kind, extract(epoch FROM window_start), events
		FROM zone_$name ORDER BY 1, 2") }++;
	$seen{ sql("SET timezone = '$zone';
		SELECT kind, extract(epoch FROM window_start), count(*)
		FROM zones, weir.tumble(ts, '1 hour') GROUP BY 1, 2 ORDER BY 1, 2") }++;
}
is(keys %seen, 1, 'rows do not depend on the TimeZone of a session');
my ($rows) = keys %seen;
my ($with, $without) = map { join ' ', $rows =~ /^$_\|(.*)$/mg } qw(with without);
is($with, $without, 'nor on whether a timestamp has a zone');
is(scalar(() = $rows =~ /\n/g), 2 * @times - 1, 'each is in a window of its own');

#
# Bad input
#

sql(q{
	CREATE FOREIGN TABLE bad (
		id int NOT NULL, name text, amount numeric CHECK (amount < 1e9), real8 float8,
		big bigint, ts timestamptz)
		SERVER kafka OPTIONS (topic 'bad', event_time 'ts', max_message_bytes '1000000');
	CREATE MATERIALIZED VIEW bad_view WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS events, count(name) AS names,
		       sum(amount) AS amount, max(real8) AS real8, max(big) AS big, sum(id) AS id
		FROM bad, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});

my $when = '"ts": "2024-03-01T00:00:00Z"';
my @bad = (
	[ 'no JSON',             'this is no JSON' ],
	[ 'nothing',             ' ' ],
	[ 'cut off',             qq({"id": 1, $when) ],
	[ 'an array',            '[1, 2]' ],
	[ 'a number',            '17' ],
	[ 'a NUL',               qq({"id": 1, "name": "a\\u0000b", $when}) ],
	[ 'a NUL byte',          qq({"id": 1, "name": "a\0b", $when}) ],
	[ 'a lone surrogate',    qq({"id": 1, "name": "\\ud800", $when}) ],
	[ 'a low surrogate',     qq({"id": 1, "name": "\\udc00x", $when}) ],
	[ 'invalid UTF-8',       qq({"id": 1, "name": "\xff\xfe", $when}) ],
	[ 'a surrogate in UTF-8', qq({"id": 1, "name": "\xed\xa0\x80", $when}) ],
	[ 'overlong UTF-8',      qq({"id": 1, "name": "\xc0\xaf", $when}) ],
	[ 'a huge exponent',     qq({"id": 1, "amount": 1e1000000, $when}) ],
	[ 'a long number',       qq({"id": 1, "amount": 1e131071, $when}) ],
	[ 'depth',               '[' x 100_000 ],
	[ 'depth in a field',    qq({"id": 1, "x": ) . '[' x 50_000 . ']' x 50_000 . ", $when}" ],
	[ 'length',              qq({"id": 1, "x": ") . 'x' x 1_000_001 . qq(", $when}) ],
	[ 'a NaN',               qq({"id": 1, "amount": NaN, $when}) ],
	[ 'a text of a number',  qq({"id": "one", $when}) ],
	[ 'an integer overflow', qq({"id": 3000000000, $when}) ],
	[ 'a bigint overflow',   qq({"id": 1, "big": 9223372036854775808, $when}) ],
	[ 'a float overflow',    qq({"id": 1, "real8": 1e400, $when}) ],
	[ 'a broken CHECK',      qq({"id": 1, "amount": 2e9, $when}) ],
	[ 'a broken NOT NULL',   qq({"name": "x", $when}) ],
	[ 'no event time',       '{"id": 1}' ],
	[ 'a NULL event time',   '{"id": 1, "ts": null}' ],
	map { [ "the event time $_", qq({"id": 1, "ts": $_}) ] } qw(
	  "now" "tomorrow" "infinity" "4714-11-24BC" "yesterday" "2024-02-30T00:00:00Z"
	  "9999-12-31T00:00:00Z" 1e300 true 12345 {} ));

kafka_produce('bad', map { [ 1, undef, "key of $_->[0]", $_->[1] ] } @bad);
kcat_produce('bad', 1, qq({"id": 7, "name": "good", "id": 8, $when}));
kcat_send('bad', 0, file_with('bytes', "\xff\xfe\0{"));
sql(q{SELECT weir.wait('bad_view', '1 minute')});

is(sql('SELECT events, names, id FROM bad_view'),
	'1|1|8', 'the good record behind them is aggregated, its last "id" counts');
kcat_load($node, 'postgres', 'bad_dump', 'bad');
my $good = q{position('good'::bytea in value) > 0};
same_rows(
	$node, 'postgres',
	'SELECT topic, partition, "offset", key, value FROM weir.dead_letter',
	qq{SELECT 'bad', partition, "offset", key, value FROM bad_dump WHERE NOT $good},
	'every bad record is a dead letter, with its bytes', min => 1 + @bad);
my %letters = map { split /\|/, $_, 2 } split /\n/, sql(q{
	SELECT "offset", sqlstate, reason FROM weir.dead_letter WHERE partition = 1});
foreach my $i (0 .. $#bad)
{
	like($letters{$i} // 'aggregated',
		qr/^(22|23|54|21)...\|.{5}/, "$bad[$i][0]: " . ($letters{$i} // ''));
}
is(sql('SELECT sum(dead_lettered), sum(read) FROM weir.stat_partition'
		  . q{ WHERE view = 'bad_view'::regclass}),
	(1 + @bad) . '|' . (2 + @bad), 'and is counted');

#
# The broker goes away
#

sql(q{SELECT weir.start_producer('left', 'SELECT i AS id, now() AS ts FROM generate_series(10000, 100000) i ORDER BY i', 'written', 100)});
poll_ok($node, 'postgres', 'SELECT produced > 0 FROM weir.stat_producer', 'a producer sends');
is(sql('SELECT name FROM weir._producer_activity()'), 'left', 'and is known');
is(sql('SET ROLE bob; SELECT count(*) FROM weir._producer_activity()'), '0', 'not to everybody');
kafka_kill();
poll_ok($node, 'postgres', q{SELECT state || ': ' || (error ~ 'refused|brokers are down')::text FROM weir.stat_producer},
	'it shows that the broker is away', 'running: true');
sql(q{SELECT weir.stop_producer('left')});
poll_ok($node, 'postgres', 'SELECT state FROM weir.stat_producer', 'and stops all the same', 'stopped');

# Only this INSERT is to be short of patience, not one that a slow broker gets.
sql(q{ALTER SERVER kafka OPTIONS (ADD message_timeout_ms '3000')});
like(error_of('INSERT INTO written (id, ts) VALUES (3000, now())'),
	qr/ERROR:  could not write to topic "written": (?!\{)/, 'INSERT fails when it cannot be delivered');
sql('ALTER SERVER kafka OPTIONS (DROP message_timeout_ms)');
like(error_of('SELECT * FROM orders'),
	qr/ERROR:  could not/, 'SELECT fails when there is no answer');
kafka_start();
is(sql('SELECT count(*) FROM written WHERE id = 3000'),
	0, 'what was an error was not sent');
sql('INSERT INTO written (id, ts) VALUES (3001, now())');
is(sql('SELECT count(*) FROM written WHERE id = 3001'),
	1, 'the next INSERT finds the broker again');

done_testing();
