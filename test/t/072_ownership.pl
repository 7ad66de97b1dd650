# Whose rights count: what users attach to a view runs as its owner,
# restricted; who may not read a stream reads no view of it; who owns a view
# owns what lies behind it, and nobody else sees it.

use strict;
use warnings;
use Test::More;
use WeirTest;

my $node = weir_node('main', conf => "weir.batch_time = 100\n");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# As another role, in a session of its own.
sub as
{
	my ($role, $query) = @_;

	return $node->safe_psql('postgres', $query,
		extra_params => [ '-U', $role ]);
}

sub fails_as
{
	my ($role, $query, $message, $name) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql('postgres', $query, extra_params => [ '-U', $role ]);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($stderr, $message, $name);
}

sub status_is
{
	my ($view, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok(
		$node, 'postgres',
		qq{SELECT concat_ws(' ', status, sqlstate) FROM weir.stat_view
		   WHERE view = '$view'::regclass},
		$name, $expected);
}

# closed_to passes the present time: windows close.
sub closes
{
	my ($view, $name) = @_;
	my $now = sql('SELECT now()');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT weir.closed_to('$view') > '$now'", $name);
}

my $aggregate = q{SELECT window_start, window_end, event_type,
	count(*) AS events FROM events, weir.tumble(ts, '1 second')
	GROUP BY window_start, window_end, event_type};

# Closed rows are those of the query without the records that the view stored
# as late.
sub closed_equal_batch
{
	my ($view, $name) = @_;
	my $to = sql("SELECT weir.closed_to('$view')");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return same_rows(
		$node, 'postgres',
		"SELECT * FROM $view WHERE window_end <= '$to'",
		qq{SELECT window_start, window_end, event_type, count(*)
		   FROM events e, weir.tumble(ts, '1 second')
		   WHERE window_end <= '$to' AND e.o < (
				SELECT next_offset FROM weir.checkpoint c
				WHERE c.view = '$view'::regclass AND c.partition = e.p)
		   AND NOT EXISTS (
				SELECT FROM weir.late_event l WHERE l.view = '$view'::regclass
				AND l.partition = e.p AND l."offset" = e.o)
		   GROUP BY 1, 2, 3}, $name, min => 5);
}

sql(q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE carol LOGIN;
	CREATE SCHEMA a AUTHORIZATION alice;
	CREATE SCHEMA c AUTHORIZATION carol;
	GRANT CREATE ON SCHEMA public TO alice, carol;
	CREATE FOREIGN TABLE events (event_type text,
		ts timestamptz OPTIONS (field 'timestamp'),
		p int OPTIONS (metadata 'partition'),
		o bigint OPTIONS (metadata 'offset'))
	SERVER generator OPTIONS (kind 'ecommerce', start '-5 seconds',
		rate '100', partitions '2', event_time 'ts',
		late_fraction '0.02', late_by '3 seconds', poison_fraction '0.02');
	GRANT SELECT ON events TO alice;
	});

#
# A view of an ordinary user, end to end
#

as('alice', "CREATE MATERIALIZED VIEW hers WITH (weir.continuous) AS $aggregate");
as('alice', "SELECT weir.wait('hers', '30 s')");
closes('hers', 'windows of an ordinary user close');
is( sql(q{SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',')
	FROM pg_class WHERE oid IN ('hers'::regclass, 'weir_data.hers_query'::regclass,
	                            weir.closed('hers'))}),
	'alice', 'she owns the view, its query and its closed rows');
as('alice', "SELECT weir.pause('hers')");
status_is('hers', 'paused', 'she pauses it');
as('alice', "SELECT weir.resume('hers')");
status_is('hers', 'running', 'and resumes it');
poll_ok($node, 'postgres', qq{SELECT (SELECT count(*) > 2 FROM weir.$_
	WHERE view = 'hers'::regclass)}, "there are rows in weir.$_")
  foreach 'dead_letter', 'late_event';
cmp_ok(as('alice', "SELECT count(*) FROM weir.$_"),
	'>', 2, "she reads weir.$_") foreach 'dead_letter', 'late_event';

is(as('bob', "SELECT count(*) FROM weir.$_"), '0', "another role sees nothing in weir.$_")
  foreach 'dead_letter', 'late_event';
is(as('bob', "DELETE FROM weir.dead_letter RETURNING 1"),
	'', 'and deletes nothing there');
fails_as('bob', "SELECT * FROM $_", qr/permission denied for/, "another role does not read $_")
  foreach 'hers', 'weir_data.hers_closed', 'weir_data.hers_query',
  'weir_data.hers_partial_0';
fails_as('bob', "SELECT weir.$_('hers')", qr/permission denied|must be owner/,
	"weir.$_ is not for another role")
  foreach 'pause', 'resume', 'wait';
fails_as('alice', 'INSERT INTO weir_data.hers_partial_0 SELECT now()',
	qr/permission denied/, 'not even the owner writes partials');
fails_as('alice', 'CREATE TRIGGER t BEFORE INSERT ON weir_data.hers_partial_0
	FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	qr/permission denied|must be owner/, 'or puts a trigger on them');

#
# Triggers
#

as('alice', q{
	CREATE TABLE a.ran (trigger text, who text, attempt text);
	CREATE FUNCTION a.note() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		attempt text := 'allowed';
	BEGIN
		BEGIN
			EXECUTE 'SET ROLE NONE';
		EXCEPTION WHEN OTHERS THEN
			attempt := SQLSTATE || ' ' || SQLERRM;
		END;
		INSERT INTO a.ran VALUES (TG_NAME, current_user, attempt);
		RETURN NEW;
	END $$;
	CREATE TRIGGER before_row BEFORE INSERT ON weir_data.hers_closed
		FOR EACH ROW EXECUTE FUNCTION a.note();
	CREATE TRIGGER after_row AFTER INSERT ON weir_data.hers_closed
		FOR EACH ROW EXECUTE FUNCTION a.note();
	CREATE TRIGGER after_statement AFTER INSERT ON weir_data.hers_closed
		FOR EACH STATEMENT EXECUTE FUNCTION a.note();
	CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON weir_data.hers_closed
		DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION a.note();
	});
closes('hers', 'windows close through the triggers');
foreach my $trigger (qw(before_row after_row after_statement deferred))
{
	poll_ok($node, 'postgres',
		"SELECT count(*) > 0 FROM a.ran WHERE trigger = '$trigger'",
		"trigger $trigger has run");
	is( sql("SELECT DISTINCT who, attempt FROM a.ran WHERE trigger = '$trigger'"),
		'alice|42501 cannot set parameter "role" within security-restricted operation',
		"trigger $trigger ran as the owner, restricted");
}
as('alice', "DROP TRIGGER $_ ON weir_data.hers_closed")
  foreach qw(before_row after_row after_statement deferred);

sub trigger_that
{
	my ($what, $does, $when, $state, $message) = @_;

	as('alice', qq{
		CREATE FUNCTION a.$what() RETURNS trigger LANGUAGE plpgsql AS
		\$\$ BEGIN $does END \$\$;
		CREATE $when ON weir_data.hers_closed
		FOR EACH ROW EXECUTE FUNCTION a.$what();
		});
	status_is('hers', "close_failed $state", "a trigger that $what rows: the close fails");
	like(
		sql("SELECT error FROM weir.stat_view WHERE view = 'hers'::regclass"),
		$message, 'and the view says why');
	like(as('alice', "SELECT string_agg(w, ' ') FROM weir.why('hers') w"),
		$message, 'weir.why too');
	my $to = sql("SELECT weir.closed_to('hers')");
	poll_ok($node, 'postgres',
		"SELECT count(DISTINCT window_end) >= 4 FROM hers WHERE window_end > '$to'",
		'windows stay open and visible');
	is(sql("SELECT weir.closed_to('hers')"), $to, 'none is closed');
	as('alice', "DROP TRIGGER $what ON weir_data.hers_closed");
	closes('hers', 'without the trigger they close again');
	status_is('hers', 'running', 'and the view runs');
	closed_equal_batch('hers', 'every closed row is there');
	return;
}

trigger_that('swallows', 'RETURN NULL;', 'TRIGGER swallows BEFORE INSERT',
	'27000', qr/only 0 of \d+ closed rows of continuous view "hers" were stored/);
trigger_that('refuses', "RAISE 'not in my table';",
	'TRIGGER refuses AFTER INSERT', 'P0001', qr/not in my table/);
trigger_that('rejects', "RAISE 'not at the end';",
	'CONSTRAINT TRIGGER rejects AFTER INSERT', 'P0001', qr/not at the end/);

#
# Row security on the closed table is not for readers of the view
#

as('alice', q{
	ALTER TABLE weir_data.hers_closed ENABLE ROW LEVEL SECURITY;
	GRANT SELECT ON hers TO bob});
closes('hers', 'windows close under row security');
cmp_ok(
	as('bob', "SELECT count(*) FROM hers WHERE window_end <= weir.closed_to('hers')"),
	'>', 5, 'who may read the view sees its closed rows');
as('alice', 'ALTER TABLE weir_data.hers_closed DISABLE ROW LEVEL SECURITY');

#
# The right to read the stream
#

sql('REVOKE SELECT ON events FROM alice');
status_is('hers', 'failed 42501', 'without SELECT on the stream the view fails');
my $position = q{SELECT sum(next_offset) FROM weir.checkpoint
	WHERE view = 'hers'::regclass};
my $before = sql($position);
fails_as('alice', "SELECT weir.resume('hers'); SELECT weir.wait('hers', '20 s')",
	qr/permission denied for foreign table events/, 'resuming it does not help');
is(sql($position), $before, 'nothing is read');
sql('GRANT SELECT ON events TO alice');
as('alice', "SELECT weir.resume('hers')");
closes('hers', 'with SELECT again it goes on');
closed_equal_batch('hers', 'and has missed nothing');

#
# The owner changes
#

sql('GRANT SELECT ON events TO carol');
sql('ALTER MATERIALIZED VIEW hers OWNER TO carol');
is( sql(q{SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',')
	FROM pg_class WHERE oid IN ('hers'::regclass, 'weir_data.hers_query'::regclass,
	                            weir.closed('hers'))}),
	'carol', 'the query and the closed rows follow the view');
is( sql(q{SELECT DISTINCT has_table_privilege('carol', s, 'SELECT'),
		has_table_privilege('carol', s, 'INSERT'), has_table_privilege('alice', s, 'SELECT')
	FROM weir.view, unnest(segments) s WHERE view = 'hers'::regclass}),
	't|f|f', 'SELECT on the segments too');
closes('hers', 'it runs on');
fails_as('alice', 'SELECT * FROM hers', qr/permission denied/,
	'the former owner reads it no more');
closed_equal_batch('hers', 'nothing was missed');
as('carol', q{
	CREATE TABLE c.ran (who text);
	CREATE FUNCTION c.note() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO c.ran VALUES (current_user); RETURN NULL; END $$;
	CREATE TRIGGER note AFTER INSERT ON weir_data.hers_closed
		FOR EACH ROW EXECUTE FUNCTION c.note()});
poll_ok($node, 'postgres', 'SELECT DISTINCT who FROM c.ran',
	'triggers run as the new owner', 'carol');

#
# Functions in a view
#

# The function claims to be immutable and hides what it does behind another.
my %attempts = (
	set_role    => q{EXECUTE 'SET ROLE NONE'},
	temp_table  => q{EXECUTE 'CREATE TEMP TABLE hidden (a int)'},
	config_role => q{PERFORM set_config('role', 'none', false)},
	listen      => q{EXECUTE 'LISTEN anything'},
	declare     => q{EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'},
);
foreach my $what (sort keys %attempts)
{
	as('carol', qq{
		CREATE FUNCTION c.do_$what() RETURNS int LANGUAGE plpgsql VOLATILE AS
		\$\$ BEGIN $attempts{$what}; RETURN 1; END \$\$;
		CREATE FUNCTION c.$what(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
		\$\$ BEGIN RETURN t || c.do_$what(); END \$\$;
		CREATE MATERIALIZED VIEW sly_$what WITH (weir.continuous) AS
		SELECT window_start, window_end, c.$what(event_type) AS t, count(*)
		FROM events, weir.tumble(ts, '1 second')
		GROUP BY window_start, window_end, c.$what(event_type);
		});
	status_is("sly_$what", 'failed 42501', "a function is refused to $what");
}
closes('hers', 'beside them the other view runs on');

#
# DROP OWNED
#

# A reader has the view when it comes to its closed rows: who drops both must
# not have these while he waits for the view.
as('carol', "CREATE MATERIALIZED VIEW own WITH (weir.continuous) AS $aggregate");
as('carol', "SELECT weir.wait('own', '2 minutes')");
sql('DROP VIEW hers');
my $closed = sql(q{SELECT weir.closed('own')::oid});
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SELECT pg_advisory_lock(hashtext('flush-aggregated'))});
sql(q{ALTER SYSTEM SET weir.fault = 'flush-aggregated:wait'});
sql('SELECT pg_reload_conf()');
poll_ok($node, 'postgres', q{
	SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)
	WHERE locktype = 'advisory' AND NOT granted AND backend_type = 'weir reader'},
	'a reader is held in the middle of a batch');
my $drop = $node->background_psql('postgres');
$drop->query_until(qr/drops/, "\\echo drops\nDROP OWNED BY carol CASCADE;\n");
poll_ok($node, 'postgres', q{SELECT count(*) > 0 FROM pg_locks
	WHERE relation = 'own'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted},
	'DROP OWNED waits for the view');
is( sql(qq{SELECT count(*) FROM pg_locks
	WHERE relation = $closed AND mode = 'AccessExclusiveLock'}),
	'0', 'before it takes the closed rows');
sql('ALTER SYSTEM RESET weir.fault');
sql('SELECT pg_reload_conf()');
$holder->quit;
$drop->quit;
is(sql('SELECT count(*) FROM weir.view'), '0', 'DROP OWNED drops the views');
is( sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'weir_data'::regnamespace}),
	'0', 'and what lies behind them');
is(sql("SELECT count(*) FROM weir.$_"), '0', "nothing is left in weir.$_")
  foreach qw(view_state checkpoint armed dead_letter late_event exception trimmed);
sql('DROP OWNED BY alice; DROP ROLE carol');
pass('the role can be dropped');

$node->stop;
done_testing();
