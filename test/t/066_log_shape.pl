# What a topic may have beside records, and what may become of it while views
# read: control records of transactions, aborted records, new partitions.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

need_kafka();
kafka_start();
kafka_topic('orders', 2);

my $node      = weir_node('main', conf => "weir.batch_time = 50\n");
my $bootstrap = kafka_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# So many records of a partition, one a second from a minute on.
my $n = 0;

sub records
{
	my ($partition, $minute, $count) = @_;

	return map {
		[ $partition, undef, undef, sprintf '{"n": %d, "ts": "2024-03-01T10:%02d:%02dZ"}',
			$n++, $minute + $_ / 60, $_ % 60 ]
	} 0 .. $count - 1;
}

sub create_view
{
	my ($view) = @_;

	sql(qq{
		CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, count(*) AS orders, sum(n) AS n
		FROM orders, weir.tumble(ts, '10 seconds') GROUP BY window_start, window_end});
	return;
}

# Both laws, and nothing is left to read.
sub all_is_accounted_for
{
	my ($name) = @_;
	my $partitions = my @ends = kafka_end_offsets('orders');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $view (split /\n/, sql('SELECT view FROM weir.view ORDER BY 1'))
	{
		sql("SELECT weir.wait('$view', '1 minute')");
		is( sql(qq{SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM weir.checkpoint
				WHERE view = '$view'::regclass}),
			join(' ', @ends), "$name, $view: it is at the end of the log");
		is( sql(qq{SELECT string_agg(read::text, ' ' ORDER BY partition) FROM weir.checkpoint
				WHERE view = '$view'::regclass}),
			join(' ', map { kcat_count('orders', $_) } 0 .. $#ends),
			"$name, $view: it has read what kcat reads");
	}
	is( sql(q{SELECT count(*) FROM weir.stat_partition
			WHERE read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
			   OR next_offset - start <> read + gaps OR lag <> 0}),
		'0', "$name: both laws hold, and there is no lag");
	return;
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE orders (n int, ts timestamptz,
		p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset'))
	SERVER kafka OPTIONS (topic 'orders', event_time 'ts', max_future 'infinity', idle_timeout 'infinity')});

#
# Transactions
#

# Small batches, so that some begin and end among offsets that hold no record.
$node->append_conf('postgresql.conf', 'weir.batch_rows = 3');
$node->reload;
create_view('small');
foreach my $minute (0 .. 4)
{
	kafka_produce('orders', map { records($_, $minute, 7) } 0, 1);
	kafka_transaction('committed', 'orders', map { records($_, $minute, 5) } 0, 1);
	kafka_transaction('aborted', 'orders', records(0, $minute, 4));
}
all_is_accounted_for('transactions');
is(sql(q{SELECT string_agg(gaps::text, ' ' ORDER BY partition) FROM weir.checkpoint}),
	join(' ', 5 * (1 + 4 + 1), 5 * 1), 'control records and aborted ones are gaps');
is(sql('SELECT sum(orders) FROM small'), 5 * 2 * 12, 'aborted records are not counted');

$node->append_conf('postgresql.conf', 'weir.batch_rows = 100000');
$node->reload;
create_view('large');
all_is_accounted_for('transactions');
my $counters = q{SELECT partition, start, next_offset, read, aggregated, late, gaps FROM weir.checkpoint WHERE view = '%s'::regclass};
same_rows($node, 'postgres', sprintf($counters, 'large'), sprintf($counters, 'small'),
	'in one batch as in many', min => 2);
same_rows($node, 'postgres', 'TABLE large', 'TABLE small', 'with the same rows', min => 5);
same_rows($node, 'postgres', 'TABLE large', 'TABLE weir_data.large_query', 'those of the query', min => 5);

# A reader that begins where a gap is.
kafka_transaction('aborted', 'orders', map { records($_, 4, 3) } 0, 1);
all_is_accounted_for('a log that ends with a gap');
$node->restart;
kafka_produce('orders', map { records($_, 5, 3) } 0, 1);
all_is_accounted_for('after a restart');
is(sql(q{SELECT count(*) FROM weir.view WHERE status <> 'running'}), '0', 'and the log is still trusted');
same_rows($node, 'postgres', 'TABLE small', 'TABLE weir_data.small_query', 'the rows are those of the query', min => 6);

#
# New partitions
#

my $closed = sql(q{SELECT weir.closed_to('small')});
is($closed, '2024-03-01 10:05:00+00', 'closed by both partitions');
kafka_add_partitions('orders', 4);

# They hold the watermark from the moment on at which they are known, and
# nothing of them is left out that came before it.
kafka_produce('orders', records(2, 5, 20), [ 3, undef, undef, '{"n": 7, "ts": "2024-03-01T10:04:59Z"}' ], records(3, 5, 20));
poll_ok($node, 'postgres', q{SELECT count(*) = 2 AND bool_and(s.n = 4) FROM
	(SELECT count(*) AS n FROM weir.checkpoint WHERE read > 0 GROUP BY view) s}, 'the new partitions are read');
all_is_accounted_for('new partitions');
is(sql(q{SELECT string_agg(DISTINCT start::text, ' ') FROM weir.checkpoint}), '0', 'from their beginning');
is( sql(q{SELECT view, string_agg(partition || ' ' || "offset", ', ' ORDER BY partition) FROM weir.exception
		WHERE kind = 'new partition' GROUP BY view ORDER BY view::text}),
	"large|2 0, 3 0\nsmall|2 0, 3 0", 'and weir.exception has them');
is(sql('SELECT count(*) FROM weir.exception WHERE kind <> \'new partition\''), '0', 'and nothing else');
is(sql(q{SELECT DISTINCT late, late_closed FROM weir.checkpoint WHERE partition = 3}), '1|1',
	'a record that found its window closed is late, and late_closed tells so');
same_rows($node, 'postgres', 'TABLE small', q{
	SELECT window_start, window_end, count(*), sum(n) FROM orders, weir.tumble(ts, '10 seconds')
	WHERE NOT (p = 3 AND n = 7) GROUP BY 1, 2}, 'all others are counted', min => 7);

# Partitions 0 and 1 go on; the new ones stand still, and so does what closes.
kafka_produce('orders', map { records($_, 10, 3) } 0, 1);
all_is_accounted_for('new partitions hold');
is(sql(q{SELECT DISTINCT weir.closed_to(view) FROM weir.view}), '2024-03-01 10:05:10+00', 'a new partition holds the watermark');
kafka_produce('orders', map { records($_, 12, 3) } 2, 3);
all_is_accounted_for('new partitions go on');
is(sql(q{SELECT DISTINCT weir.closed_to(view) FROM weir.view}), '2024-03-01 10:10:00+00', 'until it goes on');
same_rows($node, 'postgres', 'TABLE large', 'TABLE small', 'both views have the same rows', min => 7);
same_rows($node, 'postgres', sprintf($counters, 'large'), sprintf($counters, 'small'), 'and counters', min => 4);

$node->stop;
done_testing();
