/*-------------------------------------------------------------------------
 *
 * watermark.c
 *	  Event-time progress of a view: watermarks and idle partitions.
 *
 * The watermark of a partition is max_event_time - watermark_delay.  The
 * watermark of the view is the least over its partitions that are not idle;
 * it never moves backwards (I6).  A partition that has had no record holds
 * it like any other.
 *
 * A partition is idle when it is read to its end while the greatest
 * max_timestamp of the view is ahead of its own by idle_timeout.  Both are
 * Kafka timestamps, so a pause of the whole topic makes nobody idle.
 *
 * After a silence of close_timeout the watermark of the view runs on with the
 * clock, from the greatest event time that was seen.  Those of the partitions
 * stay: they judge records, which must not depend on a clock.
 *
 *-------------------------------------------------------------------------
 */
#include "window/watermark.h"

int64_t
weir_time_minus(int64_t t, int64_t span)
{
	int64_t		result;

	if (t == WEIR_TIME_NONE || t == WEIR_TIME_INFINITY)
		return t;
	if (__builtin_sub_overflow(t, span, &result))
		return span > 0 ? WEIR_TIME_NONE : WEIR_TIME_INFINITY;
	return result;
}

int64_t
weir_time_plus(int64_t t, int64_t span)
{
	int64_t		result;

	if (t == WEIR_TIME_NONE || t == WEIR_TIME_INFINITY)
		return t;
	if (__builtin_add_overflow(t, span, &result))
		return span > 0 ? WEIR_TIME_INFINITY : WEIR_TIME_NONE;
	return result;
}

int64_t
weir_watermark_observe(int64_t max_event_time, int64_t event_time,
					   int64_t timestamp, int64_t max_future)
{
	int64_t		seen = event_time;

	if (timestamp != WEIR_TIME_NONE && max_future != WEIR_TIME_INFINITY)
	{
		int64_t		guard = weir_time_plus(timestamp, max_future);

		if (guard < seen)
			seen = guard;
	}
	return seen > max_event_time ? seen : max_event_time;
}

bool
weir_watermark_idle_candidate(const WeirProgress *progress, int n, int p,
							  int64_t idle_timeout)
{
	int64_t		newest = WEIR_TIME_NONE;

	if (idle_timeout == WEIR_TIME_INFINITY ||
		progress[p].max_timestamp == WEIR_TIME_NONE)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (progress[i].max_timestamp > newest)
			newest = progress[i].max_timestamp;
	}
	return weir_time_minus(newest, progress[p].max_timestamp) >= idle_timeout;
}

bool
weir_watermark_idle(const WeirProgress *progress, int n, int p,
					int64_t idle_timeout)
{
	return progress[p].read_to_end &&
		weir_watermark_idle_candidate(progress, n, p, idle_timeout);
}

int64_t
weir_watermark_of_view(const WeirProgress *progress, int n, int64_t delay,
					   int64_t idle_timeout, int64_t before)
{
	int64_t		least = WEIR_TIME_INFINITY;
	bool		busy = false;

	for (int p = 0; p < n; p++)
	{
		int64_t		w;

		if (weir_watermark_idle(progress, n, p, idle_timeout))
			continue;
		busy = true;
		w = weir_time_minus(progress[p].max_event_time, delay);
		if (w < least)
			least = w;
	}
	return busy && least > before ? least : before;
}

int64_t
weir_watermark_after_silence(const WeirProgress *progress, int n,
							 int64_t delay, int64_t close_timeout,
							 int64_t silence, int64_t before)
{
	int64_t		greatest = WEIR_TIME_NONE;
	int64_t		w;

	if (close_timeout == 0 || silence < close_timeout)
		return before;
	for (int p = 0; p < n; p++)
	{
		if (progress[p].max_event_time > greatest)
			greatest = progress[p].max_event_time;
	}
	w = weir_time_minus(weir_time_plus(greatest, silence), delay);
	return w > before ? w : before;
}
