/*-------------------------------------------------------------------------
 *
 * deadletter.h
 *	  Records that a view could not use: weir.dead_letter, weir.late_event.
 *
 * Rows are collected while a batch is applied and written by one
 * table_multi_insert a table in the batch's transaction (I1).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_DEADLETTER_H
#define WEIR_DEADLETTER_H

#include "base/compat.h"
#include "source/decode.h"

extern void weir_dead_letter_insert(Oid view, const char *topic,
									WeirRecord **records,
									WeirBadness **badness, int n);
extern void weir_late_event_insert(Oid view, WeirRecord **records,
								   TimestampTz *late_bounds, int n);

/* weir.max_late_events: stored for a view at a time; -1 = no limit */
extern int	weir_max_late_events;

/* How many late and partly late records are stored for a view, up to limit. */
extern int64 weir_late_event_count(Oid view, int64 limit);

/*
 * Delete rows of a view that were written before a time, at most max_rows.
 * Returns their number; *up_to is the newest time at which one of them was
 * written (dead letters), or the greatest end of a window that one of them
 * missed (late events); DT_NOBEGIN if there were none.  Whoever is current:
 * the caller has checked that he may.
 */
extern int64 weir_dead_letter_trim(Oid view, TimestampTz before,
								   int64 max_rows, TimestampTz *up_to);
extern int64 weir_late_event_trim(Oid view, TimestampTz before,
								  int64 max_rows, TimestampTz *up_to);

#endif							/* WEIR_DEADLETTER_H */
