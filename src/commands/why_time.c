/*-------------------------------------------------------------------------
 *
 * why_time.c
 *	  What holds the watermark, and what closes next.
 *
 * Judged as a reader judges (window/watermark.c), by the ends that the
 * readers learned last; no broker is asked.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "utils/timestamp.h"

#include "base/error.h"
#include "commands/why_time.h"
#include "window/close.h"
#include "window/watermark.h"

/* A pace older than this says nothing about the present. */
#define PACE_SECONDS	60

/* A stream is quiet when its newest record is older. */
#define QUIET_SECONDS	10

void
weir_why_say(WeirFacts *facts, const char *format,...)
{
	StringInfoData sentence;

	initStringInfo(&sentence);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&sentence, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sentence, needed);
	}
	facts->sentences = lappend(facts->sentences, sentence.data);
}

char *
weir_why_time(TimestampTz t)
{
	return pstrdup(timestamptz_to_str(t));
}

/* An exact time as people say it: 1 h 2 min 3 s; below a second in full. */
static char *
span_text(int64 us)
{
	int64		seconds = us / USECS_PER_SEC;
	StringInfoData span;

	initStringInfo(&span);
	if (us % USECS_PER_SEC != 0 && seconds < 60)
		appendStringInfo(&span, "%.3f s", us / (double) USECS_PER_SEC);
	else
	{
		if (seconds >= SECS_PER_HOUR)
			appendStringInfo(&span, INT64_FORMAT " h ",
							 seconds / SECS_PER_HOUR);
		if (seconds >= SECS_PER_MINUTE)
			appendStringInfo(&span, INT64_FORMAT " min ",
							 seconds % SECS_PER_HOUR / SECS_PER_MINUTE);
		appendStringInfo(&span, INT64_FORMAT " s", seconds % SECS_PER_MINUTE);
	}
	return span.data;
}

static WeirProgress *
progress_of(const WeirFacts *facts)
{
	WeirProgress *progress = palloc_array(WeirProgress, facts->n);

	for (int p = 0; p < facts->n; p++)
	{
		const WeirPartitionEntry *end = &facts->ends[p];

		progress[p].max_event_time = facts->checkpoints[p].max_event_time;
		progress[p].max_timestamp = facts->checkpoints[p].max_timestamp;
		progress[p].read_to_end = end->asked_at != 0 &&
			facts->checkpoints[p].next_offset >= end->high;
	}
	return progress;
}

/* The partition that is least far of those that are not idle, or -1. */
static int
find_holder(const WeirFacts *facts, const bool *idle)
{
	int			holder = -1;

	for (int p = 0; p < facts->n; p++)
	{
		if (!idle[p] && (holder < 0 || facts->checkpoints[p].max_event_time <
						 facts->checkpoints[holder].max_event_time))
			holder = p;
	}
	return holder;
}

static void
explain_holder(WeirFacts *facts, int holder, TimestampTz watermark)
{
	const WeirCheckpoint *checkpoint = &facts->checkpoints[holder];
	char	   *idle = facts->stream->idle_timeout == PG_INT64_MAX ?
		pstrdup("never, since idle_timeout is infinity") :
		psprintf("once it is read to its end and the others are %s ahead of it (idle_timeout)",
				 span_text(facts->stream->idle_timeout));

	if (checkpoint->max_event_time == DT_NOBEGIN && facts->n == 1)
		weir_why_say(facts, "There is no watermark before the first record.");
	else if (checkpoint->max_event_time == DT_NOBEGIN)
		weir_why_say(facts, "Partition %d holds the watermark: it has had no record yet.  It lets go %s.",
					 holder, idle);
	else if (facts->n == 1)
		weir_why_say(facts, "The watermark is %s: %s is the greatest event time, less a watermark_delay of %s.",
					 weir_why_time(watermark),
					 weir_why_time(checkpoint->max_event_time),
					 span_text(facts->stream->watermark_delay));
	else
		weir_why_say(facts, "The watermark is %s.  Partition %d holds it: its greatest event time is %s, its newest record of %s, the watermark_delay %s.  It lets go %s.",
					 weir_why_time(watermark), holder,
					 weir_why_time(checkpoint->max_event_time),
					 weir_why_time(checkpoint->max_timestamp),
					 span_text(facts->stream->watermark_delay), idle);
}

static void
explain_idle(WeirFacts *facts, const bool *idle)
{
	StringInfoData list;
	int			count = 0;

	initStringInfo(&list);
	for (int p = 0; p < facts->n; p++)
	{
		if (idle[p])
			appendStringInfo(&list, "%s%d", count++ > 0 ? ", " : "", p);
	}
	if (count > 0)
		weir_why_say(facts, "%s idle and %s not hold the watermark: %s.  Records that come there with older event times may be late.",
					 count == 1 ? "A partition is" : "Partitions are",
					 count == 1 ? "does" : "do", list.data);
}

/*
 * All is read, and nothing has come for a while: event time does not move by
 * itself, unless the stream has a close_timeout.
 */
static void
explain_quiet(WeirFacts *facts, const WeirProgress *progress)
{
	TimestampTz newest = DT_NOBEGIN;
	bool		given;

	for (int p = 0; p < facts->n; p++)
	{
		if (!progress[p].read_to_end)
			return;
		newest = Max(newest, progress[p].max_timestamp);
	}
	if (newest == DT_NOBEGIN || facts->stream->close_timeout != 0 ||
		!TimestampDifferenceExceeds(newest, GetCurrentTimestamp(),
									QUIET_SECONDS * 1000))
		return;
	given = weir_option_get(facts->stream->table_options,
							"close_timeout") != NULL;
	weir_why_say(facts, "The newest record is of %s, and all is read: the watermark stands still until another comes.  To let it run on with the clock, type: ALTER FOREIGN TABLE %s OPTIONS (%s close_timeout '1 minute');",
				 weir_why_time(newest), facts->stream->name,
				 given ? "SET" : "ADD");
}

/*
 * Seconds until event time has moved on by so much, at the pace it had since
 * the milestone before the last; -1 if that cannot be said.
 */
static double
seconds_to(const WeirFacts *facts, TimestampTz watermark, int64 distance)
{
	const WeirMilestone *old = &facts->entry.milestones[0];
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz last = facts->entry.last_commit;

	if (old->at == 0 || !facts->slot.in_use || last <= old->at ||
		watermark <= old->watermark ||
		TimestampDifferenceExceeds(old->at, now, PACE_SECONDS * 1000))
		return -1;
	return distance / (double) USECS_PER_SEC *
		(last - old->at) / (watermark - old->watermark);
}

/* Needs the query planned, which may fail: see weir_why_watermark. */
typedef struct NextWork
{
	const WeirFacts *facts;
	TimestampTz watermark;
	TimestampTz closed_to;
	TimestampTz bound;
	TimestampTz next;
} NextWork;

static void
find_next(void *arg)
{
	NextWork   *work = (NextWork *) arg;
	WeirPlan   *plan = weir_plan_of_view(work->facts->view->query);
	int64		lateness = work->facts->view->lateness;

	work->bound = weir_close_bound(plan, lateness, work->watermark);
	work->next = weir_close_next(plan, lateness, work->watermark,
								 work->closed_to);
}

static void
explain_next(WeirFacts *facts, TimestampTz watermark, TimestampTz closed_to)
{
	NextWork	work = {
		.facts = facts,
		.watermark = watermark,
		.closed_to = closed_to
	};
	ErrorData  *error = weir_try(find_next, &work);
	TimestampTz needed;
	double		seconds;

	if (error != NULL)
	{
		weir_why_say(facts, "The view's query cannot be planned: %s.",
					 error->message);
		return;
	}
	if (work.next == DT_NOBEGIN)
	{
		weir_why_say(facts, "A session closes when the watermark has passed its end%s.  For the end of the next one, type: SELECT min(window_end) FROM %s WHERE window_end > weir.closed_to(%s);",
					 facts->view->lateness > 0 ? " by weir.lateness" : "",
					 facts->name, facts->literal);
		return;
	}
	if (work.bound > closed_to)
	{
		weir_why_say(facts, "Windows that end by %s are due to be closed.",
					 weir_why_time(work.bound));
		return;
	}
	needed = weir_time_plus(work.next, facts->view->lateness);
	seconds = seconds_to(facts, watermark, needed - watermark);
	weir_why_say(facts, "Next, windows that end at %s close, when the watermark reaches %s: it has %s to go%s.",
				 weir_why_time(work.next), weir_why_time(needed),
				 span_text(needed - watermark),
				 seconds < 0 ? "" :
				 psprintf(", at the present pace about %.0f s", seconds));
}

void
weir_why_watermark(WeirFacts *facts)
{
	WeirProgress *progress = progress_of(facts);
	bool	   *idle = palloc_array(bool, facts->n);
	TimestampTz watermark = DT_NOBEGIN;
	WeirViewState state;
	int			holder;

	for (int p = 0; p < facts->n; p++)
	{
		idle[p] = weir_watermark_idle(progress, facts->n, p,
									  facts->stream->idle_timeout);
		watermark = Max(watermark, facts->checkpoints[p].watermark);
	}
	holder = find_holder(facts, idle);
	if (holder >= 0)
		explain_holder(facts, holder, watermark);
	explain_idle(facts, idle);
	if (weir_view_may_run(facts->view))
		explain_quiet(facts, progress);
	weir_view_state_get(facts->view->closed, &state);
	if (state.closed_to == DT_NOBEGIN)
		weir_why_say(facts, "No window is closed yet.");
	else
		weir_why_say(facts, "Windows that end by %s are closed.",
					 weir_why_time(state.closed_to));
	if (watermark != DT_NOBEGIN && weir_view_may_run(facts->view))
		explain_next(facts, watermark, state.closed_to);
}
