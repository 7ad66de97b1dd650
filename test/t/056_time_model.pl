# Watermark, late records and closed windows as a reference model has them
# (test/perl/TimeModel.pm): on time, late, partly late, idle, woken, from the
# future, after a silence and closed by hand, for each kind of window.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use List::Util qw(max min);
use Test::More;
use TimeModel;
use WeirTest;

need_kafka();

my $seed = $ENV{SEED} // int(rand(2**31));
note("SEED=$seed");
srand($seed);

# Times are minutes after this, 2024-05-01 00:00 UTC.
my $base = 1714521600;

my %options = (delay => 10 * 60, max_future => 5 * 60, idle => 30 * 60);
my %kinds = (
	tumble   => { kind => 'tumble',   size => 20 * 60, step => 20 * 60, lateness => 0 },
	hop      => { kind => 'hop',      size => 60 * 60, step => 20 * 60, lateness => 0 },
	cumulate => { kind => 'cumulate', size => 60 * 60, step => 20 * 60, lateness => 0 },
	patient  => { kind => 'cumulate', size => 40 * 60, step => 20 * 60, lateness => 15 * 60 });
my $close_timeout = 2;

kafka_start();

my $node = weir_node('main', conf => "weir.batch_time = 50\n");
my $bootstrap = kafka_bootstrap();
my $session;

sub connect_session
{
	$session = $node->background_psql('postgres', on_error_stop => 1);
	$session->set_query_timer_restart;
	$session->query_safe('SET client_min_messages = warning');
	return;
}

connect_session();

sub sql
{
	return $session->query_safe(shift);
}

sub lines
{
	return map { [ map { $_ eq '' ? undef : $_ } split /\|/, $_, -1 ] }
	  split /\n/, sql(shift);
}

sub epoch
{
	my ($time) = @_;

	return "trim_scale(extract(epoch FROM $time))";
}

sql(qq{CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
	OPTIONS (bootstrap_servers '$bootstrap')});

# A topic, its stream, and a view and a model for each kind of window.
sub create
{
	my ($name, $partitions) = @_;
	my %topic = (name => $name, partitions => $partitions, next => {});
	my $sql = qq{
		CREATE FOREIGN TABLE $name (ts timestamptz OPTIONS (unit 's'))
		SERVER kafka OPTIONS (topic '$name', event_time 'ts',
			watermark_delay '$options{delay} s', max_future '$options{max_future} s',
			idle_timeout '$options{idle} s');};

	kafka_topic($name, $partitions);
	foreach my $kind (sort keys %kinds)
	{
		my %k = %{ $kinds{$kind} };
		my $spans = $k{kind} eq 'tumble' ? "'$k{size} s'" : "'$k{size} s', '$k{step} s'";

		$topic{models}{$kind} =
		  TimeModel->new(%options, %k, partitions => $partitions);
		$sql .= qq{
			CREATE MATERIALIZED VIEW ${name}_$kind
			WITH (weir.continuous, weir.lateness = '$k{lateness} s') AS
			SELECT window_start, window_end, count(*) AS n
			FROM $name, weir.$k{kind}(ts, $spans)
			GROUP BY window_start, window_end;};
	}
	sql($sql);
	wait_for(\%topic);
	return \%topic;
}

sub for_views
{
	my ($topic, $call) = @_;

	return sql('SELECT ' . join ', ', map { sprintf $call, "$topic->{name}_$_" } sort keys %kinds);
}

sub wait_for
{
	return for_views(shift, q{weir.wait('%s', '120 s')});
}

# A step: records [partition, Kafka timestamp, event time or undef for a bad
# one], in minutes, are all in the log before any of them is read.
sub step
{
	my ($topic, $title, @records) = @_;
	my @messages;

	for_views($topic, q{weir.pause('%s')});
	foreach my $record (@records)
	{
		my ($p, $stamp, $t) = @$record;
		my $offset = $topic->{next}{$p}++ // 0;
		my $event = defined $t ? $base + 60 * $t : undef;

		push @messages, [ $p, ($base + 60 * $stamp) * 1000, undef,
			defined $event ? qq({"ts":$event}) : 'not JSON' ];
		$_->record($p, $offset, $base + 60 * $stamp, $event)
		  foreach values %{ $topic->{models} };
	}
	$topic->{began} = sql("SELECT @{[ epoch('clock_timestamp()') ]}");
	kafka_produce($topic->{name}, @messages) if @messages;
	for_views($topic, q{weir.resume('%s')});
	wait_for($topic);
	$_->settle foreach values %{ $topic->{models} };
	compare($topic, $title);
	return;
}

# What a view has to show: rows, late records, counters.
sub shown
{
	my ($view) = @_;
	my @columns = qw(read aggregated late dead_lettered partly_late late_closed);

	return {
		rows => { map { ("$_->[0] $_->[1]" => $_->[2]) }
			lines("SELECT @{[ epoch('window_start') ]}, @{[ epoch('window_end') ]}, n FROM $view") },
		late => { map { ("$_->[0]:$_->[1]" => $_->[2]) }
			lines(qq{SELECT partition, "offset", @{[ epoch('late_bound') ]}
				FROM weir.late_event WHERE view = '$view'::regclass}) },
		law => { map {
				my ($p, @counts) = @$_;
				my %law;
				@law{@columns} = @counts;
				($p => \%law)
			} lines("SELECT partition, @{[ join ', ', @columns ]} FROM weir.checkpoint
				WHERE view = '$view'::regclass AND read > 0") },
		closed => { map { ("$_->[0] $_->[1]" => 1) }
			lines("SELECT @{[ epoch('window_start') ]}, @{[ epoch('window_end') ]}
				FROM weir_data.${view}_closed") }
	};
}

sub compare
{
	my ($topic, $title) = @_;

	foreach my $kind (sort keys %kinds)
	{
		my $view = "$topic->{name}_$kind";
		my $model = $topic->{models}{$kind};
		my $position = join '|', map { $_ // '' } @$model{qw(watermark closed_to)};

		# the watermark is committed after all that it lets close is closed
		poll_ok(
			$node, 'postgres', qq{SELECT concat(@{[ epoch(qq{weir.watermark('$view')}) ]}, '|',
				CASE WHEN isfinite(weir.closed_to('$view')) THEN @{[ epoch(qq{weir.closed_to('$view')}) ]} END)},
			"$view, $title: watermark and closed_to", $position)
		  or diag("expected $position");
		is_deeply(
			shown($view),
			{
				rows => $model->{rows},
				late => $model->{late},
				law  => $model->{law},
				closed => { map { ($_ => 1) } grep {
						defined $model->{closed_to} && (split ' ')[1] <= $model->{closed_to}
					} keys %{ $model->{rows} } }
			},
			"$view, $title: rows, late records, counters, closed rows");
		my %idle = map { ("$_->[0]:$_->[1]" => 1) }
		  lines(qq{SELECT partition, "offset" FROM weir.exception
			WHERE view = '$view'::regclass AND kind = 'idle'});

		is(join(' ', grep { !$idle{$_} } sort keys %{ $model->{idle_must} }), '',
			"$view, $title: each idle partition that let go is recorded");
		is(join(' ', grep { !$model->{idle_may}{$_} } sort keys %idle), '',
			"$view, $title: and no other");
		is( sql(qq{SELECT count(*) - count(DISTINCT (partition, "offset")) FROM weir.exception
				WHERE view = '$view'::regclass AND kind = 'idle'}),
			'0', "$view, $title: once, whatever readers came and went");
	}
	return;
}

# How many rows of a kind a view has in weir.exception, with the newest.
sub moves
{
	my ($view, $kind) = @_;

	return @{ (lines(qq{SELECT count(*), @{[ epoch('max("to")') ]}, @{[ epoch('max(at)') ]},
		count(*) FILTER (WHERE partition IS NOT NULL OR "offset" IS NOT NULL OR "to" <= "from")
		FROM weir.exception WHERE view = '$view'::regclass AND kind = '$kind'}))[0] };
}

# Nothing comes any more, and windows close by the clock; the views stay with
# what they have after it.
sub silence
{
	my ($topic, $title) = @_;
	my @due = grep { defined $topic->{models}{$_}->after_silence($close_timeout) }
	  sort keys %kinds;
	my %before = map { $_ => (moves("$topic->{name}_$_", 'close_timeout'))[0] } @due;

	sql("ALTER FOREIGN TABLE $topic->{name} OPTIONS (ADD close_timeout '$close_timeout s')");
	foreach my $kind (@due)
	{
		my $view = "$topic->{name}_$kind";
		my $model = $topic->{models}{$kind};
		my $least = $model->after_silence($close_timeout);

		poll_ok($node, 'postgres', "SELECT weir.watermark('$view') >= to_timestamp($least)
				AND weir.closed_to('$view') >= to_timestamp(@{[ $model->closed_by($least) ]})",
			"$view, $title: the clock moves the watermark");
	}
	sql("ALTER FOREIGN TABLE $topic->{name} OPTIONS (DROP close_timeout)");
	wait_for($topic);
	foreach my $kind (@due)
	{
		my $view = "$topic->{name}_$kind";
		my ($watermark, $now) = @{ (lines(
			"SELECT @{[ epoch(qq{weir.watermark('$view')}) ]}, @{[ epoch('clock_timestamp()') ]}"))[0] };
		my ($n, $to, $at, $odd) = moves($view, 'close_timeout');

		cmp_ok($watermark, '<=', $topic->{models}{$kind}->after_silence($now - $topic->{began}),
			"$view, $title: no faster than the clock");
		cmp_ok($at - $topic->{began}, '>=', $close_timeout, "$view, $title: not before its time");
		is("$n $odd", "@{[ $before{$kind} + 1 ]} 0", "$view, $title: one exception a silence");
		is($to, $watermark, "$view, $title: it says how far");
		$topic->{models}{$kind}->silence($watermark);
	}
	compare($topic, $title);
	return @due;
}

# Close by hand up to a minute.
sub advance
{
	my ($topic, $title, $to) = @_;

	foreach my $kind (sort keys %kinds)
	{
		my $view = "$topic->{name}_$kind";
		my $model = $topic->{models}{$kind};
		my $before = $model->{watermark};
		my $seconds = $base + 60 * $to;

		next if defined $model->{closed_to} && $seconds < $model->{closed_to};
		$model->advance($seconds);
		is( sql("SELECT @{[ epoch(qq{weir.advance('$view', to_timestamp($seconds))}) ]}"),
			$model->{closed_to}, "$view, $title: what will be closed");
		is((moves($view, 'advance'))[1], $model->{watermark}, "$view, $title: is recorded")
		  if ($before // '') ne $model->{watermark};
	}
	wait_for($topic);
	compare($topic, $title);
	return;
}

sub total
{
	my ($topic, $counter) = @_;

	return sql("SELECT sum($counter) FROM weir.checkpoint WHERE view::text LIKE '$topic->{name}_%'");
}

# A topic that is quiet from the start, with a timeout that passes long before
# the end of the test.
my $quiet = create('quiet', 2);
sql("ALTER FOREIGN TABLE quiet OPTIONS (ADD close_timeout '$close_timeout s')");

#
# The script
#

my $script = create('script', 3);

step($script, 'on time', [ 0, 0, 0 ], [ 1, 0, -3 ], [ 2, 0, -4 ],
	[ 0, 12, 12 ], [ 1, 12, 11 ], [ 2, 12, 2 ], [ 0, 13, undef ]);
step($script, 'partly late', [ 0, 45, 45 ], [ 0, 46, 19 ], [ 1, 45, 40 ], [ 1, 45, 1 ], [ 2, 45, 44 ]);
step($script, 'late', [ 0, 75, 75 ], [ 0, 76, 19 ], [ 0, 76, 3 ], [ 1, 75, 74 ], [ 1, 75, -50 ], [ 2, 75, 70 ]);
is(total($script, 'late_closed'), 0, 'so far every verdict follows from the log');
step($script, 'idle', [ 0, 99, 99 ], [ 0, 110, 110 ], [ 1, 109, 108 ]);
step($script, 'woken', [ 2, 111, 71 ], [ 2, 111, 96 ], [ 2, 112, 81 ]);
my $woken = total($script, 'late_closed');
cmp_ok($woken, '>', 0, 'records of a partition that was idle find windows closed');
step($script, 'from the future', [ 0, 113, 300 ], [ 0, 114, 112 ], [ 1, 113, 200 ], [ 2, 113, 114 ],
	[ 0, 115, 299 ], [ 0, 116, 85 ]);

# No partition is idle, but p1 and p2 hold the watermark far back.
step($script, 'held', [ 0, 140, 140 ], [ 1, 139, 113 ], [ 2, 139, 115 ]);
my @due = silence($script, 'a silence');
is(scalar @due, 4, 'a silence closes windows of every view');
step($script, 'after a silence', [ 1, 141, 112 ], [ 2, 141, 118 ], [ 0, 141, 135 ]);
cmp_ok(total($script, 'late_closed'), '>', $woken, 'what it closed, later records find closed');

# The edge of a window is passed just as the timeout is: not before.
step($script, 'before an edge', [ 0, 179.99, 169.99 ], [ 1, 179.99, 150 ], [ 2, 179.99, 150 ]);
silence($script, 'another silence');
my ($n, $to) = moves('script_tumble', 'close_timeout');
is($n, 2, 'each silence has its row');

# A reader knows nothing of the silence before it.
step($script, 'before a restart', [ 0, 200, 200 ], [ 1, 200, 176 ], [ 2, 200, 177 ]);
$session->quit;
$node->restart;
connect_session();
silence($script, 'a silence after a restart');

advance($script, 'by hand', 225);
step($script, 'after it', [ 0, 201, 201 ], [ 1, 201, 224 ], [ 2, 201, 226 ]);
advance($script, 'by hand, no more', 225);
is((moves('script_tumble', 'advance'))[0], 1, 'what closes nothing is no exception');
is( sql(q{SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM weir.exception
		WHERE view = 'script_tumble'::regclass}),
	'advance close_timeout idle', 'the exceptions');

#
# At random
#

foreach my $name (qw(first second))
{
	my $topic = create($name, 3);
	my $clock = 0;

	foreach my $i (1 .. 4)
	{
		my @records;
		my @active = $i == 1 ? (0, 1) : grep { rand() < 0.7 } 0 .. 2;

		# whatever is read first begins at the same time
		@records = map { [ $_, 0, -int(rand(5)) ] } @active if $i == 1;
		foreach (1 .. rand(25))
		{
			my $p = $active[ rand(@active || 1) ] // last;
			my $t = $clock - int(rand() < 0.3 ? rand(60) : rand(9));

			$clock += int(rand(6));
			$t = $clock + int(rand(60)) if rand() < 0.1;
			push @records, [ $p, $clock, rand() < 0.05 ? undef : $t ];
		}
		step($topic, "SEED=$seed, step $i", @records);
		silence($topic, "SEED=$seed, silence $i") if rand() < 0.3;
		advance($topic, "SEED=$seed, by hand $i", $clock - int(rand(20))) if rand() < 0.2;
	}
	is( sql(qq{SELECT count(*) FROM weir.checkpoint WHERE view::text LIKE '${name}_%'
			AND (read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
				OR next_offset - start <> read + gaps)}),
		'0', "$name: the laws hold");
}

# Nothing has happened to the topic that was quiet all the time, and a record
# that comes at last is on time.
is( sql(q{SELECT count(*), count(*) FILTER (WHERE status = 'running' AND watermark IS NULL AND closed_to = '-infinity')
		FROM weir.stat_view WHERE view::text LIKE 'quiet_%'}), '4|4', 'quiet: no watermark, nothing closed');
sql("ALTER FOREIGN TABLE quiet OPTIONS (DROP close_timeout)");
step($quiet, 'at last', [ 0, 5, 3 ]);
silence($quiet, 'quiet again');
poll_ok($node, 'postgres', q{SELECT count(*) FROM weir.view WHERE status <> 'running'}, 'all views run', '0');

$session->quit;
done_testing();
