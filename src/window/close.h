/*-------------------------------------------------------------------------
 *
 * close.h
 *	  Closing windows: from partials to closed rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CLOSE_H
#define WEIR_CLOSE_H

#include "base/compat.h"
#include "window/served.h"

/*
 * The greatest window end e with e + lateness <= watermark, or DT_NOBEGIN; for
 * sessions, which touch, the greatest time before watermark - lateness.
 */
extern TimestampTz weir_close_bound(const WeirPlan *plan, int64 lateness,
									TimestampTz watermark);

/* The least watermark whose bound is to, if a window ends then. */
extern TimestampTz weir_close_watermark(const WeirPlan *plan, int64 lateness,
										TimestampTz to);

/*
 * The least window end that is later than closed_to and than any that this
 * watermark allows to close; DT_NOBEGIN while there is no watermark, and for
 * sessions, whose ends depend on records.
 */
extern TimestampTz weir_close_next(const WeirPlan *plan, int64 lateness,
								   TimestampTz watermark,
								   TimestampTz closed_to);

/*
 * For how long nothing must have been read, with all partitions read to their
 * ends, until the stream's close_timeout lets more windows close than the
 * committed watermark does; PG_INT64_MAX: it never does.
 */
extern int64 weir_close_silence(const WeirServed *served);

/* Does the committed watermark allow windows to close? */
extern bool weir_close_due(const WeirServed *served);

/*
 * Close all windows that the committed watermark allows: their rows go
 * through the executor into the closed table, as the owner, and closed_to
 * passes their ends, in the current transaction (I4), which is the caller's
 * for this view alone.  False if the view's lock is not to be had or it may
 * not run.  Raises whatever a trigger or constraint raises, and 27000 when
 * rows were swallowed.
 */
extern bool weir_close_windows(WeirServed *served);

#endif							/* WEIR_CLOSE_H */
