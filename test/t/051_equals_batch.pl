# A view equals its query over the log, record by record: rows, late records,
# dead letters and counters, by two oracles.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use WeirOracle;

my $seed = $ENV{SEED} // int(rand(2**31));
note("SEED=$seed");

my $node = weir_node('main', conf => "weir.batch_rows = 700\n");

# Nothing is late: the query run by hand over the topic gives the same rows.
create_stream($node, 'clean', limit => 12000, seed => $seed,
	late_fraction => 0, poison_fraction => 0, disorder => '5 minutes',
	rate => 1);
create_views($node, 'clean', 'clean_');
wait_for_views($node, 'clean_');
foreach my $view (view_names('clean_'))
{
	same_rows($node, 'postgres', "TABLE $view",
		"TABLE weir_data.${view}_query",
		"$view equals its query over the topic", min => 600);
}

# Disorder inside the delay, and records planted far behind it.
create_stream($node, 'planted', limit => 50000, seed => $seed,
	late_by => '15 minutes');
create_views($node, 'planted', 'planted_');
wait_for_views($node, 'planted_');
load_oracles($node, 'planted', '5 minutes');
views_equal_oracles($node, 'planted', 'planted_', "SEED=$seed");

# Once every partition has a watermark, what was planted is what is late.
foreach my $view (view_names('planted_'))
{
	my $where = $view =~ /type/
	  ? "AND (event_type <> 'login' OR device = 'tablet')" : '';

	same_rows(
		$node, 'postgres', qq{
		SELECT partition, "offset" FROM weir.late_event
		WHERE view = '$view'::regclass AND "timestamp" > '2024-03-01T01:00:00Z'},
		qq{SELECT p, o FROM planted_plain
		WHERE kts > '2024-03-01T01:00:00Z' AND ts <= kts - interval '15 minutes' $where},
		"$view: the late records are the planted ones", min => 100);
}

# Records that miss some of their windows; lateness keeps windows open longer.
create_stream($node, 'partly', limit => 30000, seed => $seed + 1);
create_views($node, 'partly', 'partly_');
create_views($node, 'partly', 'patient_', lateness => '90 seconds');
wait_for_views($node, 'partly_');
wait_for_views($node, 'patient_');
load_oracles($node, 'partly', '5 minutes');
views_equal_oracles($node, 'partly', 'partly_', "SEED=$seed", closed => 700);
views_equal_oracles($node, 'partly', 'patient_', "SEED=$seed with lateness",
	closed => 700, lateness => '90 seconds');
is( $node->safe_psql(
		'postgres', q{
		SELECT sum(partly_late) > 100, sum(late) > 10 FROM weir.checkpoint
		WHERE view = 'partly_by_user'::regclass}),
	't|t', 'some records miss some windows, some all');

# Disorder beyond the delay: what is late is a function of the log.
create_stream($node, 'wild', limit => 20000, seed => $seed + 2,
	disorder => '12 minutes', late_fraction => 0);
create_views($node, 'wild', 'wild_');
wait_for_views($node, 'wild_');
load_oracles($node, 'wild', '5 minutes');
views_equal_oracles($node, 'wild', 'wild_', "SEED=$seed, much disorder",
	closed => 300, late => 1000);

is($node->safe_psql('postgres', 'SELECT count(*) FROM weir.exception'),
	'0', 'no watermark was moved by a clock');
is( $node->safe_psql(
		'postgres', q{SELECT count(*) FROM weir.view
		WHERE status NOT IN ('running', 'catching up')}),
	'0', 'no view has left its reader');

done_testing();
