/*-------------------------------------------------------------------------
 *
 * tend.c
 *	  What a reader does for its views between batches: close windows, merge
 *	  segments, give space back.
 *
 * Each is a transaction of its own for one view.  An error is that view's
 * alone and does not keep the reader from reading: a close that fails is
 * tried again with back-off while the windows stay open.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "window/close.h"
#include "window/segment.h"
#include "worker/tend.h"

/* A session view closes for at most a quarter of the time. */
#define CLOSE_REST	3

/* Show when closing is tried again, 0: at the next occasion. */
static void
publish_retry(const WeirServed *served, TimestampTz retry_at)
{
	WeirViewEntry *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_view(MyDatabaseId, served->view->view);
	if (entry != NULL)
		entry->close_retry_at = retry_at;
	LWLockRelease(weir_shared->lock);
}

/* A close failed: write it down, try again later. */
static void
close_failed(WeirAssignment *assignment, WeirServed *served, ErrorData *error)
{
	Oid			view = served->view->view;
	bool		retry = weir_error_class(error->sqlerrcode) == WEIR_ERROR_RETRY;

	served->close_failures++;
	served->close_retry_at = weir_shmem_retry_at(served->close_failures);
	publish_retry(served, served->close_retry_at);
	if (!retry && weir_worker_begin(assignment->slot->object))
		(void) weir_view_set_failed(view, WEIR_CLOSE_FAILED, error);
	if (IsTransactionState())
		weir_worker_commit();
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not close windows of a continuous view: %s",
					error->message)));
	ConditionVariableBroadcast(&weir_shared->progress);
}

/*
 * Run work on one view in a transaction of its own.  An error is that view's
 * alone: it is returned, copied into the current memory context.
 */
typedef bool (*ViewWork) (WeirServed *served);

static ErrorData *
in_own_transaction(WeirAssignment *assignment, WeirServed *served, ViewWork work,
				   bool *done)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	*done = false;
	PG_TRY();
	{
		if (weir_worker_begin(assignment->slot->object))
			*done = work(served);
		weir_worker_commit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return error;
}

/*
 * When a view may close next.  The watermark of a session view lets something
 * close after nearly every batch, and each close merges all that is open: so
 * it waits until CLOSE_REST times as long as the last one took has passed.
 */
static TimestampTz
next_close(const WeirServed *served, TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	return served->plan->window.kind == WEIR_SESSION ?
		now + CLOSE_REST * (now - began) : 0;
}

static void
close_view(WeirAssignment *assignment, WeirServed *served)
{
	TimestampTz began = GetCurrentTimestamp();
	ErrorData  *error;
	bool		done;

	if (!weir_close_due(served) ||
		served->close_retry_at > began)
		return;
	pgstat_report_activity(STATE_RUNNING, "closing windows");
	error = in_own_transaction(assignment, served, weir_close_windows, &done);
	if (error != NULL)
	{
		close_failed(assignment, served, error);
		return;
	}
	if (done && served->close_failures > 0)
	{
		served->close_failures = 0;
		publish_retry(served, 0);
	}
	served->close_retry_at = done ? next_close(served, began) :
		weir_shmem_retry_at(1);
	ConditionVariableBroadcast(&weir_shared->progress);
}

/* Lock a view that is still there, so that its segments stay. */
static bool
lock_segments(const WeirServed *served)
{
	return weir_view_lock(served->view->view, ShareLock, true) &&
		weir_view_get(served->view->view, true) != NULL;
}

static bool
compact_view(WeirServed *served)
{
	return lock_segments(served) &&
		weir_segment_compaction_due(served->view) &&
		weir_segment_compact(served->view, served->plan);
}

static bool
reclaim_some(WeirServed *served)
{
	return !lock_segments(served) ||
		weir_segment_reclaim(served->view, false);
}

static bool
reclaim_all(WeirServed *served)
{
	return !lock_segments(served) ||
		weir_segment_reclaim(served->view, true) ||
		weir_segment_compaction_due(served->view);
}

static void
report_merge_error(ErrorData *error)
{
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not merge segments of a continuous view: %s",
					error->message)));
}

/*
 * Merge segments of a view and give space back.  After a batch as much as
 * compaction needs, otherwise all of it.  True: something is left to do.
 */
static bool
merge_view(WeirAssignment *assignment, WeirServed *served, bool wrote)
{
	ErrorData  *error;
	bool		compacted;
	bool		left = false;

	error = in_own_transaction(assignment, served, compact_view, &compacted);
	if (error == NULL)
		error = in_own_transaction(assignment, served,
								   wrote ? reclaim_some : reclaim_all, &left);
	if (error != NULL)
		report_merge_error(error);
	return left || wrote || error != NULL;
}

bool
weir_tend_views(WeirAssignment *assignment, bool wrote, bool reclaim)
{
	bool		more = false;
	ListCell   *lc;

	foreach(lc, assignment->served)
	{
		WeirServed *served = lfirst(lc);

		close_view(assignment, served);
		if (wrote || reclaim)
			more |= merge_view(assignment, served, wrote);
	}
	return more;
}
