# Whatever is done to databases and to the extension, the workers follow:
# nobody is left over, nobody is missing, and nothing waits long for them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use WeirTest;

use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# What the issue allows for DROP DATABASE and the like, in seconds.
my $bound = 10;

my $database_only = 'weir database';
my $all           = 'weir database,weir reader';

# Without autovacuum: a worker of its own, sent to a database that is dropped
# meanwhile, is thrown out of it, and counts as a session.
my $node = weir_node(
	'main',
	extension => 0,
	conf      =>
	  "weir.max_workers = 8\nlog_min_messages = info\nautovacuum = off\n");

# The kinds of workers in a database, sorted.
sub workers_query
{
	my ($database) = @_;
	return qq{
		SELECT coalesce(string_agg(backend_type, ',' ORDER BY backend_type), '')
		FROM pg_stat_activity
		WHERE datname = '$database' AND backend_type LIKE 'weir %'};
}

sub workers_are
{
	my ($database, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres', workers_query($database), $name,
		$expected);
}

sub pid_of
{
	my ($database, $type) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'"
		  . " AND datname IS NOT DISTINCT FROM "
		  . ($database ? "'$database'" : 'NULL'));
}

# Run a statement that has to succeed within the bound.
sub quickly
{
	my ($statement, $name) = @_;
	my $start = time();
	my ($status, undef, $stderr) = $node->psql('postgres', $statement);
	my $took = time() - $start;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($status == 0 && $took < $bound, $name)
	  or diag("status $status after $took s: $stderr");
	return;
}

# A stream and a continuous view: one reader.
sub pipeline
{
	my ($database) = @_;
	$node->safe_psql(
		$database, q{
		CREATE FOREIGN TABLE events (event_type text,
			ts timestamptz OPTIONS (field 'timestamp'))
			SERVER generator OPTIONS (kind 'ecommerce', rate '10',
				event_time 'ts', watermark_delay '1 minute');
		CREATE MATERIALIZED VIEW per_minute WITH (weir.continuous) AS
			SELECT window_start, window_end, count(*) AS events
			FROM events, weir.tumble(ts, '1 minute')
			GROUP BY window_start, window_end;
		});
	return;
}

# When this returns, the launcher has finished a cycle that began after the
# call: a new database has got its worker.
my $fences = 0;

sub fence
{
	my $database = 'fence' . $fences++;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database,  'CREATE EXTENSION pg_weir');
	$node->poll_query_until('postgres', workers_query($database),
		$database_only)
	  or die "no worker in $database";
	$node->safe_psql('postgres', "DROP DATABASE $database");
	return;
}

poll_ok($node, 'postgres',
	q{SELECT count(*) FROM pg_stat_activity
	  WHERE backend_type = 'weir launcher' AND datname IS NULL},
	'the launcher runs, connected to no database', '1');

#
# CREATE and DROP EXTENSION
#

$node->safe_psql('postgres', 'CREATE DATABASE shop');

$node->safe_psql('shop', 'BEGIN; CREATE EXTENSION pg_weir; ROLLBACK');
fence();
is($node->safe_psql('postgres', workers_query('shop')),
	'', 'CREATE EXTENSION rolled back starts nobody');

$node->safe_psql('shop', 'CREATE EXTENSION pg_weir');
workers_are('shop', $database_only, 'CREATE EXTENSION starts a database worker');
is( $node->safe_psql(
		'postgres', q{SELECT provider, label FROM pg_shseclabel
		WHERE objoid = (SELECT oid FROM pg_database WHERE datname = 'shop')}),
	'weir|pg_weir',
	'CREATE EXTENSION labels the database');

pipeline('shop');
workers_are('shop', $all, 'a continuous view starts a reader');
is( $node->safe_psql(
		'shop', q{SELECT string_agg(concat_ws(' ', kind, database, stream), ', '
		ORDER BY kind) FROM weir.stat_worker}),
	'database shop, reader shop events',
	'weir.stat_worker shows who serves what');
poll_ok(
	$node, 'shop', q{SELECT string_agg(application_name, ', '
	ORDER BY application_name)
	FROM pg_stat_activity WHERE datname = 'shop'
	AND backend_type LIKE 'weir %'}, 'workers are named after what they serve',
	'weir database: shop, weir reader: shop, public.events');

my $reader = pid_of('shop', 'weir reader');
my $worker = pid_of('shop', $database_only);
$node->safe_psql('shop',
	'BEGIN; DROP EXTENSION pg_weir CASCADE; ROLLBACK');
fence();
is(pid_of('shop', 'weir reader'),
	$reader, 'DROP EXTENSION rolled back leaves the reader alone');
is(pid_of('shop', $database_only),
	$worker, 'DROP EXTENSION rolled back leaves the database worker alone');

my $start = time();
$node->safe_psql('shop', 'DROP EXTENSION pg_weir CASCADE');
workers_are('shop', '', 'DROP EXTENSION sends everybody home');
cmp_ok(time() - $start, '<', $bound, 'DROP EXTENSION does so soon');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_shseclabel'),
	'0', 'DROP EXTENSION takes the label off');

$node->safe_psql('shop',
	"CREATE EXTENSION pg_weir; DROP EXTENSION pg_weir;" x 10);
fence();
workers_are('shop', '', 'ten times CREATE, DROP: nobody is left');

$node->safe_psql('shop', 'CREATE EXTENSION pg_weir');
$node->safe_psql('shop',
	"DROP EXTENSION pg_weir; CREATE EXTENSION pg_weir;" x 10);
workers_are('shop', $database_only, 'ten times DROP, CREATE: one is there');

pipeline('shop');
workers_are('shop', $all, 'and it starts a reader');
$reader = pid_of('shop', 'weir reader');
$node->safe_psql('shop',
	'BEGIN; DROP EXTENSION pg_weir CASCADE; CREATE EXTENSION pg_weir; COMMIT');
workers_are('shop', $database_only,
	'DROP and CREATE in one transaction: the reader leaves');
pipeline('shop');
workers_are('shop', $all, 'a new view of the new extension is read');
isnt(pid_of('shop', 'weir reader'), $reader, 'by a new reader');

#
# Labels
#

my ($status, $stdout, $stderr) = $node->psql('shop',
	"SECURITY LABEL FOR weir ON DATABASE shop IS 'other'");
like(
	$stderr,
	qr/"other" is not a valid security label of provider "weir"/,
	'no other label is accepted');
($status, $stdout, $stderr) = $node->psql('shop',
	"SECURITY LABEL FOR weir ON SCHEMA public IS 'pg_weir'");
like(
	$stderr,
	qr/security labels of provider "weir" are for databases only/,
	'no other object is labelled');
$node->safe_psql('shop',
	"SECURITY LABEL FOR weir ON DATABASE shop IS 'pg_weir'");
workers_are('shop', $all, 'its own label is accepted, as restores emit it');

# A label without the extension starts a worker once, not again and again.
$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('bare',
	"SECURITY LABEL FOR weir ON DATABASE bare IS 'pg_weir'");
fence();
fence();
workers_are('bare', '', 'a label without the extension runs nothing');
$node->safe_psql('bare', 'CREATE EXTENSION pg_weir');
workers_are('bare', $database_only, 'until the extension is created');

#
# DROP, RENAME, TEMPLATE DATABASE
#

quickly('DROP DATABASE bare', 'DROP DATABASE with a database worker');

quickly('CREATE DATABASE copy TEMPLATE shop',
	'CREATE DATABASE ... TEMPLATE with a reader');
workers_are('shop', $all, 'the workers of the template come back');
fence();
is($node->safe_psql('postgres', workers_query('copy')),
	'', 'the copy comes up with nobody');

quickly('ALTER DATABASE shop RENAME TO store', 'RENAME with a reader');
workers_are('store', $all, 'workers come back under the new name');
poll_ok(
	$node, 'postgres', q{SELECT string_agg(application_name, ', '
	ORDER BY application_name)
	FROM pg_stat_activity WHERE datname = 'store'
	AND backend_type LIKE 'weir %'}, 'and are named after it',
	'weir database: store, weir reader: store, public.events');

($status, $stdout, $stderr) =
  $node->psql('postgres', 'ALTER DATABASE store RENAME TO copy');
isnt($status, 0, 'RENAME to a name that is taken fails');
workers_are('store', $all, 'and the workers come back');

my $session = $node->background_psql('store', on_error_die => 1)
  if $node->can('background_psql');
SKIP:
{
	skip 'no background sessions', 2 unless $session;
	($status, $stdout, $stderr) =
	  $node->psql('postgres', 'DROP DATABASE store');
	like($stderr, qr/There is 1 other session using the database/,
		'DROP DATABASE fails for others, not for workers');
	workers_are('store', $all, 'and the workers come back');
	$session->quit;
}

quickly('DROP DATABASE store', 'DROP DATABASE with a reader');
quickly('DROP DATABASE copy',  'DROP DATABASE of the copy');

# Both at once: neither may find a worker of a database that is no more.
for my $i (1 .. 5)
{
	$node->safe_psql('postgres', 'CREATE DATABASE brief');
	$node->safe_psql('brief',    'CREATE EXTENSION pg_weir');
	quickly('DROP DATABASE brief', "DROP DATABASE right after CREATE EXTENSION, $i");
}

#
# A random history
#

my $seed = $ENV{SEED} // int(rand(2**31));
srand($seed);
note("SEED=$seed");

# What a database should be like: undef, or whether it has the extension.
my %expected = (one => undef, two => undef, three => undef);
my %actions = (
	create => sub {
		my ($name, @others) = @_;
		return if defined $expected{$name};
		my ($template) = grep { $expected{$_} } @others;
		$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE "
			  . ($template // 'template1'));
		$node->safe_psql($name, 'SELECT weir._label_database()') if $template;
		$expected{$name} = $template ? 1 : 0;
	},
	drop => sub {
		my ($name) = @_;
		return unless defined $expected{$name};
		$node->safe_psql('postgres', "DROP DATABASE $name");
		$expected{$name} = undef;
	},
	rename => sub {
		my ($name, @others) = @_;
		my ($free) = grep { !defined $expected{$_} } @others;
		return unless defined $expected{$name} && $free;
		$node->safe_psql('postgres', "ALTER DATABASE $name RENAME TO $free");
		@expected{ $name, $free } = (undef, $expected{$name});
	},
	create_extension => sub {
		my ($name) = @_;
		return unless defined $expected{$name} && !$expected{$name};
		my $end = rand() < 0.3 ? 'ROLLBACK' : 'COMMIT';
		$node->safe_psql($name, "BEGIN; CREATE EXTENSION pg_weir; $end");
		$expected{$name} = 1 if $end eq 'COMMIT';
	},
	drop_extension => sub {
		my ($name) = @_;
		return unless $expected{$name};
		my $end = rand() < 0.3 ? 'ROLLBACK' : 'COMMIT';
		$node->safe_psql($name, "BEGIN; DROP EXTENSION pg_weir CASCADE; $end");
		$expected{$name} = 0 if $end eq 'COMMIT';
	});
my @history;

for (1 .. 80)
{
	my @names = sort { $a->[1] <=> $b->[1] } map { [ $_, rand() ] } sort keys %expected;
	my @actions = sort keys %actions;
	my $action = $actions[ rand @actions ];

	push @history, "$action $names[0][0]";
	$start = time();
	$actions{$action}->(map { $_->[0] } @names);
	push @history, 'took long' if time() - $start > $bound;
}
is((grep { $_ eq 'took long' } @history), 0, 'no step of a random history waits')
  or diag(join("\n", @history));
fence();
foreach my $name (sort keys %expected)
{
	workers_are($name, $expected{$name} ? $database_only : '',
		"after a random history $name has its workers (SEED=$seed)")
	  or diag(join("\n", @history));
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $name");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_shseclabel'),
	'0', 'no label is left');

# So far nobody was killed, and nobody failed.
my $log = slurp_file($node->logfile);
unlike($log, qr/"weir [^"]*" \(PID \d+\) exited with exit code/,
	'every worker has ended well');
unlike($log, qr/FATAL:.*(?:weir|database \d+ does not exist)/,
	'nobody was thrown out');

#
# Killed workers come back
#

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop',     'CREATE EXTENSION pg_weir');
pipeline('shop');
workers_are('shop', $all, 'workers before they are terminated');

# Of a few times the shortest is told: a machine may be busy with other things,
# but not each time.
foreach my $type ('weir reader', 'weir database')
{
	my $took = $bound;

	for (my $try = 1; $try <= 5 && $took >= 2; $try++)
	{
		my $old = pid_of('shop', $type);

		$start = time();
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
		poll_ok($node, 'postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $old",
			"$type is gone when terminated");
		$took = min($took, time() - $start);
		workers_are('shop', $all, "$type comes back");
	}
	cmp_ok($took, '<', 2, "$type leaves at once");
}

my $launcher = pid_of(undef, 'weir launcher');
$worker = pid_of('shop', $database_only);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
poll_ok($node, 'postgres',
	qq{SELECT count(*) = 1 FROM pg_stat_activity
	   WHERE backend_type = 'weir launcher' AND pid <> $launcher},
	'the launcher comes back');
fence();
is(pid_of('shop', $database_only),
	$worker, 'and knows the workers that are there');

#
# No room
#

# A database worker and a reader are there; six slots are free.
for my $i (1 .. 7)
{
	$node->safe_psql('postgres', "CREATE DATABASE many$i");
	$node->safe_psql("many$i",   'CREATE EXTENSION pg_weir');
}
poll_ok($node, 'postgres',
	q{SELECT count(DISTINCT datname) FROM pg_stat_activity
	  WHERE backend_type = 'weir database'},
	'as many database workers as there are slots', '7');
ok($node->wait_for_log(qr/WARNING:.*out of weir worker slots/),
	'that there are no more is in the log');
$node->safe_psql('postgres', "DROP DATABASE many$_") for (1 .. 6);
workers_are('many7', $database_only, 'the one that waited gets a free slot');

$start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', $bound, 'a fast shutdown does not wait for workers');

#
# Not preloaded
#

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
is($node->safe_psql('shop', 'SELECT count(*) FROM weir.stat_worker'),
	'0', 'weir.stat_worker is empty when the library is not preloaded');
$node->safe_psql('postgres', 'CREATE DATABASE late');
($status, $stdout, $stderr) =
  $node->psql('late', 'CREATE EXTENSION pg_weir');
like(
	$stderr,
	qr/HINT:  Add shared_preload_libraries = 'pg_weir' to postgresql.conf and restart\./,
	'CREATE EXTENSION says which line to add');
$node->stop;

done_testing();
