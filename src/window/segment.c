/*-------------------------------------------------------------------------
 *
 * segment.c
 *	  The ring of segments: which one takes rows, compaction, reclaim.
 *
 * Partials lie in a ring of plain tables.  Their rows are never updated or
 * deleted: a row is alive for a snapshot if and only if the view's state row,
 * under that snapshot, lists its segment and pane_start >= closed_before.
 *
 * A segment is free when the state row does not list it and it has no block,
 * both seen under the view's EXCLUSIVE lock.  Compaction copies the merge of
 * all live rows into a free segment and lists only that.  Reclaim makes dead
 * segments free again, by truncating them in place, when no version of the
 * state row is left that lists them.  The scan that looks prunes the page of
 * the state row, and its WAL record lies before that of the truncation: this
 * is what makes a standby cancel or wait for a query that still needs the
 * rows.  Reclaim is never needed for correctness.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/storage.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/fault.h"
#include "base/usercontext.h"
#include "window/segment.h"
#include "window/wide.h"

/* Compact when there are more rows than this, and than FACTOR x groups. */
#define COMPACT_ROWS	5000
#define COMPACT_FACTOR	4

/* Reclaim while fewer segments than this are free. */
#define ENOUGH_FREE		3

/* Rows that compaction moves at a time. */
#define COPY_ROWS		1000

int
weir_segment_active(const WeirViewState *state)
{
	Assert(state->nlive > 0);
	return state->live[state->nlive - 1];
}

static bool
is_live(const WeirViewState *state, int segment)
{
	for (int i = 0; i < state->nlive; i++)
	{
		if (state->live[i] == segment)
			return true;
	}
	return false;
}

/* Keeps no lock: it would keep the segment from being given back. */
static BlockNumber
segment_blocks(Oid segment)
{
	Relation	rel = table_open(segment, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return blocks;
}

static int
rows_of_page(Relation rel, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(rel, block);
	int			rows;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	rows = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return rows;
}

/*
 * Rows of a segment, dead ones too, by its size and three of its pages: rows
 * may have become wider or narrower on the way.
 */
static int64
segment_rows(Oid segment)
{
	Relation	rel = table_open(segment, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	int64		rows = 0;

	if (blocks > 0)
		rows = (int64) blocks * (rows_of_page(rel, 0) +
								 rows_of_page(rel, blocks / 2) +
								 rows_of_page(rel, blocks - 1)) / 3;
	table_close(rel, NoLock);
	return rows;
}

static int
free_segment(const WeirView *view, const WeirViewState *state)
{
	for (int i = 0; i < WEIR_SEGMENTS; i++)
	{
		if (!is_live(state, i) && segment_blocks(view->segments[i]) == 0)
			return i;
	}
	return -1;
}

static bool
compaction_due(const WeirView *view, const WeirViewState *state)
{
	int64		rows = 0;

	for (int i = 0; i < state->nlive; i++)
		rows += segment_rows(view->segments[state->live[i]]);
	return rows > Max(COMPACT_FACTOR * state->groups, COMPACT_ROWS);
}

bool
weir_segment_compaction_due(const WeirView *view)
{
	WeirViewState state;

	weir_view_state_get(view->closed, &state);
	return compaction_due(view, &state);
}

/* Append what the last SPI fetch brought to a segment. */
static void
append_fetched(const WeirPlan *plan, Relation segment, TupleTableSlot **slots)
{
	int			n = 0;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ExecClearTuple(slots[n]);
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
						  slots[n]->tts_values, slots[n]->tts_isnull);
		ExecStoreVirtualTuple(slots[n]);
		if (weir_wide_row(segment, slots[n]))
			weir_wide_insert(plan, segment, slots[n]);
		else
			n++;
	}
	if (n > 0)
		table_multi_insert(segment, slots, n, GetCurrentCommandId(true), 0,
						   NULL);
}

/*
 * Copy the merge of all live rows.  The query runs as the view's owner, since
 * the operators of a key's type may be anybody's; the rows are written as
 * ourselves, past whatever could be put on the table.
 */
static int64
copy_merge(const WeirView *view, const WeirPlan *plan, int target)
{
	Relation	segment = table_open(view->segments[target],
									 RowExclusiveLock);
	TupleTableSlot **slots = palloc_array(TupleTableSlot *, COPY_ROWS);
	WeirUserContext user;
	Portal		portal;
	int64		rows = 0;

	for (int i = 0; i < COPY_ROWS; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(segment),
											&TTSOpsVirtual);
	weir_user_enter(&user, view->owner, view->settings);
	SPI_connect();
	portal = SPI_cursor_open_with_args(NULL,
									   weir_plan_compact_sql(plan,
															 view->closed,
															 view->segments),
									   0, NULL, NULL, NULL, true, 0);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, COPY_ROWS);
		if (SPI_processed == 0)
			break;
		rows += SPI_processed;
		append_fetched(plan, segment, slots);
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	SPI_finish();
	weir_user_leave(&user);
	for (int i = 0; i < COPY_ROWS; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	table_close(segment, NoLock);
	return rows;
}

bool
weir_segment_compact(const WeirView *view, const WeirPlan *plan)
{
	WeirViewState state;
	int			target;

	if (!weir_view_lock(view->view, ExclusiveLock, true))
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	weir_view_state_get(view->closed, &state);
	target = free_segment(view, &state);
	if (target < 0 || !compaction_due(view, &state))
	{
		PopActiveSnapshot();
		return false;
	}
	state.groups = copy_merge(view, plan, target);
	WEIR_FAULT("compact-copied");
	state.nlive = 1;
	state.live[0] = target;
	weir_view_state_update(view->closed, &state);
	PopActiveSnapshot();
	return true;
}

/* Truncate a dead segment, if nobody stands in the way. */
static bool
truncate_segment(Oid segment)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(segment, AccessExclusiveLock))
		return false;
	rel = table_open(segment, NoLock);
	RelationTruncate(rel, 0);
	table_close(rel, NoLock);
	return true;
}

bool
weir_segment_reclaim(const WeirView *view, bool all)
{
	int			wanted = all ? WEIR_SEGMENTS - 1 : ENOUGH_FREE;
	bool		listed[WEIR_SEGMENTS] = {false};
	int			nfree = 0;

	for (int i = 0; i < WEIR_SEGMENTS; i++)
		nfree += segment_blocks(view->segments[i]) == 0;
	if (nfree >= wanted)
		return false;
	if (!weir_view_lock(view->view, ShareLock, true))
		return true;
	weir_view_state_versions(view->closed, listed);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
	{
		if (!listed[i] && segment_blocks(view->segments[i]) > 0 &&
			truncate_segment(view->segments[i]))
			nfree++;
	}
	WEIR_FAULT("reclaimed");
	return nfree < wanted;
}

bool
weir_segment_held(const WeirView *view, bool *by_snapshot)
{
	bool		listed[WEIR_SEGMENTS] = {false};
	WeirViewState state;
	int			nfree = 0;
	int			dead = 0;

	*by_snapshot = false;
	weir_view_state_get(view->closed, &state);
	weir_view_state_versions(view->closed, listed);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
	{
		if (segment_blocks(view->segments[i]) == 0)
			nfree++;
		else if (!is_live(&state, i))
		{
			dead++;
			*by_snapshot |= listed[i];
		}
	}
	return nfree < ENOUGH_FREE && dead > 0;
}
