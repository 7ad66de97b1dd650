/*-------------------------------------------------------------------------
 *
 * retain.h
 *	  weir.retention: closed windows that are too old go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_RETAIN_H
#define WEIR_RETAIN_H

#include "base/compat.h"
#include "catalog/catalog.h"

/*
 * Windows of the view with window_end <= this are past its retention:
 * the lesser of closed_to and now, minus the retention, reckoned in the
 * view's recorded TimeZone.  DT_NOBEGIN if it has no retention or has closed
 * nothing.  Raises XX001 without a state row.  Needs a transaction.
 */
extern TimestampTz weir_retain_bound(const WeirView *view);

/* Is a row there whose window ends by bound?  Runs as the view's owner. */
extern bool weir_retain_due(const WeirView *view, TimestampTz bound);

/*
 * Delete the closed rows whose window ends by *bound, as the view's owner
 * and through the executor, whole windows at a time.  If these are more than
 * max_rows, only the oldest windows with at least that many rows go, and
 * *bound is lowered to the end of the last of them.  What went is written to
 * weir.trimmed.  Returns the number of rows.
 *
 * Takes ROW EXCLUSIVE on the closed table, at once or not at all: 55P03.
 * Raises whatever a trigger or foreign key raises, and 27000 where one keeps
 * rows; then nothing must be committed of it.
 */
extern int64 weir_retain_trim(const WeirView *view, int64 max_rows,
							  TimestampTz *bound);

#endif							/* WEIR_RETAIN_H */
