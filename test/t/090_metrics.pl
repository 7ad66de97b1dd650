# What Prometheus shows is what SQL says: PostgreSQL, the exporter and
# Prometheus as Debian has them, with the files of prometheus/, and a role that
# is a member of pg_monitor and nothing else.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use Monitoring;
use PipelineTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WeirTest;

need_kafka();

#
# Files alone
#

my $rules_file = "$prometheus_dir/rules/pg_weir.rules.yml";
my $rules      = slurp_file($rules_file);
promtool_ok('promtool takes the configuration',
	'check', 'config', "$prometheus_dir/prometheus.yml");
promtool_ok('promtool takes the rules', 'check', 'rules', '--lint=all', $rules_file);
promtool_ok('the rules pass their own tests',
	'test', 'rules', glob "$prometheus_dir/tests/*.yml");

is( scalar(`$FindBin::RealBin/../prometheus/collector`),
	slurp_file("$prometheus_dir/pg_weir.collector.yml"),
	'the collector of sql_exporter is made from queries.yaml');

# Name and type of each metric, by queries.yaml.
my %metric;
my $families = yaml_file('queries.yaml');
foreach my $family (keys %$families)
{
	foreach my $entry (@{ $families->{$family}{metrics} })
	{
		my ($column) = keys %$entry;
		my $type = lc $entry->{$column}{usage};
		$metric{"${family}_$column"} = $type if $type ne 'label';
	}
}
is_deeply([ grep { !/^weir_/ } keys %metric ], [], 'every metric begins with weir_');

# What rules, dashboards and docs name is there, and docs name all of it.
my %recorded = $rules =~ /record: (\S+)\n\s+expr:()/g;
my %alert    = $rules =~ /alert: (\S+)\n\s+expr:()/g;
my $docs     = slurp_file("$prometheus_dir/../docs/monitoring.md");

sub names_known
{
	my ($text, $where) = @_;
	my %named = map { ($_ => 1) } $text =~ /(?<![\w:.])(weir_\w+|\w+:weir_\w+:\w+)/g;
	my @unknown = grep {
		my $base = s/_(?:bucket|sum|count)$//r;
		!($metric{$_} || exists $recorded{$_} || ($metric{$base} // '') eq 'histogram')
	} sort keys %named;

	is_deeply(\@unknown, [], "$where: every metric named is there");
	return;
}

names_known($rules, 'rules');
names_known(join("\n", map { $_->{expr} // () } map { @{ $_->{targets} // [] } }
		  map { ($_, @{ $_->{panels} // [] }) } @{ decode_json(slurp_file($_))->{panels} }), $_)
  foreach glob "$prometheus_dir/../grafana/dashboards/*.json";
is_deeply(
	{ $docs =~ /^\| `(weir_\w+)` \| (\w+) \|/mg },
	\%metric, 'docs/monitoring.md has every metric and its type');
is_deeply(
	[ sort $docs =~ /^\| `(events_produced_total|\w+:weir_\w+:\w+)` \|/mg ],
	[ sort keys %recorded ], 'and every recorded series');
is_deeply([ sort $docs =~ /^### (Weir\w+)$/mg ],
	[ sort keys %alert ], 'and what to do about every alert');
is_deeply(
	[ sort map { lc } keys %alert ],
	[ sort $rules =~ m{runbook_url: docs/monitoring\.md#(\w+)$}mg ],
	'to which every alert points');

#
# A database without a view
#

kafka_start();
kafka_topic('shop', 4);
my $node = weir_node('main');
$node->safe_psql('postgres',
	'CREATE ROLE metrics LOGIN; GRANT pg_monitor TO metrics; CREATE ROLE stranger LOGIN');

# The samples of pg_weir that the exporter gives: "name{labels}" => value.
sub exported
{
	return map { s/server="[^"]*",?//r =~ /^(weir_.*?),?(\}) (\S+)$/ ? ("$1$2" => $3) : () }
	  split /\n/, exporter_text();
}

sub error_free
{
	my ($when) = @_;
	my $text = exporter_text();

	like($text, qr/^pg_exporter_last_scrape_error 0$/m, "$when: no query fails");
	like($text, qr/^pg_exporter_user_queries_load_error\{.*\} 0$/m,
		"$when: queries.yaml is loaded");
	unlike($text, qr/^weir_.* NaN$/m, "$when: nothing is NaN");
	return;
}

exporter_start($node, 'metrics');
error_free('without a view');
my %empty = exported();
is($empty{'weir_role_is_monitor{datname="postgres"}'}, 1, 'the role sees all');
is_deeply([ grep { /view=|producer="[^"]/ } keys %empty ], [], 'there is nothing else to see');

#
# The pipeline at rest: a view that has read all, one paused before the end
#

pipeline_create($node, 'shop');
generator($node, $_->[0], limit => $_->[1], start => $_->[2], rate => 10,
	late_fraction => '0.02', late_by => '30 minutes', poison_fraction => '0.01')
  foreach [ 'morning', 6000, '2024-03-01T06:00:00Z' ], [ 'noon', 4000, '2024-03-01T12:00:00Z' ];

sub produce
{
	my ($name) = @_;

	$node->safe_psql('postgres', "SELECT weir.start_producer('$name', '$name', 'events')");
	poll_ok($node, 'postgres',
		"SELECT state FROM weir.stat_producer WHERE name = '$name'",
		"$name is sent", 'stopped');
	return;
}

produce('morning');
pipeline_wait($node);
$node->safe_psql('postgres', q{SELECT weir.pause('revenue')});
produce('noon');
$node->safe_psql('postgres', qq{SELECT weir.wait('$_', '2 minutes')})
  foreach grep { $_ ne 'revenue' } @pipeline_views;
# The end that the last batch learned is the topic's.
poll_ok($node, 'postgres',
	'SELECT min(end_offset_sum) = 10000 AND max(end_offset_sum) = 10000
	 FROM (SELECT sum(end_offset) AS end_offset_sum FROM weir.stat_partition GROUP BY view) s',
	'the ends of the partitions are known');

prometheus_start();
prometheus_poll('count(up == 1)', 1, 'the exporter is scraped');
prometheus_poll('sum(events_produced_total)', 10000, 'what was produced is recorded');
error_free('at rest');
promtool_ok('promtool takes the metrics', 'check', 'metrics',
	\join("\n", (grep { /^(?:# \w+ )?weir_/ } split /\n/, exporter_text()), ''));

# Of SQL: rows of label values and a value, as a hash.
sub sql_samples
{
	my ($query) = @_;

	return { map { /^(.*)\|([^|]*)$/ } split /\n/, $node->safe_psql('postgres', $query) };
}

# The samples of a query, at least so many: after a scrape that took too long
# there are none until the next one.
sub samples
{
	my ($min, @query) = @_;
	my @samples;

	wait_for(
		sub { @samples = prometheus_samples(@query); @samples >= 2 * $min },
		"there are samples of $query[0]");
	return @samples;
}

# Rounded, since numbers differ in how they are written.
sub equal
{
	my ($promql, $labels, $sql, $name, %opts) = @_;
	my %samples = samples($opts{min} // 1, $promql, @$labels);
	my $expected = sql_samples($sql);
	my $round = sub {
		my ($samples) = @_;
		return { map { ($_ => sprintf '%.3f', $samples->{$_}) } keys %$samples };
	};

	is_deeply($round->(\%samples), $round->($expected), "$name: Prometheus says what SQL says");
	return;
}

equal('events_produced_total', ['datname'],
	q{SELECT current_database(), sum(produced) FROM weir.stat_producer}, 'events_produced_total');
equal('weir_producer_produced_total', [ 'producer', 'stream' ],
	'SELECT name, target, produced FROM weir.stat_producer', 'produced', min => 2);
equal('weir_view_lag_messages', ['view'], 'SELECT view, lag FROM weir.stat_view', 'lag', min => 4);
equal('sum by (view) (weir_partition_lag_messages)', ['view'],
	'SELECT view, sum(end_offset - next_offset) FROM weir.stat_partition GROUP BY 1',
	'lag of partitions', min => 4);
equal('weir_view_watermark_timestamp_seconds', ['view'],
	'SELECT view, extract(epoch FROM weir.watermark(view)) FROM weir.view', 'watermark', min => 4);
equal("weir_view_${_}_total", ['view'],
	"SELECT view, sum($_) FROM weir.checkpoint GROUP BY view", $_, min => 4)
  foreach qw(read aggregated filtered late partly_late dead_lettered);
equal('weir_view_status == 1', [ 'view', 'status' ],
	q{SELECT view, status, 1 FROM weir.stat_view}, 'status', min => 4);
cmp_ok((samples(1, 'weir_view_lag_messages{view="revenue"}'))[1],
	'>', 3000, 'the paused view lags');
cmp_ok((samples(1, 'min(weir_view_late_total > 0 and weir_view_dead_lettered_total > 0)'))[1],
	'>', 10, 'there are late and bad records');

# An age is as of the scrape, which the sample's time tells to the millisecond;
# the exporter took its time, though.
my %age = samples(
	4, 'weir_view_watermark_age_seconds - (timestamp(weir_view_watermark_age_seconds) - weir_view_watermark_timestamp_seconds)',
	'view');
is(scalar(grep { abs($_) < 5 } values %age), 4, 'the age of the watermark is that at the scrape')
  or diag(explain \%age);

is_deeply([ samples(1, 'count by (server) ({__name__=~"weir_.+"})', 'server') ]->[0],
	'', 'the label server is dropped');

#
# sql_exporter's collector: its queries, run as the role, give the same samples
#

# What one exporter does with a collector: a sample for each metric and row.
sub collected
{
	my $collector = yaml_file('pg_weir.collector.yml');
	my (%rows, %samples);

	foreach my $query (@{ $collector->{queries} })
	{
		my $json = $node->safe_psql('postgres',
			"SELECT coalesce(json_agg(q), '[]') FROM ($query->{query}) q",
			extra_params => [ '-U', 'metrics' ]);
		$rows{ $query->{query_name} } = decode_json($json);
	}
	foreach my $metric (@{ $collector->{metrics} })
	{
		foreach my $row (@{ $rows{ $metric->{query_ref} } })
		{
			my $labels = join ',', map { qq($_="$row->{$_}") }
			  sort { ($a eq 'le') <=> ($b eq 'le') || $a cmp $b } @{ $metric->{key_labels} };
			$samples{"$metric->{metric_name}\{$labels\}"} = $row->{ $metric->{values}[0] };
		}
	}
	return %samples;
}

my %exported  = exported();
my %collected = collected();
my $moves = qr/_age_|time_lag|weir_worker|event_seconds_sum|commit/;

cmp_ok(scalar keys %exported, '>', 300, 'both exporters: there are samples');
is_deeply([ sort keys %collected ], [ sort keys %exported ],
	'both exporters give the same metrics with the same labels');
is_deeply(
	{ map { ($_ => $collected{$_} + 0) } grep { !/$moves/ } keys %collected },
	{ map { ($_ => $exported{$_} + 0) } grep { !/$moves/ } keys %exported },
	'and the same values, but for those that move');
is_deeply([ grep { !defined || $_ eq 'NaN' } values %collected ], [], 'none of them NULL');

#
# A standby: the primary's positions and counters, no workers, and no alarm
#

generator($node, 'endless', start => '2024-03-01T18:00:00Z', rate => 100);
$node->safe_psql('postgres', q{SELECT weir.start_producer('endless', 'endless', 'events', 10)});
poll_ok($node, 'postgres', q{SELECT state FROM weir.stat_producer WHERE name = 'endless'},
	'a producer runs', 'running');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
exporter_stop();
exporter_start($standby, 'metrics');
error_free('on a standby');
my %standby = exported();
is_deeply([ grep { /^weir_(?:worker|latency|\w+_lag)/ } keys %standby ],
	[], 'on a standby: nothing of workers, nor of what they know');
is(scalar(grep { /^weir_view_served/ && $standby{$_} == 1 } keys %standby),
	4, 'on a standby: no view is said to be without a reader');
is($standby{'weir_producer_running{datname="postgres",producer="endless",stream="events"}'},
	1, 'nor a producer to be stopped');
cmp_ok($standby{'weir_view_read_total{datname="postgres",stream="events",view="revenue"}'},
	'>=', 6000, 'on a standby: counters are the primary\'s');
exporter_stop();
$standby->stop('fast');
$node->safe_psql('postgres', q{SELECT weir.stop_producer('endless')});
exporter_start($node, 'metrics');

#
# A view that is dropped, a broker that is dead
#

$node->safe_psql('postgres', 'DROP VIEW events_per_place');
kafka_kill();
prometheus_poll('max(weir_worker_error{kind="reader"})', 1, 'the reader says that the broker is dead');
error_free('with a dead broker');
is_deeply([ grep { /events_per_place/ } keys %{ { exported() } } ],
	[], 'no sample is left of the dropped view');
is_deeply([ grep { /^weir_\w+_lag_/ && !/view="revenue"/ } keys %{ { exported() } } ],
	[], 'a lag is not known then');

#
# Roles and databases that will not do, as docs/monitoring.md has them
#

sub refused
{
	my ($role, $database, $message) = @_;

	exporter_stop();
	exporter_start($node, $role, $database);
	like(exporter_text(), qr/^pg_exporter_last_scrape_error 1$/m,
		"$role in $database: the scrape tells of an error");
	like(exporter_log(), qr/$message/, "$role in $database: the log has the reason");
	like($docs, qr/$message/, 'which docs/monitoring.md explains');
	return;
}

exporter_stop();
exporter_start($node, 'stranger');
error_free('a role without pg_monitor');
my %seen = exported();
is($seen{'weir_role_is_monitor{datname="postgres"}'}, 0, 'a role without pg_monitor is told of');
is_deeply([ grep { /^weir_producer/ } keys %seen ], [], 'and sees no producer');

$node->safe_psql('postgres', 'CREATE DATABASE other');
refused('metrics', 'other', 'relation \W+weir\.stat_view\W+ does not exist');
$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA weir FROM PUBLIC');
refused('stranger', 'postgres', 'permission denied for schema weir');

done_testing();
