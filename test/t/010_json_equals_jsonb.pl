
# Our JSON scanner and value parsers give the server's verdict, SQLSTATE and
# values on any bytes.
#
# The oracle is a plain server without the extension: random, mutated and
# hand-picked texts go to test/unit/json_oracle and to jsonb_in and the types'
# input functions, and SQL compares what both made of them.  json's verdict has
# to be equal; the parsers of values may also leave a text to the server, and
# timestamps and epoch numbers may refuse more than the server.
#
# WEIR_TEST_SEED repeats a run, WEIR_TEST_TEXTS sets the number of texts.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{WEIR_TEST_SEED} // int(rand(2**31));
my $ntexts = $ENV{WEIR_TEST_TEXTS} // 240_000;
srand($seed);
note "WEIR_TEST_SEED=$seed WEIR_TEST_TEXTS=$ntexts";

# The wanted fields; none of their names has a dot, a comma or a brace.
my @fields = (
	'a', 'b', 'ab', 'a.b', 'a.b.c', 'timestamp', 'event_type', 'total_amount',
	'total_among', '', 'a.', "\xC3\xA9", "\xF0\x9F\x98\x80", 'a', '"');

# Keys as they may be spelt in a text: those of the fields, and others.
my @keys = (
	'a', 'a', 'a', 'b', 'b', 'c', 'ab', 'abc', 'timestamp', 'event_type',
	'total_amount', 'total_among', '', "\xC3\xA9", '\u00e9', '\u00E9',
	"\xF0\x9F\x98\x80", '\ud83d\ude00', '\u0061', '\u0062', '\u0061b',
	'event\u005ftype', '\"', '\u0022', '\\\\', '\/', 'A',
	'long_key_that_nobody_wants_at_all', "\xE2\x82\xAC");

my @numbers = (
	'0', '-0', '-0.00', '1', '-1', '10', '0.1', '-1.50', '3.14159', '1e2',
	'1E+2', '1e-2', '-0e0', '0.000', '123456789012345678901234567890',
	'1e131071', '0.1e131072', '0.0001e131075', '1e-16383', '0e-16383',
	'0e16384', '0e131072', '0e1000000', '-0e1000000', '0e1073741822',
	'1e00000000000000000002', '1.7976931348623157e308', '9007199254740993');

# Numbers around and beyond what numeric can hold
my @huge_numbers = (
	'1e131072', '0.1e131073', '12e131071', '9.99e131071', '0.0001e131076',
	'1e-16384', '1.5e-16383', '0e-16384', '1e1000000', '1e1073741822',
	'1e1073741823', '0e1073741823', '0e-1073741823',
	'1e99999999999999999999', '0e-99999999999999999999');

my @bad_numbers = (
	'01', '-01', '00', '+1', '.5', '5.', '-', '1e', '1e+', '1.e1', '1_000',
	'0x1F', 'NaN', '-Infinity', 'Infinity', '1.2.3', '--1', '1-2', '1a',
	'1"', "1\xC3\xA9", '1,', '1 2');

my @strings = (
	'', 'x', 'page_view', 'user_0042', '2024-05-01T12:00:00.123Z', 'a b c',
	'0123456789012345', '01234567890123456789', '\n', '\"', '\\\\', '\/',
	'\b\f\n\r\t', '\u0041', '\u00e9', '\u20AC', '\ud83d\ude00', '\uFFFF',
	'\uDBFF\uDFFF', "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x7F",
	"\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "\xEE\x80\x80",
	"0123456789\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC",
	'now', 'tomorrow', 'infinity', '4714-11-24 BC', 'NaN', '1e300');

my @bad_strings = (
	'\u0000', 'x\u0000', '\u0000\ud800', '\ud800', '\udc00', '\ud800x',
	'\ud800\u0041', '\ud800\ud800', '\ude00\ud83d', '\ud800\u0000', '\ud800\n',
	'\ud83d\ude0', '\u', '\u12', '\u12g4', '\U0041', '\x41', '\a', '\\', '\0',
	"\x00", "\x01", "\x1F", "\n", "\t", "\xED\xA0\x80", "\xED\xBF\xBF",
	"\xC0\x80", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF",
	"\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
	"\xF5\x80\x80\x80", "\xFF", "\xFE", "\x80", "\xE2\x82", "\xC3",
	"\xF0\x9F\x98", "\xE2\x82\x22");

# Whole texts with a trap in them
my @traps = (
	'', ' ', "\n\t\r ", "\x0B{}", "\x0C{}", "\xC2\xA0{}", "\xEF\xBB\xBF{}",
	"{}\x00", "\x00", '{}', '[]', '1', '"x"', 'null', 'true', 'nul', 'TRUE',
	'{} {}', '{},', '{}x', '{}}', '{', '}', '[', ']', '[{]', '{[}', '[1,]',
	'[,1]', '[1 2]', '{"a"}', '{"a":}', '{"a":1,}', '{,"a":1}', '{"a" 1}',
	'{"a"::1}', '{a:1}', "{'a':1}", '{1:2}', '{"a":1 "b":2}', '{"a":1;}',
	'{"a":truex}', '{"a":tru}', '{"a":true_}', "{\"a\":true\xC3\xA9}",
	'{"a":true"x"}', '{"a":1}/**/', '{"a":/**/1}', '// x',
	'{"a" "\u0000"}', '{"a":1 "\u0000"}', '{} "\u0000"', '{"\u0000"',
	'["\u0000"', '"\u0000', '{"a":"\u0000', '{"\u0000":}', '[1 "\u0000"]',
	'{"a":1e1000000 x}', '{"a":1e1000000 "x"}', '{"a":1e1000000 "\u0000"}',
	'{"a":1e1000000', '{"a":1e1000000 1e1000000}', '{"a":1e1000000]',
	'{"a":1e1000000 01}', '[1e1000000,x]', '1e1000000', '1e1000000 x',
	'{"a":1e1000000,"b":"\ud800"}', '{"a":{"b":1},"a":{"c":2}}',
	'{"a":{"b":1},"a":3}', '{"a":1,"\u0061":2}', '{"\u0061":2,"a":1}',
	'{"a":{"b":{"c":1}},"a":{"b":{}}}', '{"a":[{"b":1}]}',
	'{"":1,"a":{"":2}}', "{\"a\":\"\xED\xA0\x80\"} x", "x \xFF",
	'{"a":1e1000000} ' . "\xC0\x80", ('[' x 512) . (']' x 512),
	('{"a":' x 512) . '1' . ('}' x 512), '[' x 512,
	'{"a":' . ('9' x 20000) . '}', '{"a":0.' . ('0' x 16382) . '1}',
	'{"a":0.' . ('0' x 16383) . '1}', '{"a":' . ('9' x 131072) . '}',
	'{"a":' . ('9' x 131073) . '}', '{"a":"' . ('x' x 100000) . '"}');

# Deeper than our own limit: the server accepts these, we do not.
my @deep = (
	('[' x 513) . (']' x 513), ('{"a":' x 513) . '1' . ('}' x 513),
	('[' x 5000) . (']' x 5000));

sub pick { return $_[ int(rand(@_)) ]; }

sub space { return rand() < 0.85 ? '' : pick(' ', "\n", "\t", "\r", '   '); }

sub random_string
{
	my $string = '';

	$string .= pick(@strings) for (0 .. int(rand(3)));
	$string .= pick(@bad_strings) if rand() < 0.01;
	return $string;
}

sub random_number
{
	return pick(@bad_numbers) if rand() < 0.01;
	return pick(@huge_numbers) if rand() < 0.01;
	return pick(@numbers) if rand() < 0.4;
	return sprintf('%s%d', pick('', '-'), rand(1000)) if rand() < 0.5;
	return sprintf('%s%.*f', pick('', '-'), int(rand(8)), rand(10000));
}

sub random_value
{
	my ($depth) = @_;
	my $kind = rand();

	if ($depth < 5 && $kind < 0.3)
	{
		return '{' . space() . join(
			space() . ',' . space(),
			map {
				'"' . pick(@keys) . '"' . space() . ':' . space()
				  . random_value($depth + 1)
			} (1 .. int(rand(5)))) . space() . '}';
	}
	if ($depth < 5 && $kind < 0.4)
	{
		return '[' . space() . join(space() . ',' . space(),
			map { random_value($depth + 1) } (1 .. int(rand(4))))
		  . space() . ']';
	}
	return '"' . random_string() . '"' if $kind < 0.65;
	return random_number() if $kind < 0.85;
	return pick('true', 'false', 'null');
}

sub random_event
{
	my @members = map {
		'"' . pick(@keys) . '"' . space() . ':' . space() . random_value(1)
	} (1 .. int(rand(9)));

	return random_value(0) if rand() < 0.05;
	return space() . '{' . join(',' . space(), @members) . '}' . space();
}

# Change a few bytes anywhere, cut, double or splice.
sub mutate
{
	my ($text, $other) = @_;

	for (0 .. int(rand(3)))
	{
		my $at = int(rand(length($text) + 1));
		my $len = int(rand(4));
		my $kind = rand();

		if ($kind < 0.25)
		{
			substr($text, $at, $len) = '';
		}
		elsif ($kind < 0.45)
		{
			substr($text, $at, 0) = pick(
				split(//, "{}[],:\"\\ \n0123456789.-+eEtfnua_\x00\x1F\x80"));
		}
		elsif ($kind < 0.6)
		{
			substr($text, $at, 0) =
			  pick(@bad_strings, @strings, @bad_numbers, @numbers, @huge_numbers);
		}
		elsif ($kind < 0.75)
		{
			substr($text, $at, 1) = chr(int(rand(256)));
		}
		elsif ($kind < 0.85)
		{
			$text = substr($text, 0, $at);
		}
		elsif ($kind < 0.95)
		{
			substr($text, $at, 0) = substr($text, int(rand(length $text)), 8)
			  if length $text;
		}
		else
		{
			$text = substr($text, 0, $at)
			  . substr($other, int(rand(length($other) + 1)));
		}
	}
	return $text;
}

sub json_texts
{
	my ($n) = @_;
	my @texts = @traps;
	my $last = '';

	push @texts, "{\"a\":\"$_\"}", "{\"$_\":1}", "[\"$_\"]", "{\"a\":\"$_"
	  for (@strings, @bad_strings);
	push @texts, "{\"a\":$_}", "[$_]", $_, " $_ " for 
	  (@numbers, @huge_numbers, @bad_numbers);
	while (@texts < $n)
	{
		my $text = random_event();

		push @texts, rand() < 0.5 ? $text : mutate($text, $last);
		$last = $text;
	}
	return @texts;
}

sub random_integer
{
	return pick(
		'32767', '-32768', '32768', '-32769', '2147483647', '-2147483648',
		'2147483648', '-2147483649', '9223372036854775807',
		'-9223372036854775808', '9223372036854775808',
		'-9223372036854775809', '0', '-0', '+0', '', '-', '+', '--1', '0x1F',
		'0b1', '0o7', '1_000', '_1', '00', '0007', '1e3', 'abc', "\xC3\xA9")
	  if rand() < 0.3;
	return pick('', '', '-', '+')
	  . join('', map { int(rand(10)) } (1 .. 1 + int(rand(22))));
}

sub random_decimal
{
	my $text = pick('', '', '', '-', '+')
	  . join('', map { int(rand(10)) } (1 .. 1 + int(rand(12))));

	return pick(
		'NaN', 'nan', 'inf', '-inf', 'Infinity', '-infinity', '.5', '5.', '.',
		'', '-', 'e5', '1e', '1e5x', 'abc', '1e22', '1e23', '9007199254740992',
		'9007199254740993', '16777216', '16777217', '1e10', '1e11', '1e-10',
		'1e-11', '1e400', '1e-400', '-0', '-0.0', '0e400', '4.9e-324',
		'3.4028236e38', '0.1', '0.3', '1.1', '0x1p3', '1_0', "\xC3\xA9")
	  if rand() < 0.2;
	$text .= '.' . join('', map { int(rand(10)) } (1 .. 1 + int(rand(12))))
	  if rand() < 0.7;
	$text .= pick('e', 'E') . pick('', '-', '+') . int(rand(30))
	  if rand() < 0.3;
	return $text;
}

sub random_epoch
{
	my $text;

	return pick(
		'-62135596800', '-62135596800.0000001', '-62135596800.000001',
		'253402300799.999999', '253402300799.9999995', '253402300800',
		'-62135596800000', '253402300799999', '253402300800000',
		'-62135596800000000', '253402300799999999', '253402300800000000',
		'9223372036854775807', '9223372036854775808', 'NaN', '1e300', '1e-300',
		'now', 'infinity', '0', '-0')
	  if rand() < 0.1;
	return random_decimal() if rand() < 0.3;
	$text = pick('', '', '', '-')
	  . join('', map { int(rand(10)) } (1 .. 8 + int(rand(10))));
	$text .= '.' . join('', map { int(rand(10)) } (1 .. 1 + int(rand(8))))
	  if rand() < 0.5;
	$text .= pick('5', '4999', '49999999', '50000001') if rand() < 0.2;
	return $text;
}

sub random_fraction
{
	my $digits =
	  join('', map { int(rand(10)) } (1 .. 1 + int(rand(rand() < 0.8 ? 9 : 30))));

	return pick(
		'.9999995', '.9999994999', '.99999949999999999999', '.0000005',
		'.0000015', '.0000025', '.5', '.000000', '.1234565', '.1234575',
		'.12345650000000000000', '.1234564999999999999999', '.', '.x',
		'.' . ('0' x 90) . '1', '.' . ('3' x 100), '.' . ('3' x 101))
	  if rand() < 0.2;
	return ".$digits";
}

sub random_timestamp
{
	my $text = sprintf(
		'%04d-%02d-%02d',
		pick(1 + int(rand(9999)), 1900, 2000, 2100, 2024, 2023, 1, 9999, 0),
		rand() < 0.97 ? 1 + int(rand(12)) : pick(0, 13, 99),
		rand() < 0.9 ? 1 + int(rand(28)) : pick(0, 29, 30, 31, 32));

	return pick(
		'now', 'today', 'tomorrow', 'yesterday', 'infinity', '-infinity',
		'epoch', 'allballs', '4714-11-24 BC', '2024-01-01', '20240101T000000Z',
		'2024-001', 'Jan 1 2024 00:00', '01/02/2024 00:00', '', ' ',
		'10000-01-01T00:00Z', '294276-12-31T23:59:59Z', 'J2451545')
	  if rand() < 0.03;
	$text .= pick('T', 'T', ' ', 't', rand() < 0.1 ? ('  ', '', 'x', '_') : 'T');
	$text .= sprintf(
		'%02d:%02d',
		rand() < 0.95 ? int(rand(24)) : pick(24, 25, 99),
		rand() < 0.95 ? int(rand(60)) : pick(0, 60, 99));
	$text .= sprintf(':%02d', rand() < 0.9 ? int(rand(60)) : pick(0, 60, 61))
	  if rand() < 0.9;
	$text .= random_fraction() if rand() < 0.6;
	return $text if rand() < 0.2;
	return $text . pick('Z', 'z', '+00', '-00', '+02', '-0330', '+05:45')
	  if rand() < 0.7;
	return $text . pick('+00', '-00', '+02', '-0330', '+05:45',
		'+14', '-12:00', '+15:59', '-15:59', '+16', '+15:60', '+24:00', '+0',
		'+1', '+01:', '+01:0', '+001', '+01:00:00', ' +01', 'ZZ', ' UTC', 'UTC',
		' Europe/Berlin', ' BC', '+', '-', sprintf('%s%02d:%02d', pick('+', '-'),
			rand(16), rand(60)));
}

sub random_uuid
{
	my $text = join('-',
		map { join('', map { pick(0 .. 9, 'a' .. 'f', 'A' .. 'F') } (1 .. $_)) }
		  (8, 4, 4, 4, 12));

	$text =~ s/-//g if rand() < 0.1;
	$text = "{$text}" if rand() < 0.1;
	return $text;
}

sub random_bool
{
	my $text = pick('true', 'false', 'yes', 'no', 'on', 'off', '1', '0', 'x');

	$text = substr($text, 0, int(rand(length($text) + 1))) if rand() < 0.6;
	$text = uc $text if rand() < 0.2;
	$text = pick(' ', "\t", "\x0B", "\xC2\xA0") . $text if rand() < 0.1;
	$text .= pick(' ', "\n", 'x', 'e') if rand() < 0.1;
	return $text;
}

my %generators = (
	int2 => \&random_integer,
	int4 => \&random_integer,
	int8 => \&random_integer,
	float4 => \&random_decimal,
	float8 => \&random_decimal,
	numeric => \&random_decimal,
	bool => \&random_bool,
	timestamp => \&random_timestamp,
	epoch_s => \&random_epoch,
	epoch_ms => \&random_epoch,
	epoch_us => \&random_epoch,
	uuid => \&random_uuid);

# A good text, or one with a byte or two changed into another ASCII character.
sub value_text
{
	my ($type) = @_;
	my $text = $generators{$type}->();

	return $text if rand() < 0.85 || $text =~ /[^\x01-\x7F]/;
	substr($text, int(rand(length($text) + 1)), int(rand(2))) =
	  pick(split(//, " 0123456789.-+eE:TZz_x\t,"))
	  for (0 .. int(rand(2)));
	return $text;
}

# Write all texts to a file: id, type, deep, text in hexadecimal.
sub write_texts
{
	my ($path) = @_;
	my @types = sort keys %generators;
	my $id = 0;

	open my $out, '>', $path or die "could not open $path: $!";
	printf $out "%d\tjson\t%s\n", ++$id, unpack('H*', $_)
	  for json_texts(int($ntexts * 5 / 6));
	printf $out "%d\tjson_deep\t%s\n", ++$id, unpack('H*', $_) for @deep;
	while ($id < $ntexts)
	{
		my $type = $types[ $id % @types ];

		printf $out "%d\t%s\t%s\n", ++$id, $type,
		  unpack('H*', value_text($type));
	}
	close $out or die "could not write $path: $!";
	return;
}

my $schema = <<'SQL';
CREATE TABLE text (id int PRIMARY KEY, type text, hex text);
CREATE TABLE ours (id int PRIMARY KEY, verdict text, result text);
CREATE TABLE field (number int, path text[]);

-- What a parser made of one text, in the words of json_oracle
CREATE FUNCTION server_value(type text, body text) RETURNS text AS $$
BEGIN
	RETURN CASE type
		WHEN 'int2' THEN body::int2::text
		WHEN 'int4' THEN body::int4::text
		WHEN 'int8' THEN body::int8::text
		WHEN 'float4' THEN encode(float4send(body::float4), 'hex')
		WHEN 'float8' THEN encode(float8send(body::float8), 'hex')
		WHEN 'numeric' THEN body::numeric::text
		WHEN 'bool' THEN body::bool::text
		WHEN 'uuid' THEN encode(uuid_send(body::uuid), 'hex')
		WHEN 'timestamp z' THEN
			'z' || encode(timestamptz_send(body::timestamptz), 'hex')
		WHEN 'timestamp l' THEN
			'l' || encode(timestamp_send(body::timestamp), 'hex')
		ELSE server_epoch(body::numeric * CASE type
			WHEN 'epoch_s' THEN 1000000
			WHEN 'epoch_ms' THEN 1000 ELSE 1 END)
		END;
EXCEPTION WHEN OTHERS THEN
	RETURN 'error ' || SQLSTATE;
END $$ LANGUAGE plpgsql;

CREATE FUNCTION server_epoch(micros numeric) RETURNS text AS $$
	SELECT CASE
		WHEN round(micros) BETWEEN
			extract(epoch FROM timestamptz '0001-01-01 00:00Z') * 1000000 AND
			extract(epoch FROM timestamptz '9999-12-31 23:59:59.999999Z')
				* 1000000
		THEN 'z' || encode(timestamptz_send(timestamptz 'epoch' +
			make_interval(days => (round(micros) / 86400000000)::int) +
			(round(micros) - (round(micros) / 86400000000)::int *
				86400000000)::bigint * interval '1 microsecond'), 'hex')
		ELSE 'error 22008' END
$$ LANGUAGE sql;

CREATE FUNCTION server_json(body bytea, OUT verdict text, OUT doc jsonb) AS $$
BEGIN
	doc := convert_from(body, 'UTF8')::jsonb;
	verdict := CASE jsonb_typeof(doc) WHEN 'object' THEN 'ok'
		ELSE '22023' END;
EXCEPTION WHEN OTHERS THEN
	verdict := SQLSTATE;
END $$ LANGUAGE plpgsql;

CREATE FUNCTION json_equals(doc jsonb, path text[], word text) RETURNS bool
AS $$
DECLARE
	key text;
	value jsonb := doc;
	kind text;
	rest text := substr(word, 2);
BEGIN
	FOREACH key IN ARRAY path LOOP
		value := CASE jsonb_typeof(value) WHEN 'object' THEN value -> key END;
	END LOOP;
	kind := jsonb_typeof(value);
	RETURN coalesce(CASE left(word, 1)
		WHEN '-' THEN value IS NULL
		WHEN 'n' THEN kind = 'null'
		WHEN 't' THEN value = 'true'
		WHEN 'f' THEN value = 'false'
		WHEN 's' THEN kind = 'string' AND
			encode(convert_to(value #>> '{}', 'UTF8'), 'hex') = rest
		WHEN '#' THEN kind = 'number' AND value #>> '{}' = rest
		WHEN '~' THEN kind = 'number' AND value #>> '{}' <> rest AND
			value #>> '{}' = rest::numeric::text
		ELSE kind = CASE left(word, 1) WHEN '{' THEN 'object'
				WHEN '[' THEN 'array' END AND
			value = convert_from(decode(rest, 'hex'), 'UTF8')::jsonb
		END, false);
END $$ LANGUAGE plpgsql;

-- Every json text of which we and the server do not say the same
CREATE FUNCTION json_differences(OUT id int, OUT difference text)
RETURNS SETOF record AS $$
	SELECT t.id, coalesce('server: ' || s.verdict || ', we: ' || o.verdict,
						  'nothing')
	FROM text t LEFT JOIN ours o USING (id),
		 LATERAL server_json(decode(t.hex, 'hex')) s
	WHERE t.type = 'json' AND o.verdict IS DISTINCT FROM s.verdict
	UNION ALL
	SELECT t.id, 'field ' || f.number || ': ' || f.path::text
	FROM text t JOIN ours o USING (id),
		 LATERAL server_json(decode(t.hex, 'hex')) s,
		 LATERAL string_to_table(o.result, ' ') WITH ORDINALITY r (word, n)
		 FULL JOIN field f ON f.number = r.n
	WHERE t.type = 'json' AND o.verdict = 'ok' AND s.verdict = 'ok'
		AND NOT coalesce(json_equals(s.doc, f.path, r.word), false)
$$ LANGUAGE sql;

-- Every value that we take and the server takes otherwise or not at all, or
-- that we refuse for a reason that is not the server's.  An epoch number may
-- have an exponent beyond numeric's where it is, or is rounded to, 0.
CREATE FUNCTION value_differences(OUT id int, OUT difference text)
RETURNS SETOF record AS $$
	SELECT t.id, t.type || ' "' || b.body || '": server ' || s.value ||
		', we ' || o.verdict || ' ' || o.result
	FROM text t JOIN ours o USING (id),
		 LATERAL (SELECT convert_from(decode(t.hex, 'hex'), 'UTF8')) b (body),
		 LATERAL (SELECT server_value(CASE t.type WHEN 'timestamp' THEN
					'timestamp ' || coalesce(nullif(left(o.result, 1), ''),
											 'z')
					ELSE t.type END, b.body)) s (value)
	WHERE t.type NOT LIKE 'json%' AND NOT CASE
		WHEN t.type LIKE 'epoch%' AND o.verdict = 'ok' AND
			s.value = 'error 22003' AND
			b.body ~ '[eE]-|^[-+]?[0.]+[eE]' THEN
			o.result = server_epoch(0)
		WHEN o.verdict = 'ok' THEN o.result = s.value
		WHEN o.verdict = 'fallback' THEN
			t.type NOT LIKE 'epoch%' AND t.type NOT IN ('timestamp', 'bool')
		WHEN t.type = 'timestamp' THEN o.verdict = 'bad' OR
			s.value IN ('error 22008', 'error 22009')
		WHEN t.type LIKE 'epoch%' AND o.verdict = 'bad' THEN
			b.body !~ '^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$'
		WHEN t.type LIKE 'epoch%' THEN
			s.value IN ('error 22008', 'error 22003')
		WHEN o.verdict = 'bad' THEN s.value = 'error 22P02'
		WHEN o.verdict = 'range' THEN s.value = 'error 22003'
		END
$$ LANGUAGE sql;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir;
system_or_bail('make', '-s', '-C', "$FindBin::RealBin/../unit", "BIN=$dir",
	"$dir/json_oracle");
write_texts("$dir/in");
{
	open my $out, '>', "$dir/plain" or die "could not open $dir/plain: $!";
	open my $in, '<', "$dir/in" or die "could not open $dir/in: $!";
	while (my $line = <$in>)
	{
		$line =~ s/\tjson_deep\t/\tjson\t/;
		print $out $line;
	}
	close $out;
	close $in;
}
ok( IPC::Run::run(
		[ "$dir/json_oracle", @fields ],
		'<', "$dir/plain", '>', "$dir/out"),
	'json_oracle answers');

my $node = PostgreSQL::Test::Cluster->new('oracle');
$node->init(extra => [ '--encoding', 'UTF8', '--locale', 'C' ]);
$node->append_conf('postgresql.conf', "fsync = off\ntimezone = 'UTC'\n"
	  . "log_min_messages = fatal\nlog_min_error_statement = panic\n");
$node->start;
$node->safe_psql('postgres', $schema);
$node->safe_psql('postgres', "COPY text FROM '$dir/in'");
$node->safe_psql('postgres', "COPY ours FROM '$dir/out'");
for my $i (0 .. $#fields)
{
	my $hexes = join ', ',
	  map { "convert_from('\\x" . unpack('H*', $_) . "', 'UTF8')" }
	  split(/\./, $fields[$i], -1);

	$hexes ||= "''";
	$node->safe_psql('postgres',
		"INSERT INTO field VALUES ($i + 1, ARRAY[$hexes])");
}
$node->safe_psql('postgres', 'ANALYZE');

# The first few differences, with the text itself
sub differences
{
	my ($function) = @_;

	return $node->safe_psql('postgres',
		    "SELECT id, difference, left(hex, 400) FROM $function() d"
		  . " JOIN text USING (id) ORDER BY length(hex), id LIMIT 20");
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM ours'),
	$ntexts, 'an answer for each text');
is(differences('json_differences'), '', "json's verdict and values are jsonb's");
is(differences('value_differences'),
	'', "values are those of the types' input functions");
is( $node->safe_psql(
		'postgres',
		"SELECT count(*), count(*) FILTER (WHERE o.verdict = '54001'"
		  . " AND (server_json(decode(t.hex, 'hex'))).doc IS NOT NULL)"
		  . " FROM text t JOIN ours o USING (id) WHERE type = 'json_deep'"),
	scalar(@deep) . '|' . scalar(@deep),
	'what is nested too deep for us is refused with a code of its own');

# A test in which all texts are bad, or none, would show little.
is( $node->safe_psql(
		'postgres',
		q{SELECT string_agg(code, ' ' ORDER BY code)
		FROM (VALUES ('ok'), ('22P02'), ('22P05'), ('22021'), ('22003'),
			('22023')) c (code)
		WHERE (SELECT count(*) FROM ours JOIN text USING (id)
			WHERE type = 'json' AND verdict = code) < 20}),
	'', 'each verdict occurs often enough to mean something');
is( $node->safe_psql(
		'postgres',
		q{SELECT string_agg(type, ' ') FROM (
			SELECT type FROM ours JOIN text USING (id)
			WHERE type NOT LIKE 'json%' GROUP BY type
			HAVING count(*) FILTER (WHERE verdict = 'ok') <
				count(*) / 10) t}),
	'', 'each parser takes its share of texts itself');
note $node->safe_psql(
	'postgres',
	q{SELECT string_agg(format('%s %s %s', type, verdict, n), E'\n'
		ORDER BY type, verdict)
	FROM (SELECT type, verdict, count(*) AS n FROM ours JOIN text USING (id)
		GROUP BY 1, 2) c});

$node->stop;
done_testing();
