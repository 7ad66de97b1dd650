/*-------------------------------------------------------------------------
 *
 * measure.h
 *	  What a reader tells shared memory about its work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_MEASURE_H
#define WEIR_MEASURE_H

#include "base/compat.h"
#include "window/served.h"
#include "worker/assign.h"

/*
 * A batch has been committed, but the views' checkpoints are those before it:
 * count it, and how long it and its records took.  started: when applying it
 * began.  Allocates in the current memory context.
 */
extern void weir_measure_batch(WeirAssignment *assignment,
							   const WeirBatch *batch, TimestampTz started);

/* Positions or ends have moved: which views are catching up? */
extern void weir_measure_progress(WeirAssignment *assignment);

#endif							/* WEIR_MEASURE_H */
