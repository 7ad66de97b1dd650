# Same topic, same rows: what a view holds does not depend on how large the
# batches were, where the cluster was restarted, or which views came before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use WeirOracle;

my $seed = $ENV{SEED} // int(rand(2**31));
note("SEED=$seed");

use_cumulate('5 minutes', '1 minute');

my $node = weir_node('main', conf => "max_prepared_transactions = 1\n");

my $log_end = 0;
my $cut_off = 0;

# Everything of the checkpoint but who it belongs to.
my $checkpoint = q{partition, start, next_offset, max_event_time,
	max_timestamp, watermark, anchor_offset, anchor_timestamp, anchor_crc, read,
	aggregated, filtered, late, dead_lettered, skipped, tombstones, gaps,
	partly_late, late_closed};

my @facts = (
	[ 'late records', 'weir.late_event',
		'partition, "offset", "timestamp", event_time, late_bound, key, value' ],
	[ 'dead letters', 'weir.dead_letter',
		'partition, "offset", topic, "timestamp", key, value, sqlstate, reason' ],
	[ 'checkpoint',  'weir.checkpoint', $checkpoint ]);

sub set_batch
{
	my ($rows, $fault) = @_;

	$node->append_conf('postgresql.conf',
		"weir.batch_rows = $rows\nweir.fault = '$fault'");
	$node->reload;
	return;
}

# Read into new views, those that create makes and returns, with restarts in
# mid-way: so often as there
# are passes, the cluster is stopped when a reader, after so many batches, has
# come to a commit.  There it waits for a lock that a prepared transaction
# holds, so that this outlives the restart.
sub read_into
{
	my ($create, $rows, @passes) = @_;
	my @modes = qw(fast immediate);

	$node->safe_psql(
		'postgres', q{
		BEGIN;
		SELECT pg_advisory_xact_lock(hashtext('batch-commit'));
		PREPARE TRANSACTION 'holder';});
	set_batch($rows, @passes ? "batch-commit:wait:$passes[0]" : '');
	my @views = $create->();
	foreach my $i (0 .. $#passes)
	{
		my $next = $i < $#passes ? "batch-commit:wait:$passes[$i + 1]" : '';

		$node->wait_for_log(qr/fault point batch-commit reached/, $log_end);
		$node->stop($modes[ $i % 2 ]);
		$node->append_conf('postgresql.conf', "weir.fault = '$next'");
		$log_end = -s $node->logfile;
		$node->start;
		$cut_off++;
	}
	set_batch($rows, '');
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'holder'");
	$node->safe_psql('postgres', "SELECT weir.wait('$_', '10 minutes')")
	  foreach @views;
	return;
}

sub read_stream
{
	my ($stream, $prefix, @how) = @_;

	read_into(
		sub { create_views($node, $stream, $prefix); return view_names($prefix) },
		@how);
	return;
}

# All that the first views have, the others must have too.
sub compare
{
	my ($stream, $prefix, $first, $min, @views) = @_;

	foreach my $view (@views ? @views : view_names(''))
	{
		my ($one, $other) = ("$first$view", "$prefix$view");

		same_rows($node, 'postgres', "TABLE $other", "TABLE $one",
			"$other: rows", min => $min);
		is( $node->safe_psql('postgres', "SELECT weir.closed_to('$other')"),
			$node->safe_psql('postgres', "SELECT weir.closed_to('$one')"),
			"$other: the same windows are closed");
		foreach my $fact (@facts)
		{
			my ($what, $table, $list) = @$fact;

			same_rows($node, 'postgres',
				"SELECT $list FROM $table WHERE view = '$other'::regclass",
				"SELECT $list FROM $table WHERE view = '$one'::regclass",
				"$other: $what");
		}
	}
	return;
}

# The first views stand at the head all the time and keep the main reader.
create_stream($node, 'large', limit => 52000, seed => $seed);
create_stream($node, 'small', limit => 5000, seed => $seed, rate => 1);
create_views($node, 'large', 'head_large_', start => 'latest');
create_views($node, 'small', 'head_small_', start => 'latest');
wait_for_views($node, "head_${_}_") foreach qw(large small);
is( $node->safe_psql(
		'postgres', 'SELECT sum(read), sum(next_offset - start) FROM weir.checkpoint'
	), '0|0', 'views that start at the end read nothing');

# Undisturbed and in the largest batches, and by the oracles right.
read_stream('large', 'large_100000_', 100000);
load_oracles($node, 'large', '5 minutes');
views_equal_oracles($node, 'large', 'large_100000_', "SEED=$seed");
drop_views($node, 'head_small_');
read_stream('small', 'small_1_', 1, 500, 1500);
load_oracles($node, 'small', '5 minutes');
views_equal_oracles($node, 'small', 'small_1_', "SEED=$seed", closed => 200);

foreach my $run ([ 100000, 0, 0 ], [ 1000, 3, 10 ], [ 7, 500, 1000, 1500 ])
{
	my ($rows, @passes) = @$run;
	my $prefix = "large_${rows}_restarted_";

	read_stream('large', $prefix, $rows, @passes);
	compare('large', $prefix, 'large_100000_', 1000);
}
foreach my $run ([ 7, 100, 200 ], [ 1000, 0, 1 ], [ 100000, 0 ])
{
	my ($rows, @passes) = @$run;
	my $prefix = "small_${rows}_";

	read_stream('small', $prefix, $rows, @passes);
	compare('small', $prefix, 'small_1_', 200);
}

# A record a batch takes long: one view alone.
read_into(
	sub {
		my $statement = $node->safe_psql('postgres', q{SELECT weir.definition('large_100000_by_user')});

		$node->safe_psql('postgres', $statement =~ s/large_100000_by_user/large_1_by_user/r);
		return 'large_1_by_user';
	},
	1, 500, 20000);
compare('large', 'large_1_', 'large_100000_', 1000, 'by_user');
is($cut_off, 16, 'so many batches were cut off');
is($node->safe_psql('postgres', 'SELECT count(*) FROM weir.exception'),
	'0', 'no watermark was moved by a clock');
laws_hold($node, "SEED=$seed");

done_testing();
