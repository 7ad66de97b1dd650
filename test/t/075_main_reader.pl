# A reader that is alone is the main one, and its views are running: whoever
# read the stream before it, and is only leaving, does not make it catch up.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

my $point = 'reader-leaving';
my $node  = weir_node('main', conf => "weir.batch_rows = 1000\nweir.max_rate = 1000\n");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub has_status
{
	my ($view, $status, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT status FROM weir.view WHERE view = '$view'::regclass", $name, $status);
}

sub readers
{
	return sql(q{SELECT string_agg(main::text, ' ' ORDER BY main) FROM weir.stat_worker WHERE kind = 'reader'});
}

plan skip_all => 'needs a build with WEIR_DEBUG=1'
  if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'weir.fault' AND context = 'sighup'}) == 0;

# All of it is there from the beginning, and nothing comes any more.
sql(q{
	CREATE FOREIGN TABLE events (ts timestamptz OPTIONS (field 'timestamp')) SERVER generator OPTIONS (
		start '2024-01-01T00:00:00Z', rate '10', "limit" '400000', partitions '2', event_time 'ts')});

sub create_view
{
	my ($view) = @_;

	sql(qq{CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS events
		FROM events, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end});
	return;
}

create_view('first');
sql(q{SELECT weir.wait('first', '60 s')});
has_status('first', 'running', 'a view on a stream of its own runs');

# The reader is held while it takes its leave, and the view gets another.
my $holder = $node->background_psql('postgres');
$holder->query_safe("SELECT pg_advisory_lock(hashtext('$point'))");
sql("ALTER SYSTEM SET weir.fault = '$point:wait'");
$node->reload;
sql(q{SELECT weir.pause('first')});
poll_ok($node, 'postgres', q{
	SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)
	WHERE locktype = 'advisory' AND NOT granted AND backend_type = 'weir reader'},
	'the reader is held while it leaves');
sql(q{SELECT weir.resume('first')});
has_status('first', 'running', 'the view runs, beside the reader that leaves');
is(readers(), 'false true', 'both readers are there: the new one is main');
sql('ALTER SYSTEM RESET weir.fault');
$node->reload;
$holder->quit;
poll_ok($node, 'postgres', q{SELECT count(*) FROM weir.stat_worker WHERE kind = 'reader'},
	'it has left', '1');

# A catch-up reader is main once there is no other.
create_view('second');
has_status('second', 'catching up', 'a view that begins later catches up');
is(readers(), 'false true', 'with a reader of its own');
sql(q{SELECT weir.pause('first')});
has_status('second', 'running', 'it runs when the main reader has no view left');
poll_ok($node, 'postgres', q{SELECT string_agg(main::text, ' ') FROM weir.stat_worker WHERE kind = 'reader'},
	'its reader is main', 'true');
sql(q{SELECT weir.resume('first'); SELECT weir.wait('first', '60 s'); SELECT weir.wait('second', '60 s')});
has_status($_, 'running', "in the end $_ runs") foreach 'first', 'second';
same_rows($node, 'postgres', 'SELECT * FROM first', 'SELECT * FROM second', 'with the same rows', min => 10);
same_rows($node, 'postgres', 'SELECT * FROM first', 'SELECT * FROM weir_data.first_query', 'those of the query', min => 10);

done_testing();
