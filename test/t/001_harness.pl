# What the other tests rely on: a comparison that sees every difference, a
# Kafka that keeps what it acknowledged, and a client that loses no byte.

use strict;
use warnings;
use Test::More;
use WeirTest;

my $node = weir_node('main', extension => 0);

sub differences
{
	return join "\n", row_differences($node, 'postgres', @_);
}

is($node->safe_psql('postgres', 'SHOW server_encoding'),
	'UTF8', 'text is checked as UTF-8');

is(differences('VALUES (1), (2), (2)', 'VALUES (2), (1), (2)', min => 3),
	'', 'order does not matter');
is( differences('VALUES (1), (2), (2)', 'VALUES (1), (2)'),
	"3 and 2 rows, 1 only in the first, 0 only in the second\n"
	  . 'only in first:  (2)',
	'duplicates count');
is( differences('VALUES (1)', 'VALUES (1), (3)'),
	"1 and 2 rows, 0 only in the first, 1 only in the second\n"
	  . 'only in second: (3)',
	'rows only in the second are seen');
is( differences('VALUES (1)', 'VALUES (1)', min => 2),
	'equal, but 1 rows where 2 were expected',
	'too few rows are seen');
is( differences('SELECT 1 WHERE false', 'SELECT 1 WHERE false'),
	'equal, but 0 rows where 1 were expected',
	'two empty results prove nothing');
like(differences('SELECT 1/0', 'SELECT 1'),
	qr/division by zero/, 'a query that fails is not equal');

# The mock broker.
broker_start(2, 't:3');
is(kcat_count('t', bootstrap => broker_bootstrap()), 0, 'the mock broker answers');
broker($_) foreach 'down 2', 'up 2', 'leader t 0 2', 'error Fetch 1 INVALID_MSG';
ok(!eval { broker('down 3'); 1; }, 'a refused command dies');
like($@, qr/no such broker/, 'with the reason');
broker_stop();

SKIP:
{
	skip 'KAFKA=none', 8 if ($ENV{KAFKA} // '') eq 'none';

	my $bytes = join '', map { chr } 0 .. 255;

	kafka_start();
	kafka_topic('t', 4);
	kafka_produce('t', [ 0, 1000, undef, $bytes ], [ 1, 2000, 'k', undef ],
		[ 2, undef, '', "a\tb\n\\" ]);
	kcat_produce('t', 3, 'one', 'two');
	is(join(' ', kafka_end_offsets('t')), '1 1 1 2', 'end offsets');
	is(kcat_count('t', 3), 2, 'records of one partition');
	is(kcat_load($node, 'postgres', 'dump', 't'), 5, 'records of all');
	is( $node->safe_psql(
			'postgres',
			q{SELECT partition, "offset", CASE WHEN ts < 10000 THEN ts END,
			         key, value
			  FROM dump ORDER BY 1, 2}),
		join("\n",
			'0|0|1000||\x' . unpack('H*', $bytes),
			'1|0|2000|\x6b|',
			'2|0||\x|\x6109620a5c',
			'3|0|||\x6f6e65',
			'3|1|||\x74776f'),
		'every byte, NULL and timestamp survives');

	kafka_kill();
	kafka_start();
	is(kcat_count('t'), 5, 'kill -9 of the broker loses nothing');

	kafka_delete_records('t', 3, 1);
	is(kcat_count('t'), 4, 'deleted records are gone');

	kafka_delete_topic('t');
	kafka_topic('t', 1);
	is(kcat_count('t'), 0, 'a topic can be made anew');
	ok(!eval { kafka_topic('t', 1); 1; }, 'but not twice');
}

done_testing();
