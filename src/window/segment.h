/*-------------------------------------------------------------------------
 *
 * segment.h
 *	  The ring of segments: which one takes rows, compaction, reclaim.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SEGMENT_H
#define WEIR_SEGMENT_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "window/plan.h"

/* The segment that flush appends to: the last one listed as live. */
extern int	weir_segment_active(const WeirViewState *state);

/*
 * Is there so much in the live segments that a merge of them is due?  Rows
 * are judged by the segments' size.  Needs a transaction.
 */
extern bool weir_segment_compaction_due(const WeirView *view);

/*
 * Compact: the merge of all live rows into a free segment, which is the only
 * live one afterwards.  False if its lock is not to be had, no segment is
 * free, or nothing is due any more.  Needs a transaction of its own.
 */
extern bool weir_segment_compact(const WeirView *view, const WeirPlan *plan);

/*
 * Give back the space of dead segments, while fewer than three are free or
 * all of it; waits for nothing.  True if there is still more to do.  Needs a
 * transaction of its own.
 */
extern bool weir_segment_reclaim(const WeirView *view, bool all);

/*
 * Is there too little free space because dead segments cannot be given back?
 * *by_snapshot: an old version of the state row is still needed that lists
 * one of them; else somebody may hold a lock on one.
 */
extern bool weir_segment_held(const WeirView *view, bool *by_snapshot);

#endif							/* WEIR_SEGMENT_H */
