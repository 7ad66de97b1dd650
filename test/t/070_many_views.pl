# Many views on one stream: they join one pass over it, wait for a place,
# leave it one by one without harm to the others, and lose nothing whatever
# their history was.

use strict;
use warnings;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

use constant { CATCH_UP => 2, VIEWS => 20 };

my $rate = 3000;
my $node = weir_node('main', conf => 'weir.max_catch_up = ' . CATCH_UP . '
weir.max_rate = 20000
weir.batch_rows = 5000
weir.batch_time = 100
');

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# Everything the view shows is what its query gives.
sub equals_batch
{
	my ($view, $name, %opts) = @_;

	sql("SELECT weir.wait('$view', '120 s')");
	return same_rows($node, 'postgres', "SELECT * FROM $view",
		"SELECT * FROM weir_data.${view}_query", $name, %opts);
}

# What the engine knows of a view: its rows, and where each record went.
my $counters = q{SELECT partition, start, next_offset, max_event_time,
	max_timestamp, read, aggregated, filtered, late, dead_lettered, skipped,
	tombstones, gaps, partly_late, late_closed
	FROM weir.checkpoint WHERE view = '%s'::regclass};

# Tests that two views of the same query have come to the same.
sub same_history
{
	my ($a, $b, $name) = @_;

	same_rows($node, 'postgres', "SELECT * FROM $a", "SELECT * FROM $b",
		"$name: same rows", min => 100);
	same_rows(
		$node, 'postgres',
		sprintf($counters, $a),
		sprintf($counters, $b),
		"$name: same counters",
		min => 3);
	foreach my $rejects ('late_event', 'dead_letter')
	{
		my $columns = $rejects eq 'late_event' ? 'late_bound' : 'sqlstate';
		my $select  = qq{SELECT partition, "offset", $columns
			FROM weir.$rejects WHERE view = '%s'::regclass};
		same_rows(
			$node, 'postgres',
			sprintf($select, $a),
			sprintf($select, $b),
			"$name: same $rejects",
			min => 10);
	}
	return;
}

my $columns = q{event_id text, event_type text, user_id text, device text,
	location text, total_amount numeric, quantity int,
	ts timestamptz OPTIONS (field 'timestamp'),
	p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset')};

sql(qq{
	CREATE FOREIGN TABLE events ($columns) SERVER generator OPTIONS (
		kind 'ecommerce', start '-20 seconds', rate '$rate',
		"limit" '@{[ $rate * 75 ]}', partitions '3', users '50',
		skew '3,1,0.5',
		event_time 'ts', disorder '2 seconds', watermark_delay '2 seconds');
	CREATE FUNCTION price(numeric) RETURNS numeric
		LANGUAGE sql IMMUTABLE AS 'SELECT \$1';
	});

#
# Twenty views, one by one, while the stream flows
#

my @windows = (
	"weir.tumble(ts, '1 second')",
	"weir.hop(ts, '6 seconds', '2 seconds')",
	"weir.tumble(ts, '10 seconds')",
	"weir.hop(ts, '5 seconds', '3 seconds')");
my @keys = ('event_type', 'user_id', 'device, location', 'upper(event_type)',
	'p');
my ($most_readers, %seen) = (0);

# How many readers are catching up, and which statuses there are, right now.
sub look
{
	my ($catching_up, @statuses) = split /,/, sql(q{
		SELECT count(*) FILTER (WHERE NOT main) || ',' ||
		       (SELECT string_agg(DISTINCT status, ',') FROM weir.stat_view)
		FROM weir.stat_worker WHERE kind = 'reader'});
	$most_readers = max($most_readers, $catching_up);
	$seen{$_} = 1 foreach @statuses;
	return;
}

sub create_view
{
	my ($view, $window, $key, $value) = @_;

	sql(qq{CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, $key, count(*) AS events,
		       sum($value) AS revenue, max(ts) AS last
		FROM events, $window
		GROUP BY window_start, window_end, $key});
	return;
}

create_view(
	"v$_",
	$windows[ $_ % @windows ],
	$keys[ $_ % @keys ],
	$_ == 7 ? 'price(total_amount)' : 'total_amount'), look()
  foreach 1 .. VIEWS;

my $joined = q{SELECT count(*) FROM weir.stat_view
	WHERE main AND status = 'running'};
my $deadline = time() + 60;
while (sql($joined) != VIEWS && time() < $deadline)
{
	look();
}
is(sql($joined), VIEWS, 'all views have joined the main reader');
cmp_ok($most_readers, '>', 0,         'some were catching up meanwhile');
cmp_ok($most_readers, '<=', CATCH_UP, 'but never more than weir.max_catch_up');
ok($seen{queued}, 'others were queued');
poll_ok($node, 'postgres',
	q{SELECT count(*) FROM weir.stat_worker WHERE kind = 'reader'},
	'one reader is left', '1');

# Decoded once for all: what main reads over some time is what is produced,
# once it has read again what the last ones to join had not.
sql("SELECT weir.wait('v$_', '60 s')") foreach 1 .. VIEWS;
# Both numbers are taken when it has just read all, or its delay would count.
sub decoded_and_produced
{
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	for (;;)
	{
		my ($decoded, $produced, $lag) = split /\|/, sql(q{
			SELECT w.records, p.high, p.high - (SELECT sum(next_offset)
				FROM weir.checkpoint WHERE view = 'v1'::regclass)
			FROM weir.stat_worker w, (SELECT sum(high) AS high
				FROM weir.partitions('events')) p
			WHERE kind = 'reader' AND main});
		return ($decoded, $produced) if $lag < $rate / 3;
		die "the main reader is $lag records behind" if time() > $deadline;
	}
}
my ($records, $end) = decoded_and_produced();
poll_ok($node, 'postgres',
	"SELECT sum(high) >= $end + 15000 FROM weir.partitions('events')",
	'the stream flows on');
my ($records_later, $end_later) = decoded_and_produced();
my $ratio = ($records_later - $records) / ($end_later - $end);
note(sprintf('%d records decoded of %d produced for %d views',
		$records_later - $records, $end_later - $end, VIEWS));
cmp_ok($ratio, '>', 0.85, 'the main reader decodes all records');
cmp_ok($ratio, '<', 1.15, 'but each only once');

#
# One is paused, one fails: the others go on
#

sql("SELECT weir.pause('v4')");
sql(q{CREATE OR REPLACE FUNCTION price(numeric) RETURNS numeric
	LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN RAISE 'the price list is gone'; END $$});
poll_ok($node, 'postgres',
	q{SELECT status || ' ' || sqlstate || ' ' || error FROM weir.stat_view
	  WHERE view = 'v7'::regclass},
	'a view whose function raises fails', 'failed P0001 the price list is gone');
like(sql("SELECT string_agg(w, ' ') FROM weir.why('v7') w"),
	qr/failed at .* with P0001: the price list is gone/, 'weir.why says so');
my $stopped_at = sql(q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition)
	FROM weir.checkpoint WHERE view IN ('v4'::regclass, 'v7'::regclass)});

sql("SELECT weir.wait('v1', '120 s')");
is( sql(q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition)
	FROM weir.checkpoint WHERE view IN ('v4'::regclass, 'v7'::regclass)}),
	$stopped_at, 'neither of the two moves');
poll_ok($node, 'postgres',
	"SELECT sum(high) = $rate * 75 FROM weir.partitions('events')",
	'the stream has come to its end');
foreach my $i (grep { $_ != 4 && $_ != 7 } 1 .. VIEWS)
{
	equals_batch("v$i", "view $i equals its query", min => 20);
}
isnt(sql("SELECT sum(events) FROM v4"),
	sql("SELECT sum(events) FROM weir_data.v4_query"),
	'the paused view has not read all');

sql("SELECT weir.resume('v4')");
sql(q{CREATE OR REPLACE FUNCTION price(numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE AS 'SELECT $1'});
sql("SELECT weir.resume('v7')");
equals_batch('v4', 'the paused view equals its query once resumed', min => 20);
equals_batch('v7', 'the failed view equals its query once mended', min => 20);
is( sql(q{SELECT count(*), sum(late), sum(late_closed), sum(dead_lettered),
	bool_and(read = aggregated + filtered + late + dead_lettered + skipped + tombstones),
	bool_and(next_offset - start = read + gaps) FROM weir.checkpoint}),
	join('|', VIEWS * 3, 0, 0, 0, 't', 't'),
	'no record was late, and both laws hold');
is(sql('SELECT count(*) FROM weir.exception'), '0', 'nothing depended on a clock');
sql('DROP FOREIGN TABLE events CASCADE');

#
# Whatever a view's history, its rows and counters are the same
#

my $limit = 90000;
sql(qq{
	CREATE FOREIGN TABLE noisy ($columns) SERVER generator OPTIONS (
		kind 'ecommerce', start '-2 seconds', rate '$rate',
		"limit" '$limit', partitions '3', users '20',
		event_time 'ts', disorder '1 second', watermark_delay '1 second',
		late_fraction '0.02', late_by '6.2 seconds', poison_fraction '0.002');
	});

sub create_twin
{
	my ($view) = @_;

	sql(qq{CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, user_id, count(*) AS events,
		       sum(total_amount) AS revenue
		FROM noisy, weir.hop(ts, '6 seconds', '2 seconds')
		GROUP BY window_start, window_end, user_id});
	return;
}

sub read_at_least
{
	my ($view, $n) = @_;

	poll_ok($node, 'postgres',
		"SELECT sum(read) >= $n FROM weir.checkpoint
		 WHERE view = '$view'::regclass",
		"$view has read $n records");
	return;
}

# One is alone, is joined, left behind, and joins again; the other joins, is
# left alone, and is joined again; the third never meets anybody.
create_twin('first');
read_at_least('first', 3000);
create_twin('second');
poll_ok($node, 'postgres',
	q{SELECT count(DISTINCT pid) = 1 AND bool_and(main) FROM weir.stat_view},
	'second joins first');
read_at_least('first', 15000);
sql("SELECT weir.pause('first')");
my $behind = sql("SELECT sum(next_offset) FROM weir.checkpoint WHERE view = 'first'::regclass");
read_at_least('second', 35000);
cmp_ok(
	sql("SELECT sum(next_offset) FROM weir.checkpoint WHERE view = 'first'::regclass"),
	'==', $behind, 'first is left behind');
is( sql(q{SELECT count(*) FROM weir.stat_view WHERE pid IS NOT NULL}),
	'1', 'second is alone');
sql("SELECT weir.resume('first')");
poll_ok($node, 'postgres',
	q{SELECT count(DISTINCT pid) = 1 AND count(pid) = 2 AND bool_and(main)
	  FROM weir.stat_view},
	'first joins again');
cmp_ok(
	sql("SELECT sum(next_offset) FROM weir.checkpoint WHERE view = 'first'::regclass"),
	'<', $limit, 'before the end of the stream');
poll_ok($node, 'postgres',
	"SELECT sum(high) = $limit FROM weir.partitions('noisy')",
	'the stream has come to its end');
sql("SELECT weir.wait('$_', '60 s')") foreach 'first', 'second';
sql("SELECT weir.pause('$_')") foreach 'first', 'second';
create_twin('third');
sql("SELECT weir.wait('third', '60 s')");
same_history('first',  'third', 'left behind');
same_history('second', 'third', 'left alone');
is( sql('SELECT count(*) FROM weir.checkpoint WHERE late > 10 AND partly_late > 10
		 AND dead_lettered > 5 AND late_closed = 0'),
	'9', 'with late, partly late and bad records in every partition');

$node->stop;
done_testing();
