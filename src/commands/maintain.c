/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  weir.maintain(): what is too old goes.
 *
 *		closed rows		past weir.retention of their view
 *		late events		stored longer ago than late_event_age
 *		dead letters	stored longer ago than dead_letter_age
 *		job runs		pg_cron's own history, ended before job_run_age
 *
 * Of the views that the caller owns; of the job runs those that pg_cron lets
 * him delete.  One call at a time works in a database, another returns at
 * once.  At most about max_rows rows of each kind and view go in a call, so
 * that its transaction stays short; the next call goes on.
 *
 * No lock is waited for and none is taken that a reader, a close or a batch
 * would meet.  Each kind of each view is a subtransaction: what fails is in
 * the result, with a WARNING, and does not keep the others from going.  What
 * went is remembered in weir.trimmed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/usercontext.h"
#include "catalog/deadletter.h"
#include "commands/maintain.h"
#include "window/retain.h"

#define JOB_RUNS	"job runs"

/* One kind of rows, of one view or of none. */
typedef struct Chore Chore;
struct Chore
{
	const WeirView *view;
	const char *what;
	void		(*work) (Chore *chore);
	TimestampTz before;			/* what was written before goes */
	int64		max_rows;
	int64		rows;			/* that went */
	TimestampTz up_to;
	bool		left;			/* there may be more */
};

/* ------------------------------------------------------------------ chores */

static void
trim_closed(Chore *chore)
{
	TimestampTz bound = weir_retain_bound(chore->view);

	if (bound == DT_NOBEGIN)
		return;
	chore->up_to = bound;
	chore->rows = weir_retain_trim(chore->view, chore->max_rows,
								   &chore->up_to);
	chore->left = chore->up_to < bound;
}

static void
trim_late_events(Chore *chore)
{
	chore->rows = weir_late_event_trim(chore->view->view, chore->before,
									   chore->max_rows, &chore->up_to);
	weir_trimmed_add(chore->view->view, WEIR_TRIMMED_LATE_EVENTS,
					 chore->rows, chore->up_to);
	chore->left = chore->rows == chore->max_rows;
}

static void
trim_dead_letters(Chore *chore)
{
	chore->rows = weir_dead_letter_trim(chore->view->view, chore->before,
										chore->max_rows, &chore->up_to);
	weir_trimmed_add(chore->view->view, WEIR_TRIMMED_DEAD_LETTERS,
					 chore->rows, chore->up_to);
	chore->left = chore->rows == chore->max_rows;
}

/* pg_cron's history, as far as its policy and its grants let us. */
static void
trim_job_runs(Chore *chore)
{
	static const char sql[] =
		"DELETE FROM cron.job_run_details WHERE runid IN"
		" (SELECT runid FROM cron.job_run_details"
		" WHERE coalesce(end_time, start_time) < $1"
		" ORDER BY runid LIMIT $2)";
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(chore->before),
	Int64GetDatum(chore->max_rows)};
	WeirUserContext user;

	weir_user_enter(&user, GetUserId(), NIL);
	SPI_connect();
	if (SPI_execute_with_args(sql, 2, types, values, NULL, false,
							  0) != SPI_OK_DELETE)
		elog(ERROR, "could not run \"%s\"", sql);
	chore->rows = SPI_processed;
	SPI_finish();
	weir_user_leave(&user);
	chore->up_to = chore->before;
	chore->left = chore->rows == chore->max_rows;
}

/* Is there a history of pg_cron here that the caller may trim? */
static bool
has_job_runs(void)
{
	Oid			schema = get_namespace_oid("cron", true);
	Oid			runs;

	if (!OidIsValid(get_extension_oid("pg_cron", true)) ||
		!OidIsValid(schema) ||
		!DatumGetBool(DirectFunctionCall2(has_schema_privilege_id,
										  ObjectIdGetDatum(schema),
										  CStringGetTextDatum("USAGE"))))
		return false;
	runs = get_relname_relid("job_run_details", schema);
	return OidIsValid(runs) &&
		pg_class_aclcheck(runs, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(runs, GetUserId(), ACL_DELETE) == ACLCHECK_OK;
}

/* ------------------------------------------------------------------ result */

static void
work_on(void *arg)
{
	Chore	   *chore = (Chore *) arg;

	chore->work(chore);
}

/* (what, view, rows, up_to, error), if there is something to tell. */
static void
put_row(ReturnSetInfo *result, const Chore *chore, const ErrorData *error)
{
	Datum		values[5] = {0};
	bool		isnull[5] = {false};

	values[0] = CStringGetTextDatum(chore->what);
	isnull[1] = chore->view == NULL;
	if (chore->view != NULL)
		values[1] = ObjectIdGetDatum(chore->view->view);
	values[2] = Int64GetDatum(error == NULL ? chore->rows : 0);
	values[3] = TimestampTzGetDatum(chore->up_to);
	isnull[3] = error != NULL;
	isnull[4] = error == NULL;
	if (error != NULL)
		values[4] = CStringGetTextDatum(error->message);
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* Do a chore.  True if there may be more to do. */
static bool
do_chore(ReturnSetInfo *result, Chore *chore)
{
	ErrorData  *error;

	chore->rows = 0;
	chore->up_to = DT_NOBEGIN;
	chore->left = false;
	error = weir_try(work_on, chore);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 chore->view == NULL ?
				 errmsg("could not trim %s: %s", chore->what,
						error->message) :
				 errmsg("could not trim %s of continuous view \"%s\": %s",
						chore->what, get_rel_name(chore->view->view),
						error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
	if (error != NULL || chore->rows > 0)
		put_row(result, chore, error);
	return error == NULL && chore->left;
}

/* ---------------------------------------------------------------- maintain */

/* The time before which things are too old, or DT_NOBEGIN for a null age. */
static TimestampTz
age_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	Interval   *age;

	if (PG_ARGISNULL(arg))
		return DT_NOBEGIN;
	age = PG_GETARG_INTERVAL_P(arg);
	if (age->month < 0 || age->day < 0 || age->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name),
				 errhint("Use NULL to keep everything.")));
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
												   IntervalPGetDatum(age)));
}

static int64
max_rows_argument(FunctionCallInfo fcinfo, int arg)
{
	int64		max_rows = PG_ARGISNULL(arg) ? PG_INT64_MAX :
		PG_GETARG_INT64(arg);

	if (max_rows <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be positive"),
				 errhint("Use NULL for no limit.")));
	return max_rows;
}

/* One at a time in a database, until the end of the transaction. */
static bool
lock_maintenance(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId,
					   weir_catalog_extension(), 1);
	return LockAcquire(&tag, ExclusiveLock, false,
					   true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * The views of the caller's, locked against a DROP that would go on to what
 * lies behind them while we do (I9).  One that is being changed is left out.
 */
static List *
lock_views(void)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, weir_view_list())
	{
		Oid			oid = ((WeirView *) lfirst(lc))->view;
		WeirView   *view;

		if (!pg_class_ownercheck(oid, GetUserId()) ||
			!ConditionalLockRelationOid(oid, AccessShareLock))
			continue;
		view = weir_view_get(oid, true);
		if (view != NULL && get_rel_name(view->closed) != NULL &&
			get_rel_name(view->query) != NULL)
			views = lappend(views, view);
	}
	return views;
}

PG_FUNCTION_INFO_V1(weir_maintain);

/*
 * weir.maintain(dead_letter_age interval, late_event_age interval,
 * job_run_age interval, max_rows bigint): what went, one row a kind and view.
 * A NULL age keeps all of its kind.
 */
Datum
weir_maintain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz dead_before = age_argument(fcinfo, 0, "dead_letter_age");
	TimestampTz late_before = age_argument(fcinfo, 1, "late_event_age");
	TimestampTz runs_before = age_argument(fcinfo, 2, "job_run_age");
	Chore		closed = {.what = weir_trimmed_name(WEIR_TRIMMED_CLOSED),
	.work = trim_closed};
	Chore		late = {.what = weir_trimmed_name(WEIR_TRIMMED_LATE_EVENTS),
	.work = trim_late_events,.before = late_before};
	Chore		dead = {.what = weir_trimmed_name(WEIR_TRIMMED_DEAD_LETTERS),
	.work = trim_dead_letters,.before = dead_before};
	Chore		runs = {.what = JOB_RUNS,.work = trim_job_runs,
	.before = runs_before};
	bool		left = false;
	ListCell   *lc;

	closed.max_rows = late.max_rows = dead.max_rows = runs.max_rows =
		max_rows_argument(fcinfo, 3);
	PreventCommandIfReadOnly("weir.maintain()");
	PreventCommandDuringRecovery("weir.maintain()");
	InitMaterializedSRF(fcinfo, 0);
	if (!lock_maintenance())
	{
		ereport(NOTICE,
				(errmsg("another session is maintaining this database, nothing is done")));
		return (Datum) 0;
	}
	foreach(lc, lock_views())
	{
		closed.view = late.view = dead.view = lfirst(lc);
		left |= do_chore(result, &closed);
		left |= do_chore(result, &late);
		left |= do_chore(result, &dead);
	}
	if (runs_before != DT_NOBEGIN && has_job_runs())
		left |= do_chore(result, &runs);
	if (left)
		ereport(NOTICE,
				(errmsg("there is more to trim than max_rows"),
				 errhint("Call weir.maintain() again.")));
	return (Datum) 0;
}

/* --------------------------------------------------------------------- why */

static const char *
time_text(TimestampTz t)
{
	return pstrdup(timestamptz_to_str(t));
}

/* Needs the view's query planned, which may fail. */
typedef struct DueWork
{
	const WeirView *view;
	TimestampTz bound;
	bool		due;
} DueWork;

static void
find_due(void *arg)
{
	DueWork    *work = (DueWork *) arg;

	work->bound = weir_retain_bound(work->view);
	work->due = work->bound != DT_NOBEGIN &&
		ConditionalLockRelationOid(work->view->closed, AccessShareLock) &&
		weir_retain_due(work->view, work->bound);
}

/* Closed windows that are past their retention wait for maintenance. */
static List *
explain_due(const WeirView *view, List *sentences)
{
	DueWork		work = {.view = view};
	ErrorData  *error = weir_try(find_due, &work);

	if (error != NULL)
		return lappend(sentences,
					   psprintf("Whether closed windows are past weir.retention (%s) cannot be told: %s.",
								view->retention, error->message));
	if (!work.due)
		return sentences;
	return lappend(sentences,
				   psprintf("Closed windows that end by %s are past weir.retention (%s) and go with the next maintenance.  Type: SELECT * FROM weir.maintain(); or let pg_cron do it every day: SELECT weir.schedule_maintenance();",
							time_text(work.bound), view->retention));
}

/* Rows of weir.late_event or weir.dead_letter that are not there any more. */
static List *
explain_trimmed(const WeirView *view, WeirTrimmedKind kind, const char *table,
				List *sentences)
{
	WeirTrimmed trimmed;

	if (!weir_trimmed_get(view->view, kind, &trimmed))
		return sentences;
	return lappend(sentences,
				   psprintf(INT64_FORMAT " rows of %s went by age, the last at %s.",
							trimmed.rows, table, time_text(trimmed.at)));
}

List *
weir_maintain_sentences(const WeirView *view)
{
	List	   *sentences = NIL;
	WeirTrimmed trimmed;

	sentences = explain_trimmed(view, WEIR_TRIMMED_LATE_EVENTS,
								"weir.late_event", sentences);
	sentences = explain_trimmed(view, WEIR_TRIMMED_DEAD_LETTERS,
								"weir.dead_letter", sentences);
	if (weir_trimmed_get(view->view, WEIR_UNSTORED_LATE_EVENTS, &trimmed))
		sentences = lappend(sentences,
							psprintf(INT64_FORMAT " late records were counted but not stored, the last at %s: weir.late_event holds at most %d of a view (weir.max_late_events).  To make room, type: SELECT * FROM weir.maintain(late_event_age => '1 day');",
									 trimmed.rows, time_text(trimmed.at),
									 weir_max_late_events));
	if (weir_trimmed_get(view->view, WEIR_TRIMMED_CLOSED, &trimmed))
		sentences = lappend(sentences,
							psprintf("Closed windows that end by %s are not there any more: " INT64_FORMAT " rows went by weir.retention, the last at %s.",
									 time_text(trimmed.up_to), trimmed.rows,
									 time_text(trimmed.at)));
	return explain_due(view, sentences);
}
