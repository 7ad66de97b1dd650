# A message of a few bytes can stand for a value of very many.  The reader cuts
# a batch of them so that it fits memory, and counts each of them once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use PostgreSQL::Test::Utils;

my $records = 2500;				# in each of two partitions, of 262 kB
my $most    = 1000;				# MB

broker_start(1, 'long:2');
my $node      = weir_node('main', conf => "weir.batch_time = 10000\n");
my $bootstrap = broker_bootstrap();
my $file      = PostgreSQL::Test::Utils::tempdir('files') . '/long';

sub sql
{
	return $node->safe_psql('postgres', @_);
}

open(my $out, '>', $file) or die "$file: $!";
print $out qq({"number":1e131071,"text":1e131071,"ts":"2026-01-01T00:00:00Z"}\n)
  for 1 .. $records;
close($out);
system_or_bail('kcat', '-q', '-b', $bootstrap, '-P', '-t', 'long', '-p', $_,
	'-l', $file)
  foreach 0, 1;

sql("CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap')");
sql(q{CREATE FOREIGN TABLE long (number numeric, text text, ts timestamptz)
	SERVER kafka OPTIONS (topic 'long', event_time 'ts')});
sql(q{CREATE MATERIALIZED VIEW per_hour WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events, max(length(text)) AS length, min(number) AS number
	FROM long, weir.tumble(ts, '1 hour') GROUP BY window_start, window_end});
poll_ok($node, 'postgres',
	"SELECT sum(read) = 2 * $records FROM weir.checkpoint", 'all records are read');
is(sql('SELECT events, length, number = 1e131071 FROM per_hour'),
	2 * $records . '|131072|t', 'each is counted once');
is(sql('SELECT sum(aggregated), sum(gaps), sum(next_offset) FROM weir.checkpoint'),
	2 * $records . '|0|' . 2 * $records, 'and none is left out');

my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'weir reader'");
my ($peak) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB$/m;
cmp_ok($peak / 1024, '<', $most, "with less than $most MB of memory");

done_testing();
