/*-------------------------------------------------------------------------
 *
 * operate.h
 *	  What an operator types: wait, pause, resume, why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_OPERATE_H
#define WEIR_OPERATE_H

#include "base/compat.h"

/*
 * Wait until the view has read everything up to the end (the last stable
 * offsets) at the call, and has closed everything that this allows.  timeout
 * in microseconds, negative: none.  Raises at once for a view that cannot get
 * there (paused, failed, close_failed, stopped, created in this transaction,
 * under REPEATABLE READ), and at the timeout, with the sentences of weir.why
 * as detail.
 */
extern void weir_wait_for(Oid view, int64 timeout);

#endif							/* WEIR_OPERATE_H */
