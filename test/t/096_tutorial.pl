# The documents do what they say: every block of SQL and shell in
# docs/tutorial.md is run, from top to bottom, and what it prints is compared
# with the block of text below it.
#
# "text" is compared as it is.  "text like" is compared in its form: numbers,
# times and what is made of them may be others, lines may come in any order and
# more often, and a line of "…" stands for any more.  Blocks that begin with
# "docker" are about the containers and are run by their own suite.
#
# WEIR_SHOW=1 prints what each block gave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

use PostgreSQL::Test::Utils;

need_kafka();

my $root = "$FindBin::RealBin/../..";

# The blocks of a document: { language, form, text, section }.
sub blocks
{
	my ($file) = @_;
	my ($section, @blocks) = ('');

	foreach (split /^(?=```|\#)/m, slurp_file($file))
	{
		$section = $1 if /^\#+ (.*)/;
		next unless /^```(\S+)(?: ([^\n]*))?\n(.*)/s;
		push @blocks,
		  { language => $1, form => $2 // '', text => $3, section => $section };
	}
	return @blocks;
}

# A line's form: one blank between words, # for what differs each time.
sub form_of
{
	my ($line) = @_;

	return '---' if $line =~ /^-[-+]*$/;
	$line =~ s/[-+]?\b[0-9][-0-9:.,+]*/#/g;
	$line =~ s/(?<=[_"-])[0-9a-f-]{4,}/#/g;
	$line =~ s/\s+/ /g;
	$line =~ s/ \+?$//;
	return $line;
}

sub forms_differ
{
	my ($is, $should) = @_;
	my %is     = map { form_of($_) => 1 } grep { !/^\(\d+ rows?\)$/ } split /\n/, $is;
	my %should = map { form_of($_) => 1 } grep { !/^\(\d+ rows?\)$/ } split /\n/, $should;
	my $more   = grep { delete $should{$_} } grep { /^ ?…$/ } keys %should;
	my @missing = grep { !$is{$_} } sort keys %should;
	my @extra = $more ? () : grep { !$should{$_} } sort keys %is;

	return join '', map({ "missing: $_\n" } @missing), map({ "extra: $_\n" } @extra);
}

# One psql for all blocks of SQL, as the reader has it.
my ($psql, $psql_in, $psql_out, $psql_err, $psql_timer);

sub psql_start
{
	my ($node) = @_;

	($psql_in, $psql_out, $psql_err) = ('', '', '');
	$psql_timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$psql = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('shop') ],
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
		$text =~ s/\s*\\watch.*/;/g;
		($psql_out, $psql_err) = ('', '');
		$psql_in = "$text\n;\n\\echo end of block\n\\warn end of block\n";
		$psql_timer->start;
		$psql->pump
		  until $psql_out =~ /^end of block$/m && $psql_err =~ /^end of block$/m
		  || $psql_timer->is_expired || !$psql->pumpable;
		($stdout, $stderr) = ($psql_out, $psql_err);
		$ok = $stdout =~ s/^end of block\n\z//m && $stderr =~ s/^end of block\n\z//m
		  && $stderr !~ /^(?:\S+ )?(?:ERROR|FATAL):/m;
	}
	diag("$block->{text}\n$stdout$stderr") if $ENV{WEIR_SHOW};
	return ($ok, $stdout, $stderr);
}

sub run_document
{
	my ($file, %replace) = @_;
	my ($number, $stdout) = (0, '');

	foreach my $block (blocks("$root/docs/$file"))
	{
		my $name = "$file, $block->{section}, block " . ++$number;

		foreach my $from (keys %replace)
		{
			$block->{text} =~ s/\Q$from\E/$replace{$from}/g;
		}
		if ($block->{language} =~ /^(sql|sh)$/)
		{
			if ($block->{text} =~ /^docker /)
			{
				note("$name: for the containers");
				next;
			}
			(my $ok, $stdout, my $stderr) = run_block($block);
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
psql_start($node);
run_document('tutorial.md');
$psql->finish;

done_testing();
