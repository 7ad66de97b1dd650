# Watermarks, late records and idle partitions against a model that is written
# here, record by record, from the words of the specification.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use List::Util qw(max min sum0);
use POSIX qw(floor);
use Test::More;
use WeirTest;

my $seed = $ENV{SEED} // int(rand(2**31));
note("SEED=$seed");

my ($second, $minute) = (1_000_000, 60_000_000);

# The ends of the windows that a time is in, the least first.
sub ends
{
	my ($t, $size, $slide) = @_;
	my $end = floor(($t - $size) / $slide) * $slide + $slide + $size;
	my @ends;

	for (; $end <= $t + $size; $end += $slide)
	{
		push @ends, $end;
	}
	return @ends;
}

# What becomes of the records: [partition, offset, Kafka timestamp, event time
# or undef for a bad one], each partition in the order of its offsets.  stored
# is undef, or the late bounds that a view had by "partition:offset", which
# may lie beyond those that follow from the log where a window was closed.
# Gives rows by window end, the law by partition, the late bounds, and the
# greatest event times.
sub model
{
	my ($records, $window, $stored) = @_;
	my ($size, $slide, $delay, $lateness, $max_future) =
	  @$window{qw(size slide delay lateness max_future)};
	my (%rows, %law, %late, %top);

	foreach my $record (@$records)
	{
		my ($p, $o, $stamp, $t) = @$record;
		my $law = $law{$p} //= { map { $_ => 0 }
			  qw(read aggregated late dead_lettered partly_late late_closed) };

		$law->{read}++;
		if (!defined $t)
		{
			$law->{dead_lettered}++;
			next;
		}
		my $w = defined $top{$p} ? $top{$p} - $delay : undef;
		my $seen = defined $max_future ? min($t, $stamp + $max_future) : $t;
		my @ends = ends($t, $size, $slide);
		my $bound = max(grep { defined $w && $_ + $lateness <= $w } @ends);

		$top{$p} = max($seen, $top{$p} // $seen);
		if ($stored && exists $stored->{"$p:$o"}
			&& (!defined $bound || $stored->{"$p:$o"} > $bound))
		{
			$bound = $stored->{"$p:$o"};
			$law->{late_closed}++;
		}
		my @counted = grep { !defined $bound || $_ > $bound } @ends;

		$law->{ @counted ? 'aggregated' : 'late' }++;
		$law->{partly_late}++ if @counted && @counted < @ends;
		$late{"$p:$o"} = $bound if defined $bound;
		$rows{$_}++ foreach @counted;
	}
	return (\%rows, \%law, \%late, \%top);
}

# The watermark of the view and what is closed by it, without idle partitions.
sub watermark
{
	my ($top, $partitions, $window) = @_;

	return undef if grep { !defined $top->{$_} } @$partitions;
	return min(map { $top->{$_} } @$partitions) - $window->{delay};
}

sub closed_to
{
	my ($w, $window) = @_;

	return max(grep { $_ + $window->{lateness} <= $w }
		ends($w - $window->{lateness} - $window->{size}, @$window{qw(size slide)}));
}

#
# The model itself, by the example of the specification
#

# 10:mm:ss as microseconds.
sub at
{
	my ($minutes, $seconds) = @_;
	return 10 * 60 * $minute + $minutes * $minute + $seconds * $second;
}

my %example = (size => 2 * $minute, slide => $minute, delay => $minute,
	lateness => 0, max_future => undef);
my @example = (
	[ 0, 0, 0, at(0, 30) ],
	[ 0, 1, 0, at(3, 10) ],
	[ 0, 2, 0, at(0, 40) ],
	[ 0, 3, 0, at(1, 50) ],
	[ 1, 0, 0, at(0, 50) ]);
my ($rows, $law, $late, $top) = model(\@example, \%example);
is_deeply($law->{0}, { read => 4, aggregated => 3, late => 1,
		partly_late => 1, dead_lettered => 0, late_closed => 0 },
	'example: 4 = 3 + 1 late');
is_deeply($late, { '0:2' => at(2, 0), '0:3' => at(2, 0) }, 'example: late bounds');
is(watermark($top, [ 0, 1 ], \%example), at(-1, 50), 'example: the first watermark');
is(closed_to(at(-1, 50), \%example), at(-1, 0), 'example: closed to 09:59');
($rows, $law, $late, $top) =
  model([ @example, [ 1, 1, 0, at(4, 0) ] ], \%example);
is(watermark($top, [ 0, 1 ], \%example), at(2, 10), 'example: the second watermark');
is(closed_to(at(2, 10), \%example), at(2, 0), 'example: closed to 10:02');
is($rows->{ at(2, 0) }, 2, 'example: [10:00,10:02) counts p0:0 and p1:0');

#
# Views against the model
#

my $node = weir_node('main', conf => "weir.batch_rows = 333\n");

my %kinds = (
	tumble => { size => 1, slide => 1, lateness => 0 },
	hop => { size => 5, slide => 1, lateness => 0 },
	patient => { size => 5, slide => 1, lateness => 1.5 });

# A stream, and a view of each kind over it; unit is a window's slide.
sub create
{
	my ($stream, $unit, %options) = @_;
	my %all = (
		kind => 'ecommerce', event_time => 'ts', seed => $seed,
		start => '2024-03-01T00:00:00Z', rate => 2, limit => 9000,
		partitions => 3, skew => '5,3,0.5', poison_fraction => 0.01, %options);
	my $list = join ', ', map { qq{"$_" '$all{$_}'} } sort keys %all;
	my $sql = qq{
		CREATE FOREIGN TABLE $stream (
			ts timestamptz OPTIONS (field 'timestamp'),
			p int OPTIONS (metadata 'partition'),
			o bigint OPTIONS (metadata 'offset'),
			kts timestamptz OPTIONS (metadata 'timestamp'),
			error text OPTIONS (metadata 'error')) SERVER generator OPTIONS ($list);};

	foreach my $kind (sort keys %kinds)
	{
		my ($size, $slide, $lateness) = map { $_ * $unit / $second . ' seconds' }
		  @{ $kinds{$kind} }{qw(size slide lateness)};
		my $window = $size eq $slide ? "weir.tumble(ts, '$size')"
		  : "weir.hop(ts, '$size', '$slide')";

		$sql .= qq{
			CREATE MATERIALIZED VIEW ${stream}_$kind
			WITH (weir.continuous, weir.lateness = '$lateness') AS
			SELECT window_start, window_end, count(*) AS n FROM $stream, $window
			GROUP BY window_start, window_end;};
	}
	$node->safe_psql('postgres', $sql);
	return;
}

sub us
{
	my ($time) = @_;
	return "round(extract(epoch FROM $time) * 1000000)::bigint";
}

sub lines
{
	my ($sql) = @_;
	return map { [ map { $_ eq '' ? undef : $_ } split /\|/, $_, -1 ] }
	  split /\n/, $node->safe_psql('postgres', $sql);
}

# Compare all views of a stream with the model; stored says that windows may
# have been closed by a clock.  Returns the sums of the counters.
sub compare
{
	my ($stream, $unit, $options, $name, $stored) = @_;
	my @records = lines("SELECT p, o, @{[ us('kts') ]}, @{[ us('ts') ]}
		FROM $stream ORDER BY p, o");
	my %sums;

	foreach my $kind (sort keys %kinds)
	{
		my $view = "${stream}_$kind";
		my %window = (%$options,
			map { $_ => $kinds{$kind}{$_} * $unit } keys %{ $kinds{$kind} });
		my %bounds = map { ("$_->[0]:$_->[1]" => $_->[2]) }
		  lines(qq{SELECT partition, "offset", @{[ us('late_bound') ]}
			FROM weir.late_event WHERE view = '$view'::regclass});
		my ($rows, $law, $late, $top) =
		  model(\@records, \%window, $stored ? \%bounds : undef);
		my %got = map { ($_->[0] => $_->[1]) }
		  lines("SELECT @{[ us('window_end') ]}, n FROM $view");
		my @columns = qw(read aggregated late dead_lettered partly_late late_closed);
		my %got_law = map {
			my ($p, @counts) = @$_;
			my %counts;
			@counts{@columns} = @counts;
			($p => \%counts)
		} lines("SELECT partition, @{[ join ', ', @columns ]} FROM weir.checkpoint
			WHERE view = '$view'::regclass AND read > 0");
		my %got_top = map { ($_->[0] => $_->[1]) }
		  lines("SELECT partition, @{[ us('max_event_time') ]} FROM weir.checkpoint
			WHERE view = '$view'::regclass AND read > 0");

		ok(keys %$rows > 50 && keys %$late > 5, "$view: there is something to compare");
		is_deeply(\%got, $rows, "$view, $name: rows");
		is_deeply(\%bounds, $late, "$view, $name: late bounds");
		is_deeply(\%got_law, $law, "$view, $name: counters");
		is_deeply(\%got_top, $top, "$view, $name: greatest event times");
		my ($w, $closed) = @{ (lines("SELECT @{[ us(qq{weir.watermark('$view')}) ]},
			CASE WHEN isfinite(weir.closed_to('$view'))
			THEN @{[ us(qq{weir.closed_to('$view')}) ]} END"))[0] };
		my $want = watermark($top, $options->{partitions}, \%window);

		is($w, $want, "$view, $name: the watermark") unless $stored;
		is($closed, defined $w ? closed_to($w, \%window) : undef,
			"$view, $name: what is closed follows from the watermark");
		foreach my $counts (values %$law)
		{
			$sums{$_} += $counts->{$_} foreach @columns;
		}
	}
	return \%sums;
}

sub wait_for
{
	my ($stream) = @_;

	$node->safe_psql('postgres', "SELECT weir.wait('${stream}_$_', '60 s')")
	  foreach sort keys %kinds;
	return;
}

sub exceptions
{
	my ($stream) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM weir.exception WHERE view::text LIKE '$stream%'");
}

# Late by disorder beyond the delay.
create('late', $minute, disorder => '9 minutes', watermark_delay => '2 minutes');
wait_for('late');
my $sums = compare('late', $minute,
	{ delay => 2 * $minute, max_future => 0, partitions => [ 0, 1, 2 ] }, 'late');
cmp_ok($sums->{late}, '>', 100, 'many records were late');
cmp_ok($sums->{partly_late}, '>', 100, 'many were partly late');
is(exceptions('late'), '0', 'no watermark was moved by a clock');

# Clocks that are up to five minutes fast: the text is read in a zone that is
# five minutes behind, so event times lie between five minutes before and five
# after the records' own timestamps.
my %future = (
	future   => [ '90 seconds', 90 * $second ],
	unlimited => [ 'infinity',  undef ],
	strict   => [ '0',          0 ]);
foreach my $stream (sort keys %future)
{
	my ($text, $max_future) = @{ $future{$stream} };

	create($stream, $minute, disorder => '10 minutes', zone => 'false',
		timezone => '<X>0:05', watermark_delay => '3 minutes', max_future => $text);
	wait_for($stream);
	cmp_ok( $node->safe_psql('postgres',
			"SELECT count(*) FROM $stream WHERE ts > kts + interval '90 seconds'"),
		'>', 1000, "$stream: many records are from the future");
	compare($stream, $minute,
		{ delay => 3 * $minute, max_future => $max_future, partitions => [ 0, 1, 2 ] },
		"max_future $text");
	is(exceptions($stream), '0', "$stream: no watermark was moved by a clock");
}

# A partition that has no record holds the watermark until it is idle.
my @empty = (skew => '5,3,0', disorder => '4 minutes',
	watermark_delay => '5 minutes', late_fraction => 0.02, late_by => '7 minutes');
create('held', $minute, @empty, idle_timeout => 'infinity');
wait_for('held');
compare('held', $minute,
	{ delay => 5 * $minute, max_future => 0, partitions => [ 0, 1, 2 ] },
	'one partition empty');
is(exceptions('held'), '0', 'held: no watermark was moved by a clock');
create('released', $minute, @empty, idle_timeout => '10 minutes');
wait_for('released');
$sums = compare('released', $minute,
	{ delay => 5 * $minute, max_future => 0, partitions => [ 0, 1 ] },
	'one partition idle');
is($sums->{late_closed}, 0, 'released: no record found its window closed');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(DISTINCT view), min(partition), max(partition),
			   string_agg(DISTINCT kind, ','), bool_and("to" IS NOT NULL)
		FROM weir.exception WHERE view::text LIKE 'released%'}),
	'3|2|2|idle|t', 'released: an exception for each view, of the idle partition');

# A partition that speaks seldom, and late: idle in between, it finds windows
# closed that only its own watermark would have left open.  So many are late
# that some of its dozen records do so with any seed.
create('seldom', $second / 5, start => '-5 seconds', rate => 300,
	limit => 300 * 20, partitions => 3, skew => '5,3,0.02', disorder => '1 second',
	watermark_delay => '1 second', late_fraction => 0.7, late_by => '2 seconds',
	idle_timeout => '300 milliseconds');
poll_ok($node, 'postgres',
	"SELECT coalesce(sum(next_offset) = 3 * 6000, false) FROM weir.checkpoint
	 WHERE view::text LIKE 'seldom%'", 'seldom: all is read');
wait_for('seldom');
$sums = compare('seldom', $second / 5,
	{ delay => $second, max_future => 0, partitions => [ 0, 1, 2 ] },
	'now and then idle', 1);
cmp_ok($sums->{late_closed}, '>', 0, 'seldom: records found their window closed');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*) FROM weir.checkpoint c
		WHERE view::text LIKE 'seldom%' AND late_closed > 0 AND NOT EXISTS (
			SELECT FROM weir.exception e
			WHERE e.view = c.view AND e.partition = c.partition AND e.kind = 'idle'
			  AND e."offset" < c.next_offset)}),
	'0', 'seldom: only those of a partition that was idle, as weir.exception says');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*) FROM weir.checkpoint
		WHERE read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
		   OR next_offset - start <> read + gaps}),
	'0', 'the laws hold');

done_testing();
