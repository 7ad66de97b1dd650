# A year of daily windows is trimmed to 30 days by pg_cron, while others read,
# close and hold snapshots.  Nobody waits, nothing else changes, what went is
# told, and a crash in the middle leaves all of it or nothing.

use strict;
use warnings;
use IPC::Run;
use Test::More;
use WeirTest;

my $limit = 85000;
my $node  = weir_node(
	'main',
	restart_after_crash => 1,
	conf                => q{
wal_level = logical
shared_preload_libraries = 'pg_cron,pg_weir'
cron.database_name = 'postgres'
cron.use_background_workers = on
log_lock_waits = on
deadlock_timeout = '200ms'
weir.max_late_events = 500
});

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub set_fault
{
	my ($fault) = @_;

	$node->append_conf('postgresql.conf', "weir.fault = '$fault'");
	$node->reload;
	return;
}

# A session in the background; what it prints is in out and err.
sub start_psql
{
	my (@commands) = @_;
	my %run = (out => '', err => '');

	$run{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr('postgres'),
			map { ('-c', $_) } @commands
		],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

#
# More than a year, read at once; and a stream that flows
#

sql(qq{
	CREATE EXTENSION pg_cron;
	CREATE FOREIGN TABLE events (event_type text, user_id text,
		total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '-9600 hours',
		rate '0.0025', "limit" '$limit', partitions '2', users '20',
		event_time 'ts', disorder '1 hour', watermark_delay '1 hour');
	CREATE MATERIALIZED VIEW daily WITH (weir.continuous, weir.retention = '30 days') AS
		SELECT window_start, window_end, event_type, count(*) AS events,
		       sum(total_amount) AS revenue, avg(total_amount) AS mean
		FROM events, weir.tumble(ts, '1 day')
		GROUP BY window_start, window_end, event_type;
	CREATE MATERIALIZED VIEW weekly WITH (weir.continuous) AS
		SELECT window_start, window_end, user_id, count(*) AS events
		FROM events, weir.hop(ts, '7 days', '1 day')
		GROUP BY window_start, window_end, user_id;
	CREATE MATERIALIZED VIEW ever WITH (weir.continuous) AS
		SELECT window_start, window_end, event_type, count(*) AS events,
		       sum(total_amount) AS revenue, avg(total_amount) AS mean
		FROM events, weir.tumble(ts, '1 day')
		GROUP BY window_start, window_end, event_type;

	CREATE FOREIGN TABLE flow (event_type text, user_id text,
		ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '-90 seconds',
		rate '1000', partitions '2', event_time 'ts', late_fraction '0.1',
		late_by '5 seconds');
	CREATE MATERIALIZED VIEW live WITH (weir.continuous, weir.retention = '10 seconds') AS
		SELECT window_start, window_end, event_type, count(*) AS events
		FROM flow, weir.tumble(ts, '1 second')
		GROUP BY window_start, window_end, event_type;
	});
sql("SELECT weir.wait('$_', '120 s')") foreach qw(daily weekly ever);
sql("CREATE TABLE ${_}_by_hand AS SELECT * FROM weir_data.${_}_query")
  foreach qw(daily weekly ever);
sql(q{ALTER MATERIALIZED VIEW weekly SET (weir.retention = '30 days')});

# What users put on the closed table.
sql(q{
	CREATE TABLE types AS SELECT DISTINCT event_type FROM ever;
	ALTER TABLE types ADD PRIMARY KEY (event_type);
	ALTER TABLE weir_data.daily_closed ADD FOREIGN KEY (event_type) REFERENCES types;
	CREATE PUBLICATION days FOR TABLE weir_data.daily_closed WITH (publish = 'insert');
	CREATE TABLE archive (rows bigint);
	CREATE FUNCTION archive() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO public.archive SELECT count(*) FROM gone; RETURN NULL; END';
	CREATE TRIGGER archive AFTER DELETE ON weir_data.daily_closed
		REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION archive();
	});
sql('CREATE INDEX CONCURRENTLY ON weir_data.daily_closed (event_type)');

my ($windows, $first, $bound, $open, $all) = split /\|/, sql(q{
	SELECT count(DISTINCT window_start), min(window_end),
	       weir.closed_to('daily') - interval '30 days',
	       count(*) FILTER (WHERE window_end > weir.closed_to('daily')), count(*)
	FROM daily});
cmp_ok($windows, '>', 365, 'there is a year of daily windows');
cmp_ok($open,    '>', 0,   'one of them is open');
my $positions = q{SELECT string_agg(c::text, ' ' ORDER BY view, partition)
	FROM weir.checkpoint c
	WHERE view IN ('daily'::regclass, 'weekly'::regclass, 'ever'::regclass)};
my $states = q{SELECT string_agg((s.closed, s.closed_to, s.closed_before)::text, ' ' ORDER BY s.closed)
	FROM weir.view_state s JOIN weir.view v USING (closed)
	WHERE v.stream = 'events'::regclass};
my $positions_before = sql($positions);
my $states_before    = sql($states);

#
# Who is there while it happens: sessions with old snapshots, here and on a
# standby, and readers that never wait
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'hot_standby_feedback = on');
$standby->start;

my $count = 'SELECT count(*) FROM daily';
my @old   = map { $_->background_psql('postgres') } $node, $standby;
foreach my $session (@old)
{
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($session->query_safe($count), $all, 'an old snapshot has all');
}
my $prepared = $standby->background_psql('postgres');
$prepared->query_safe('SET plan_cache_mode = force_generic_plan');
$prepared->query_safe("PREPARE sums AS SELECT count(*) = count(DISTINCT (window_start, event_type)), min(window_end), sum(events) FROM daily");
$prepared->query_safe('BEGIN');
my (undef, undef, $sum) = split /\|/, $prepared->query_safe('EXECUTE sums');
is($sum, sql('SELECT sum(events) FROM daily'), 'so has a plan that is kept');

# Each look must show the whole year or the 30 days, nothing between, and no
# lock may take long; otherwise it raises or counts as wrong.
sql(qq{
	CREATE TABLE done (at timestamptz);
	CREATE PROCEDURE look(INOUT looks int, INOUT wrong int)
	LANGUAGE plpgsql AS \$\$
	DECLARE seen timestamptz; n bigint;
	BEGIN
		LOOP
			SELECT min(window_end), count(*) INTO seen, n FROM daily;
			looks := looks + 1;
			IF NOT (seen = '$first' AND n = $all
			        OR seen = timestamptz '$bound' + interval '1 day' AND n < $all) THEN
				wrong := wrong + 1;
			END IF;
			EXIT WHEN (SELECT count(*) > 0 FROM done);
			COMMIT;
		END LOOP;
	END \$\$;
	});
my $offset = -s $node->logfile;
my @readers =
  map { start_psql("SET lock_timeout = '5s'", 'CALL look(0, 0)') } 1 .. 2;
poll_ok($node, 'postgres',
	q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query ~ '^CALL look' AND state = 'active'},
	'readers are at it');

#
# pg_cron
#

is( sql(q{SELECT weir.schedule_maintenance('1 2 3 4 *')
		= weir.schedule_maintenance('* * * * *')}),
	't', 'scheduled again it is the same job');
is( sql(q{SELECT schedule, command, database, active FROM cron.job}),
	'* * * * *|SELECT * FROM weir.maintain()|postgres|t', 'the job');
poll_ok($node, 'postgres',
	q{SELECT count(*) > 0 FROM cron.job_run_details WHERE status = 'succeeded'},
	'pg_cron has run it');
is(sql(q{SELECT weir.unschedule_maintenance(), weir.unschedule_maintenance()}),
	't|f', 'unscheduled once');
is( sql(q{SELECT count(*) FROM cron.job_run_details
		WHERE status = 'failed' OR return_message ~ 'ERROR'}),
	'0', 'no run has failed');
sql('INSERT INTO done VALUES (now())');
foreach my $reader (@readers)
{
	$reader->{run}->finish;
	is($reader->{err}, '', 'a reader meets no error');
	my ($looks, $wrong) = $reader->{out} =~ /^(\d+)\|(\d+)$/m;
	cmp_ok($looks // 0, '>', 5, 'it has looked all the time');
	is($wrong, 0, 'and has seen the whole year, or the 30 days');
}
unlike(
	PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset),
	qr/still waiting for \w+ on relation/, 'nobody has waited for a relation');

# What is there: the same query by hand, restricted to what is kept.
sub equals_query
{
	my ($where, $database, $view, $days, $min, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_rows($where, $database, "SELECT * FROM $view",
		"SELECT * FROM ${view}_by_hand WHERE window_end > weir.closed_to('$view') - interval '$days'",
		$name, min => $min);
	return;
}
equals_query($node, 'postgres', 'daily',  '30 days', 120, 'daily is the last 30 days of its query');
equals_query($node, 'postgres', 'weekly', '30 days', 600, 'retention can be set later');
equals_query($node, 'postgres', 'ever', '1000 days', $all, 'without retention all is kept');
is(sql($positions), $positions_before, 'checkpoints are as they were');
is(sql($states),    $states_before,    'and so is what is closed');

# What went is told.
is( sql(qq{SELECT t.rows = $all - (SELECT count(*) FROM daily), up_to = '$bound',
		(SELECT rows = (SELECT sum(a.rows) FROM archive a)
		 FROM weir.trimmed WHERE view = 'daily'::regclass)
	FROM weir.trimmed t WHERE view = 'daily'::regclass AND what = 'closed rows'}),
	't|t|t', 'weir.trimmed and a trigger tell how many rows went');
like(sql(q{SELECT string_agg(why, ' ') FROM weir.why('daily') why}),
	qr/Closed windows that end by .* are not there any more/, 'weir.why tells it');

# Who had them has them still.
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
foreach my $session (@old)
{
	is($session->query_safe($count), $all, 'the old snapshot has all of them still');
	$session->quit;
}
my ($once, $least, $left) = split /\|/, $prepared->query_safe('EXECUTE sums');
is($once, 't', 'a plan that is kept shows each row once');
is($left, sql('SELECT sum(events) FROM daily'), 'and none too few');
$prepared->quit;
$standby->stop;

# Whoever may use pg_cron has a job of his own, and a part of its history.
is( ($node->psql('postgres', q{CREATE ROLE dave; SET ROLE dave;
		SELECT count(*) FROM weir.maintain('0', '0', '0')}))[2],
	'', 'who may not use pg_cron is not bothered with it');
sql('CREATE ROLE carol; GRANT USAGE ON SCHEMA cron TO carol');
is( sql(q{SET ROLE carol; SELECT weir.schedule_maintenance('17 3 1 * *') > 0;
		SELECT username, schedule FROM cron.job;
		SELECT count(*) FROM weir.maintain('0', '0', '0');
		SELECT weir.unschedule_maintenance(); RESET ROLE;
		SELECT (SELECT count(*) FROM cron.job),
			(SELECT count(*) > 0 FROM cron.job_run_details)}),
	"t\ncarol|17 3 1 * *\n0\nt\n0|t", 'another role has a job and trims nothing of others');

# pg_cron's history; jobs of another database are made where pg_cron is.
like(sql(q{SELECT what, view, rows, error FROM weir.maintain(job_run_age => '0')
		WHERE what = 'job runs'}),
	qr/^job runs\|\|\d+\|$/, 'job runs go');
is(sql(q{SELECT count(*) FROM cron.job_run_details WHERE end_time IS NOT NULL}),
	'0', 'all that have ended');
sql('CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE EXTENSION pg_weir');
my (undef, undef, $said) = $node->psql('shop', 'SELECT weir.schedule_maintenance()');
like($said, qr/pg_cron lives in another database/, 'not from another database');
my ($what_to_type) = $said =~ /^HINT:  In that database run: (.*)$/m;
sql($what_to_type);
is( sql(q{SELECT schedule, command, database FROM cron.job}),
	'17 3 * * *|SELECT * FROM weir.maintain()|shop', 'the hint is what to type');
sql('SELECT cron.unschedule(jobid) FROM cron.job; DROP EXTENSION pg_cron');
like(($node->psql('postgres', 'SELECT weir.schedule_maintenance()'))[2],
	qr/HINT:  Run CREATE EXTENSION pg_cron/, 'nor without the extension');

#
# A publication that publishes deletes needs an identity
#

sql(q{ALTER PUBLICATION days SET (publish = 'insert, delete');
	ALTER MATERIALIZED VIEW daily SET (weir.retention = '25 days');
	ALTER MATERIALIZED VIEW weekly SET (weir.retention = '25 days')});
like(sql('SELECT view, error FROM weir.maintain() WHERE error IS NOT NULL'),
	qr/^daily\|cannot delete from table "daily_closed" because it does not have a replica identity/,
	'a publication of deletes without an identity is said');
equals_query($node, 'postgres', 'daily',  '30 days', 120, 'the view has kept its rows');
equals_query($node, 'postgres', 'weekly', '25 days', 500, 'the other one has not');
sql('ALTER TABLE weir_data.daily_closed REPLICA IDENTITY FULL');
is(sql('SELECT view, error FROM weir.maintain() WHERE what = \'closed rows\' AND view = \'daily\'::regclass'),
	'daily|', 'with one they go');
equals_query($node, 'postgres', 'daily', '25 days', 100, 'daily is the last 25 days');

#
# Maintenance is held in the middle: reading, closing and flushing go on
#

poll_ok($node, 'postgres',
	q{SELECT count(*) > 20 FROM (SELECT DISTINCT window_start FROM live) w},
	'the view that flows has windows');
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SELECT pg_advisory_lock(hashtext('retain-deleted'))});
set_fault('retain-deleted:wait');
$offset = -s $node->logfile;
my $maintenance = start_psql('SELECT * FROM weir.maintain()');
$node->wait_for_log(qr/fault point retain-deleted reached/, $offset);
my ($oldest, $closed_to) = split /\|/,
  sql(q{SELECT min(window_start), weir.closed_to('live') FROM live});
poll_ok($node, 'postgres',
	"SELECT weir.closed_to('live') > timestamptz '$closed_to' + interval '2 seconds'",
	'windows close meanwhile');
is( sql(qq{SET lock_timeout = '5s'; SELECT min(window_start) = '$oldest' FROM live}),
	't', 'and rows that are about to go are read meanwhile');
my (undef, $nothing, $notice) = $node->psql('postgres', 'SELECT * FROM weir.maintain()');
like($notice, qr/another session is maintaining this database/, 'a second maintenance leaves it to the first');
is($nothing, '', 'and does nothing');
$maintenance->{run}->pump_nb;
is($maintenance->{out}, '', 'the first is still held');
set_fault('');
$holder->quit;
$maintenance->{run}->finish;
like($maintenance->{out}, qr/^closed rows\|live\|\d+\|/m, 'let go, it does its work');
is(sql("SELECT min(window_start) > '$oldest' FROM live"), 't', 'they are gone');

#
# A crash in the middle
#

sql(q{ALTER MATERIALIZED VIEW daily SET (weir.retention = '20 days')});
my $told = sql(q{SELECT string_agg(t::text, ' ') FROM weir.trimmed t WHERE view = 'daily'::regclass});
set_fault('retain-deleted:kill');
$offset = -s $node->logfile;
$node->psql('postgres', 'SELECT * FROM weir.maintain()');
$node->wait_for_log(qr/fault point retain-deleted reached/, $offset);
$node->wait_for_log(qr/database system is ready to accept connections/, $offset);
set_fault('');
$node->poll_query_until('postgres', 'SELECT true') or die 'no server';
equals_query($node, 'postgres', 'daily', '25 days', 100, 'after a crash all is as before');
is( sql(q{SELECT string_agg(t::text, ' ') FROM weir.trimmed t WHERE view = 'daily'::regclass}),
	$told, 'and so is what is told');
is(sql(q{SELECT what, error FROM weir.maintain() WHERE view = 'daily'::regclass}),
	'closed rows|', 'the next maintenance does it');
equals_query($node, 'postgres', 'daily', '20 days', 80, 'daily is the last 20 days');

#
# A flood of late records does not fill the disk
#

# In one snapshot: stored, and whether all late records are accounted for.
my $late = q{SELECT (SELECT count(*) FROM weir.late_event WHERE view = 'live'::regclass) AS stored,
	(SELECT count(*) FROM weir.late_event WHERE view = 'live'::regclass)
	+ (SELECT sum(rows) FROM weir.trimmed WHERE view = 'live'::regclass AND what LIKE 'late events%')
	= (SELECT sum(late + partly_late) FROM weir.checkpoint WHERE view = 'live'::regclass) AS accounted};
poll_ok($node, 'postgres',
	q{SELECT count(*) > 0 FROM weir.trimmed WHERE view = 'live'::regclass AND what = 'late events not stored'},
	'there are more late records than may be stored');
is(sql($late), '500|t', 'as many are stored as may be, the others are counted');
like(sql(q{SELECT string_agg(why, ' ') FROM weir.why('live') why}),
	qr/\d+ late records were counted but not stored/, 'weir.why tells it');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/late records of continuous view "live" are counted but not stored/, 'and so does the log');
is( sql(q{SELECT count(*) FROM weir.late_events(NULL::flow, 'live') WHERE ts IS NOT NULL}),
	'500', 'they are read as columns');
sql(q{SELECT weir.maintain(late_event_age => '0')});
poll_ok($node, 'postgres', "SELECT stored BETWEEN 1 AND 500 AND accounted FROM ($late) l",
	'when they have gone there is room again');
poll_ok($node, 'postgres', "SELECT stored = 500 AND accounted FROM ($late) l",
	'for as many');
$node->append_conf('postgresql.conf', 'weir.max_late_events = -1');
$node->reload;
poll_ok($node, 'postgres', "SELECT stored > 1000 AND accounted FROM ($late) l",
	'without a limit there are more');

#
# A dump takes it along
#

sql('DROP MATERIALIZED VIEW live');
sql('CREATE DATABASE copy');
my $errors = '';
IPC::Run::run(
	[ 'pg_dump', '-d', $node->connstr('postgres') ], '2>', \$errors, '|',
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('copy') ],
	'2>', \$errors);
is($errors, '', 'pg_dump | psql says nothing');
is( $node->safe_psql('copy', 'SELECT string_agg(t::text, chr(10) ORDER BY t::text) FROM weir.trimmed t'),
	sql('SELECT string_agg(t::text, chr(10) ORDER BY t::text) FROM weir.trimmed t'),
	'what went is told in the copy');
equals_query($node, 'copy', 'daily', '20 days', 80, 'the copy has the last 20 days');
$node->safe_psql('copy', q{ALTER MATERIALIZED VIEW daily SET (weir.retention = '15 days');
	SELECT weir.maintain(); SELECT weir.resume(view) FROM weir.view});
$node->safe_psql('copy', "SELECT weir.wait('daily', '120 s')");
equals_query($node, 'copy', 'daily', '15 days', 60, 'it can be trimmed and resumed');
equals_query($node, 'postgres', 'daily', '20 days', 80, 'the original is as it was');

$node->stop;
done_testing();
