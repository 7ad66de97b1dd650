=pod

=head1 NAME

WeirOracle - streams and views of the exactness tests, and what they must show

=head1 DESCRIPTION

A stream of the built-in generator, three continuous views over it, and two
oracles that are computed from the log alone:

=over

=item 1

the text of C<< <v>_query >> over a table of the stream's well-formed records,
with the watermark of each record's own partition before it, recomputed by a
window function over (partition, offset); a window counts a record if it ends
beyond that;

=item 2

plain SQL over the bytes of the messages (C<::jsonb>, C<date_bin>,
C<generate_series>), without any function of pg_weir.

=back

From the second come also the offsets of late records and dead letters and all
counters of C<weir.checkpoint>.

=cut

package WeirOracle;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use WeirTest;

our @EXPORT = qw(
  create_stream create_views drop_views view_names
  load_oracles wait_for_views views_equal_oracles laws_hold use_windows
  use_cumulate
);

# Every stream has the same columns: the fields that the views use, and all
# that the oracles need.
my $columns = q{
	event_type text, user_id text, device text, location text,
	quantity int, total_amount numeric,
	ts timestamptz OPTIONS (field 'timestamp'),
	p int OPTIONS (metadata 'partition'),
	o bigint OPTIONS (metadata 'offset'),
	kts timestamptz OPTIONS (metadata 'timestamp'),
	value bytea OPTIONS (metadata 'value'),
	error text OPTIONS (metadata 'error')};

my %stream_defaults = (
	kind            => 'ecommerce',
	event_time      => 'ts',
	start           => '2024-03-01T00:00:00Z',
	rate            => 2,
	partitions      => 4,
	skew            => '10,3,1,0.5',
	disorder        => '4 minutes',
	watermark_delay => '5 minutes',
	late_fraction   => 0.01,
	late_by         => '8 minutes',
	poison_fraction => 0.002,
	users           => 20);

# The views: the query, its window for the oracle, the condition on a record,
# and the columns behind the window in plain SQL.
my %views = (
	by_type => {
		window => [ '1 minute', '1 minute' ],
		call   => q{weir.tumble(ts, '1 minute')},
		where  => q{event_type <> 'login' OR device = 'tablet'},
		keys   => 'event_type',
		values => q{count(*) AS events, count(total_amount) AS purchases,
			sum(total_amount) AS revenue, avg(total_amount) AS average,
			min(total_amount) AS least, max(total_amount) AS most,
			count(*) FILTER (WHERE device = 'mobile') AS mobile,
			sum(quantity) FILTER (WHERE location IN ('US', 'UK')) AS english},
	},
	by_user => {
		window => [ '5 minutes', '1 minute' ],
		call   => q{weir.hop(ts, '5 minutes', '1 minute')},
		where  => 'true',
		keys   => 'user_id',
		values => q{count(*) AS events, sum(total_amount) AS revenue},
	},
	by_place => {
		window => [ '5 minutes', '5 minutes' ],
		call   => q{weir.tumble(ts, '5 minutes')},
		where  => 'true',
		keys   => 'device, location',
		values => q{count(*) AS events, sum(total_amount) AS revenue,
			max(ts) AS newest},
	});

=head1 FUNCTIONS

=over

=item view_names(prefix)

The names of the views with that prefix.

=cut

sub view_names
{
	my ($prefix) = @_;

	return map { $prefix . $_ } sort keys %views;
}

=item create_stream(node, name, option => value ...)

A stream of the generator; options are those of the foreign table.

=cut

sub create_stream
{
	my ($node, $name, %options) = @_;
	my %all = (%stream_defaults, %options);
	my $list = join ', ', map { qq{"$_" '$all{$_}'} } sort keys %all;

	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE $name ($columns) SERVER generator OPTIONS ($list)"
	);
	return;
}

=item create_views(node, stream, prefix, option => value ...)

The three views over a stream; options are those of the view, without
C<weir.>.

=cut

sub create_views
{
	my ($node, $stream, $prefix, %options) = @_;
	my $with = join ', ', 'weir.continuous',
	  map { "weir.$_ = '$options{$_}'" } sort keys %options;
	my $sql = '';

	foreach my $name (sort keys %views)
	{
		my $view = $views{$name};

		$sql .= qq{
			CREATE MATERIALIZED VIEW $prefix$name WITH ($with) AS
			SELECT window_start, window_end, $view->{keys}, $view->{values}
			FROM $stream, $view->{call}
			WHERE $view->{where}
			GROUP BY window_start, window_end, $view->{keys};};
	}
	$node->safe_psql('postgres', $sql);
	return;
}

=item use_windows(name => [size, slide] ...)

Other windows for the views that are created from now on.

=cut

sub use_windows
{
	my (%windows) = @_;

	foreach my $name (keys %windows)
	{
		my ($size, $slide) = @{ $windows{$name} };

		$views{$name}{window} = [ $size, $slide ];
		$views{$name}{call} =
		  $size eq $slide
		  ? "weir.tumble(ts, '$size')"
		  : "weir.hop(ts, '$size', '$slide')";
	}
	return;
}

=item use_cumulate(size, step)

One more view from now on, of cumulating windows.

=cut

sub use_cumulate
{
	my ($size, $step) = @_;

	$views{so_far} = {
		window => [ $size, $step ],
		cumulate => 1,
		call   => "weir.cumulate(ts, '$size', '$step')",
		where  => 'true',
		keys   => 'location',
		values => q{count(*) AS events, sum(total_amount) AS revenue,
			min(ts) AS oldest},
	};
	return;
}

sub drop_views
{
	my ($node, $prefix) = @_;

	$node->safe_psql('postgres', "DROP MATERIALIZED VIEW $_")
	  foreach view_names($prefix);
	return;
}

=item wait_for_views(node, prefix)

Waits, with a bound, until the views have read what is there now.

=cut

sub wait_for_views
{
	my ($node, $prefix) = @_;

	$node->safe_psql('postgres', "SELECT weir.wait('$_', '120 s')")
	  foreach view_names($prefix);
	return;
}

=item load_oracles(node, stream, delay)

What both oracles are computed from, as the stream is now: tables
C<< <stream>_judged >> (well-formed records as the stream decodes them, and
C<w>, the watermark of the record's partition before it) and
C<< <stream>_plain >> (every record, from its bytes; C<bad> or with C<w>).

=cut

sub load_oracles
{
	my ($node, $stream, $delay, $max_future) = @_;
	my $before = qq{OVER (PARTITION BY p ORDER BY o ROWS
		BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval '$delay'};

	$max_future //= '0';
	$node->safe_psql(
		'postgres', qq{
		DROP TABLE IF EXISTS ${stream}_judged, ${stream}_plain;
		CREATE TABLE ${stream}_judged AS
		SELECT *, max(least(ts, kts + '$max_future'::interval)) $before AS w
		FROM $stream WHERE error IS NULL;

		CREATE OR REPLACE FUNCTION parsed(value bytea) RETURNS jsonb
		LANGUAGE plpgsql IMMUTABLE AS \$\$
		BEGIN
			RETURN convert_from(value, 'UTF8')::jsonb;
		EXCEPTION WHEN OTHERS THEN
			RETURN NULL;
		END \$\$;
		CREATE OR REPLACE FUNCTION instant(value jsonb) RETURNS timestamptz
		LANGUAGE plpgsql IMMUTABLE SET TimeZone = 'UTC' AS \$\$
		DECLARE
			t timestamptz;
		BEGIN
			IF jsonb_typeof(value) = 'string' AND value #>> '{}' ~
				'^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z?\$' THEN
				t := (value #>> '{}')::timestamptz;
			END IF;
			RETURN CASE WHEN t >= '1970-01-01' AND t < '2200-01-01' THEN t END;
		EXCEPTION WHEN OTHERS THEN
			RETURN NULL;
		END \$\$;
		CREATE TABLE ${stream}_plain AS
		WITH bytes AS MATERIALIZED (
			SELECT p, o, kts, parsed(value) AS j FROM $stream
		), records AS MATERIALIZED (
			SELECT p, o, kts,
				   CASE WHEN jsonb_typeof(j) = 'object'
				   THEN instant(j -> 'timestamp') END AS ts, j
			FROM bytes)
		SELECT p, o, kts, ts, ts IS NULL AS bad, j ->> 'event_type' AS event_type,
			   j ->> 'user_id' AS user_id, j ->> 'device' AS device,
			   j ->> 'location' AS location,
			   CASE WHEN ts IS NOT NULL THEN (j ->> 'quantity')::int END AS quantity,
			   CASE WHEN ts IS NOT NULL THEN (j ->> 'total_amount')::numeric END AS total_amount,
			   max(least(ts, kts + '$max_future'::interval))
			   FILTER (WHERE ts IS NOT NULL) $before AS w
		FROM records;
		ANALYZE ${stream}_judged, ${stream}_plain;});
	return;
}

# What a view has read of one of the oracles' tables.
sub _read_by
{
	my ($view, $table) = @_;

	return qq{(SELECT t.* FROM $table t JOIN weir.checkpoint c
		ON c.view = '$view'::regclass AND c.partition = t.p
		AND t.o >= c.start AND t.o < c.next_offset)};
}

# Oracle 1 for a view.
sub _by_query
{
	my ($node, $stream, $view, $lateness) = @_;
	my $text = $node->safe_psql('postgres',
		"SELECT pg_get_viewdef(query) FROM weir.view WHERE view = '$view'::regclass"
	);

	$text =~ s/;\s*$//;
	my $records = _read_by($view, "${stream}_judged");

	$text =~ s/\bFROM $stream\b/FROM $records $stream/ == 1
	  or die "cannot read the query: $text";
	$text =~ s/\bGROUP BY/AND ($stream.w IS NULL
		OR window_end + interval '$lateness' > $stream.w) GROUP BY/ == 1
	  or die "cannot read the query: $text";
	return $text;
}

# The records of a stream, each once for every window that it is in.
sub _windows_of
{
	my ($records, $view) = @_;
	my ($size, $slide) = @{ $view->{window} };
	my $newest = qq{date_bin('$slide', ts, '1970-01-01 00:00:00+00')};

	return qq{(SELECT r.*, s AS window_start, e AS window_end
		FROM $records r,
			 date_bin('$size', ts, '1970-01-01 00:00:00+00') s,
			 generate_series($newest + interval '$slide', s + interval '$size',
							 interval '$slide') e
		WHERE NOT bad) x}
	  if $view->{cumulate};

	return qq{(SELECT r.*, s AS window_start, s + interval '$size' AS window_end
		FROM $records r,
			 generate_series($newest - interval '$size' + interval '$slide',
							 $newest, interval '$slide') s
		WHERE NOT bad) x};
}

# Oracle 2 for a view.
sub _by_bytes
{
	my ($records, $view, $lateness) = @_;

	return qq{SELECT window_start, window_end, $view->{keys}, $view->{values}
		FROM @{[ _windows_of($records, $view) ]}
		WHERE ($view->{where}) AND (w IS NULL OR window_end + interval '$lateness' > w)
		GROUP BY window_start, window_end, $view->{keys}};
}

# What becomes of each record that passes WHERE: late_bound, and whether it is
# late for all its windows.
sub _judged
{
	my ($records, $view, $lateness) = @_;

	return qq{SELECT p, o,
			max(window_end) FILTER (WHERE window_end + interval '$lateness' <= w) AS late_bound,
			coalesce(bool_and(window_end + interval '$lateness' <= w), false) AS late
		FROM @{[ _windows_of($records, $view) ]}
		WHERE $view->{where} GROUP BY p, o};
}

sub _counters
{
	my ($records, $view, $lateness) = @_;

	return qq{SELECT r.p, count(*) AS read,
			count(*) FILTER (WHERE j.o IS NOT NULL AND NOT j.late) AS aggregated,
			count(*) FILTER (WHERE NOT r.bad AND j.o IS NULL) AS filtered,
			count(*) FILTER (WHERE j.late) AS late,
			count(*) FILTER (WHERE r.bad) AS dead_lettered,
			count(*) FILTER (WHERE NOT j.late AND j.late_bound IS NOT NULL) AS partly_late,
			0::bigint AS late_closed, max(r.o) + 1 AS next_offset
		FROM $records r
		LEFT JOIN (@{[ _judged($records, $view, $lateness) ]}) j
			ON j.p = r.p AND j.o = r.o
		GROUP BY r.p};
}

=item laws_hold(node, name)

Tests the laws of promise 3 for every view and partition, and that there is
one of each to test.

=cut

sub laws_hold
{
	my ($node, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$node->safe_psql(
			'postgres', q{
			SELECT count(*) > 0, count(*) FILTER (WHERE
				read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
				OR next_offset - start <> read + gaps
				OR partly_late > aggregated)
			FROM weir.checkpoint}),
		't|0', "$name: the laws hold");
}

=item views_equal_oracles(node, stream, prefix, name, option => value ...)

Tests that each view with the prefix has read the stream as load_oracles() saw
it, and has the rows, the late records, the dead letters and the counters of
the oracles for what it has read.  Options: C<closed> (1000) and C<open> (1),
how many rows there must be at least, C<late> and C<bad> (1), the same for
those records, C<lateness> of the views (0), C<part> (0), whether it is enough
to have read a part.

=cut

sub views_equal_oracles
{
	my ($node, $stream, $prefix, $title, %options) = @_;
	my $closed = $options{closed} // 1000;
	my $open = $options{open} // 1;
	my $lateness = $options{lateness} // '0';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $name (sort keys %views)
	{
		my $view = "$prefix$name";
		my $is = "$title: $view";
		my $records = _read_by($view, "${stream}_plain");
		my @oracle = ($records, $views{$name}, $lateness);

		is( $node->safe_psql(
				'postgres', qq{
				SELECT count(*) FILTER (WHERE window_end <= weir.closed_to('$view')) >= $closed,
					   count(*) FILTER (WHERE window_end > weir.closed_to('$view')) >= $open
				FROM $view}),
			't|t',
			"$is has at least $closed closed rows and $open open");
		is( $node->safe_psql(
				'postgres', qq{
				SELECT count(*) FROM ${stream}_plain
				WHERE (p, o) NOT IN (SELECT p, o FROM $records r)}),
			'0', "$is has read everything")
		  unless $options{part};
		same_rows($node, 'postgres', "TABLE $view",
			_by_query($node, $stream, $view, $lateness),
			"$is equals its query", min => $closed + $open);
		same_rows($node, 'postgres', "TABLE $view", _by_bytes(@oracle),
			"$is equals plain SQL", min => $closed + $open);
		same_rows(
			$node, 'postgres', qq{
			SELECT partition, "offset", late_bound FROM weir.late_event
			WHERE view = '$view'::regclass},
			qq{SELECT p, o, late_bound FROM (@{[ _judged(@oracle) ]}) j
			WHERE late_bound IS NOT NULL},
			"$is has the late records", min => $options{late} // 1);
		same_rows(
			$node, 'postgres', qq{
			SELECT partition, "offset" FROM weir.dead_letter
			WHERE view = '$view'::regclass},
			"SELECT p, o FROM $records r WHERE bad",
			"$is has the dead letters", min => $options{bad} // 1);
		same_rows(
			$node, 'postgres', qq{
			SELECT partition, read, aggregated, filtered, late, dead_lettered,
				   partly_late, late_closed, next_offset
			FROM weir.checkpoint
			WHERE view = '$view'::regclass AND next_offset > start},
			_counters(@oracle), "$is has the counters");
	}
	laws_hold($node, $title);
	return;
}

=back

=cut

1;
