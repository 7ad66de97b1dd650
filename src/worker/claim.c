/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Which reader serves which view: claims in shared memory, the main
 *	  reader, and handing over to it.
 *
 * A view is claimed by a slot and its generation, so the claim of a reader
 * that died is void.
 *
 * The readers of a stream that use the same user mapping have at most one
 * main reader among them: the one with the least lag.  A catch-up reader
 * that has come within one batch of it hands its claims over, in one step
 * under the lock, and exits; main re-assigns itself to the least position of
 * all its views.  No view is unclaimed on the way, and none is advanced by
 * two: the new reader starts from the checkpoint, which fences off the old.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "worker/claim.h"

static bool
is_mine(const WeirViewEntry *entry, const WeirSlot *slot)
{
	return entry->database == MyDatabaseId &&
		entry->slot == slot - weir_shared->slots &&
		entry->generation == slot->generation;
}

static void
give(WeirViewEntry *entry, const WeirSlot *slot)
{
	entry->slot = slot - weir_shared->slots;
	entry->generation = slot->generation;
	entry->waits = WEIR_WAITS_NOT;
	entry->close_retry_at = 0;	/* its reader tries at once */
}

/* Is this another reader of the same stream, with the same mapping? */
static bool
is_sibling(const WeirSlot *other, const WeirSlot *slot)
{
	return other != slot && weir_shmem_taken(other) &&
		other->kind == WEIR_WORKER_READER && other->ready && !other->leave &&
		other->database == slot->database && other->object == slot->object &&
		other->mapping == slot->mapping;
}

static WeirSlot *
main_sibling(const WeirSlot *slot)
{
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *other = &weir_shared->slots[i];

		if (is_sibling(other, slot) && other->main)
			return other;
	}
	return NULL;
}

List *
weir_claim_views(WeirSlot *slot, List *views)
{
	List	   *claimed = NIL;
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	foreach(lc, views)
	{
		WeirViewEntry *entry = weir_shmem_view(MyDatabaseId, lfirst_oid(lc));

		if (entry == NULL || weir_shmem_claimed(entry) ||
			entry->retry_at > now)
			continue;
		give(entry, slot);
		entry->catch_up.since = 0;
		claimed = lappend_oid(claimed, lfirst_oid(lc));
	}
	LWLockRelease(weir_shared->lock);
	return claimed;
}

List *
weir_claim_mine(WeirSlot *slot)
{
	List	   *mine = NIL;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		if (is_mine(&weir_shared->views[i], slot))
			mine = lappend_oid(mine, weir_shared->views[i].view);
	}
	LWLockRelease(weir_shared->lock);
	return mine;
}

void
weir_claim_release(WeirSlot *slot, Oid view, bool failed)
{
	WeirViewEntry *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_view(MyDatabaseId, view);
	if (entry != NULL && is_mine(entry, slot))
	{
		entry->slot = -1;
		entry->failures = failed ? entry->failures + 1 : 0;
		entry->retry_at = failed ? weir_shmem_retry_at(entry->failures) : 0;
	}
	LWLockRelease(weir_shared->lock);
}

/* Without a main reader the foremost reader of the stream is main. */
static bool
should_be_main(const WeirSlot *slot)
{
	if (slot->main)
		return true;
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		const WeirSlot *other = &weir_shared->slots[i];

		if (is_sibling(other, slot) &&
			(other->main || other->progress > slot->progress))
			return false;
	}
	return true;
}

void
weir_claim_publish(WeirSlot *slot, int n, const int64 *positions)
{
	int64		progress = 0;

	for (int p = 0; p < n; p++)
		progress += positions[p];
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	slot->progress = progress;
	slot->main = should_be_main(slot);
	for (int p = 0; slot->main && p < n; p++)
	{
		WeirPartitionEntry *entry =
			weir_shmem_partition(MyDatabaseId, slot->object, p);

		if (entry != NULL)
			entry->main_next = positions[p];
	}
	LWLockRelease(weir_shared->lock);
}

void
weir_claim_resign(WeirSlot *slot)
{
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	slot->main = false;
	slot->progress = 0;
	LWLockRelease(weir_shared->lock);
}

/* Is the reader within rows of the main reader, in every partition? */
static bool
near_main(const WeirSlot *slot, int n, const int64 *positions, int64 rows)
{
	for (int p = 0; p < n; p++)
	{
		WeirPartitionEntry *entry =
			weir_shmem_partition(MyDatabaseId, slot->object, p);

		if (entry == NULL || entry->main_next - positions[p] > rows ||
			positions[p] - entry->main_next > rows)
			return false;
	}
	return true;
}

bool
weir_claim_hand_over(WeirSlot *slot, int n, const int64 *positions,
					 int64 rows)
{
	WeirSlot   *main_slot;
	bool		handed = false;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	main_slot = slot->main ? NULL : main_sibling(slot);
	if (main_slot != NULL && near_main(slot, n, positions, rows))
	{
		for (int i = 0; i < WEIR_MAX_VIEWS; i++)
		{
			if (is_mine(&weir_shared->views[i], slot))
				give(&weir_shared->views[i], main_slot);
		}
		main_slot->reassign = true;
		if (main_slot->proc != NULL)
			SetLatch(&main_slot->proc->procLatch);
		handed = true;
	}
	LWLockRelease(weir_shared->lock);
	return handed;
}

bool
weir_claim_handed(WeirSlot *slot)
{
	bool		handed;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	handed = slot->reassign;
	slot->reassign = false;
	LWLockRelease(weir_shared->lock);
	return handed;
}
