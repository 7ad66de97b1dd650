# The pipeline while everything that can be killed is killed under load: the
# reader (kill -9), the cluster (immediate stop), the broker (kill -9).  What
# is killed inside a transaction is held at a fault point until it is dead, and
# its transaction is looked up afterwards.  Then both laws and both oracles.
#
# A producer that was killed sends again what was not certain to be delivered,
# so the topic has records twice; the oracles look at the topic.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use List::Util qw(shuffle);
use PipelineTest;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

need_kafka();

my $seed = $ENV{WEIR_SEED} // int(rand(1 << 31));
srand($seed);
diag("WEIR_SEED=$seed");

my $events = 1_000_000;

kafka_start();
kafka_topic('shop', 4);

# The rate is such that events still come when the last kill is over.
my $node = weir_node(
	'main',
	restart_after_crash => 1,
	conf                => "weir.batch_rows = 2000\nweir.batch_time = 200\n");
$node->safe_psql('postgres',
	'CREATE TABLE kill (n int, point text, victim text, xid xid8)');
pipeline_create($node, 'shop');
generator(
	$node, 'gen',
	skew            => '10,1,1,1',
	"limit"         => $events,
	rate            => '1.5',
	seed            => $seed,
	disorder        => '4 minutes',
	late_by         => '8 minutes',
	late_fraction   => '0.002',
	poison_fraction => '0.0001',
	users           => 20);
$node->safe_psql('postgres',
	"SELECT weir.start_producer('gen', 'gen', 'events', 5000)");

my @batch_points = qw(flush-aggregated flush-appended flush-rejects
  flush-checkpoint batch-commit);
my @close_points = qw(close-inserted close-state);

# What is killed, and where: '' is wherever it happens to be.  At most three of
# them are at flush-aggregated, where a transaction may not have written yet.
my @kills = shuffle(
	(map { [ 'reader',  $batch_points[ $_ % @batch_points ] ] } 0 .. 7),
	(map { [ 'cluster', $_ ] } (shuffle(@batch_points))[ 0 .. 2 ]),
	[ 'broker',  $batch_points[ rand @batch_points ] ],
	(map { [ 'reader', $close_points[ $_ % 2 ] ] } 0 .. 2),
	[ 'cluster', $close_points[ rand @close_points ] ],
	[ 'reader',  'batch-committed' ],
	(map { [ 'reader',  '' ] } 1 .. 2),
	(map { [ 'cluster', '' ] } 1 .. 2),
	(map { [ 'broker',  '' ] } 1 .. 2));

my $is_reader = q{backend_type = 'weir reader'};

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub wait_for
{
	my ($query, $what) = @_;
	$node->poll_query_until('postgres', $query)
	  or die "in vain waited for: $what\n";
	return;
}

sub total_read
{
	return sql('SELECT coalesce(sum(read), 0) FROM weir.stat_partition');
}

sub kill_reader
{
	my $log = -s $node->logfile;
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE $is_reader");

	kill('KILL', $pid) or die "no reader to kill\n";
	$node->wait_for_log(qr/database system is ready to accept connections/,
		$log);
	return;
}

my %victim = (
	reader  => \&kill_reader,
	cluster => sub { $node->stop('immediate'); $node->start; },
	broker  => sub { kafka_kill(); });

# Kill the victim while the reader is held at the point.
sub kill_at
{
	my ($n, $victim, $point) = @_;
	my $holder = $node->background_psql('postgres', on_error_stop => 0);

	$holder->query_safe("SELECT pg_advisory_lock(hashtext('$point'))");
	sql("ALTER SYSTEM SET weir.fault = '$point:wait:" . int(rand 4) . q{'});
	sql('SELECT pg_reload_conf()');
	wait_for(qq{
		SELECT count(*) = 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND NOT granted AND $is_reader},
		"a reader at $point");

	# The row makes the WAL up to here durable, so that the number of the
	# transaction is not given to another one.
	sql(qq{
		INSERT INTO kill SELECT $n, '$point', '$victim', backend_xid::text::xid8
		FROM pg_stat_activity WHERE $is_reader});
	sql('ALTER SYSTEM RESET weir.fault');
	$victim{$victim}->();
	$holder->quit;
	kafka_start() if $victim eq 'broker';
	sql('SELECT pg_reload_conf()');
	return;
}

my $started = time();
my $n       = 0;
my $loaded  = 0;

foreach my $kill (@kills)
{
	my ($victim, $point) = @$kill;
	my $read = total_read();

	$n++;
	wait_for("SELECT sum(read) > $read FROM weir.stat_partition",
		"progress before kill $n");
	$loaded++ if sql(q{SELECT enabled FROM weir.producer}) eq 't';
	wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE $is_reader",
		'a reader') if $victim eq 'reader';
	if ($point ne '')
	{
		kill_at($n, $victim, $point);
	}
	else
	{
		sql("INSERT INTO kill VALUES ($n, '', '$victim')");
		$victim{$victim}->();
		kafka_start() if $victim eq 'broker';
	}
	note(sprintf '%5.1f s: %s killed at "%s"', time() - $started, $victim, $point);
}
is($loaded, scalar @kills, 'the producer had not finished at any kill');

# What was killed inside a transaction left no trace of it.
my %killed = map { split /\|/ } split /\n/, sql(q{
	SELECT CASE WHEN point ~ '^(flush|batch-commit$)' THEN 'batch'
	            WHEN point ~ '^close' THEN 'close' ELSE 'other' END, count(*)
	FROM kill GROUP BY 1});
my %aborted = map { split /\|/ } split /\n/, sql(q{
	SELECT CASE WHEN point ~ '^close' THEN 'close' ELSE 'batch' END, count(*)
	FROM kill WHERE victim <> 'broker' AND pg_xact_status(xid) = 'aborted' GROUP BY 1});
diag("$n kills: $killed{batch} inside a batch transaction and "
	  . "$killed{close} inside a close; aborted: $aborted{batch} and $aborted{close}");
note(sql('SELECT n, victim, point, xid, pg_xact_status(xid) FROM kill ORDER BY n'));
cmp_ok($n, '>=', 20, "$n kills");
cmp_ok($killed{batch}, '>=', 10, 'inside a batch transaction');
cmp_ok($killed{close}, '>=', 3,  'inside a close');
is( sql(q{
		SELECT count(*) FROM kill WHERE victim <> 'broker'
		AND point ~ '^(flush|batch-commit$|close)' AND xid IS NOT NULL
		AND pg_xact_status(xid) <> 'aborted'}),
	0, 'all of those transactions were aborted');
cmp_ok($aborted{batch}, '>=', 8, 'those of a batch had written');
cmp_ok($aborted{close}, '>=', 3, 'those of a close too');

# The rest of it as fast as it goes.
sql(q{SELECT weir.stop_producer('gen')});
poll_ok($node, 'postgres', 'SELECT state FROM weir.stat_producer', 'the producer stops', 'stopped');
sql("SELECT weir.start_producer('gen', 'gen', 'events', 0)");
poll_ok($node, 'postgres',
	'SELECT state, produced FROM weir.stat_producer',
	'the producer has sent its source', "stopped|$events");
pipeline_wait($node);
note(sprintf '%5.1f s: all is read', time() - $started);
cmp_ok(kcat_count('shop'), '>=', $events, 'no event was lost on the way in');
pipeline_laws($node, 'shop');
pipeline_oracles($node, 'shop', closed => 1000, late => 50, dead => 10);

done_testing();
