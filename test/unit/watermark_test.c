/*-------------------------------------------------------------------------
 *
 * watermark_test.c
 *	  The pure functions of window/watermark.c against a naive reference.
 *
 * The reference computes in 128 bits, where nothing overflows, and takes its
 * definitions from the words of the specification rather than from the code:
 * no time is a flag of its own there, and idle partitions are taken out
 * before the least is looked for.  The seed is printed; SEED sets it.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "tap.h"
#include "window/watermark.h"

#define ROUNDS			200000
#define MAX_PARTITIONS	6

typedef __int128 wide;

static uint64_t state;

/* xorshift64* */
static uint64_t
next_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

static int64_t
below(int64_t n)
{
	return (int64_t) (next_random() % (uint64_t) n);
}

/* A time: small, so that equal ones are common, extreme, or none. */
static int64_t
random_time(void)
{
	switch (below(12))
	{
		case 0:
			return WEIR_TIME_NONE;
		case 1:
			return INT64_MAX - 1 - below(40);
		case 2:
			return INT64_MIN + 1 + below(40);
		default:
			return below(60) - 30;
	}
}

/* A length of time: never negative in an option. */
static int64_t
random_span(void)
{
	return below(10) == 0 ? INT64_MAX - 1 - below(40) : below(20);
}

static int64_t
clamp(wide t)
{
	if (t <= INT64_MIN)
		return WEIR_TIME_NONE;
	if (t >= INT64_MAX)
		return WEIR_TIME_INFINITY;
	return (int64_t) t;
}

/* Neither infinity moves. */
static int64_t
naive_shift(int64_t t, wide by)
{
	if (t == WEIR_TIME_NONE || t == WEIR_TIME_INFINITY)
		return t;
	return clamp((wide) t + by);
}

static int64_t
naive_observe(int64_t before, int64_t event, int64_t timestamp,
			  int64_t max_future)
{
	wide		seen = event;

	if (timestamp != WEIR_TIME_NONE && max_future != WEIR_TIME_INFINITY &&
		(wide) timestamp + max_future < seen)
		seen = (wide) timestamp + max_future;
	return clamp(seen > before ? seen : before);
}

static bool
naive_idle(const WeirProgress *progress, int n, int p, int64_t timeout)
{
	bool		idle = false;

	if (timeout == WEIR_TIME_INFINITY || !progress[p].read_to_end ||
		progress[p].max_timestamp == WEIR_TIME_NONE)
		return false;

	/* some partition, if only one, has gone on for so long */
	for (int i = 0; i < n; i++)
	{
		if (progress[i].max_timestamp != WEIR_TIME_NONE &&
			(wide) progress[i].max_timestamp -
			(wide) progress[p].max_timestamp >= timeout)
			idle = true;
	}
	return idle;
}

static int64_t
naive_watermark(const WeirProgress *progress, int n, int64_t delay,
				int64_t timeout, int64_t before)
{
	int64_t		busy[MAX_PARTITIONS];
	int			nbusy = 0;
	int64_t		least;

	for (int p = 0; p < n; p++)
	{
		if (!naive_idle(progress, n, p, timeout))
			busy[nbusy++] = naive_shift(progress[p].max_event_time, -(wide) delay);
	}
	if (nbusy == 0)
		return before;
	least = busy[0];
	for (int i = 1; i < nbusy; i++)
		least = busy[i] < least ? busy[i] : least;
	return least > before ? least : before;
}

static void
test_shift(void)
{
	int			wrong = 0;

	for (int i = 0; i < ROUNDS; i++)
	{
		int64_t		t = below(9) == 0 ? WEIR_TIME_INFINITY : random_time();
		int64_t		span = below(4) == 0 ? -random_span() : random_span();

		wrong += weir_time_minus(t, span) != naive_shift(t, -(wide) span);
		wrong += weir_time_plus(t, span) != naive_shift(t, span);
	}
	ok(wrong == 0, "times move and saturate as in 128 bits (%d wrong)", wrong);
}

static void
test_observe(void)
{
	int			wrong = 0;
	int			guarded = 0;

	for (int i = 0; i < ROUNDS; i++)
	{
		int64_t		before = random_time();
		int64_t		event = below(60) - 30;
		int64_t		timestamp = below(8) == 0 ? WEIR_TIME_NONE : below(60) - 30;
		int64_t		future = below(8) == 0 ? WEIR_TIME_INFINITY : random_span();
		int64_t		got = weir_watermark_observe(before, event, timestamp, future);

		wrong += got != naive_observe(before, event, timestamp, future);
		wrong += got < before;
		guarded += got > before && got < event;
	}
	ok(wrong == 0, "max_event_time after a record (%d wrong)", wrong);
	ok(guarded > 1000, "max_future held %d records back", guarded);
}

static int
random_progress(WeirProgress *progress)
{
	int			n = 1 + (int) below(MAX_PARTITIONS);

	for (int p = 0; p < n; p++)
	{
		progress[p].max_event_time = random_time();
		progress[p].max_timestamp = random_time();
		progress[p].read_to_end = below(2) == 0;
	}
	return n;
}

static void
test_view(void)
{
	WeirProgress progress[MAX_PARTITIONS];
	int			wrong_idle = 0;
	int			wrong_candidate = 0;
	int			wrong = 0;
	int			idle = 0;
	int			moved = 0;

	for (int i = 0; i < ROUNDS; i++)
	{
		int			n = random_progress(progress);
		int64_t		timeout = below(6) == 0 ? WEIR_TIME_INFINITY : 1 + random_span();
		int64_t		delay = random_span();
		int64_t		before = random_time();
		int64_t		got = weir_watermark_of_view(progress, n, delay, timeout, before);

		wrong += got != naive_watermark(progress, n, delay, timeout, before);
		wrong += got < before;
		moved += got > before;
		for (int p = 0; p < n; p++)
		{
			bool		read_to_end = progress[p].read_to_end;
			bool		is = naive_idle(progress, n, p, timeout);

			idle += is;
			wrong_idle += weir_watermark_idle(progress, n, p, timeout) != is;
			progress[p].read_to_end = true;
			wrong_candidate += naive_idle(progress, n, p, timeout) !=
				weir_watermark_idle_candidate(progress, n, p, timeout);
			progress[p].read_to_end = read_to_end;
		}
	}
	ok(wrong == 0, "watermark of a view (%d wrong)", wrong);
	ok(wrong_idle == 0, "idle partitions (%d wrong)", wrong_idle);
	ok(wrong_candidate == 0, "candidates (%d wrong)", wrong_candidate);
	ok(idle > 1000 && moved > 1000, "%d idle partitions, %d moves", idle, moved);
}

static void
test_silence(void)
{
	WeirProgress progress[MAX_PARTITIONS];
	int			wrong = 0;
	int			moved = 0;

	for (int i = 0; i < ROUNDS; i++)
	{
		int			n = random_progress(progress);
		int64_t		timeout = below(6) == 0 ? 0 : 1 + random_span();
		int64_t		silence = random_span();
		int64_t		delay = random_span();
		int64_t		before = random_time();
		int64_t		got = weir_watermark_after_silence(progress, n, delay, timeout,
													   silence, before);
		int64_t		want = before;

		/* by the record with the greatest event time, if there is one */
		for (int p = 0; p < n; p++)
		{
			wide		top = progress[p].max_event_time;
			int64_t		w = naive_shift(naive_shift(top, silence), -(wide) delay);

			if (timeout > 0 && silence >= timeout && w > want)
				want = w;
		}
		wrong += got != want;
		moved += got > before;
	}
	ok(wrong == 0, "watermark of a view after a silence (%d wrong)", wrong);
	ok(moved > 1000, "%d moves", moved);
}

/* The cases that the words of the specification name. */
static void
test_named_cases(void)
{
	WeirProgress all[2] = {{100, 1000, true}, {WEIR_TIME_NONE, 1000, true}};

	ok(weir_watermark_of_view(all, 2, 10, 60, WEIR_TIME_NONE) == WEIR_TIME_NONE,
	   "a partition that has had no record holds the watermark");
	all[0].max_timestamp = 1060;
	ok(weir_watermark_of_view(all, 2, 10, 60, WEIR_TIME_NONE) == 90,
	   "until it is idle, which is at just idle_timeout");
	all[0].max_timestamp = 1059;
	ok(!weir_watermark_idle(all, 2, 1, 60), "and not before");
	ok(!weir_watermark_idle(all, 1, 0, 60), "nobody is idle alone");
	ok(weir_watermark_of_view(all, 1, 10, 60, 95) == 95,
	   "a watermark never moves backwards");
	all[0] = (WeirProgress)
	{
		100, 1000, true
	};
	all[1] = (WeirProgress)
	{
		40, 1000, true
	};
	ok(weir_watermark_after_silence(all, 2, 10, 60, 59, 30) == 30,
	   "a silence below close_timeout closes nothing");
	ok(weir_watermark_after_silence(all, 2, 10, 60, 60, 30) == 150,
	   "from then on the watermark goes on with the clock from the newest event");
	ok(weir_watermark_after_silence(all, 2, 10, 0, 60, 30) == 30, "0 is off");
	all[0].max_event_time = all[1].max_event_time = WEIR_TIME_NONE;
	ok(weir_watermark_after_silence(all, 2, 10, 60, 60, WEIR_TIME_NONE) == WEIR_TIME_NONE,
	   "where there was no event there is no watermark");
	ok(weir_watermark_observe(WEIR_TIME_NONE, 500, 100, 50) == 150,
	   "a future event moves the watermark by max_future only");
	ok(weir_watermark_observe(WEIR_TIME_NONE, 500, WEIR_TIME_NONE, 50) == 500,
	   "without a timestamp there is no guard");
}

int
main(void)
{
	const char *seed = getenv("SEED");

	state = seed ? strtoull(seed, NULL, 10) : (uint64_t) time(NULL);
	printf("# SEED=%" PRIu64 "\n", state);
	state = state * UINT64_C(0x9E3779B97F4A7C15) + 1;
	test_shift();
	test_observe();
	test_view();
	test_silence();
	test_named_cases();
	return done_testing();
}
