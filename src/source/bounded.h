/*-------------------------------------------------------------------------
 *
 * bounded.h
 *	  Read a stream up to where it ended when one began to read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_BOUNDED_H
#define WEIR_BOUNDED_H

#include "base/compat.h"
#include "source/decode.h"

typedef struct WeirBounded WeirBounded;

/* Offsets of a partition to read: from .. to - 1. */
typedef struct WeirRange
{
	int32		partition;
	int64		from;
	int64		to;
} WeirRange;

/*
 * Open a stream as userid, to decode the columns needed.  Lives in the
 * current memory context.  Needs a transaction.
 */
extern WeirBounded *weir_bounded_open(WeirStream *stream, Bitmapset *needed,
									  Oid userid);

/*
 * The ends of all partitions, *n of them, asked for once.  Waits; raises
 * 08006 if a broker does not answer for some seconds.
 */
extern const WeirEnds *weir_bounded_ends(WeirBounded *bounded, int *n);

/* Read these ranges from now on. */
extern void weir_bounded_start(WeirBounded *bounded, int n,
							   const WeirRange *ranges);

/*
 * Read the newest n offsets from now on, shared evenly among the partitions:
 * what one has not got the others give.
 */
extern void weir_bounded_start_newest(WeirBounded *bounded, int64 n);

/*
 * The next records of the ranges, *n of them, each partition in its order;
 * valid until the next call.  Waits for them, interruptibly.  NULL when all
 * ranges are read.
 */
extern WeirRecord *weir_bounded_read(WeirBounded *bounded, int *n);

extern void weir_bounded_close(WeirBounded *bounded);

/* Wait on latch and the source's socket, at most 1 s; interruptible. */
extern void weir_bounded_wait(WeirSource *source);

#endif							/* WEIR_BOUNDED_H */
