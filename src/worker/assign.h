/*-------------------------------------------------------------------------
 *
 * assign.h
 *	  What a reader reads: its stream, source, views and positions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_ASSIGN_H
#define WEIR_ASSIGN_H

#include "base/compat.h"
#include "source/stream.h"
#include "window/served.h"
#include "worker/shmem.h"

extern int	weir_batch_rows;	/* weir.batch_rows: offsets a partition */

/* What a user may connect with: which mapping, in which version of it. */
typedef struct WeirAccess
{
	Oid			mapping;		/* InvalidOid: none is needed, or there is
								 * none */
	TransactionId mapping_version;
	TransactionId server_version;
} WeirAccess;

typedef struct WeirAssignment
{
	WeirSlot   *slot;
	MemoryContext context;		/* of all below but the source */
	MemoryContext source_context;
	WeirSource *source;			/* NULL: to be opened */
	WeirAccess	access;			/* with which it was opened */
	WeirStream *stream;
	List	   *served;			/* of WeirServed, by oid of the view */
	int			npartitions;
	int64	   *position;		/* next offset of the next batch */
	WeirStatus	status;			/* that all the views have, or QUEUED */
} WeirAssignment;

/* An assignment without anything, in the current memory context. */
extern WeirAssignment *weir_assignment_create(WeirSlot *slot);

/*
 * Load what the reader has claimed (claiming first, if it has not yet), find
 * where each view stands, and assign the source to the least position.
 * False if there is nothing to serve.  Opens transactions of its own; raises
 * when the source does.
 */
extern bool weir_assignment_make(WeirAssignment *assignment);

/*
 * Write what the views are doing now, if it is not what was written last.  A
 * catch-up reader becomes main when there is none: its views run.
 */
extern void weir_assignment_set_statuses(WeirAssignment *assignment);

/*
 * Would all views be read with the server's options and the user mapping that
 * the source was opened with?  Needs a transaction.
 */
extern bool weir_assignment_has_access(const WeirAssignment *assignment);

/* A view has left the reader; failed: with back-off. */
extern void weir_assignment_leave(WeirAssignment *assignment,
								  WeirServed *served, bool failed);

/* Close the source: the next assignment opens it anew. */
extern void weir_assignment_close(WeirAssignment *assignment);

/*
 * Compare a record that lies before the position with the views' anchors:
 * the log is not the one that was read if it differs.  Stops such views.
 */
extern void weir_assignment_check_anchor(WeirAssignment *assignment,
										 const WeirMessage *message);

/* Remember the answer about a partition's ends, for statistics. */
extern void weir_assignment_note_ends(WeirAssignment *assignment, int p,
									  const WeirEnds *ends);

/*
 * Begin a transaction of a worker: extension and stream are locked first
 * (I9), deferred triggers fire at once (I8).  False if one of them is gone;
 * the transaction is open all the same.
 */
extern bool weir_worker_begin(Oid stream);
extern void weir_worker_commit(void);

#endif							/* WEIR_ASSIGN_H */
