# Whatever the values in a group are, its partials find room: states of several
# records that fit no page together, and sums with more digits than a page.
# The records come in several batches, are merged while the window is open, and
# are closed.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

my @pieces = ('1e20000', '-3e131071', '1.5', '1e-16383', '-7.25');

broker_start(1, 'texts:1', 'sums:1');
my $node      = weir_node('main', conf => "weir.batch_time = 20\n");
my $bootstrap = broker_bootstrap();
my $window    = "weir.tumble(ts, '1 hour')";
my %columns   = (
	texts => 'k, count(*) AS n, max(a) AS a, max(b) AS b, min(c) FILTER (WHERE a IS NULL) AS c',
	sums  => 'k, count(*) AS n, sum(x) AS x, avg(x) AS mean, sum(y) AS y');

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# A batch of records that are expressions over i, in the first seconds of 2026.
sub batch
{
	my ($stream, $values, $n) = @_;

	$n //= 1;
	sql(qq{INSERT INTO $stream SELECT '2026-01-01'::timestamptz + i * interval '1 ms', $values
		FROM generate_series(1, $n) i});
	sql("SELECT weir.wait('${stream}_per_hour', '60 s')");
	return;
}

sub is_right
{
	my ($stream, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return same_rows($node, 'postgres', "SELECT * FROM ${stream}_per_hour",
		"SELECT window_start, window_end, $columns{$stream} FROM $stream, $window GROUP BY window_start, window_end, k",
		$name);
}

sql("CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap')");
sql(q{CREATE FOREIGN TABLE texts (ts timestamptz, k text, a text, b text, c text) SERVER kafka OPTIONS (topic 'texts', event_time 'ts')});
sql(q{CREATE FOREIGN TABLE sums (ts timestamptz, k text, x numeric, y numeric) SERVER kafka OPTIONS (topic 'sums', event_time 'ts')});
foreach my $stream (sort keys %columns)
{
	sql(qq{CREATE MATERIALIZED VIEW ${stream}_per_hour WITH (weir.continuous) AS
		SELECT window_start, window_end, $columns{$stream}
		FROM $stream, $window GROUP BY window_start, window_end, k});
}

# Many rows that are not wide, after those that are.
my %narrow = (texts => "'k' || i % 2000, 'a', 'b', 'c'", sums => "'k' || i % 2000, i, NULL");

# Each column's text comes with a record of its own, then with one alone.
my $texts = q{'wide', CASE i % 3 WHEN 0 THEN repeat('a', 5000) END,
	CASE i % 3 WHEN 1 THEN repeat('b', 5000) END,
	CASE i % 3 WHEN 2 THEN repeat('c', 5000) END};

batch('texts', $texts, 6);
is_right('texts', 'states of several records that fit no page together');
batch('texts', $texts, 1) for 1 .. 3;
is_right('texts', 'from several batches, too');

my $pieces = '(ARRAY[' . join(', ', @pieces) . ']::numeric[])[i]';
batch('sums', "'wide', $pieces, -$pieces", scalar(@pieces));
is_right('sums', 'a sum with more digits than a page');
is(sql("SELECT x = " . join(' + ', map { "($_)" } @pieces) . " FROM sums_per_hour WHERE k = 'wide'"), 't',
	'to the last digit');
batch('sums', "'wide', $_, NULL") for @pieces;
is_right('sums', 'from several batches, too');

# Enough rows, and then more of the same groups, for a compaction.
foreach my $stream (sort keys %columns)
{
	my $groups = "SELECT s.groups FROM weir.view_state s JOIN weir.view v USING (closed) WHERE v.view = '${stream}_per_hour'::regclass";

	for (1 .. 20)
	{
		batch($stream, $narrow{$stream}, 2000);
		last if sql($groups) > 0;
	}
	cmp_ok(sql($groups), '>', 0, "the partials of $stream were merged");
	is_right($stream, 'and are what they were');
}
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/could not merge segments|do not fit a page/, 'without an error');

# Closed by a record of another hour.
foreach my $stream (sort keys %columns)
{
	my $values = $narrow{$stream};

	sql(qq{INSERT INTO $stream SELECT '2026-01-01 02:00'::timestamptz, $values FROM generate_series(1, 1) i});
	poll_ok($node, 'postgres', "SELECT weir.closed_to('${stream}_per_hour') >= '2026-01-01 02:00'",
		"the hour of $stream is closed");
	is_right($stream, 'its rows are those of the query');
	is(sql("SELECT sum(dead_lettered) FROM weir.checkpoint WHERE view = '${stream}_per_hour'::regclass"),
		0, 'of all its records');
}

done_testing();
