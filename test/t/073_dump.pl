# A dump is a savepoint: definition, state and offsets travel together.  What
# was restored or copied comes up paused, and once resumed goes on exactly;
# a physical copy is the same database and goes on by itself.

use strict;
use warnings;
use IPC::Run;
use Test::More;
use WeirTest;

my $rate  = 1000;
my $limit = 60000;
my $conf  = "weir.batch_rows = 1000\nweir.batch_time = 100\n";
my $main  = weir_node('main', conf => $conf);
my $other = weir_node('other', conf => $conf, extension => 0);
my @views = ('per_second', 'hopping');

# Two views over a stream that flows; hop windows are open at any time.
sub pipeline
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql(
		$database, qq{
		CREATE EXTENSION pg_weir;
		CREATE SCHEMA shop;
		CREATE FOREIGN TABLE shop.events (event_type text, user_id text,
			total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', start '-10 seconds',
			rate '$rate', "limit" '$limit', partitions '3', users '40',
			event_time 'ts', disorder '2 seconds',
			watermark_delay '2 seconds', poison_fraction '0.001');
		CREATE MATERIALIZED VIEW per_second WITH (weir.continuous) AS
			SELECT window_start, window_end, event_type, count(*) AS events,
			       sum(total_amount) AS revenue, avg(total_amount) AS mean
			FROM shop.events, weir.tumble(ts, '1 second')
			GROUP BY window_start, window_end, event_type;
		CREATE MATERIALIZED VIEW hopping WITH (weir.continuous) AS
			SELECT window_start, window_end, user_id, count(*) AS events
			FROM shop.events, weir.hop(ts, '20 seconds', '5 seconds')
			GROUP BY window_start, window_end, user_id;
		CREATE INDEX ON weir_data.hopping_closed (user_id);
		});
	poll_ok($node, $database,
		q{SELECT bool_and((SELECT sum(read) FROM weir.checkpoint c
		                   WHERE c.view = v.view) > 12000
		                  AND weir.closed_to(view) > '-infinity')
		  FROM weir.view v},
		"$database: some windows are closed, some are open");
	return;
}

# A pipeline of programs; what it wrote to standard error.
sub errors_of
{
	my (@commands) = @_;
	my ($out, $err, @harness) = ('', '');

	foreach my $command (@commands)
	{
		push @harness, '|' if @harness;
		push @harness, $command, '2>', \$err;
	}
	my $ok = IPC::Run::run(@harness[ 0 .. $#harness ], '>', \$out);
	return $err . ($ok ? '' : 'failed');
}

sub pg_dump
{
	my ($node, $database, @options) = @_;

	return [ 'pg_dump', @options, '-d', $node->connstr($database) ];
}

sub psql
{
	my ($node, $database) = @_;

	return [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null',
		'-d', $node->connstr($database) ];
}

# Restored or copied in the middle of the stream: nothing runs, the rows are
# those of the savepoint.
sub comes_up_paused
{
	my ($node, $database, $armed, $name) = @_;

	is($node->safe_psql($database, 'SELECT count(*) FROM weir.armed'),
		$armed, "$name: rows in weir.armed");
	is( $node->safe_psql(
			$database, q{SELECT string_agg(DISTINCT status, ',') FROM weir.stat_view}),
		'paused', "$name: the views are paused");
	is( $node->safe_psql($database, q{SELECT count(*) FROM weir.stat_worker
		WHERE kind = 'reader' AND database = current_database()}),
		'0', "$name: nobody reads");
	is( $node->safe_psql($database, q{SELECT (SELECT sum(events) FROM per_second)
		= (SELECT sum(aggregated) FROM weir.checkpoint
		   WHERE view = 'per_second'::regclass)}),
		't', "$name: the rows are those of the checkpoint");
	my ($read, $open) = split /\|/, $node->safe_psql($database, q{SELECT
		(SELECT sum(read) FROM weir.checkpoint WHERE view = 'hopping'::regclass),
		(SELECT count(*) FROM hopping
		 WHERE window_end > weir.closed_to('hopping'))});
	cmp_ok($read, '<', $limit, "$name: in the middle of the stream");
	cmp_ok($open, '>', 0, "$name: with open windows");
	return;
}

# At the end of the stream the rows are those of the query.
sub goes_on
{
	my ($node, $database, $name) = @_;

	poll_ok($node, $database,
		"SELECT sum(high) = $limit FROM weir.partitions('shop.events')",
		"$name: the stream has come to its end");
	foreach my $view (@views)
	{
		$node->safe_psql($database, "SELECT weir.wait('$view', '60 s')");
		same_rows($node, $database, "SELECT * FROM $view",
			"SELECT * FROM weir_data.${view}_query",
			"$name: $view equals its query", min => 100);
	}
	is( $node->safe_psql($database, qq{SELECT bool_and(read = aggregated
			+ filtered + late + dead_lettered + skipped + tombstones
			AND next_offset - start = read + gaps), sum(read), sum(late_closed)
		FROM weir.checkpoint}),
		't|' . $limit * @views . '|0', "$name: both laws hold");
	is( $node->safe_psql($database, q{SELECT count(*) = (SELECT sum(dead_lettered)
		FROM weir.checkpoint) AND count(*) > 20 FROM weir.dead_letter}),
		't', "$name: each bad record was kept once");
	return;
}

sub resume
{
	my ($node, $database) = @_;

	$node->safe_psql($database, "SELECT weir.resume('$_')") foreach @views;
	return;
}

#
# All copies of one pipeline, taken in the middle of its stream
#

pipeline($main, 'shop');

$other->safe_psql('postgres', "CREATE DATABASE $_") foreach 'plain', 'custom';
is(errors_of(pg_dump($main, 'shop'), psql($other, 'plain')),
	'', 'pg_dump | psql says nothing');
comes_up_paused($other, 'plain', 0, 'pg_dump | psql');
is( errors_of(
		pg_dump($main, 'shop', '-Fc'),
		[ 'pg_restore', '--exit-on-error', '-d', $other->connstr('custom') ]),
	'', 'pg_dump -Fc | pg_restore says nothing');
comes_up_paused($other, 'custom', 0, 'pg_restore');
$main->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE shop');
comes_up_paused($main, 'copy', 2, 'TEMPLATE');
poll_ok($main, 'shop',
	q{SELECT count(*) = 2 FROM weir.stat_view WHERE status = 'running' AND pid IS NOT NULL},
	'TEMPLATE: the original goes on');

$main->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($main, 'backup', has_streaming => 1);
$standby->start;

resume($other, 'plain');
resume($other, 'custom');
resume($main,  'copy');
goes_on($other, 'plain',  'pg_dump | psql');
goes_on($other, 'custom', 'pg_restore');
goes_on($main,  'copy',   'TEMPLATE');
goes_on($main,  'shop',   'the original');

# The dependencies that a dump does not carry are there again.
$other->safe_psql('plain', 'DROP FOREIGN TABLE shop.events CASCADE');
is( $other->safe_psql('plain',
		q{SELECT (SELECT count(*) FROM weir.view), (SELECT count(*) FROM pg_class
		  WHERE relnamespace = 'weir_data'::regnamespace)}),
	'0|0', 'a restored view is dropped with all that is behind it');

#
# --clean into the same database
#

pipeline($main, 'clean');
my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/clean.sql';
is( errors_of(
		pg_dump($main, 'clean', '--clean', '-f', $file)),
	'', 'pg_dump --clean says nothing');
is(errors_of([ @{ psql($main, 'clean') }, '-f', $file ]),
	'', 'and its restore into the same database neither');
comes_up_paused($main, 'clean', 0, '--clean');
resume($main, 'clean');
goes_on($main, 'clean', '--clean');

#
# A standby
#

pipeline($main, 'stream');
$main->wait_for_catchup($standby, 'replay', $main->lsn('insert'));
my $look = q{SELECT (SELECT sum(events) FROM per_second)
	= (SELECT sum(aggregated) FROM weir.checkpoint
	   WHERE view = 'per_second'::regclass), weir.closed_to('hopping') > '-infinity',
	weir.watermark('hopping') > weir.closed_to('hopping')};
is($standby->safe_psql('stream', $look),
	't|t|t', 'a standby shows rows, closed_to and the watermark');
is($standby->safe_psql('stream', q{SELECT count(*) = 5, (SELECT count(*) FROM weir.tail(NULL::shop.events, 3))
	FROM (SELECT * FROM shop.events LIMIT 5) e}),
	't|3', 'and the stream itself');
like(
	($standby->psql('stream', "SELECT weir.wait('hopping', '5 s')"))[2],
	qr/cannot wait for a continuous view during recovery/,
	'but cannot wait');
is( $standby->safe_psql('stream',
		'SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE \'weir %\''),
	'0', 'and no worker runs there');
$main->stop('immediate');
$standby->promote;
cmp_ok(
	$standby->safe_psql('stream',
		"SELECT sum(read) FROM weir.checkpoint WHERE view = 'hopping'::regclass"),
	'<', $limit, 'promoted in the middle of the stream');
goes_on($standby, 'stream', 'the promoted standby');

$standby->stop;
$other->stop;
done_testing();
