# Who waits for a view looks at it whenever a reader has committed something,
# for as long as it takes, and needs no more memory for that.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use PostgreSQL::Test::Utils;

my $node = weir_node('main', conf => "weir.batch_time = 10\n");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# The memory that a session has in use.
sub memory_of
{
	my ($pid) = @_;
	my $from = -s $node->logfile;

	sql("SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log(qr/\[$pid\].*Grand total: .* used/, $from);
	my @used = slurp_file($node->logfile, $from) =~ /\[$pid\].*Grand total: .* (\d+) used/g;
	return $used[-1];
}

# One view that is not read, since it is being paused, and one that is.
sql(q{CREATE FOREIGN TABLE events (ts timestamptz OPTIONS (field 'timestamp'))
	SERVER generator OPTIONS (start 'now', rate '1000', event_time 'ts')});
foreach my $view ('waited_for', 'other')
{
	sql(qq{CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS events
		FROM events, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end});
	sql("SELECT weir.wait('$view', '60 s')");
}
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT weir.pause('waited_for')});
my $waiter = $node->background_psql('postgres');
my $pid    = $waiter->query_safe('SELECT pg_backend_pid()');
$waiter->query_until(qr/waiting/,
	"\\echo waiting\nSELECT weir.wait('waited_for');\n");

sub commits
{
	return sql(q{SELECT sum(next_offset) FROM weir.checkpoint WHERE view = 'other'::regclass});
}

my $first = commits();
poll_ok($node, 'postgres',
	"SELECT sum(next_offset) > $first + 2000 FROM weir.checkpoint WHERE view = 'other'::regclass",
	'the other view goes on');
my $before = memory_of($pid);
$first = commits();
poll_ok($node, 'postgres',
	"SELECT sum(next_offset) > $first + 10000 FROM weir.checkpoint WHERE view = 'other'::regclass",
	'and on');
cmp_ok(memory_of($pid) - $before, '<', 100_000, 'the one who waits needs no more memory');
$holder->query_safe('ROLLBACK');
$holder->quit;
$waiter->quit;

done_testing();
