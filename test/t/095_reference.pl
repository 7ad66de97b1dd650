# docs/reference.md says what the catalog says: every option, function, view,
# table and setting, and every column of what a user may read has a comment.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;

use PostgreSQL::Test::Utils;

my $docs = "$FindBin::RealBin/../../docs";
my $node = weir_node('main');

# What docs/make-reference writes now.
my $copy = PostgreSQL::Test::Utils::tempdir() . '/reference.md';
system_or_bail('cp', "$docs/reference.md", $copy);
command_ok(
	[
		"$docs/make-reference", $copy,
		'-h', $node->host, '-p', $node->port, '-d', 'postgres'
	],
	'the reference can be made again');
my ($difference) = run_command([ 'diff', "$docs/reference.md", $copy ]);
is($difference, '', 'docs/reference.md is what docs/make-reference writes');

is( $node->safe_psql(
		'postgres', q{
		SELECT c.oid::regclass || '.' || a.attname
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'weir'::regnamespace AND c.relkind IN ('r', 'v')
		  AND c.relname !~ '^_' AND a.attnum > 0 AND NOT a.attisdropped
		  AND coalesce(col_description(c.oid, a.attnum), '') = ''}),
	'',
	'every column has a comment');

is( $node->safe_psql(
		'postgres', q{
		SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_weir')
		  AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass,
		                  'pg_foreign_data_wrapper'::regclass, 'pg_foreign_server'::regclass)
		  AND obj_description(objid, classid::regclass::name) IS NULL}),
	'',
	'every object has a comment');
is( $node->safe_psql(
		'postgres', q{
		SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
		WHERE d.refclassid = 'pg_class'::regclass AND d.classid IN ('pg_policy'::regclass, 'pg_class'::regclass)
		  AND d.refobjid IN (SELECT oid FROM pg_class WHERE relnamespace = 'weir'::regnamespace)
		  AND d.objid NOT IN (SELECT conindid FROM pg_constraint)
		  AND (d.classid = 'pg_policy'::regclass OR d.deptype = 'a' AND d.refobjsubid > 0 AND
		       (SELECT relkind = 'i' FROM pg_class WHERE oid = d.objid))
		  AND obj_description(d.objid, d.classid::regclass::name) IS NULL}),
	'',
	'so has every policy and every index that is not a key');

# Options: the first column of each table in a section, against the list in
# the hint of the error that a wrong option gets.
my $reference = slurp_file("$docs/reference.md");

sub documented
{
	my ($section, $heading) = @_;
	my ($text)  = $reference =~ /^#+ \Q$section\E\n(.*?)(?=^#+ )/ms or die $section;
	my ($table) = $text =~ /^\| \Q$heading\E \|.*\n\|[-|]+\n((?:\|.*\n)+)/m or die $heading;
	my @names;

	foreach my $row (split /\n/, $table)
	{
		my ($first) = $row =~ /^\| (.*?) \|/;
		push @names, $first =~ /`([^`]+)`/g;
	}
	return sort @names;
}

sub valid
{
	my ($statement) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', $statement);

	$stderr =~ /Valid options.*? are:? (.*)\.$/m or die $stderr;
	return sort split /, | and /, $1;
}

$node->safe_psql('postgres',
	q{CREATE SERVER kafka FOREIGN DATA WRAPPER weir_kafka OPTIONS (bootstrap_servers 'localhost:1')});

my @table = documented('Options of a table', 'option');
is_deeply(
	\@table,
	[ valid(q{CREATE FOREIGN TABLE t (a int) SERVER kafka OPTIONS (wrong '')}) ],
	'options of a table');
is_deeply(
	[ sort((grep { $_ ne 'topic' } @table), documented('Options of a table', 'option of a generator')) ],
	[ valid(q{CREATE FOREIGN TABLE t (a int) SERVER generator OPTIONS (wrong '')}) ],
	'options of a generator');
is_deeply(
	[ documented('Options of a column', 'option') ],
	[ valid(q{CREATE FOREIGN TABLE t (a int OPTIONS (wrong '')) SERVER generator}) ],
	'options of a column');
is_deeply(
	[ documented('Options of a Kafka server', 'option') ],
	[ valid(q{CREATE SERVER k FOREIGN DATA WRAPPER weir_kafka OPTIONS (wrong '')}) ],
	'options of a server');
is_deeply(
	[ documented('Options of a Kafka server', 'option of a user mapping') ],
	[ valid(q{CREATE USER MAPPING FOR PUBLIC SERVER kafka OPTIONS (wrong '')}) ],
	'options of a user mapping');
is_deeply(
	[ sort('weir.continuous', documented('Continuous views', 'option of a view')) ],
	[ valid(q{CREATE MATERIALIZED VIEW v WITH (weir.continuous, weir.wrong = 1) AS SELECT 1}) ],
	'options of a continuous view');

# What the documents name is there: a file of the project, a test, a heading.
sub anchor
{
	my ($heading) = @_;

	$heading =~ s/[^\w -]//g;
	$heading =~ s/ /-/g;
	return lc $heading;
}

my @missing;
foreach my $path (glob("$docs/*.md $docs/../README.md"))
{
	my $text = slurp_file($path);
	my ($directory, $name) = $path =~ m{(.*)/([^/]+)$};

	while ($text =~ /\]\(([^)#:]*)(?:#([^)]*))?\)/g)
	{
		my ($file, $heading) = ($1 eq '' ? $name : $1, $2);

		push @missing, "$name: $file" unless -e "$directory/$file";
		push @missing, "$name: $file#$heading"
		  if defined $heading && -e "$directory/$file"
		  && !grep { anchor($_) eq $heading } slurp_file("$directory/$file") =~ /^#+ (.*)/mg;
	}
	while ($text =~ m{`((?:test/)?(?:t|sql|pgtap|specs|containers)/[\w./]+)`}g)
	{
		my $test = $1;

		push @missing, "$name: $test"
		  unless -e "$docs/../test/$test" || -e "$docs/../$test";
	}
}
is(join("\n", @missing), '', 'what the documents name is there');

# Every line of these tables points to something that is run.
foreach my $name ('coming_from_spark.md', 'differences.md')
{
	my @without = grep { !/`[^`]+` \|$|\]\(tutorial\.md#[^)]+\) \|$/ }
	  grep { !/^\|[-| ]+$/ && !/(run by|test) \|$/ } slurp_file("$docs/$name") =~ /^(\|.*)/mg;

	is(join("\n", @without), '', "every line of $name names its test");
}

# The README has a result soon.
my @readme = split /\n/, slurp_file("$docs/../README.md");
my ($result) = grep { $readme[ $_ - 1 ] =~ /^\(\d+ rows\)$/ } 1 .. @readme;
cmp_ok($result, '<=', 76, 'README.md shows a result by line 76');

# Files that a document shows are shown as they are.
foreach my $path (glob("$docs/*.md"))
{
	my $text = slurp_file($path);

	while ($text =~ /^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$/msg)
	{
		is($2, slurp_file("$docs/../$1"), "$path shows $1");
	}
}

done_testing();
