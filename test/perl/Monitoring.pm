=pod

=head1 NAME

Monitoring - a real exporter and a real Prometheus beside a test's server

=head1 SYNOPSIS

  use WeirTest;
  use Monitoring;

  $node->safe_psql('postgres', 'CREATE ROLE metrics LOGIN; GRANT pg_monitor TO metrics');
  exporter_start($node, 'metrics');
  prometheus_start();
  my %read = prometheus_samples('weir_view_read_total', 'view');
  prometheus_poll('count(up == 1)', 1, 'the exporter is scraped');
  my @names = alerts();
  promtool_ok('check rules', 'check', 'rules', glob "$prometheus_dir/rules/*.yml");

=head1 DESCRIPTION

Debian's prometheus-postgres-exporter and prometheus, from
F<test/prometheus/fetch>, with the files of F<prometheus/> as they are, but
for addresses and intervals.  Both listen on free loopback ports, and are
stopped by pid when the test ends however it ends.

=cut

package Monitoring;

use strict;
use warnings;

use Carp;
use CPAN::Meta::YAML;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time usleep);
use WeirTest;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  $prometheus_dir
  exporter_start exporter_stop exporter_text exporter_log
  prometheus_start prometheus_url prometheus_get prometheus_samples
  prometheus_poll
  alerts alerts_poll promtool_ok yaml_file wait_for
);

my $here = abs_path(dirname(__FILE__) . '/../prometheus');
my $bin  = $ENV{PROMETHEUS_BIN} // "$here/bin";

our $prometheus_dir = abs_path("$here/../../prometheus");

# Of each program that was started: pid, port, log.
my %running;

# The exporter's, so that Prometheus finds it again.
my $exporter_port;

=over

=item wait_for(code, name)

Tests that the code comes to return true within C<$PG_TEST_TIMEOUT_DEFAULT>
seconds (180).  Returns what it returned last.

=cut

sub wait_for
{
	my ($code, $name) = @_;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	my $value = $code->();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	until ($value || time > $until)
	{
		usleep(100_000);
		$value = $code->();
	}
	ok($value, $name);
	return $value;
}

# A program in the background, its output in a file; and its port.
sub _start
{
	my ($program, $port, $environment, @arguments) = @_;
	my $log = PostgreSQL::Test::Utils::tempdir($program) . '/log';

	system_or_bail("$here/fetch");
	defined(my $pid = fork) or croak "could not fork: $!";
	if ($pid == 0)
	{
		%ENV = (%ENV, %$environment);
		open(STDIN,  '<',   '/dev/null') or POSIX::_exit(1);
		open(STDOUT, '>>',  $log)        or POSIX::_exit(1);
		open(STDERR, '>&', \*STDOUT)     or POSIX::_exit(1);
		exec("$bin/$program", @arguments) or POSIX::_exit(1);
	}
	$running{$program} = { pid => $pid, port => $port, log => $log };
	return;
}

sub _stop
{
	my ($program) = @_;
	my $started = delete $running{$program} or return;

	kill 'KILL', $started->{pid};
	waitpid $started->{pid}, 0;
	return;
}

# The body of an answer with status 200, else undef.
sub _get
{
	my ($program, $path) = @_;
	my $answer = HTTP::Tiny->new(timeout => 30)
	  ->get("http://127.0.0.1:$running{$program}{port}$path");

	return $answer->{status} == 200 ? $answer->{content} : undef;
}

=item exporter_start(node, role [, database])

Starts the exporter with F<prometheus/queries.yaml>, by the variables that
F<docs/monitoring.md> names, and tests that it answers.  Its port is always the
same.

=item exporter_text() exporter_log() exporter_stop()

What it answers to C</metrics>, and what it has logged.

=cut

sub exporter_start
{
	my ($node, $role, $database) = @_;
	my $port = $exporter_port //= PostgreSQL::Test::Cluster::get_free_port();

	_start(
		'prometheus-postgres-exporter',
		$port,
		{
			DATA_SOURCE_NAME => "user=$role host=@{[ $node->host ]} "
			  . "port=@{[ $node->port ]} dbname=@{[ $database // 'postgres' ]} sslmode=disable",
			PG_EXPORTER_EXTEND_QUERY_PATH       => "$prometheus_dir/queries.yaml",
			PG_EXPORTER_DISABLE_DEFAULT_METRICS => 'true',
			PG_EXPORTER_DISABLE_SETTINGS_METRICS => 'true'
		},
		"--web.listen-address=127.0.0.1:$port");
	return wait_for(sub { defined exporter_text() }, 'the exporter answers');
}

sub exporter_text
{
	return _get('prometheus-postgres-exporter', '/metrics');
}

sub exporter_log
{
	return slurp_file($running{'prometheus-postgres-exporter'}{log});
}

sub exporter_stop
{
	_stop('prometheus-postgres-exporter');
	return;
}

=item prometheus_start()

Starts Prometheus with F<prometheus/prometheus.yml> and the rules, after the
exporter.  It evaluates every second and scrapes every two instead of every
five, and where a rule looks back 5 minutes it looks back 20 seconds.  A scrape
may take as long as the interval: one second is too short where much else runs.

=cut

# A shipped file, changed by code that must change it, into a directory.
sub _adapt
{
	my ($file, $dir, $change) = @_;

	local $_ = slurp_file("$prometheus_dir/$file");
	my $before = $_;
	$change->();
	croak "$file is not as the test knows it" if $_ eq $before;
	append_to_file("$dir/$file", $_);
	return;
}

sub prometheus_start
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $dir  = PostgreSQL::Test::Utils::tempdir('prometheus');

	mkdir "$dir/rules" or croak "could not create \"$dir/rules\": $!";
	_adapt('prometheus.yml', $dir,
		sub { s/exporter:9187/127.0.0.1:$exporter_port/; s/scrape_interval: 5s/scrape_interval: 2s/; s/evaluation_interval: 5s/evaluation_interval: 1s/; });
	_adapt('rules/pg_weir.rules.yml', $dir, sub { s/\[5m\]/[20s]/g });
	_start(
		'prometheus', $port, {},
		"--config.file=$dir/prometheus.yml",
		"--storage.tsdb.path=$dir/data",
		"--web.listen-address=127.0.0.1:$port",
		'--log.level=warn');
	return wait_for(sub { _get('prometheus', '/-/ready') }, 'Prometheus is ready');
}

=item prometheus_url()

Its address, without a slash at the end.

=cut

sub prometheus_url
{
	return "http://127.0.0.1:$running{prometheus}{port}";
}

=item prometheus_get(path, parameter => value ...)

The C<data> of an answer of the HTTP API, such as of C<query>.  Dies of an error.

=item prometheus_samples(query, label ...)

The samples of an instant query: a list of (values of the labels joined by
"|", value) pairs.

=item prometheus_poll(query, expected, name)

Tests that the query comes to give one sample with the value expected.

=cut

sub prometheus_get
{
	my ($path, %parameters) = @_;
	my $http   = HTTP::Tiny->new(timeout => 30);
	my $answer = $http->get(prometheus_url() . "/api/v1/$path?"
		  . $http->www_form_urlencode(\%parameters));
	my $json = eval { decode_json($answer->{content}) };

	croak "$path: $answer->{status} $answer->{content}"
	  unless $json && $json->{status} eq 'success';
	return $json->{data};
}

sub prometheus_samples
{
	my ($query, @labels) = @_;

	return map {
		my $sample = $_;
		(join('|', map { $sample->{metric}{$_} // '' } @labels), $sample->{value}[1])
	} @{ prometheus_get('query', query => $query)->{result} };
}

sub prometheus_poll
{
	my ($query, $expected, $name) = @_;
	my @samples;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for(
		sub {
			@samples = prometheus_samples($query);
			@samples == 2 && $samples[1] == $expected;
		},
		$name) or diag("$query: @samples");
	return;
}

=item alerts()

The names of the alerts that are pending or firing, sorted, each once.

=item alerts_poll(names, name)

Tests that these, an array, come to be all alerts there are.

=cut

sub alerts
{
	my %names = map { ("$_->{labels}{alertname}" => 1) } @{ prometheus_get('alerts')->{alerts} };

	return sort keys %names;
}

sub alerts_poll
{
	my ($expected, $name) = @_;
	my @names;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for(sub { @names = alerts(); "@names" eq "@$expected" }, $name)
	  or diag("alerts: @names; expected: @$expected");
	return;
}

=item promtool_ok(name, argument ... [, \stdin])

Tests that promtool ends with status 0 and says nothing that it only warns of.

=cut

sub promtool_ok
{
	my ($name, @arguments) = @_;
	my $stdin = ref $arguments[-1] ? ${ pop @arguments } : '';
	my $output;

	system_or_bail("$here/fetch");
	my $status =
	  IPC::Run::run([ "$bin/promtool", @arguments ], '<', \$stdin, '>&', \$output);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($status && $output !~ /warn|should/i, $name) or diag($output);
	return;
}

=item yaml_file(path below prometheus/)

What a file of F<prometheus/> says.

=back

=cut

sub yaml_file
{
	my ($file) = @_;

	return CPAN::Meta::YAML->read_string(slurp_file("$prometheus_dir/$file"))->[0];
}

# Before the END blocks of PostgreSQL::Test, which remove the directories.
END
{
	my $status = $?;

	_stop($_) foreach keys %running;
	$? = $status;
}

1;
