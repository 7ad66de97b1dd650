/*-------------------------------------------------------------------------
 *
 * close.c
 *	  Closing windows: from partials to closed rows.
 *
 * closed_to is the greatest window end that the watermark has passed by
 * lateness; it moves even when no row closes, so that exactly the windows
 * with window_end <= closed_to are closed.  closed_before is the least start
 * of a window that is still open: no partial before it is needed any more.
 *
 * Sessions that touch are one, so one closes only when its end lies before
 * every record that can still count; those have event times after closed_to.
 * Hence closed_to is the time just before watermark - lateness, and
 * closed_before is the least of it and the starts of the open sessions.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/fault.h"
#include "base/usercontext.h"
#include "window/close.h"
#include "window/watermark.h"

TimestampTz
weir_close_bound(const WeirPlan *plan, int64 lateness, TimestampTz watermark)
{
	TimestampTz reached = weir_time_minus(watermark, lateness);

	if (reached == DT_NOBEGIN)
		return DT_NOBEGIN;
	if (plan->window.kind == WEIR_SESSION)
		return weir_time_minus(reached, 1);
	return weir_window_end(&plan->window,
						   weir_window_last_ended(&plan->window, reached));
}

TimestampTz
weir_close_watermark(const WeirPlan *plan, int64 lateness, TimestampTz to)
{
	TimestampTz reached = weir_time_plus(to, lateness);

	return plan->window.kind == WEIR_SESSION ? weir_time_plus(reached, 1) :
		reached;
}

/*
 * The least window end after a time.  A session may end at any: to look ten
 * times a gap is often enough.
 */
static TimestampTz
next_end(const WeirPlan *plan, TimestampTz t)
{
	if (plan->window.kind == WEIR_SESSION)
		return weir_time_plus(t, plan->window.gap.us / 10 + 2);
	return weir_window_end(&plan->window,
						   weir_window_last_ended(&plan->window, t) + 1);
}

TimestampTz
weir_close_next(const WeirPlan *plan, int64 lateness, TimestampTz watermark,
				TimestampTz closed_to)
{
	TimestampTz reached = Max(weir_time_minus(watermark, lateness), closed_to);

	if (watermark == DT_NOBEGIN || plan->window.kind == WEIR_SESSION)
		return DT_NOBEGIN;
	return next_end(plan, reached);
}

int64
weir_close_silence(const WeirServed *served)
{
	const WeirStream *stream = served->stream;
	int64		lateness = served->rules.lateness;
	TimestampTz newest = DT_NOBEGIN;
	TimestampTz closed;
	TimestampTz needed;

	for (int p = 0; p < served->npartitions; p++)
		newest = Max(newest, served->checkpoints[p].max_event_time);
	if (stream->close_timeout == 0 || newest == DT_NOBEGIN)
		return PG_INT64_MAX;
	closed = Max(served->rules.closed_to,
				 weir_close_bound(served->plan, lateness, served->watermark));
	if (closed == DT_NOBEGIN)
		return stream->close_timeout;
	needed = weir_time_plus(weir_time_plus(next_end(served->plan, closed),
										   lateness),
							stream->watermark_delay);
	return Max(stream->close_timeout, weir_time_minus(needed, newest));
}

bool
weir_close_due(const WeirServed *served)
{
	return weir_close_bound(served->plan, served->rules.lateness,
							served->watermark) > served->rules.closed_to;
}

/*
 * Move the rows; the numbers merged and inserted must be equal.  Returns
 * closed_before.
 */
static TimestampTz
insert_closed(const WeirServed *served, TimestampTz closed_to)
{
	const WeirWindow *window = &served->plan->window;
	const WeirView *view = served->view;
	WeirUserContext user;
	Oid			type = TIMESTAMPTZOID;
	Datum		value = TimestampTzGetDatum(closed_to);
	int64		merged;
	int64		inserted;
	TimestampTz open_from;
	bool		isnull;

	weir_user_enter(&user, view->owner, view->settings);
	SPI_connect();
	if (SPI_execute_with_args(weir_plan_close_sql(served->plan,
												  view->closed,
												  view->segments),
							  1, &type, &value, NULL, false, 0) < 0 ||
		SPI_processed != 1)
		elog(ERROR, "could not close windows of relation %u", view->view);
	merged = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	inserted = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 2, &isnull));
	open_from =
		DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 3, &isnull));
	SPI_finish();
	weir_user_leave(&user);
	if (merged != inserted)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("only " INT64_FORMAT " of " INT64_FORMAT
						" closed rows of continuous view \"%s\" were stored",
						inserted, merged, get_rel_name(view->view)),
				 errhint("A trigger or rule on the closed table keeps rows"
						 " out.  The windows stay open until all are stored.")));
	if (window->kind == WEIR_SESSION)
		return isnull ? closed_to : Min(closed_to, open_from);
	return weir_window_start(window,
							 weir_window_last_ended(window, closed_to) + 1);
}

bool
weir_close_windows(WeirServed *served)
{
	TimestampTz bound = weir_close_bound(served->plan, served->rules.lateness,
										 served->watermark);
	WeirViewState state;
	WeirView   *view;

	if (!weir_view_lock(served->view->view, ExclusiveLock, true))
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	view = weir_view_get(served->view->view, true);
	if (!weir_served_stays(served, view))
	{
		PopActiveSnapshot();
		return false;
	}
	weir_view_state_get(view->closed, &state);
	if (bound > state.closed_to)
	{
		state.closed_to = bound;
		state.closed_before = insert_closed(served, bound);
		WEIR_FAULT("close-inserted");
		weir_view_state_update(view->closed, &state);
		WEIR_FAULT("close-state");
	}
	if (view->status == WEIR_CLOSE_FAILED)
		weir_view_set_status(view->view, WEIR_RUNNING, NULL);
	PopActiveSnapshot();
	served->rules.closed_to = state.closed_to;
	return true;
}
