# Whatever is killed, and whenever, every record is accounted for once: kills
# of readers and of the cluster under load, in each step of a batch, of a
# close and of a compaction.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use WeirOracle;

use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;

my $seed = $ENV{SEED} // int(rand(2**31));
srand($seed);
note("SEED=$seed");

my $node = weir_node(
	'main',
	restart_after_crash => 1,
	conf => "weir.batch_rows = 60\nweir.batch_time = 200\n");

# Many small windows, so that all the time some close.  The stream begins with
# a backlog and flows until the end of the test.
use_windows(
	by_type  => [ '200 milliseconds', '200 milliseconds' ],
	by_user  => [ '1 second',         '200 milliseconds' ],
	by_place => [ '1 second',         '1 second' ]);
use_cumulate('1 second', '200 milliseconds');
create_stream($node, 'events', start => '-60 seconds', rate => 400,
	seed => $seed, disorder => '2 seconds', watermark_delay => '3 seconds',
	late_by => '4 seconds');
create_views($node, 'events', '');

sub set_fault
{
	my ($fault) = @_;

	$node->append_conf('postgresql.conf', "weir.fault = '$fault'");
	$node->reload;
	return;
}

# How far the views have come: a condition that is true once all are beyond.
sub beyond_here
{
	my $positions = sql_when_up(
		$node, 'postgres', q{
		SELECT string_agg(format('(%s::oid, %s)', view::oid, sum), ', ')
		FROM (SELECT view, sum(next_offset) FROM weir.checkpoint GROUP BY view) c});
	return qq{
		SELECT bool_and(now.sum > was.sum)
		FROM (SELECT view::oid, sum(next_offset) FROM weir.checkpoint GROUP BY view) now
		JOIN (VALUES $positions) was (view, sum) USING (view)};
}

my %count = (batch => 0, close => 0, other => 0);

sub phase_of
{
	my ($point) = @_;

	return 'close' if $point =~ /^close/;
	return $point =~ /^flush|^batch-(decoded|commit)$/ ? 'batch' : 'other';
}

# A fault point kills the reader, or raises an error in it.
sub fault
{
	my ($point, $action) = @_;
	my $offset = -s $node->logfile;
	my $happened = $action eq 'kill'
	  ? qr/"weir reader" \(PID \d+\) was terminated by signal 9/
	  : qr/fault point $point raised/;

	set_fault("$point:$action:" . int(rand(3)));
	$node->wait_for_log(qr/fault point $point reached/, $offset);
	$node->wait_for_log($happened, $offset);
	set_fault('');
	$count{ phase_of($point) }++;
	poll_ok($node, 'postgres', beyond_here(), "$action at $point: the views go on");
	return;
}

# A reader is held inside a transaction that has written, and killed there.
sub kill_held
{
	my ($point) = @_;
	my $offset = -s $node->logfile;
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("SELECT pg_advisory_lock(hashtext('$point'))");
	set_fault("$point:wait");
	$node->wait_for_log(qr/fault point $point reached/, $offset);

	# The log tells of the point before the reader waits there; and a reader
	# that catches up may be held beside the main one.
	my $held = q{FROM pg_stat_activity WHERE backend_type = 'weir reader'
		AND backend_xid IS NOT NULL AND wait_event = 'advisory'};
	$node->poll_query_until('postgres', "SELECT count(*) > 0 $held")
	  or die "no reader waits at $point";
	my $pid = $node->safe_psql('postgres', "SELECT min(pid) $held");
	my $beyond = beyond_here();

	like($pid, qr/^\d+$/, "$point: the reader is inside a transaction");
	is($node->safe_psql('postgres', $beyond), 'f', "$point: nothing is committed");
	kill 'KILL', $pid;
	$node->wait_for_log(qr/\(PID $pid\) was terminated by signal 9/, $offset);
	set_fault('');
	eval { $holder->quit; };
	$count{ phase_of($point) }++;
	poll_ok($node, 'postgres', $beyond, "$point: what was cut off is repeated");
	return;
}

sub kill_anywhere
{
	my $beyond = beyond_here();
	my $offset = -s $node->logfile;

	$node->poll_query_until('postgres', $beyond) or die 'no progress';

	# The main reader: one that catches up leaves when it has.
	my $main = q{FROM weir.stat_worker WHERE kind = 'reader' AND main};
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $main")
	  or die 'no main reader';
	my ($pid) = $node->safe_psql('postgres', "SELECT pid $main") =~ /^(\d+)$/
	  or die 'no main reader any more';
	is(kill('KILL', $pid), 1, 'a reader is killed');
	$node->wait_for_log(qr/\(PID $pid\) was terminated by signal 9/, $offset);
	$count{other}++;
	poll_ok($node, 'postgres', beyond_here(), 'kill -9: the views go on');
	return;
}

sub stop_anywhere
{
	$node->stop('immediate');
	$node->start;
	$count{other}++;
	poll_ok($node, 'postgres', beyond_here(), 'immediate stop: the views go on');
	return;
}

my @in_batch = qw(batch-decoded flush-aggregated flush-appended flush-rejects
  flush-checkpoint batch-commit);
my @in_close = qw(close-inserted close-state);
my @elsewhere = qw(batch-collected batch-committed compact-copied);
my @plan = (
	(map { my $point = $_; map { [ \&fault, $point, $_ ] } qw(kill error) }
	   @in_batch, @in_close, @elsewhere),
	(map { [ \&kill_held, $_ ] } qw(flush-appended batch-commit close-inserted)),
	(map { [$_] } (\&kill_anywhere) x 2, (\&stop_anywhere) x 2));

poll_ok($node, 'postgres',
	q{SELECT count(*) = 16 AND min(read) > 0 FROM weir.checkpoint},
	'the views have begun');
foreach my $step (shuffle @plan)
{
	my ($action, @arguments) = @$step;

	$action->(@arguments);
}
note(join ', ', map { "$_: $count{$_}" } sort keys %count);
cmp_ok($count{batch}, '>=', 10, 'enough kills inside a batch');
cmp_ok($count{close}, '>=', 3,  'enough kills inside a close');
cmp_ok($count{batch} + $count{close} + $count{other}, '>=', 20, 'enough kills');

is( $node->safe_psql(
		'postgres', q{SELECT count(*) FROM weir.view
		WHERE status NOT IN ('running', 'catching up', 'queued')}),
	'0', 'no view is left failed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM weir.exception'),
	'0', 'no watermark was moved by a clock');

wait_for_views($node, '');
$node->safe_psql('postgres', "SELECT weir.pause('$_')") foreach view_names('');
load_oracles($node, 'events', '3 seconds');
views_equal_oracles($node, 'events', '', "SEED=$seed", part => 1);

done_testing();
