# A view that is locked, that fails, or that is paused while others run ahead
# misses no record, and does not hold its neighbours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use WeirOracle;

use PostgreSQL::Test::Utils;

my $seed = $ENV{SEED} // int(rand(2**31));
note("SEED=$seed");

# A stream that flows until the end of the test, in small windows.
my $node = weir_node('main',
	conf => "weir.batch_rows = 500\nweir.batch_time = 100\nautovacuum = off\n");

use_windows(
	by_type  => [ '200 milliseconds', '200 milliseconds' ],
	by_user  => [ '1 second',         '200 milliseconds' ],
	by_place => [ '1 second',         '1 second' ]);
create_stream($node, 'events', start => '-40 seconds', rate => 300,
	seed => $seed, disorder => '2 seconds', watermark_delay => '3 seconds',
	late_by => '4 seconds');
create_views($node, 'events', '');
wait_for_views($node, '');

sub position
{
	my ($view) = @_;

	return $node->safe_psql('postgres',
		"SELECT sum(next_offset) FROM weir.checkpoint WHERE view = '$view'::regclass");
}

# Waits until the view has read a batch and more from now on.
sub goes_on
{
	my ($view, $name) = @_;
	my $from = position($view);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT sum(next_offset) > $from + 600 FROM weir.checkpoint WHERE view = '$view'::regclass",
		$name);
}

sub status_is
{
	my ($view, $status, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT status FROM weir.view WHERE view = '$view'::regclass", $name, $status);
}

sub serving
{
	my ($view, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql('postgres', "SELECT weir.wait('$view', '60 s')");
	return poll_ok($node, 'postgres',
		"SELECT status IN ('running', 'catching up') AND error IS NULL FROM weir.view WHERE view = '$view'::regclass",
		$name);
}

#
# Locked
#

my $session = $node->background_psql('postgres');

$session->query_safe(q{BEGIN; SELECT weir.pause('by_user')});
my $locked_at = position('by_user');
goes_on('by_type', 'a view that is locked does not hold its neighbour');
is(position('by_user'), $locked_at, 'it reads nothing itself');
$session->query_safe('ROLLBACK');
goes_on('by_user', 'it goes on once the lock is free');
serving('by_user', 'and was not paused, since that was rolled back');

#
# Paused and resumed
#

$session->query_safe(q{SELECT weir.pause('by_place')});
my $paused_at = position('by_place');
goes_on('by_type', 'a view that is paused does not hold its neighbour');
is(position('by_place'), $paused_at, 'it reads nothing');
$session->query_safe(q{SELECT weir.resume('by_place')});
serving('by_place', 'it catches up when resumed');

$session->query_safe(q{BEGIN; SELECT weir.pause('by_place'), weir.resume('by_place'); COMMIT});
serving('by_place', 'pause and resume in one transaction are nothing');

# Again and again while its reader is at work.
for (1 .. 10)
{
	$session->query_safe("SELECT weir.pause('by_user')");
	$session->query_safe("SELECT weir.resume('by_user')");
}
serving('by_user', 'the same ten times');

#
# A function that fails
#

$node->safe_psql(
	'postgres', q{
	CREATE TABLE switch (divisor int);
	INSERT INTO switch VALUES (1);
	CREATE FUNCTION by_switch(n int) RETURNS int LANGUAGE plpgsql STABLE AS
		'BEGIN
			IF (SELECT divisor FROM public.switch) = 0 THEN
				RAISE EXCEPTION ''switched off'';
			END IF;
			RETURN n;
		END';
	CREATE FUNCTION mended(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n';
	CREATE MATERIALIZED VIEW switched WITH (weir.continuous) AS
		SELECT window_start, window_end, device, count(*) AS events,
			   sum(by_switch(quantity)) AS quantity
		FROM events, weir.tumble(ts, '1 second')
		GROUP BY window_start, window_end, device;
	CREATE MATERIALIZED VIEW replaced WITH (weir.continuous) AS
		SELECT window_start, window_end, location, count(*) AS events,
			   sum(mended(quantity)) AS quantity
		FROM events, weir.hop(ts, '1 second', '500 milliseconds')
		GROUP BY window_start, window_end, location;
	});
serving($_, "$_ runs") foreach qw(switched replaced);

# It raises what may heal (the class of lock_not_available), for some batches.
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION by_switch(n int) RETURNS int LANGUAGE plpgsql STABLE AS
		'BEGIN
			IF (SELECT divisor FROM public.switch) = 0 THEN
				RAISE EXCEPTION ''switched off'' USING ERRCODE = ''lock_not_available'';
			END IF;
			RETURN n;
		END'});
serving('switched', 'a replaced function is used');
my $log_end = -s $node->logfile;
$node->safe_psql('postgres', 'UPDATE switch SET divisor = 0');
$node->wait_for_log(qr/"switched" leaves its reader: switched off/, $log_end);
my $failed_at = position('switched');
goes_on('by_type', 'a view that fails for a while does not hold its neighbour');
is(position('switched'), $failed_at, 'it stands where it was');
$node->safe_psql('postgres', 'UPDATE switch SET divisor = 1');
goes_on('switched', 'it heals by itself');
serving('switched', 'and has no error then');

# A function replaced by one that raises: the view fails until it is mended.
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE plpgsql STABLE AS
		'BEGIN RAISE EXCEPTION ''out of order''; END'});
status_is('replaced', 'failed', 'a view whose function raises fails');
$failed_at = position('replaced');
goes_on('by_type', 'it does not hold its neighbour');
is(position('replaced'), $failed_at, 'it stands where it was');
is( $node->safe_psql(
		'postgres', q{SELECT sqlstate, error FROM weir.view
		WHERE view = 'replaced'::regclass}),
	'P0001|out of order', 'its error is in weir.view');
like($node->safe_psql('postgres', q{SELECT weir.why('replaced')}),
	qr/failed at .* with P0001: out of order/, 'weir.why says so');
my (undef, undef, $stderr) =
  $node->psql('postgres', q{SELECT weir.wait('replaced', '60 s')});
like($stderr, qr/continuous view "replaced" is failed/, 'weir.wait raises');
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n'});
$node->safe_psql('postgres', q{SELECT weir.resume('replaced')});
serving('replaced', 'mended and resumed it runs');

# Mended without weir.resume: it is tried again from time to time.
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE plpgsql STABLE AS
		'BEGIN RAISE EXCEPTION ''out of order again''; END'});
status_is('replaced', 'failed', 'a view whose function raises fails again');
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n'});
goes_on('replaced', 'mended, it goes on by itself');
poll_ok($node, 'postgres', q{
	SELECT status IN ('running', 'catching up') AND error IS NULL
	FROM weir.view WHERE view = 'replaced'::regclass}, 'and runs');

# A record that its function cannot take is a dead letter of that view alone.
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE sql STABLE AS
		'SELECT CASE WHEN n = 5 THEN 1 / (n - 5) ELSE n END';});
poll_ok($node, 'postgres', q{
	SELECT count(*) > 5 FROM weir.dead_letter
	WHERE view = 'replaced'::regclass AND sqlstate = '22012'},
	'records that a function cannot take are dead letters');
goes_on('replaced', 'and the view goes on');
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION mended(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n'});

#
# Closing that fails
#

$node->safe_psql('postgres', q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RAISE EXCEPTION ''no closed rows today''; END';
	DO 'BEGIN EXECUTE format(''CREATE TRIGGER refuse BEFORE INSERT ON %s
		FOR EACH ROW EXECUTE FUNCTION refuse()'', weir.closed(''by_place'')); END'});
status_is('by_place', 'close_failed', 'a close that fails is the view\'s status')
  or diag($node->safe_psql('postgres', 'SELECT view, status FROM weir.view'));
goes_on('by_place', 'it reads on');
goes_on('by_type', 'and so do its neighbours');
$node->safe_psql('postgres', q{
	DO 'BEGIN EXECUTE format(''DROP TRIGGER refuse ON %s'', weir.closed(''by_place'')); END'});
status_is('by_place', 'running', 'it closes again when the trigger is gone');
$session->quit;

#
# A view that failed where nothing comes any more
#

create_stream($node, 'ended', limit => 500, seed => $seed, poison_fraction => 0);
$node->safe_psql(
	'postgres', q{
	CREATE ROLE clerk;
	GRANT USAGE, CREATE ON SCHEMA public TO clerk;
	GRANT SELECT ON ended TO clerk;
	SET ROLE clerk;
	CREATE MATERIALIZED VIEW of_clerk WITH (weir.continuous, weir.lateness = '10 hours') AS
		SELECT window_start, window_end, count(*) AS events
		FROM ended, weir.tumble(ts, '1 minute')
		GROUP BY window_start, window_end;
	});
serving('of_clerk', 'a view of another role runs');
$node->safe_psql(
	'postgres', q{
	REVOKE SELECT ON ended FROM clerk;
	SELECT weir.pause('of_clerk');
	SELECT weir.resume('of_clerk')});
status_is('of_clerk', 'failed', 'it fails without SELECT on its stream');
$node->safe_psql('postgres', 'GRANT SELECT ON ended TO clerk');
status_is('of_clerk', 'running', 'and runs with it, though there is nothing to read');
is( $node->safe_psql('postgres',
		q{SELECT error IS NULL, (SELECT sum(events) FROM of_clerk) FROM weir.stat_view WHERE view = 'of_clerk'::regclass}),
	't|500', 'its rows are what they were');

#
# An index of a table that every batch writes to, while it is made anew: it
# waits for one who writes, and is not ready until then.
#

my $table   = q{'weir.late_event'::regclass};
my $writer  = $node->background_psql('postgres');
my $builder = $node->background_psql('postgres');

$writer->query_safe('BEGIN; LOCK TABLE weir.late_event IN ROW EXCLUSIVE MODE');
$builder->query_until(qr/begun/,
	"\\echo begun\nREINDEX TABLE CONCURRENTLY weir.late_event;\n");
poll_ok($node, 'postgres',
	"SELECT count(*) > 0 FROM pg_index WHERE indrelid = $table AND NOT indisready",
	'there is an index that takes no rows yet');
my $stored = $node->safe_psql('postgres', 'SELECT count(*) FROM weir.late_event');
poll_ok($node, 'postgres', "SELECT count(*) > $stored + 10 FROM weir.late_event",
	'late records are stored all the same');
is($node->safe_psql('postgres', q{SELECT count(*) FROM weir.view WHERE status = 'failed'}),
	0, 'and no view fails');
$writer->query_safe('COMMIT');
$writer->quit;
$builder->quit;
is($node->safe_psql('postgres', "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = $table"),
	't', 'the index is ready after that');

# The end: nothing was missed, nothing counted twice.
$node->safe_psql('postgres', "SELECT weir.wait('$_', '60 s')")
  foreach 'switched', 'replaced', view_names('');
$node->safe_psql('postgres', "SELECT weir.pause('$_')")
  foreach 'switched', 'replaced', view_names('');
load_oracles($node, 'events', '3 seconds');
views_equal_oracles($node, 'events', '', "SEED=$seed", part => 1,
	closed => 1000);
my %twins = (
	switched => q{SELECT window_start, window_start + interval '1 second', device,
		count(*), sum(quantity)
		FROM events_judged t JOIN weir.checkpoint c ON c.view = 'switched'::regclass
			AND c.partition = p AND o < c.next_offset,
			date_bin('1 second', ts, '1970-01-01 00:00:00+00') window_start
		WHERE w IS NULL OR window_start + interval '1 second' > w
		GROUP BY 1, 2, 3},
	replaced => q{SELECT window_start, window_start + interval '1 second', location,
		count(*), sum(quantity)
		FROM events_judged t JOIN weir.checkpoint c ON c.view = 'replaced'::regclass
			AND c.partition = p AND o < c.next_offset,
			generate_series(date_bin('500 milliseconds', ts, '1970-01-01 00:00:00+00')
				- interval '500 milliseconds',
				date_bin('500 milliseconds', ts, '1970-01-01 00:00:00+00'),
				interval '500 milliseconds') window_start
		WHERE (w IS NULL OR window_start + interval '1 second' > w)
		  AND NOT EXISTS (SELECT FROM weir.dead_letter d
			WHERE d.view = c.view AND d.partition = p AND d."offset" = o)
		GROUP BY 1, 2, 3});
same_rows($node, 'postgres', "TABLE $_", $twins{$_}, "$_ equals plain SQL",
	min => 100)
  foreach sort keys %twins;
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*) FROM weir.dead_letter d JOIN events_judged j
		ON j.p = d.partition AND j.o = d."offset"
		WHERE view = 'replaced'::regclass AND quantity IS DISTINCT FROM 5}),
	'0', 'no other record became a dead letter');
is($node->safe_psql('postgres', 'SELECT count(*) FROM weir.exception'),
	'0', 'no watermark was moved by a clock');

done_testing();
