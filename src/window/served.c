/*-------------------------------------------------------------------------
 *
 * served.c
 *	  A continuous view as a reader serves it, and what a batch does to it.
 *
 *		view's lock -> state row -> partials -> segment
 *					-> late records, dead letters -> checkpoint rows
 *
 * All of it happens in the caller's transaction, so that a batch is there
 * for a view as a whole or not at all (I1).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/fault.h"
#include "base/usercontext.h"
#include "catalog/deadletter.h"
#include "window/segment.h"
#include "window/served.h"
#include "window/watermark.h"

/* Milliseconds between counts of the late records of a view at its limit. */
#define COUNT_LATE_MS	10000

bool
weir_view_may_run(const WeirView *view)
{
	return view->armed && view->status != WEIR_PAUSED &&
		view->status != WEIR_STOPPED;
}

bool
weir_view_set_failed(Oid view, WeirStatus status, const ErrorData *error)
{
	bool		locked = weir_view_lock(view, ExclusiveLock, true);
	WeirView   *row = weir_view_get(view, true);

	if (locked && row != NULL && weir_view_may_run(row))
		weir_view_set_status(view, status, error);
	return row != NULL;
}

bool
weir_served_stays(const WeirServed *served, const WeirView *row)
{
	return row != NULL && weir_view_may_run(row) &&
		row->owner == served->view->owner;
}

/* The owner needs SELECT on the stream for as long as the view reads it. */
static void
check_stream_rights(const WeirView *view)
{
	AclResult	result = pg_class_aclcheck(view->stream, view->owner,
										   ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE,
					   get_rel_name(view->stream));
}

WeirServed *
weir_served_load(Oid view, WeirStream *stream)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "weir served view",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext save = MemoryContextSwitchTo(context);
	WeirView   *row = weir_view_get(view, true);
	WeirServed *served;

	if (row == NULL || !weir_view_may_run(row))
	{
		MemoryContextSwitchTo(save);
		MemoryContextDelete(context);
		return NULL;
	}
	check_stream_rights(row);
	served = palloc0_object(WeirServed);
	served->context = context;
	served->view = row;
	served->stream = stream;
	served->late_stored = -1;
	served->plan = weir_plan_of_view(served->view->query);
	served->rules.lateness = served->view->lateness;
	served->silent = true;		/* maybe by the reader before */
	served->failed = served->view->status == WEIR_FAILED;
	served->start = weir_start_of_view(served->view);
	served->rules.start_bound = weir_start_bound(served->start, served->plan);
	weir_served_read_position(served);
	MemoryContextSwitchTo(save);
	return served;
}

void
weir_served_read_position(WeirServed *served)
{
	MemoryContext save = MemoryContextSwitchTo(served->context);
	WeirViewState state;
	int			before = served->npartitions;
	bool	   *idle;

	if (served->checkpoints != NULL)
		pfree(served->checkpoints);
	served->checkpoints = weir_checkpoint_read(served->view->view,
											   &served->npartitions);
	served->pending = NULL;
	idle = palloc0_array(bool, served->npartitions + 1);
	if (served->idle != NULL)
	{
		memcpy(idle, served->idle, Min(before, served->npartitions));
		pfree(served->idle);
	}
	served->idle = idle;
	served->watermark = DT_NOBEGIN;
	for (int p = 0; p < served->npartitions; p++)
		served->watermark = Max(served->watermark,
								served->checkpoints[p].watermark);
	weir_view_state_get(served->view->closed, &state);
	served->rules.closed_to = state.closed_to;
	MemoryContextSwitchTo(save);
}

bool
weir_served_read_watermark(WeirServed *served)
{
	int			n;
	WeirCheckpoint *rows = weir_checkpoint_read(served->view->view, &n);
	bool		same = n == served->npartitions;

	for (int p = 0; p < n && same; p++)
		same = rows[p].epoch == served->checkpoints[p].epoch &&
			rows[p].next_offset == served->checkpoints[p].next_offset;
	for (int p = 0; p < n && same; p++)
	{
		served->checkpoints[p] = rows[p];
		served->watermark = Max(served->watermark, rows[p].watermark);
	}
	pfree(rows);
	return same;
}

bool
weir_served_takes(const WeirServed *served, const WeirBatch *batch)
{
	if (served->npartitions != batch->npartitions)
		return false;
	for (int p = 0; p < batch->npartitions; p++)
	{
		if (batch->from[p] > served->checkpoints[p].next_offset)
			return false;
	}
	return true;
}

/* What watermark.c sees of the partitions. */
static WeirProgress *
progress_of(const WeirServed *served, const WeirCheckpoint *checkpoints,
			const bool *read_to_end)
{
	WeirProgress *progress = palloc_array(WeirProgress,
										  served->npartitions + 1);

	for (int p = 0; p < served->npartitions; p++)
	{
		progress[p].max_event_time = checkpoints[p].max_event_time;
		progress[p].max_timestamp = checkpoints[p].max_timestamp;
		progress[p].read_to_end = read_to_end != NULL && read_to_end[p];
	}
	return progress;
}

/* W as far as the log and idle partitions move it. */
static TimestampTz
watermark_of_log(const WeirServed *served, const WeirCheckpoint *checkpoints,
				 const bool *read_to_end)
{
	WeirProgress *progress = progress_of(served, checkpoints, read_to_end);
	TimestampTz watermark;

	watermark = weir_watermark_of_view(progress, served->npartitions,
									   served->stream->watermark_delay,
									   served->stream->idle_timeout,
									   served->watermark);
	pfree(progress);
	return watermark;
}

TimestampTz
weir_served_watermark(const WeirServed *served,
					  const WeirCheckpoint *checkpoints,
					  const bool *read_to_end)
{
	WeirProgress *progress = progress_of(served, checkpoints, read_to_end);
	TimestampTz watermark = watermark_of_log(served, checkpoints, read_to_end);

	watermark = weir_watermark_after_silence(progress, served->npartitions,
											 served->stream->watermark_delay,
											 served->stream->close_timeout,
											 served->silence, watermark);
	pfree(progress);
	return watermark;
}

bool
weir_served_idle_candidate(const WeirServed *served, int p)
{
	WeirProgress *progress = progress_of(served, served->checkpoints, NULL);
	bool		candidate;

	candidate = weir_watermark_idle_candidate(progress, served->npartitions, p,
											  served->stream->idle_timeout);
	pfree(progress);
	return candidate;
}

bool
weir_served_idle_matters(const WeirServed *served)
{
	bool	   *all = palloc_array(bool, served->npartitions + 1);
	TimestampTz watermark;

	memset(all, true, served->npartitions + 1);
	watermark = watermark_of_log(served, served->checkpoints, all);
	pfree(all);
	return watermark > served->watermark;
}

/*
 * The watermark moved only because a partition is idle: a clock-driven move,
 * recorded once for each time that the partition falls idle.  A new reader
 * finds the row by the offset, at which nothing has been read since.
 */
static void
record_idle(WeirServed *served, const WeirCheckpoint *checkpoints,
			const bool *read_to_end, TimestampTz watermark)
{
	Oid			view = served->view->view;
	WeirProgress *progress;

	if (watermark <= watermark_of_log(served, checkpoints, NULL))
		return;
	progress = progress_of(served, checkpoints, read_to_end);
	for (int p = 0; p < served->npartitions; p++)
	{
		if (served->idle[p] ||
			!weir_watermark_idle(progress, served->npartitions, p,
								 served->stream->idle_timeout))
			continue;
		served->idle[p] = true;
		if (!weir_exception_exists(view, p, checkpoints[p].next_offset,
								   "idle"))
			weir_exception_insert(view, p, checkpoints[p].next_offset,
								  "idle", served->watermark, watermark);
	}
}

/*
 * The watermark moved by the clock, from what the log makes of it: one row
 * for each silence, whose end grows.  A new reader goes on with the row of
 * the one before it, if the watermark is where that left it.
 */
static void
record_silence(WeirServed *served, TimestampTz from, TimestampTz to)
{
	Oid			view = served->view->view;

	if (to <= from)
		return;
	if (!served->silent ||
		!weir_exception_extend(view, "close_timeout", from, to))
		weir_exception_insert(view, -1, -1, "close_timeout", from, to);
	served->silent = true;
}

/* Aggregate the batch as the owner, and append what came of it. */
static void
aggregate_batch(WeirServed *served, const WeirBatch *batch,
				const WeirViewState *state, WeirCheckpoint *checkpoints,
				WeirRejects *rejects)
{
	WeirUserContext user;
	WeirGroups *groups;
	Relation	segment;

	segment = table_open(served->view->segments[weir_segment_active(state)],
						 RowExclusiveLock);
	weir_user_enter(&user, served->view->owner, served->view->settings);
	groups = weir_groups_create(served->plan, served->stream);
	weir_partial_apply(groups, served->plan, batch, &served->rules,
					   checkpoints, rejects);
	WEIR_FAULT("flush-aggregated");
	weir_groups_flush(groups, segment);
	weir_user_leave(&user);
	table_close(segment, NoLock);
	WEIR_FAULT("flush-appended");
}

/* Note the last record of each partition, by which the log is known again. */
static void
set_anchors(const WeirBatch *batch, WeirCheckpoint *checkpoints)
{
	for (int i = batch->nrecords - 1; i >= 0; i--)
	{
		const WeirMessage *message = &batch->records[i].message;
		WeirCheckpoint *checkpoint = &checkpoints[message->partition];

		if (message->offset <= checkpoint->anchor_offset)
			continue;
		checkpoint->anchor_offset = message->offset;
		checkpoint->anchor_timestamp = message->timestamp;
		checkpoint->anchor_crc = weir_checkpoint_crc(message->key,
													 message->key_len,
													 message->value,
													 message->value_len);
	}
}

/* Write the checkpoint rows that differ from what is stored. */
static void
write_checkpoints(WeirServed *served, WeirCheckpoint *checkpoints,
				  TimestampTz watermark)
{
	for (int p = 0; p < served->npartitions; p++)
	{
		WeirCheckpoint *now = &checkpoints[p];
		const WeirCheckpoint *before = &served->checkpoints[p];
		bool		moved = watermark > served->watermark;

		if (!moved && now->next_offset == before->next_offset &&
			now->max_timestamp == before->max_timestamp)
			continue;
		now->watermark = watermark;
		weir_checkpoint_update(served->view->view, now);
	}
}

/*
 * A view that had failed takes batches again.  False if its lock is shared
 * now: then the next batch says so.
 */
static bool
note_healed(const WeirView *view)
{
	if (view->status != WEIR_FAILED)
		return true;
	if (!weir_view_lock(view->view, ExclusiveLock, true))
		return false;
	weir_view_set_status(view->view, WEIR_RUNNING, NULL);
	return true;
}

/*
 * How many of n late records may be stored.  What is stored is counted when
 * it is not known, and now and then while there is no room.
 */
static int
late_room(WeirServed *served, int n)
{
	int64		limit = weir_max_late_events;

	if (limit < 0)
		return n;
	if (served->late_stored < 0 ||
		(served->late_stored + n > limit &&
		 TimestampDifferenceExceeds(served->late_counted_at,
									GetCurrentTimestamp(), COUNT_LATE_MS)))
	{
		served->late_stored = weir_late_event_count(served->view->view,
													limit);
		served->late_counted_at = GetCurrentTimestamp();
	}
	return (int) Max(Min(limit - served->late_stored, n), 0);
}

/*
 * Keep the late records, as far as there is room for them: a flood of them
 * must not fill the disk.  The others are counted, in the checkpoint as ever
 * and as not stored.
 */
static void
store_late(WeirServed *served, const WeirView *view,
		   const WeirRejects *rejects)
{
	TimestampTz up_to = DT_NOBEGIN;
	int			n;

	if (rejects->nlate == 0 || strcmp(view->on_late, "store") != 0)
		return;
	n = late_room(served, rejects->nlate);
	if (n < rejects->nlate && !served->late_full)
		ereport(LOG,
				(errmsg("late records of continuous view \"%s\" are counted but not stored, beyond weir.max_late_events (%d)",
						get_rel_name(view->view), weir_max_late_events),
				 errhint("Trim weir.late_event by weir.maintain(late_event_age => ...).")));
	served->late_full = n < rejects->nlate;
	weir_late_event_insert(view->view, rejects->late, rejects->late_bound, n);
	for (int i = n; i < rejects->nlate; i++)
		up_to = Max(up_to, rejects->late_bound[i]);
	weir_trimmed_add(view->view, WEIR_UNSTORED_LATE_EVENTS,
					 rejects->nlate - n, up_to);
	served->pending_late_stored = served->late_stored < 0 ? -1 :
		served->late_stored + n;
}

bool
weir_served_apply(WeirServed *served, const WeirBatch *batch,
				  const bool *read_to_end)
{
	WeirView   *view;
	WeirViewState state;
	WeirRejects rejects;
	WeirCheckpoint *checkpoints;
	TimestampTz by_log;

	if (!weir_view_lock(served->view->view, ShareLock, true))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not lock continuous view \"%s\"",
						get_rel_name(served->view->view))));
	PushActiveSnapshot(GetLatestSnapshot());
	view = weir_view_get(served->view->view, true);
	if (!weir_served_stays(served, view))
	{
		PopActiveSnapshot();
		return false;
	}
	check_stream_rights(view);
	weir_view_state_get(view->closed, &state);
	served->rules.closed_to = state.closed_to;

	checkpoints = palloc_array(WeirCheckpoint, served->npartitions);
	memcpy(checkpoints, served->checkpoints,
		   sizeof(WeirCheckpoint) * served->npartitions);
	served->pending_late_stored = served->late_stored;
	if (batch->nrecords > 0 || view->status == WEIR_FAILED)
	{
		aggregate_batch(served, batch, &state, checkpoints, &rejects);
		weir_dead_letter_insert(view->view, served->stream->topic,
								rejects.dead, rejects.badness, rejects.ndead);
		store_late(served, view, &rejects);
		set_anchors(batch, checkpoints);
		WEIR_FAULT("flush-rejects");
	}
	else
		weir_partial_skip(batch, checkpoints);
	by_log = watermark_of_log(served, checkpoints, read_to_end);
	record_idle(served, checkpoints, read_to_end, by_log);
	served->pending_watermark = weir_served_watermark(served, checkpoints,
													  read_to_end);
	record_silence(served, by_log, served->pending_watermark);
	write_checkpoints(served, checkpoints, served->pending_watermark);
	served->pending_failed = !note_healed(view);
	WEIR_FAULT("flush-checkpoint");
	served->pending = checkpoints;
	PopActiveSnapshot();
	return true;
}

void
weir_served_committed(WeirServed *served)
{
	if (served->pending == NULL)
		return;
	for (int p = 0; p < served->npartitions; p++)
	{
		if (served->pending[p].counters.read >
			served->checkpoints[p].counters.read)
			served->idle[p] = served->silent = false;
	}
	memcpy(served->checkpoints, served->pending,
		   sizeof(WeirCheckpoint) * served->npartitions);
	served->watermark = served->pending_watermark;
	if (served->pending_late_stored >= 0)
		served->late_stored = served->pending_late_stored;
	served->failed = served->pending_failed;
	served->pending = NULL;
}
