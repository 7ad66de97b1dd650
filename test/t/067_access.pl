# A broker that asks for a password, by TLS: who may connect, with whose user
# mapping, and what becomes of a view when that changes under its reader.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

need_kafka();
kafka_start('open sesame');
kafka_topic('orders', 2);

my $node        = weir_node('main', conf => "weir.batch_time = 50\n");
my $bootstrap   = kafka_secure_bootstrap();
my $certificate = kafka_certificate();
my $n           = 0;

sub sql
{
	return $node->safe_psql('postgres', @_);
}

sub error_of
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);

	return $status == 0 ? '' : $err;
}

# Records that another client sends, where no password is asked for.
sub send_orders
{
	my ($count) = @_;

	kafka_produce('orders', map { [ $_ % 2, undef, undef, sprintf('{"n": %d, "ts": "2024-03-01T10:00:00Z"}', $n++) ] } 1 .. $count);
	return;
}

sub reads_all
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres', 'SELECT sum(orders) FROM per_hour', $name, $n);
}

sub reader_says
{
	my ($pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_ok($node, 'postgres',
		"SELECT count(*) > 0 FROM weir.stat_worker WHERE kind = 'reader' AND error ~* '$pattern'", $name);
}

sub reader
{
	return sql(q{SELECT pid FROM weir.stat_worker WHERE kind = 'reader'});
}

sql(qq{
	CREATE ROLE alice;
	GRANT CREATE ON SCHEMA public TO alice;
	CREATE SERVER unknown FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap',
		security_protocol 'sasl_ssl', sasl_mechanism 'PLAIN');
	CREATE USER MAPPING FOR PUBLIC SERVER unknown OPTIONS (sasl_username 'weir', sasl_password 'open sesame');
	CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers '$bootstrap',
		security_protocol 'sasl_ssl', sasl_mechanism 'PLAIN', ssl_ca_pem '$certificate');
	GRANT USAGE ON FOREIGN SERVER kafka TO alice;
	CREATE FOREIGN TABLE nobody_s (n int) SERVER unknown OPTIONS (topic 'orders');
	CREATE FOREIGN TABLE orders (n int, ts timestamptz) SERVER kafka OPTIONS (topic 'orders', event_time 'ts');
	GRANT SELECT, INSERT ON orders TO alice});

#
# Statements
#

like(error_of('SELECT * FROM nobody_s'), qr/ERROR:  could not .*certificate/is, 'a broker that shows an unknown certificate');
like(error_of('SET ROLE alice; SELECT * FROM orders'), qr/ERROR:  .*(username|password|authenticat)/is, 'no user mapping');
sql(q{CREATE USER MAPPING FOR alice SERVER kafka OPTIONS (sasl_username 'weir', sasl_password 'wrong')});
like(error_of('SET ROLE alice; SELECT * FROM orders'), qr/ERROR:  could not .*authenticat/is, 'a wrong password');
unlike(error_of('SET ROLE alice; SELECT * FROM orders'), qr/wrong/, 'which is not shown');
sql(q{ALTER USER MAPPING FOR alice SERVER kafka OPTIONS (SET sasl_password 'open sesame')});
sql(q{SET ROLE alice; INSERT INTO orders SELECT i, '2024-03-01 10:00Z' FROM generate_series(1, 10) i});
$n += 10;
is(sql('SET ROLE alice; SELECT count(*) FROM orders'), $n, 'the right one: INSERT and SELECT');
is(kcat_count('orders'), $n, 'another client finds it');

#
# A view
#

sql(q{SET ROLE alice; CREATE MATERIALIZED VIEW per_hour WITH (weir.continuous) AS
	SELECT window_start, window_end, count(*) AS orders FROM orders, weir.tumble(ts, '1 hour')
	GROUP BY window_start, window_end});
send_orders(20);
reads_all('the view reads with the mapping of its owner');

# The mapping goes: so does the connection that was made with it.
my $before = reader();
sql('DROP USER MAPPING FOR alice SERVER kafka');
send_orders(30);
reader_says('username|password|authenticat', 'without a mapping its reader cannot connect');
isnt(reader(), $before, 'which is another one');
like(sql(q{SELECT string_agg(w, ' ') FROM weir.why('per_hour') w}), qr/cannot read/, 'and weir.why says so');
cmp_ok(sql('SELECT sum(orders) FROM per_hour'), '<', $n, 'it has not read what came since');
sql(q{CREATE USER MAPPING FOR alice SERVER kafka OPTIONS (sasl_username 'weir', sasl_password 'open sesame')});
reads_all('with one it goes on');

# A mapping of another role is none of its business.
$before = reader();
sql(q{CREATE USER MAPPING FOR CURRENT_USER SERVER kafka OPTIONS (sasl_username 'weir', sasl_password 'open sesame')});
send_orders(10);
reads_all('another mapping is made');
is(reader(), $before, 'the reader stays');

# Another password, which the broker asks for from its restart on.
kafka_stop();
kafka_start('new one');
reader_says('authenticat', 'the old password is refused');
sql(q{ALTER USER MAPPING FOR alice SERVER kafka OPTIONS (SET sasl_password 'new one')});
send_orders(10);
reads_all('with the new one it goes on');
is(sql(q{SELECT count(*) FROM weir.checkpoint WHERE read <> aggregated OR next_offset - start <> read}), '0', 'and nothing was lost');
sql(q{SELECT weir.wait('per_hour', '1 minute')});

# An option of the server that may be changed while views read.
$before = reader();
sql(q{ALTER SERVER kafka OPTIONS (ADD ssl_cipher_suites 'DEFAULT')});
poll_ok($node, 'postgres', qq{SELECT count(*) = 1 FROM weir.stat_worker WHERE kind = 'reader' AND pid <> $before},
	'the server is altered: a reader with its new options');
send_orders(10);
reads_all('goes on');

done_testing();
