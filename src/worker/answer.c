/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What the ends of partitions say when there is nothing to read.
 *
 * A watermark moves without a record where a partition is idle, or where the
 * whole stream has been silent for its close_timeout.  Both need an answer of
 * the source that says that everything is read.  It is asked for only where
 * it decides, at most once in ANSWER_MS for all views of a reader.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "utils/timestamp.h"

#include "window/close.h"
#include "window/watermark.h"
#include "worker/answer.h"

#define ANSWER_MS	1000		/* between questions about ends */

static bool
asked_long_ago(TimestampTz asked_at)
{
	return TimestampDifferenceExceeds(asked_at, GetCurrentTimestamp(),
									  ANSWER_MS);
}

/*
 * When a silence that goes on will have lasted so long that windows of the
 * view close; DT_NOEND: never.
 */
static TimestampTz
silence_due(const WeirAnswers *answers, const WeirServed *served)
{
	return weir_time_plus(answers->read_at, weir_close_silence(served));
}

TimestampTz
weir_answers_due(const WeirAnswers *answers, const WeirAssignment *assignment)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = DT_NOEND;
	ListCell   *lc;

	foreach(lc, assignment->served)
	{
		const WeirServed *served = lfirst(lc);

		if (weir_served_idle_matters(served))
			due = Min(due, TimestampTzPlusMilliseconds(now, ANSWER_MS));
		due = Min(due, Max(silence_due(answers, served),
						   TimestampTzPlusMilliseconds(answers->silent_at,
													   ANSWER_MS)));
	}
	return due;
}

bool
weir_answers_move_idle(WeirAnswers *answers, WeirAssignment *assignment,
					   bool *read_to_end)
{
	bool		moves = false;
	ListCell   *lc;

	if (!asked_long_ago(answers->idle_at))
		return false;
	for (int p = 0; p < assignment->npartitions; p++)
	{
		bool		asked = false;
		WeirEnds	ends;

		foreach(lc, assignment->served)
			asked |= weir_served_idle_matters(lfirst(lc)) &&
			weir_served_idle_candidate(lfirst(lc), p);
		if (!asked)
			continue;
		answers->idle_at = GetCurrentTimestamp();
		if (!weir_source_ends(assignment->source, p, &ends))
			continue;
		weir_assignment_note_ends(assignment, p, &ends);
		read_to_end[p] = assignment->position[p] >= ends.high;
	}
	foreach(lc, assignment->served)
	{
		WeirServed *served = lfirst(lc);

		moves |= weir_served_watermark(served, served->checkpoints,
									   read_to_end) > served->watermark;
	}
	return moves;
}

/* Is everything read, as brokers say now? */
static bool
all_read_to_end(WeirAssignment *assignment)
{
	int			n = assignment->npartitions;
	WeirEnds   *ends = palloc_array(WeirEnds, n);
	bool		all = weir_source_all_ends(assignment->source, n, ends);

	for (int p = 0; p < n && all; p++)
	{
		weir_assignment_note_ends(assignment, p, &ends[p]);
		all = assignment->position[p] >= ends[p].high;
	}
	return all;
}

bool
weir_answers_move_silent(WeirAnswers *answers, WeirAssignment *assignment)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		read_to_end = false;
	ListCell   *lc;

	if (!asked_long_ago(answers->silent_at))
		return false;
	foreach(lc, assignment->served)
	{
		WeirServed *served = lfirst(lc);

		if (silence_due(answers, served) > now)
			continue;
		if (!read_to_end)
		{
			answers->silent_at = now;
			if (!all_read_to_end(assignment))
				return false;
			read_to_end = true;
		}
		served->silence = now - answers->read_at;
	}
	return read_to_end;
}
