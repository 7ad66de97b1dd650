/*-------------------------------------------------------------------------
 *
 * zone.c
 *	  Windows with PostgreSQL's time zones.
 *
 * window.c knows no time zones, so that it builds without a server; here are
 * the two functions that it calls for calendar windows, and the way from the
 * arguments of a window function to a window.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "window/zone.h"

/* An instant as the local time that a clock in the zone shows. */
static int64_t
to_local(const void *zone, int64_t instant)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	Timestamp	local;

	if (timestamp2tm(instant, &offset, &tm, &fsec, NULL,
					 unconstify(pg_tz *, (const pg_tz *) zone)) != 0 ||
		tm2timestamp(&tm, fsec, NULL, &local) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return local;
}

/* The instant at which a clock in the zone shows a local time. */
static int64_t
to_instant(const void *zone, int64_t local)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	TimestampTz instant;

	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	offset = DetermineTimeZoneOffset(&tm, unconstify(pg_tz *,
													 (const pg_tz *) zone));
	if (tm2timestamp(&tm, fsec, &offset, &instant) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return instant;
}

static WeirSpan
span_of_interval(const Const *arg)
{
	Interval   *interval = DatumGetIntervalP(arg->constvalue);
	WeirSpan	span = {interval->month, interval->day, interval->time};

	return span;
}

/*
 * weir_window_of_arguments
 *		The window that constant arguments describe; see zone.h.
 */
const char *
weir_window_of_arguments(WeirWindow *window, List *args)
{
	int			nspans = window->kind == WEIR_HOP ? 2 : 1;
	Const	   *zone = list_nth_node(Const, args, nspans);
	Const	   *origin = list_nth_node(Const, args, nspans + 1);
	char	   *name;

	for (int i = 0; i < nspans; i++)
	{
		if (list_nth_node(Const, args, i)->constisnull)
			return "size and slide of a window must not be null";
	}
	if (zone->constisnull)
		return "time zone of a window must not be null";

	window->size = span_of_interval(linitial_node(Const, args));
	window->slide = span_of_interval(list_nth_node(Const, args, nspans - 1));
	name = TextDatumGetCString(zone->constvalue);
	window->zone.zone = NULL;
	if (pg_strcasecmp(name, "UTC") != 0)
	{
		window->zone.zone = pg_tzset(name);
		if (window->zone.zone == NULL)
			return psprintf("time zone \"%s\" not recognized", name);
		window->zone.to_local = to_local;
		window->zone.to_instant = to_instant;
	}
	return weir_window_init(window, !origin->constisnull,
							origin->constisnull ? 0 :
							DatumGetTimestamp(origin->constvalue));
}
