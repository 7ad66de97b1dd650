# weir.why: each reason is brought about for real; its sentence is there then,
# and gone when the cause is mended.  What a sentence says to type is what
# mends it.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WeirTest;

need_kafka();

my $node = weir_node('main', conf => "
weir.batch_rows = 2000
weir.batch_time = 100
max_prepared_transactions = 2
max_locks_per_transaction = 256
timezone = 'UTC'
");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub why
{
	my ($view) = @_;
	return sql("SELECT * FROM weir.why('$view')");
}

# The first sentence is always the state.
sub state_is
{
	my ($view, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($first) = split /\n/, why($view);
	return like($first, qr/^The view .*$pattern/, $name);
}

# Tests that a sentence comes, or goes.
sub says
{
	my ($view, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT count(*) > 0 FROM weir.why('$view') w WHERE w ~ \$re\$$pattern\$re\$", $name)
	  || diag(why($view));
}

sub no_longer
{
	my ($view, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT count(*) = 0 FROM weir.why('$view') w WHERE w ~ \$re\$$pattern\$re\$", $name)
	  || diag(why($view));
}

# What the sentence says to do: all it has after "type: ".
sub to_type
{
	my ($view, $pattern) = @_;
	my ($typed) = why($view) =~ /$pattern.*?type: (.*;)/i;

	ok(defined $typed, "there is something to type: " . ($typed // ''));
	return $typed;
}

# Do what the sentence says.
sub type_it
{
	my $typed = to_type(@_);

	sql($typed) if defined $typed;
	return;
}

# A message of the topic: partition, event time as 10:mm:ss, amount.
sub event
{
	my ($partition, $time, $amount) = @_;
	my $ms = sql("SELECT (extract(epoch FROM '2026-01-01 $time+00'::timestamptz) * 1000)::bigint");

	return [ $partition, $ms, undef, qq({"ts":"2026-01-01T${time}Z","amount":$amount}) ];
}

my $time = '[0-9]{4}-[0-9-]+ [0-9:.]+\+00';

is( $node->psql('postgres', "SELECT weir.why('pg_class')"), 3,
	'weir.why of anything else is an error');
is( $node->psql('postgres', "SELECT weir.why(0)"), 3, 'and of nothing');

#
# No data, an empty topic, no record at the start
#

kafka_start();
kafka_topic('shop', 2);
my $bootstrap = kafka_bootstrap();
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE shop (amount int, ts timestamptz)
		SERVER kafka OPTIONS (topic 'shop', event_time 'ts', watermark_delay '10 seconds',
			idle_timeout '5 minutes');
	CREATE MATERIALIZED VIEW v WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM shop, weir.tumble(ts, '1 minute') WHERE amount > 100
	GROUP BY window_start, window_end WITH NO DATA;
	});
state_is('v', 'is paused: it was created with no data', 'created with no data');
says('v', 'It has been so since .*, by ', 'since when and by whom');
type_it('v', 'is paused: it was created with no data');
no_longer('v', 'is paused', 'then it is not paused any more');
says('v', 'Nothing has been read yet: stream public.shop is empty', 'the topic is empty');
says('v', 'Partition 0 holds the watermark: it has had no record yet', 'no partition had a record');
says('v', 'No window is closed yet', 'no window is closed');

# Everything filtered by WHERE; one partition without a record
kafka_produce('shop', event(0, '10:00:05', 1), event(0, '10:00:06', 2));
says('v', 'All 2 records read were filtered out by WHERE', 'all is filtered');
no_longer('v', 'Nothing has been read', 'something has been read');
says('v', 'Partition 1 holds the watermark: it has had no record yet', 'the other partition holds the watermark');
like(why('v'), qr/filtered out by WHERE.*: SELECT \* FROM public\.shop LIMIT 10;/, 'with a query to type');
sql('SELECT * FROM public.shop LIMIT 10');

kafka_produce('shop', event(1, '10:00:20', 200));
no_longer('v', 'filtered out by WHERE', 'not all is filtered any more');
says('v', 'The watermark is 2026-01-01 09:59:56\+00.  Partition 0 holds it: its greatest event time is 2026-01-01 10:00:06\+00', 'the partition that is behind holds the watermark');
says('v', "The newest record is of 2026-01-01 10:00:20\\+00, and all is read: the watermark stands still until another comes.  .*type: ALTER FOREIGN TABLE public.shop OPTIONS \\(ADD close_timeout '1 minute'\\);",
	'a quiet stream');
says('v', 'Next, windows that end at 2026-01-01 10:00:00\+00 close, when the watermark reaches 2026-01-01 10:00:00\+00: it has 4 s to go',
	'what closes next, and when');
kafka_produce('shop', event(0, '10:01:30', 200));
says('v', 'The watermark is 2026-01-01 10:00:10\+00.  Partition 1 holds it', 'another partition holds the watermark');
says('v', 'Windows that end by 2026-01-01 10:00:00\+00 are closed', 'windows are closed');
says('v', 'close, when the watermark reaches 2026-01-01 10:01:00\+00: it has 50 s to go', 'the next ones are to come');

# A view that starts behind the end
sql(q{
	CREATE MATERIALIZED VIEW newest WITH (weir.continuous, weir.start = 'latest') AS
	SELECT window_start, window_end, count(*) AS events
	FROM shop, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});
says('newest', 'Nothing has been read yet: stream public.shop has no record at or after the view\'s start \(weir.start = latest\)',
	'no record at or after the start');

# Late, bad, idle
my $ms = event(0, '10:00:20', 0)->[1];
kafka_produce('shop', event(0, '10:00:01', 300), event(0, '10:00:02', 300),
	[ 0, $ms, undef, '{"ts":' ], [ 1, $ms, undef, undef ]);
says('v', '2 of 8 records read were late and are not counted.  Look at them: SELECT', 'late records');
says('v', '1 of 8 records read were bad and are kept', 'bad records');
is( sql((why('v') =~ /late and are not counted\.  Look at them: (SELECT.*?;)/)[0] =~ s/\*/count(*)/r =~ s/ ORDER BY.*;//r),
	'2', 'the late ones can be looked at as it says');
is( sql((why('v') =~ /were bad and are kept\.  Look at them: (SELECT.*?;)/)[0]) =~ tr/\n//, 0,
	'and the bad one');
no_longer('v', 'idle and does not hold', 'no partition is idle');
kafka_produce('shop', event(1, '10:09:00', 200));
says('v', 'A partition is idle and does not hold the watermark: 0\.', 'a partition is idle');
says('v', 'Partition 1 holds it', 'so the other one holds the watermark');
kafka_produce('shop', event(0, '10:09:30', 200));
no_longer('v', 'idle and does not hold', 'it is not idle once it has a record');

#
# Paused
#

sql(q{CREATE ROLE "Olga" SUPERUSER; SET ROLE "Olga"; SELECT weir.pause('v')});
state_is('v', 'is paused\.', 'paused');
says('v', 'It has been so since .*, by "Olga"', 'by whom');
type_it('v', 'is paused');
no_longer('v', 'is paused', 'resumed');
no_longer('v', 'It has been so', 'by nobody');
state_is('v', 'is (running|queued|catching up)', 'and running');

#
# Broker
#

says('v', 'is running: it has read its stream to the end', 'it is at the end');
kafka_kill();
says('v', "The reader of stream public.shop cannot read since $time: .*  It is tried again at $time", 'the broker is gone');
state_is('v', 'is running', 'which is not the state of the view');
kafka_start();
no_longer('v', 'cannot read', 'the broker is back');

#
# Failed, close failed
#

sql(q{
	CREATE FUNCTION check_amount(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
		$$ BEGIN RAISE 'no price'; END $$;
	CREATE MATERIALIZED VIEW failing WITH (weir.continuous) AS
	SELECT window_start, window_end, sum(check_amount(amount)) AS amount
	FROM shop, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});
says('failing', "The view failed at $time with P0001: no price.  It is tried again", 'failed');
# Once mended it may heal before it is asked: it is tried again from time to time.
my $resume = to_type('failing', 'failed at');
sql(q{CREATE OR REPLACE FUNCTION check_amount(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'});
sql($resume);
no_longer('failing', 'failed at', 'mended');
sql(q{SELECT weir.wait('failing', '2 minutes'); DROP MATERIALIZED VIEW failing});

sql(q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the warehouse is shut'; END $$;
	DO $$ BEGIN EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION refuse()', weir.closed('v')); END $$;
	});
kafka_produce('shop', map { event($_, '10:12:00', 200) } 0 .. 1);
says('v', "The view is running, but its windows could not be closed at $time, with P0001: the warehouse is shut.  .* closing them is tried again at $time",
	'closing fails');
says('v', 'are due to be closed', 'windows are due');
sql('DROP FUNCTION refuse() CASCADE');
no_longer('v', 'could not be closed', 'closing succeeds again');
no_longer('v', 'are due to be closed', 'nothing is due');

#
# A log that cannot be trusted
#

kafka_topic('short', 1);
sql(q{
	CREATE FOREIGN TABLE short (amount int, ts timestamptz)
		SERVER kafka OPTIONS (topic 'short', event_time 'ts');
	CREATE MATERIALIZED VIEW stopped WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM short, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});
kafka_produce('short', map { event(0, '10:00:00', $_) } 1 .. 10);
sql(q{SELECT weir.wait('stopped', '2 minutes'); SELECT weir.pause('stopped')});
kafka_produce('short', map { event(0, '10:00:00', $_) } 1 .. 10);
kafka_delete_records('short', 0, 15);
sql(q{SELECT weir.resume('stopped')});
says('stopped', 'The view is stopped: .*offset 10 of partition 0 is gone.*  Nothing is read until you decide; drop the view',
	'the view is stopped');
says('stopped', "It has been so since $time\\.", 'by nobody');
sql('DROP MATERIALIZED VIEW stopped');

#
# Space, and who holds it
#

my $limit = 400_000;

# Compaction needs many rows: ten thousand keys in one long window.
sub start_big
{
	my ($view) = @_;

	sql(qq{
		CREATE FOREIGN TABLE ${view}_events (event_type text, user_id text, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '1000',
			"limit" '$limit', partitions '1', users '2000', event_time 'ts');
		CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, user_id, count(*) AS events
		FROM ${view}_events, weir.tumble(ts, '1 day') GROUP BY window_start, window_end, user_id WITH NO DATA;
		});
	return;
}

start_big('big');
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM big');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
sql(q{SELECT weir.resume('big')});
says('big', "No space is reclaimed because session $pid of user \\S+ holds a snapshot, since", 'a session holds a snapshot');
sql(q{CREATE ROLE stranger});
is(sql(qq{SET ROLE stranger; SELECT count(*) FROM weir.why('big') why WHERE why ~ 'session $pid .*since an unknown time'}), 1,
	'but since when is for those who may know it');
type_it('big', 'No space is reclaimed');
no_longer('big', 'No space is reclaimed', 'it is gone');
eval { $session->quit };		# it may have noticed

# Under READ COMMITTED only a lock is left of what was read.
start_big('locked');
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT count(*) FROM locked');
$pid = $session->query_safe('SELECT pg_backend_pid()');
sql(q{SELECT weir.resume('locked')});
says('locked', "No space is reclaimed because session $pid of user \\S+ holds a lock on what it has read of the view, since",
	'a session holds a lock');
$session->query_safe('COMMIT');
no_longer('locked', 'No space is reclaimed', 'it has committed');
$session->quit;

start_big('bigger');
sql(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM bigger; CREATE TABLE t (); PREPARE TRANSACTION 'forgotten';
	});
sql(q{SELECT weir.resume('bigger')});
says('bigger', q{No space is reclaimed because prepared transaction 'forgotten' holds}, 'a prepared transaction holds it');
sql(q{ROLLBACK PREPARED 'forgotten'});
no_longer('bigger', 'No space is reclaimed', 'it is rolled back');
sql('DROP FOREIGN TABLE big_events, locked_events, bigger_events CASCADE');

#
# No place: to catch up, among the workers, in shared memory
#

sql(q{ALTER SYSTEM SET weir.max_catch_up = 0; SELECT pg_reload_conf()});
sql(q{
	CREATE FOREIGN TABLE many (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '1000',
		"limit" '100000', partitions '1', event_time 'ts');
	CREATE MATERIALIZED VIEW ahead WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM many, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	SELECT weir.wait('ahead', '2 minutes');
	});
sql(q{
	CREATE MATERIALIZED VIEW waiting WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM many, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});
says('waiting', 'The view is queued: 0 readers of this database catch up at a time', 'no place to catch up');
like(why('waiting'), qr/raise weir\.max_catch_up in postgresql\.conf and type: SELECT pg_reload_conf\(\);/, 'what to raise');
sql(q{ALTER SYSTEM RESET weir.max_catch_up; SELECT pg_reload_conf()});
no_longer('waiting', 'is queued', 'a place is free');
sql(q{SELECT weir.wait('waiting', '2 minutes'); DROP MATERIALIZED VIEW waiting});

# The 512 views of a cluster, most of them on a stream that ends at once.
my $others = sql('SELECT count(*) FROM weir.view');
sql(q{
	CREATE FOREIGN TABLE few (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '1000',
		"limit" '10', partitions '1', event_time 'ts');
	CREATE PROCEDURE fill(wanted int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. wanted LOOP
			PERFORM weir.create_view('few_' || i, 'SELECT window_start, window_end, count(*) AS events
				FROM few, weir.tumble(ts, ''1 minute'') GROUP BY window_start, window_end');
			COMMIT;
		END LOOP;
	END $$;
	});
sql("CALL fill(@{[ 512 - $others ]})");
poll_ok($node, 'postgres', 'SELECT count(pid) = 512 FROM weir.stat_view', '512 views are served');
my ($status, undef, $stderr) = $node->psql('postgres', q{CREATE MATERIALIZED VIEW beyond WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM few, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end});
is($status, 0, 'one more can be created');
like($stderr, qr/WARNING:  continuous view "beyond" is queued/, 'with a warning');
says('beyond', 'The view is queued: shared memory holds 512 continuous views of the cluster, and all places are taken', 'it has no place');
is(sql(q{SELECT status, pid IS NULL FROM weir.stat_view WHERE view = 'beyond'::regclass}), 'queued|t', 'it is queued');
like(slurp_file($node->logfile), qr/WARNING:  no room for 1 continuous views? in shared memory/, 'the log says it');
sql('DROP MATERIALIZED VIEW few_1');
no_longer('beyond', 'all places are taken', 'a place is free');
poll_ok($node, 'postgres', q{SELECT sum(events) = 10 FROM beyond}, 'and the view gets it');
sql('DROP FOREIGN TABLE few CASCADE');

# The 4096 partitions of a cluster
foreach my $i (1 .. 5)
{
	sql(qq{
		CREATE FOREIGN TABLE wide_$i (event_type text, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '10',
			"limit" '10', partitions '1024', event_time 'ts');
		CREATE MATERIALIZED VIEW wide_view_$i WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS events
		FROM wide_$i, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
		});
	poll_ok($node, 'postgres', "SELECT sum(read) = 10 FROM weir.checkpoint WHERE view = 'wide_view_$i'::regclass",
		"stream $i of 1024 partitions is read");
}
says('wide_view_5', 'Shared memory holds 4096 partitions of streams of the cluster, and all places are taken',
	'there is no place for its partitions');
is( sql(q{SELECT status, lag IS NULL, read FROM weir.stat_view WHERE view = 'wide_view_5'::regclass}),
	'running|t|10', 'its lag is not known, but it runs');
like(slurp_file($node->logfile), qr/WARNING:  no room for the partitions of stream public\.wide_\d in shared memory/, 'the log says it');
sql('DROP FOREIGN TABLE wide_1, wide_2 CASCADE');
no_longer('wide_view_5', 'all places are taken', 'there is place again');
poll_ok($node, 'postgres', q{SELECT lag FROM weir.stat_view WHERE view = 'wide_view_5'::regclass}, 'and its lag is known', '0');
sql('DROP FOREIGN TABLE wide_3, wide_4, wide_5 CASCADE');

# As many workers as there may be; then too few processes.
$node->append_conf('postgresql.conf', 'weir.max_workers = 2');
$node->restart;
poll_ok($node, 'postgres',
	q{SELECT count(*) > 0 FROM weir.view v, weir.why(v.view) w WHERE w ~ 'The view is (queued|without a reader): all 2 workers of the cluster are in use.  Raise weir.max_workers in postgresql.conf and restart'},
	'no worker is free');
is(sql(q{SELECT count(*) > 0 FROM weir.stat_view WHERE status = 'queued'}), 't', 'so a view is queued');
$node->append_conf('postgresql.conf', "weir.max_workers = 16\nmax_worker_processes = 3");
$node->restart;
poll_ok($node, 'postgres',
	q{SELECT count(*) > 0 FROM weir.view v, weir.why(v.view) w WHERE w ~ 'all background workers of the cluster are in use.  Raise max_worker_processes \(3\) in postgresql.conf and restart'},
	'no process is free');
$node->append_conf('postgresql.conf', 'max_worker_processes = 64');
$node->restart;
poll_ok($node, 'postgres',
	q{SELECT count(*) = 0 FROM weir.view v, weir.why(v.view) w WHERE w ~ '(queued|without a reader)'},
	'all have a reader');

#
# Restored, and every state has its sentences
#

sql('CREATE DATABASE copy');
$node->command_ok(
	[ 'sh', '-c', "pg_dump -d '@{[ $node->connstr('postgres') ]}' | psql -qX -d '@{[ $node->connstr('copy') ]}'" ],
	'the database is restored elsewhere');
like($node->safe_psql('copy', q{SELECT * FROM weir.why('ahead') LIMIT 1}),
	qr/The view is paused: it was restored or copied.*SELECT weir.resume\('public.ahead'\);/, 'a restored view');

$node->stop;
done_testing();
