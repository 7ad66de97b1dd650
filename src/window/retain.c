/*-------------------------------------------------------------------------
 *
 * retain.c
 *	  weir.retention: closed windows that are too old go.
 *
 * Age is event time: a window is too old when it ends weir.retention or more
 * before closed_to.  So a topic of last year, read today, keeps its newest
 * rows, and a stream that has fallen silent keeps what it has.  Where
 * closed_to is ahead of the clock, the clock counts: one event from the
 * future must not empty a view.
 *
 * Rows go by DELETE, through the executor, as the view's owner.  Closed is an
 * ordinary table: nobody who reads it waits, a snapshot that is older keeps
 * its rows, on a standby too, and triggers, foreign keys and publications do
 * what they do for any DELETE.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/fault.h"
#include "base/usercontext.h"
#include "catalog/form.h"
#include "window/plan.h"
#include "window/retain.h"

TimestampTz
weir_retain_bound(const WeirView *view)
{
	WeirViewState state;
	WeirUserContext user;
	TimestampTz newest;
	Datum		bound;

	if (view->retention == NULL)
		return DT_NOBEGIN;
	weir_view_state_get(view->closed, &state);
	if (state.closed_to == DT_NOBEGIN)
		return DT_NOBEGIN;
	newest = Min(state.closed_to, GetCurrentTransactionStartTimestamp());
	weir_user_enter(&user, view->owner, view->settings);
	bound = DirectFunctionCall2(timestamptz_mi_interval,
								TimestampTzGetDatum(newest),
								weir_form_interval(view->retention));
	weir_user_leave(&user);
	return DatumGetTimestampTz(bound);
}

/* " FROM closed c WHERE its window ends by $1": what goes. */
static char *
from_expired(const WeirView *view, char **end)
{
	const WeirPlan *plan = weir_plan_of_view(view->query);
	int			hidden = plan->noutputs;
	int			start_column;
	int			end_column;

	start_column = plan->window_start >= 0 ? plan->window_start : hidden++;
	end_column = plan->window_end >= 0 ? plan->window_end : hidden;
	*end = psprintf("c.%s", quote_identifier(get_attname(view->closed,
														 end_column + 1,
														 false)));

	/* no window ends before it starts, and there is an index on the start */
	return psprintf(" FROM %s c WHERE c.%s OPERATOR(pg_catalog.<) $1"
					" AND %s OPERATOR(pg_catalog.<=) $1",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(view->closed)),
											   get_rel_name(view->closed)),
					quote_identifier(get_attname(view->closed,
												 start_column + 1, false)),
					*end);
}

/* Run a query of $1 timestamptz and $2 bigint; its only value, or 0. */
static Datum
run(const char *sql, int expected, TimestampTz bound, int64 number)
{
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(bound), Int64GetDatum(number)};
	bool		isnull;

	if (SPI_execute_with_args(sql, 2, types, values, NULL, false,
							  0) != expected)
		elog(ERROR, "could not run \"%s\"", sql);
	if (expected != SPI_OK_SELECT || SPI_processed == 0)
		return (Datum) 0;
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						 &isnull);
}

static bool
any_left(const char *from, TimestampTz bound)
{
	return DatumGetBool(run(psprintf("SELECT EXISTS (SELECT%s)", from),
							SPI_OK_SELECT, bound, 0));
}

/*
 * The end of the window that holds the max_rows-th row of those that go, so
 * that all of it goes and nothing of the next.
 */
static TimestampTz
lower_bound(const char *from, const char *end, TimestampTz bound,
			int64 max_rows)
{
	int64		rows;

	rows = DatumGetInt64(run(psprintf("SELECT pg_catalog.count(*)%s", from),
							 SPI_OK_SELECT, bound, 0));
	if (rows <= max_rows)
		return bound;
	return DatumGetTimestampTz(run(psprintf("SELECT %s%s ORDER BY 1 USING OPERATOR(pg_catalog.<) LIMIT 1 OFFSET $2",
											end, from),
								   SPI_OK_SELECT, bound, max_rows - 1));
}

bool
weir_retain_due(const WeirView *view, TimestampTz bound)
{
	WeirUserContext user;
	char	   *end;
	char	   *from = from_expired(view, &end);
	bool		due;

	weir_user_enter(&user, view->owner, view->settings);
	SPI_connect();
	due = any_left(from, bound);
	SPI_finish();
	weir_user_leave(&user);
	return due;
}

int64
weir_retain_trim(const WeirView *view, int64 max_rows, TimestampTz *bound)
{
	WeirUserContext user;
	char	   *from;
	char	   *end;
	int64		rows;

	if (!ConditionalLockRelationOid(view->closed, RowExclusiveLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not lock relation \"%s\"",
						get_rel_name(view->closed))));
	if (!weir_retain_due(view, *bound))
		return 0;
	weir_constraints_immediate();	/* I8 */
	from = from_expired(view, &end);
	weir_user_enter(&user, view->owner, view->settings);
	SPI_connect();
	*bound = lower_bound(from, end, *bound, max_rows);
	(void) run(psprintf("DELETE%s", from), SPI_OK_DELETE, *bound, 0);
	rows = SPI_processed;
	if (any_left(from, *bound))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("closed rows of continuous view \"%s\" that are past its retention were not deleted",
						get_rel_name(view->view)),
				 errhint("A trigger, rule or policy on the closed table keeps rows.")));
	SPI_finish();
	weir_user_leave(&user);
	WEIR_FAULT("retain-deleted");
	weir_trimmed_add(view->view, WEIR_TRIMMED_CLOSED, rows, *bound);
	return rows;
}
