/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  How long something took, counted in fixed classes.
 *
 * The bounds are part of what is promised: monitoring adds up histograms of
 * many views and versions by them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "worker/histogram.h"

#define MS	INT64CONST(1000)
#define S	USECS_PER_SEC

const		WeirBounds weir_commit_bounds = {
	1 * MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
	250 * MS, 500 * MS, 1 * S, 5 * S / 2, 5 * S, 10 * S, 25 * S
};

const		WeirBounds weir_event_bounds = {
	50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S, 5 * S / 2, 5 * S, 10 * S,
	30 * S, 60 * S, 300 * S, 1800 * S, 7200 * S, 86400 * S
};

int
weir_histogram_class(const WeirBounds bounds, int64 value)
{
	int			class = 0;

	while (class < WEIR_HISTOGRAM_BOUNDS && value > bounds[class])
		class++;
	return class;
}

void
weir_histogram_add(WeirHistogram *histogram, const WeirBounds bounds,
				   int64 value)
{
	histogram->count[weir_histogram_class(bounds, value)]++;
	histogram->sum += value;
}

void
weir_histogram_merge(WeirHistogram *histogram, const WeirHistogram *other)
{
	for (int i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
		histogram->count[i] += other->count[i];
	histogram->sum += other->sum;
}

int64
weir_histogram_total(const WeirHistogram *histogram)
{
	int64		total = 0;

	for (int i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
		total += histogram->count[i];
	return total;
}
