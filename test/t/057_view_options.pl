# What the options of a view and of its stream promise of its rows: where it
# begins (weir.start), what becomes of bad records (on_error) and of late ones
# (weir.on_late).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

my $node = weir_node('main', conf => "weir.batch_rows = 300\n");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# A stream; the options are those of the generator, and may replace these.
sub create_stream
{
	my ($name, %options) = @_;
	my %all = (
		kind => 'ecommerce', start => '2024-03-01T00:00:00Z', rate => 2,
		limit => 9000, partitions => 3, skew => '5,3,1', event_time => 'ts',
		disorder => '4 minutes', watermark_delay => '5 minutes', %options);
	my $list = join ', ', map { qq{"$_" '$all{$_}'} } sort keys %all;

	sql(qq{
		CREATE FOREIGN TABLE $name (event_type text, user_id text, total_amount numeric,
			ts timestamptz OPTIONS (field 'timestamp'),
			p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset'),
			kts timestamptz OPTIONS (metadata 'timestamp'),
			error text OPTIONS (metadata 'error'))
		SERVER generator OPTIONS ($list)});
	return;
}

my %windows = (
	tumble => q{weir.tumble(ts, '10 minutes')},
	hop    => q{weir.hop(ts, '10 minutes', '4 minutes')});
my $select = 'SELECT window_start, window_end, event_type, count(*) AS events, sum(total_amount) AS revenue';
my $group = 'GROUP BY window_start, window_end, event_type';

# A view of each kind of window, PREFIX_tumble and PREFIX_hop.
sub create_views
{
	my ($prefix, $stream, $with) = @_;

	sql(join ';', map {
			"CREATE MATERIALIZED VIEW ${prefix}_$_ WITH (weir.continuous$with) AS
			 $select FROM $stream, $windows{$_} $group"
	} sort keys %windows);
	sql("SELECT weir.wait('${prefix}_$_', '1 minute')") foreach sort keys %windows;
	return;
}

sub laws_hold
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		sql(q{SELECT count(*) > 0, count(*) FILTER (WHERE
			read <> aggregated + filtered + late + dead_lettered + skipped + tombstones
			OR next_offset - start <> read + gaps) FROM weir.checkpoint}),
		't|0', "$name: the laws hold");
}

#
# weir.start
#

create_stream('events');
my @ends = split /\n/, sql('SELECT high FROM weir.partitions(\'events\') ORDER BY partition');
create_views('since', 'events', q{, weir.start = '{"0": 1700, "2": 17}'});
foreach my $kind (sort keys %windows)
{
	is( sql(qq{SELECT string_agg(start || '-' || next_offset, ' ' ORDER BY partition) FROM weir.checkpoint
			WHERE view = 'since_$kind'::regclass}),
		join(' ', map { "$_->[0]-$_->[1]" } [ 1700, $ends[0] ], [ 0, $ends[1] ], [ 17, $ends[2] ]), "offsets, $kind: those given, and the beginning for the others");
	same_rows($node, 'postgres', "TABLE since_$kind", qq{
		$select FROM events, $windows{$kind}
		WHERE o >= CASE p WHEN 0 THEN 1700 WHEN 2 THEN 17 ELSE 0 END $group},
		"offsets, $kind: the rows are those of the records from there on", min => 30);
}

# Not at the edge of a window: those that begin before it are not built.
my $from = '2024-03-01 00:33:20+00';
create_views('from', 'events', ", weir.start = '$from'");
foreach my $kind (sort keys %windows)
{
	my $view = "from_$kind";

	same_rows($node, 'postgres', "TABLE $view", qq{
		$select FROM events, $windows{$kind} WHERE window_start >= '$from' $group},
		"a timestamp, $kind: all windows that begin from then on, and whole", min => 15);
	is( sql(qq{SELECT count(*) FROM weir.checkpoint c WHERE c.view = '$view'::regclass AND c.start <>
			(SELECT min(o) FROM events WHERE p = c.partition AND kts >= timestamptz '$from' - interval '5 minutes')}),
		'0', "a timestamp, $kind: it reads from the delay before it on");
	same_rows($node, 'postgres',
		"SELECT partition, filtered, aggregated, late FROM weir.checkpoint WHERE view = '$view'::regclass", qq{
		SELECT p, count(*) FILTER (WHERE NOT counts) AS filtered, count(*) FILTER (WHERE counts) AS aggregated, 0::bigint AS late
		FROM (SELECT p, (SELECT bool_or(window_start >= '$from') FROM $windows{$kind}) AS counts
			FROM events JOIN weir.checkpoint c ON c.view = '$view'::regclass AND c.partition = p AND o >= c.start) e
		GROUP BY p}, "a timestamp, $kind: records of earlier windows only are filtered", min => 3);
}
is(sql('SELECT sum(late_closed), sum(dead_lettered) FROM weir.checkpoint'), '0|0',
	'no window was closed for a record alone');

# Before it has read anything, all that begins before T is closed.
create_stream('later', start => '-1 minute', limit => 100, partitions => 1, skew => '1');
my $now = sql(q{SELECT date_trunc('hour', now()) + interval '7 hours 13 minutes'});
create_views('later', 'later', ", weir.start = '$now'");
is(sql(qq{SELECT weir.closed_to('later_tumble') = (SELECT max(window_end) FROM weir.tumble(timestamptz '$now' - interval '1 us', '10 minutes')),
		weir.closed_to('later_hop') = (SELECT max(window_end) FROM weir.hop(timestamptz '$now' - interval '1 us', '10 minutes', '4 minutes'))}),
	't|t', 'closed_to begins at the end of the last window that begins before');
laws_hold('weir.start');

#
# on_error
#

create_stream('skipping', poison_fraction => '0.02', on_error => 'skip');
create_views('skipping', 'skipping', '');
foreach my $kind (sort keys %windows)
{
	same_rows($node, 'postgres', "TABLE skipping_$kind",
		"$select FROM skipping, $windows{$kind} WHERE error IS NULL $group",
		"skip, $kind: the other records are counted", min => 30);
	same_rows($node, 'postgres', qq{SELECT partition, skipped, dead_lettered, read FROM weir.checkpoint
		WHERE view = 'skipping_$kind'::regclass},
		'SELECT p, count(error) AS skipped, 0::bigint AS dead, count(*) AS read FROM skipping GROUP BY p',
		"skip, $kind: bad ones are counted", min => 3);
}
cmp_ok(sql(q{SELECT min(skipped) FROM weir.checkpoint WHERE view = 'skipping_hop'::regclass}),
	'>', 0, 'skip: there are some in each partition');
is(sql('SELECT count(*) FROM weir.dead_letter'), '0', 'skip: and none is kept');
like(sql(q{SELECT string_agg(w, ' ') FROM weir.why('skipping_hop') w}),
	qr/were bad and were skipped \(the stream's on_error = skip\)/, 'weir.why says it');

# It can be changed while the stream flows.
create_stream('flowing', start => '-2 seconds', rate => 1000, limit => 1000 * 3600,
	poison_fraction => '0.05', disorder => '0', watermark_delay => '0');
sql("CREATE MATERIALIZED VIEW flowing_tumble WITH (weir.continuous) AS
	$select FROM flowing, weir.tumble(ts, '1 second') $group");
my $counts = q{FROM weir.checkpoint WHERE view = 'flowing_tumble'::regclass};
poll_ok($node, 'postgres', "SELECT sum(dead_lettered) > 20 AND sum(skipped) = 0 $counts", 'bad records are kept');
sql(q{ALTER FOREIGN TABLE flowing OPTIONS (ADD on_error 'skip')});
poll_ok($node, 'postgres', "SELECT sum(skipped) > 20 $counts", 'then they are skipped, by the same reader');
my $kept = sql("SELECT sum(dead_lettered) $counts");
poll_ok($node, 'postgres', "SELECT sum(skipped) > @{[ 20 + sql(qq{SELECT sum(skipped) $counts}) ]} $counts", 'and more of them');
is(sql("SELECT sum(dead_lettered) $counts"), $kept, 'and no more are kept');
is(sql(q{SELECT count(*) FROM weir.dead_letter WHERE view = 'flowing_tumble'::regclass}), $kept,
	'those that were kept are there');
sql(q{ALTER FOREIGN TABLE flowing OPTIONS (SET on_error 'stop')});
poll_ok($node, 'postgres', q{SELECT status FROM weir.stat_view WHERE view = 'flowing_tumble'::regclass},
	'at last the view stops', 'stopped');
sql('DROP FOREIGN TABLE flowing CASCADE');

# A view that stops stands before the record, and goes on once it may.
create_stream('stopping', seed => 6, poison_fraction => '0.0008', on_error => 'stop', partitions => 1, skew => '1');
sql("CREATE MATERIALIZED VIEW stops WITH (weir.continuous) AS
	$select FROM stopping, $windows{hop} $group");
poll_ok($node, 'postgres', q{SELECT status FROM weir.stat_view WHERE view = 'stops'::regclass},
	'stop: the view stops', 'stopped');
my $bad = sql('SELECT min(o) FROM stopping WHERE error IS NOT NULL');
my $next = sql(q{SELECT next_offset FROM weir.checkpoint WHERE view = 'stops'::regclass});
cmp_ok($next, '>', 0, 'stop: it has read what was good');
cmp_ok($next, '<=', $bad, 'stop: and has not passed the first bad record');
like(sql(q{SELECT error FROM weir.stat_view WHERE view = 'stops'::regclass}),
	qr/bad record at partition 0 offset $bad /, 'stop: which is named');
like(sql(q{SELECT string_agg(w, ' ') FROM weir.why('stops') w}),
	qr/The view is stopped: bad record at partition 0 offset $bad .*on_error.*SELECT weir\.resume\('public\.stops'\);/s,
	'stop: weir.why says it, and what to type');
is(sql(q{SELECT dead_lettered + skipped, read = aggregated + filtered + late FROM weir.checkpoint WHERE view = 'stops'::regclass}),
	'0|t', 'stop: no record was bad so far');
same_rows($node, 'postgres', 'TABLE stops', "$select FROM stopping, $windows{hop} WHERE o < $next $group",
	'stop: the rows are those of what it has read', min => 1);
sql(q{SELECT weir.resume('stops')});
poll_ok($node, 'postgres', q{SELECT status FROM weir.stat_view WHERE view = 'stops'::regclass},
	'stop: resumed, it stops again', 'stopped');
is(sql(q{SELECT next_offset FROM weir.checkpoint WHERE view = 'stops'::regclass}), $next, 'stop: at the same place');
sql(q{ALTER FOREIGN TABLE stopping OPTIONS (SET on_error 'dead_letter'); SELECT weir.resume('stops'); SELECT weir.wait('stops', '1 minute')});
same_rows($node, 'postgres', 'TABLE stops', "$select FROM stopping, $windows{hop} WHERE error IS NULL $group",
	'stop: allowed to keep bad records it goes on, and its rows are those of its query', min => 30);
same_rows($node, 'postgres', q{SELECT "offset" FROM weir.dead_letter WHERE view = 'stops'::regclass},
	'SELECT o FROM stopping WHERE error IS NOT NULL', 'stop: each bad record is kept once', min => 5);
laws_hold('on_error');

#
# weir.on_late
#

create_stream('late', disorder => '12 minutes');
create_views('storing', 'late', '');
create_views('counting', 'late', ', weir.on_late = count');
foreach my $kind (sort keys %windows)
{
	my $law = q{SELECT partition, read, aggregated, late, partly_late FROM weir.checkpoint WHERE view = '%s'::regclass};

	same_rows($node, 'postgres', "TABLE counting_$kind", "TABLE storing_$kind",
		"count, $kind: rows are as with store", min => 30);
	same_rows($node, 'postgres', sprintf($law, "counting_$kind"), sprintf($law, "storing_$kind"),
		"count, $kind: and counters", min => 3);
	is( sql(qq{SELECT count(*) FILTER (WHERE view = 'counting_$kind'::regclass),
			count(*) FILTER (WHERE view = 'storing_$kind'::regclass) =
			(SELECT sum(late + partly_late) FROM weir.checkpoint WHERE view = 'storing_$kind'::regclass),
			count(*) > 50 FROM weir.late_event}),
		'0|t|t', "count, $kind: but no late record is stored");
}
sql(q{ALTER MATERIALIZED VIEW storing_hop SET (weir.on_late = count)});
is(sql(q{SELECT on_late FROM weir.view WHERE view = 'storing_hop'::regclass}), 'count', 'it can be changed');
laws_hold('weir.on_late');

done_testing();
