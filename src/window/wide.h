/*-------------------------------------------------------------------------
 *
 * wide.h
 *	  Partials that are too wide for a page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WIDE_H
#define WEIR_WIDE_H

#include "base/compat.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "window/plan.h"

/* Is the row in the slot, one of a segment's, too wide for a page? */
extern bool weir_wide_row(Relation segment, TupleTableSlot *slot);

/*
 * Append such a row to a segment as several that merge to it.  Raises
 * PROGRAM_LIMIT_EXCEEDED if the keys and one state do not fit a page, unless
 * that is a sum.  Leaves its garbage in the current memory context.
 */
extern void weir_wide_insert(const WeirPlan *plan, Relation segment,
							 TupleTableSlot *slot);

#endif							/* WEIR_WIDE_H */
