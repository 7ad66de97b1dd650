# Long windows stay small: partials are compacted while they are written, and
# no reader sees anything but a whole prefix of the stream, in any isolation
# level.  A snapshot that is held costs space, never rows, and the space comes
# back after it.

use strict;
use warnings;
use IPC::Run;
use List::Util qw(max);
use Test::More;
use WeirTest;

# Fewer records with LIMIT=n.
my $limit = $ENV{LIMIT} // 10_000_000;
my $mb    = 1024 * 1024;
my $node  = weir_node('main', conf => "weir.batch_rows = 20000\n");

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sql(q{
	CREATE FUNCTION partial_size(view regclass) RETURNS bigint
	LANGUAGE sql AS $$
		SELECT sum(pg_total_relation_size(s))::bigint
		FROM weir.view v, unnest(v.segments) s WHERE v.view = partial_size.view
	$$;

	-- Both sides in one snapshot: what the view counts, and what its
	-- checkpoint says it has aggregated.
	CREATE FUNCTION look(view text, OUT shown bigint, OUT aggregated bigint)
	LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('SELECT (SELECT sum(events) FROM %s),
			(SELECT sum(c.aggregated) FROM weir.checkpoint c
			 WHERE c.view = %L::regclass)', view, view)
		INTO shown, aggregated;
	END $$;

	-- Look until the view has aggregated so many records.  Under REPEATABLE
	-- READ each transaction looks twice, and must see the same.
	CREATE PROCEDURE watch(view text, upto bigint, INOUT looks int, INOUT wrong int)
	LANGUAGE plpgsql AS $$
	DECLARE one record; two record;
	BEGIN
		LOOP
			SELECT * INTO one FROM look(view);
			looks := looks + 1;
			IF one.shown IS DISTINCT FROM one.aggregated THEN
				wrong := wrong + 1;
			END IF;
			IF current_setting('transaction_isolation') = 'repeatable read' THEN
				SELECT * INTO two FROM look(view);
				IF one IS DISTINCT FROM two THEN
					wrong := wrong + 1;
				END IF;
			END IF;
			EXIT WHEN one.aggregated >= upto;
			COMMIT;
		END LOOP;
	END $$;
	});

# A new stream, all in one hour, and its view of ten thousand keys, which
# starts to read at once.
sub start_run
{
	my ($view) = @_;
	my $rate = $limit / 3000;

	sql(qq{
		CREATE FOREIGN TABLE ${view}_events (event_type text, user_id text,
			total_amount numeric, ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce',
			start '2024-01-01 10:00:00+00', rate '$rate', "limit" '$limit',
			partitions '2', users '10000', event_time 'ts');
		CREATE MATERIALIZED VIEW $view WITH (weir.continuous) AS
		SELECT window_start, window_end, user_id, count(*) AS events,
		       sum(total_amount) AS revenue
		FROM ${view}_events, weir.tumble(ts, '1 hour')
		GROUP BY window_start, window_end, user_id;
		});
	poll_ok($node, 'postgres',
		"SELECT coalesce(sum(events), 0) > 0 FROM $view",
		"$view: the first rows are there");
	return;
}

# A session that watches in the background.
sub start_watch
{
	my ($view, $isolation) = @_;
	my %watch = (out => '', err => '');

	$watch{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr('postgres'),
			'-c', "SET default_transaction_isolation = '$isolation'",
			'-c', "CALL watch('$view', $limit, 0, 0)"
		],
		'<',  \undef,
		'>',  \$watch{out},
		'2>', \$watch{err});
	return \%watch;
}

sub end_watch
{
	my ($watch, $name) = @_;

	$watch->{run}->finish;
	my ($looks, $wrong) = $watch->{out} =~ /^(\d+)\|(\d+)$/m;
	note("$name: $looks looks") if defined $looks;
	cmp_ok($looks // 0, '>=', 5, "$name: looked while it was written")
	  or diag($watch->{err});
	is($wrong, 0, "$name: always a whole prefix");
	return;
}

# Until all is read, note the size now and then.
sub largest_size
{
	my ($view, $each) = @_;
	my $largest = 0;
	my $deadline = time() + 300;

	for (;;)
	{
		my ($size, $read) = split /\|/, sql("SELECT partial_size('$view'),
			sum(aggregated) FROM weir.checkpoint WHERE view = '$view'::regclass");
		$largest = max($largest, $size);
		$each->() if $each;
		return $largest if $read >= $limit;
		die "$view has read only $read records" if time() > $deadline;
	}
}

sub equals_batch
{
	my ($view) = @_;

	same_rows($node, 'postgres', "SELECT * FROM $view",
		"SELECT * FROM weir_data.${view}_query",
		"$view equals its query", min => 10000);
	return;
}

#
# Nobody in the way
#

my $started = time();
start_run('free');
my $largest = largest_size('free');
note(sprintf '%d records in %d s, at most %.1f MB of partials',
	$limit, time() - $started, $largest / $mb);
cmp_ok($largest, '>', 0,        'there were partials');
cmp_ok($largest, '<', 50 * $mb, 'partials stay under 50 MB');
is(sql(q{SELECT count(*) FROM free}), '10000', 'ten thousand keys');
equals_batch('free');
sql('DROP FOREIGN TABLE free_events CASCADE');

#
# A snapshot is held, and others read without a pause
#

start_run('held');
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->set_query_timer_restart;
my $sum = q{SELECT count(*), sum(events), sum(revenue), min(events) FROM held};
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $first = $session->query_safe($sum);
my ($looks, $different) = (0, 0);

my $committed  = start_watch('held', 'read committed');
my $repeatable = start_watch('held', 'repeatable read');
$largest   = largest_size(
	'held',
	sub {
		$looks++;
		$different++ if $session->query_safe($sum) ne $first;
	});
note(sprintf 'with a snapshot held %.1f MB of partials', $largest / $mb);
like($first, qr/^\d+\|\d+\|[\d.]+\|\d+$/, 'the held snapshot shows rows');
isnt($first, sql($sum), 'of another time');
is($session->query_safe($sum), $first, 'at the end it shows what it showed');
cmp_ok($looks, '>=', 5, 'it was looked through meanwhile');
is($different, 0, 'and always showed the same');
end_watch($committed,  'READ COMMITTED');
end_watch($repeatable, 'REPEATABLE READ');
equals_batch('held');
$session->query_safe('COMMIT');
$session->quit;
poll_ok($node, 'postgres', "SELECT partial_size('held') < 10 * 1024 * 1024",
	'the space comes back after the snapshot');
equals_batch('held');

$node->stop;
done_testing();
