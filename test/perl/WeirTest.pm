=pod

=head1 NAME

WeirTest - what all TAP tests of pg_weir share

=head1 SYNOPSIS

  use WeirTest;

  need_kafka();                       # else the whole file is skipped
  kafka_start();
  kafka_topic('events', 4);
  my $node = weir_node('main', conf => "weir.batch_rows = 7\n");
  poll_ok($node, 'postgres', 'SELECT ...', 'the view has caught up');
  same_rows($node, 'postgres', 'SELECT * FROM v', 'SELECT ...',
      'the view equals its query', min => 1000);
  kcat_load($node, 'postgres', 'oracle', 'events');
  done_testing();

=head1 DESCRIPTION

On top of PostgreSQL::Test::Cluster, whose module it finds through
C<$PG_CONFIG> (or C<pg_config>): servers with pg_weir, comparison of two
queries, one real Kafka, one mock broker, and kcat as the client that shares
no code with pg_weir.  Everything waits with a bound, fails by dying or by a
failed test, and is stopped, by its pid, when the test ends however it ends.

=cut

package WeirTest;

use strict;
use warnings;

my ($test_dir, $pgxs_src);

BEGIN
{
	require Cwd;
	require File::Basename;

	$test_dir = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/..');

	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	chomp(my $bindir = `$pg_config --bindir`);
	chomp(my $pgxs   = `$pg_config --pgxs`);
	die "$pg_config does not work" if $pgxs eq '';

	# .../pgxs/src/makefiles/pgxs.mk
	$pgxs_src = File::Basename::dirname(File::Basename::dirname($pgxs));
	unshift @INC, "$pgxs_src/test/perl";
	$ENV{PG_REGRESS} //= "$pgxs_src/test/regress/pg_regress";
	$ENV{PATH} = "$bindir:$ENV{PATH}";
}

use Carp;
use Exporter 'import';
use IPC::Open2;
use IPC::Run;
use Test::More;
use Time::HiRes qw(usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  weir_node poll_ok sql_when_up same_rows row_differences
  need_kafka kafka_start kafka_stop kafka_kill kafka_signal kafka_bootstrap
  kafka_secure_bootstrap kafka_certificate
  kafka_topic kafka_add_partitions kafka_delete_topic kafka_delete_records
  kafka_end_offsets kafka_produce kafka_transaction kafka_groups
  kafka_group_offsets
  kcat_dump kcat_load kcat_count kcat_produce
  broker_start broker_stop broker_bootstrap broker
);

# So that an interrupted test runs its END blocks.
$SIG{$_} = sub { die "interrupted\n" }
  foreach qw(INT TERM HUP);

# The one Kafka of this test: its directory and port once it has had one.
my %kafka;

# The one mock broker of this test: pid, in, out, bootstrap.
my %broker;

=head1 SERVERS

=over

=item weir_node(name, option => value ...)

A started server with pg_weir preloaded and the settings of
F<test/pg_weir.conf>; WAL as on a primary with standbys.  Options: C<fsync>
(default 0), C<restart_after_crash> (0: a crash that nobody planned fails the
test), C<conf> (text appended to postgresql.conf), C<extension> (1: CREATE
EXTENSION pg_weir in database postgres), C<start> (1), C<init> (hash of more
parameters for init).

=cut

sub weir_node
{
	my ($name, %opts) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		allows_streaming => 1,
		extra            => [ '--encoding=UTF8', '--locale=C.UTF-8' ],
		%{ $opts{init} // {} });
	$node->append_conf('postgresql.conf', slurp_file("$test_dir/pg_weir.conf"));
	$node->append_conf('postgresql.conf', 'fsync = on') if $opts{fsync};
	$node->append_conf('postgresql.conf', 'restart_after_crash = on')
	  if $opts{restart_after_crash};
	$node->append_conf('postgresql.conf', $opts{conf}) if $opts{conf};
	return $node unless $opts{start} // 1;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_weir')
	  if $opts{extension} // 1;
	return $node;
}

=item poll_ok(node, database, query, name [, expected])

Tests that the query comes to print C<expected> (C<t> by default) within
C<$PG_TEST_TIMEOUT_DEFAULT> seconds (180).

=cut

sub poll_ok
{
	my ($node, $database, $query, $name, $expected) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($database, $query, $expected), $name);
}

=item sql_when_up(node, database, query)

What the query prints, asked again for as long as there is no connection: after
a crash that need not be the last one, for a worker that was started before a
fault point was taken away reaches that once more.

=cut

sub sql_when_up
{
	my ($node, $database, $query) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($status, $out, $err) = $node->psql($database, $query);

		return $out if $status == 0;
		croak "$err while running $query" if $status != 2;
		usleep(100_000);
	}
	croak "no connection for $query";
}

=item same_rows(node, database, query_a, query_b, name, min => n)

Tests that both queries give the same rows, counting duplicates, and at least
C<min> (1) of them.  Each is run once, both under one snapshot.  On failure
some of the rows that differ are shown.

=item row_differences(node, database, query_a, query_b, min => n)

The same as a list of lines that say what is wrong, empty if nothing is.

=cut

sub same_rows
{
	my ($node, $database, $query_a, $query_b, $name, %opts) = @_;
	my @wrong = row_differences($node, $database, $query_a, $query_b, %opts);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!@wrong, $name);
	diag($_) for @wrong;
	return !@wrong;
}

sub row_differences
{
	my ($node, $database, $query_a, $query_b, %opts) = @_;
	my $min = $opts{min} // 1;
	my ($status, $stdout, $stderr) = $node->psql(
		$database, qq{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		CREATE TEMP TABLE a ON COMMIT DROP AS
		$query_a;
		CREATE TEMP TABLE b ON COMMIT DROP AS
		$query_b;
		CREATE TEMP TABLE only_a ON COMMIT DROP AS TABLE a EXCEPT ALL TABLE b;
		CREATE TEMP TABLE only_b ON COMMIT DROP AS TABLE b EXCEPT ALL TABLE a;
		SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b),
		       (SELECT count(*) FROM only_a), (SELECT count(*) FROM only_b);
		(SELECT 'only in first:  ' || r::text FROM only_a r ORDER BY 1 LIMIT 10);
		(SELECT 'only in second: ' || r::text FROM only_b r ORDER BY 1 LIMIT 10);
		COMMIT;
		}, on_error_stop => 1);
	return ("the comparison failed: $stderr") if $status != 0;

	my ($counts, @rows) = split /\n/, $stdout;
	my ($in_a, $in_b, $only_a, $only_b) = split /\|/, $counts;
	return (
		"$in_a and $in_b rows, $only_a only in the first, "
		  . "$only_b only in the second", @rows)
	  if $only_a + $only_b > 0;
	return ("equal, but $in_a rows where $min were expected")
	  if $in_a < $min;
	return ();
}

=back

=head1 REAL KAFKA

One broker a test, on three free loopback ports; see F<test/kafka/kafka>.  Each
call dies with what the script said when it failed.

=over

=item need_kafka()

Skips the whole test file when C<KAFKA=none> is in the environment.

=item kafka_start() kafka_start(password)

Starts the broker; after kafka_stop or kafka_kill it takes up its data again,
on the same port.  With a password it also listens for user C<weir>, by TLS.

=item kafka_stop() kafka_kill()

In order, and with kill -9.

=item kafka_signal(signal)

Sends the broker a signal: after STOP it takes connections and never answers,
until CONT.

=item kafka_bootstrap() kafka_secure_bootstrap() kafka_certificate()

For C<bootstrap_servers>; the same where a password is asked for, and the
certificate there, for C<ssl_ca_pem>.

=item kafka_topic(name, partitions, 'config=value' ...)
kafka_add_partitions(name, partitions in all) kafka_delete_topic(name) kafka_delete_records(name, partition, offset)

=item kafka_end_offsets(name)

A list with one offset a partition.

=item kafka_group_offsets(group)

What a consumer group has committed: "topic<TAB>partition<TAB>offset" lines.

=item kafka_groups(option ...)

What Kafka's own C<kafka-consumer-groups> prints.

=item kafka_produce(name, [partition, timestamp, key, value] ...)

Any bytes; timestamp in ms, undef for now; undef for a NULL key or value.

=item kafka_transaction('committed' or 'aborted', name, record ...)

The same in a transaction that ends so.

=cut

sub _kafka
{
	my (@args)   = @_;
	my $stdin    = ref $args[0] ? ${ shift @args } : '';
	my @command  = ("$test_dir/kafka/kafka", @args);
	my ($stdout, $stderr);

	# The test's own standard error must not reach the broker: prove would
	# wait for its end.
	IPC::Run::run(\@command, '<', \$stdin, '>', \$stdout, '2>', \$stderr)
	  or croak "@command: $stderr";
	return $stdout;
}

# The first of so many free ports in a row, reserved for this test.
sub _free_ports
{
	my ($wanted) = @_;
	my @ports;

	while (@ports < $wanted)
	{
		my $port = PostgreSQL::Test::Cluster::get_free_port();
		@ports = () if @ports && $ports[-1] + 1 != $port;
		push @ports, $port;
	}
	return $ports[0];
}

sub need_kafka
{
	plan(skip_all => 'KAFKA=none') if ($ENV{KAFKA} // '') eq 'none';
	return;
}

sub kafka_start
{
	my ($password) = @_;

	local $ENV{KAFKA_PASSWORD} = $password // '';
	if (!%kafka)
	{
		_kafka('setup');
		%kafka = (
			dir  => PostgreSQL::Test::Utils::tempdir('kafka'),
			port => _free_ports(3));
	}
	_kafka('start', $kafka{dir}, $kafka{port});
	return;
}

sub kafka_stop
{
	_kafka('stop', $kafka{dir});
	return;
}

sub kafka_kill
{
	_kafka('kill', $kafka{dir});
	return;
}

sub kafka_signal
{
	my ($signal) = @_;

	chomp(my $pid = slurp_file("$kafka{dir}/pid"));
	kill($signal, $pid) == 1 or croak "could not send SIG$signal to the broker";
	return;
}

sub kafka_bootstrap
{
	croak 'Kafka was not started' unless %kafka;
	return "127.0.0.1:$kafka{port}";
}

sub kafka_secure_bootstrap
{
	return 'localhost:' . ($kafka{port} + 2);
}

sub kafka_certificate
{
	return slurp_file("$kafka{dir}/tls.crt");
}

sub kafka_topic
{
	my ($topic, $partitions, @config) = @_;

	_kafka('topic', $kafka{port}, $topic, $partitions, @config);
	return;
}

sub kafka_add_partitions
{
	my ($topic, $partitions) = @_;

	_kafka('partitions', $kafka{port}, $topic, $partitions);
	return;
}

sub kafka_delete_topic
{
	my ($topic) = @_;

	_kafka('delete-topic', $kafka{port}, $topic);
	return;
}

sub kafka_delete_records
{
	my ($topic, $partition, $offset) = @_;

	_kafka('delete-records', $kafka{port}, $topic, $partition, $offset);
	return;
}

sub kafka_end_offsets
{
	my ($topic) = @_;

	return map { (split /\t/)[1] }
	  split /\n/, _kafka('end-offsets', $kafka{port}, $topic);
}

sub kafka_group_offsets
{
	my ($group) = @_;

	return _kafka('group-offsets', $kafka{port}, $group);
}

sub kafka_groups
{
	return _kafka('groups', $kafka{port}, @_);
}

sub kafka_produce
{
	return _kafka_produce('produce', @_);
}

sub kafka_transaction
{
	my ($end, @args) = @_;

	return _kafka_produce("produce-$end", @args);
}

sub _kafka_produce
{
	my ($verb, $topic, @records) = @_;
	my $lines = '';

	foreach my $record (@records)
	{
		my ($partition, $timestamp, $key, $value) = @$record;
		$lines .= join("\t",
			$partition, $timestamp // -1,
			map { defined $_ ? unpack('H*', $_) : '\N' } $key, $value) . "\n";
	}
	_kafka(\$lines, $verb, $kafka{port}, $topic);
	return;
}

=back

=head1 KCAT

The client that has nothing to do with pg_weir.  The last argument of each may
be C<< bootstrap => 'host:port' >>; without it they mean the test's Kafka.

=over

=item kcat_dump(topic, file)

Writes every record of the topic to the file, in the text format of COPY:
partition, offset, timestamp in ms, key, value; key and value as bytea, so that
no byte can be lost.  Returns the number of records.

=item kcat_load(node, database, table, topic)

The same into a new table (partition int, "offset" bigint, ts bigint, key
bytea, value bytea).  Returns the number of records.

=item kcat_count(topic [, partition])

The number of records that can be read, in one partition or in all.

=item kcat_produce(topic, partition, values ...)

One record a value, which may have no newline; -1 lets kcat choose the
partition.

=cut

sub _kcat_options
{
	my (%opts) = @_;

	return ('kcat', '-q', '-b', $opts{bootstrap} // kafka_bootstrap());
}

# Consume a topic from its beginning to its end, as kcat -f prints it.
sub _kcat_open
{
	my ($topic, $format, $partition, %opts) = @_;
	my @command = (
		_kcat_options(%opts), '-C', '-e',
		'-o', 'beginning', '-t', $topic, '-f', $format);

	push @command, '-p', $partition if defined $partition;
	open(my $pipe, '-|:raw', @command) or croak "could not run kcat: $!";
	return $pipe;
}

sub _kcat_close
{
	my ($pipe, $topic) = @_;

	close($pipe)
	  or croak "kcat could not read topic \"$topic\" (status $?, $!)";
	return;
}

# A key or value as COPY reads a bytea; kcat gives the length -1 for NULL.
sub _copy_bytea
{
	my ($bytes, $len) = @_;

	return $len < 0 ? '\N' : '\\\\x' . unpack('H*', $bytes);
}

sub kcat_dump
{
	my ($topic, $file, %opts) = @_;
	my $records = 0;

	# The lengths come first, so that the bytes may be any.
	my $pipe = _kcat_open($topic, '%p %o %T %K %S\n%k%s', undef, %opts);
	open(my $out, '>:raw', $file) or croak "could not write \"$file\": $!";
	while (my $head = <$pipe>)
	{
		my ($partition, $offset, $timestamp, $key_len, $value_len) =
		  $head =~ /^(\d+) (\d+) (-?\d+) (-?\d+) (-?\d+)$/
		  or croak "could not read kcat's output: $head";
		my @bytes;

		foreach my $len ($key_len, $value_len)
		{
			my $got = '';
			croak 'kcat\'s output is cut short'
			  if $len > 0 && read($pipe, $got, $len) != $len;
			push @bytes, _copy_bytea($got, $len);
		}
		print $out join("\t", $partition, $offset, $timestamp, @bytes), "\n";
		$records++;
	}
	_kcat_close($pipe, $topic);
	close($out) or croak "could not write \"$file\": $!";
	return $records;
}

sub kcat_load
{
	my ($node, $database, $table, $topic, %opts) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir('kcat') . '/dump';
	my $records = kcat_dump($topic, $file, %opts);

	$node->safe_psql(
		$database, qq{
		CREATE TABLE $table (partition int, "offset" bigint, ts bigint,
		                     key bytea, value bytea);
		COPY $table FROM '$file';
		ANALYZE $table;
		});
	unlink $file;
	return $records;
}

sub kcat_count
{
	my ($topic, @rest) = @_;
	my $partition = @rest % 2 ? shift @rest : undef;
	my $pipe = _kcat_open($topic, '.', $partition, @rest);
	my $records = 0;

	while (read($pipe, my $dots, 65536))
	{
		$records += length $dots;
	}
	_kcat_close($pipe, $topic);
	return $records;
}

sub kcat_produce
{
	my ($topic, $partition, @values) = @_;
	my $stdin = join('', map { "$_\n" } @values);
	my @command = (
		_kcat_options(), '-P', '-X', 'acks=all', '-t', $topic, '-p',
		$partition);
	my $stderr;

	IPC::Run::run(\@command, '<', \$stdin, '2>', \$stderr)
	  or croak "@command: $stderr";
	return;
}

=back

=head1 MOCK BROKER

One mock cluster a test, for faults; see F<test/broker/mock_broker.c>.

=over

=item broker_start(brokers, 'topic:partitions' ...)

=item broker(command)

Sends a command such as C<down 1> and dies unless the answer is ok.

=item broker_bootstrap() broker_stop()

=back

=cut

# One line from the mock broker, within 30 seconds.
sub _broker_line
{
	my $line;

	local $SIG{ALRM} = sub { croak 'the mock broker does not answer' };
	alarm 30;
	$line = readline($broker{out});
	alarm 0;
	croak 'the mock broker has ended' unless defined $line;
	chomp $line;
	return $line;
}

sub broker_start
{
	my ($brokers, @topics) = @_;

	system_or_bail('make', '-s', '-C', "$test_dir/broker");
	$broker{pid} = open2($broker{out}, $broker{in},
		"$test_dir/broker/mock_broker", _free_ports($brokers), $brokers,
		@topics);
	my ($bootstrap) = _broker_line() =~ /^ready (\S+)$/
	  or croak 'the mock broker did not start';
	$broker{bootstrap} = $bootstrap;
	return;
}

sub broker_bootstrap
{
	return $broker{bootstrap};
}

sub broker
{
	my ($command) = @_;

	print { $broker{in} } "$command\n";
	$broker{in}->flush;
	my $answer = _broker_line();
	croak "mock broker: $command: $answer" if $answer ne 'ok';
	return;
}

sub broker_stop
{
	return unless $broker{pid};
	kill 'KILL', $broker{pid};
	waitpid $broker{pid}, 0;
	%broker = ();
	return;
}

# Before the END blocks of PostgreSQL::Test, which remove the directories.
END
{
	my $status = $?;

	broker_stop();
	if (%kafka && -d $kafka{dir})
	{
		eval { _kafka('kill', $kafka{dir}); };
		warn $@ if $@;
	}
	$? = $status;
}

1;
