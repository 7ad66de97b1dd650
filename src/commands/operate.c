/*-------------------------------------------------------------------------
 *
 * operate.c
 *	  What an operator types: wait, pause, resume, advance.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/catalog.h"
#include "catalog/checkpoint.h"
#include "catalog/edges.h"
#include "commands/create.h"
#include "commands/operate.h"
#include "commands/why.h"
#include "window/close.h"
#include "window/served.h"
#include "window/watermark.h"
#include "worker/launcher.h"
#include "worker/worker.h"

#define WAIT_STEP_MS	1000	/* a lost wake-up costs no more than this */
#define PATIENCE_MS	10000		/* of a wait whose stream does not answer */

/* Only the owner may change what a view does. */
static WeirView *
owned_view(Oid relation)
{
	WeirView   *view = weir_view_get(relation, false);

	if (!pg_class_ownercheck(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW,
					   get_rel_name(relation));
	return view;
}

static void
check_select(Oid relation)
{
	AclResult	result = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_VIEW, get_rel_name(relation));
}

/* ------------------------------------------------------------------- wait */

/* What was at the end of the stream when the wait began. */
typedef struct Goal
{
	int			npartitions;
	WeirEnds   *ends;
} Goal;

/*
 * Ask for the ends of all partitions, as the view's owner would read them; as
 * long as the caller waits, at most PATIENCE_MS.
 */
static Goal *
take_goal(const WeirView *view, TimestampTz deadline)
{
	TimestampTz patience = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   PATIENCE_MS);
	Goal	   *goal = palloc0_object(Goal);
	WeirStream *stream = weir_stream_get(view->stream);
	WeirSource *source = weir_stream_open(stream, view->owner);

	goal->npartitions = weir_source_partitions(source);
	goal->ends = palloc_array(WeirEnds, goal->npartitions);
	while (!weir_source_all_ends(source, goal->npartitions, goal->ends))
	{
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= Min(patience, deadline))
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not learn the ends of stream %s",
							stream->name)));
	}
	weir_source_close(source);
	return goal;
}

/* Raise if the view cannot get there. */
static void
check_can_progress(const WeirView *view)
{
	if (view->armed &&
		(view->status == WEIR_QUEUED || view->status == WEIR_CATCHING_UP ||
		 view->status == WEIR_RUNNING))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("continuous view \"%s\" is %s", get_rel_name(view->view),
					view->armed ? weir_status_name(view->status) : "paused"),
			 errdetail_internal("%s",
								(char *) linitial(weir_why_sentences(view)))));
}

/*
 * Has the view read up to the goal, and closed what that allows?  Idle
 * partitions are judged by the goal's ends.
 */
static bool
reached(const WeirView *view, const Goal *goal, WeirServed *served)
{
	bool	   *at_end = palloc_array(bool, goal->npartitions + 1);
	TimestampTz watermark;

	weir_served_read_position(served);
	if (served->npartitions < goal->npartitions)
		return false;
	for (int p = 0; p < goal->npartitions; p++)
	{
		int64		next = served->checkpoints[p].next_offset;

		if (next < goal->ends[p].stable)
			return false;
		at_end[p] = next >= goal->ends[p].high;
	}
	watermark = weir_served_watermark(served, served->checkpoints,
									  served->npartitions ==
									  goal->npartitions ? at_end : NULL);
	return weir_close_bound(served->plan, view->lateness, watermark) <=
		served->rules.closed_to;
}

static void
raise_timeout(const WeirView *view)
{
	StringInfoData detail;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, weir_why_sentences(view))
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? "\n" : "",
						 (char *) lfirst(lc));
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("timed out waiting for continuous view \"%s\"",
					get_rel_name(view->view)),
			 errdetail_internal("%s", detail.data)));
}

/* Is the view's row one of this very transaction? */
static bool
created_here(Oid view)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	bool		here;

	if (!HeapTupleIsValid(tuple))
		return false;
	here = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return here;
}

static void
check_can_wait(Oid relation)
{
	weir_shmem_require();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for a continuous view during recovery"),
				 errhint("Use weir.closed_to() to see how far it has come.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for a continuous view under REPEATABLE READ or SERIALIZABLE"),
				 errdetail("The snapshot of the transaction would not show what was waited for."),
				 errhint("Use READ COMMITTED.")));
	if (created_here(relation))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" was created or changed in this transaction",
						get_rel_name(relation)),
				 errhint("Commit first: its reader starts after that.")));
}

/* Sleep until a reader has committed something; false at the deadline. */
static bool
sleep_for_progress(TimestampTz deadline)
{
	long		timeout = WAIT_STEP_MS;

	if (deadline != DT_NOEND)
		timeout = Min(timeout,
					  TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  deadline));
	if (timeout <= 0)
		return false;
	(void) ConditionVariableTimedSleep(&weir_shared->progress, timeout,
									   PG_WAIT_EXTENSION);
	return true;
}

void
weir_wait_for(Oid relation, int64 timeout)
{
	WeirView   *view = weir_view_get(relation, false);
	TimestampTz deadline = timeout < 0 ? DT_NOEND :
		GetCurrentTimestamp() + timeout;
	WeirServed *served;
	Goal	   *goal;
	MemoryContext look;			/* of one look; there may be very many */
	MemoryContext save;

	check_can_wait(relation);
	check_can_progress(view);
	goal = take_goal(view, deadline);
	served = weir_served_load(relation, weir_stream_get(view->stream));
	if (served == NULL)
		check_can_progress(weir_view_get(relation, false));
	look = AllocSetContextCreate(CurrentMemoryContext, "weir wait",
								 ALLOCSET_DEFAULT_SIZES);
	save = MemoryContextSwitchTo(look);
	ConditionVariablePrepareToSleep(&weir_shared->progress);
	while (!reached(view, goal, served))
	{
		CHECK_FOR_INTERRUPTS();
		if (!sleep_for_progress(deadline))
		{
			ConditionVariableCancelSleep();
			raise_timeout(view);
		}
		MemoryContextReset(look);
		view = weir_view_get(relation, false);
		check_can_progress(view);
	}
	ConditionVariableCancelSleep();
	MemoryContextSwitchTo(save);
	MemoryContextDelete(look);
}

PG_FUNCTION_INFO_V1(weir_wait);

/*
 * weir.wait(view regclass, timeout interval DEFAULT NULL): see
 * weir_wait_for().  A NULL timeout is none.
 */
Datum
weir_wait(PG_FUNCTION_ARGS)
{
	int64		timeout = -1;

	check_select(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1))
	{
		Interval   *interval = PG_GETARG_INTERVAL_P(1);

		timeout = interval->time + (interval->day + interval->month *
									(int64) DAYS_PER_MONTH) * USECS_PER_DAY;
		if (timeout < 0)
			timeout = 0;
	}
	weir_wait_for(PG_GETARG_OID(0), timeout);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------- pause and resume */

/* Take the view's lock, behind whatever batch or close is running. */
static WeirView *
lock_owned_view(Oid relation)
{
	(void) owned_view(relation);
	LockRelationOid(relation, AccessShareLock);
	(void) weir_view_lock(relation, ExclusiveLock, false);
	return weir_view_get(relation, false);
}

PG_FUNCTION_INFO_V1(weir_pause);

/*
 * weir.pause(view regclass): nothing is read for the view until
 * weir.resume(); its rows stay as of its checkpoint.  The owner's right.
 * Holds the view's EXCLUSIVE lock to the end of the transaction.
 */
Datum
weir_pause(PG_FUNCTION_ARGS)
{
	WeirView   *view;

	PreventCommandIfReadOnly("weir.pause()");
	view = lock_owned_view(PG_GETARG_OID(0));
	if (view->status == WEIR_STOPPED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" is stopped",
						get_rel_name(view->view)),
				 errdetail_internal("%s", (char *) linitial(weir_why_sentences(view)))));
	if (view->status != WEIR_PAUSED)
		weir_view_set_status(view->view, WEIR_PAUSED, NULL);
	weir_wake_at_commit();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(weir_resume);

/*
 * weir.resume(view regclass): let a paused, failed or restored view run, or
 * one that a bad record stopped, in this database, from its checkpoint.
 * Dependencies that a restore lost are recorded again, and what it must not
 * have changed is checked.  Readers from before are fenced off.  The owner's
 * right.
 */
Datum
weir_resume(PG_FUNCTION_ARGS)
{
	WeirView   *view;

	weir_shmem_require();
	PreventCommandIfReadOnly("weir.resume()");
	view = lock_owned_view(PG_GETARG_OID(0));
	if (view->status == WEIR_STOPPED && !weir_view_stopped_by_record(view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" is stopped, because its log cannot be trusted",
						get_rel_name(view->view)),
				 errdetail_internal("%s", view->error ? view->error : ""),
				 errhint("Drop the view and create it again to start from what the log has now.")));
	weir_view_record_dependencies(view->view);
	weir_view_check_restored(view->view);
	if (view->armed && view->status != WEIR_PAUSED &&
		view->status != WEIR_FAILED && view->status != WEIR_STOPPED)
	{
		ereport(NOTICE,
				(errmsg("continuous view \"%s\" is not paused",
						get_rel_name(view->view))));
		PG_RETURN_VOID();
	}
	weir_checkpoint_new_epoch(view->view);
	weir_view_arm(view->view);
	weir_view_set_status(view->view, WEIR_QUEUED, NULL);
	weir_label_database(true);
	weir_wake_at_commit();
	PG_RETURN_VOID();
}

/* ---------------------------------------------------------------- advance */

/* Raise unless windows that end by this may be closed by hand. */
static void
check_advance(const WeirView *view, TimestampTz to)
{
	if (TIMESTAMP_NOT_FINITE(to))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("continuous view \"%s\" cannot be advanced to an infinite time",
						get_rel_name(view->view)),
				 errhint("Give the end of the last window that is to close.")));
	if (to > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("continuous view \"%s\" cannot be advanced to a time to come",
						get_rel_name(view->view)),
				 errdetail("Windows would be closed that are not over, and their records would be late."),
				 errhint("Give a time up to now().")));
	if (!weir_view_may_run(view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" is %s",
						get_rel_name(view->view),
						view->armed ? weir_status_name(view->status) : "paused"),
				 errdetail("Nobody would close its windows."),
				 view->armed && view->status == WEIR_STOPPED ? 0 :
				 errhint("Let it run first: weir.resume().")));
}

/* Move the watermark of all its checkpoint rows, and write down that. */
static void
move_watermark(Oid view, WeirCheckpoint *checkpoints, int n,
			   TimestampTz from, TimestampTz to)
{
	for (int p = 0; p < n; p++)
	{
		checkpoints[p].watermark = to;
		weir_checkpoint_update(view, &checkpoints[p]);
	}
	weir_exception_insert(view, -1, -1, "advance", from, to);
}

PG_FUNCTION_INFO_V1(weir_advance);

/*
 * weir.advance(view regclass, "to" timestamptz): close the windows that end
 * by then, whatever may still come for them.  The watermark moves in this
 * transaction, and after its commit the view's reader closes what that
 * allows.  Gives the closed_to that follows.  The owner's right.  Holds the
 * view's EXCLUSIVE lock to the end of the transaction.
 */
Datum
weir_advance(PG_FUNCTION_ARGS)
{
	TimestampTz to = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz watermark = DT_NOBEGIN;
	TimestampTz needed;
	TimestampTz closed_to;
	TimestampTz bound;
	WeirViewState state;
	WeirCheckpoint *checkpoints;
	WeirPlan   *plan;
	WeirView   *view;
	int			n;

	PreventCommandIfReadOnly("weir.advance()");
	view = lock_owned_view(PG_GETARG_OID(0));
	check_advance(view, to);
	plan = weir_plan_of_view(view->query);
	checkpoints = weir_checkpoint_read(view->view, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" has not learned yet where it starts",
						get_rel_name(view->view)),
				 errhint("Wait for it: weir.wait().")));
	for (int p = 0; p < n; p++)
		watermark = Max(watermark, checkpoints[p].watermark);
	weir_view_state_get(view->closed, &state);
	closed_to = Max(state.closed_to,
					weir_close_bound(plan, view->lateness, watermark));
	if (to < closed_to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("continuous view \"%s\" cannot be advanced backwards",
						get_rel_name(view->view)),
				 errdetail("Windows that end by %s are closed already.",
						   timestamptz_to_str(closed_to))));
	needed = weir_close_watermark(plan, view->lateness, to);
	bound = weir_close_bound(plan, view->lateness, needed);
	if (bound <= closed_to)
	{
		ereport(NOTICE,
				(errmsg("no more window of continuous view \"%s\" ends by then",
						get_rel_name(view->view))));
		PG_RETURN_TIMESTAMPTZ(closed_to);
	}
	move_watermark(view->view, checkpoints, n, watermark, needed);
	weir_wake_at_commit();
	PG_RETURN_TIMESTAMPTZ(bound);
}
