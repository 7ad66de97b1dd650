# A view that starts at a time reads every record from then on, also the first
# one that comes while its reader asks where that is.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

my $point = 'offset-asked';

broker_start(1, 'events:1');
my $node      = weir_node('main', conf => "weir.fault = '$point:wait'\n");
my $bootstrap = broker_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

plan skip_all => 'needs a build with WEIR_DEBUG=1'
  if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'weir.fault' AND context = 'sighup'}) == 0;

sql("CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap')");
sql(q{CREATE FOREIGN TABLE events (n int, ts timestamptz) SERVER kafka OPTIONS (topic 'events', event_time 'ts')});
sql(q{INSERT INTO events SELECT n, '2024-01-01' FROM generate_series(1, 3) n});

# The broker knows no record of that time or later, and then there is one.
my $holder = $node->background_psql('postgres');
$holder->query_safe("SELECT pg_advisory_lock(hashtext('$point'))");
sql(q{CREATE MATERIALIZED VIEW from_now WITH (weir.continuous, weir.start = '2026-01-01') AS
	SELECT window_start, window_end, count(*) AS events
	FROM events, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end});
poll_ok($node, 'postgres',
	q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'weir reader' AND l.locktype = 'advisory' AND NOT l.granted},
	'the reader has asked once');
sql(q{INSERT INTO events VALUES (4, '2026-02-01')});
$holder->quit;

sql(q{INSERT INTO events VALUES (5, '2026-02-01')});
sql(q{SELECT weir.wait('from_now', '60 s')});
is(sql('SELECT start, next_offset FROM weir.checkpoint'), '3|5', 'the view starts at the end as it was');
is(sql('SELECT sum(events) FROM from_now'), 2, 'and has what came since');

done_testing();
