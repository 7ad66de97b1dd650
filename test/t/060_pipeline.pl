# A million events, all the way: generator, producer worker, Kafka, four
# continuous views, SELECT; against two oracles, one of which shares no code
# with pg_weir.
#
# The log is the same in every run.  Partition 0 is ten times as long as the
# others; partition 2 is empty at first; partition 3 comes when all else is
# there.  Partition 2 has records that are late for some windows only, the
# others records that are late for all.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PipelineTest;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

need_kafka();
kafka_start();
kafka_topic('shop', 4);

# Event time of a week: 650,000 seconds, one event of each short partition in
# 8.3 of them.
my $short = 78_000;
my $rate  = 0.12;

my $node = weir_node('main');
pipeline_create($node, 'shop');

# On-time events lie at most 30 seconds behind in partition 2, 4 minutes in the
# others, so that what is planted is certain to be late: 21 minutes is more than
# the delay, the longest window and the disorder together; 7 to 9 minutes miss
# some windows of five, but not all.
my %common = (
	users           => 20,
	poison_fraction => '0.00001',
	late_fraction   => '0.002');
generator(
	$node, 'first',
	skew     => '10,1,0,0',
	"limit"  => 11 * $short,
	rate     => 11 * $rate,
	seed     => 1,
	disorder => '4 minutes',
	late_by  => '21 minutes',
	%common);
generator(
	$node, 'second',
	skew     => '0,0,1,0',
	"limit"  => $short,
	rate     => $rate,
	seed     => 2,
	disorder => '30 seconds',
	late_by  => '7 minutes',
	%common);
generator(
	$node, 'last',
	skew     => '0,0,0,1',
	"limit"  => $short,
	rate     => $rate,
	seed     => 3,
	disorder => '4 minutes',
	late_by  => '21 minutes',
	%common);

sub produce
{
	my ($name) = @_;
	$node->safe_psql('postgres', "SELECT weir.start_producer('$name', '$name', 'events')");
	return;
}

sub finished
{
	my ($name) = @_;
	return poll_ok($node, 'postgres',
		"SELECT state, error FROM weir.stat_producer WHERE name = '$name'",
		"producer $name has sent its source", 'stopped|');
}

my $started = time();

produce('first');
poll_ok($node, 'postgres', q{
	SELECT count(*) = 4 AND min(read) > 10000 FROM
	(SELECT view, sum(read) AS read FROM weir.stat_partition GROUP BY view) v},
	'the views read while partition 2 is empty');
is( $node->safe_psql('postgres',
		'SELECT sum(read) FROM weir.stat_partition WHERE partition = 2'),
	0, 'partition 2 was empty for the first seconds');
produce('second');
finished($_) foreach qw(first second);
pipeline_wait($node);
is($node->safe_psql('postgres', q{
	SELECT DISTINCT weir.closed_to(view) FROM weir.view}),
	'-infinity', 'nothing is closed before partition 3 has a record');
produce('last');
finished('last');
pipeline_wait($node);
note(sprintf 'the pipeline took %.0f s', time() - $started);

is(kcat_count('shop'), 13 * $short, 'kcat counts what was produced');
pipeline_laws($node, 'shop');
pipeline_oracles($node, 'shop', closed => 1000, late => 100, dead => 5);

# What was planted, told by Kafka's timestamp, which no view looks at.
my $planted = q{SELECT partition, "offset" FROM record WHERE recorded - ts >= };
my $hop = q{weir.late_event WHERE view = 'events_per_user'::regclass};

same_rows(
	$node, 'postgres',
	qq{SELECT partition, "offset" FROM $hop AND late_bound >= event_time + '4 minutes'},
	"$planted '21 minutes'",
	'the records late for every sliding window are those planted',
	min => 1500);
same_rows(
	$node, 'postgres',
	qq{SELECT partition, "offset" FROM $hop AND partition = 2},
	"$planted '7 minutes' AND partition = 2",
	'those late for some are those planted', min => 100);
is( $node->safe_psql(
		'postgres', q{SELECT sum(late) || ' ' || sum(partly_late) FROM weir.stat_partition
		WHERE view = 'events_per_user'::regclass}),
	$node->safe_psql(
		'postgres', q{SELECT count(*) FILTER (WHERE partition <> 2) || ' ' ||
		count(*) FILTER (WHERE partition = 2) FROM record
		WHERE recorded - ts >= '7 minutes'}),
	'and are counted as such');
foreach my $name (@pipeline_views)
{
	my $all = $name eq 'revenue' ? q{ AND doc->>'event_type' = 'purchase'} : '';

	is( $node->safe_psql(
			'postgres', qq{
			($planted '21 minutes'$all) EXCEPT
			SELECT partition, "offset" FROM weir.late_event
			WHERE view = '$name'::regclass}),
		'',
		"no planted record was on time for $name");
	is( $node->safe_psql(
			'postgres', qq{
			SELECT partition, "offset" FROM weir.late_event
			WHERE view = '$name'::regclass EXCEPT ($planted '7 minutes')}),
		'',
		"no other record was late for $name");
}
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM weir.dead_letter
	WHERE topic <> 'shop' OR value IS NULL OR sqlstate IS NULL OR reason = ''}),
	0, 'every dead letter says what and why');

done_testing();
