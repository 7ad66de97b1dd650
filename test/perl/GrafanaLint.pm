=pod

=head1 NAME

GrafanaLint - rules for the dashboards and the provisioning of Grafana

=head1 SYNOPSIS

  use GrafanaLint;

  my @complaints = lint_dashboard($board);

=head1 DESCRIPTION

There is no Grafana to try them with, so these rules stand for what it would
refuse, or show wrong, and for what a reader of a panel needs.  Each gives
sentences that say what is wrong; none is well.

=cut

package GrafanaLint;

use strict;
use warnings;

use Exporter 'import';
use Grafana;

our @EXPORT = qw(lint_dashboard lint_provisioning promql_names);

my %plugin = (
	datasource => 'grafana-postgresql-datasource',
	prometheus => 'prometheus');

my %known_unit = map { $_ => 1 } qw(none short string cps s bytes percentunit
  currencyUSD dateTimeAsIso);

my %known_panel = map { $_ => 1 } qw(stat timeseries table bargauge piechart);

=over

=item lint_dashboard(dashboard)

=cut

sub lint_dashboard
{
	my ($board) = @_;

	return (
		lint_head($board), lint_sources($board), lint_variables($board),
		lint_layout($board), map { lint_panel($_) } grafana_panels($board));
}

sub lint_head
{
	my ($board) = @_;
	my @wrong;

	push @wrong, 'it has an id' if defined $board->{id};
	push @wrong, 'its uid does not begin with weir-'
	  if ($board->{uid} // '') !~ /^weir-[a-z]+$/;
	push @wrong, "it has no $_"
	  foreach grep { !length($board->{$_} // '') } qw(title description);
	push @wrong, 'it is not refreshed every 1 to 5 s'
	  if ($board->{refresh} // '') !~ /^[1-5]s$/;
	push @wrong, 'its schemaVersion is not between 39 and 42'
	  if ($board->{schemaVersion} // 0) < 39 || $board->{schemaVersion} > 42;
	return @wrong;
}

# Data sources are named by a variable, so that an import elsewhere works.
sub lint_sources
{
	my ($board) = @_;
	my %variable = map { $_->{name} => $_->{query} }
	  grep { $_->{type} eq 'datasource' } @{ $board->{templating}{list} };
	my @wrong;
	my $look;

	$look = sub {
		my ($what, $where) = @_;
		if (ref $what eq 'ARRAY')
		{
			$look->($_, $where) foreach @$what;
			return;
		}
		return unless ref $what eq 'HASH';
		$where = $what->{title} // $what->{name} // $where;
		if (exists $what->{datasource})
		{
			my $uid = eval { $what->{datasource}{uid} } // '';
			my ($name) = $uid =~ /^\$\{(\w+)\}$/;
			if (!$name || !$variable{$name})
			{
				push @wrong, "$where: its data source is not a variable";
			}
			elsif ($variable{$name} ne $what->{datasource}{type}
				|| $variable{$name} ne ($plugin{$name} // ''))
			{
				push @wrong, "$where: its data source is of another type";
			}
		}
		elsif ($where ne 'target' && ($what->{targets} || $what->{expr} || $what->{rawSql}))
		{
			push @wrong, "$where: it has no data source";
		}
		$look->($_, $where) foreach @{$what}{ sort keys %$what };
	};
	$look->($board, $board->{title});
	return @wrong;
}

sub lint_variables
{
	my ($board) = @_;
	my @wrong;

	foreach my $variable (@{ $board->{templating}{list} })
	{
		my $name = $variable->{name};
		push @wrong, "variable $name: it is never loaded again"
		  if ($variable->{refresh} // 0) < 1;
		push @wrong, "variable $name: what was chosen last is saved"
		  if %{ $variable->{current} // {} } || @{ $variable->{options} // [] };
		next if $variable->{type} eq 'datasource';
		push @wrong, "variable $name: its type is not query"
		  if $variable->{type} ne 'query';
		push @wrong, map { "variable $name: $_" } lint_sql($variable->{query});
	}
	return @wrong;
}

# Ids, titles and places of panels.
sub lint_layout
{
	my ($board) = @_;
	my (%ids, %titles, %taken);
	my @wrong;

	foreach my $panel (@{ $board->{panels} })
	{
		my ($title, $at) = @{$panel}{qw(title gridPos)};
		push @wrong, "$title: another panel has its id" if $ids{ $panel->{id} }++;
		push @wrong, "$title: another panel has its title" if $titles{$title}++;
		push @wrong, "$title: it is beyond the 24 columns"
		  if $at->{x} < 0 || $at->{w} < 1 || $at->{x} + $at->{w} > 24;
		my @cells = map {
			my $y = $_;
			map { "$_,$y" } $at->{x} .. $at->{x} + $at->{w} - 1
		} $at->{y} .. $at->{y} + $at->{h} - 1;
		push @wrong, "$title: it lies over another panel"
		  if grep { $taken{$_}++ } @cells;
	}
	return @wrong;
}

sub lint_panel
{
	my ($panel) = @_;
	my $title    = $panel->{title} // '';
	my $defaults = $panel->{fieldConfig}{defaults} // {};
	my @units    = map { $_->{value} } grep { $_->{id} eq 'unit' }
	  map { @{ $_->{properties} } } @{ $panel->{fieldConfig}{overrides} // [] };
	my @wrong;

	push @wrong, 'it has no title' if $title eq '';
	push @wrong, 'its description is no sentence'
	  if ($panel->{description} // '') !~ /^[A-Z0-9].*\.$/;
	push @wrong, "nobody has looked at panels of type $panel->{type}"
	  unless $known_panel{ $panel->{type} };
	push @wrong, 'it has no unit' unless $defaults->{unit};
	push @wrong, map { "Grafana has no unit $_" }
	  grep { !$known_unit{$_} } grep { defined } $defaults->{unit}, @units;
	my $steps = $defaults->{thresholds}{steps} // [];
	push @wrong, 'it has no thresholds' unless @$steps;
	push @wrong, 'its first threshold is not that of all values'
	  if @$steps && defined $steps->[0]{value};
	push @wrong, 'its thresholds do not ascend'
	  if grep { $steps->[$_]{value} <= ($steps->[ $_ - 1 ]{value} // '-inf') } 1 .. $#$steps;
	push @wrong, 'it asks nothing' unless @{ $panel->{targets} // [] };
	push @wrong, map { lint_target($panel, $_) } @{ $panel->{targets} // [] };
	return map { "$title: $_" } @wrong;
}

sub lint_target
{
	my ($panel, $target) = @_;
	my $series = $panel->{type} eq 'timeseries';
	my @wrong;

	if ($target->{datasource}{type} eq 'prometheus')
	{
		push @wrong, 'it has no legend' unless $target->{legendFormat};
		push @wrong, 'a rate is not over $__rate_interval'
		  if $target->{expr} =~ /\[(?!\$__rate_interval\])/;
		return @wrong;
	}
	push @wrong, 'Grafana would build its SQL'
	  unless $target->{rawQuery} && $target->{editorMode} eq 'code';
	push @wrong, "format $target->{format} is not one of time_series, table"
	  unless $target->{format} =~ /^(?:time_series|table)$/;
	push @wrong, 'a curve needs the format time_series'
	  if $series && $target->{format} ne 'time_series';
	return (@wrong, lint_sql($target->{rawSql}));
}

# What Grafana replaces, and what must stay valid when it replaces it by nothing.
sub lint_sql
{
	my ($sql) = @_;
	my @wrong;

	push @wrong, 'SELECT *'                 if $sql =~ /SELECT\s+\*/i;
	push @wrong, 'its SQL ends with ;'      if $sql =~ /;\s*$/;
	push @wrong, 'a variable has no format' if $sql =~ /\$(?:(?!__)\w|\{\w+\})/;
	push @wrong, 'without a value it is not valid: write ARRAY[${x:sqlstring}]::text[]'
	  if $sql =~ s/ARRAY\[\$\{\w+:sqlstring\}\]::text\[\]//gr =~ /:sqlstring/;
	push @wrong, 'a macro ends at the first ) of its argument'
	  if $sql =~ /\$__\w+\([^)]*\(/;
	return @wrong;
}

=item lint_provisioning(datasources, dashboards, alerting)

The three files, as their YAML has them.

=cut

sub lint_provisioning
{
	my ($sources, $boards, $alerting) = @_;
	my %source = map { $_->{uid} => $_->{type} } @{ $sources->{datasources} };
	my @wrong;

	foreach my $file ($sources, $boards, $alerting)
	{
		push @wrong, 'apiVersion is not 1' if $file->{apiVersion} != 1;
	}
	foreach my $source (@{ $sources->{datasources} })
	{
		my $json = $source->{jsonData};
		push @wrong, "$source->{name}: $source->{type} is no plugin of ours"
		  unless grep { $_ eq $source->{type} } values %plugin;
		next if $source->{type} eq 'prometheus';
		push @wrong, "$source->{name}: the password is not in the environment"
		  if $source->{secureJsonData}{password} !~ /^\$\w+$/;
		push @wrong, "$source->{name}: no limit on connections"
		  if ($json->{maxOpenConns} // 100) > 10;
		push @wrong, "$source->{name}: the database is in jsonData"
		  if exists $source->{database} || $source->{url} =~ m{/} || !$json->{database};
	}
	push @wrong, 'two data sources have one uid'
	  if keys %source < @{ $sources->{datasources} };
	push @wrong, map { lint_group($_, \%source) } @{ $alerting->{groups} };
	return @wrong;
}

sub lint_group
{
	my ($group, $source) = @_;
	my (%uids, @wrong);

	push @wrong, 'a group has no orgId, name, folder or interval'
	  if grep { !defined $group->{$_} } qw(orgId name folder interval);
	foreach my $rule (@{ $group->{rules} })
	{
		push @wrong, "$rule->{title}: another rule has its uid"
		  if $uids{ $rule->{uid} }++ || length $rule->{uid} > 40;
		push @wrong, map { "$rule->{title}: $_" } lint_rule($rule, $source);
	}
	return @wrong;
}

sub lint_rule
{
	my ($rule, $source) = @_;
	my %step = map { $_->{refId} => $_ } @{ $rule->{data} };
	my @wrong;

	push @wrong, "noDataState is not said" unless ($rule->{noDataState} // '') =~ /^(?:OK|NoData|Alerting)$/;
	push @wrong, "execErrState is not said" unless ($rule->{execErrState} // '') =~ /^(?:OK|Error|Alerting)$/;
	push @wrong, 'it has no summary or description'
	  if grep { !length($rule->{annotations}{$_} // '') } qw(summary description);
	push @wrong, 'its annotations have a $, which provisioning replaces'
	  if grep { /\$/ } values %{ $rule->{annotations} };
	push @wrong, 'its condition is none of its steps' unless $step{ $rule->{condition} };
	foreach my $ref (sort keys %step)
	{
		my ($uid, $model) = @{ $step{$ref} }{qw(datasourceUid model)};
		push @wrong, "step $ref calls itself $model->{refId}" if $model->{refId} ne $ref;
		push @wrong, "step $ref: data source $uid is not provisioned"
		  unless $uid eq '__expr__' || $source->{$uid};
		push @wrong, "step $ref: there is no step $model->{expression}"
		  if $uid eq '__expr__' && !$step{ $model->{expression} };
		push @wrong, "step $ref: alerts need the format time_series"
		  if $model->{rawSql} && $model->{format} ne 'time_series';
		push @wrong, "step $ref: it has no time range"
		  if $uid ne '__expr__' && !$step{$ref}{relativeTimeRange};
		push @wrong, map { "step $ref: $_" } lint_sql($model->{rawSql})
		  if $model->{rawSql};
	}
	return @wrong;
}

=item promql_names(expression)

Two lists: the metrics, and the labels, that an expression of PromQL names.

=cut

sub promql_names
{
	my ($expr) = @_;
	my (%metrics, %labels);
	my %word = map { $_ => 1 } qw(by without on ignoring group_left group_right
	  and or unless bool offset);

	$expr =~ s/"[^"]*"//g;
	$expr =~ s/\[[^\]]*\]//g;
	while ($expr =~ s/\{([^}]*)\}//)
	{
		$labels{$_} = 1 foreach $1 =~ /(\w+)\s*[=!]/g;
	}
	while ($expr =~ s/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)//)
	{
		$labels{$_} = 1 foreach $1 =~ /\w+/g;
	}
	foreach my $name ($expr =~ /(?<![\w:.])([a-zA-Z_:][\w:]*)\b(?!\s*\()/g)
	{
		$metrics{$name} = 1 unless $word{$name};
	}
	return ([ sort keys %metrics ], [ sort keys %labels ]);
}

=back

=cut

1;
