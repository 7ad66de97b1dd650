# IMPORT FOREIGN SCHEMA: the columns of a topic are inferred from its newest
# messages, lose nothing of them, and make none of them bad.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use Time::HiRes qw(time);
use WeirTest;
use PostgreSQL::Test::Utils;

need_kafka();

my $seed = $ENV{SEED} // int(rand(1 << 30));
srand($seed);
diag("SEED=$seed");

kafka_start();

my $node      = weir_node('main');
my $bootstrap = kafka_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# What the server says about a statement, whether it fails or not.
sub said
{
	my ($statement) = @_;
	my (undef, undef, $stderr) =
	  $node->psql('postgres', "SET DateStyle = ISO; $statement");
	return $stderr;
}

sub import_topic
{
	my ($topic, %opts) = @_;
	my $options = $opts{options} ? "OPTIONS ($opts{options})" : '';

	return said(qq{IMPORT FOREIGN SCHEMA kafka LIMIT TO ("$topic")
		FROM SERVER kafka INTO public $options});
}

# A topic with these values, spread over its partitions.
sub topic_with
{
	my ($topic, $partitions, @values) = @_;
	my $n = 0;

	kafka_topic($topic, $partitions, 'max.message.bytes=4000000');
	kafka_produce($topic, map { [ $n++ % $partitions, undef, undef, $_ ] } @values);
	return;
}

# "name type, ..." of a table, with the column options and the table's own.
sub columns_of
{
	my ($table) = @_;

	return sql(qq{
		SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
			|| coalesce(' ' || attfdwoptions::text, ''), ', ' ORDER BY attnum)
		FROM pg_attribute
		WHERE attrelid = '"$table"'::regclass AND attnum > 0 AND NOT attisdropped});
}

sub options_of
{
	my ($table) = @_;

	return sql(qq{SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = '"$table"'::regclass});
}

# Tests that every message has a row and every field of every object is in its
# column, by what kcat reads and jsonb makes of it.
sub holds_everything
{
	my ($topic, %opts) = @_;

	kcat_load($node, 'postgres', 'dump', $topic);
	sql(qq{
		CREATE TABLE doc AS SELECT partition, "offset",
			convert_from(value, 'UTF8')::jsonb AS doc
		FROM dump WHERE value IS NOT NULL;
		ALTER FOREIGN TABLE "$topic"
			ADD COLUMN weir_p int OPTIONS (metadata 'partition'),
			ADD COLUMN weir_o bigint OPTIONS (metadata 'offset')});
	is(said(qq{SELECT count(*) FROM (SELECT * FROM "$topic" OFFSET 0) t}), '',
		"$topic: no message is bad");
	sql(qq{CREATE TABLE got AS SELECT * FROM "$topic"});

	# A column's value as jsonb would show it; NULL and absent are the same.
	my $pairs = sql(qq{
		SELECT string_agg(format('(%L, CASE WHEN %I IS NULL THEN NULL ELSE %s END)',
			coalesce((SELECT option_value FROM pg_options_to_table(attfdwoptions)
				WHERE option_name = 'field'), attname),
			attname,
			CASE WHEN atttypid = 'text'::regtype THEN format('%I', attname)
				WHEN atttypid = 'timestamptz'::regtype THEN format('to_char(%I AT TIME ZONE ''UTC'', ''YYYY-MM-DD HH24:MI:SS.US'')', attname)
				ELSE format('to_jsonb(%I) #>> ''{}''', attname) END
			|| CASE WHEN atttypid = 'timestamptz'::regtype THEN ' || '' at''' ELSE '' END), ', ')
		FROM pg_attribute WHERE attrelid = '"$topic"'::regclass AND attnum > 0
			AND NOT EXISTS (SELECT FROM pg_options_to_table(attfdwoptions) WHERE option_name = 'metadata')});
	same_rows(
		$node, 'postgres', qq{
		SELECT weir_p, weir_o, field, value
		FROM got, LATERAL (VALUES $pairs) c (field, value) WHERE value IS NOT NULL},
		q{
		SELECT d.partition, d."offset", f.key,
			CASE WHEN jsonb_typeof(d.doc->f.key) = 'string' AND EXISTS
				(SELECT FROM pg_attribute WHERE attrelid = 'got'::regclass
					AND attname = f.key AND atttypid = 'timestamptz'::regtype)
			THEN to_char((f.value #>> '{}')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' at'
			ELSE f.value #>> '{}' END
		FROM doc d, jsonb_each(d.doc) f WHERE f.value <> 'null'
		} . ($opts{twice} ? qq{
		UNION ALL SELECT partition, "offset", '$opts{twice}', doc->>'$opts{twice}' FROM doc
		WHERE doc ? '$opts{twice}'} : ''),
		"$topic: every field is in its column", min => $opts{min} // 1);
	sql('DROP TABLE dump, doc, got');
	return;
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	});

#
# The guide's events
#

topic_with(
	'streaming-events', 4,
	map {
		sprintf '{"event_id": "e%d", "event_type": "%s", "user_id": %d, '
		  . '"timestamp": "2024-03-01T10:%02d:%02d.%03dZ", "device": "phone", '
		  . '"total_amount": %s, "items": [{"id": %d}], "returning": %s}',
		  $_, $_ % 2 ? 'view' : 'purchase', $_ % 50, $_ / 60 % 60, $_ % 60,
		  $_ % 1000, $_ % 3 ? "$_.50" : $_, $_, $_ % 2 ? 'true' : 'false'
	} 1 .. 2000);
my $said = import_topic('streaming-events', options => "watermark_delay '5 minutes'");
is( columns_of('streaming-events'),
	'event_id text, event_type text, user_id bigint, "timestamp" timestamp with time zone, '
	  . 'device text, total_amount numeric, items jsonb, "returning" boolean',
	'names and types of the guide\'s events');
is(options_of('streaming-events'),
	'{topic=streaming-events,event_time=timestamp,"watermark_delay=5 minutes"}',
	'topic, proposed event time, and the option that was given');
is($said,
	qq{psql:<stdin>:2: NOTICE:  the event time of stream public."streaming-events" is column "timestamp"\n}
	  . qq{HINT:  To choose another: ALTER FOREIGN TABLE public."streaming-events" OPTIONS (SET event_time '...');},
	'one NOTICE: which column is the event time');
my $view = q{CREATE MATERIALIZED VIEW per_minute WITH (weir.continuous) AS
	SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue
	FROM "streaming-events", weir.tumble("timestamp", '1 minute')
	GROUP BY window_start, window_end, event_type};
my $plan = sql("EXPLAIN ANALYZE $view");
like($plan, qr/^  Topic: streaming-events$/m, 'a dry run of a view over it');
like($plan, qr/^  Newest Records Read: 2000\n  Aggregated: 2000\n/m, 'reads it');
sql($view);
sql(q{SELECT weir.wait('per_minute', '2 minutes')});
same_rows(
	$node, 'postgres', 'SELECT * FROM per_minute', q{
	SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue
	FROM "streaming-events", weir.tumble("timestamp", '1 minute')
	GROUP BY window_start, window_end, event_type},
	'a continuous view over it equals its query', min => 60);
sql('DROP VIEW per_minute');
holds_everything('streaming-events', min => 2000 * 8);

#
# Types: never one that loses something
#

topic_with(
	'types', 1,
	'{"small": 1, "big": 9223372036854775807, "huge": 9223372036854775808, "fraction": 1, '
	  . '"exponent": 1e3, "tiny": 1e-30, "zero": -0, "mixed": 1, "nothing": null, "sometimes": null, '
	  . '"object": {"a": [1, {"b": "\u00e9"}]}, "both": [], "flag": true, "flagged": true, '
	  . '"text": "a\\n\\"b\\u20ac", "at": "2024-01-01T00:00:00+02:00", "day": "2024-01-01", '
	  . '"not_always": "2024-01-01T00:00:00Z", "exact": "2024-01-01T00:00:00.123456789Z", '
	  . '"old": "1815-12-10T00:00:00Z", "same": 1, "same": "last", '
	  . '"created_ms": 1704067200000, "count": 1704067200000, "seconds_at": 1704067200, "number_as": "17"}',
	'{"small": -5, "big": -9223372036854775808, "huge": 1, "fraction": 1.10, '
	  . '"exponent": 2e0, "tiny": 1, "zero": 0, "mixed": "x", "nothing": null, "sometimes": 3, '
	  . '"object": {}, "both": {"x": null}, "flag": false, "flagged": "yes", '
	  . '"text": "", "at": "2024-01-01T00:00:00.000001Z", "day": "2024-01-02", '
	  . '"not_always": "soon", "exact": "2024-01-01T00:00:01Z", '
	  . '"old": "1852-11-27T00:00:00Z", "same": "x", '
	  . '"created_ms": 1704067200001, "count": 1704067200002, "seconds_at": 1704067201, "number_as": "18"}');
$said = import_topic('types');
is( columns_of('types'),
	join(', ',
		'small bigint', 'big bigint', 'huge numeric', 'fraction numeric',
		'exponent bigint', 'tiny numeric', 'zero bigint', 'mixed text',
		'nothing text', 'sometimes bigint', 'object jsonb', '"both" jsonb',
		'flag boolean', 'flagged text', 'text text',
		'at timestamp with time zone', 'day text', 'not_always text',
		'exact timestamp with time zone', 'old timestamp with time zone',
		'same text', 'created_ms bigint', 'count bigint', 'seconds_at bigint',
		'number_as text', 'exact_text text {field=exact}'),
	'types: as narrow as nothing is lost');
is(options_of('types'), '{topic=types,event_time=at}',
	'event time: the first that can be, without a telling name');
like($said,
	qr/"mixed" of stream public.types is text: its field has several types\n.*number in 1, string in 1\./,
	'mixed types are text, and a NOTICE says which');
like($said, qr/"flagged" .* several types\n.*string in 1, boolean in 1\./,
	'a boolean and a string, too');
like($said, qr/"nothing" .* is text: its field is null wherever it is/, 'null only');
like($said, qr/"exact" of stream public.types is also kept as text, in column "exact_text"/,
	'times finer than microseconds');
like($said, qr/is column "at"\n.*Other times are: "exact", "old"\./, 'which other times there are');
unlike($said, qr/"(same|count|small|text|number_as)"/, 'nothing about what is plain');
my ($hint) = $said =~ /"created_ms" of stream public.types looks like milliseconds since 1970\n.*: (ALTER .*;)/;
ok($hint, 'integers that look like times: a hint') or diag($said);
like($said, qr/"seconds_at" .* seconds since 1970/, 'and seconds');
holds_everything('types', min => 40, twice => 'exact');
sql($hint);
is(sql('SELECT min(created_ms) FROM types'), '2024-01-01 00:00:00+00', 'the hint, typed as it is, works');
like(options_of('types'), qr/event_time=created_ms/, 'and makes it the event time');

#
# Event time
#

topic_with('two_times', 2, map {
	qq({"created_at": "2024-01-01 00:00:0$_", "ts": "2024-01-01T00:00:0${_}Z", "b": $_})
} 0 .. 5);
$said = import_topic('two_times');
like(options_of('two_times'), qr/event_time=ts/, 'the better name wins');
like($said, qr/column "created_at" .* has times without a zone/, 'no zone: a NOTICE');
holds_everything('two_times', min => 18);

topic_with('gaps', 1, '{"ts": "2024-01-01T00:00:00Z", "a": 1}', '{"a": 2}',
	'{"ts": null, "a": 3}');
$said = import_topic('gaps');
is( columns_of('gaps'),
	'ts timestamp with time zone, a bigint, kafka_timestamp timestamp with time zone {metadata=timestamp}',
	'a time that is not in every message is not proposed: Kafka\'s');
like($said, qr/no column of stream public.gaps can be its event time\n.*: "ts"\./, 'and a NOTICE says why');
like($said, qr/the event time of stream public.gaps is the record's Kafka timestamp/, 'CREATE\'s own NOTICE');
holds_everything('gaps', min => 4);
is(sql(q{EXPLAIN (COSTS OFF) SELECT count(*) FROM gaps, weir.tumble(kafka_timestamp, '1 minute')}) ne '',
	1, 'it has a column for windows');

#
# Names
#

my $long = 'x' x 62;
my @names = (
	'userId', 'userid', 'USERID', 'select', 'a b', 'semi;colon', 'quote"d',
	"it's", 'a.b', 'ctid', 'tableoid', "${long}xx", "${long}xy",
	"\xc3\xa9t\xc3\xa9" x 12, 'kafka_value', '1st', '$1', '%I', 'back\\\\slash',
	'new\\nline', '\\u0061', '); DROP TABLE victim; --', "'); DROP TABLE victim; --",
	'weird\\u2028', ' ', '""');
s/"/\\"/g foreach @names;
sql('CREATE TABLE victim ()');
topic_with('names', 1,
	map { my $m = $_; '{' . join(', ', map { qq("$names[$_]": ) . ($_ + $m) } 0 .. $#names) . '}' } 1, 2);
$said = import_topic('names');
is(sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'names'::regclass AND attnum > 0}),
	@names + 1, 'every name has a column, and there is kafka_timestamp') or diag($said);
like(columns_of('names'), qr/"a\.b" bigint, ctid_1 bigint \{field=ctid\}, tableoid_1 bigint/,
	'a dot is no path where the name is the column\'s own; system names are mapped');
like(columns_of('names'), qr/${long}x bigint \{field=${long}xx\}, x{61}_1 bigint \{field=${long}xy\}/,
	'names that are too long are cut, and stay different');
is(sql("SELECT count(*) FROM pg_class WHERE relname = 'victim'"), 1, 'no name is a command');
holds_everything('names', min => 2 * @names);

topic_with('odd', 1, qq({"": 1, "$long.$long": 2, "plain": 3}), '{"plain": 4}');
$said = import_topic('odd');
is(columns_of('odd'),
	'plain bigint, kafka_timestamp timestamp with time zone {metadata=timestamp}, kafka_value text {metadata=value}',
	'what cannot be a column is in kafka_value');
like($said, qr/some fields of topic "odd" have no column of their own\nDETAIL:  No column can stand for: "", "$long\.$long"\./,
	'and is named');
is(sql(q{SELECT sum((kafka_value::jsonb->>'')::int), sum(plain) FROM odd}), '1|7', 'nothing is lost');

topic_with('many', 2, map { my $m = $_; '{' . join(',', map { qq("f${m}_$_": $_) } 1 .. 600) . '}' } 1 .. 3);
$said = import_topic('many');
like($said, qr/There are more than 1000 fields/, 'too many fields: said');
is(sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'many'::regclass AND attnum > 0}),
	1002, 'a thousand columns, kafka_timestamp and kafka_value');
is(sql('SELECT count(*) FROM (SELECT * FROM many) m'), 3, 'and it can be read');

#
# Keys, headers, tombstones, bad messages
#

kafka_topic('keyed', 2);
kafka_produce('keyed', [ 0, undef, 'k1', '{"a": 1}' ], [ 1, undef, "\xff", '{"a": 2}' ],
	[ 0, undef, 'k2', undef ], [ 1, undef, undef, '{"a": ' ], [ 1, undef, undef, '[1]' ]);
$said = import_topic('keyed');
is( columns_of('keyed'),
	'a bigint, kafka_key bytea {metadata=key}, kafka_timestamp timestamp with time zone {metadata=timestamp}',
	'keys that are no text are bytea');
like($said, qr/2 of the newest 4 messages of topic "keyed" are bad\nDETAIL:  The first, at partition 1 offset \d: /,
	'bad messages: how many, where, why');
is(sql('SELECT count(*), sum(a) FROM keyed'), '2|3', 'the others are read');

kafka_topic('headed', 1);
{
	my $file = PostgreSQL::Test::Utils::tempdir('files') . '/value';
	append_to_file($file, '{"a": 1}');
	system_or_bail('kcat', '-q', '-b', $bootstrap, '-P', '-t', 'headed', '-p', '0',
		'-k', 'key', '-H', 'trace=17', $file);
}
import_topic('headed');
is(sql(q{SELECT a, kafka_key, kafka_headers->>'trace' FROM headed}), '1|key|17', 'key and headers');

topic_with('lines', 1, 'first line', 'second, line');
$said = import_topic('lines');
like($said, qr/topic "lines" has no JSON objects: its stream is of format raw/, 'all bad: format raw');
is(sql('SELECT value FROM lines ORDER BY 1'), "first line\nsecond, line", 'which reads them');
topic_with('bytes', 1, "\x00\xff", "\xfe");
import_topic('bytes');
is(sql('SELECT value FROM bytes ORDER BY 1'), "\\x00ff\n\\xfe", 'no text: bytea');
topic_with('scalars', 1, '1', '"two"', '[3]');
import_topic('scalars');
is(sql(q{SELECT count(value::jsonb) FROM scalars}), 3, 'JSON, but no objects: text that jsonb takes');

kafka_topic('empty', 2);
$said = import_topic('empty');
like($said, qr/topic "empty" has no messages to infer columns from/, 'an empty topic: said');
is( columns_of('empty'),
	'kafka_key text {metadata=key}, kafka_timestamp timestamp with time zone {metadata=timestamp}, '
	  . 'kafka_value text {metadata=value}',
	'and a table of what every message has');

my $huge = 'x' x 1_500_000;
topic_with('huge', 1, qq({"a": "$huge"}), '{"a": "small"}');
$said = import_topic('huge');
like($said, qr/1 of the newest 2 messages .*\nDETAIL:.*longer than max_message_bytes/, 'a message that is too long');
sql('DROP FOREIGN TABLE huge');
is(import_topic('huge', options => q{max_message_bytes '2000000'}) =~ /bad/, '', 'unless that is raised');
is(sql('SELECT max(length(a)) FROM huge'), 1_500_000, 'then it is read');

#
# Options, and which topics
#

# Old messages had another type: only the newest are looked at.
topic_with('changed', 2, (map { qq({"v": "old$_"}) } 1 .. 40), map { qq({"v": $_}) } 1 .. 20);
import_topic('changed', options => q{sample '20'});
like(columns_of('changed'), qr/^v bigint/, 'only the newest of each partition are the sample');
sql('DROP FOREIGN TABLE changed');
import_topic('changed', options => q{sample '100000', on_error 'skip'});
like(columns_of('changed'), qr/^v text/, 'a greater sample sees more');
like(options_of('changed'), qr/on_error=skip/, 'other options are the tables\'');
sql('DROP FOREIGN TABLE changed');

# Partitions of different size share the sample.
kafka_topic('uneven', 3);
kafka_produce('uneven', [ 0, undef, undef, '{"a": 1}' ],
	map { [ 2, undef, undef, $_ < 50 ? '{"b": 1}' : '{"c": 1}' ] } 1 .. 100);
import_topic('uneven', options => q{sample '52'});
like(columns_of('uneven'), qr/^(?=.*a bigint)(?=.*c bigint)(?!.*b bigint)/, 'what one partition has not, another gives');

like(said(q{DROP FOREIGN TABLE lines; IMPORT FOREIGN SCHEMA kafka LIMIT TO (lines) FROM SERVER kafka INTO public
	OPTIONS (format 'json')}), qr/2 of the newest 2 messages .* bad/, 'a format that was asked for stays');
sql('DROP FOREIGN TABLE two_times');
is(import_topic('two_times', options => q{event_time 'created_at', timezone 'Europe/Berlin'})
	  =~ /event time/, '', 'an event time that is given is not proposed');
is(sql('SELECT min(created_at) FROM two_times'), '2023-12-31 23:00:00+00', 'and options are obeyed');

like(import_topic('nowhere'), qr/ERROR:  topic "nowhere" does not exist\nHINT:  .*weir\.topics\('kafka'\)/,
	'a topic that is not there');
like(said('IMPORT FOREIGN SCHEMA shop FROM SERVER kafka INTO public'),
	qr/ERROR:  schema "shop" is not present.*\n.*Kafka has no schemas.*\nHINT:  Write IMPORT FOREIGN SCHEMA kafka/,
	'Kafka has no schemas');
like(import_topic('types', options => q{sample '0'}), qr/ERROR:  invalid value for option "sample".*\nHINT:  It must be an integer from 1/, 'a bad sample');
like(import_topic('types', options => q{topic 'types'}), qr/ERROR:  option "topic" is not allowed for IMPORT.*\nHINT:.*LIMIT TO/, 'no topic option');
like(import_topic('types', options => q{samples '5'}), qr/ERROR:  invalid option "samples"/, 'an unknown option');
like(import_topic('types', options => q{event_time 'huge'}), qr/ERROR:  relation "types" already exists/, 'a table that is there');
sql('CREATE SCHEMA other');
like(said(q{IMPORT FOREIGN SCHEMA kafka LIMIT TO (gaps) FROM SERVER kafka INTO other OPTIONS (event_time 'a')}),
	qr/ERROR:  event time column "a" of stream other.gaps is not of type timestamp/,
	'the table is checked as CREATE checks it');

# All topics but some; internal ones stay out unless named.
sql(q{CREATE SCHEMA "so; many"});
my $tables = sub {
	return sql(qq{SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class
		WHERE relnamespace = '"so; many"'::regnamespace AND relkind = 'f'});
};
kafka_topic('__hidden', 1);
kafka_produce('__hidden', [ 0, undef, undef, '{"a": 1}' ]);
kafka_topic(('t' x 63) . $_, 1) foreach 'a', 'b';
my $all = join ' ', sort qw(streaming-events types two_times gaps names odd many keyed headed
  lines bytes scalars empty huge changed uneven), 't' x 63;
$said = said(q{IMPORT FOREIGN SCHEMA kafka EXCEPT (odd, "streaming-events") FROM SERVER kafka INTO "so; many" OPTIONS (sample '10')});
is($tables->(), $all =~ s/odd |streaming-events //gr, 'all topics but EXCEPT, and no internal one');
like($said, qr/topic "t{63}b" is left out/, 'two topics whose names begin alike: one, said');
sql(q{IMPORT FOREIGN SCHEMA kafka LIMIT TO (__hidden) FROM SERVER kafka INTO "so; many"});
like($tables->(), qr/__hidden/, 'an internal topic by name');

# Any names of server and schema.
sql(qq{CREATE SERVER "ka'f""ka; \\" FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap');
	CREATE SCHEMA "a ""b"});
sql(q{IMPORT FOREIGN SCHEMA kafka LIMIT TO (odd) FROM SERVER "ka'f""ka; \\" INTO "a ""b"});
is(sql(q{SELECT sum(plain) FROM "a ""b".odd}), 7, 'names of servers and schemas that need quoting');

# Who may.
sql('CREATE ROLE nobody; GRANT ALL ON SCHEMA public TO nobody');
like(said('SET ROLE nobody; IMPORT FOREIGN SCHEMA kafka FROM SERVER kafka INTO public'),
	qr/ERROR:  permission denied for foreign server kafka/, 'USAGE on the server is needed');

#
# Random messages
#

sub random_value
{
	my ($depth) = @_;
	my @kinds = (
		sub { int(rand(2000)) - 1000 },
		sub { int(rand(1000)) . '.' . int(rand(1000)) },
		sub { (int(rand(9)) + 1) . 'e' . (int(rand(40)) - 20) },
		sub { '-' . (1 + int(rand(9))) . join '', map { int(rand(10)) } 1 .. 15 + rand(10) },
		sub { rand() < 0.5 ? 'true' : 'false' },
		sub { 'null' },
		sub { '"' . join('', map { ('a', ' ', '\\n', '\\u00fc', "\xe2\x82\xac", '1', '\\"')[ rand 7 ] } 1 .. rand(8)) . '"' },
		sub { sprintf '"2024-%02d-%02dT%02d:%02d:%02d%s%s"', 1 + rand(12), 1 + rand(28), rand(24), rand(60), rand(60),
			('', '.5', '.123456')[ rand 3 ], ('Z', '+02:00', '-0330')[ rand 3 ] },
		sub { $depth > 2 ? '[]' : '[' . join(', ', map { random_value($depth + 1) } 1 .. rand(3)) . ']' },
		sub { $depth > 2 ? '{}' : random_object($depth + 1) });
	return $kinds[ rand @kinds ]->();
}

sub random_object
{
	my ($depth) = @_;
	return '{' . join(', ', map { '"k' . int(rand(6)) . '": ' . random_value($depth) } 1 .. rand(4)) . '}';
}

foreach my $round (1 .. 5)
{
	# Every field has a few makers of values, so that many fields keep a type.
	my @makers = map {
		my $kept = random_value(0);
		rand() < 0.5 ? sub { random_value(0) } : sub { $kept }
	} 0 .. 11;
	my @objects = map {
		'{' . join(', ', map { rand() < 0.2 ? () : qq("F$_": ) . $makers[$_]->() } 0 .. $#makers) . '}'
	} 1 .. 300;

	topic_with("random$round", 3, @objects);
	import_topic("random$round");
	holds_everything("random$round", min => 500);
}

#
# No answer
#

kafka_signal('STOP');
my $begun = time;
like(import_topic('types', options => q{}), qr/ERROR:  could not ask server "kafka" for its topics.*\nHINT:  Check the server's option bootstrap_servers/s,
	'a broker that does not answer');
cmp_ok(time - $begun, '<', 60, 'the wait is bounded');
$begun = time;
like(said(q{SET statement_timeout = '2s'; IMPORT FOREIGN SCHEMA kafka FROM SERVER kafka INTO other}),
	qr/ERROR:  canceling statement due to statement timeout/, 'and can be interrupted');
kafka_signal('CONT');
kafka_stop();
like(import_topic('types'), qr/ERROR:  could not ask server "kafka" for its topics/, 'no broker at all');
like(sql("EXPLAIN $view"), qr/^Continuous View: public\.per_minute$/m, 'a dry run needs no broker');
like(said("EXPLAIN ANALYZE $view"), qr/ERROR:  could not .* topic "streaming-events"/, 'unless it reads');
is($tables->() =~ tr/ //, 15 + 1 - 1, 'a failed import leaves nothing');

done_testing();
