/*-------------------------------------------------------------------------
 *
 * window.h
 *	  Window arithmetic: panes, windows of a pane, ends.
 *
 * All times are microseconds since 2000-01-01 UTC (TimestampTz).  window.c
 * builds without a server; calendar windows (days, weeks, months in a time
 * zone) go through the two functions of WeirZone.
 *
 * Window number i starts at origin + i * slide; windows overlap if slide is
 * less than size.  Cumulating windows come in periods, period i from origin +
 * i * size: all windows of a period start with it, and end one step after the
 * other, the last one with the period.  They are numbered period after
 * period, with numbers left over where a period has fewer steps than the
 * longest: those windows end with their period too.  A time t must be in the
 * range of timestamptz, neither infinity.
 *
 * A session lasts from its first record to gap after its last one, so its
 * bounds do not follow from a time alone.  No session crosses a multiple of
 * max_length since 1970-01-01 00:00 UTC: these slices of time are the windows
 * whose arithmetic is here, and a session is a part of one of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WINDOW_H
#define WEIR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* The range of timestamptz: from, and before. */
#define WEIR_MIN_TIME	INT64_C(-211813488000000000)
#define WEIR_END_TIME	INT64_C(9223371331200000000)

typedef enum WeirWindowKind
{
	WEIR_TUMBLE,
	WEIR_HOP,
	WEIR_CUMULATE,
	WEIR_SESSION
} WeirWindowKind;

/* A length of time: months and days follow the time zone, us is exact. */
typedef struct WeirSpan
{
	int32_t		months;
	int32_t		days;
	int64_t		us;
} WeirSpan;

/*
 * Local time <-> instant; zone is the zone.  What is out of range comes back
 * as it is.
 */
typedef struct WeirZone
{
	int64_t		(*to_local) (const void *zone, int64_t instant);
	int64_t		(*to_instant) (const void *zone, int64_t local);
	const void *zone;			/* NULL: UTC, functions unused */
} WeirZone;

typedef struct WeirWindow
{
	WeirWindowKind kind;
	WeirSpan	size;
	WeirSpan	slide;			/* = size unless hop, set by init */
	WeirSpan	step;			/* cumulate only */
	int64_t		steps;			/* cumulate: the most that a period has */
	WeirSpan	pane;			/* = size for tumble; the gcd for hop;
								 * cumulate has none of one length */
	WeirSpan	gap;			/* session only; size is its max_length */
	WeirZone	zone;
	int64_t		origin;			/* an instant (exact spans) or a local time
								 * (calendar spans) */
} WeirWindow;

/* Why a window is refused, for the user. */
typedef struct WeirRefusal
{
	const char *message;
	const char *detail;
	const char *hint;
} WeirRefusal;

/*
 * Check and complete a window: kind, size, slide or step or gap, zone are
 * set; origin is given (a local time) or has_origin is false = local midnight
 * of 1970-01-01, for whole weeks Monday 1970-01-05.  Returns NULL, or why it
 * is refused.  Days of UTC become exact time.
 */
extern const WeirRefusal *weir_window_init(WeirWindow *window,
										   bool has_origin,
										   int64_t local_origin);

/*
 * Are all windows that contain t in the range of timestamptz?  Where they
 * are not, the window functions raise 22008, and a record is bad.
 */
extern bool weir_window_valid(const WeirWindow *window, int64_t t);

/* The most windows that can contain one t. */
extern int64_t weir_window_count(const WeirWindow *window);

/* Are there always just as many? */
extern bool weir_window_even(const WeirWindow *window);

/*
 * Is no window that contains a time the same as its neighbour?  Cumulating
 * ones can be, where a zone skipped a whole day; who enumerates them takes
 * those that end after the one before.
 */
extern bool weir_window_distinct(const WeirWindow *window);

/* Index of the last window that contains t: the one with the greatest end. */
extern int64_t weir_window_last(const WeirWindow *window, int64_t t);

/* Index of the first window that contains t: the one with the least end. */
extern int64_t weir_window_first(const WeirWindow *window, int64_t t);

/* Bounds of the window with an index. */
extern int64_t weir_window_start(const WeirWindow *window, int64_t index);
extern int64_t weir_window_end(const WeirWindow *window, int64_t index);

/* Start of the pane that contains t, and where the next one starts. */
extern int64_t weir_window_pane(const WeirWindow *window, int64_t t);
extern int64_t weir_window_pane_end(const WeirWindow *window, int64_t t);

/*
 * Sessions: the end of one whose last record is at t, which is cut where its
 * slice ends.
 */
extern int64_t weir_window_session_end(const WeirWindow *window, int64_t t);

/*
 * Does a record at t, not before the start of a session that ends at end,
 * belong to it: do they overlap or touch, on the same side of a cut?
 */
extern bool weir_window_session_takes(const WeirWindow *window, int64_t end,
									  int64_t t);

/* Index of the last window with end <= t. */
extern int64_t weir_window_last_ended(const WeirWindow *window, int64_t t);

#endif							/* WEIR_WINDOW_H */
