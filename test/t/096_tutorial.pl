# The documents do what they say: every block of SQL and shell in
# docs/tutorial.md is run, from top to bottom, and what it prints is compared
# with the block of text below it; docs/testing_your_pipeline.md and README.md
# too.
#
# "text" is compared as it is.  "text like" is compared in its form: numbers,
# times and what is made of them may be others, and lines may come in any order
# and more often; behind a line of "…" words may be others too, and lines more.
# A query under \watch is repeated until it prints the like.  Blocks that begin
# with "docker" are about the containers and are run by their own suite; a block
# that is a file, as the line before it says, is run where the file is.  What
# needs root (sudo) is not run.
#
# WEIR_SHOW=1 prints what each block gave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Monitoring;
use Test::More;
use Time::HiRes qw(usleep);
use WeirTest;

use PostgreSQL::Test::Utils;

need_kafka();

my $root = "$FindBin::RealBin/../..";

# The blocks of a document: { language, form, text, section }.
sub blocks
{
	my ($file) = @_;
	my ($section, $shown, @blocks) = ('', 0);

	foreach (split /^(?=```|\#)/m, slurp_file($file))
	{
		$section = $1 if /^\#+ (.*)/;
		$shown   = 1  if /^<!-- file: /m;
		next unless /^```(\S+)(?: ([^\n]*))?\n(.*)/s;
		push @blocks,
		  { language => $1, form => $2 // '', text => $3, section => $section }
		  unless $shown;
		$shown = 0;
	}
	return @blocks;
}

# The form of a text, line by line: one blank between words, # for numbers,
# times and what is made of them; if loose, w for a word that is no heading.
sub forms
{
	my ($printed, $loose) = @_;
	# functions that return nothing, and the numbers of rows
	$printed =~ s/^ \w+ *\n-+\n *\n\(1 row\)\n//mg;
	my @lines = grep { !/^\(\d+ rows?\)$|^$/ } split /\n/, $printed;
	my %forms;

	foreach my $i (0 .. $#lines)
	{
		my $heading = $i < $#lines && $lines[ $i + 1 ] =~ /^-[-+]*$/;

		local $_ = $lines[$i];
		if (!$heading && !s/^-[-+]*$/---/)
		{
			s/(?<=[_"])[0-9a-f]{4,}(-[0-9a-f]{4,})*/#/g;
			s/[-+]?\b[0-9][-0-9:.,+]*/#/g;
			s{("\w+"): \S+}{$1: w}g || s/[A-Za-z_\/]+\#?/w/g if $loose;
		}
		s/\s+/ /g;
		s/ ?\+?$//;
		$forms{$_} = 1;
	}
	return \%forms;
}

# What a text lacks of another's form, and has beyond it.  A line of "…" ends
# what must be there: more may come, in whatever words.
sub forms_differ
{
	my ($is, $should) = @_;
	my $loose = $should =~ s/^ *…\n.*//ms;
	my $have  = forms($is, $loose);
	my $want  = forms($should, $loose);

	return join '',
	  map({ "missing: $_\n" } grep { !$have->{$_} } sort keys %$want),
	  map({ "extra: $_\n" } grep { !$loose && !$want->{$_} } sort keys %$have);
}

# One psql for all blocks of SQL, as the reader has it.
my ($psql, $psql_in, $psql_out, $psql_err, $psql_timer);

sub psql_start
{
	my ($node, $database) = @_;

	($psql_in, $psql_out, $psql_err) = ('', '', '');
	$psql_timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$psql = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr($database) ],
		'<', \$psql_in, '>', \$psql_out, '2>', \$psql_err, $psql_timer);
	return;
}

# Runs a block; gives whether it succeeded, what it printed, and its errors.
sub run_block
{
	my ($block) = @_;
	my ($stdout, $stderr) = ('', '');
	my $text = $block->{text};
	my $ok;

	if ($block->{language} eq 'sh')
	{
		$ok = IPC::Run::run([ 'bash', '-e', '-o', 'pipefail' ], '<', \$text, '>', \$stdout, '2>', \$stderr,
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	}
	else
	{
		($psql_out, $psql_err) = ('', '');
		$psql_in = "$text\n\\echo end of block\n\\warn end of block\n";
		$psql_timer->start;
		$psql->pump
		  until $psql_out =~ /^end of block\n/m && $psql_err =~ /^end of block\n/m
		  || $psql_timer->is_expired || !$psql->pumpable;
		($stdout, $stderr) = ($psql_out, $psql_err);
		$ok = $stdout =~ s/^end of block\n\z//m;
		$ok = $stderr =~ s/^end of block\n\z//m && $ok;
		$ok = 0 if $stderr =~ /^(?:\S+ )?(?:ERROR|FATAL):/m;
	}
	diag("$block->{text}\n$stdout$stderr") if $ENV{WEIR_SHOW};
	return ($ok, $stdout, $stderr);
}

sub run_document
{
	my ($file, %replace) = @_;
	my ($number, $stdout) = (0, '');

	my @blocks = blocks("$root/$file");

	while (my $block = shift @blocks)
	{
		my $name = "$file, $block->{section}, block " . ++$number;

		foreach my $from (keys %replace)
		{
			$block->{text} =~ s/\Q$from\E/$replace{$from}/g;
		}
		if ($block->{language} =~ /^(sql|sh)$/)
		{
			if ($block->{text} =~ /^(?:docker|sudo) /)
			{
				note("$name: not here");
				next;
			}
			my $watched = $block->{text} =~ s/\s*\\watch.*/;/g;
			my $until   = time + $PostgreSQL::Test::Utils::timeout_default;
			my ($ok, $stderr);

			do
			{
				($ok, $stdout, $stderr) = run_block($block);
			  } while ($watched && $ok && time < $until
				&& forms_differ($stdout, $blocks[0]{text}) ne '' && usleep(100_000));
			ok($ok, "$name runs") or diag($stderr);
		}
		elsif ($block->{form} eq 'like')
		{
			is(forms_differ($stdout, $block->{text}), '', "$name prints the like")
			  or diag($stdout);
		}
		elsif ($block->{language} eq 'text')
		{
			is($stdout =~ s/[ \t]+$//mgr =~ s/^\n+|\n+$//gr,
				$block->{text} =~ s/[ \t]+$//mgr =~ s/^\n+|\n+$//gr,
				"$name prints this");
		}
	}
	return;
}

kafka_start();
kafka_topic('streaming-events', 4);
my $node = weir_node('main');
my $bootstrap = kafka_bootstrap();
$node->safe_psql('postgres', 'CREATE DATABASE shop');
command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', "bootstrap_servers=$bootstrap",
		'-d', $node->connstr('shop'), '-f', "$root/docker/shop.sql"
	],
	'docker/shop.sql runs');
foreach my $view (split /\n/, $node->safe_psql('shop', 'SELECT view FROM weir.view'))
{
	poll_ok($node, 'shop', "SELECT sum(read) > 20000 FROM weir.checkpoint WHERE view = '$view'::regclass",
		"$view has read the shop's history");
}
$node->safe_psql('shop', 'CREATE ROLE metrics LOGIN; GRANT pg_monitor TO metrics');
exporter_start($node, 'metrics', 'shop');
prometheus_start();
prometheus_poll('count(events_produced_total > 20000)', 1, 'Prometheus has read the metrics');

psql_start($node, 'shop');
run_document('docs/tutorial.md', 'http://localhost:9090' => prometheus_url());
kafka_topic('test-orders', 1);
run_document('docs/testing_your_pipeline.md');
$psql->finish;

kafka_topic('shop', 4);
$node->safe_psql('postgres', 'CREATE DATABASE readme');
psql_start($node, 'readme');
run_document('README.md', 'localhost:9092' => $bootstrap);
$psql->finish;

done_testing();
