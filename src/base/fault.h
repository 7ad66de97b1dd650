/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  Fault points: named places where a test can stop, fail or kill a
 *	  process.  They exist in builds with WEIR_DEBUG only.
 *
 * A test names a point by the setting weir.fault, a list of
 * "point:action[:skip]" read anew after a reload.  Actions: "wait" blocks
 * while somebody holds the advisory lock hashtext(point) of this database
 * (interruptible), "error" raises 58000, "kill" ends the process with
 * SIGKILL, which the postmaster answers with a restart of the cluster.  With
 * :skip the first n passes do nothing.  Every action is logged first, as
 * "fault point NAME reached", so that a test can show that it was reached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_FAULT_H
#define WEIR_FAULT_H

#include "base/compat.h"

#ifdef WEIR_DEBUG
extern void weir_fault_reached(const char *point);
#define WEIR_FAULT(point)	weir_fault_reached(point)
#else
#define WEIR_FAULT(point)	((void) 0)
#endif

/* Registers the setting, in builds that have it.  From _PG_init only. */
extern void weir_fault_init(void);

extern char *weir_fault;

#endif							/* WEIR_FAULT_H */
