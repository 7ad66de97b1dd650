/*-------------------------------------------------------------------------
 *
 * window_test.c
 *	  Windows contain what they should: random windows against bounds that
 *	  are enumerated one by one, day by day, in a zone with changing clocks.
 *
 *	window_test [SEED]
 *
 * Needs src/window/window.c and tap.h only:
 *	cc -I../../src -o bin/window_test window_test.c ../../src/window/window.c
 *
 *-------------------------------------------------------------------------
 */
#include "window/window.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

#define ROUNDS		3000
#define TIMES		40
#define SEC			INT64_C(1000000)
#define HOUR		(3600 * SEC)
#define DAY			(24 * HOUR)
#define MAX_BOUNDS	4000

static uint64_t state;

static uint64_t
random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int64_t
random_below(int64_t bound)
{
	return (int64_t) (random_bits() >> 2) % bound;
}

/*
 * A zone: the offset is first before the first change, then changes; one
 * change skips a whole day, others fall on midnight.
 */
typedef struct Change
{
	int64_t		at;				/* instant */
	int64_t		offset;			/* from then on */
} Change;

static const Change changes[] = {
	{INT64_MIN, 1 * HOUR},
	{-900 * DAY + 23 * HOUR, 2 * HOUR}, /* midnight does not exist */
	{-500 * DAY - 1 * HOUR, 1 * HOUR},	/* midnight happens twice */
	{-100 * DAY + 5 * HOUR, 2 * HOUR},
	{3 * DAY + 1 * HOUR, 1 * HOUR},
	{200 * DAY - 1 * HOUR, -10 * HOUR},
	{400 * DAY + 10 * HOUR, 14 * HOUR}, /* a day is skipped */
	{700 * DAY - 14 * HOUR, 13 * HOUR}
};

#define NCHANGES ((int) (sizeof(changes) / sizeof(changes[0])))

static int64_t
to_local(const void *zone, int64_t instant)
{
	int			i = NCHANGES - 1;

	while (instant < changes[i].at)
		i--;
	return instant + changes[i].offset;
}

/*
 * A local time that happens twice is the later one; one that does not is
 * reckoned from before the change.
 */
static int64_t
to_instant(const void *zone, int64_t local)
{
	for (int i = NCHANGES - 1; i > 0; i--)
	{
		if (local - changes[i].offset >= changes[i].at)
		{
			/* In the gap the offset from before leads behind the change. */
			if (local - changes[i - 1].offset >= changes[i].at &&
				local < changes[i].at + changes[i].offset)
				return local - changes[i - 1].offset;
			return local - changes[i].offset;
		}
		if (local - changes[i - 1].offset >= changes[i].at)
			return local - changes[i - 1].offset;
	}
	return local - changes[0].offset;
}

/* The reference: starts of windows lo .. lo + n - 1, by instant. */
typedef struct Reference
{
	int64_t		start[MAX_BOUNDS];
	int64_t		end[MAX_BOUNDS];
	int			n;
} Reference;

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/*
 * Days since 2000-01-01 of a date, by counting.
 */
static int64_t
count_days(int year, int month, int day)
{
	static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t		days = 0;

	for (int y = 2000; y < year; y++)
		days += is_leap(y) ? 366 : 365;
	for (int y = year; y < 2000; y++)
		days -= is_leap(y) ? 366 : 365;
	for (int m = 1; m < month; m++)
		days += length[m - 1] + (m == 2 && is_leap(year));
	if (day > length[month - 1] + (month == 2 && is_leap(year)))
		day = length[month - 1] + (month == 2 && is_leap(year));
	return days + day - 1;
}

/*
 * The instant of origin (a date and a time of day) + i times a span.
 */
static int64_t
bound(const WeirWindow *window, const int *origin, int64_t time, int64_t i,
	  const WeirSpan *span, int64_t instants)
{
	int64_t		local;
	int64_t		month = (int64_t) origin[0] * 12 + origin[1] - 1 +
		i * span->months;

	if (span->us > 0)
		return instants + i * span->us;
	local = count_days((int) (month / 12), (int) (month % 12) + 1,
					   origin[2]) * DAY + i * span->days * DAY + time;
	return window->zone.zone ? to_instant(NULL, local) : local;
}

/*
 * A random window, and its bounds for some years around 2000.
 */
static void
random_window(WeirWindow *window, Reference *reference)
{
	int			origin[3] = {1998 + (int) random_below(4),
	1 + (int) random_below(12), 1 + (int) random_below(31)};
	int64_t		time = random_below(3) ? 0 : random_below(DAY);
	int64_t		factor = 1 + random_below(6);
	int64_t		local;
	WeirWindow	given;
	WeirSpan	slide = {0, 0, 0};
	WeirSpan	size;

	if (random_below(2))
		time = time / HOUR * HOUR;
	memset(window, 0, sizeof(WeirWindow));
	switch (random_below(3))
	{
		case 0:
			slide.months = 1 + (int) random_below(14);
			break;
		case 1:
			slide.days = 1 + (int) random_below(15);
			break;
		default:
			slide.us = (1 + random_below(1000)) * 6 * HOUR / 4;
	}
	size = slide;
	size.months *= (int) factor;
	size.days *= (int) factor;
	size.us = slide.us * factor + (slide.us ? random_below(slide.us) : 0);

	window->kind = random_below(3) ? WEIR_HOP : WEIR_TUMBLE;
	if (window->kind == WEIR_TUMBLE)
		size = slide;
	window->size = size;
	window->slide = slide;
	if (random_below(3))
	{
		window->zone.zone = changes;
		window->zone.to_local = to_local;
		window->zone.to_instant = to_instant;
	}
	given = *window;
	local = count_days(origin[0], origin[1], origin[2]) * DAY + time;
	if (weir_window_init(window, true, local) != NULL)
		abort();

	/* A day that its month lacks is kept as the last one by init too. */
	if (count_days(origin[0], origin[1], origin[2]) !=
		count_days(origin[0], origin[1], 1) + origin[2] - 1)
		origin[2] = (int) (count_days(origin[0], origin[1], origin[2]) -
						   count_days(origin[0], origin[1], 1)) + 1;

	reference->n = 0;
	for (int64_t i = -MAX_BOUNDS / 2; i < MAX_BOUNDS / 2; i++)
	{
		int64_t		instants = given.zone.zone ? to_instant(NULL, local) : local;
		int64_t		start;

		if (slide.months > 0 && (i < -300 || i > 300))
			continue;
		start = bound(&given, origin, time, i, &slide, instants);
		reference->start[reference->n] = start;
		reference->end[reference->n++] = slide.us ? start + size.us :
			bound(&given, origin, time, i + factor *
				  (window->kind == WEIR_HOP) + (window->kind == WEIR_TUMBLE),
				  &slide, instants);
	}
}

/*
 * Do the functions name exactly the windows of the reference that contain t?
 */
static bool
same_windows(const WeirWindow *window, const Reference *reference, int64_t t)
{
	int64_t		first = weir_window_first(window, t);
	int64_t		last = weir_window_last(window, t);
	int64_t		i = first;

	for (int r = 0; r < reference->n; r++)
	{
		if (reference->start[r] > t || reference->end[r] <= t)
			continue;
		if (i > last || weir_window_start(window, i) != reference->start[r] ||
			weir_window_end(window, i) != reference->end[r])
			return false;
		i++;
	}
	return i == last + 1 && last >= first &&
		last - first < weir_window_count(window) &&
		(!weir_window_even(window) ||
		 last - first + 1 == weir_window_count(window));
}

/*
 * Is the end of the last ended window that of the reference?
 */
static bool
same_ended(const WeirWindow *window, const Reference *reference, int64_t t)
{
	int64_t		ended = weir_window_last_ended(window, t);
	int64_t		end = INT64_MIN;

	for (int r = 0; r < reference->n; r++)
	{
		if (reference->end[r] <= t)
			end = reference->end[r];
	}
	return weir_window_end(window, ended) == end &&
		weir_window_end(window, ended + 1) > t;
}

/*
 * A pane contains t, and each time in it has the windows of t.
 */
static bool
same_pane(const WeirWindow *window, int64_t t, int64_t other)
{
	int64_t		pane = weir_window_pane(window, t);

	if (pane > t || weir_window_pane(window, pane) != pane ||
		weir_window_first(window, pane) != weir_window_first(window, t) ||
		weir_window_last(window, pane) != weir_window_last(window, t))
		return false;
	if (weir_window_pane(window, other) != pane)
		return true;
	return weir_window_first(window, other) == weir_window_first(window, t) &&
		weir_window_last(window, other) == weir_window_last(window, t);
}

/*
 * Panes are as coarse as can be: the next one has other windows.
 */
static bool
coarse_pane(const WeirWindow *window, int64_t t)
{
	int64_t		pane = weir_window_pane(window, t);

	return window->pane.us == 0 || window->kind == WEIR_HOP ||
		weir_window_last(window, pane - 1) != weir_window_last(window, t);
}

/*
 * A time near a bound, a change of the clock, or anywhere.
 */
static int64_t
random_time(const WeirWindow *window)
{
	int64_t		t = random_below(1600 * DAY) - 800 * DAY;

	switch (random_below(4))
	{
		case 0:
			return weir_window_start(window, weir_window_last(window, t)) +
				random_below(3) - 1;
		case 1:
			return weir_window_end(window, weir_window_first(window, t)) +
				random_below(3) - 1;
		case 2:
			return changes[1 + random_below(NCHANGES - 1)].at +
				random_below(4 * HOUR) - 2 * HOUR;
		default:
			return t;
	}
}

static void
test_random(void)
{
	static Reference reference;
	int			windows = 0,
				ended = 0,
				panes = 0,
				coarse = 0,
				covered = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		WeirWindow	window;

		random_window(&window, &reference);
		for (int i = 0; i < TIMES; i++)
		{
			int64_t		t = random_time(&window);

			/* The reference must reach beyond the windows of t. */
			if (reference.end[0] > t - 1 ||
				reference.start[reference.n - 1] <= t)
				continue;
			covered++;
			windows += !same_windows(&window, &reference, t);
			ended += !same_ended(&window, &reference, t);
			panes += !same_pane(&window, t, t + random_below(2 * DAY) - DAY);
			coarse += !coarse_pane(&window, t);
		}
	}
	ok(covered > ROUNDS * TIMES / 2, "%d times are covered", covered);
	ok(windows == 0, "windows of a time are those that contain it (%d wrong)",
	   windows);
	ok(ended == 0, "the last ended window (%d wrong)", ended);
	ok(panes == 0, "a pane's times share their windows (%d wrong)", panes);
	ok(coarse == 0, "panes of tumble are its windows (%d wrong)", coarse);
}

/* ------------------------------------------------------------- cumulate */

/* A window that cumulates, and what it was made of. */
typedef struct Cumulate
{
	WeirWindow	window;
	WeirWindow	given;			/* before init */
	int			origin[3];
	int64_t		time;
	int64_t		instants;		/* the origin, for exact spans */
} Cumulate;

static void
random_cumulate(Cumulate *c)
{
	WeirSpan	size = {0, 0, 0};
	WeirSpan	step = {0, 0, 0};
	int64_t		n = 1 + random_below(7);
	int64_t		local;

	c->origin[0] = 1998 + (int) random_below(4);
	c->origin[1] = 1 + (int) random_below(12);
	c->origin[2] = 1 + (int) random_below(28);
	c->time = random_below(3) ? 0 : random_below(24) * HOUR;
	switch (random_below(6))
	{
		case 0:
			step.months = 1 + (int) random_below(4);
			size.months = step.months * (int) n;
			break;
		case 1:
			size.months = (int) n;
			step.days = 1;
			break;
		case 2:
			size.months = (int) n;
			step.us = DAY / (1 + random_below(6));
			break;
		case 3:
			step.days = 1 + (int) random_below(4);
			size.days = step.days * (int) n;
			break;
		case 4:
			size.days = (int) n;
			step.us = n * DAY / (1 + random_below(6));
			break;
		default:
			step.us = (1 + random_below(500)) * HOUR / 4;
			size.us = n * step.us;
	}
	memset(&c->window, 0, sizeof(WeirWindow));
	c->window.kind = WEIR_CUMULATE;
	c->window.size = size;
	c->window.step = step;
	if (random_below(4))
	{
		c->window.zone.zone = changes;
		c->window.zone.to_local = to_local;
		c->window.zone.to_instant = to_instant;
	}
	c->given = c->window;
	local = count_days(c->origin[0], c->origin[1], c->origin[2]) * DAY + c->time;
	c->instants = c->window.zone.zone ? to_instant(NULL, local) : local;
	if (weir_window_init(&c->window, true, local) != NULL)
		abort();
}

/* Start of a period, from the words of the specification. */
static int64_t
period_start(const Cumulate *c, int64_t i)
{
	return bound(&c->given, c->origin, c->time, i, &c->given.size, c->instants);
}

/*
 * The ends of a period's windows, one by one: at each step after its start,
 * or the local time so many steps later, and with the period.  One that is
 * there already is no new window.  Returns how many.
 */
static int
period_ends(const Cumulate *c, int64_t i, int64_t *ends)
{
	const WeirSpan *step = &c->given.step;
	const WeirSpan *size = &c->given.size;
	int64_t		start = period_start(c, i);
	int64_t		last = period_start(c, i + 1);
	int			n = 0;

	for (int64_t k = 1; n == 0 || ends[n - 1] < last; k++)
	{
		int64_t		end;

		if (step->us > 0)
			end = start + k * step->us;
		else
		{
			int64_t		month = (int64_t) c->origin[0] * 12 + c->origin[1] - 1 +
				i * size->months + k * step->months;
			int64_t		local = count_days((int) (month / 12),
										   (int) (month % 12) + 1, c->origin[2]) * DAY +
				(i * size->days + k * step->days) * DAY + c->time;

			end = c->given.zone.zone ? to_instant(NULL, local) : local;
		}
		if (end > last)
			end = last;
		if (n == 0 ? end > start : end > ends[n - 1])
			ends[n++] = end;
	}
	return n;
}

/* Is t, in period i, in exactly the windows of the reference? */
static bool
same_cumulating(const Cumulate *c, int64_t i, int64_t t)
{
	const WeirWindow *window = &c->window;
	int64_t		ends[MAX_BOUNDS];
	int			n = period_ends(c, i, ends);
	int64_t		index = weir_window_first(window, t);
	int64_t		last = weir_window_last(window, t);
	int64_t		start = period_start(c, i);
	int64_t		pane = start;
	int64_t		ended = weir_window_end(window, weir_window_last_ended(window, t));
	int			at = 0;

	while (ends[at] <= t)
		pane = ends[at++];
	if (weir_window_pane(window, t) != pane ||
		weir_window_pane_end(window, t) != ends[at] || ended != pane ||
		last - index >= weir_window_count(window))
		return false;
	if (weir_window_start(window, weir_window_last_ended(window, t) + 1) != start)
		return false;
	for (; index <= last; index++)
	{
		if (at > 0 && weir_window_end(window, index) == ends[at - 1] &&
			index > weir_window_first(window, t))
		{
			if (weir_window_distinct(window))
				return false;
			continue;			/* the same window again */
		}
		if (at == n || weir_window_start(window, index) != start ||
			weir_window_end(window, index) != ends[at++])
			return false;
	}
	return at == n;
}

static void
test_cumulate(void)
{
	int			covered = 0;
	int			wrong = 0;
	int			cut = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		Cumulate	c;
		int64_t		ends[MAX_BOUNDS];

		random_cumulate(&c);
		for (int64_t i = -3; i < 4; i++)
		{
			int64_t		start = period_start(&c, i);
			int64_t		last = period_start(&c, i + 1);
			int			n;

			if (start == last)
				continue;		/* a day that was skipped */
			n = period_ends(&c, i, ends);
			cut += c.given.step.us > 0 && (last - start) % c.given.step.us != 0;
			wrong += !same_cumulating(&c, i, start) +
				!same_cumulating(&c, i, last - 1) +
				!same_cumulating(&c, i, start + random_below(last - start)) +
				!same_cumulating(&c, i, ends[random_below(n)] - 1);
			if (n > 1)
				wrong += !same_cumulating(&c, i, ends[random_below(n - 1)]);
			covered += 4 + (n > 1);
		}
	}
	ok(wrong == 0, "cumulating windows of %d times are those that contain it (%d wrong)",
	   covered, wrong);
	ok(cut > 100, "%d periods end in the midst of a step", cut);
}

static WeirWindow
make(WeirWindowKind kind, WeirSpan size, WeirSpan slide)
{
	WeirWindow	window;

	memset(&window, 0, sizeof(window));
	window.kind = kind;
	window.size = size;
	window.slide = slide;
	window.step = slide;
	return window;
}

static bool
refused(WeirWindowKind kind, WeirSpan size, WeirSpan slide, const char *word)
{
	WeirWindow	window = make(kind, size, slide);
	const WeirRefusal *refusal = weir_window_init(&window, false, 0);

	return refusal != NULL && strstr(refusal->message, word) != NULL &&
		refusal->hint != NULL;
}

static void
test_refusals(void)
{
	WeirSpan	none = {0, 0, 0};
	WeirSpan	minute = {0, 0, 60 * SEC};
	WeirSpan	hour = {0, 0, HOUR};
	WeirSpan	day = {0, 1, 0};
	WeirSpan	mixed = {0, 1, HOUR};
	WeirSpan	negative = {0, 0, -HOUR};
	WeirSpan	opposite = {1, -30, 0};
	WeirSpan	three = {0, 3, 0};
	WeirSpan	two = {0, 2, 0};
	WeirSpan	micro = {0, 0, 1};
	WeirSpan	age = {13000, 0, 0};
	WeirSpan	month = {1, 0, 0};

	ok(refused(WEIR_TUMBLE, none, none, "positive"), "no size");
	ok(refused(WEIR_TUMBLE, negative, none, "positive"), "negative size");
	ok(refused(WEIR_TUMBLE, mixed, none, "mix"), "mixed units");
	ok(refused(WEIR_TUMBLE, opposite, none, "mix"), "months minus days");
	ok(refused(WEIR_TUMBLE, age, none, "too long"), "too long");
	ok(refused(WEIR_HOP, hour, none, "slide must be positive"), "no slide");
	ok(refused(WEIR_HOP, minute, hour, "greater"), "slide > size");
	ok(refused(WEIR_HOP, day, hour, "same kind"), "slide of another kind");
	ok(refused(WEIR_HOP, three, two, "multiple"), "no multiple of a day");
	ok(refused(WEIR_HOP, hour, micro, "too small"), "too many windows");
	ok(!refused(WEIR_HOP, hour, minute, ""), "a good hop");
	ok(refused(WEIR_CUMULATE, hour, none, "step must be positive"), "no step");
	ok(refused(WEIR_CUMULATE, hour, mixed, "step must not mix"), "a mixed step");
	ok(refused(WEIR_CUMULATE, minute, hour, "multiple"), "step > size");
	ok(refused(WEIR_CUMULATE, three, two, "multiple"), "no multiple of its step");
	ok(refused(WEIR_CUMULATE, hour, day, "multiple"), "days in an hour");
	ok(refused(WEIR_CUMULATE, day, month, "multiple"), "months in a day");
	ok(refused(WEIR_CUMULATE, month, two, "multiple"), "two days in a month");
	ok(refused(WEIR_CUMULATE, hour, micro, "too small"), "too many steps");
	ok(!refused(WEIR_CUMULATE, day, hour, "") && !refused(WEIR_CUMULATE, month, day, "") &&
	   !refused(WEIR_CUMULATE, month, hour, ""), "good steps");
}

static void
test_origins(void)
{
	WeirSpan	week = {0, 7, 0};
	WeirSpan	day = {0, 1, 0};
	WeirWindow	window = make(WEIR_TUMBLE, week, week);
	int64_t		monday = -10953 * DAY;

	weir_window_init(&window, false, 0);
	ok(weir_window_pane(&window, monday + 3 * DAY) == monday,
	   "weeks begin on Monday");
	window = make(WEIR_HOP, week, day);
	weir_window_init(&window, false, 0);
	ok(weir_window_pane(&window, monday + 3 * DAY + 1) == monday + 3 * DAY,
	   "a week sliding by days begins on any day");
}

static void
test_range(void)
{
	WeirSpan	hour = {0, 0, HOUR};
	WeirSpan	month = {1, 0, 0};
	WeirWindow	window = make(WEIR_TUMBLE, hour, hour);
	WeirWindow	months = make(WEIR_TUMBLE, month, month);

	weir_window_init(&window, false, 0);
	weir_window_init(&months, true, WEIR_END_TIME - 1);
	ok(weir_window_valid(&window, 0) && weir_window_valid(&months, 0),
	   "a time of today is valid");
	ok(weir_window_valid(&window, WEIR_MIN_TIME), "the first time");
	ok(!weir_window_valid(&window, WEIR_END_TIME - 1), "the last time");
	ok(!weir_window_valid(&window, WEIR_END_TIME) &&
	   !weir_window_valid(&window, WEIR_MIN_TIME - 1) &&
	   !weir_window_valid(&window, INT64_MAX) &&
	   !weir_window_valid(&window, INT64_MIN), "no times");
	ok(!weir_window_valid(&months, WEIR_END_TIME - 1) &&
	   !weir_window_valid(&months, WEIR_MIN_TIME), "months at the ends");
}

#define EPOCH	(-10957 * DAY)	/* 1970-01-01 */
#define MAX_SESSION_TIMES	60

typedef struct Session
{
	int64_t		start;
	int64_t		end;
} Session;

static bool
refused_session(WeirSpan gap, WeirSpan max_length, const char *word)
{
	WeirWindow	window = make(WEIR_SESSION, max_length, max_length);
	const WeirRefusal *refusal;

	window.gap = gap;
	refusal = weir_window_init(&window, false, 0);
	return refusal != NULL && strstr(refusal->message, word) != NULL &&
		refusal->hint != NULL;
}

static void
test_session_refusals(void)
{
	WeirSpan	none = {0, 0, 0};
	WeirSpan	hour = {0, 0, HOUR};
	WeirSpan	two = {0, 0, 2 * HOUR};
	WeirSpan	negative = {0, 0, -HOUR};
	WeirSpan	day = {0, 1, 0};
	WeirSpan	month = {1, 0, 0};
	WeirSpan	age = {0, 0, 400000 * DAY};

	ok(refused_session(none, hour, "gap must be positive") &&
	   refused_session(negative, hour, "gap must be positive") &&
	   refused_session(hour, none, "max_length must be positive"),
	   "no gap, no max_length");
	ok(refused_session(day, day, "gap must be exact") &&
	   refused_session(month, hour, "gap must be exact") &&
	   refused_session(hour, day, "max_length must be exact"),
	   "days and months");
	ok(refused_session(age, age, "gap is too long") &&
	   refused_session(hour, age, "max_length is too long"), "too long");
	ok(refused_session(two, hour, "less than its gap"),
	   "max_length less than gap");
	ok(!refused_session(hour, hour, "") && !refused_session(hour, two, ""),
	   "good sessions");
}

static int
compare_sessions(const void *a, const void *b)
{
	const Session *x = a;
	const Session *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Merge sessions as the merges in SQL do: in the order of their starts, each
 * asked whether what reaches farthest before it takes it.
 */
static int
merge_sessions(const WeirWindow *window, Session *sessions, int n)
{
	int			merged = 0;

	qsort(sessions, n, sizeof(Session), compare_sessions);
	for (int i = 0; i < n; i++)
	{
		Session    *last = &sessions[merged - 1];

		if (merged > 0 &&
			weir_window_session_takes(window, last->end, sessions[i].start))
			last->end = sessions[i].end > last->end ? sessions[i].end :
				last->end;
		else
			sessions[merged++] = sessions[i];
	}
	return merged;
}

/*
 * The reference: instant by instant, which of them some record covers; a
 * multiple of max_length begins something new.
 */
static int
reference_sessions(int64_t gap, int64_t max_length, const bool *at, int length,
				   Session *sessions)
{
	int			n = 0;
	int			last = -1;		/* time of the last record */

	for (int t = 0; t < length; t++)
	{
		if (!at[t])
			continue;
		if (last < 0 || t - last > gap || t / max_length != last / max_length)
			sessions[n++].start = t;
		last = t;
		sessions[n - 1].end = t + gap;
		if (sessions[n - 1].end > (t / max_length + 1) * max_length)
			sessions[n - 1].end = (t / max_length + 1) * max_length;
	}
	return n;
}

/* One record is a session; they are merged in batches, then all together. */
static bool
same_sessions(int64_t gap, int64_t max_length)
{
	bool		at[MAX_SESSION_TIMES] = {false};
	Session		wanted[MAX_SESSION_TIMES];
	Session		sessions[MAX_SESSION_TIMES];
	int64_t		base = EPOCH + max_length * (random_below(2000) - 1000);
	WeirSpan	span = {0, 0, max_length};
	WeirWindow	window = make(WEIR_SESSION, span, span);
	int			length = 1 + random_below(MAX_SESSION_TIMES);
	int			batch = 1 + random_below(10);
	int			n = random_below(length + 1);
	int			stored = 0;
	int			nwanted;

	window.gap.us = gap;
	if (weir_window_init(&window, false, 0) != NULL)
		return false;
	for (int i = 0; i < n; i += batch)
	{
		int			pending = 0;

		for (int j = i; j < n && j < i + batch; j++)
		{
			int			t = random_below(length);

			at[t] = true;
			sessions[stored + pending].start = base + t;
			sessions[stored + pending].end =
				weir_window_session_end(&window, base + t);
			pending++;
		}
		stored += merge_sessions(&window, sessions + stored, pending);
	}
	stored = merge_sessions(&window, sessions, stored);
	nwanted = reference_sessions(gap, max_length, at, length, wanted);
	for (int i = 0; i < stored && i < nwanted; i++)
	{
		if (sessions[i].start - base != wanted[i].start ||
			sessions[i].end - base != wanted[i].end)
			return false;
	}
	return stored == nwanted;
}

static void
test_sessions(void)
{
	int			wrong = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		int64_t		gap = 1 + random_below(8);

		wrong += !same_sessions(gap, gap + random_below(20));
	}
	ok(wrong == 0, "sessions do not depend on batches (%d wrong)", wrong);
}

int
main(int argc, char **argv)
{
	state = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t) time(NULL);
	printf("# seed %llu\n", (unsigned long long) state);
	state = state * UINT64_C(0x9E3779B97F4A7C15) + 1;
	test_random();
	test_cumulate();
	test_refusals();
	test_origins();
	test_range();
	test_session_refusals();
	test_sessions();
	return done_testing();
}
