# Seven faults of a live pipeline.  For each: its metric changes, its panel's
# SQL, as Grafana's role, shows it, weir.why says it, its alert goes pending
# and no other does; and the alert goes again when the fault is mended.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Grafana;
use Monitoring;
use POSIX qw(strftime ceil);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

need_kafka();

# An hour ago, in milliseconds: when records of stream hourly begin.
my $hour_ago = (int(time) - 3600) * 1000;

# Of each fault: what brings it about and what mends it, the metric and its
# value without it and with it, the panel (dashboard, title) and the sentence of
# weir.why (of which view) that are there only with it.  What is counted does
# not go when the fault is mended.
my @faults = (
	{
		fault  => 'the producer is stopped',
		break  => sub { sql(q{SELECT weir.stop_producer('live')}) },
		mend   => sub { start_producer() },
		metric => 'weir_producer_running{producer="live"}',
		values => [ 1, 0 ],
		panel  => [ 'weir-engine', 'Producers', qr/^live\|stopped\|/m ],
		why    => [ 'events_per_second', 'No producer sends to stream public.events: "live" is stopped' ],
		alert  => 'WeirProducerStopped'
	},
	{
		fault  => 'a view is paused',
		break  => sub { sql(q{SELECT weir.pause('revenue')}) },
		mend   => sub { sql(q{SELECT weir.resume('revenue')}) },
		metric => 'weir_view_status{view="revenue", status="paused"}',
		values => [ 0, 1 ],
		panel  => [ 'weir-engine', 'Views', qr/^revenue\|.*\|paused\|/m ],
		why    => [ 'revenue', 'The view is paused' ],
		alert  => 'WeirViewPaused'
	},
	{
		fault  => 'one partition holds the watermark',
		break  => sub { kafka_produce('hourly', [ 0, $hour_ago + 600_000, undef, '{}' ]) },
		mend   => sub { kafka_produce('hourly', [ 1, $hour_ago + 600_000, undef, '{}' ]) },
		metric => 'weir_partition_holds_watermark{view="per_minute", partition="1"}',
		values => [ 0, 1 ],
		panel  => [ 'weir-stream', 'Partitions', qr/^per_minute\|1\|.*\|holds it\|/m ],
		why    => [ 'per_minute', 'Partition 1 holds it' ],
		alert  => 'WeirWatermarkHeld'
	},
	{
		fault   => 'poison',
		break   => sub { kafka_produce('shop', map { [ $_, undef, undef, '{"event_type":' ] } 0 .. 2) },
		metric  => 'weir_view_dead_lettered_total{view="events_per_second"}',
		values  => [ 0, 3 ],
		panel   => [ 'weir-engine', 'Dead letters', qr/^events_per_second\|3\|/m ],
		why     => [ 'events_per_second', '3 of [0-9]+ records read were bad' ],
		counted => 1,
		alert   => 'WeirBadRecords'
	},
	{
		fault => 'a burst of late records',
		break => sub {
			my $ts = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - 7200));
			kafka_produce('shop',
				map { [ $_ % 4, undef, undef, qq({"event_type":"login","timestamp":"$ts"}) ] } 1 .. 500);
		},
		metric  => 'weir_view_late_total{view="events_per_second"}',
		values  => [ 0, 500 ],
		panel   => [ 'weir-engine', 'Late records', qr/^events_per_second\|500\|/m ],
		why     => [ 'events_per_second', '500 of [0-9]+ records read were late' ],
		counted => 1,
		alert   => 'WeirLateBurst'
	},
	{
		fault  => 'the broker is down',
		break  => sub { kafka_kill() },
		mend   => sub { kafka_start() },
		metric => 'max(weir_worker_error{kind="reader", stream="events"})',
		values => [ 0, 1 ],
		panel  => [ 'weir-engine', 'Workers', qr/\|reader\|events\|.*\|[^|]*127\.0\.0\.1/m ],
		why    => [ 'events_per_second', 'The reader of stream public.events cannot read' ],
		alert  => 'WeirReaderError'
	},
	{
		fault => 'windows cannot be closed',
		break => sub {
			sql(q{
				CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
					$$ BEGIN RAISE 'the warehouse is shut'; END $$;
				DO $$ BEGIN EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT ON %s
					FOR EACH ROW EXECUTE FUNCTION refuse()', weir.closed('events_per_second')); END $$});
		},
		mend   => sub { sql('DROP FUNCTION refuse() CASCADE') },
		metric => 'weir_view_status{view="events_per_second", status="close_failed"}',
		values => [ 0, 1 ],
		panel  => [ 'weir-engine', 'Views', qr/^events_per_second\|.*\|close_failed\|.*the warehouse is shut/m ],
		why    => [ 'events_per_second', 'windows could not be closed .*: the warehouse is shut' ],
		alert  => 'WeirCloseFailed'
	});

#
# The pipeline, live
#

kafka_start();
kafka_topic('shop',   4);
kafka_topic('hourly', 2);
my $node = weir_node('main', conf => "weir.batch_time = 100\n");
my $bootstrap = kafka_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub start_producer
{
	return sql(q{SELECT weir.start_producer('live', 'generated', 'events')});
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE events (
		event_type text, total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER kafka OPTIONS (topic 'shop', event_time 'ts', watermark_delay '2 seconds');
	CREATE FOREIGN TABLE hourly (ts timestamptz OPTIONS (metadata 'timestamp'))
		SERVER kafka OPTIONS (topic 'hourly', event_time 'ts', idle_timeout 'infinity');
	CREATE FOREIGN TABLE generated (
		event_type text, total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', rate '200', start '-5 seconds');
	CREATE MATERIALIZED VIEW events_per_second WITH (weir.continuous) AS
	SELECT window_start, window_end, event_type, count(*) AS events
	FROM events, weir.tumble(ts, '1 second') GROUP BY window_start, window_end, event_type;
	CREATE MATERIALIZED VIEW revenue WITH (weir.continuous) AS
	SELECT window_start, window_end, sum(total_amount) AS revenue
	FROM events, weir.tumble(ts, '10 seconds') WHERE event_type = 'purchase'
	GROUP BY window_start, window_end;
	CREATE MATERIALIZED VIEW per_minute WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS records
	FROM hourly, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	CREATE ROLE metrics LOGIN;
	GRANT pg_monitor TO metrics;
	});
sql(slurp_file("$FindBin::RealBin/../../grafana/role.sql"));
start_producer();
kafka_produce('hourly', map { [ $_, $hour_ago, undef, '{}' ] } 0, 1);
poll_ok($node, 'postgres',
	q{SELECT count(*) = 10 AND bool_and(read > 0) FROM weir.stat_partition},
	'every partition is read');
poll_ok($node, 'postgres',
	q{SELECT weir.closed_to('events_per_second') > '-infinity'}, 'windows close');

exporter_start($node, 'metrics');
prometheus_start();
prometheus_poll('count(weir_view_served == 1)', 3, 'the views are scraped');
prometheus_poll('count(view:weir_view_read:rate5m{stream="events"} > 0)',
	2, 'the rules are evaluated');
alerts_poll([], 'all is well');
is_deeply(
	[
		grep { $_->{health} ne 'ok' } map { @{ $_->{rules} } } @{ prometheus_get('rules')->{groups} }
	],
	[], 'every rule works');

#
# The faults
#

# What a panel shows: its rows, columns parted by "|".
sub panel
{
	my ($dashboard, $title) = @_;
	my %choose =
	  $dashboard eq 'weir-stream' ? (choose => { stream => 'hourly', view => 'per_minute' }) : ();
	my $answer = grafana_run($node, 'postgres',
		grafana_sql($node, 'postgres', $dashboard, $title, %choose));

	die $answer->{error} if $answer->{error};
	return join "\n", map { join '|', map { $_ // '' } @$_ } @{ $answer->{rows} };
}

# Tests that metric, panel and weir.why come to show the fault, or not.
sub shows
{
	my ($f, $broken) = @_;
	my ($dashboard, $title, $row) = @{ $f->{panel} };
	my ($view, $sentence) = @{ $f->{why} };
	my $shown = $broken ? 'shows it' : 'does not show it';
	my $panel;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	prometheus_poll($f->{metric}, $f->{values}[$broken], "$f->{fault}: the metric $shown");
	wait_for(sub { $panel = panel($dashboard, $title); ($panel =~ $row) == $broken },
		"$f->{fault}: panel \"$title\" $shown")
	  or diag($panel);
	poll_ok($node, 'postgres',
		"SELECT count(*) = $broken FROM weir.why('$view') AS w WHERE w ~ \$re\$$sentence\$re\$",
		"$f->{fault}: weir.why $shown")
	  or diag(sql("SELECT weir.why('$view')"));
	return;
}

foreach my $f (@faults)
{
	my $began = time;

	shows($f, 0);
	$f->{break}->();
	shows($f, 1);
	alerts_poll([ $f->{alert} ], "$f->{fault}: $f->{alert} is there");
	is_deeply(
		[ map { $_->{state} } grep { $_->{state} ne 'pending' } @{ prometheus_get('alerts')->{alerts} } ],
		[], "$f->{fault}: and is pending");
	$f->{mend}->() if $f->{mend};
	shows($f, 0) unless $f->{counted};
	alerts_poll([], "$f->{fault}: then there is no alert");

	my $seconds = ceil(time - $began);
	is_deeply(
		{ prometheus_samples("group by (alertname) (max_over_time(ALERTS[${seconds}s]))", 'alertname') },
		{ $f->{alert} => 1 },
		"$f->{fault}: and there was no other in $seconds s");
}

# Through all of it the laws held.
is( sql(q{
		SELECT view, partition FROM weir.stat_partition
		WHERE read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
		   OR next_offset - start <> read + gaps}),
	'', 'both laws hold for every view and partition');

$node->stop('fast');
done_testing();
