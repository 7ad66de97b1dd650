/*-------------------------------------------------------------------------
 *
 * watermark.h
 *	  Event-time progress of a view: watermarks and idle partitions.
 *
 * Pure functions over microseconds since 2000-01-01 UTC; no clock inside.
 * Builds without a server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WATERMARK_H
#define WEIR_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

/* No time yet (PostgreSQL's -infinity), and infinity. */
#define WEIR_TIME_NONE		INT64_MIN
#define WEIR_TIME_INFINITY	INT64_MAX

/* A partition as a view sees it. */
typedef struct WeirProgress
{
	int64_t		max_event_time; /* WEIR_TIME_NONE: no record yet */
	int64_t		max_timestamp;	/* WEIR_TIME_NONE: no record yet */
	bool		read_to_end;
} WeirProgress;

/* t - span and t + span, saturating; WEIR_TIME_NONE stays what it is. */
extern int64_t weir_time_minus(int64_t t, int64_t span);
extern int64_t weir_time_plus(int64_t t, int64_t span);

/*
 * max_event_time after a record: the greatest least(event time, timestamp +
 * max_future); without a timestamp, or with max_future infinite, no guard.
 */
extern int64_t weir_watermark_observe(int64_t max_event_time,
									  int64_t event_time,
									  int64_t timestamp, int64_t max_future);

/* Is partition p of n idle?  idle_timeout infinite = never. */
extern bool weir_watermark_idle(const WeirProgress *progress, int n, int p,
								int64_t idle_timeout);

/* Would it be, if it were read to its end? */
extern bool weir_watermark_idle_candidate(const WeirProgress *progress, int n,
										  int p, int64_t idle_timeout);

/*
 * The watermark of the view: the least of max_event_time - delay over the
 * partitions that are not idle, but never below before.  WEIR_TIME_NONE
 * before every such partition has had a record.
 */
extern int64_t weir_watermark_of_view(const WeirProgress *progress, int n,
									  int64_t delay, int64_t idle_timeout,
									  int64_t before);

/*
 * The watermark of the view, before so far, when no record has been read for
 * silence with all partitions read to their ends: the greatest max_event_time
 * + silence - delay.  It is before as long as silence < close_timeout, if
 * close_timeout is 0 (off), or if there has been no record.
 */
extern int64_t weir_watermark_after_silence(const WeirProgress *progress,
											int n, int64_t delay,
											int64_t close_timeout,
											int64_t silence, int64_t before);

#endif							/* WEIR_WATERMARK_H */
