# A worker that has nothing to do does nothing, and whoever is told to go goes
# at once, whatever the broker does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use WeirTest;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

need_kafka();

# What the issue allows: voluntary context switches a second of a reader's main
# thread, and milliseconds until a worker is gone.
my $max_switches = 2;
my $max_ms       = 2000;

# Over how many seconds switches are counted, and how much memory may come.
my $seconds = 20;
my $flat_kb = 1024;

kafka_start();
kafka_topic('quiet', 4);
kafka_topic('flow',  1);

my $node = weir_node('main');
my $bootstrap = kafka_bootstrap();

# All records of both streams are read before anything is measured; one
# partition of the topic stays empty.
kafka_produce('quiet',
	map { [ $_ % 3, undef, undef, qq({"kind":"k$_","n":$_}) ] } 1 .. 900);
$node->safe_psql(
	'postgres', qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE quiet (kind text, n int,
		ts timestamptz OPTIONS (metadata 'timestamp'))
		SERVER kafka OPTIONS (topic 'quiet', event_time 'ts');
	CREATE FOREIGN TABLE flow (id int) SERVER kafka OPTIONS (topic 'flow');
	CREATE FOREIGN TABLE done (event_type text,
		ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', rate '1000', "limit" '5000',
			partitions '4', start '2026-01-01 00:00:00+00', event_time 'ts');
	CREATE MATERIALIZED VIEW quiet_v WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS records
		FROM quiet, weir.tumble(ts, '1 minute')
		GROUP BY window_start, window_end;
	CREATE MATERIALIZED VIEW done_v WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS records
		FROM done, weir.tumble(ts, '1 minute')
		GROUP BY window_start, window_end;
	SELECT weir.wait('quiet_v', '2 minutes'), weir.wait('done_v', '2 minutes');
	});
is($node->safe_psql('postgres', 'SELECT sum(records) FROM quiet_v'),
	900, 'the topic is read');
is($node->safe_psql('postgres', 'SELECT sum(records) FROM done_v'),
	5000, 'the generator is read');

# The reader of a stream.
sub reader_of
{
	my ($stream) = @_;

	return $node->safe_psql('postgres',
		"SELECT pid FROM weir.stat_worker WHERE stream = '$stream'");
}

# One figure of a thread's status.
sub figure
{
	my ($file, $name) = @_;
	my ($figure) = slurp_file($file) =~ /^$name:\s+(\d+)/m
	  or die "no $name in $file";

	return $figure;
}

# Voluntary switches of the main thread, of all others, and memory in kB.
sub activity
{
	my ($pid) = @_;
	my %at = (
		main => 0,
		rdk  => 0,
		rss  => figure("/proc/$pid/status", 'VmRSS'));

	foreach my $task (glob "/proc/$pid/task/*")
	{
		my $whose = $task eq "/proc/$pid/task/$pid" ? 'main' : 'rdk';

		$at{$whose} += figure("$task/status", 'voluntary_ctxt_switches');
	}
	return \%at;
}

my %pid = map { $_ => reader_of($_) } qw(quiet done);

# What is done once is done: what comes every ten seconds has come twice.
$node->safe_psql('postgres', "SELECT pg_sleep($seconds)");
my %before = map { $_ => activity($pid{$_}) } keys %pid;
my $began = time;
$node->safe_psql('postgres', "SELECT pg_sleep($seconds)");
my $took = time - $began;

foreach my $stream (sort keys %pid)
{
	my $after = activity($pid{$stream});
	my %more =
	  map { $_ => $after->{$_} - $before{$stream}->{$_} } keys %$after;

	diag(
		sprintf '%s: %.2f switches/s, librdkafka\'s threads %.2f, RSS %+d kB',
		$stream, $more{main} / $took, $more{rdk} / $took, $more{rss});
	cmp_ok($more{main} / $took,
		'<=', $max_switches, "$stream: the idle reader sleeps");
	cmp_ok($more{rss}, '<=', $flat_kb, "$stream: its memory is flat");
}
is_deeply({ map { $_ => reader_of($_) } keys %pid },
	\%pid, 'the readers are still the same');

# Terminate a worker as soon as there is one.
sub goes_in_time
{
	my ($type, $name) = @_;
	my $worker = "FROM pg_stat_activity WHERE backend_type = '$type'";
	my $begin;
	my $gone;

	poll_ok($node, 'postgres', "SELECT count(*) > 0 $worker",
		"$name: there is one");
	$begin = time;
	$gone = $node->safe_psql('postgres',
		"SELECT coalesce(bool_and(pg_terminate_backend(pid, $max_ms)), true) $worker"
	);
	is($gone, 't', "$name: goes in time");
	diag(sprintf '%s: %.2f s', $name, time - $begin);
	return;
}

# A producer that has something to send for as long as this test runs.
$node->safe_psql('postgres',
	"SELECT weir.start_producer('p', 'SELECT i AS id FROM generate_series(1, 10000000) i', 'flow', 10)"
);

my @brokers = (
	[ up         => sub { } ],
	[ blackholed => sub { kafka_signal('STOP') } ],
	[ refused    => sub { kafka_signal('CONT'); kafka_kill(); } ]);

foreach my $broker (@brokers)
{
	my ($state, $enter) = @$broker;

	foreach my $type (qw(reader producer database launcher))
	{
		poll_ok(
			$node, 'postgres',
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'weir $type'",
			"$state: a $type is there before");
	}
	$enter->();
	foreach my $round (1, 2)
	{
		foreach my $type (qw(reader producer database launcher))
		{
			goes_in_time("weir $type", "$state: $type, round $round");
		}
	}
}

# With a broker again, everything goes on.
kafka_start();
kafka_produce('quiet', [ 3, undef, undef, '{"kind":"last","n":1}' ]);
poll_ok($node, 'postgres', 'SELECT sum(records) = 901 FROM quiet_v',
	'the view goes on when the broker is back');

$node->stop('fast');
done_testing();
