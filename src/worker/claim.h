/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Which reader serves which view: claims in shared memory, the main
 *	  reader, and handing over to it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CLAIM_H
#define WEIR_CLAIM_H

#include "base/compat.h"
#include "nodes/pg_list.h"
#include "source/source.h"
#include "worker/shmem.h"

/* Claim those views that nobody has claimed and whose back-off is over. */
extern List *weir_claim_views(WeirSlot *slot, List *views);

/* The views that are claimed for this reader, by itself or by others. */
extern List *weir_claim_mine(WeirSlot *slot);

/*
 * Give a view up.  failed: nobody takes it before its back-off is over;
 * otherwise at once.
 */
extern void weir_claim_release(WeirSlot *slot, Oid view, bool failed);

/*
 * Publish the reader's positions.  If the stream has no main reader and this
 * one is the foremost, it becomes it.
 */
extern void weir_claim_publish(WeirSlot *slot, int n,
							   const int64 *positions);

/*
 * The reader serves nothing any more: while it takes its leave it is not main,
 * nor the foremost.
 */
extern void weir_claim_resign(WeirSlot *slot);

/*
 * A catch-up reader: hand all its views to the main reader, if it is within
 * rows of it in every partition.  True if they are handed over.
 */
extern bool weir_claim_hand_over(WeirSlot *slot, int n,
								 const int64 *positions, int64 rows);

/* Have views been handed to this reader since the last call? */
extern bool weir_claim_handed(WeirSlot *slot);

#endif							/* WEIR_CLAIM_H */
