/*-------------------------------------------------------------------------
 *
 * functions.h
 *	  Windows from the arguments of the SQL functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_FUNCTIONS_H
#define WEIR_FUNCTIONS_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "window/window.h"

/*
 * The window that weir.tumble(), weir.hop() or weir.cumulate() makes of its
 * arguments; NULL is SQL's NULL.  slide is the slide of hop, the step of
 * cumulate, and unused for tumble.  The zone of the result lives as
 * long as the process.  Raises 22004 or 22023, with a hint, for what is
 * refused.
 */
extern void weir_window_from_args(WeirWindow *window, WeirWindowKind kind,
								  const Interval *size,
								  const Interval *slide,
								  const text *timezone,
								  const Timestamp *origin);

/*
 * The same for weir.session().
 */
extern void weir_session_from_args(WeirWindow *window, const Interval *gap,
								   const Interval *max_length);

#endif							/* WEIR_FUNCTIONS_H */
