# A topic read and written as a table: every kind of message has its verdict,
# INSERT is delivered when it returns, and what is not there is said.

use strict;
use warnings;
use IPC::Run;
use Test::More;
use WeirTest;

my $node = weir_node('main');

sub sql
{
	return $node->safe_psql('postgres', shift);
}

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', shift);

	return $status == 0 ? "no error: $out" : $err;
}

broker_start(1, 'good:3', 'messages:1', 'empty:2');
my $bootstrap = broker_bootstrap();

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE good (
		id int NOT NULL, name text CHECK (name <> 'forbidden'), amount numeric(10, 2), ts timestamptz OPTIONS (unit 'ms'),
		deep jsonb OPTIONS (field 'a.b'),
		k text OPTIONS (metadata 'key'), p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset')
	) SERVER kafka OPTIONS (topic 'good', event_time 'ts');
	CREATE FOREIGN TABLE messages (
		id int, name text, amount numeric(6, 2), ts timestamptz OPTIONS (unit 'ms'), o bigint OPTIONS (metadata 'offset'),
		error text OPTIONS (metadata 'error')
	) SERVER kafka OPTIONS (topic 'messages', event_time 'ts');
	CREATE FOREIGN TABLE empty (id int) SERVER kafka OPTIONS (topic 'empty');
});

# What goes in comes out, and is there when INSERT returns.
sql(q{
	CREATE TABLE rows AS SELECT i AS id, 'name ' || i AS name, i / 100.0 AS amount,
		timestamptz '2024-01-01 00:00Z' + i * interval '1 second' AS ts, to_jsonb(i) AS deep, 'key' || i % 10 AS k
	FROM generate_series(1, 5000) i;
	INSERT INTO good (id, name, amount, ts, deep, k) SELECT * FROM rows;
});
is(kcat_count('good', bootstrap => $bootstrap), 5000, 'all is delivered when INSERT returns');
same_rows($node, 'postgres',
	'SELECT id, name, amount, ts, deep, k FROM good',
	'SELECT id, name, amount::numeric(10, 2), ts, deep, k FROM rows',
	'what goes in comes out');
is(sql('SELECT count(*) FROM (SELECT k FROM good GROUP BY k HAVING count(DISTINCT p) > 1) x'),
	'0', 'a key has one partition');
is(sql('SELECT count(*) = 10 AND min(o) = 5 AND max(o) = 14 FROM good WHERE p = 1 AND o BETWEEN 5 AND 14'),
	't', 'conditions on partition and offset');
is(sql(q{SELECT string_agg(id::text, ',') FROM (SELECT id FROM weir.tail(NULL::good, 5000)
	EXCEPT SELECT id FROM rows) x}), '', 'the tail has the rows');
is(sql('SELECT sum(high - low) FROM weir.partitions(\'good\')'), '5000', 'the ends');
is(sql(q{SELECT partitions FROM weir.topics('kafka') WHERE topic = 'good'}), '3', 'the topics');
is(sql('SELECT count(*) FROM empty'), '0', 'an empty topic has an end');
like(error_of('INSERT INTO good (id, o) VALUES (1, 5)'), qr/cannot be sent/, 'an offset cannot be chosen');
like(error_of('INSERT INTO good (name) VALUES (1)'), qr/not-null/, 'NOT NULL holds on the way out');
like(error_of(q{INSERT INTO good (id, name) VALUES (1, 'forbidden')}), qr/check constraint/, 'CHECK holds on the way out');
is(kcat_count('good', bootstrap => $bootstrap), 5000, 'what is refused is not sent');

# A broker that refuses a part: INSERT is an error that says why; a reader goes on.
broker('error Produce 1 TOPIC_AUTHORIZATION_FAILED');
like(error_of(q{INSERT INTO good (id, name) VALUES (6000, 'refused')}), qr/ERROR:  could not write to topic "good": Broker: Topic authorization failed$/,
	'a delivery that is refused is an error of INSERT, and says why');
broker('clear Produce');
broker('error Produce 3 NOT_LEADER_FOR_PARTITION');
sql(q{INSERT INTO good (id, name, ts) VALUES (6001, 'sent again', '2024-01-01 02:00Z')});
is(sql('SELECT count(*) FROM good WHERE id > 5000'), '1', 'one that may be tried again is, and arrives once');
sql(q{CREATE MATERIALIZED VIEW per_day WITH (weir.continuous, weir.lateness = '10000 hours') AS
	SELECT window_start, window_end, count(*) AS n FROM good, weir.tumble(ts, '24 hours') GROUP BY window_start, window_end;
	SELECT weir.wait('per_day', '1 minute')});
my $sent = 5001;
foreach my $fault ('error Fetch 3 NOT_LEADER_FOR_PARTITION', 'error Fetch 2 _TRANSPORT', 'error ListOffsets 3 UNKNOWN_TOPIC_OR_PART')
{
	broker($fault);
	sql(q{INSERT INTO good (id, ts, p) SELECT i, '2024-01-01 01:00Z', i % 2 FROM generate_series(1, 60) i});
	$sent += 60;
	poll_ok($node, 'postgres', 'SELECT sum(n) FROM per_day', "$fault: the view has all of it", $sent);
}
poll_ok($node, 'postgres', q{SELECT status, error IS NULL FROM weir.stat_view}, 'and no error is left', 'running|t');
is(sql(q{SELECT (SELECT sum(read) FROM weir.checkpoint) = (SELECT sum(high) FROM weir.partitions('good'))}),
	't', 'each record was read once');
sql('DROP VIEW per_day');

# Every message, and what it has to give: id|name|amount|epoch|error.
my $ts = '1700000000000';
my @cases = (
	[ qq({"id": 1, "name": "ok", "ts": $ts}), '1|ok||1700000000|' ],
	[ qq({"id": "2", "name": 1e3, "amount": 1.50, "ts": "$ts"}), '2|1000|1.50|1700000000|' ],
	[ qq({"id": 3.0, "name": 1.50, "ts": "2024-01-01T00:00:00+02:00"}),
		'|1.50||1704060000|invalid value for column "id" of type integer' ],
	[ q({"name": true, "amount": "12.345", "ts": "2024-01-01 00:00"}), '|true|12.35|1704067200|' ],
	[ qq({"id": 2147483648, "ts": $ts}), '|||1700000000|value out of range for column "id" of type integer' ],
	[ qq({"amount": 123456789012.5, "ts": $ts}),
		'|||1700000000|value out of range for column "amount" of type numeric(6,2)' ],
	[ qq({"amount": "NaN", "ts": $ts}),
		'|||1700000000|value out of range for column "amount" of type numeric(6,2)' ],
	[ qq({"name": "\\u0000", "ts": $ts}), '||||\u0000 cannot be stored in text' ],
	[ qq({"name": "\\ud83d", "ts": $ts}), '||||high surrogate without a low one' ],
	[ qq({"name": "\\u0041\\n", "ts": $ts}), "|A\n||1700000000|" ],
	[ qq({"name": "\xff", "ts": $ts}), '||||invalid UTF-8' ],
	[ qq({"name": {"a": [1, 2.0]}, "ts": $ts}), '|{"a": [1, 2.0]}||1700000000|' ],
	[ '{"ts": 1e400}', '||||value out of range for column "ts" of type timestamp with time zone' ],
	[ '{"ts": -1}', '||||event time outside of the years 1970 to 2200' ],
	[ '{"ts": "now"}', '||||invalid value for column "ts" of type timestamp with time zone' ],
	[ '{"ts": "infinity"}', '||||invalid value for column "ts" of type timestamp with time zone' ],
	[ '{"id": 15}', '||||no event time' ],
	[ '{"x": ' . '[' x 600 . ']' x 600 . '}', '||||JSON text is nested too deep' ],
	[ '[]', '||||not a JSON object' ],
	[ 'nope', '||||invalid token' ],
	[ qq({"id": 1, "id": 20, "ts": 1.7e12}), '20|||1700000000|' ]);

my $lines = join '', map { "$_->[0]\n" } @cases;
IPC::Run::run([ 'kcat', '-b', $bootstrap, '-P', '-t', 'messages', '-p', 0 ], '<', \$lines)
  or die 'kcat failed';
sql(q{CREATE TABLE found AS SELECT o, concat_ws('|', coalesce(id::text, ''), coalesce(name, ''),
	coalesce(amount::text, ''), coalesce(extract(epoch FROM ts)::bigint::text, ''), coalesce(error, '')) AS row FROM messages});
for my $i (0 .. $#cases)
{
	my $name = substr($cases[$i][0], 0, 60) =~ s/[^ -~]/?/gr;

	is(sql("SELECT row FROM found WHERE o = $i"), $cases[$i][1], $name);
}

# What is not there.
sql(q{CREATE SERVER dead FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '127.0.0.1:9');
	CREATE FOREIGN TABLE dead (a text) SERVER dead OPTIONS (topic 'x')});
like(error_of('SELECT * FROM dead'), qr/refused/, 'SELECT without a broker');
like(error_of(q{INSERT INTO dead VALUES ('x')}), qr/refused/, 'INSERT without a broker');

broker_stop();
done_testing();
