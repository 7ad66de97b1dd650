# Dashboards, data sources and alerts of Grafana: lint, and every query as
# Grafana would send it, as its read-only role, over a shop that runs, an empty
# database, a paused view, a dead broker and dropped views.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use WeirTest;
use Grafana;
use GrafanaLint;
use Monitoring;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Storable qw(dclone);
use Test::More;
use YAML::XS;

# What no query may take, however loaded the machine is; what each took is in
# the test's log, and is below 50 where nothing else runs.
my $max_ms = 1000;

my $root   = grafana_dir() . '/..';
my @boards = grafana_dashboards();
my ($sources, $provider, $alerting) =
  map { YAML::XS::LoadFile(grafana_dir() . "/provisioning/$_/pg_weir.yaml") }
  qw(datasources dashboards alerting);
my @rules = map { @{ $_->{rules} } } @{ $alerting->{groups} };

#
# Lint
#

is_deeply([ map { $_->{file} } @boards ],
	[qw(engine.json shop.json stream.json)], 'all dashboards are there');
is(join("\n", lint_dashboard($_)), '', "$_->{file} is as it should be")
  foreach @boards;
is(join("\n", lint_provisioning($sources, $provider, $alerting)),
	'', 'the provisioning is as it should be');

# What the containers give to Grafana is what the provisioning asks for, and
# its port and login, like the other ports, are those of the course.
my $services = YAML::XS::LoadFile("$root/docker-compose.yml")->{services};
my $grafana  = $services->{grafana};
my ($path) = map { $_->{options}{path} } @{ $provider->{providers} };
my ($password) = map { $_->{secureJsonData}{password} // () } @{ $sources->{datasources} };
is_deeply(
	[ grep { m{/(?:provisioning|dashboards):} } @{ $grafana->{volumes} } ],
	[ './grafana/provisioning:/etc/grafana/provisioning:ro', "./grafana/dashboards:$path:ro" ],
	'Grafana finds both directories');
ok(exists $grafana->{environment}{ substr $password, 1 }, "and $password is set");
is_deeply(
	{ map {
			my $name = $_;
			map { m/:-(\d+)\}:/ ? ($name => $1) : () } @{ $services->{$name}{ports} // [] }
		} keys %$services },
	{ postgres => 5432, kafka => 9092, 'kafka-ui' => 8080, prometheus => 9090, grafana => 3000 },
	'the ports');
is_deeply(
	[ @{ $grafana->{environment} }{qw(GF_SECURITY_ADMIN_USER GF_SECURITY_ADMIN_PASSWORD)} ],
	[ 'admin', '${GRAFANA_ADMIN_PASSWORD:-admin}' ],
	'the login');

# Each rule finds what it is for.
sub finds
{
	my ($name, $complaint, $spoil) = @_;
	my $board   = dclone($boards[0]);
	my ($panel) = grep { $_->{type} eq 'bargauge' } grafana_panels($board);

	$spoil->($board, $panel, $panel->{targets}[0]);
	like(join("\n", lint_dashboard($board)), $complaint, "lint finds $name");
	return;
}

finds('an id', qr/has an id/, sub { $_[0]{id} = 7 });
finds('a slow refresh', qr/not refreshed/, sub { $_[0]{refresh} = '1m' });
finds('a data source by its uid', qr/not a variable/, sub { $_[1]{datasource}{uid} = 'pg_weir' });
finds('a data source of another type', qr/another type/, sub { $_[2]{datasource}{uid} = '${prometheus}' });
finds('an overlap', qr/lies over/, sub { $_[1]{gridPos}{y}++ });
finds('a panel beyond the edge', qr/beyond/, sub { $_[1]{gridPos}{w} = 25 });
finds('two panels with one id', qr/has its id/, sub { $_[1]{id} = 1 });
finds('two panels with one title', qr/has its title/, sub { $_[1]{title} = 'Views' });
finds('no description', qr/no sentence/, sub { delete $_[1]{description} });
finds('no unit', qr/no unit/, sub { delete $_[1]{fieldConfig}{defaults}{unit} });
finds('an unknown unit', qr/no unit furlong/, sub { $_[1]{fieldConfig}{defaults}{unit} = 'furlong' });
finds('no thresholds', qr/no thresholds/, sub { $_[1]{fieldConfig}{defaults}{thresholds}{steps} = [] });
finds('a format', qr/not one of/, sub { $_[2]{format} = 'logs' });
finds('SELECT *', qr/SELECT \*/, sub { $_[2]{rawSql} = 'SELECT * FROM weir.stat_view' });
finds('a variable without a format', qr/has no format/, sub { $_[2]{rawSql} .= ' AND view = $view' });
finds('a list that may be empty', qr/without a value/, sub { $_[2]{rawSql} .= ' AND view IN (${view:sqlstring})' });
finds('a macro that is cut', qr/ends at the first/, sub { $_[2]{rawSql} .= ' AND $__timeFilter(lower(w))' });
finds('a variable that is never loaded', qr/never loaded/, sub { $_[0]{templating}{list}[0]{refresh} = 0 });

#
# What the curves ask of Prometheus
#

my @exprs = map { $_->{expr} } map { grafana_targets($_, 'prometheus') }
  map { grafana_panels($_) } @boards;
push @exprs, grep { defined } map { $_->{model}{expr} } map { @{ $_->{data} } } @rules;

my %known = (up => 1);
my %label = (job => 1);
my $families = YAML::XS::LoadFile("$prometheus_dir/queries.yaml");
foreach my $family (keys %$families)
{
	foreach my $column (@{ $families->{$family}{metrics} })
	{
		my ($name) = keys %$column;
		my $usage = $column->{$name}{usage};
		$label{$name} = 1 if $usage eq 'LABEL';
		$known{"${family}_$name$_"} = 1
		  foreach $usage eq 'HISTOGRAM' ? qw(_bucket _sum _count) : '';
	}
}
my @unknown;
foreach my $expr (@exprs)
{
	my ($metrics, $labels) = promql_names($expr);
	push @unknown, "$expr: no metric $_" foreach grep { !$known{$_} } @$metrics;
	push @unknown, "$expr: no label $_" foreach grep { !$label{$_} } @$labels;
}
is(join("\n", @unknown), '', 'the exporter has every metric and label');

my $records_file = PostgreSQL::Test::Utils::tempdir('rules') . '/rules.yml';
my $n = 0;
YAML::XS::DumpFile(
	$records_file,
	{ groups => [ { name => 'g', rules => [
		map {
			my $expr = grafana_fill($_, { stream => ['s'], view => [ 'a.b', 'w' ] });
			{ record => 'expr_' . $n++, expr => $expr =~ s/\$__rate_interval/1m/gr };
		} @exprs ] } ] });
promtool_ok("$n expressions are PromQL", 'check', 'rules', $records_file);

#
# Queries
#

if (($ENV{KAFKA} // '') eq 'none')
{
  SKIP: { skip 'KAFKA=none', 1; }
	done_testing();
	exit;
}
kafka_start();
kafka_topic('streaming-events', 4);

my $node = weir_node('main', extension => 0);
my $role = slurp_file(grafana_dir() . '/role.sql');

sub sql
{
	return $node->safe_psql('shop', @_);
}

# The alert's question, on the data source that it is put to.
sub alert_sql
{
	my ($uid) = @_;
	my ($rule) = grep { $_->{uid} eq $uid } @rules;

	return grep { defined } map { $_->{model}{rawSql} } @{ $rule->{data} };
}

my %type = (
	label => qr/^(?:text|name)$/,
	value => qr/^(?:smallint|integer|bigint|numeric|double precision)$/,
	time  => qr/^(?:timestamp with time zone|numeric|double precision)$/,
	other => qr/^(?:boolean|timestamp with time zone)$/);

# What Grafana cannot read, or would show wrong, in an answer.
sub misread
{
	my ($answer, $series) = @_;
	my ($columns, $types, $rows) = @{$answer}{qw(columns types rows)};
	my @wrong;

	foreach my $i (0 .. $#$columns)
	{
		my $is_time = $series && $columns->[$i] eq 'time';
		push @wrong, "column $columns->[$i] is of type $types->[$i]"
		  unless $is_time ? $types->[$i] =~ $type{time}
		  : ( $types->[$i] =~ $type{label} || $types->[$i] =~ $type{value}
			|| !$series && $types->[$i] =~ $type{other});
		push @wrong, "column $columns->[$i] has an infinite value"
		  if $types->[$i] !~ $type{label}
		  && grep { defined && /inf|nan/i } map { $_->[$i] } @$rows;
	}
	return @wrong unless $series;
	my ($time) = grep { $columns->[$_] eq 'time' } 0 .. $#$columns;
	return (@wrong, 'there is no column time') unless defined $time;
	my @times = map { $_->[$time] } @$rows;
	push @wrong, 'the times do not ascend'
	  if grep { ($times[$_] // '') lt ($times[ $_ - 1 ] // '') } 1 .. $#times;
	return @wrong;
}

# Runs every query of the dashboards and the alerts.  Options: times, and a
# function that is given board, title, SQL and answer of each.
sub run_all
{
	my ($state, %opts) = @_;
	my @wrong;
	my $run = sub {
		my ($board, $title, $sql, $series) = @_;
		my $answer = grafana_run($node, 'shop', $sql, times => $opts{times} // 1);
		my @found = $answer->{error} ? $answer->{error} : misread($answer, $series);
		push @wrong, map { "$board, $title: $_\n$sql" } @found;
		$opts{each}->($board, $title, $sql, $answer) if $opts{each} && !@found;
	};

	foreach my $board (@boards)
	{
		my ($minutes) = $board->{time}{from} =~ /^now-(\d+)m$/
		  or die "time range of $board->{title}";
		my $values = eval { grafana_values($node, 'shop', $board, choose => $opts{choose}) };
		push @wrong, "$board->{title}: $@" if $@;
		my @queries = map {
			my $panel = $_;
			map { [ $panel->{title}, $_->{rawSql}, $_->{format} eq 'time_series' ] }
			  grafana_targets($panel, 'grafana-postgresql-datasource')
		} grafana_panels($board);
		push @queries, map { [ "annotation $_->{name}", $_->{target}{rawSql}, 1 ] }
		  @{ $board->{annotations}{list} };
		foreach my $query (@queries)
		{
			my $expanded = eval {
				grafana_expand(grafana_fill($query->[1], $values),
					time - 60 * $minutes, time + 1);
			} // do { push @wrong, $@; next };
			$run->($board->{title}, $query->[0], $expanded,
				$query->[2] && $query->[0] !~ /^annotation/);
		}
	}
	$run->('alerts', $_, alert_sql($_), 1)
	  foreach map { $_->{uid} } grep { alert_sql($_->{uid}) } @rules;
	is(join("\n", @wrong), '', "$state: every query is answered");
	return;
}

# The answer of one panel or alert, as text: "a|b" for each row.
sub text_of
{
	my ($answer) = @_;

	return $answer->{error} if $answer->{error};
	return join "\n",
	  map { join '|', map { $_ // 'NULL' } @$_ } @{ $answer->{rows} };
}

sub shown
{
	my ($uid, $title, %opts) = @_;

	return text_of(grafana_run($node, 'shop',
			grafana_sql($node, 'shop', $uid, $title, %opts)));
}

sub alert
{
	return text_of(grafana_run($node, 'shop', alert_sql(@_)));
}

# Waits until a panel or alert shows something.
sub comes_to
{
	my ($look, $expected, $name) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $seen;

	while (($seen = $look->()) !~ $expected && time < $end)
	{
		select(undef, undef, undef, 0.2);
	}
	return like($seen, $expected, $name);
}

# A database with the extension and nothing in it.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
sql('CREATE EXTENSION pg_weir');
sql($role) foreach 1 .. 2;
run_all('an empty database');
is(shown('weir-engine', 'Views running'), '0', 'no view runs');
is(shown('weir-engine', 'Worst lag'), 'NULL', 'their lag is not known');
is(shown('weir-engine', 'Views'), '', 'no view is listed');
is(alert('weir-view-failed'), '', 'nothing to be alarmed about');
like(text_of(grafana_run($node, 'shop', 'CREATE TABLE t (a int)')),
	qr/read-only transaction|permission denied/, 'the role can write nothing');

# The shop, three hours old: with bad and late records, a partition that is
# idle, and a view that is catching up.
sql(slurp_file("$root/docker/shop.sql"),
	extra_params => [
		'-v', 'bootstrap_servers=' . kafka_bootstrap(),
		'-v', 'start=-3 hours'
	]);
my @views = qw(events_per_minute revenue user_activity devices_and_locations user_sessions);
sql($role);
kcat_produce('streaming-events', 1, 'this is no event', '{"timestamp": "soon"}');
poll_ok($node, 'shop',
	q{SELECT produced > 3 * 3600 * 14 FROM weir.stat_producer WHERE name = 'shop'},
	'the producer has sent three hours');
foreach my $view (@views)
{
	my ($status, undef, $stderr) =
	  $node->psql('shop', "SELECT weir.wait('$view', '3 minutes')");
	is($status, 0, "$view has read them") or diag($stderr);
}
sql(q{
	CREATE FOREIGN TABLE backlog (event_type text,
		ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', rate '50', start '-1 hour',
			partitions '2', skew '1,0', idle_timeout '1 second', event_time 'ts')});
my $ahead = q{CREATE MATERIALIZED VIEW ahead WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS events
	FROM backlog, weir.tumble(ts, '1 minute') GROUP BY window_start, window_end};
sql($ahead);
sql(q{SELECT weir.wait('ahead', '3 minutes')});

# Every reader is held after one more batch, and so it stays behind.
my $holder = $node->background_psql('shop');
$holder->query_safe(q{SELECT pg_advisory_lock(hashtext('batch-collected'))});
$node->append_conf('postgresql.conf', q{weir.fault = 'batch-collected:wait:1'});
$node->reload;
sql($ahead =~ s/ahead/behind/r);
sql($role);
poll_ok($node, 'shop',
	q{SELECT EXISTS (SELECT FROM weir.stat_progress_catch_up WHERE offsets_done > 0)
	     AND EXISTS (SELECT FROM weir.exception WHERE view = 'ahead'::regclass)},
	'a view is catching up, and one of its partitions is idle');
sql('ANALYZE');

my (@empty, @slow, @scans, $slowest);
run_all(
	'a shop that runs',
	times => 5,
	each  => sub {
		my ($board, $title, $query, $answer) = @_;
		my $rows = @{ $answer->{rows} };

		note(sprintf '%-8s %-32s %5d rows %8.2f ms', $board, $title, $rows, $answer->{ms});
		push @empty, "$board, $title" unless $rows;
		push @slow, "$board, $title: $answer->{ms} ms" if $answer->{ms} > $max_ms;
		$slowest = [ $answer->{ms}, "$board, $title" ]
		  if !$slowest || $slowest->[0] < $answer->{ms};
		push @scans, "$board, $title"
		  if sql("EXPLAIN $query") =~ /Seq Scan on user_activity_closed/;
	});
my $done = sql(q{SELECT offsets_done FROM weir.stat_progress_catch_up WHERE view = 'behind'::regclass});
like(shown('weir-engine', 'Catch-up'), qr/^behind\|\w+\|$done\|/, 'who catches up is shown');
like(alert('weir-lag'), qr/\|behind\|(?:[3-9]|[12]\d)\d\d/m, 'and raises the alert of the lag');
like(alert('weir-watermark'), qr/\|events_per_minute\|[3-9]\d\d/m, 'that of the watermark has its age');
$node->append_conf('postgresql.conf', q{weir.fault = ''});
$node->reload;
$holder->quit;
is(join("\n", @empty), '', 'every panel has something to show');
is(join("\n", @slow), '', "each within $max_ms ms");
is(join("\n", @scans), '', 'none reads all closed windows of a large view');
diag(sprintf 'the slowest took %.2f ms: %s', @$slowest);
cmp_ok(sql(q{SELECT count(*) FROM user_activity}), '>', 100_000, 'there is such a view');

# What the documentation has one type.
my @typed = slurp_file("$root/docs/dashboards.md") =~ /^```sql\n(.*?)^```/msg;
cmp_ok(scalar @typed, '>=', 2, 'panels of one\'s own are shown');
foreach my $query (@typed)
{
	my $answer = grafana_run($node, 'shop', grafana_expand($query, time - 1800, time + 1));
	is(join("\n", grep { length } $answer->{error}, misread($answer, 1)), '', 'one is a time series');
	cmp_ok(scalar @{ $answer->{rows} }, '>=', 20, 'with a point for each minute');
}

# A role that has no rights gets an error that the documentation has, and what
# is to be typed helps.
sql('CREATE ROLE elsewhere LOGIN');
my $engine = grafana_sql($node, 'shop', 'weir-engine', 'Views');
my $shop   = grafana_sql($node, 'shop', 'weir-shop', 'Average purchase');
is(grafana_run($node, 'shop', $engine, role => 'elsewhere')->{error},
	'', 'any role sees which views there are');
like(grafana_run($node, 'shop', $shop, role => 'elsewhere')->{error},
	qr/permission denied for view revenue/, 'but not their rows');
sql($role, extra_params => [ '-v', 'role=elsewhere' ]);
is(grafana_run($node, 'shop', $shop, role => 'elsewhere')->{error},
	'', 'until role.sql has run for it');

# What they show.
is(shown('weir-shop', 'Top device'), 'mobile', 'most events come from mobile devices');
like(shown('weir-engine', 'Throughput'), qr/^behind\|\d/m, 'a rate for each view');
like(shown('weir-engine', 'Producer rate'), qr/^shop\|[1-9]/, 'the producer has a rate');
sql(q{SELECT weir.stop_producer('shop')});
comes_to(sub { shown('weir-engine', 'Producer rate') }, qr/^shop\|0$/, 'it has none when it is stopped');
comes_to(sub { shown('weir-engine', 'Producers') }, qr/^shop\|stopped\|/, 'and is shown as stopped');
my %chosen = (choose => { stream => 'events', view => 'events_per_minute' });
sql(q{SELECT weir.wait('events_per_minute', '3 minutes')});
my $records = kcat_count('streaming-events');
comes_to(sub { shown('weir-stream', 'End of the stream', %chosen) },
	qr/^$records$/, 'the stream ends where kcat\'s count does');
is(shown('weir-stream', 'Lag', %chosen), '0', 'and is read to its end');
comes_to(sub { shown('weir-engine', 'Throughput') }, qr/^events_per_minute\|0$/m, 'a quiet stream has no throughput');
is(shown('weir-stream', 'Unaccounted records', %chosen), '0', 'none is unaccounted for');
my ($dead) = shown('weir-engine', 'Dead letters') =~ /^events_per_minute\|(\d+)\|/m;
my ($late) = shown('weir-engine', 'Late records') =~ /^events_per_minute\|(\d+)\|/m;
is($dead, 2, 'both bad records are dead letters');
cmp_ok($late, '>', 0, "$late records were late");
my $counted = 0;
$counted += (split /\|/)[2]
  foreach split /\n/, shown('weir-shop', 'Events per minute by type', from => time - 4 * 3600);
is($counted + $dead + $late, $records, 'all others are in the windows that are shown');
my %state = map { $_ => 1 }
  map { (split /\|/)[2] } split /\n/, shown('weir-shop', 'Newest windows');
is(join(' ', sort keys %state), 'closed open', 'open windows are told from closed ones');

# A view that cannot close.
sql($ahead =~ s/ahead/broken/r . ' WITH NO DATA');
sql(q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE 'not in my table'; END $$;
	SELECT format('CREATE TRIGGER refuse BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION refuse()',
	              weir.closed('broken')) \gexec
	SELECT weir.resume('broken')});
comes_to(sub { alert('weir-view-failed') }, qr/\|broken\|1$/m, 'a view that cannot close raises the alert');
run_all('a view that cannot close');
like(shown('weir-engine', 'Views'), qr/^broken\|backlog\|close_failed\|.*\|not in my table\|/m, 'and is shown with its error');
sql('DROP MATERIALIZED VIEW broken');

# Old windows are gone.
my @kept = map { shown('weir-shop', $_) } 'Newest windows', 'Average purchase';
sql(q{ALTER MATERIALIZED VIEW user_activity SET (weir.retention = '10 minutes');
	ALTER MATERIALIZED VIEW events_per_minute SET (weir.retention = '1 hour');
	SELECT weir.maintain(dead_letter_age => '0', late_event_age => '0')});
cmp_ok(sql(q{SELECT sum(rows) FROM weir.trimmed WHERE what = 'closed rows'}), '>', 100_000, 'maintenance has trimmed windows');
run_all('after retention', each => sub { my (undef, $title, undef, $answer) = @_;
	push @empty, "after retention: $title" unless @{ $answer->{rows} } || $title =~ /^(?:Backlog ETA|Catch-up)$/ });
is(join("\n", @empty), '', 'every panel still has something to show');
is_deeply([ map { shown('weir-shop', $_) } 'Newest windows', 'Average purchase' ], \@kept, 'the newest is as it was');
is(shown('weir-stream', 'Unaccounted records', %chosen), '0', 'and every record is still accounted for');

# A view that is paused.
sql(q{SELECT weir.pause('revenue')});
run_all('a paused view');
like(shown('weir-engine', 'Views'), qr/^revenue\|events\|paused\|.*paused/m, 'it is shown as paused, and why');
is(shown('weir-engine', 'Views not running'), '1', 'and counted');
unlike(shown('weir-shop', 'Average purchase'), qr/^(?:NULL)?$/, 'its rows are still there');
unlike(alert('weir-view-failed'), qr/\|1$/m, 'nobody is alarmed: it was meant');

# A broker that is gone.
kafka_kill();
comes_to(sub { alert('weir-worker-error') }, qr/\|events\|1$/m, 'a dead broker: the alert sees it');
run_all('a dead broker');
is(shown('weir-engine', 'Worst lag'), 'NULL', 'the lag is not known');
like(shown('weir-engine', 'Lag by partition'), qr/^events_per_minute, partition 3\|NULL$/m, 'of no partition of it');
like(shown('weir-engine', 'Lag by partition'), qr/^behind, partition 0\|\d/m, 'but of others it is');
is(shown('weir-stream', 'Lag', %chosen), 'NULL', 'nor that of the stream');
like(shown('weir-engine', 'Views'), qr/^events_per_minute\|events\|running\|.*\|[^|]*(?:broker|refused|down)[^|]*\|[^|]+$/mi,
	'and so does the list of views');
unlike(shown('weir-shop', 'Events by location', from => time - 4 * 3600), qr/^$/, 'what was read stays');

# Views that are gone: of some panels all, of others a row.
sql("DROP MATERIALIZED VIEW $_") foreach @views;
run_all('dropped views');
is(shown('weir-shop', 'Events per minute by type'), '', 'no rows of a view that is gone');
is(shown('weir-shop', 'Average purchase'), 'NULL', 'no average either');
is(shown('weir-shop', 'How far the views are'), '', 'nor a status');
like(shown('weir-engine', 'Views'), qr/^ahead\|[^\n]*\nbehind\|[^\n]*$/, 'the other views are still listed, alone');
unlike(alert('weir-view-failed'), qr/events_per_minute/, 'nor an alert');

$node->stop('fast');
done_testing();
