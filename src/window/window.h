/*-------------------------------------------------------------------------
 *
 * window.h
 *	  Window arithmetic: panes, windows of a pane, ends.
 *
 * All times are microseconds since 2000-01-01 UTC (TimestampTz).  window.c
 * builds without a server; calendar windows (days, weeks, months in a time
 * zone) go through the two functions of WeirZone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WINDOW_H
#define WEIR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef enum WeirWindowKind
{
	WEIR_TUMBLE,
	WEIR_HOP
} WeirWindowKind;

/* A length of time: months and days follow the time zone, us is exact. */
typedef struct WeirSpan
{
	int32_t		months;
	int32_t		days;
	int64_t		us;
} WeirSpan;

/* Local time <-> instant; opaque is the zone. */
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
	WeirSpan	slide;			/* = size for tumble */
	WeirSpan	pane;			/* = size for tumble; the gcd for hop */
	WeirZone	zone;
	int64_t		origin;			/* an instant (exact spans) or a local time
								 * (calendar spans) */
} WeirWindow;

/*
 * Check and complete a window: kind, size, slide, zone are set; origin is
 * given (a local time) or has_origin is false = local midnight of
 * 1970-01-01, for whole weeks Monday 1970-01-05.  Returns NULL, or why it is
 * refused (a message for the user).
 */
extern const char *weir_window_init(WeirWindow *window, bool has_origin,
									int64_t local_origin);

/* Index of the newest window that contains t (its start is the greatest). */
extern int64_t weir_window_last(const WeirWindow *window, int64_t t);

/* Index of the oldest window that contains t. */
extern int64_t weir_window_first(const WeirWindow *window, int64_t t);

/* Bounds of the window with an index. */
extern int64_t weir_window_start(const WeirWindow *window, int64_t index);
extern int64_t weir_window_end(const WeirWindow *window, int64_t index);

/* Start of the pane that contains t. */
extern int64_t weir_window_pane(const WeirWindow *window, int64_t t);

/* Index of the last window with end <= t. */
extern int64_t weir_window_last_ended(const WeirWindow *window, int64_t t);

#endif							/* WEIR_WINDOW_H */
