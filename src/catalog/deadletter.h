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

#endif							/* WEIR_DEADLETTER_H */
