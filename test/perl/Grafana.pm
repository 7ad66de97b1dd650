=pod

=head1 NAME

Grafana - what Grafana would send to the database, without Grafana

=head1 SYNOPSIS

  use WeirTest;
  use Grafana;

  my $sql = grafana_sql($node, 'shop', 'weir-engine', 'Watermark age');
  my $answer = grafana_run($node, 'shop', $sql);      # as role grafana
  ... @{ $answer->{rows} } ...

=head1 DESCRIPTION

Reads the dashboards in F<grafana/dashboards>, fills in their variables by
running the variables' queries, as Grafana does when a dashboard is opened, and
expands the macros of its PostgreSQL data source as its source has them
(F<pkg/tsdb/grafana-postgresql-datasource/macros.go>): the argument list of a
macro ends at the first closing parenthesis, and a macro that is not known is
an error.

=cut

package Grafana;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename;
use JSON::PP;
use PostgreSQL::Test::Utils;
use POSIX qw(strftime);

our @EXPORT = qw(
  grafana_dir grafana_dashboards grafana_dashboard grafana_panels grafana_targets
  grafana_values grafana_fill grafana_expand grafana_sql grafana_run
);

my $role = 'grafana';

=over

=item grafana_dir()

The directory F<grafana> of the tree.

=cut

sub grafana_dir
{
	return dirname(__FILE__) . '/../../grafana';
}

=item grafana_dashboards()

All dashboards, as their JSON has them, with the name of the file as C<file>.

=item grafana_dashboard(uid)

=item grafana_panels(dashboard)

Its panels, rows left out, with those inside collapsed rows.

=item grafana_targets(panel, type)

The targets of a panel that go to a data source of this type:
C<grafana-postgresql-datasource> or C<prometheus>.

=cut

sub grafana_dashboards
{
	my @boards;

	foreach my $file (sort glob(grafana_dir() . '/dashboards/*.json'))
	{
		my $board = JSON::PP->new->utf8->decode(slurp_file($file));

		$board->{file} = basename($file);
		push @boards, $board;
	}
	return @boards;
}

sub grafana_dashboard
{
	my ($uid) = @_;
	my ($board) = grep { $_->{uid} eq $uid } grafana_dashboards();

	return $board // croak "there is no dashboard \"$uid\"";
}

sub grafana_panels
{
	my ($board) = @_;

	return grep { $_->{type} ne 'row' }
	  map { ($_, @{ $_->{panels} // [] }) } @{ $board->{panels} };
}

sub grafana_targets
{
	my ($panel, $type) = @_;

	return grep { $_->{datasource}{type} eq $type }
	  @{ $panel->{targets} // [] };
}

=item grafana_fill(text, values)

The text with its variables replaced; C<values> has a list for each name.  In
SQL a variable says how it is written: C<${name:raw}>, as it is, or
C<${name:sqlstring}>, each value as a literal.  In PromQL it is C<${name}>, a
regular expression inside a string.

=cut

sub grafana_fill
{
	my ($text, $values) = @_;
	my %formats = (
		raw       => sub { join ',', @_ },
		sqlstring => sub {
			join ',', map { (my $v = $_) =~ s/'/''/g; "'$v'" } @_;
		},
		promql => sub {
			my @names = map { s/([.*+?()\[\]{}|^\$\\])/\\\\$1/gr } @_;
			@names == 1 ? $names[0] : '(' . join('|', @names) . ')';
		});

	$text =~ s{\$\{(\w+)(?::(\w+))?\}}{
		my $format = $formats{$2 // 'promql'} // croak "unknown format \"$2\": $text";
		$format->(@{ $values->{$1} // croak "there is no variable \"$1\"" })
	}ge;
	return $text;
}

# A length of time as Grafana writes it, in seconds.
sub seconds
{
	my ($text) = @_;
	my %unit = (s => 1, m => 60, h => 3600, d => 86400);
	my ($number, $unit) = $text =~ /^(\d+)([smhd])$/
	  or croak "\"$text\" is no length of time";

	return $number * $unit{$unit};
}

=item grafana_expand(sql, from, to)

The SQL with its macros expanded for a time range in seconds since the epoch.

=cut

sub grafana_expand
{
	my ($sql, $from, $to) = @_;
	my ($start, $end) =
	  map { strftime("'%Y-%m-%dT%H:%M:%SZ'", gmtime $_) } $from, $to;
	my $group = sub {
		my ($column, $length) = @_;
		my $s = seconds($length =~ s/^'(.*)'$/$1/r);
		return "floor(extract(epoch from $column)/$s)*$s";
	};
	my %macros = (
		__time           => sub { qq{$_[0] AS "time"} },
		__timeEpoch      => sub { qq{extract(epoch from $_[0]) as "time"} },
		__timeFilter     => sub { "$_[0] BETWEEN $start AND $end" },
		__timeFrom       => sub { $start },
		__timeTo         => sub { $end },
		__timeGroup      => $group,
		__timeGroupAlias => sub { $group->(@_) . ' AS "time"' },
		__unixEpochFilter => sub { "$_[0] >= $from AND $_[0] <= $to" },
		__unixEpochFrom  => sub { $from },
		__unixEpochTo    => sub { $to });

	$sql =~ s/\$__interval_ms\b/15000/g;
	$sql =~ s/\$__interval\b/15s/g;
	$sql =~ s{\$([_a-zA-Z0-9]+)\(([^\)]*)\)}{
		my $macro = $macros{$1} // croak "unknown macro \"$1\": $sql";
		$macro->(map { s/^\s+|\s+$//gr } split /,/, $2)
	}ge;
	return $sql;
}

=item grafana_values(node, database, dashboard, option => value ...)

A list of values for each variable of the dashboard: the first row of what its
query gives, or all of them if all may be chosen, or none if it gives none.
Options: C<role>, and C<choose>, a hash of names and values to choose instead.

=cut

sub grafana_values
{
	my ($node, $database, $board, %opts) = @_;
	my %values;

	foreach my $variable (@{ $board->{templating}{list} })
	{
		next unless $variable->{type} eq 'query';
		my $name = $variable->{name};
		if (defined $opts{choose}{$name})
		{
			$values{$name} = [ $opts{choose}{$name} ];
			next;
		}
		my $answer = grafana_run($node, $database,
			grafana_fill($variable->{query}, \%values), %opts);
		croak "variable \"$name\": $answer->{error}" if $answer->{error};
		my @found = map { $_->[0] } @{ $answer->{rows} };
		@found = @found[ 0 .. 0 ] if @found && !$variable->{includeAll};
		$values{$name} = \@found;
	}
	return \%values;
}

=item grafana_sql(node, database, uid, title, option => value ...)

The SQL that Grafana sends for a panel.  Options: those of grafana_values,
C<values> instead of running the variables' queries, and C<from> and C<to> in
seconds since the epoch (the last half hour).

=cut

sub grafana_sql
{
	my ($node, $database, $uid, $title, %opts) = @_;
	my $board = grafana_dashboard($uid);
	my ($panel) = grep { $_->{title} eq $title } grafana_panels($board);
	croak "dashboard \"$uid\" has no panel \"$title\"" unless $panel;
	my ($target) = grafana_targets($panel, 'grafana-postgresql-datasource');
	croak "panel \"$title\" has no SQL" unless $target;
	my $values = $opts{values}
	  // grafana_values($node, $database, $board, %opts);

	# a second more, for what was written within this one
	return grafana_expand(grafana_fill($target->{rawSql}, $values),
		$opts{from} // time - 1800, $opts{to} // time + 1);
}

=item grafana_run(node, database, sql, role => name, times => n)

Runs it as the role C<grafana>, n times (1).  Returns a hash: C<error> (empty
if there was none), C<columns>, C<types>, C<rows> (lists of texts, undef for
NULL), and C<ms>, the median of the times taken.

=cut

my ($field, $record, $null) = ("\x1f", "\x1e", "\x1d");

sub grafana_run
{
	my ($node, $database, $sql, %opts) = @_;
	my $times = $opts{times} // 1;
	my ($out, $err);

	# Text and names may have any character but these three.
	my $status = $node->psql(
		$database, "$sql\n\\gdesc\n$sql\n\\g\n\\timing on\n" . "$sql\n\\g /dev/null\n" x $times,
		stdout        => \$out,
		stderr        => \$err,
		on_error_stop => 1,
		extra_params  => [
			'-U', $opts{role} // $role,
			'-F', $field, '-R', $record, '-P', "null=$null"
		]);
	return { error => $err } if $status != 0;

	# Without a newline at the end of a result, what follows is glued to it.
	my @ms = sort { $a <=> $b } $out =~ /^Time: ([\d.]+) ms/mg;
	$out =~ s/\n?(?:^Time: .*\n?)+\z//m;
	my ($types, $rows) = split /\n/, $out, 2;
	my @described = map { [ split /$field/, $_, -1 ] } split /$record/, $types;

	return {
		error   => '',
		columns => [ map { $_->[0] } @described ],
		types   => [ map { $_->[1] } @described ],
		rows    => [
			map {
				[ map { $_ eq $null ? undef : $_ } split /$field/, $_, -1 ]
			} split /$record/, $rows // ''
		],
		ms => $ms[ $#ms / 2 ]
	};
}

=back

=cut

1;
