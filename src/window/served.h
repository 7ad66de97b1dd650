/*-------------------------------------------------------------------------
 *
 * served.h
 *	  A continuous view as a reader serves it, and what a batch does to it.
 *
 * Between transactions a served view holds what its last committed
 * checkpoint says.  Within one, weir_served_apply() works on a copy, which
 * weir_served_committed() puts in place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SERVED_H
#define WEIR_SERVED_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "catalog/checkpoint.h"
#include "window/partial.h"
#include "window/plan.h"
#include "window/start.h"

typedef struct WeirServed
{
	MemoryContext context;		/* all of this */
	WeirView   *view;			/* its catalog row, at load */
	WeirPlan   *plan;
	WeirStart  *start;			/* where it begins to read */
	WeirRules	rules;			/* closed_to as last seen */
	WeirStream *stream;
	int			npartitions;
	WeirCheckpoint *checkpoints;
	WeirCheckpoint *pending;	/* of the transaction that runs */
	TimestampTz watermark;		/* W */
	TimestampTz pending_watermark;
	bool	   *idle;			/* partitions whose idleness is recorded */
	int64		late_stored;	/* late records stored, or -1 */
	int64		pending_late_stored;
	TimestampTz late_counted_at;	/* when they were counted last */
	bool		late_full;		/* and there was no room */
	int64		silence;		/* nothing was read for so long, and all is
								 * read to its end; 0 if not, or of no matter */
	bool		silent;			/* that silence is recorded */
	bool		failed;			/* and no batch has healed it yet */
	bool		pending_failed;
	bool		at_end;			/* when it was assigned, nothing was to read */
	TimestampTz close_retry_at; /* no close before; 0: at once */
	int			close_failures;
} WeirServed;

/*
 * Load a view.  NULL if it is gone or may not run (not armed, paused,
 * stopped).  Its checkpoint rows may not be there yet: npartitions = 0.
 * Needs a transaction; the result is a child of the current context.
 */
extern WeirServed *weir_served_load(Oid view, WeirStream *stream);

/* Read its checkpoints and its state row (again).  Needs a transaction. */
extern void weir_served_read_position(WeirServed *served);

/*
 * Take over a watermark that a command has moved.  False if the view is fenced
 * off from this reader: no batch could be applied.  Needs a transaction.
 */
extern bool weir_served_read_watermark(WeirServed *served);

/* Can a batch be applied: from <= next_offset in every partition (I2)? */
extern bool weir_served_takes(const WeirServed *served,
							  const WeirBatch *batch);

/*
 * Apply a batch in the current transaction, inside a subtransaction of the
 * caller's: takes the view's lock, appends partials, writes late records,
 * dead letters and checkpoint (I1).  read_to_end[p]: a broker's answer says
 * so.  A batch without records writes a moved watermark, and heals a view that
 * had failed.  False if the view may not run any more.  Raises 55P03 if its
 * lock is not to be had.
 */
extern bool weir_served_apply(WeirServed *served, const WeirBatch *batch,
							  const bool *read_to_end);

/* The transaction of the last apply has committed. */
extern void weir_served_committed(WeirServed *served);

/* W by what is committed, given these answers and served->silence. */
extern TimestampTz weir_served_watermark(const WeirServed *served,
										 const WeirCheckpoint *checkpoints,
										 const bool *read_to_end);

/* Might partition p be idle, if a broker said that it is read to its end? */
extern bool weir_served_idle_candidate(const WeirServed *served, int p);

/* Would the watermark move if brokers said that all is read to its end? */
extern bool weir_served_idle_matters(const WeirServed *served);

/* May a view with this row be served at all? */
extern bool weir_view_may_run(const WeirView *view);

/*
 * Write that a view failed, is stopped or cannot close, and why; not if
 * somebody is changing it, or it is not to run any more.  False if it is gone.
 * Needs a transaction.
 */
extern bool weir_view_set_failed(Oid view, WeirStatus status,
								 const ErrorData *error);

/*
 * Does the view stay with its reader, given its row as it is now, or NULL?
 * One whose owner has changed leaves and comes back as the new owner's, whose
 * rights and user mapping may be others.
 */
extern bool weir_served_stays(const WeirServed *served, const WeirView *row);

#endif							/* WEIR_SERVED_H */
