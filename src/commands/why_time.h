/*-------------------------------------------------------------------------
 *
 * why_time.h
 *	  What holds the watermark, and what closes next.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WHY_TIME_H
#define WEIR_WHY_TIME_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "catalog/checkpoint.h"
#include "source/stream.h"
#include "worker/shmem.h"

/* What weir.why looks at, collected once. */
typedef struct WeirFacts
{
	const WeirView *view;
	char	   *name;			/* of the view, as to be typed */
	char	   *literal;		/* the same as a literal */
	WeirStream *stream;
	int			n;				/* partitions with a checkpoint */
	WeirCheckpoint *checkpoints;
	WeirCounters sum;
	bool		loaded;			/* shared memory is there */
	WeirViewEntry entry;		/* database = InvalidOid: there is none */
	WeirSlot	slot;			/* of its reader; in_use = false: none */
	WeirPartitionEntry *ends;	/* of the n partitions; asked_at = 0: unknown */
	List	   *sentences;
} WeirFacts;

/* Add a sentence. */
extern void weir_why_say(WeirFacts *facts, const char *format,...) pg_attribute_printf(2, 3);

/* A time as the session shows it. */
extern char *weir_why_time(TimestampTz t);

/*
 * Who holds the watermark, who is idle, what is closed and what closes next.
 * Needs checkpoints.
 */
extern void weir_why_watermark(WeirFacts *facts);

#endif							/* WEIR_WHY_TIME_H */
