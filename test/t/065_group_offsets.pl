# A view's positions as a consumer group, for lag tools: what Kafka's own tool
# says of the group is what the checkpoint says.  It is information only: no
# member, no rebalance, nothing depends on it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

need_kafka();
kafka_start();
kafka_topic('shop', 3);

my $node      = weir_node('main');
my $bootstrap = kafka_bootstrap();

sub sql
{
	return $node->safe_psql('postgres', @_);
}

my $produced = 0;

# So many events, most of them in partition 2.
sub produce
{
	my ($n) = @_;

	kafka_produce('shop', map {
		$produced++;
		[ $produced % 10 ? 2 : $produced / 10 % 2, undef, undef,
			sprintf '{"n": %d, "ts": "2024-03-01T%02d:%02d:00Z"}',
			$produced, $produced / 60 % 24, $produced % 60 ]
	} 1 .. $n);
	return;
}

# "partition=offset, ..." of a group.
sub group
{
	my ($group) = @_;

	return join ', ', sort map { (split /\t/)[1] . '=' . (split /\t/)[2] }
	  grep { /^shop\t/ } split /\n/, kafka_group_offsets($group);
}

# The same with " lag=n" behind each, as Kafka's tool tells it.
sub described
{
	my ($group) = @_;
	my @lines;

	foreach my $line (split /\n/, kafka_groups('--describe', '--group', $group))
	{
		my ($name, $topic, $partition, $offset, $end, $lag) = split ' ', $line;
		push @lines, "$partition=$offset lag=$lag"
		  if defined $lag && $name eq $group && $topic eq 'shop';
	}
	return join ', ', sort @lines;
}

# The same from the checkpoint.
sub checkpoint
{
	my ($view) = @_;

	return sql(qq{
		SELECT string_agg(partition || '=' || next_offset, ', ' ORDER BY partition)
		FROM weir.checkpoint WHERE view = '$view'::regclass});
}

# Tests that the group comes to have the offsets of the checkpoint.
sub group_follows
{
	my ($group, $view, $name) = @_;
	my $expected = checkpoint($view);
	my $end      = time + 120;
	my $found    = '';

	while (($found = group($group)) ne $expected && time < $end) { }
	return is($found, $expected, $name);
}

produce(1000);
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE shop (n int, ts timestamptz)
		SERVER kafka OPTIONS (topic 'shop', event_time 'ts', watermark_delay '1000 hours');
	CREATE SCHEMA other;
	CREATE MATERIALIZED VIEW per_hour WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events FROM shop, weir.tumble(ts, '1 hour')
	GROUP BY window_start, window_end;
	CREATE MATERIALIZED VIEW other.per_hour WITH (weir.continuous) AS
	SELECT window_start, window_end, sum(n) AS total FROM shop, weir.tumble(ts, '1 hour')
	GROUP BY window_start, window_end;
	});
my $wait = q{SELECT weir.wait('per_hour', '3 minutes'), weir.wait('other.per_hour', '3 minutes')};
sql($wait);
is(checkpoint('per_hour'), '0=50, 1=50, 2=900', 'the topic is read');
group_follows('weir.postgres.per_hour', 'per_hour', 'the group has the offsets of the checkpoint');
is(described('weir.postgres.per_hour'), '0=50 lag=0, 1=50 lag=0, 2=900 lag=0',
	'Kafka\'s own tool says so, and no lag');
group_follows('weir.postgres.other.per_hour', 'other.per_hour', 'a view of another schema has its own group');

my $state = kafka_groups('--describe', '--state', '--group', 'weir.postgres.per_hour');
like($state, qr/^weir\.postgres\.per_hour .* Empty +0\s*$/m, 'the group has no member') or diag($state);

produce(200);
sql($wait);
is(checkpoint('per_hour'), '0=60, 1=60, 2=1080', 'more is read');
group_follows('weir.postgres.per_hour', 'per_hour', 'the group follows');

# A view that stands still: its lag is what Kafka counts from the group.
sql(q{SELECT weir.pause('per_hour')});
produce(100);
sql(q{SELECT weir.wait('other.per_hour', '3 minutes')});
is(described('weir.postgres.per_hour'), '0=60 lag=5, 1=60 lag=5, 2=1080 lag=90',
	'the lag of a view that is paused');
group_follows('weir.postgres.other.per_hour', 'other.per_hour', 'the other one goes on');
sql(q{SELECT weir.resume('per_hour')});

# Without a broker nothing breaks; afterwards the group is right again, also
# when it was set to something else.
kafka_kill();
sql('SELECT count(*) FROM per_hour');
kafka_start();
produce(50);
sql($wait);
kafka_groups('--reset-offsets', '--to-earliest', '--topic', 'shop', '--execute', '--group', 'weir.postgres.per_hour');
group_follows('weir.postgres.per_hour', 'per_hour', 'a group that was moved comes back');
is(sql('SELECT sum(events) FROM per_hour'), 1350, 'which moved no view');
is(sql('SELECT sum(read) FROM weir.checkpoint'), 2 * 1350, 'every record was read once');

# The group outlives its view; whoever wants it gone can delete it.
my $last = group('weir.postgres.per_hour');
sql('DROP VIEW per_hour');
produce(10);
sql(q{SELECT weir.wait('other.per_hour', '3 minutes')});
group_follows('weir.postgres.other.per_hour', 'other.per_hour', 'the view that is left goes on');
is(group('weir.postgres.per_hour'), $last,
	'the group of a view that was dropped stays as it was');
like(kafka_groups('--delete', '--group', 'weir.postgres.per_hour'), qr/successful/, 'and can be deleted');
is(group('weir.postgres.per_hour'), '', 'then it is gone');

done_testing();
