# TimeModel: reference model of watermark, lateness and close.
#
# What a continuous view must show, from the words of the specification,
# written apart from its code.  Times are seconds.  Records come in steps:
# everything of a step is in the log before the view reads any of it, and
# settle() says that the view has read and closed all it can.  Between steps
# silence() and advance() are the clock and the operator.
#
# No verdict depends on what is closed in the midst of a step: a partition that
# still has records is not at its end, so it is not idle, and the watermark of
# the view does not pass its own.

package TimeModel;

use strict;
use warnings;

use List::Util qw(max min);
use POSIX qw(floor);

sub new
{
	my ($class, %self) = @_;

	return bless {
		%self,
		top   => {},    # partition: greatest event time, as far as trusted
		stamp => {},    # partition: greatest Kafka timestamp
		rows  => {},    # "start end": count
		late  => {},    # "partition:offset": greatest end that was missed
		law   => {},    # partition: its counters
		least => undef, # Kafka timestamp that empty partitions begin with
		watermark => undef,
		closed_to => undef,
		idle_must => {},    # "partition:offset" of exceptions, those that
		idle_may  => {},    # there must be and those that there may be
	}, $class;
}

# The windows that a time is in, the first to end first.
sub windows
{
	my ($self, $t) = @_;
	my ($size, $step) = @$self{qw(size step)};
	my $newest = floor($t / $step) * $step;
	my $period = floor($t / $size) * $size;

	return ([ $period, $period + $size ]) if $self->{kind} eq 'tumble';
	return map { [ $period, $_ ] }
	  grep { $_ > $t } map { $period + $_ * $step } 1 .. $size / $step
	  if $self->{kind} eq 'cumulate';
	return map { [ $_, $_ + $size ] }
	  grep { $_ + $size > $t } map { $newest - $_ * $step } reverse 0 .. $size / $step;
}

# The view reads a record; event time undef is a bad one.
sub record
{
	my ($self, $p, $o, $stamp, $t) = @_;
	my $law = $self->{law}{$p} //= { map { $_ => 0 }
		  qw(read aggregated late dead_lettered partly_late late_closed) };

	$law->{read}++;
	$self->{next}{$p} = $o + 1;
	if (!defined $t)
	{
		$law->{dead_lettered}++;
		return;
	}
	my $w = $self->watermark_of($p);
	my $seen = min($t, $stamp + $self->{max_future});

	$self->{top}{$p} = max($seen, $self->{top}{$p} // $seen);
	$self->{stamp}{$p} = max($stamp, $self->{stamp}{$p} // $stamp);
	$self->{least} //= $stamp;

	my @windows = $self->windows($t);
	my $by_watermark =
	  max(grep { defined $w && $_ + $self->{lateness} <= $w } map { $_->[1] } @windows);
	my $missed = max(grep { defined } $by_watermark,
		grep { defined $self->{closed_to} && $_ <= $self->{closed_to} }
		map { $_->[1] } @windows);
	my @counted = grep { !defined $missed || $_->[1] > $missed } @windows;

	$law->{ @counted ? 'aggregated' : 'late' }++;
	$law->{partly_late}++ if @counted && @counted < @windows;
	$law->{late_closed}++
	  if defined $missed && (!defined $by_watermark || $missed > $by_watermark);
	$self->{late}{"$p:$o"} = $missed if defined $missed;
	$self->{rows}{"@$_"}++ foreach @counted;
	return;
}

sub watermark_of
{
	my ($self, $p) = @_;
	my $top = $self->{top}{$p};

	return defined $top ? $top - $self->{delay} : undef;
}

# The least watermark of some partitions, if all have one.
sub least_of
{
	my ($self, @partitions) = @_;
	my @w = map { $self->watermark_of($_) } @partitions;

	return @w && !grep({ !defined } @w) ? min(@w) : undef;
}

# Everything is read to its end: idle partitions let go, what can close is
# closed.
sub settle
{
	my ($self) = @_;
	my @all = 0 .. $self->{partitions} - 1;
	my %stamp = map { $_ => $self->{stamp}{$_} // $self->{least} } @all;
	my $newest = max(grep { defined } values %stamp);
	my %idle = map { ($_ => 1) }
	  grep { defined $newest && $newest - $stamp{$_} >= $self->{idle} } @all;
	my $w = $self->least_of(grep { !$idle{$_} } @all);

	foreach my $p (keys %idle)
	{
		my $own = $self->watermark_of($p);
		my $at = "$p:" . ($self->{next}{$p} // 0);

		$self->{idle_may}{$at} = 1;
		$self->{idle_must}{$at} = 1
		  if defined $w && (!defined $own || $own < $w)
		  && $w > ($self->{watermark} // $w - 1);
	}
	$self->move($w);
	return;
}

# The watermark of the view never goes backwards; close what it passes.
sub move
{
	my ($self, $w) = @_;
	my $lateness = $self->{lateness};

	return unless defined $w && $w > ($self->{watermark} // $w - 1);
	$self->{watermark} = $w;
	$self->{closed_to} =
	  max($self->{closed_to} // (), $self->closed_by($w));
	return;
}

# The greatest window end by which the watermark has passed the lateness.
sub closed_by
{
	my ($self, $w) = @_;

	return floor(($w - $self->{lateness}) / $self->{step}) * $self->{step};
}

# By hand.
sub advance
{
	my ($self, $to) = @_;

	$self->move($to + $self->{lateness})
	  if $self->closed_by($to + $self->{lateness}) > ($self->{closed_to} // $to - 1e9);
	return;
}

# By the clock, to a watermark that was seen.
sub silence
{
	my ($self, $watermark) = @_;

	$self->move($watermark);
	return;
}

# Which one it must be after so many seconds; undef if that closes no more.
sub after_silence
{
	my ($self, $seconds) = @_;
	my $newest = max(values %{ $self->{top} });
	my $w = defined $newest ? $newest + $seconds - $self->{delay} : undef;

	return defined $w && $self->closed_by($w) > ($self->{closed_to} // $w - 1e9)
	  ? $w : undef;
}

1;
