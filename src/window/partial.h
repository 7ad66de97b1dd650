/*-------------------------------------------------------------------------
 *
 * partial.h
 *	  A batch of records into partial aggregates of one view.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_PARTIAL_H
#define WEIR_PARTIAL_H

#include "base/compat.h"
#include "catalog/checkpoint.h"
#include "source/decode.h"
#include "window/group.h"
#include "window/plan.h"

/* What one pass of a reader brought: a range [from, to) a partition. */
typedef struct WeirBatch
{
	WeirStream *stream;
	int			nrecords;
	WeirRecord *records;		/* each partition in the order of offsets */
	int			npartitions;
	int64	   *from;
	int64	   *to;
	TimestampTz now;			/* the reader's clock */
} WeirBatch;

/* What a record is judged by, besides the view's checkpoint. */
typedef struct WeirRules
{
	int64		lateness;
	TimestampTz closed_to;		/* as the state row has it */
	TimestampTz start_bound;	/* windows that end by it were never built
								 * (weir.start); DT_NOBEGIN: none */
} WeirRules;

/* Records that did not, or did not wholly, become part of an aggregate. */
typedef struct WeirRejects
{
	int			ndead;
	WeirRecord **dead;
	WeirBadness **badness;
	int			nlate;
	WeirRecord **late;
	TimestampTz *late_bound;
} WeirRejects;

/*
 * Apply a batch: judge each record that lies at or after the view's
 * next_offset, and add those that count to groups.  checkpoints[] (by
 * partition) and its counters move; they must be thrown away if this raises.
 * Runs user expressions: the caller has entered the owner's context.  Raises
 * only what is not a record's fault.  Needs a transaction with an active
 * snapshot.
 */
extern void weir_partial_apply(WeirGroups *groups, const WeirPlan *plan,
							   const WeirBatch *batch, const WeirRules *rules,
							   WeirCheckpoint *checkpoints,
							   WeirRejects *rejects);

/* The same for a batch without records: only ends may have moved. */
extern void weir_partial_skip(const WeirBatch *batch,
							  WeirCheckpoint *checkpoints);

#endif							/* WEIR_PARTIAL_H */
