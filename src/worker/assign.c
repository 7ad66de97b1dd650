/*-------------------------------------------------------------------------
 *
 * assign.c
 *	  What a reader reads: its stream, source, views and positions.
 *
 * Every assignment starts from the checkpoints; nothing that a reader
 * remembers is needed for it.
 *
 *		claim -> load views -> first offsets -> compare with the log
 *			  -> keep those that stand together -> assign the source
 *
 * A view that has no checkpoint rows gets them before the first record is
 * read, from weir.start.  A partition without a row is new and starts at its
 * beginning.  A view whose next_offset is not in the log any more, or not
 * yet, is stopped; so is one whose anchor, the last record that it read, is
 * another record now.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/usercontext.h"
#include "catalog/table.h"
#include "window/start.h"
#include "worker/assign.h"
#include "worker/claim.h"
#include "worker/worker.h"

int			weir_batch_rows = 50000;

/* ----------------------------------------------------------- transactions */

bool
weir_worker_begin(Oid stream)
{
	Oid			extension;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	weir_constraints_immediate();
	extension = weir_catalog_extension();
	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	if (weir_catalog_extension() != extension)
		return false;
	LockRelationOid(stream, AccessShareLock);
	return get_rel_name(stream) != NULL;
}

void
weir_worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
}

/* -------------------------------------------------------------- the views */

WeirAssignment *
weir_assignment_create(WeirSlot *slot)
{
	WeirAssignment *assignment = palloc0_object(WeirAssignment);

	assignment->slot = slot;
	assignment->context = AllocSetContextCreate(CurrentMemoryContext,
												"weir assignment",
												ALLOCSET_DEFAULT_SIZES);
	assignment->source_context = AllocSetContextCreate(CurrentMemoryContext,
													   "weir source",
													   ALLOCSET_DEFAULT_SIZES);
	return assignment;
}

void
weir_assignment_close(WeirAssignment *assignment)
{
	if (assignment->source != NULL)
		weir_source_close(assignment->source);
	assignment->source = NULL;
	MemoryContextReset(assignment->source_context);
}

/* The user mapping that userid uses for a server, or NULL. */
static HeapTuple
mapping_tuple(Oid serverid, Oid userid)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
										ObjectIdGetDatum(userid),
										ObjectIdGetDatum(serverid));

	if (HeapTupleIsValid(tuple))
		return tuple;
	return SearchSysCache2(USERMAPPINGUSERSERVER,
						   ObjectIdGetDatum(InvalidOid),
						   ObjectIdGetDatum(serverid));
}

/* Every change of a row of the catalog gives it another xmin. */
static WeirAccess
access_of(Oid serverid, Oid userid)
{
	HeapTuple	mapping = mapping_tuple(serverid, userid);
	HeapTuple	server = SearchSysCache1(FOREIGNSERVEROID,
										 ObjectIdGetDatum(serverid));
	WeirAccess	access = {0};

	if (HeapTupleIsValid(mapping))
	{
		access.mapping = ((Form_pg_user_mapping) GETSTRUCT(mapping))->oid;
		access.mapping_version = HeapTupleHeaderGetRawXmin(mapping->t_data);
		ReleaseSysCache(mapping);
	}
	if (HeapTupleIsValid(server))
	{
		access.server_version = HeapTupleHeaderGetRawXmin(server->t_data);
		ReleaseSysCache(server);
	}
	return access;
}

bool
weir_assignment_has_access(const WeirAssignment *assignment)
{
	const WeirAccess *then = &assignment->access;
	ListCell   *lc;

	foreach(lc, assignment->served)
	{
		const WeirServed *served = lfirst(lc);
		WeirAccess	now = access_of(assignment->stream->serverid,
									served->view->owner);

		if (now.mapping != then->mapping ||
			now.mapping_version != then->mapping_version ||
			now.server_version != then->server_version)
			return false;
	}
	return true;
}

/*
 * Claim what may run and uses the same user mapping as the first such view.
 */
static List *
claim_views(WeirAssignment *assignment)
{
	WeirSlot   *slot = assignment->slot;
	List	   *candidates = NIL;
	bool		first = true;
	ListCell   *lc;

	foreach(lc, weir_view_list_of_stream(slot->object))
	{
		WeirView   *view = lfirst(lc);
		Oid			mapping;

		if (!weir_view_may_run(view))
			continue;
		mapping = access_of(assignment->stream->serverid, view->owner).mapping;
		if (!first && mapping != slot->mapping)
			continue;
		if (first && list_length(weir_claim_views(slot,
												  list_make1_oid(view->view))) == 0)
			continue;
		if (first)
			slot->mapping = mapping;
		else
			candidates = lappend_oid(candidates, view->view);
		first = false;
	}
	(void) weir_claim_views(slot, candidates);
	return weir_claim_mine(slot);
}

/* The error ends what the view does: write it down, and why. */
static void
set_failed(Oid view, const ErrorData *error)
{
	WeirStatus	status =
		weir_error_class(error->sqlerrcode) == WEIR_ERROR_LOG ?
		WEIR_STOPPED : WEIR_FAILED;

	if (!weir_view_set_failed(view, status, error))
		return;					/* it was dropped */
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("continuous view \"%s\" %s: %s", get_rel_name(view),
					status == WEIR_STOPPED ? "is stopped" : "failed",
					error->message)));
}

typedef struct LoadWork
{
	Oid			view;
	WeirAssignment *assignment;
	WeirServed *served;
} LoadWork;

static void
load_view(void *arg)
{
	LoadWork   *work = (LoadWork *) arg;

	work->served = weir_served_load(work->view, work->assignment->stream);
}

/* Load one view; one that fails does not keep the others from running. */
static void
add_view(WeirAssignment *assignment, Oid view)
{
	LoadWork	work = {.view = view,.assignment = assignment};
	ErrorData  *error = weir_try(load_view, &work);

	if (error != NULL)
	{
		if (weir_error_class(error->sqlerrcode) != WEIR_ERROR_RETRY)
			set_failed(view, error);
		weir_claim_release(assignment->slot, view, true);
	}
	else if (work.served == NULL)
		weir_claim_release(assignment->slot, view, false);
	else
		assignment->served = lappend(assignment->served, work.served);
}

/* Read stream and views; open the source. */
static bool
load_views(WeirAssignment *assignment)
{
	WeirSlot   *slot = assignment->slot;
	List	   *mine;
	ListCell   *lc;

	if (!weir_worker_begin(slot->object))
	{
		weir_worker_commit();
		return false;
	}
	MemoryContextSwitchTo(assignment->context);
	assignment->stream = weir_stream_get(slot->object);
	mine = weir_claim_mine(slot);
	if (mine == NIL)
		mine = claim_views(assignment);
	foreach(lc, mine)
		add_view(assignment, lfirst_oid(lc));
	if (assignment->source == NULL && assignment->served != NIL)
	{
		WeirServed *any = linitial(assignment->served);

		MemoryContextSwitchTo(assignment->source_context);
		assignment->access = access_of(assignment->stream->serverid,
									   any->view->owner);
		assignment->source = weir_stream_open(assignment->stream,
											  any->view->owner);
	}
	weir_worker_commit();
	MemoryContextSwitchTo(assignment->context);
	return assignment->served != NIL;
}

void
weir_assignment_leave(WeirAssignment *assignment, WeirServed *served,
					  bool failed)
{
	assignment->served = list_delete_ptr(assignment->served, served);
	weir_claim_release(assignment->slot, served->view->view, failed);
}

/* Stop a view whose log cannot be trusted (promise 4). */
static void
stop_view(WeirAssignment *assignment, WeirServed *served, const char *detail)
{
	ErrorData	error = {0};

	error.elevel = ERROR;
	error.sqlerrcode = ERRCODE_WEIR_LOG_UNTRUSTED;
	error.message = psprintf("the log of stream %s cannot be trusted: %s",
							 assignment->stream->name, detail);
	if (weir_worker_begin(assignment->slot->object))
		set_failed(served->view->view, &error);
	weir_worker_commit();
	MemoryContextSwitchTo(assignment->context);
	weir_assignment_leave(assignment, served, false);
}

/* ---------------------------------------------------------- first offsets */

/*
 * Write checkpoint rows for the partitions that the view has none of.  False
 * if its lock is not to be had, or the stream is gone.
 */
static bool
insert_rows(WeirAssignment *assignment, WeirServed *served,
			const int64 *offsets)
{
	Oid			view = served->view->view;
	TimestampTz newest = DT_NOBEGIN;
	int64		epoch = 1;

	if (!weir_worker_begin(assignment->slot->object) ||
		!weir_view_lock(view, ExclusiveLock, true))
	{
		weir_worker_commit();
		MemoryContextSwitchTo(assignment->context);
		return false;
	}
	for (int p = 0; p < served->npartitions; p++)
	{
		newest = Max(newest, served->checkpoints[p].max_timestamp);
		epoch = Max(epoch, served->checkpoints[p].epoch);
	}
	for (int p = served->npartitions; p < assignment->npartitions; p++)
	{
		WeirCheckpoint row = {0};

		row.partition = p;
		row.start = row.next_offset = offsets[p];
		row.max_event_time = row.watermark = DT_NOBEGIN;
		row.max_timestamp = newest;
		row.anchor_offset = -1;
		row.epoch = epoch;
		weir_checkpoint_insert(view, &row);
		if (served->npartitions > 0)
			weir_exception_insert(view, p, offsets[p], "new partition",
								  served->watermark, served->watermark);
	}
	if (served->npartitions == 0 && served->rules.start_bound != DT_NOBEGIN)
	{
		WeirViewState state;

		weir_view_state_get(served->view->closed, &state);
		state.closed_to = served->rules.start_bound;
		weir_view_state_update(served->view->closed, &state);
	}
	weir_served_read_position(served);
	weir_worker_commit();
	MemoryContextSwitchTo(assignment->context);
	return true;
}

/* Where a view begins to read in the partitions that it has no row of. */
static void
first_offsets(WeirAssignment *assignment, WeirServed *served)
{
	int			n = assignment->npartitions;
	int64	   *offsets = palloc_array(int64, n);
	WeirStart  *start;

	if (served->npartitions == 0)
		start = served->start;
	else
		start = palloc0_object(WeirStart);	/* earliest */
	weir_start_resolve(start, assignment->stream, assignment->source, n,
					   offsets);
	if (!insert_rows(assignment, served, offsets))
		weir_assignment_leave(assignment, served, true);
}

/* ------------------------------------------------- comparison with the log */

void
weir_assignment_note_ends(WeirAssignment *assignment, int p,
						  const WeirEnds *ends)
{
	static bool reported = false;
	WeirPartitionEntry *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_partition(MyDatabaseId, assignment->slot->object, p);
	if (entry != NULL)
	{
		entry->low = ends->low;
		entry->high = ends->high;
		entry->stable = ends->stable;
		entry->asked_at = GetCurrentTimestamp();
	}
	LWLockRelease(weir_shared->lock);
	if (entry == NULL && !reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for the partitions of stream %s in shared memory",
						assignment->stream->name),
				 errdetail("A cluster can know %d partitions of streams; the lag of the others is not known, and their catch-up readers do not join the main one.",
						   WEIR_MAX_PARTITIONS)));
	reported |= entry == NULL;
}

/* Why a view cannot go on from its position, or NULL. */
static char *
lost_position(const WeirServed *served, int n, const WeirEnds *ends)
{
	if (served->npartitions > n)
		return psprintf("it has %d partitions, but had %d",
						n, served->npartitions);
	for (int p = 0; p < n; p++)
	{
		int64		next = served->checkpoints[p].next_offset;

		if (next < ends[p].low)
			return psprintf("offset " INT64_FORMAT " of partition %d is gone,"
							" the first one left is " INT64_FORMAT,
							next, p, ends[p].low);
		if (next > ends[p].high)
			return psprintf("partition %d ends at " INT64_FORMAT ", but was"
							" read to " INT64_FORMAT, p, ends[p].high, next);
	}
	return NULL;
}

/* Ask for the ends of all partitions, and stop the views that are outside. */
static WeirEnds *
compare_with_log(WeirAssignment *assignment)
{
	WeirEnds   *ends = palloc_array(WeirEnds, assignment->npartitions);
	ListCell   *lc;

	if (!weir_source_all_ends(assignment->source, assignment->npartitions,
							  ends))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not learn the ends of stream %s",
						assignment->stream->name)));
	for (int p = 0; p < assignment->npartitions; p++)
		weir_assignment_note_ends(assignment, p, &ends[p]);
	foreach(lc, list_copy(assignment->served))
	{
		WeirServed *served = lfirst(lc);
		char	   *lost = lost_position(served, assignment->npartitions,
										 ends);

		if (lost != NULL)
			stop_view(assignment, served, lost);
	}
	return ends;
}

void
weir_assignment_check_anchor(WeirAssignment *assignment,
							 const WeirMessage *message)
{
	ListCell   *lc;

	foreach(lc, list_copy(assignment->served))
	{
		WeirServed *served = lfirst(lc);
		const WeirCheckpoint *checkpoint =
			&served->checkpoints[message->partition];

		if (checkpoint->anchor_offset != message->offset ||
			(checkpoint->anchor_crc ==
			 weir_checkpoint_crc(message->key, message->key_len,
								 message->value, message->value_len) &&
			 checkpoint->anchor_timestamp == message->timestamp))
			continue;
		stop_view(assignment, served,
				  psprintf("offset " INT64_FORMAT " of partition %d holds"
						   " another record than when it was read",
						   message->offset, message->partition));
	}
}

/* ---------------------------------------------------- views stand together */

static int64
position_sum(const WeirServed *served)
{
	int64		sum = 0;

	for (int p = 0; p < served->npartitions; p++)
		sum += served->checkpoints[p].next_offset;
	return sum;
}

static bool
stand_together(const WeirServed *a, const WeirServed *b)
{
	for (int p = 0; p < a->npartitions; p++)
	{
		int64		distance = a->checkpoints[p].next_offset -
			b->checkpoints[p].next_offset;

		if (distance > weir_batch_rows || -distance > weir_batch_rows)
			return false;
	}
	return true;
}

/* Keep the foremost view and those near it; others get another reader. */
static void
keep_foremost(WeirAssignment *assignment)
{
	WeirServed *foremost = linitial(assignment->served);
	ListCell   *lc;

	foreach(lc, assignment->served)
	{
		if (position_sum(lfirst(lc)) > position_sum(foremost))
			foremost = lfirst(lc);
	}
	foreach(lc, list_copy(assignment->served))
	{
		if (!stand_together(lfirst(lc), foremost))
			weir_assignment_leave(assignment, lfirst(lc), false);
	}
}

/* ----------------------------------------------------------- assign source */

/*
 * Positions: the least next_offset of all views.  The source starts a little
 * earlier, where the oldest anchor is, if the log still has it.
 */
static void
assign_source(WeirAssignment *assignment, const WeirEnds *ends)
{
	int			n = assignment->npartitions;
	WeirPosition *positions = palloc_array(WeirPosition, n);

	assignment->position = palloc_array(int64, n);
	for (int p = 0; p < n; p++)
	{
		int64		least = PG_INT64_MAX;
		int64		anchor = PG_INT64_MAX;
		ListCell   *lc;

		foreach(lc, assignment->served)
		{
			const WeirCheckpoint *checkpoint =
				&((WeirServed *) lfirst(lc))->checkpoints[p];

			least = Min(least, checkpoint->next_offset);
			if (checkpoint->anchor_offset >= 0)
				anchor = Min(anchor, checkpoint->anchor_offset);
		}
		assignment->position[p] = least;
		positions[p].partition = p;
		positions[p].offset = Max(Min(anchor, least), ends[p].low);
	}
	weir_source_assign(assignment->source, n, positions);
	weir_claim_publish(assignment->slot, n, assignment->position);
}

/* Is there nothing to read for a view? */
static void
note_at_end(WeirServed *served, const WeirEnds *ends)
{
	served->at_end = true;
	for (int p = 0; p < served->npartitions; p++)
		served->at_end &= served->checkpoints[p].next_offset >= ends[p].stable;
}

void
weir_assignment_set_statuses(WeirAssignment *assignment)
{
	WeirStatus	status = assignment->slot->main ?
		WEIR_RUNNING : WEIR_CATCHING_UP;
	ListCell   *lc;

	if (assignment->status == status)
		return;
	assignment->status = status;
	if (weir_worker_begin(assignment->slot->object))
	{
		foreach(lc, assignment->served)
		{
			Oid			oid = ((WeirServed *) lfirst(lc))->view->view;
			WeirView   *view;

			if (!weir_view_lock(oid, ExclusiveLock, true))
			{
				assignment->status = WEIR_QUEUED;	/* another time */
				continue;
			}
			view = weir_view_get(oid, true);
			if (view != NULL && view->status != status &&
				(view->status == WEIR_QUEUED ||
				 view->status == WEIR_CATCHING_UP ||
				 view->status == WEIR_RUNNING))
				weir_view_set_status(oid, status, NULL);
		}
	}
	weir_worker_commit();
	MemoryContextSwitchTo(assignment->context);
}

bool
weir_assignment_make(WeirAssignment *assignment)
{
	bool		first = weir_claim_mine(assignment->slot) == NIL;
	WeirEnds   *ends;
	ListCell   *lc;

	MemoryContextSwitchTo(assignment->context);
	MemoryContextReset(assignment->context);
	assignment->served = NIL;
	if (!load_views(assignment))
		return false;
	assignment->npartitions = weir_source_partitions(assignment->source);
	foreach(lc, list_copy(assignment->served))
	{
		WeirServed *served = lfirst(lc);

		if (served->npartitions < assignment->npartitions)
			first_offsets(assignment, served);
	}
	ends = compare_with_log(assignment);
	foreach(lc, assignment->served)
		note_at_end(lfirst(lc), ends);
	if (assignment->served != NIL && first)
		keep_foremost(assignment);
	if (assignment->served == NIL)
		return false;
	assign_source(assignment, ends);
	weir_worker_ready();
	weir_claim_publish(assignment->slot, assignment->npartitions,
					   assignment->position);
	assignment->status = WEIR_QUEUED;
	weir_assignment_set_statuses(assignment);
	return true;
}
