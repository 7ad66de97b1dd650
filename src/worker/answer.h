/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What the ends of partitions say when there is nothing to read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_ANSWER_H
#define WEIR_ANSWER_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "worker/assign.h"

/* When a reader asked last, and since when it may have to. */
typedef struct WeirAnswers
{
	TimestampTz read_at;		/* the last record; at first, its own start */
	TimestampTz idle_at;		/* asked whether partitions are idle */
	TimestampTz silent_at;		/* asked whether nothing comes any more */
} WeirAnswers;

/* When to ask next, if nothing is read until then; DT_NOEND: never. */
extern TimestampTz weir_answers_due(const WeirAnswers *answers,
									const WeirAssignment *assignment);

/*
 * Ask for the ends of the partitions that may be idle.  All views see the
 * same answers, read_to_end, which come in all false.  True if one of their
 * watermarks would move by them.  Takes up to 1 s a partition; must not be
 * called inside a transaction.
 */
extern bool weir_answers_move_idle(WeirAnswers *answers,
								   WeirAssignment *assignment,
								   bool *read_to_end);

/*
 * Has nothing been read for so long that windows close by the stream's
 * close_timeout?  The views that this is true for are told, by
 * served->silence.  Asks for all ends, and must not be called inside a
 * transaction.
 */
extern bool weir_answers_move_silent(WeirAnswers *answers,
									 WeirAssignment *assignment);

#endif							/* WEIR_ANSWER_H */
