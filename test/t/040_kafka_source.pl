# A topic read and written through librdkafka, against a client that shares no
# code with it: nothing is left out, whoever is killed; nobody hangs.

use strict;
use warnings;
use IO::Socket::INET;
use Socket;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

need_kafka();
kafka_start();
kafka_topic('made', 4);
kafka_topic('killed', 4);
kafka_topic('rows', 2);
kafka_topic('quiet', 1);

my $seed = $ENV{WEIR_SEED} // int(rand(1 << 31));
srand($seed);
diag("WEIR_SEED=$seed");

my $node = weir_node('main', restart_after_crash => 1);
my $bootstrap = kafka_bootstrap();
my $columns = q{value bytea OPTIONS (metadata 'value'),
	key bytea OPTIONS (metadata 'key'), p int OPTIONS (metadata 'partition'),
	o bigint OPTIONS (metadata 'offset'), error text OPTIONS (metadata 'error')};

sub topic_stream
{
	my ($name, $topic, $server) = @_;

	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE $name ($columns) SERVER $server OPTIONS (topic '$topic')"
	);
	return;
}

# An address that takes no connection: its backlog is full.
my $hole = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1)
  or die "no socket: $!";
my @waiting = map {
	IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $hole->sockport,
		Blocking => 0)
} 1 .. 8;

$node->safe_psql(
	'postgres', qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE SERVER refused FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '127.0.0.1:1');
	CREATE SERVER hole FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '127.0.0.1:${\ $hole->sockport}');
	CREATE FOREIGN TABLE gen ($columns) SERVER generator
		OPTIONS (kind 'ecommerce', partitions '4', rate '10000', seed '$seed',
			start '2026-01-01 00:00:00+00', "limit" '1000000',
			poison_fraction '0.0001', late_fraction '0.001');
	CREATE FOREIGN TABLE rows (id int, name text, gone text OPTIONS (field 'a.gone'),
		deep text OPTIONS (field 'a.deep'), key text OPTIONS (metadata 'key'))
		SERVER kafka OPTIONS (topic 'rows');
	});
topic_stream('made', 'made', 'kafka');
topic_stream('killed', 'killed', 'kafka');
topic_stream('missing', 'missing', 'kafka');
topic_stream('quiet_up', 'quiet', 'kafka');
topic_stream('quiet_refused', 'quiet', 'refused');
topic_stream('quiet_hole', 'quiet', 'hole');

# A million messages of a generator, the poisoned ones as they are.
$node->safe_psql('postgres', "SELECT weir.start_producer('g', 'gen', 'made')");
poll_ok($node, 'postgres',
	"SELECT state FROM weir.stat_producer WHERE name = 'g'",
	'the producer stops at the limit', 'stopped');
is(kcat_count('made'), 1_000_000, 'kcat counts what the generator has');
ok($node->log_contains(qr/LOG:  producer "g" produced 1000000 events, [1-9]\d* events\/s/),
	'the log has how many were produced, and how fast');
is($node->safe_psql('postgres', 'SELECT count(*) FROM made'),
	1_000_000, 'the source gives as many');
kcat_load($node, 'postgres', 'made_oracle', 'made');
same_rows(
	$node, 'postgres',
	'SELECT p, o, md5(value) AS value, md5(key) AS key FROM gen',
	'SELECT partition, "offset", md5(value) AS value, md5(key) AS key FROM made_oracle',
	'the topic holds the bytes of the generator',
	min => 1_000_000);
same_rows(
	$node, 'postgres',
	'SELECT p, o, md5(value) AS value, md5(key) AS key FROM made',
	'SELECT partition, "offset", md5(value) AS value, md5(key) AS key FROM made_oracle',
	'the source gives the bytes that kcat sees',
	min => 1_000_000);

# Killed again and again it sends some twice, but leaves none out.
$node->safe_psql('postgres',
	"SELECT weir.start_producer('k', 'gen', 'killed', 100000)");
for my $kill (1 .. 3)
{
	my $goal = int(rand(200_000)) + ($kill - 1) * 200_000;

	poll_ok($node, 'postgres',
		"SELECT pid IS NOT NULL AND produced >= $goal FROM weir.stat_producer WHERE name = 'k'",
		"kill $kill: $goal are produced");
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM weir.stat_producer WHERE name = 'k'");
	kill 'KILL', $pid;
	$node->poll_query_until('postgres',
		"SELECT pg_postmaster_start_time() IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)");
	$node->poll_query_until('postgres', 'SELECT true');
}
poll_ok($node, 'postgres',
	"SELECT state FROM weir.stat_producer WHERE name = 'k'",
	'the killed producer stops at the limit', 'stopped');
kcat_load($node, 'postgres', 'killed_oracle', 'killed');
same_rows(
	$node, 'postgres',
	'SELECT DISTINCT p, md5(value) FROM gen',
	'SELECT DISTINCT partition, md5(value) FROM killed_oracle',
	'a killed producer leaves nothing out',
	min => 900_000);

# A query, stopped and taken up again.
$node->safe_psql(
	'postgres', q{
	CREATE TABLE src AS
		SELECT i AS id, 'n"' || i AS name, NULL AS gone, 'd' AS deep,
			(i % 7)::text AS key
		FROM generate_series(1, 5000) i;
	SELECT weir.start_producer('q', 'SELECT * FROM src ORDER BY id', 'rows', 2000)});
poll_ok($node, 'postgres',
	"SELECT produced > 0 FROM weir.stat_producer WHERE name = 'q'",
	'a query is under way');
$node->safe_psql('postgres', "SELECT weir.stop_producer('q')");
poll_ok($node, 'postgres',
	"SELECT pid IS NULL FROM weir.stat_producer WHERE name = 'q'",
	'it stops');
my $sent = kcat_count('rows');
is( $node->safe_psql('postgres',
		"SELECT produced FROM weir.stat_producer WHERE name = 'q'"),
	$sent,
	'a stopped producer knows what it has sent');
$node->safe_psql('postgres',
	"SELECT weir.start_producer('q', 'SELECT * FROM src ORDER BY id', 'rows')"
);
poll_ok($node, 'postgres',
	"SELECT state FROM weir.stat_producer WHERE name = 'q'",
	'it stops at its end', 'stopped');
is(kcat_count('rows'), 5000, 'each row is sent once');
kcat_load($node, 'postgres', 'rows_oracle', 'rows');
same_rows(
	$node,
	'postgres',
	'SELECT id, name, deep, gone, key FROM src',
	q{SELECT (j->>'id')::int AS id, j->>'name' AS name, j#>>'{a,deep}' AS deep,
		j#>>'{a,gone}' AS gone, k
	  FROM (SELECT convert_from(value, 'UTF8')::jsonb AS j,
			convert_from(key, 'UTF8') AS k FROM rows_oracle) r},
	'rows are objects by field, keys are keys',
	min => 5000);
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT key FROM rows_oracle GROUP BY key HAVING count(DISTINCT partition) > 1) k'
	),
	0,
	'a key stays in its partition');

# Errors say what is wrong, and say it soon.
sub fails
{
	my ($query, $error, $within, $name) = @_;
	my $begin = time;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', $query);

	like($stderr, $error, $name);
	cmp_ok(time - $begin, '<', $within, "$name: within $within s");
	return;
}

fails('SELECT * FROM missing', qr/topic "missing" does not exist/,
	10, 'unknown topic');
fails('SELECT * FROM quiet_refused', qr/Connection refused/,
	15, 'scan, refused');
fails("INSERT INTO quiet_refused (value) VALUES ('x')",
	qr/Connection refused/, 15, 'insert, refused');
fails("INSERT INTO quiet_up (p, value) VALUES (99, 'payload')",
	qr/could not write to topic "quiet": Local: Unknown partition/,
	15, 'a partition that the topic does not have: the reason, not the payload');
fails("SELECT weir.start_producer('x', 'SELECT 1; SELECT 2', 'rows')",
	qr/a producer's source is not one query/, 15, 'two queries');
fails("SELECT weir.start_producer('x', 'SELECT 1 AS nope', 'rows')",
	qr/column "nope" of stream .* does not exist/,
	15, 'a column that the stream does not have');

# Whoever is told to go goes, whatever the broker does.
for my $server ('up', 'refused', 'hole')
{
	$node->safe_psql('postgres',
		"SELECT weir.start_producer('t_$server', 'SELECT i::text::bytea AS value FROM generate_series(1, 1000000) i', 'quiet_$server', 10)"
	);
	poll_ok(
		$node,
		'postgres',
		"SELECT pid IS NOT NULL OR error IS NOT NULL FROM weir.stat_producer WHERE name = 't_$server'",
		"$server: the worker has begun");
	my $begin = time;
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid, 5000) FROM weir.stat_producer WHERE name = 't_$server' AND pid IS NOT NULL"
	);
	cmp_ok(time - $begin, '<', 2.5, "$server: the worker goes in time");
	$node->safe_psql('postgres', "SELECT weir.stop_producer('t_$server')");
}

$node->stop('fast');
done_testing();
