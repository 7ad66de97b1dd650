/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The C functions under weir.tumble() and weir.hop(), and weir.session().
 *
 * They are immutable, so with a constant size, slide and origin the planner
 * folds what does not depend on the time away, and the window is made once
 * per query.  Each takes the arguments of its window function in the same
 * order.
 *
 * A record is in the windows weir_window_last(), and before it, of its time.
 * weir.hop() numbers them from 0, the newest, up to _hop_count() - 1, and
 * drops the oldest where it does not contain the time, which happens only if
 * size is no multiple of slide: see _hop_even().
 *
 * Where a session ends no function of one row can tell.  So weir.session()
 * only marks the query of a continuous view; the merge of the view's partials
 * asks _session_takes() which of them make one session.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "window/functions.h"

/* Kept from call to call if the arguments cannot change. */
typedef struct CachedWindow
{
	WeirWindow	window;
	bool		constant;
} CachedWindow;

static WeirSpan span_of(const Interval *interval);
static void set_zone(WeirZone *zone, const text *timezone);
static int64_t zone_to_local(const void *zone, int64_t instant);
static int64_t zone_to_instant(const void *zone, int64_t local);
static void raise_null(const char *what);
static void raise_refusal(const WeirRefusal *refusal);
static const WeirWindow *get_window(FunctionCallInfo fcinfo,
									WeirWindowKind kind, int arg);
static void read_window(FunctionCallInfo fcinfo, WeirWindowKind kind,
						int arg, WeirWindow *window);
static void check_time(const WeirWindow *window, TimestampTz t);
static int64 nth_newest(FunctionCallInfo fcinfo, const WeirWindow *window);

/*
 * A window from SQL values; see functions.h.
 */
void
weir_window_from_args(WeirWindow *window, WeirWindowKind kind,
					  const Interval *size, const Interval *slide,
					  const text *timezone, const Timestamp *origin)
{
	if (size == NULL)
		raise_null("size");
	if (kind == WEIR_HOP && slide == NULL)
		raise_null("slide");
	if (timezone == NULL)
		raise_null("timezone");
	if (origin != NULL && TIMESTAMP_NOT_FINITE(*origin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window origin must not be infinite"),
				 errhint("Omit it, or give a local time at which a window starts.")));

	memset(window, 0, sizeof(WeirWindow));
	window->kind = kind;
	window->size = span_of(size);
	if (kind == WEIR_HOP)
		window->slide = span_of(slide);
	set_zone(&window->zone, timezone);
	raise_refusal(weir_window_init(window, origin != NULL,
								   origin ? *origin : 0));
}

/*
 * A session from SQL values; see functions.h.
 */
void
weir_session_from_args(WeirWindow *window, const Interval *gap,
					   const Interval *max_length)
{
	if (gap == NULL)
		raise_null("gap");
	if (max_length == NULL)
		raise_null("max_length");
	memset(window, 0, sizeof(WeirWindow));
	window->kind = WEIR_SESSION;
	window->gap = span_of(gap);
	window->size = span_of(max_length);
	raise_refusal(weir_window_init(window, false, 0));
}

/*
 * weir._tumble_start(ts, size, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_tumble_start);
Datum
weir_tumble_start(PG_FUNCTION_ARGS)
{
	const WeirWindow *window;
	TimestampTz t;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	window = get_window(fcinfo, WEIR_TUMBLE, 1);
	t = PG_GETARG_TIMESTAMPTZ(0);
	check_time(window, t);
	PG_RETURN_TIMESTAMPTZ(weir_window_pane(window, t));
}

/*
 * weir._tumble_end(ts, size, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_tumble_end);
Datum
weir_tumble_end(PG_FUNCTION_ARGS)
{
	const WeirWindow *window;
	TimestampTz t;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	window = get_window(fcinfo, WEIR_TUMBLE, 1);
	t = PG_GETARG_TIMESTAMPTZ(0);
	check_time(window, t);
	PG_RETURN_TIMESTAMPTZ(weir_window_end(window,
										  weir_window_last(window, t)));
}

/*
 * weir._hop_start(ts, nth, size, slide, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_hop_start);
Datum
weir_hop_start(PG_FUNCTION_ARGS)
{
	const WeirWindow *window;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	window = get_window(fcinfo, WEIR_HOP, 2);
	PG_RETURN_TIMESTAMPTZ(weir_window_start(window,
											nth_newest(fcinfo, window)));
}

/*
 * weir._hop_end(ts, nth, size, slide, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_hop_end);
Datum
weir_hop_end(PG_FUNCTION_ARGS)
{
	const WeirWindow *window;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	window = get_window(fcinfo, WEIR_HOP, 2);
	PG_RETURN_TIMESTAMPTZ(weir_window_end(window,
										  nth_newest(fcinfo, window)));
}

/*
 * weir._hop_count(size, slide, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_hop_count);
Datum
weir_hop_count(PG_FUNCTION_ARGS)
{
	const WeirWindow *window = get_window(fcinfo, WEIR_HOP, 0);

	PG_RETURN_INT32((int32) weir_window_count(window));
}

/*
 * weir._hop_even(size, slide, timezone, origin)
 */
PG_FUNCTION_INFO_V1(weir_hop_even);
Datum
weir_hop_even(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(weir_window_even(get_window(fcinfo, WEIR_HOP, 0)));
}

/*
 * weir._session_takes(session_end, ts, gap, max_length): does a record at ts
 * belong to a session that begins by then and ends at session_end?  Not
 * without a session.
 */
PG_FUNCTION_INFO_V1(weir_session_takes);
Datum
weir_session_takes(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(weir_window_session_takes(get_window(fcinfo,
														WEIR_SESSION, 2),
											 PG_GETARG_TIMESTAMPTZ(0),
											 PG_GETARG_TIMESTAMPTZ(1)));
}

static char *
interval_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? "" :
		DatumGetCString(DirectFunctionCall1(interval_out,
											PG_GETARG_DATUM(arg)));
}

/*
 * weir.session(ts, gap, max_length) outside of a continuous view, which never
 * calls it: raises 0A000, with the query to type instead.
 */
PG_FUNCTION_INFO_V1(weir_session);
Datum
weir_session(PG_FUNCTION_ARGS)
{
	char	   *gap = interval_text(fcinfo, 1);
	char	   *max_length = interval_text(fcinfo, 2);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("weir.session() can only be used in the query of a continuous view"),
			 errdetail("Where a session ends depends on the records of its key that follow, which a function of one row does not see."),
			 errhint("Over rows that are all there, with your own names for events, ts and key, type:\n"
					 "SELECT min(ts) AS window_start, least(max(ts) + '%s'::interval, cut + '%s'::interval) AS window_end, key, count(*)\n"
					 "FROM (SELECT *, count(*) FILTER (WHERE ts > previous + '%s'::interval) OVER (PARTITION BY key, cut ORDER BY ts) AS session\n"
					 "      FROM (SELECT *, lag(ts) OVER (PARTITION BY key, cut ORDER BY ts) AS previous\n"
					 "            FROM (SELECT *, date_bin('%s', ts, '1970-01-01 00:00:00+00') AS cut FROM events) e) e) e\n"
					 "GROUP BY key, cut, session;",
					 gap, max_length, gap, max_length)));
}

static WeirSpan
span_of(const Interval *interval)
{
	WeirSpan	span;

	span.months = interval->month;
	span.days = interval->day;
	span.us = interval->time;
	return span;
}

/*
 * Look a zone up by its full name.  An abbreviation may mean another offset
 * after a change of configuration, so none is taken.
 */
static void
set_zone(WeirZone *zone, const text *timezone)
{
	char	   *name = text_to_cstring(timezone);
	pg_tz	   *tz = NULL;

	if (pg_strcasecmp(name, "UTC") == 0)
		return;
	if (strlen(name) <= TZ_STRLEN_MAX)
		tz = pg_tzset(name);
	if (tz == NULL || !pg_tz_acceptable(tz))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Use a name of pg_timezone_names, like 'Europe/Berlin'.")));
	pfree(name);
	zone->to_local = zone_to_local;
	zone->to_instant = zone_to_instant;
	zone->zone = tz;
}

static int64_t
zone_to_local(const void *zone, int64_t instant)
{
	int64		seconds = instant / USECS_PER_SEC -
		(instant % USECS_PER_SEC < 0);
	pg_time_t	time = seconds + SECS_PER_DAY *
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
	struct pg_tm *tm = pg_localtime(&time, zone);

	return tm == NULL ? instant : instant + tm->tm_gmtoff * USECS_PER_SEC;
}

/*
 * As AT TIME ZONE has it: a local time that happens twice is the later one,
 * one that does not happen is reckoned from before the change.
 */
static int64_t
zone_to_instant(const void *zone, int64_t local)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return local;
	return local + DetermineTimeZoneOffset(&tm, (pg_tz *) zone) *
		USECS_PER_SEC;
}

static void
raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("window %s must not be null", what)));
}

/*
 * Raise why a window is refused, if it is.
 */
static void
raise_refusal(const WeirRefusal *refusal)
{
	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", refusal->message),
				 refusal->detail ? errdetail("%s", refusal->detail) : 0,
				 refusal->hint ? errhint("%s", refusal->hint) : 0));
}

/*
 * The window of the arguments from number arg on.
 */
static const WeirWindow *
get_window(FunctionCallInfo fcinfo, WeirWindowKind kind, int arg)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	CachedWindow *cached = flinfo->fn_extra;
	bool		constant = true;

	if (cached != NULL && cached->constant)
		return &cached->window;

	if (cached == NULL)
	{
		cached = MemoryContextAllocZero(flinfo->fn_mcxt,
										sizeof(CachedWindow));
		flinfo->fn_extra = cached;
	}
	read_window(fcinfo, kind, arg, &cached->window);
	for (int i = arg; i < PG_NARGS(); i++)
		constant &= get_fn_expr_arg_stable(flinfo, i);
	cached->constant = constant;
	return &cached->window;
}

static void
read_window(FunctionCallInfo fcinfo, WeirWindowKind kind, int arg,
			WeirWindow *window)
{
	const Interval *size = NULL;
	const Interval *slide = NULL;
	const text *timezone = NULL;
	Timestamp	origin = 0;
	bool		has_origin;

	if (!PG_ARGISNULL(arg))
		size = PG_GETARG_INTERVAL_P(arg);
	if (kind == WEIR_SESSION)
	{
		const Interval *max_length = NULL;

		if (!PG_ARGISNULL(++arg))
			max_length = PG_GETARG_INTERVAL_P(arg);
		weir_session_from_args(window, size, max_length);
		return;
	}
	if (kind == WEIR_HOP && !PG_ARGISNULL(++arg))
		slide = PG_GETARG_INTERVAL_P(arg);
	if (!PG_ARGISNULL(++arg))
		timezone = PG_GETARG_TEXT_PP(arg);
	has_origin = !PG_ARGISNULL(++arg);
	if (has_origin)
		origin = PG_GETARG_TIMESTAMP(arg);
	weir_window_from_args(window, kind, size, slide, timezone,
						  has_origin ? &origin : NULL);
}

/*
 * Raise for a time whose windows are not all in range.
 */
static void
check_time(const WeirWindow *window, TimestampTz t)
{
	if (TIMESTAMP_NOT_FINITE(t))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range"),
				 errdetail("An infinite time is in no window."),
				 errhint("Exclude such rows with WHERE isfinite(...).")));
	if (!weir_window_valid(window, t))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range"),
				 errdetail("A window that contains it reaches beyond the range of timestamptz.")));
}

/*
 * Index of the window that arguments 0 and 1 (ts, nth) stand for.
 */
static int64
nth_newest(FunctionCallInfo fcinfo, const WeirWindow *window)
{
	TimestampTz t = PG_GETARG_TIMESTAMPTZ(0);

	check_time(window, t);
	return weir_window_last(window, t) - PG_GETARG_INT32(1);
}
