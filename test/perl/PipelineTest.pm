=pod

=head1 NAME

PipelineTest - the e-commerce pipeline over a real Kafka, and its oracles

=head1 SYNOPSIS

  use WeirTest;
  use PipelineTest;

  pipeline_create($node, 'shop');          # stream events, four views
  generator($node, 'gen', rate => 10, limit => 1000, ...);
  ...                                      # fill topic shop
  pipeline_wait($node);
  pipeline_laws($node, 'shop');
  pipeline_oracles($node, 'shop');

=head1 DESCRIPTION

Four continuous views of one stream with a watermark delay of 5 minutes, and
two oracles for their rows.  The first is the text of each view's own query,
over what SELECT gives of the stream.  The second has no code of pg_weir in
it: what kcat read, as bytes, taken apart by jsonb and put into windows by
date_bin and generate_series.  Both count a record only in windows that it was
not late for: those that end after the greatest event time before it in its
own partition, less the delay.

=cut

package PipelineTest;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use WeirTest;

our @EXPORT = qw(
  @pipeline_views generator pipeline_create pipeline_wait pipeline_laws
  pipeline_oracles
);

our @pipeline_views =
  qw(events_per_minute revenue events_per_user events_per_place);

my $delay = q{interval '5 minutes'};

# Of each view: its query, and what a program without pg_weir says instead:
# which records pass, when their windows begin and end, how many begin in
# sequence, and what is computed of the record's document.
my %view = (
	events_per_minute => {
		query => q{
			SELECT window_start, window_end, event_type, count(*) AS events
			FROM events, weir.tumble(ts, '1 minute')
			GROUP BY window_start, window_end, event_type},
		size   => '1 minute',
		slide  => '1 minute',
		passes => 'true',
		columns => q{doc->>'event_type' AS event_type, count(*) AS events},
		keys    => q{doc->>'event_type'}
	},
	revenue => {
		query => q{
			SELECT window_start, window_end, sum(total_amount) AS revenue,
			       count(*) AS purchases, avg(total_amount) AS average
			FROM events, weir.tumble(ts, '10 minutes')
			WHERE event_type = 'purchase'
			GROUP BY window_start, window_end},
		size    => '10 minutes',
		slide   => '10 minutes',
		passes  => q{doc->>'event_type' = 'purchase'},
		columns => q{sum((doc->>'total_amount')::numeric) AS revenue,
			count(*) AS purchases, avg((doc->>'total_amount')::numeric) AS average}
	},
	events_per_user => {
		query => q{
			SELECT window_start, window_end, user_id, count(*) AS events
			FROM events, weir.hop(ts, '5 minutes', '1 minute')
			GROUP BY window_start, window_end, user_id},
		size    => '5 minutes',
		slide   => '1 minute',
		passes  => 'true',
		columns => q{doc->>'user_id' AS user_id, count(*) AS events},
		keys    => q{doc->>'user_id'}
	},
	events_per_place => {
		query => q{
			SELECT window_start, window_end, device, location,
			       count(*) AS events, sum(total_amount) AS revenue
			FROM events, weir.tumble(ts, '5 minutes')
			GROUP BY window_start, window_end, device, location},
		size    => '5 minutes',
		slide   => '5 minutes',
		passes  => 'true',
		columns => q{doc->>'device' AS device, doc->>'location' AS location,
			count(*) AS events, sum((doc->>'total_amount')::numeric) AS revenue},
		keys => q{doc->>'device', doc->>'location'}
	});

=over

=item generator(node, name, option => value ...)

A generator stream; the options are its own.  Its start is fixed unless given,
so that every run has the same messages.

=cut

sub generator
{
	my ($node, $name, %options) = @_;

	%options = (
		kind  => 'ecommerce',
		start => '2024-03-01T00:00:00Z',
		%options);
	my $list = join ', ', map { qq{"$_" '$options{$_}'} } sort keys %options;
	$node->safe_psql(
		'postgres', qq{
		CREATE FOREIGN TABLE $name (event_type text,
			ts timestamptz OPTIONS (field 'timestamp'))
			SERVER generator OPTIONS ($list)});
	return;
}

=item pipeline_create(node, topic)

The server, the stream over the topic and the views.  A partition is idle only
after years: which rows there are then depends on the topic alone.

=cut

sub pipeline_create
{
	my ($node, $topic) = @_;
	my $bootstrap = kafka_bootstrap();

	$node->safe_psql(
		'postgres', qq{
		CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka
			OPTIONS (bootstrap_servers '$bootstrap');
		CREATE FOREIGN TABLE events (
			event_type text, user_id text, device text, location text,
			total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'),
			partition int OPTIONS (metadata 'partition'),
			"offset" bigint OPTIONS (metadata 'offset'),
			recorded timestamptz OPTIONS (metadata 'timestamp'))
			SERVER kafka OPTIONS (topic '$topic', event_time 'ts',
				watermark_delay '5 minutes', idle_timeout '100000 hours')});
	$node->safe_psql(
		'postgres', join ';', map {
			"CREATE MATERIALIZED VIEW $_ WITH (weir.continuous) AS $view{$_}{query}"
		} @pipeline_views);
	return;
}

=item pipeline_wait(node)

Tests that every view comes to the end of the topic.

=cut

sub pipeline_wait
{
	my ($node) = @_;

	foreach my $name (@pipeline_views)
	{
		my ($status, undef, $stderr) = $node->psql('postgres',
			"SELECT weir.wait('$name', '3 minutes')");
		is($status, 0, "$name has read the topic") or diag($stderr);
	}
	return;
}

=item pipeline_laws(node, topic)

Tests both laws for every view and partition, and that what was read is what
kcat can read.

=cut

sub pipeline_laws
{
	my ($node, $topic) = @_;
	my $partitions = kafka_end_offsets($topic);
	my $counts = join ', ',
	  map { sprintf '(%d, %d)', $_, kcat_count($topic, $_) }
	  0 .. $partitions - 1;

	is( $node->safe_psql(
			'postgres', q{
			SELECT view, partition FROM weir.stat_partition
			WHERE read <> aggregated + filtered + late + dead_lettered
			              + skipped + tombstones
			   OR next_offset - start <> read + gaps}),
		'',
		'both laws hold for every view and partition');
	same_rows(
		$node, 'postgres',
		'SELECT view::text, partition, read FROM weir.stat_partition',
		"SELECT view, partition::int, read::bigint FROM
		 unnest('{@{[ join ',', @pipeline_views ]}}'::text[]) view,
		 (VALUES $counts) k (partition, read)",
		'every view has read what kcat reads, in every partition',
		min => @pipeline_views * $partitions);
	is($node->safe_psql('postgres', 'SELECT sum(late_closed) FROM weir.stat_partition'),
		0, 'no record lost a window that was closed for it alone');
	is($node->safe_psql('postgres', 'SELECT * FROM weir.exception'),
		'', 'nothing was driven by the clock');
	return;
}

# What kcat reads, each record with its document, its event time and its own
# partition's watermark before it; a record that is bad has neither.
sub load_records
{
	my ($node, $topic) = @_;

	kcat_load($node, 'postgres', 'dump', $topic);
	$node->safe_psql(
		'postgres', qq{
		CREATE FUNCTION parse(value bytea, OUT doc jsonb, OUT ts timestamptz)
		LANGUAGE plpgsql AS \$\$
		BEGIN
			doc := convert_from(value, 'UTF8')::jsonb;
			IF jsonb_typeof(doc->'timestamp') = 'string'
			   AND doc->>'timestamp' ~ '^20\\d\\d-\\d\\d-\\d\\dT[0-9:.]+Z\$' THEN
				ts := doc->>'timestamp';
			END IF;
		EXCEPTION WHEN OTHERS THEN
			ts := NULL;
		END \$\$;
		SET work_mem = '256MB';
		CREATE TABLE record AS
		SELECT *, max(CASE WHEN ts IS NOT NULL THEN least(ts, recorded) END)
			OVER (PARTITION BY partition ORDER BY "offset"
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - $delay AS bound
		FROM (SELECT partition, "offset",
		             '1970-01-01Z'::timestamptz + dump.ts * interval '1 ms' AS recorded,
		             p.doc, p.ts
		      FROM dump, parse(value) p) parsed;
		DROP TABLE dump;
		ANALYZE record;
		});
	return;
}

# The same from the stream, by pg_weir's SELECT.
sub load_stream
{
	my ($node) = @_;

	$node->safe_psql(
		'postgres', qq{
		SET work_mem = '256MB';
		CREATE TABLE events_copy AS
		SELECT *, max(least(ts, recorded)) OVER (PARTITION BY partition ORDER BY "offset"
				ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - $delay AS bound
		FROM events;
		ANALYZE events_copy;
		});
	return;
}

# The text of a view's query over the copy, on time only.
sub query_text
{
	my ($node, $name) = @_;
	my $text = $node->safe_psql('postgres',
		"SELECT pg_get_viewdef(query) FROM weir.view WHERE view = '$name'::regclass");
	my $on_time = '(events.bound IS NULL OR window_end > events.bound)';

	$text =~ s/;\s*$//;
	$text =~ s/FROM events,/FROM events_copy events,/ or die $text;
	$text =~ s/\bWHERE (.*?)(?=\s+GROUP BY)/WHERE ($1) AND $on_time/s
	  or $text =~ s/(?=\s+GROUP BY)/ WHERE $on_time/
	  or die $text;
	return $text;
}

# Every record that passes with each of its windows.
sub windows_text
{
	my ($name, $columns) = @_;
	my ($size, $slide) = @{ $view{$name} }{qw(size slide)};

	return qq{
		SELECT $columns FROM record,
			LATERAL (SELECT date_bin('$slide', ts, '2000-01-01Z') AS newest) b,
			generate_series(newest, newest - interval '$size' + interval '$slide',
				- interval '$slide') AS window_start,
			LATERAL (SELECT window_start + interval '$size' AS window_end) e
		WHERE ts IS NOT NULL AND $view{$name}{passes}};
}

sub dump_text
{
	my ($name) = @_;
	my $keys = $view{$name}{keys} ? ", $view{$name}{keys}" : '';

	return windows_text($name,
		"window_start, window_end, $view{$name}{columns}")
	  . qq{ AND (bound IS NULL OR window_end > bound)
		GROUP BY window_start, window_end$keys};
}

# Tests the rows of one view, the numbers of them, and its late records.
sub check_view
{
	my ($node, $name, %opts) = @_;

	same_rows($node, 'postgres', "SELECT * FROM $name",
		query_text($node, $name),
		"$name equals its query over the stream", min => $opts{closed});
	same_rows($node, 'postgres', "SELECT * FROM $name", dump_text($name),
		"$name equals what kcat's dump gives", min => $opts{closed});

	my ($closed, $open) = split /\|/, $node->safe_psql('postgres', qq{
		SELECT count(*) FILTER (WHERE window_end <= weir.closed_to('$name')),
		       count(*) FILTER (WHERE window_end > weir.closed_to('$name'))
		FROM $name});
	cmp_ok($closed, '>=', $opts{closed}, "$closed rows of $name are closed");
	cmp_ok($open, '>=', 1, "$open rows of $name are open");

	same_rows(
		$node, 'postgres', qq{
		SELECT partition, "offset", late_bound FROM weir.late_event
		WHERE view = '$name'::regclass},
		windows_text($name, q{partition, "offset", max(window_end)})
		  . q{ AND ts < bound AND window_end <= bound
		      GROUP BY partition, "offset"},
		"the late records of $name are those that missed a window",
		min => $opts{late});
	same_rows(
		$node, 'postgres', qq{
		SELECT partition, filtered, late, partly_late, aggregated, dead_lettered
		FROM weir.stat_partition WHERE view = '$name'::regclass},
		qq{
		SELECT partition,
		       count(*) FILTER (WHERE ts IS NOT NULL AND NOT passes) AS filtered,
		       count(*) FILTER (WHERE missed = windows) AS late,
		       count(*) FILTER (WHERE missed > 0 AND missed < windows) AS partly,
		       count(*) FILTER (WHERE missed < windows) AS aggregated,
		       count(*) FILTER (WHERE ts IS NULL) AS dead
		FROM (SELECT partition, "offset", ts, $view{$name}{passes} AS passes
		      FROM record) r
		     LEFT JOIN (}
		  . windows_text($name,
			q{partition, "offset", count(*) AS windows,
			  count(*) FILTER (WHERE window_end <= bound) AS missed})
		  . q{ GROUP BY partition, "offset") w USING (partition, "offset")
		GROUP BY partition},
		"every counter of $name is the one that kcat's dump gives",
		min => 4);
	same_rows(
		$node, 'postgres', qq{
		SELECT partition, "offset" FROM weir.dead_letter
		WHERE view = '$name'::regclass},
		'SELECT partition, "offset" FROM record WHERE ts IS NULL',
		"the dead letters of $name are the records that are no events",
		min => $opts{dead});
	return;
}

=item pipeline_oracles(node, topic, closed => n, late => n, dead => n)

Tests every view against both oracles, and its late records, dead letters and
counters against kcat's dump; there must be at least so many closed rows, late
records and dead letters in each view, and one open row.  Leaves the dump in
table record (partition, "offset", recorded, doc, ts, bound).

=cut

sub pipeline_oracles
{
	my ($node, $topic, %opts) = @_;

	load_records($node, $topic);
	load_stream($node);
	check_view($node, $_, %opts) foreach @pipeline_views;
	return;
}

=back

=cut

1;
