/*-------------------------------------------------------------------------
 *
 * tend.h
 *	  What a reader does for its views between batches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_TEND_H
#define WEIR_TEND_H

#include "base/compat.h"
#include "worker/assign.h"

/*
 * Close the windows that are due, for each view; after a batch that wrote
 * rows, compact; with reclaim, or after a compaction, give space back.  True
 * if there is more to give back later.  Opens transactions of its own; does not raise
 * what is a view's fault.  Allocates in the current memory context.
 */
extern bool weir_tend_views(WeirAssignment *assignment, bool wrote,
							bool reclaim);

#endif							/* WEIR_TEND_H */
