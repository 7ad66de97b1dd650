/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Window arithmetic: panes, windows of a pane, ends.
 *
 * A window of exact time is arithmetic on instants.  A calendar window (days,
 * weeks, months of a time zone) is defined by its bounds: boundary(i) is the
 * instant of the local time origin + i * slide, and window i is
 * [boundary(i), boundary(i + size / slide)).  Which of them contain t follows
 * from the bounds alone, never from the local time of t: where a clock is
 * set back over midnight one local time happens twice, and only the bounds
 * say on which side of midnight an instant is.  Bounds never decrease; a
 * window may be empty, where a zone skipped a whole day.
 *
 * Cumulating windows are steps inside of periods, which are windows that
 * tumble.  A step of exact time is counted from the start of its period, so a
 * day of 23 or 25 hours has 23 or 25 steps of an hour; the last step of a
 * period ends with it, and is a shorter one if the clock was changed by a part
 * of a step.  A step of days or months ends at the local time that many later.
 *
 * Months are added as PostgreSQL adds them to a timestamp: a day that the
 * month does not have is its last one.
 *
 * Results that do not fit stick to the end of the range of int64.
 *
 *-------------------------------------------------------------------------
 */
#include "window/window.h"

#include <stddef.h>

#define USECS_PER_DAY	INT64_C(86400000000)

/* 1000 years, so that no sum of a time and a few spans can overflow. */
#define MAX_MONTHS		12000
#define MAX_DAYS		366000
#define MAX_USECS		(MAX_DAYS * USECS_PER_DAY)

#define MAX_COUNT		1000000

/* Local days since 2000-01-01. */
#define DAY_1970_01_01	INT64_C(-10957)
#define DAY_1970_01_05	INT64_C(-10953)

typedef struct Date
{
	int64_t		year;
	int			month;			/* 1 .. 12 */
	int			day;			/* 1 .. 31 */
} Date;

static const WeirRefusal refused_size[] = {
	{"window size must be positive",
		NULL,
	"Give a size like '1 minute'."},
	{"window size must not mix months, days and exact time",
		"Months and days have no fixed length in hours.",
	"Use one kind of unit, for example '26 hours' instead of '1 day 2 hours'."},
	{"window size is too long",
		"The longest window is 1000 years.",
	"Give a shorter size."}
};

static const WeirRefusal refused_slide[] = {
	{"window slide must be positive",
		NULL,
	"Give a slide like '1 minute'."},
	{"window slide must not mix months, days and exact time",
		"Months and days have no fixed length in hours.",
	"Use one kind of unit, for example '26 hours' instead of '1 day 2 hours'."},
	{"window slide is too long",
		"The longest slide is 1000 years.",
	"Give a shorter slide."}
};

static const WeirRefusal refused_step[] = {
	{"window step must be positive",
		NULL,
	"Give a step like '1 minute'."},
	{"window step must not mix months, days and exact time",
		"Months and days have no fixed length in hours.",
	"Use one kind of unit, for example '26 hours' instead of '1 day 2 hours'."},
	{"window step is too long",
		"The longest step is 1000 years.",
	"Give a shorter step."}
};

static const WeirRefusal refused_gap[] = {
	{"session gap must be positive",
		NULL,
	"Give a gap like '30 minutes'."},
	{"session gap must be exact time",
		"Months and days have no fixed length in hours.",
	"Use hours and smaller units, for example '24 hours' instead of '1 day'."},
	{"session gap is too long",
		"The longest gap is 1000 years.",
	"Give a shorter gap."}
};

static const WeirRefusal refused_max_length[] = {
	{"session max_length must be positive",
		NULL,
	"Give a max_length like '24 hours'."},
	{"session max_length must be exact time",
		"Months and days have no fixed length in hours.",
	"Use hours and smaller units, for example '24 hours' instead of '1 day'."},
	{"session max_length is too long",
		"The longest session is 1000 years.",
	"Give a shorter max_length."}
};

static const WeirRefusal refused_less = {
	"session max_length must not be less than its gap",
	"A session lasts for gap after its only record, unless it is cut.",
	"Give a max_length that is at least the gap."
};

static const WeirRefusal refused_greater = {
	"window slide must not be greater than its size",
	"Records between two windows would be in no window.",
	"Give a slide that is at most the size, or select the records with WHERE."
};

static const WeirRefusal refused_units = {
	"window size and slide must be of the same kind of unit",
	"Months, days and exact time cannot be compared with each other.",
	"Give both in months, both in days, or both in hours and smaller units."
};

static const WeirRefusal refused_multiple = {
	"window size must be a multiple of its slide",
	"Windows of days, weeks or months overlap by whole slides only.",
	"Change the size or the slide, or use exact time like '24 hours'."
};

static const WeirRefusal refused_step_multiple = {
	"window size must be a multiple of its step",
	"The windows of a period end at each step, and the last one with the period.",
	"Give a step that divides the size: for days, days or a part of them in hours; for months, months, '1 day' or a part of a day in hours."
};

static const WeirRefusal refused_steps = {
	"window step is too small for its size",
	"A record would be in more than 1000000 windows.",
	"Give a greater step."
};

static const WeirRefusal refused_count = {
	"window slide is too small for its size",
	"A record would be in more than 1000000 windows.",
	"Give a greater slide."
};

static const WeirRefusal *check_span(const WeirSpan *span,
									 const WeirRefusal *refusals);
static const WeirRefusal *check_hop(const WeirWindow *window);
static const WeirRefusal *check_cumulate(WeirWindow *window);
static const WeirRefusal *check_session(const WeirWindow *window);
static void days_to_exact(WeirSpan *span);
static void set_origin(WeirWindow *window, int64_t local_origin);
static int64_t ratio(const WeirWindow *window);

/*
 * Check and complete a window; see window.h.
 */
const WeirRefusal *
weir_window_init(WeirWindow *window, bool has_origin, int64_t local_origin)
{
	const WeirRefusal *refusal;
	bool		weeks;

	if (window->kind != WEIR_HOP)
		window->slide = window->size;
	refusal = window->kind == WEIR_SESSION ? check_session(window) :
		check_span(&window->size, refused_size);
	if (refusal == NULL)
		refusal = check_span(&window->slide, refused_slide);
	if (refusal == NULL)
		refusal = check_hop(window);
	if (refusal == NULL && window->kind == WEIR_CUMULATE)
		refusal = check_cumulate(window);
	if (refusal != NULL)
		return refusal;

	weeks = window->slide.days > 0 && window->slide.days % 7 == 0;
	if (!has_origin)
		local_origin = USECS_PER_DAY *
			(weeks ? DAY_1970_01_05 : DAY_1970_01_01);
	if (window->zone.zone == NULL)
	{
		days_to_exact(&window->size);
		days_to_exact(&window->slide);
		days_to_exact(&window->step);
	}
	set_origin(window, local_origin);
	return NULL;
}

/*
 * Exactly one kind of unit, positive, and not too long.  Refusals: not
 * positive, mixed, too long.
 */
static const WeirRefusal *
check_span(const WeirSpan *span, const WeirRefusal *refusals)
{
	int			units = (span->months != 0) + (span->days != 0) +
		(span->us != 0);

	if (units > 1)
		return &refusals[1];
	if (span->months <= 0 && span->days <= 0 && span->us <= 0)
		return &refusals[0];
	if (span->months > MAX_MONTHS || span->days > MAX_DAYS ||
		span->us > MAX_USECS)
		return &refusals[2];
	return NULL;
}

static const WeirRefusal *
check_hop(const WeirWindow *window)
{
	const WeirSpan *size = &window->size;
	const WeirSpan *slide = &window->slide;

	if ((size->months == 0) != (slide->months == 0) ||
		(size->days == 0) != (slide->days == 0))
		return &refused_units;
	if (slide->months > size->months || slide->days > size->days ||
		slide->us > size->us)
		return &refused_greater;
	if ((slide->months > 0 && size->months % slide->months != 0) ||
		(slide->days > 0 && size->days % slide->days != 0))
		return &refused_multiple;
	if (ratio(window) > MAX_COUNT)
		return &refused_count;
	return NULL;
}

/*
 * Steps of exact time in so many days, of which a clock that is set back may
 * make two more.
 */
static int64_t
exact_steps(int64_t days, int64_t step)
{
	return ((days + 2) * USECS_PER_DAY) / step + 1;
}

/*
 * Does step divide size?  The most steps that a period can have.
 */
static const WeirRefusal *
check_cumulate(WeirWindow *window)
{
	const WeirSpan *size = &window->size;
	const WeirSpan *step = &window->step;
	const WeirRefusal *refusal = check_span(step, refused_step);
	int64_t		rest;

	if (refusal != NULL)
		return refusal;
	if (size->months > 0)
	{
		rest = step->months > 0 ? size->months % step->months :
			step->days > 0 ? step->days - 1 : USECS_PER_DAY % step->us;
		window->steps = step->months > 0 ? size->months / step->months :
			step->days > 0 ? size->months * INT64_C(31) :
			exact_steps(size->months * INT64_C(31), step->us);
	}
	else if (size->days > 0)
	{
		rest = step->months > 0 ? 1 :
			step->days > 0 ? size->days % step->days :
			size->days * USECS_PER_DAY % step->us;
		window->steps = step->months > 0 ? 0 :
			step->days > 0 ? size->days / step->days :
			window->zone.zone == NULL ? size->days * USECS_PER_DAY / step->us :
			exact_steps(size->days, step->us);
	}
	else
	{
		rest = step->us > 0 ? size->us % step->us : 1;
		window->steps = step->us > 0 ? size->us / step->us : 0;
	}
	if (rest != 0)
		return &refused_step_multiple;
	return window->steps > MAX_COUNT ? &refused_steps : NULL;
}

static const WeirRefusal *
check_exact(const WeirSpan *span, const WeirRefusal *refusals)
{
	if (span->months != 0 || span->days != 0)
		return &refusals[1];
	return check_span(span, refusals);
}

static const WeirRefusal *
check_session(const WeirWindow *window)
{
	const WeirRefusal *refusal = check_exact(&window->gap, refused_gap);

	if (refusal == NULL)
		refusal = check_exact(&window->size, refused_max_length);
	if (refusal == NULL && window->size.us < window->gap.us)
		refusal = &refused_less;
	return refusal;
}

static void
days_to_exact(WeirSpan *span)
{
	span->us += span->days * USECS_PER_DAY;
	span->days = 0;
}

static bool
is_exact(const WeirWindow *window)
{
	return window->slide.us > 0;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t
floor_mod(int64_t a, int64_t b)
{
	return a - floor_div(a, b) * b;
}

static int64_t
gcd(int64_t a, int64_t b)
{
	while (b != 0)
	{
		int64_t		rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int64_t
add(int64_t a, int64_t b)
{
	int64_t		sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

static int64_t
multiply(int64_t a, int64_t b)
{
	int64_t		product;

	if (__builtin_mul_overflow(a, b, &product))
		return (a > 0) == (b > 0) ? INT64_MAX : INT64_MIN;
	return product;
}

/*
 * Set origin and pane.  Where slides have one length, the first origin from
 * 2000 on does as well, and differences to it cannot overflow.
 */
static void
set_origin(WeirWindow *window, int64_t local_origin)
{
	const WeirZone *zone = &window->zone;

	window->pane = window->slide;
	window->origin = local_origin;
	if (is_exact(window))
	{
		if (zone->zone != NULL)
			window->origin = zone->to_instant(zone->zone, local_origin);
		window->origin = floor_mod(window->origin, window->slide.us);
		window->pane.us = gcd(window->size.us, window->slide.us);
	}
	else if (window->slide.days > 0)
		window->origin = floor_mod(local_origin,
								   window->slide.days * USECS_PER_DAY);
}

/*
 * Size divided by slide, rounded up.
 */
static int64_t
ratio(const WeirWindow *window)
{
	if (window->slide.months > 0)
		return window->size.months / window->slide.months;
	if (window->slide.days > 0)
		return window->size.days / window->slide.days;
	return (window->size.us + window->slide.us - 1) / window->slide.us;
}

/*
 * The date of a day since 2000-01-01.  Years are counted from March, so
 * that a leap day is the last day of its year; 400 of them have 146097 days.
 */
static Date
date_of(int64_t day)
{
	int64_t		shifted = day + 730425; /* since 0000-03-01 */
	int64_t		era = floor_div(shifted, 146097);
	int64_t		in_era = shifted - era * 146097;
	int64_t		year = (in_era - in_era / 1460 + in_era / 36524 -
						in_era / 146096) / 365;
	int64_t		in_year = in_era - (365 * year + year / 4 - year / 100);
	int			march = (int) ((5 * in_year + 2) / 153);	/* 0 = March */
	Date		date;

	date.day = (int) (in_year - (153 * march + 2) / 5 + 1);
	date.month = march < 10 ? march + 3 : march - 9;
	date.year = era * 400 + year + (date.month <= 2);
	return date;
}

/*
 * The reverse.
 */
static int64_t
day_of(Date date)
{
	int64_t		year = date.year - (date.month <= 2);
	int64_t		era = floor_div(year, 400);
	int64_t		of_era = year - era * 400;
	int			march = (date.month + 9) % 12;
	int64_t		in_year = (153 * march + 2) / 5 + date.day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
		in_year - 730425;
}

static int64_t
month_number(Date date)
{
	return date.year * 12 + date.month - 1;
}

static Date
first_of_month(int64_t number)
{
	Date		date;

	date.year = floor_div(number, 12);
	date.month = (int) floor_mod(number, 12) + 1;
	date.day = 1;
	return date;
}

/*
 * A local time some months later.
 */
static int64_t
add_months(int64_t local, int64_t months)
{
	int64_t		day = floor_div(local, USECS_PER_DAY);
	Date		date = date_of(day);
	int64_t		number = month_number(date) + months;
	int64_t		first = day_of(first_of_month(number));
	int64_t		next = day_of(first_of_month(number + 1));
	int64_t		result = first + date.day - 1;

	if (result >= next)
		result = next - 1;
	return add(multiply(result, USECS_PER_DAY), local - day * USECS_PER_DAY);
}

/*
 * The local time at which window i of a calendar window starts.
 */
static int64_t
local_boundary(const WeirWindow *window, int64_t i)
{
	if (window->slide.months > 0)
		return add_months(window->origin, i * window->slide.months);
	return add(window->origin,
			   multiply(i, window->slide.days * USECS_PER_DAY));
}

static int64_t
instant_of(const WeirWindow *window, int64_t local)
{
	const WeirZone *zone = &window->zone;

	return zone->zone == NULL ? local : zone->to_instant(zone->zone, local);
}

/*
 * Start of window i of a calendar window.
 */
static int64_t
boundary(const WeirWindow *window, int64_t i)
{
	return instant_of(window, local_boundary(window, i));
}

/*
 * The newest calendar window that has started at t: guess by the local time,
 * and put it right by the bounds.
 */
static int64_t
calendar_last(const WeirWindow *window, int64_t t)
{
	const WeirZone *zone = &window->zone;
	int64_t		local = zone->zone == NULL ? t :
		zone->to_local(zone->zone, t);
	int64_t		i;

	if (window->slide.months > 0)
	{
		Date		date = date_of(floor_div(local, USECS_PER_DAY));
		Date		origin = date_of(floor_div(window->origin, USECS_PER_DAY));

		i = floor_div(month_number(date) - month_number(origin),
					  window->slide.months);
	}
	else
		i = floor_div(local - window->origin,
					  window->slide.days * USECS_PER_DAY);

	while (boundary(window, i) > t)
		i--;
	while (boundary(window, i + 1) <= t)
		i++;
	return i;
}

/*
 * The newest window, or period of cumulating ones, that has started at t.
 */
static int64_t
last_started(const WeirWindow *window, int64_t t)
{
	if (!is_exact(window))
		return calendar_last(window, t);
	return floor_div(t - window->origin, window->slide.us);
}

/*
 * Start of window, or period, i.
 */
static int64_t
start_of(const WeirWindow *window, int64_t i)
{
	if (!is_exact(window))
		return boundary(window, i);
	return add(window->origin, multiply(i, window->slide.us));
}

/*
 * End of a step of a period.
 */
static int64_t
step_end(const WeirWindow *window, int64_t period, int64_t step)
{
	int64_t		last = start_of(window, period + 1);
	int64_t		n = step + 1;
	int64_t		end;

	if (n >= window->steps)
		return last;
	if (window->step.us > 0)
		end = add(start_of(window, period), multiply(n, window->step.us));
	else if (window->step.days > 0)
		end = instant_of(window,
						 add(local_boundary(window, period),
							 n * window->step.days * USECS_PER_DAY));
	else
		end = instant_of(window,
						 add_months(window->origin,
									period * window->size.months +
									n * window->step.months));
	return end < last ? end : last;
}

/*
 * The step of a period that t is in, the first to end after it: guess by the
 * local time, and put it right by the ends.
 */
static int64_t
step_of(const WeirWindow *window, int64_t period, int64_t t)
{
	const WeirZone *zone = &window->zone;
	int64_t		most = window->steps - 1;
	int64_t		begin;
	int64_t		local;
	int64_t		step;

	if (window->step.us > 0)
	{
		step = (t - start_of(window, period)) / window->step.us;
		return step < most ? step : most;
	}
	begin = local_boundary(window, period);
	local = zone->zone == NULL ? t : zone->to_local(zone->zone, t);
	if (window->step.days > 0)
		step = (local - begin) / (window->step.days * USECS_PER_DAY);
	else
		step = (month_number(date_of(floor_div(local, USECS_PER_DAY))) -
				month_number(date_of(floor_div(begin, USECS_PER_DAY)))) /
			window->step.months;
	step = step < 0 ? 0 : step < most ? step : most;
	while (step > 0 && step_end(window, period, step - 1) > t)
		step--;
	while (step < most && step_end(window, period, step) <= t)
		step++;
	return step;
}

/*
 * Index of the last window that contains t.
 */
int64_t
weir_window_last(const WeirWindow *window, int64_t t)
{
	int64_t		last = last_started(window, t);

	if (window->kind != WEIR_CUMULATE)
		return last;
	return last * window->steps +
		step_of(window, last, start_of(window, last + 1) - 1);
}

/*
 * Index of the first window that contains t.
 */
int64_t
weir_window_first(const WeirWindow *window, int64_t t)
{
	if (window->kind == WEIR_CUMULATE)
	{
		int64_t		period = last_started(window, t);

		return period * window->steps + step_of(window, period, t);
	}
	if (!is_exact(window))
		return calendar_last(window, t) - ratio(window) + 1;
	return floor_div(t - window->origin - window->size.us,
					 window->slide.us) + 1;
}

/*
 * Start of the window with an index.
 */
int64_t
weir_window_start(const WeirWindow *window, int64_t index)
{
	if (window->kind == WEIR_CUMULATE)
		return start_of(window, floor_div(index, window->steps));
	return start_of(window, index);
}

/*
 * End of the window with an index.
 */
int64_t
weir_window_end(const WeirWindow *window, int64_t index)
{
	if (window->kind == WEIR_CUMULATE)
		return step_end(window, floor_div(index, window->steps),
						floor_mod(index, window->steps));
	if (!is_exact(window))
		return boundary(window, index + ratio(window));
	return add(start_of(window, index), window->size.us);
}

/*
 * Start of the pane that contains t.
 */
int64_t
weir_window_pane(const WeirWindow *window, int64_t t)
{
	if (window->kind == WEIR_CUMULATE)
	{
		int64_t		period = last_started(window, t);
		int64_t		step = step_of(window, period, t);

		return step == 0 ? start_of(window, period) :
			step_end(window, period, step - 1);
	}
	if (!is_exact(window))
		return boundary(window, calendar_last(window, t));
	return t - floor_mod(t - window->origin, window->pane.us);
}

/*
 * Where the pane that contains t ends.
 */
int64_t
weir_window_pane_end(const WeirWindow *window, int64_t t)
{
	if (window->kind == WEIR_CUMULATE)
		return weir_window_end(window, weir_window_first(window, t));
	if (!is_exact(window))
		return boundary(window, calendar_last(window, t) + 1);
	return add(weir_window_pane(window, t), window->pane.us);
}

/*
 * The end of a session whose last record is at t.
 */
int64_t
weir_window_session_end(const WeirWindow *window, int64_t t)
{
	int64_t		end = add(t, window->gap.us);
	int64_t		cut = weir_window_end(window, weir_window_last(window, t));

	return end < cut ? end : cut;
}

/*
 * Does a record at t belong to a session that begins by t and ends at end?
 * One that ends at a cut touches what begins there, but does not take it.
 */
bool
weir_window_session_takes(const WeirWindow *window, int64_t end, int64_t t)
{
	return t < end || (t == end && weir_window_pane(window, t) != t);
}

/*
 * Index of the last window with end <= t.  Ends never decrease, so it is the
 * one before the first that contains t.
 */
int64_t
weir_window_last_ended(const WeirWindow *window, int64_t t)
{
	return weir_window_first(window, t) - 1;
}

/*
 * Are all windows that contain t in range?  Far from the ends they are.
 */
bool
weir_window_valid(const WeirWindow *window, int64_t t)
{
	if (t < WEIR_MIN_TIME || t >= WEIR_END_TIME)
		return false;
	if (t > WEIR_MIN_TIME + 2 * MAX_USECS && t < WEIR_END_TIME - 2 * MAX_USECS)
		return true;
	return weir_window_start(window,
							 weir_window_first(window, t)) >= WEIR_MIN_TIME &&
		weir_window_end(window,
						weir_window_last(window, t)) < WEIR_END_TIME;
}

/*
 * The most windows that can contain one t.
 */
int64_t
weir_window_count(const WeirWindow *window)
{
	return window->kind == WEIR_CUMULATE ? window->steps : ratio(window);
}

/*
 * Is every t in just as many windows?
 */
bool
weir_window_even(const WeirWindow *window)
{
	return window->kind != WEIR_CUMULATE &&
		(!is_exact(window) || window->size.us % window->slide.us == 0);
}

/*
 * Can no two neighbours be the same window?
 */
bool
weir_window_distinct(const WeirWindow *window)
{
	return window->kind != WEIR_CUMULATE || window->zone.zone == NULL ||
		window->step.us > 0;
}
