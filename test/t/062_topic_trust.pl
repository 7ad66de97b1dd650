# A log that is not the one that was read stops the view, which says so and
# aggregates nothing of it.  A topic or broker that is not there is an error
# to be seen, and is forgotten when it comes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

need_kafka();
kafka_start();

my $node      = weir_node('main');
my $bootstrap = kafka_bootstrap();

$node->safe_psql('postgres', qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
		OPTIONS (bootstrap_servers '$bootstrap')});

# A stream over a topic and a view, both with names from the topic's.
sub make_view
{
	my ($topic) = @_;

	$node->safe_psql(
		'postgres', qq{
		CREATE FOREIGN TABLE ${topic}_stream (n int, ts timestamptz)
			SERVER kafka OPTIONS (topic '$topic', event_time 'ts');
		CREATE MATERIALIZED VIEW $topic WITH (weir.continuous) AS
			SELECT window_start, window_end, count(*) AS events
			FROM ${topic}_stream, weir.tumble(ts, '1 minute')
			GROUP BY window_start, window_end;
		});
	return;
}

# So many events, one a second, with numbers from the first on.
sub fill
{
	my ($topic, $first, $count) = @_;

	kcat_produce(
		$topic, 0,
		map {
			sprintf '{"n": %d, "ts": "2024-03-01T%02d:%02d:%02dZ"}', $_,
			  $_ / 3600, $_ / 60 % 60, $_ % 60
		} $first .. $first + $count - 1);
	return;
}

sub events_are
{
	my ($topic, $count, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT (SELECT sum(events) FROM $topic), (SELECT sum(read)
		 FROM weir.stat_partition WHERE view = '$topic'::regclass)",
		$name, "$count|$count");
}

# The view stops with that reason, and keeps what it had.
sub stops
{
	my ($topic, $count, $reason, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_ok($node, 'postgres',
		"SELECT status FROM weir.stat_view WHERE view = '$topic'::regclass",
		"$name: the view is stopped", 'stopped');
	like(
		$node->safe_psql('postgres',
			"SELECT error FROM weir.stat_view WHERE view = '$topic'::regclass"),
		$reason, "$name: weir.stat_view says why");
	like($node->safe_psql('postgres', "SELECT weir.why('$topic')"),
		qr/The view is stopped: .*$reason/, "$name: weir.why says it too");
	events_are($topic, $count, "$name: nothing more is aggregated");
	is( $node->safe_psql('postgres',
			"SELECT next_offset FROM weir.checkpoint WHERE view = '$topic'::regclass"
		),
		$count, "$name: the position stands still");
	my ($status, undef, $stderr) =
	  $node->psql('postgres', "SELECT weir.wait('$topic', '1 minute')");
	isnt($status, 0, "$name: weir.wait raises");
	like($stderr, qr/stopped/, "$name: with the status");
	return;
}

#
# Topics that change under a view
#

my @topics = qw(paused_longer running_longer trimmed paused_empty running_empty kept);

foreach my $topic (@topics)
{
	kafka_topic($topic, 1);
	fill($topic, 0, 100);
	make_view($topic);
}
events_are($_, 100, "$_ has read its topic") foreach @topics;
$node->safe_psql('postgres', "SELECT weir.pause('$_')")
  foreach qw(paused_longer trimmed paused_empty);

# A reader asks whether the log is still the same when a silence of more than a
# second ends, at most every two seconds.
poll_ok($node, 'postgres', q{
	SELECT last_commit < now() - interval '3 s' FROM weir.stat_view
	WHERE view = 'running_longer'::regclass}, 'the topic is silent');
foreach my $topic (qw(paused_longer running_longer))
{
	kafka_delete_topic($topic);
	kafka_topic($topic, 1);
	fill($topic, 1000, 250);
}
foreach my $topic (qw(paused_empty running_empty))
{
	kafka_delete_topic($topic);
	kafka_topic($topic, 1);
}
fill('trimmed', 100, 100);
kafka_delete_records('trimmed', 0, 150);
$node->safe_psql('postgres', "SELECT weir.resume('$_')")
  foreach qw(paused_longer trimmed paused_empty);

stops('paused_longer', 100, qr/holds another record|no longer/,
	'recreated longer while paused');
stops('running_longer', 100, qr/another record|recreated/,
	'recreated longer while running');
stops('trimmed', 100, qr/100.*150|150.*100/, 'records deleted while paused');
stops('paused_empty', 100, qr/100/, 'recreated empty while paused');
stops('running_empty', 100, qr/100/, 'recreated empty while running');

fill('kept', 100, 10);
events_are('kept', 110, 'a view beside them goes on');

my ($status, undef, $stderr) =
  $node->psql('postgres', "SELECT weir.resume('trimmed')");
isnt($status, 0, 'a stopped view is not just resumed');
like($stderr, qr/stopped/, 'and weir.resume says so');

#
# What is not there
#

sub shows_error
{
	my ($topic, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT error ~ '$pattern' FROM weir.stat_view WHERE view = '$topic'::regclass",
		$name);
}

make_view('missing');
shows_error('missing', 'topic "missing" does not exist',
	'an unknown topic is an error of the view');
like($node->safe_psql('postgres', "SELECT weir.why('missing')"),
	qr/topic "missing" does not exist/, 'weir.why says it');
(undef, undef, $stderr) =
  $node->psql('postgres', 'SELECT * FROM missing_stream');
like($stderr, qr/topic "missing" does not exist/, 'SELECT raises it');
kafka_topic('missing', 1);
fill('missing', 0, 50);
events_are('missing', 50, 'the view recovers when the topic comes');

kafka_stop();
make_view('unreachable');
shows_error('unreachable', 'Connect|connect|reach|refused|answer',
	'a broker that cannot be reached at CREATE is an error of the view');
shows_error('kept', 'Connect|connect|reach|refused|answer',
	'a broker that goes away is an error of a running view');
kafka_start();
kafka_topic('unreachable', 1);
fill('unreachable', 0, 50);
fill('kept',        110, 10);
events_are('unreachable', 50, 'the new view recovers when the broker comes');
events_are('kept', 120, 'the running view goes on');
foreach my $topic (qw(kept missing unreachable))
{
	poll_ok($node, 'postgres',
		"SELECT status, error IS NULL FROM weir.stat_view WHERE view = '$topic'::regclass",
		"the error of $topic is forgotten", 'running|t');
}

done_testing();
