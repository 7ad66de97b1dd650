# Closed windows as Parquet: tools/warehouse writes with one library what
# another one reads back, and it is what SQL says, however often the export
# ran and was killed.

use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WeirTest;
use PostgreSQL::Test::Utils;

my $root  = "$FindBin::RealBin/../..";
my $dir   = PostgreSQL::Test::Utils::tempdir('warehouse');
my $files = "$dir/files";

# The wheels, into a directory of this test.
{
	my ($out, $err);
	if (!IPC::Run::run([ "$root/test/warehouse/fetch" ], '>', \$out, '2>', \$err))
	{
		die $err unless $err =~ /from versions: none/;
		plan(skip_all => 'PyPI cannot be reached');
	}
	local $ENV{HOME} = $dir;
	system_or_bail('python3', '-m', 'pip', 'install', '-q', '--no-index',
		'--disable-pip-version-check', '--no-compile', '--no-cache-dir', '--find-links',
		"$root/test/warehouse/wheels", '--require-hashes', '-r',
		"$root/test/warehouse/requirements.txt", '--target', "$dir/python");
	$ENV{PYTHONPATH} = "$dir/python";
	$ENV{HOME}       = $dir;
}

my $node = weir_node('main');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;

sub sql
{
	return $node->safe_psql('postgres', @_);
}

# What an export prints, or why it failed.
sub export
{
	my ($view, @options) = @_;
	my ($out, $err);

	IPC::Run::run([ "$root/tools/warehouse", '-d', 'postgres', @options, $view, $files ],
		'>', \$out, '2>', \$err);
	return $out . $err;
}

# All that is exported of a view, into a table of the same name behind "back_".
sub read_back
{
	my ($view, $directory) = @_;
	my $rows = "$dir/rows";
	my $err;

	IPC::Run::run([ 'python3', "$root/test/warehouse/read.py", 'rows', "$files/$directory" ],
		'>', $rows, '2>', \$err)
	  or die "the files could not be read: $err";
	sql(qq{
		DROP TABLE IF EXISTS back;
		CREATE TABLE back (LIKE $view);
		ALTER TABLE back ADD day date;
		COPY back FROM '$rows' (FORMAT csv, NULL '\\N');
		});
	return;
}

# Tests that the files hold the rows that closed up to their end, on the day
# on which they closed.  @columns replace those that were rounded.
sub holds
{
	my ($view, $directory, $name, %opts) = @_;
	my $to = exported_to($directory);

	read_back($view, $directory);
	same_rows($node, 'postgres', 'TABLE back', qq{
		SELECT @{[ $opts{columns} // '*' ]}, ((window_end - interval '1 us') AT TIME ZONE 'UTC')::date AS day
		FROM $view WHERE window_end <= '$to'}, $name, min => $opts{min} // 1000);
	return;
}

sub files_of
{
	my ($directory) = @_;

	my @found = sort glob "\Q$files/$directory\E/day=*/*";
	return @found;
}

# The greatest end among the names of the files.
sub exported_to
{
	my ($directory) = @_;
	my ($end) = sort { $b cmp $a } map { /_(\d{8}T\d{6}\.\d{6}Z)\.parquet$/ } files_of($directory);

	return $end =~ s/(....)(..)(..)T(..)(..)/$1-$2-$3 $4:$5:/r;
}

#
# Fifty hours of events, of which some close while we look on
#

sql(q{
	CREATE FOREIGN TABLE events (event_type text, total_amount numeric, device text,
		ts timestamptz OPTIONS (field 'timestamp'))
		SERVER generator OPTIONS (kind 'ecommerce', start '-50 hours', rate '0.5', seed '3', event_time 'ts');
	CREATE SCHEMA "the shop";
	CREATE MATERIALIZED VIEW "the shop"."all / types" WITH (weir.continuous) AS
	SELECT window_start, window_end, event_type || E', "quoted"\n\\\\N \u20ac''' AS "the type",
	       nullif(device, 'mobile') AS device, CASE device WHEN 'mobile' THEN '' ELSE '\N' END AS empty,
	       count(*) AS events, sum(total_amount) AS revenue, sum(total_amount)::numeric(12,2) AS exact,
	       avg(total_amount) AS average, sum(total_amount) / 30000000 AS tiny, max(ts) AS last,
	       bool_or(device = 'mobile') AS mobile, count(*)::int AS small, -sum(total_amount)::float8 / 3 AS float,
	       jsonb_set('{"n": 1.50}', ARRAY[left(event_type, 3)], '"x, y"') AS doc
	FROM events, weir.tumble(ts, '10 seconds') GROUP BY window_start, window_end, event_type, device;
	});

# Days of a zone in which it is about noon: none ends while the test runs.
my $zone = sprintf('Etc/GMT%+d', (gmtime)[2] - 12) =~ s/\+0$//r;
my $days = "SELECT window_start, window_end, count(*) AS events
	FROM events, weir.tumble(ts, '1 day', '$zone') GROUP BY window_start, window_end";
sql("CREATE MATERIALIZED VIEW per_day WITH (weir.continuous) AS $days");
my $view      = '"the shop"."all / types"';
my $directory = 'the shop.all _ types';
sql(qq{SELECT weir.wait('$view', '3 minutes'), weir.wait('per_day', '3 minutes')});

my @options = ('--column', 'tiny=decimal(38,28)');
like(export($view), qr/^warehouse: \d+ values of column "tiny" are not exact as decimal\(38,18\): choose --column tiny=/,
	'a number that would have to be rounded is refused');
is(scalar(files_of($directory)), 0, 'and nothing is written');

# psql that ends the export in the middle of its second file.
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
chomp(my $bindir = `$pg_config --bindir`);
my $psql = "$bindir/psql";
mkdir "$dir/bin";
append_to_file("$dir/bin/psql", <<"END");
#!/bin/sh
cat >$dir/script
if grep -q '^COPY' $dir/script
then
	echo >>$dir/copies
	if [ "\$(wc -l <$dir/copies)" -eq 2 ]
	then
		$psql "\$@" <$dir/script | head -c 100000
		kill -9 \$PPID
	fi
fi
exec $psql "\$@" <$dir/script
END
chmod 0755, "$dir/bin/psql";
{
	local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
	export($view, @options);
}
is(scalar(files_of($directory)), 1, 'an export that was killed has written one day');
holds($view, $directory, 'which is whole', min => 1);

like(export($view, @options), qr/(.*day=.*: \d+ rows\n){2}/, 'the next one writes the other days');
is(scalar(() = glob "\Q$files/$directory\E/day=*/.*.tmp"), 0, 'and leaves nothing else');
holds($view, $directory, 'every closed row is there once', min => 50000);

IPC::Run::run([ 'python3', "$root/test/warehouse/read.py", 'schema', "$files/$directory" ], '>', \my $schema);
is($schema, <<'END', 'types of the columns');
window_start: timestamp[us, tz=UTC]
window_end: timestamp[us, tz=UTC]
the type: string
device: string
empty: string
events: int64
revenue: decimal128(38, 18)
exact: decimal128(12, 2)
average: decimal128(38, 18)
tiny: decimal128(38, 28)
last: timestamp[us, tz=UTC]
mobile: bool
small: int32
float: double
doc: string
day: string
END

# Again, and when more has closed.
foreach my $round (1, 2)
{
	my $before = exported_to($directory);
	my $count  = files_of($directory);

	poll_ok($node, 'postgres', "SELECT weir.closed_to('$view') > '$before'", 'more windows close');
	poll_ok($node, 'postgres', "SELECT count(*) > 0 FROM $view WHERE window_end > '$before' AND window_end <= weir.closed_to('$view')",
		'with rows in them');
	export($view, @options);
	cmp_ok(scalar(files_of($directory)), '>', $count, 'a later export adds a file');
	holds($view, $directory, 'and every closed row is there once', min => 50000);
}

# A coarser window: no row is new.
like(export('per_day'), qr/day=.*: 1 rows/, 'a view of days');
like(export('per_day'), qr/^per_day: nothing has closed since$/m, 'of which none has closed since');
holds('per_day', 'per_day', 'is in its directory', min => 2);

# Rounding is there for who asks for it.
$files = "$dir/rounded";
export($view, '--column', 'tiny=text', '--column', 'average=decimal(20,3)', '--column', 'revenue=double');
holds($view, $directory, 'rounded as asked', min => 50000, columns => q{
	window_start, window_end, "the type", device, empty, events, revenue::float8::numeric AS revenue, exact,
	round(average, 3) AS average, tiny, last, mobile, small, "float", doc});

#
# Errors
#

$files = "$dir/files";
like(export($view, '--column', 'tiny=double'), qr/has other columns: .*tiny.*give the same --column options/,
	'files of one view have the same columns');
like(export($view, '--column', 'nothing=text'), qr/the columns are window_start, /, 'no such column');
like(export($view, '--column', 'tiny=int128'), qr/a type is text, decimal\(p,s\), bigint/, 'no such type');
like(export('pg_class'), qr/^warehouse: pg_class is no continuous view$/m, 'no continuous view');
like(export('nowhere'), qr/ERROR:  relation "nowhere" does not exist/, 'no such view');
{
	open(my $lock, '>', "$files/$directory/.lock") or die $!;
	flock($lock, LOCK_EX);
	like(export($view, @options), qr/another export to .* is running/, 'one at a time');
}
sql('DROP VIEW per_day');
sql("CREATE MATERIALIZED VIEW per_day WITH (weir.continuous, weir.lateness = '24 hours') AS $days");
sql(q{SELECT weir.wait('per_day', '3 minutes')});
like(export('per_day'), qr/it is another view now, and needs another directory/,
	'a view that was made anew');
{
	local $ENV{PYTHONPATH} = '';
	like(export($view), qr/Python has no package duckdb: run "pip install duckdb"/, 'without DuckDB');
}

done_testing();
