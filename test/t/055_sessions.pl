# Sessions equal batch: a view's closed and open rows are those of the
# gaps-and-islands query over the records that were not late, in whatever
# batches they came, with cuts, sessions that touch, and kills.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use WeirOracle qw(create_stream load_oracles laws_hold);

use List::Util qw(shuffle);

my $seed = $ENV{SEED} // int(rand(2**31));
srand($seed);
note("SEED=$seed");

my $node = weir_node('main', restart_after_crash => 1);

# The views: gap and max_length, the condition on a record, keys, what is
# computed, HAVING, and the options of the view.
my %views = (
	by_user => {
		session => [ '40 seconds', '30 minutes' ],
		where   => q{event_type <> 'login' OR device = 'tablet'},
		keys    => 'user_id',
		values  => q{count(*) AS events, sum(total_amount) AS revenue,
			avg(total_amount) AS average, min(ts) AS first, max(ts) AS last,
			count(*) FILTER (WHERE device = 'mobile') AS mobile,
			sum(quantity) * 2 AS twice, bool_or(location = 'US') AS us},
		having => 'true',
	},
	by_place => {
		session  => [ '30 seconds', '10 minutes' ],
		lateness => '90 seconds',
		where    => 'true',
		keys     => 'device, location',
		values   => q{count(*) AS events, max(total_amount) AS most},
		having   => q{count(*) > 1},
	},
	by_all => {
		session => [ undef, '5 seconds' ],
		where   => 'true',
		keys    => '',
		values  => 'count(*) AS events, sum(total_amount) AS revenue',
		having  => 'true',
	});

sub set_conf
{
	my (@lines) = @_;

	$node->append_conf('postgresql.conf', join "\n", @lines);
	$node->reload;
	return;
}

sub create_views
{
	my ($stream, $prefix, %options) = @_;
	my $sql = '';

	foreach my $name (sort keys %views)
	{
		my $view = $views{$name};
		my ($gap, $max_length) = @{ $view->{session} };
		my $keys = $view->{keys} ? ", $view->{keys}" : '';
		my %all = (lateness => $view->{lateness} // '0', %options);
		my $with = join ', ', map { "weir.$_ = '$all{$_}'" } sort keys %all;

		$sql .= qq{
			CREATE MATERIALIZED VIEW $prefix$name WITH (weir.continuous, $with) AS
			SELECT window_start, window_end $keys, $view->{values}
			FROM $stream, weir.session(ts, '$gap', max_length => '$max_length')
			WHERE $view->{where}
			GROUP BY window_start, window_end $keys HAVING $view->{having};};
	}
	$node->safe_psql('postgres', $sql);
	return;
}

sub wait_for
{
	my ($prefix) = @_;

	$node->safe_psql('postgres', "SELECT weir.wait('$prefix$_', '120 s')")
	  foreach sort keys %views;
	return;
}

# The records that a view has read, each with: passes, late, first, whether it
# lies before weir.start.
sub records_of
{
	my ($stream, $prefix, $name, $from) = @_;
	my $lateness = $views{$name}{lateness} // '0';

	return qq{(SELECT t.*, NOT bad AND ($views{$name}{where}) AS passes,
			NOT bad AND ts < '$from' AS before,
			coalesce(ts + interval '$lateness' < w, false) AS late
		FROM ${stream}_plain t JOIN weir.checkpoint c
		ON c.view = '$prefix$name'::regclass AND c.partition = t.p
		AND t.o >= c.start AND t.o < c.next_offset)};
}

# The gaps-and-islands query over records.
sub twin
{
	my ($name, $records) = @_;
	my $view = $views{$name};
	my ($gap, $max_length) = @{ $view->{session} };
	my $keys = $view->{keys} ? "$view->{keys}, " : '';

	return qq{
		SELECT min(ts) AS window_start,
			least(max(ts) + interval '$gap', cut + interval '$max_length') AS window_end,
			$keys $view->{values}
		FROM (SELECT *, count(*) FILTER (WHERE ts > previous + interval '$gap')
				OVER (PARTITION BY $keys cut ORDER BY ts) AS session
			FROM (SELECT *, lag(ts) OVER (PARTITION BY $keys cut ORDER BY ts) AS previous
				FROM (SELECT *, date_bin('$max_length', ts, '1970-01-01Z') AS cut
					FROM $records r) e) e) e
		GROUP BY $keys cut, session HAVING $view->{having}};
}

# Rows, late records, dead letters and counters of the views are those of
# plain SQL over the bytes.
sub equal_batch
{
	my ($stream, $prefix, $title, %options) = @_;
	my $from = $options{from} // '-infinity';
	my ($closed, $open) = ($options{closed} // 100, $options{open} // 1);

	foreach my $name (sort keys %views)
	{
		my $view = "$prefix$name";
		my $is = "$title: $view";
		my $records = records_of($stream, $prefix, $name, $from);
		my $twin = twin($name,
			"(SELECT * FROM $records r WHERE passes AND NOT before AND NOT late)");
		my ($gap, $max_length) = @{ $views{$name}{session} };

		is( $node->safe_psql(
				'postgres', "SELECT count(*) FROM ${stream}_plain
				WHERE (p, o) NOT IN (SELECT p, o FROM $records r)"),
			'0', "$is has read everything")
		  unless $options{part};
		same_rows($node, 'postgres', "TABLE $view", $twin,
			"$is equals batch", min => $closed + $open);
		foreach my $half (
			[ '<=', 'closed', $closed ],
			[ '>', 'open', $open ])
		{
			my ($test, $what, $min) = @$half;
			my $these = "WHERE window_end $test weir.closed_to('$view')";

			same_rows($node, 'postgres', "SELECT * FROM $view $these",
				"SELECT * FROM ($twin) t $these", "$is, $what rows", min => $min);
		}
		same_rows(
			$node, 'postgres', qq{
			SELECT partition, "offset", late_bound FROM weir.late_event
			WHERE view = '$view'::regclass},
			qq{SELECT p, o, least(ts + interval '$gap', date_bin('$max_length', ts,
				'1970-01-01Z') + interval '$max_length')
			FROM $records r WHERE passes AND NOT before AND late},
			"$is has the late records", min => $options{late} // 1);
		same_rows(
			$node, 'postgres', qq{
			SELECT partition, read, aggregated, filtered, late, dead_lettered,
				   partly_late, late_closed, next_offset
			FROM weir.checkpoint
			WHERE view = '$view'::regclass AND next_offset > start},
			qq{SELECT p, count(*) AS read,
				count(*) FILTER (WHERE passes AND NOT before AND NOT late) AS aggregated,
				count(*) FILTER (WHERE NOT bad AND (NOT passes OR before)) AS filtered,
				count(*) FILTER (WHERE passes AND NOT before AND late) AS late,
				count(*) FILTER (WHERE bad) AS dead_lettered,
				0::bigint AS partly_late, 0::bigint AS late_closed, max(o) + 1 AS next
			FROM $records r GROUP BY p},
			"$is has the counters");
	}
	laws_hold($node, $title);
	return;
}

# The same log in small and large batches.  In the small stream the disorder is
# larger than the delay: records come that begin a session just behind what is
# closed, and before all sessions that are open.
create_stream($node, 'small', limit => 3000, seed => $seed, rate => 1,
	disorder => '7 minutes', late_fraction => 0);
create_stream($node, 'large', limit => 24000, seed => $seed + 1);
load_oracles($node, $_, '5 minutes') foreach qw(small large);

# So that with any seed sessions touch, one gap is a distance of records that
# comes often.
$views{by_all}{session}[0] = $node->safe_psql(
	'postgres', q{
	SELECT distance FROM (
		SELECT ts - lag(ts) OVER (ORDER BY ts) AS distance
		FROM large_plain WHERE NOT bad AND (w IS NULL OR ts >= w)) d
	WHERE distance BETWEEN '600 milliseconds' AND '680 milliseconds'
	GROUP BY distance ORDER BY count(*) DESC, distance LIMIT 1});
note("gap: $views{by_all}{session}[0]");
foreach my $run ([ 'small', 1 ], [ 'small', 7 ], [ 'small', 1000 ],
	[ 'large', 1000 ], [ 'large', 100000 ])
{
	my ($stream, $rows) = @$run;
	my $prefix = "${stream}_${rows}_";

	set_conf("weir.batch_rows = $rows");
	create_views($stream, $prefix);
	wait_for($prefix);
	equal_batch($stream, $prefix, "SEED=$seed");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM weir.exception'),
	'0', 'no watermark was moved by a clock');

# What makes sessions special is there to be got wrong.
my $all = records_of('large', 'large_1000_', 'by_all', '-infinity');
is( $node->safe_psql(
		'postgres', qq{
		SELECT count(*) FILTER (WHERE ts = previous + interval '$views{by_all}{session}[0]') > 3,
			   count(*) FILTER (WHERE ts < newest) > 1000,
			   (SELECT count(*) FROM large_1000_by_all
				WHERE window_end = date_bin('5 seconds', window_end, '1970-01-01Z')) > 100
		FROM (SELECT ts, lag(ts) OVER (ORDER BY ts) AS previous,
				max(ts) OVER (PARTITION BY p ORDER BY o) AS newest
			  FROM $all r WHERE NOT bad AND NOT late) r}),
	't|t|t', 'sessions touch, records are disordered, ends are cut');

# From a timestamp on: the records since then.
my $from = '2024-03-01 01:00:00.5+00';
create_views('large', 'later_', start => $from);
wait_for('later_');
equal_batch('large', 'later_', 'weir.start', from => $from, part => 1);
is( $node->safe_psql(
		'postgres', "SELECT min(window_start) >= '$from', min(window_start) < '$from'::timestamptz + '1 minute'
		FROM later_by_all"),
	't|t', 'sessions begin after weir.start');

# A partition that is idle now and then flows while the rest is tested.
my @seldom = ('2 milliseconds', '1 second');
create_stream($node, 'seldom', start => '-5 seconds', rate => 300,
	partitions => 3, skew => '5,3,0.05', seed => $seed,
	disorder => '1 second', watermark_delay => '1 second',
	late_fraction => 0.3, late_by => '2 seconds', poison_fraction => 0,
	idle_timeout => '300 milliseconds');
$node->safe_psql(
	'postgres', qq{
	CREATE MATERIALIZED VIEW seldom_all WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events, sum(total_amount) AS revenue
	FROM seldom, weir.session(ts, '$seldom[0]', '$seldom[1]')
	GROUP BY window_start, window_end});

# The query that the error shows, over the topic itself.
create_stream($node, 'clean', limit => 4000, seed => $seed + 2,
	late_fraction => 0, poison_fraction => 0);
$node->safe_psql(
	'postgres', q{
	CREATE MATERIALIZED VIEW clean_sessions WITH (weir.continuous) AS
	SELECT window_start, window_end, user_id, count(*) FROM clean, weir.session(ts, '30 seconds')
	GROUP BY window_start, window_end, user_id;
	SELECT weir.wait('clean_sessions', '120 s')});
my ($status, undef, $stderr) = $node->psql('postgres',
	q{SELECT * FROM clean, weir.session(ts, '30 seconds')});
isnt($status, 0, 'weir.session() is refused in a query by hand');
my ($shown) = $stderr =~ /(SELECT min.*session);/s;
$shown =~ s/\bevents\b/clean/g;
$shown =~ s/\bkey\b/user_id/g;
same_rows($node, 'postgres', 'TABLE clean_sessions', $shown,
	'the query that the error shows gives the rows', min => 100);

# A dump is a savepoint.
my $dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres', "SELECT weir.pause('clean_sessions')");
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ],
	'the database is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ],
	'and restored');
same_rows($node, 'restored', 'TABLE clean_sessions', $shown,
	'with its rows', min => 100);
$node->safe_psql('restored',
	"SELECT weir.resume('clean_sessions'); SELECT weir.wait('clean_sessions', '120 s')");
same_rows($node, 'restored', 'TABLE clean_sessions', $shown,
	'and it goes on', min => 100);
is($node->safe_psql('restored', "SELECT weir.definition('clean_sessions')"),
	$node->safe_psql('postgres', "SELECT weir.definition('clean_sessions')"),
	'by the same definition');
$node->safe_psql('postgres', 'DROP DATABASE restored');

# Records that found their session closed, since a partition was idle.
poll_ok($node, 'postgres',
	q{SELECT coalesce(sum(late_closed) > 2, false) FROM weir.checkpoint
	  WHERE view = 'seldom_all'::regclass}, 'seldom: records found their session closed');
$node->safe_psql('postgres', "SELECT weir.pause('seldom_all')");
load_oracles($node, 'seldom', '1 second');
$views{seldom} = { %{ $views{by_all} }, session => \@seldom };
my $judged = q{(SELECT s.*, e.view IS NOT NULL AS stored, coalesce(ts < w, false) AS late
	FROM seldom_plain s
	JOIN weir.checkpoint c ON c.view = 'seldom_all'::regclass
	AND c.partition = s.p AND s.o >= c.start AND s.o < c.next_offset
	LEFT JOIN weir.late_event e
	ON e.view = 'seldom_all'::regclass AND e.partition = s.p AND e."offset" = s.o)};
same_rows($node, 'postgres', 'TABLE seldom_all',
	twin('seldom', "(SELECT * FROM $judged r WHERE NOT stored)"),
	'seldom: the rows are those of the records that were not late', min => 100);
is( $node->safe_psql(
		'postgres', qq{
		SELECT count(*) FILTER (WHERE late AND NOT stored),
			   count(*) FILTER (WHERE stored AND NOT late) =
			   (SELECT sum(late_closed) FROM weir.checkpoint WHERE view = 'seldom_all'::regclass),
			   bool_and(EXISTS (SELECT FROM weir.exception x
					WHERE x.view = 'seldom_all'::regclass AND x.partition = r.p
					AND x.kind = 'idle' AND x."offset" <= r.o))
			   FILTER (WHERE stored AND NOT late)
		FROM $judged r}),
	'0|t|t', 'seldom: what is late by the log is stored, the rest is in late_closed');
delete $views{seldom};

#
# Kills, over a stream that flows
#

%views = (
	by_user => {
		session => [ '300 milliseconds', '4 seconds' ],
		where   => q{true},
		keys    => 'user_id',
		values  => q{count(*) AS events, sum(total_amount) AS revenue},
		having  => 'true',
	},
	by_all => {
		session  => [ '10 milliseconds', '1 second' ],
		lateness => '500 milliseconds',
		where    => 'true',
		keys     => '',
		values   => 'count(*) AS events, max(user_id) AS most',
		having   => 'true',
	});
set_conf('weir.batch_rows = 60', 'weir.batch_time = 100');
create_stream($node, 'flowing', start => '-30 seconds', rate => 400,
	seed => $seed, disorder => '2 seconds', watermark_delay => '3 seconds',
	late_by => '4 seconds', users => 200);
create_views('flowing', 'flowing_');

# A condition that is true once both views are beyond where they are now.
sub beyond_here
{
	my $positions = sql_when_up(
		$node, 'postgres', q{
		SELECT string_agg(format('(%s::oid, %s)', view::oid, sum), ', ')
		FROM (SELECT view, sum(next_offset) FROM weir.checkpoint
			  WHERE view::text LIKE 'flowing%' GROUP BY view) c});
	return qq{
		SELECT bool_and(now.sum > was.sum)
		FROM (SELECT view::oid, sum(next_offset) FROM weir.checkpoint GROUP BY view) now
		JOIN (VALUES $positions) was (view, sum) USING (view)};
}

poll_ok($node, 'postgres',
	q{SELECT count(*) = 8 AND min(read) > 0 FROM weir.checkpoint
	  WHERE view::text LIKE 'flowing%'}, 'the views have begun');
foreach my $point (shuffle qw(flush-aggregated flush-appended flush-checkpoint
	batch-commit close-inserted close-state compact-copied reclaimed))
{
	my $offset = -s $node->logfile;

	# Space is reclaimed about once in a minute, so not at the third time.
	my $skip = $point eq 'reclaimed' ? 0 : int(rand(3));

	set_conf("weir.fault = '$point:kill:$skip'");
	$node->wait_for_log(qr/fault point $point reached/, $offset);
	$node->wait_for_log(
		qr/"weir reader" \(PID \d+\) was terminated by signal 9/, $offset);
	set_conf("weir.fault = ''");
	poll_ok($node, 'postgres', beyond_here(), "killed at $point: the views go on");
}
$node->stop('immediate');
$node->start;
poll_ok($node, 'postgres', beyond_here(), 'immediate stop: the views go on');
wait_for('flowing_');
$node->safe_psql('postgres', "SELECT weir.pause('flowing_$_')")
  foreach sort keys %views;
load_oracles($node, 'flowing', '3 seconds');
equal_batch('flowing', 'flowing_', "SEED=$seed, kills", part => 1);

# The last sessions of a stream that has fallen silent close with the clock.
$node->safe_psql(
	'postgres', q{
	CREATE FOREIGN TABLE silent (user_id text, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (start '2026-01-01 00:00:00Z', rate '10', "limit" '600',
			users '20', event_time 'ts', watermark_delay '1 second', close_timeout '1 second');
	CREATE MATERIALIZED VIEW silent_visits WITH (weir.continuous) AS
	SELECT window_start, window_end, user_id, count(*) AS events
	FROM silent, weir.session(ts, '500 milliseconds') GROUP BY window_start, window_end, user_id;
	});
poll_ok($node, 'postgres',
	q{SELECT sum(events) = 600 AND max(window_end) <= weir.closed_to('silent_visits')
	  FROM silent_visits}, 'a silent stream: all sessions close');
same_rows(
	$node, 'postgres', 'TABLE silent_visits', q{
	SELECT min(ts), max(ts) + interval '500 milliseconds', user_id, count(*)
	FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY user_id ORDER BY ts) AS nth
	      FROM (SELECT *, ts - lag(ts) OVER (PARTITION BY user_id ORDER BY ts)
	                      > interval '500 milliseconds' IS NOT FALSE AS begins
	            FROM silent) b) n
	GROUP BY user_id, nth}, 'a silent stream: they equal batch', min => 100);
is($node->safe_psql('postgres',
		q{SELECT DISTINCT kind FROM weir.exception WHERE view = 'silent_visits'::regclass}),
	'close_timeout', 'a silent stream: and it is said');

done_testing();
