# Everything that can be dropped is dropped soon while workers run, and
# leaves nothing behind.

use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use WeirTest;

my $bound = 10;		# seconds

# DROP DATABASE terminates an autovacuum worker that it meets, which is FATAL.
my $node  = weir_node('main', extension => 0,
	conf => "weir.batch_time = 50\nweir.batch_rows = 500\nautovacuum = off\n");

# Views that flow, one of them far behind, one failed, one paused.
sub pipeline
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql(
		$database, q{
		CREATE EXTENSION pg_weir;
		CREATE FOREIGN TABLE events (event_type text, user_id text,
			ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', start '-1 hour',
			rate '2000', partitions '2', event_time 'ts', poison_fraction '0.01',
			late_fraction '0.01', late_by '5 seconds');
		CREATE FUNCTION raises(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
			$$ BEGIN RAISE 'no'; END $$;
		CREATE MATERIALIZED VIEW now WITH (weir.continuous, weir.start = 'latest') AS
			SELECT window_start, window_end, event_type, count(*) AS events
			FROM events, weir.tumble(ts, '1 second')
			GROUP BY window_start, window_end, event_type;
		CREATE MATERIALIZED VIEW behind WITH (weir.continuous) AS
			SELECT window_start, window_end, user_id, count(*) AS events
			FROM events, weir.hop(ts, '1 minute', '10 seconds')
			GROUP BY window_start, window_end, user_id;
		CREATE MATERIALIZED VIEW failing WITH (weir.continuous, weir.start = 'latest') AS
			SELECT window_start, window_end, raises(event_type) AS r, count(*)
			FROM events, weir.tumble(ts, '1 second')
			GROUP BY window_start, window_end, raises(event_type);
		CREATE MATERIALIZED VIEW paused WITH (weir.continuous) AS
			SELECT window_start, window_end, count(*) AS events
			FROM events, weir.tumble(ts, '1 second')
			GROUP BY window_start, window_end WITH NO DATA;
		CREATE FUNCTION deferred() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER after_close AFTER INSERT ON weir_data.now_closed
			FOR EACH ROW EXECUTE FUNCTION deferred();
		CREATE VIEW on_top AS SELECT sum(events) FROM behind;
		});
	poll_ok($node, $database,
		q{SELECT (SELECT count(DISTINCT pid) = 2 FROM weir.stat_view
		          WHERE view IN ('now'::regclass, 'behind'::regclass))
		     AND (SELECT status = 'failed' FROM weir.stat_view
		          WHERE view = 'failing'::regclass)
		     AND (SELECT count(*) > 0 FROM now)
		     AND (SELECT count(*) > 0 FROM weir.dead_letter)
		     AND (SELECT count(*) > 0 FROM weir.late_event)},
		"$database: its readers write");
	return;
}

sub quickly
{
	my ($database, $statement, $name) = @_;
	my $start = time();
	my ($status, $stdout, $stderr) = $node->psql($database, $statement,
		timeout => 60);
	my $took = time() - $start;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($status == 0 && $took < $bound, sprintf('%s: %.1f s', $name, $took))
	  or diag("status $status after $took s: $stderr");
	return;
}

# Readers that leave have their time, but not more.
sub readers_are
{
	my ($database, $n, $name) = @_;
	my $start = time();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_ok($node, 'postgres',
		qq{SELECT count(*) FROM pg_stat_activity WHERE datname = '$database'
		   AND backend_type = 'weir reader'}, "$name: readers", $n);
	cmp_ok(time() - $start, '<', $bound, "$name: soon");
	return;
}

# No catalog table knows a relation that is gone, and weir_data holds exactly
# what the views that are left need.
sub nothing_left
{
	my ($database, $views, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $node->safe_psql(
			$database, q{
			SELECT string_agg(DISTINCT t || ' ' || r, ', ') FROM (
				SELECT 'view', view FROM weir.view
				UNION ALL SELECT 'view_state', closed FROM weir.view_state
				UNION ALL SELECT 'checkpoint', view FROM weir.checkpoint
				UNION ALL SELECT 'armed', view FROM weir.armed
				UNION ALL SELECT 'dead_letter', view FROM weir.dead_letter
				UNION ALL SELECT 'late_event', view FROM weir.late_event
				UNION ALL SELECT 'exception', view FROM weir.exception
				UNION ALL SELECT 'trimmed', view FROM weir.trimmed) x (t, r)
			WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r)}),
		'', "$name: no catalog row is left");
	is( $node->safe_psql($database, 'SELECT count(*) FROM weir.view'),
		$views, "$name: views");
	is( $node->safe_psql(
			$database, q{SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v')
			AND relnamespace = 'weir_data'::regnamespace}),
		10 * $views, "$name: relations behind views");
	return;
}

pipeline('shop');
quickly('shop', 'BEGIN; DROP MATERIALIZED VIEW now; ROLLBACK', 'DROP rolled back');
nothing_left('shop', 4, 'DROP rolled back');
poll_ok($node, 'shop', q{SELECT pid IS NOT NULL AND last_commit > now()
	FROM weir.stat_view WHERE view = 'now'::regclass} =~ s/now\(\)/'@{[
	$node->safe_psql('shop', 'SELECT now()')]}'/r, 'and the view runs on');
my ($status, $stdout, $stderr) =
  $node->psql('shop', 'DROP MATERIALIZED VIEW behind');
like($stderr, qr/cannot drop view behind because other objects depend on it/,
	'DROP without CASCADE is refused where something depends');
quickly('shop', 'DROP MATERIALIZED VIEW failing', 'DROP of a failed view');
quickly('shop', 'DROP VIEW paused', 'DROP VIEW of a paused view');
nothing_left('shop', 2, 'DROP VIEW');
quickly('shop', 'DROP MATERIALIZED VIEW behind CASCADE', 'DROP of a view that catches up');
nothing_left('shop', 1, 'DROP MATERIALIZED VIEW');
readers_are('shop', 1, 'DROP MATERIALIZED VIEW');
quickly('shop', 'DROP FOREIGN TABLE events CASCADE', 'DROP FOREIGN TABLE');
nothing_left('shop', 0, 'DROP FOREIGN TABLE');
readers_are('shop', 0, 'DROP FOREIGN TABLE');
quickly('postgres', 'DROP DATABASE shop', 'DROP DATABASE afterwards');

pipeline('shop');
quickly('shop', 'DROP EXTENSION pg_weir CASCADE', 'DROP EXTENSION');
poll_ok($node, 'postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
	WHERE datname = 'shop' AND backend_type LIKE 'weir %'},
	'DROP EXTENSION: no worker is left');
is( $node->safe_psql('shop', q{SELECT count(*) FROM pg_class
	WHERE relname ~ '^(now|behind|failing|paused|events|on_top)'}),
	'0', 'DROP EXTENSION: no relation is left');
is( $node->safe_psql('shop', q{SELECT count(*) FROM pg_namespace
	WHERE nspname ~ '^weir'}),
	'0', 'DROP EXTENSION: no schema is left');
quickly('shop', 'CREATE EXTENSION pg_weir', 'CREATE EXTENSION again');
nothing_left('shop', 0, 'CREATE EXTENSION again');
quickly('postgres', 'DROP DATABASE shop', 'DROP DATABASE with a database worker');

pipeline('shop');
quickly('postgres', 'DROP DATABASE shop', 'DROP DATABASE');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type IN ('weir reader', 'weir database')}),
	'0', 'DROP DATABASE: no worker is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_shseclabel'),
	'0', 'DROP DATABASE: no label is left');

# Dropped under a running reader, again and again.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{CREATE EXTENSION pg_weir;
	CREATE FOREIGN TABLE events (event_type text,
		ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (kind 'ecommerce', start '-1 hour', rate '2000',
		partitions '2', event_time 'ts')});
for my $i (1 .. 20)
{
	$node->safe_psql('shop', q{CREATE MATERIALIZED VIEW brief WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS events
		FROM events, weir.tumble(ts, '1 second')
		GROUP BY window_start, window_end});
	$node->poll_query_until('shop', 'SELECT count(*) > 0 FROM brief')
	  or die 'the view is not read'
	  if $i % 2;
	$node->safe_psql('shop', 'DROP VIEW brief');
}
nothing_left('shop', 0, 'twenty times CREATE, DROP');
readers_are('shop', 0, 'twenty times CREATE, DROP');

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/FATAL:(?!.*shutdown)|PANIC:|exited with exit code/,
	'every worker has ended well');
unlike($log, qr/could not open relation|cache lookup failed/,
	'nobody stumbled over what was gone');

$node->stop;
done_testing();
