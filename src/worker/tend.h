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
 * Close the windows that are due, for each view.  After a batch that wrote
 * rows, and with reclaim, compact and give space back: after a batch as much
 * as compaction needs, otherwise all that is not used.  True if there may be
 * more to do later.  Opens transactions of its own; does not raise what is a
 * view's fault.  Allocates in the current memory context.
 */
extern bool weir_tend_views(WeirAssignment *assignment, bool wrote,
							bool reclaim);

#endif							/* WEIR_TEND_H */
