/*-------------------------------------------------------------------------
 *
 * histogram.h
 *	  How long something took, counted in fixed classes.
 *
 * Pure functions over microseconds; whoever shares a histogram locks it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_HISTOGRAM_H
#define WEIR_HISTOGRAM_H

#include "base/compat.h"
#include "datatype/timestamp.h"

#define WEIR_HISTOGRAM_BOUNDS	14

/* Upper bounds of the classes; what is longer goes into one more. */
typedef int64 WeirBounds[WEIR_HISTOGRAM_BOUNDS];

extern const WeirBounds weir_commit_bounds; /* 1 ms .. 25 s */
extern const WeirBounds weir_event_bounds;	/* 50 ms .. 1 day */

typedef struct WeirHistogram
{
	int64		count[WEIR_HISTOGRAM_BOUNDS + 1];	/* not cumulative */
	double		sum;
} WeirHistogram;

/* The class of a value: the first whose bound is not below it. */
extern int	weir_histogram_class(const WeirBounds bounds, int64 value);

/* Count one value. */
extern void weir_histogram_add(WeirHistogram *histogram,
							   const WeirBounds bounds, int64 value);

/* Add what another histogram over the same bounds has. */
extern void weir_histogram_merge(WeirHistogram *histogram,
								 const WeirHistogram *other);

/* The number of values. */
extern int64 weir_histogram_total(const WeirHistogram *histogram);

#endif							/* WEIR_HISTOGRAM_H */
