# What the statistic views show is true: compared with the checkpoints, with
# what Kafka has, with /proc, and with times known beforehand.  They answer in
# every state of the server, and show errors to those only who may see what
# was in messages.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

need_kafka();

use constant HOUR => 3600;

my @views = qw(overview stat_view stat_partition stat_worker stat_producer
  stat_latency stat_progress_catch_up);

kafka_start();
kafka_topic('shop', 3);

my $node = weir_node('main', conf => '
weir.batch_time = 100
weir.batch_rows = 5000
weir.max_rate = 10000
wal_level = replica
');
my $bootstrap = kafka_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# Run as another role.
sub as
{
	my ($role, $query) = @_;
	return sql("SET ROLE $role; $query");
}

# Tests that every view can be read; returns the number of rows of each.
sub all_answer
{
	my ($server, $name, $prefix) = @_;
	my %rows;
	my @failed;

	foreach my $view (@views)
	{
		my ($status, $stdout, $stderr) = $server->psql('postgres',
			($prefix // '') . "SELECT count(v.*) FROM weir.$view v");
		push @failed, "$view: $stderr" if $status != 0;
		$rows{$view} = $stdout;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply(\@failed, [], "$name: every view answers");
	return \%rows;
}

sub record
{
	my ($partition, $age, $amount) = @_;
	my $ms = int((time() - $age) * 1000);
	my $ts = sql("SELECT to_char(to_timestamp($ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MSZ')");

	return [ $partition, $ms, undef, qq({"ts":"$ts","amount":$amount}) ];
}

#
# An empty database, and another one
#

poll_ok($node, 'postgres', 'SELECT count(*) = 1 FROM weir.stat_worker',
	'the database worker is there');
is_deeply(
	all_answer($node, 'empty database'),
	{ map { $_ => $_ eq 'stat_worker' ? 1 : 0 } @views },
	'and nothing else');

#
# A topic with known records: some an hour old, some bad, some late
#

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE shop (amount int, ts timestamptz)
		SERVER kafka OPTIONS (topic 'shop', event_time 'ts', idle_timeout '1000 hours');
	});
my $hour_ago = sql(q{SELECT to_char((now() - interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MSZ')});
my $ms_ago = sql("SELECT (extract(epoch FROM '$hour_ago'::timestamptz) * 1000)::bigint");
my @old = map { [ $_ % 3, $ms_ago, undef, qq({"ts":"$hour_ago","amount":$_}) ] } 1 .. 600;
my @bad = map { [ 0, $ms_ago, undef, '{"ts":' ] } 1 .. 7;
my @dropped = map { [ 1, $ms_ago, undef, qq({"ts":"$hour_ago","amount":-1}) ] } 1 .. 11;
my @gone = map { [ 2, $ms_ago, undef, undef ] } 1 .. 5;
kafka_produce('shop', @old, @bad, @dropped, @gone);
sql(q{
	CREATE MATERIALIZED VIEW sales WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events, sum(amount) AS amount
	FROM shop, weir.tumble(ts, '1 minute') WHERE amount > 0
	GROUP BY window_start, window_end;
	SELECT weir.wait('sales', '2 minutes');
	});
my @ends = kafka_end_offsets('shop');

is( sql(q{SELECT string_agg(concat_ws(':', end_offset, lag, lag_seconds), ' ' ORDER BY partition)
	FROM weir.stat_partition WHERE view = 'sales'::regclass}),
	join(' ', map { "$_:0:0" } @ends),
	'the ends are those of Kafka, and there is no lag');
is( sql(q{SELECT string_agg(read::text, ' ' ORDER BY partition) FROM weir.stat_partition}),
	join(' ', map { kcat_count('shop', $_) } 0 .. 2),
	'each partition has read what kcat reads');
is( sql(q{SELECT concat_ws(' ', read, aggregated, filtered, late, dead_lettered, skipped, tombstones, bad, exceptions)
	FROM weir.stat_view}),
	'623 600 11 0 7 0 5 7 0',
	'the view adds up what became of the records');
same_rows($node, 'postgres', q{
	SELECT view, start, next_offset, read, aggregated, filtered, late, late_closed, partly_late,
	       dead_lettered, skipped, tombstones, gaps, max_event_time, partition FROM weir.stat_partition},
	q{SELECT view, start, next_offset, read, aggregated, filtered, late, late_closed, partly_late,
	       dead_lettered, skipped, tombstones, gaps, max_event_time, partition FROM weir.checkpoint},
	'the partitions are those of the checkpoint', min => 3);
is( sql('SELECT watermark = weir.watermark(view) AND closed_to = weir.closed_to(view) FROM weir.stat_view'),
	't', 'watermark and closed_to are those of the functions');
is(sql('SELECT count(*) FROM weir.stat_partition WHERE holds_watermark'), '1',
	'one partition holds the watermark');
is( sql(q{SELECT status, lag, bad, error IS NULL, watermark_age BETWEEN '59 minutes' AND '70 minutes' FROM weir.overview}),
	'running|0|7|t|t', 'weir.overview says it in a line');

#
# Histograms
#

my $laws = q{
	SELECT array_length(commit_seconds, 1) = array_length(commit_seconds_bucket, 1)
	   AND array_length(event_seconds, 1) = array_length(event_seconds_bucket, 1)
	   AND (SELECT bool_and(b < next) FROM (SELECT b, lead(b) OVER (ORDER BY n) AS next FROM unnest(commit_seconds) WITH ORDINALITY x(b, n)) y WHERE next IS NOT NULL)
	   AND (SELECT bool_and(b < next) FROM (SELECT b, lead(b) OVER (ORDER BY n) AS next FROM unnest(event_seconds) WITH ORDINALITY x(b, n)) y WHERE next IS NOT NULL)
	   AND (SELECT bool_and(b <= next) FROM (SELECT b, lead(b) OVER (ORDER BY n) AS next FROM unnest(commit_seconds_bucket) WITH ORDINALITY x(b, n)) y WHERE next IS NOT NULL)
	   AND (SELECT bool_and(b <= next) FROM (SELECT b, lead(b) OVER (ORDER BY n) AS next FROM unnest(event_seconds_bucket) WITH ORDINALITY x(b, n)) y WHERE next IS NOT NULL)
	   AND commit_seconds_bucket[array_upper(commit_seconds_bucket, 1)] <= commit_seconds_count
	   AND event_seconds_bucket[array_upper(event_seconds_bucket, 1)] <= event_seconds_count
	FROM weir.stat_latency};

is(sql($laws), 't', 'buckets are cumulative and bounds ascend');
# What is measured of a batch is there a moment after its rows.
poll_ok($node, 'postgres',
	q{SELECT event_seconds_count = (SELECT sum(read) FROM weir.checkpoint) FROM weir.stat_latency},
	'each record read was measured once');
is( sql(q{SELECT commit_seconds_count - (SELECT batches FROM weir.stat_worker WHERE kind = 'reader') FROM weir.stat_latency}),
	'0', 'each batch was measured once');

# All records had the same timestamp, about an hour ago.
my $most = time() - $ms_ago / 1000;
my ($sum, $half, $two) = split /\|/, sql(q{
	SELECT event_seconds_sum / event_seconds_count,
	       event_seconds_bucket[array_position(event_seconds, 1800)],
	       event_seconds_bucket[array_position(event_seconds, 7200)]
	FROM weir.stat_latency});
cmp_ok($sum, '>=', HOUR, 'records an hour old took an hour');
cmp_ok($sum, '<=', $most, 'and no more than until they were seen');
is("$half $two", '0 623', 'they are between the right bounds');

# Reset
my $before = sql('TABLE weir.checkpoint ORDER BY partition');
my $reset = sql('SELECT stats_reset FROM weir.stat_latency');
sql('SELECT weir.stat_reset()');
is( sql(qq{SELECT commit_seconds_count, event_seconds_count, commit_seconds_sum, event_seconds_sum,
	stats_reset > '$reset' FROM weir.stat_latency}),
	'0|0|0|0|t', 'weir.stat_reset() lets histograms begin anew');
is(sql('SELECT events_per_second, last_commit IS NULL, commit_ms IS NULL FROM weir.stat_view'),
	'0|t|t', 'and rates and times');
is(sql('TABLE weir.checkpoint ORDER BY partition'), $before, 'but no counter');
kafka_produce('shop', map { record(0, 0, 1) } 1 .. 10);
sql(q{SELECT weir.wait('sales', '2 minutes')});
poll_ok($node, 'postgres',
	q{SELECT event_seconds_count, event_seconds_sum BETWEEN 0 AND 10 * 600, read
	FROM weir.stat_latency JOIN weir.stat_view USING (view)},
	'from there on only what is new is measured', '10|t|633');

#
# Lag, in messages and in seconds; a paused view
#

sql(q{
	CREATE MATERIALIZED VIEW other WITH (weir.continuous, weir.start = 'latest') AS
	SELECT window_start, window_end, count(*) AS events
	FROM shop, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	SELECT weir.wait('other', '2 minutes');
	SELECT weir.pause('sales');
	});
kafka_produce('shop', map { record(1, 0, 1) } 1 .. 4);
sql(q{SELECT weir.wait('other', '2 minutes')});

# The other view keeps the ends fresh.
poll_ok($node, 'postgres', q{SELECT string_agg(lag::text, ' ' ORDER BY partition)
	FROM weir.stat_partition WHERE view = 'sales'::regclass},
	'a paused view falls behind', '0 4 0');
is( sql(q{SELECT s.status, s.pid IS NULL, s.lag, s.lag_seconds = p.lag_seconds,
	   abs(p.lag_seconds - extract(epoch FROM now() - c.max_timestamp)::float8) < 0.001
	FROM weir.stat_view s JOIN weir.stat_partition p USING (view) JOIN weir.checkpoint c USING (view, partition)
	WHERE s.view = 'sales'::regclass AND p.partition = 1}),
	'paused|t|4|t|t', 'in seconds it is behind by the age of its newest record');
cmp_ok(sql(q{SELECT lag_seconds FROM weir.stat_view WHERE view = 'sales'::regclass}),
	'>=', HOUR, 'which is an hour old');
sql(q{SELECT weir.resume('sales'); SELECT weir.wait('sales', '2 minutes')});
is(sql(q{SELECT lag, lag_seconds FROM weir.stat_view WHERE view = 'sales'::regclass}),
	'0|0', 'no lag once it has caught up');

#
# CPU time and memory, and progress, of readers that have something to do
#

sql(q{
	CREATE FOREIGN TABLE many (event_type text, user_id text, total_amount numeric,
		ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '2024-01-01 10:00:00+00', rate '1000',
		"limit" '400000', partitions '2', event_time 'ts');
	CREATE MATERIALIZED VIEW first WITH (weir.continuous) AS
	SELECT window_start, window_end, user_id, count(*) AS events
	FROM many, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, user_id;
	SELECT weir.wait('first', '2 minutes');
	});
my $reader = sql(q{SELECT pid FROM weir.stat_worker WHERE stream = 'many'});

# Ticks of 10 ms.
sub cpu_of
{
	my ($pid) = @_;
	my @stat = split ' ', (slurp_file("/proc/$pid/stat") =~ s/^.*\) //rs);
	return ($stat[11] + $stat[12]) / 100;
}

sub rss_of
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
	return $kb * 1024;
}

cmp_ok(cpu_of($reader), '>', 0.2, 'the reader has worked');
poll_ok($node, 'postgres',
	"SELECT abs(cpu_seconds - @{[ cpu_of($reader) ]}) < 0.3 FROM weir.stat_worker WHERE pid = $reader",
	'CPU time is that of /proc');
my $rss = sql("SELECT rss_bytes FROM weir.stat_worker WHERE pid = $reader");
cmp_ok(abs($rss - rss_of($reader)), '<', 0.3 * rss_of($reader), 'memory is that of /proc');
foreach my $pid (split /\n/, sql('SELECT pid FROM weir.stat_worker'))
{
	poll_ok($node, 'postgres',
		"SELECT abs(cpu_seconds - @{[ cpu_of($pid) ]}) < 0.3 FROM weir.stat_worker WHERE pid = $pid",
		"that of the others too") if $pid != $reader;
}
is( sql(q{SELECT count(*) FROM weir.stat_worker WHERE cpu_seconds IS NULL OR cpu_seconds <= 0 OR rss_bytes < 1000000}),
	'0', 'every worker says what it uses');

# A second view catches up, no faster than weir.max_rate.
sql(q{
	CREATE MATERIALIZED VIEW second WITH (weir.continuous) AS
	SELECT window_start, window_end, user_id, count(*) AS events
	FROM many, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end, user_id;
	});
my $progress = q{FROM weir.stat_progress_catch_up p JOIN weir.stat_view v USING (view)
	WHERE view = 'second'::regclass AND phase = 'reading' AND offsets_done > 0};
poll_ok($node, 'postgres', "SELECT count(*) = 1 $progress", 'it is seen catching up');
is( sql(qq{SELECT datname, offsets_total, p.pid = v.pid,
	offsets_done = (SELECT sum(next_offset) FROM weir.checkpoint c WHERE c.view = 'second'::regclass),
	eta BETWEEN '1 second' AND '200 seconds' $progress}),
	'postgres|400000|t|t|t', 'with offsets done as in its checkpoint, and a time to go');
my $done = sql("SELECT offsets_done $progress");
poll_ok($node, 'postgres',
	"SELECT offsets_done > $done $progress UNION ALL SELECT true FROM weir.stat_view WHERE view = 'second'::regclass AND lag = 0 LIMIT 1",
	'it goes on');

# What wakes a reader does not make it faster.
my $applied = q{SELECT sum(next_offset) FROM weir.checkpoint WHERE view = 'second'::regclass};
my ($since, $applied_then) = split /\|/, sql("SELECT clock_timestamp(), ($applied)");
sql('SELECT pg_reload_conf()') foreach 1 .. 40;
is(sql("SELECT ($applied) - $applied_then <= 10000 * extract(epoch FROM clock_timestamp() - '$since') + 2 * 4 * current_setting('weir.batch_rows')::int"),
	't', 'and keeps below weir.max_rate, however often it is woken');
sql('ALTER SYSTEM SET weir.max_rate = 0');
sql('SELECT pg_reload_conf()');
sql(q{SELECT weir.wait('second', '2 minutes')});
poll_ok($node, 'postgres', 'SELECT count(*) = 0 FROM weir.stat_progress_catch_up', 'and comes to the end');
poll_ok($node, 'postgres',
	q{SELECT count(*) FROM weir.stat_latency l WHERE view IN ('first'::regclass, 'second'::regclass)
	AND event_seconds_count = 400000}, 'each record was measured once for each view', '2');
is(sql("SELECT bool_and(l) FROM ($laws) x(l)"), 't', 'the laws of histograms hold for all views');

# A batch ends by its time though each poll brings something.
sql(q{
	CREATE FOREIGN TABLE trickle (ts timestamptz OPTIONS (field 'timestamp')) SERVER generator
		OPTIONS (rate '5000', partitions '1000', start '-1 second', event_time 'ts');
	CREATE MATERIALIZED VIEW of_trickle WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) FROM trickle, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	});
poll_ok($node, 'postgres',
	q{SELECT commit_seconds_count >= 5 FROM weir.stat_latency WHERE view = 'of_trickle'::regclass},
	'a stream that always trickles is committed again and again');
sql('DROP FOREIGN TABLE trickle CASCADE');

#
# Who may see what
#

sql(q{
	CREATE ROLE nobody;
	CREATE ROLE monitor IN ROLE pg_monitor;
	CREATE FUNCTION tell(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
		$$ BEGIN RAISE 'the card is %', $1; END $$;
	CREATE MATERIALIZED VIEW telling WITH (weir.continuous, weir.start = 'latest') AS
	SELECT window_start, window_end, sum(tell(amount)) AS told
	FROM shop, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end;
	SELECT weir.wait('telling', '2 minutes');
	});
kafka_produce('shop', record(0, 0, 4711));
poll_ok($node, 'postgres', q{SELECT error FROM weir.stat_view WHERE view = 'telling'::regclass},
	'the owner sees what was in a message', 'the card is 4711');
is( as('monitor', q{SELECT error FROM weir.overview WHERE view = 'public.telling'::regclass}),
	'the card is 4711', 'so does a member of pg_monitor');
is( as('nobody', q{SELECT status, sqlstate, error_at IS NOT NULL, error FROM weir.stat_view WHERE view = 'public.telling'::regclass}),
	'failed|P0001|t|', 'who is nothing sees that it failed');
is(as('nobody', q{SELECT count(*) FROM weir.why('telling') w WHERE w ~ '4711'}), '0', 'weir.why keeps it too');
is(as('monitor', q{SELECT count(*) FROM weir.why('telling') w WHERE w ~ '4711'}), '1', 'but not from pg_monitor');
is(as('nobody', 'SELECT count(*) FROM weir.dead_letter'), '0', 'nor does it see bad records');
foreach my $forbidden ('SELECT error FROM weir.view', 'SELECT weir.stat_reset()')
{
	my ($status, undef, $stderr) = $node->psql('postgres', "SET ROLE nobody; $forbidden");
	like($stderr, qr/permission denied/, "nor may it: $forbidden");
}
all_answer($node, 'a role with nothing', 'SET ROLE nobody; ');

# Readers come and go while the view is tried again.
my ($seen, $all) = (
	all_answer($node, 'a member of pg_monitor', 'SET ROLE monitor; '),
	all_answer($node, 'a superuser'));
delete $_->{stat_worker} foreach $seen, $all;
is_deeply($seen, $all, 'pg_monitor sees all rows of all owners');

#
# A dead broker: what is known stays, and is as old as it says
#

my $known = q{SELECT string_agg(concat_ws(' ', view, partition, end_offset, lag), ',' ORDER BY view::text, partition)
	FROM weir.stat_partition WHERE stream = 'shop'::regclass AND view <> 'telling'::regclass};
sql(q{DROP VIEW telling});
my $ends = sql($known =~ s/AND view <>.*//r);
kafka_kill();
poll_ok($node, 'postgres',
	q{SELECT count(*) = 2 FROM weir.stat_view WHERE stream = 'shop'::regclass AND error IS NOT NULL AND error_at IS NOT NULL},
	'a dead broker: both views say so');
my $began = time();
all_answer($node, 'a dead broker');
cmp_ok(time() - $began, '<', 5, 'without asking it');
is(sql($known =~ s/AND view <>.*//r), $ends, 'ends and lag are as they were last known');
is(sql(q{SELECT bool_and(asked_at < now()) FROM weir.stat_partition WHERE stream = 'shop'::regclass}),
	't', 'and say when that was');
kafka_start();
poll_ok($node, 'postgres',
	q{SELECT count(*) = 2 FROM weir.stat_view WHERE stream = 'shop'::regclass AND error IS NULL AND status = 'running'},
	'the error goes when the broker is back, without any new record');

#
# A standby, a dropped view, a server without the library
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is(all_answer($standby, 'a standby')->{stat_view}, 4, 'a standby knows the views');
is( $standby->safe_psql('postgres', q{SELECT bool_and(read > 0 AND lag IS NULL AND pid IS NULL) FROM weir.stat_view WHERE view <> 'other'::regclass}),
	't', 'with their counters, and without a lag');
like($standby->safe_psql('postgres', q{SELECT string_agg(w, ' ') FROM weir.why('sales') w}),
	qr/This server is a standby/, 'weir.why says what it is');
$standby->stop;

sql('DROP MATERIALIZED VIEW first, second');
is( sql(join ' UNION ALL ', map { "SELECT count(*) FROM weir.$_ WHERE view::text ~ 'first|second'" }
	  grep { $_ !~ /worker|producer/ } @views),
	join("\n", ('0') x 5), 'a dropped view is gone from all of them');

$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
my $rows = all_answer($node, 'without the library');
is("$rows->{stat_view} $rows->{stat_partition} $rows->{stat_worker}", '2 6 0', 'what is in tables is there');
is(sql(q{SELECT bool_and(lag IS NULL AND pid IS NULL AND events_per_second = 0) FROM weir.stat_view}),
	't', 'what is not known is NULL');
like(sql(q{SELECT string_agg(w, ' ') FROM weir.why('sales') w}),
	qr/^The view is not read: .*  Add shared_preload_libraries = 'pg_weir'/, 'weir.why says what to type');
$node->stop;
done_testing();
