/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  What a reader tells shared memory about its work.
 *
 *		commit		from the start of applying a batch, decoding it, to the end
 *					of its commit; one value for each view it was applied to
 *		event		from a record's timestamp to that same end; one value for
 *					each record that the view read, whatever became of it;
 *					without a timestamp none, with one in the future 0
 *
 * So the first counts batches, and the second what the counter `read` counts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "worker/measure.h"

#define MILESTONE_MS	10000	/* between two milestones of a watermark */

/*
 * How old the records at or after these offsets were when they were
 * committed.  Each counts, but neighbours mostly fall into one class.
 */
static void
measure_records(const WeirBatch *batch, const WeirCheckpoint *from,
				TimestampTz committed, WeirHistogram *histogram)
{
	TimestampTz oldest = 0;		/* of the class at hand */
	TimestampTz newest = -1;
	int64	   *count = NULL;

	for (int i = 0; i < batch->nrecords; i++)
	{
		const WeirMessage *message = &batch->records[i].message;
		TimestampTz timestamp = message->timestamp;

		if (timestamp == WEIR_NO_TIMESTAMP ||
			message->offset < from[message->partition].next_offset)
			continue;
		timestamp = Min(timestamp, committed);
		if (timestamp < oldest || timestamp > newest)
		{
			int			class = weir_histogram_class(weir_event_bounds,
													 committed - timestamp);

			count = &histogram->count[class];
			oldest = class == WEIR_HISTOGRAM_BOUNDS ? PG_INT64_MIN :
				committed - weir_event_bounds[class];
			newest = class == 0 ? committed :
				committed - weir_event_bounds[class - 1] - 1;
		}
		(*count)++;
		histogram->sum += committed - timestamp;
	}
}

/* Does the view stand where the batch begins? */
static bool
stands_at(const WeirServed *served, const WeirBatch *batch)
{
	for (int p = 0; p < batch->npartitions; p++)
	{
		if (served->checkpoints[p].next_offset != batch->from[p])
			return false;
	}
	return true;
}

/*
 * The ages of the records that the batch brought each view, in the order of
 * the views: measured once for all that stand where it begins.
 */
static WeirHistogram **
measure_views(List *views, const WeirBatch *batch, TimestampTz committed)
{
	WeirHistogram **ages = palloc0_array(WeirHistogram *,
										 list_length(views) + 1);
	WeirHistogram *common = NULL;

	for (int i = 0; i < list_length(views); i++)
	{
		WeirServed *served = list_nth(views, i);
		bool		shared = stands_at(served, batch);

		if (served->pending == NULL)
			continue;
		ages[i] = shared ? common : NULL;
		if (ages[i] == NULL)
		{
			ages[i] = palloc0_object(WeirHistogram);
			measure_records(batch, served->checkpoints, committed, ages[i]);
		}
		if (shared)
			common = ages[i];
	}
	return ages;
}

/* The records that the batch at hand brought a view. */
static int64
records_read(const WeirServed *served)
{
	int64		read = 0;

	for (int p = 0; p < served->npartitions; p++)
		read += served->pending[p].counters.read -
			served->checkpoints[p].counters.read;
	return read;
}

void
weir_measure_batch(WeirAssignment *assignment, const WeirBatch *batch,
				   TimestampTz started)
{
	TimestampTz now = GetCurrentTimestamp();
	WeirHistogram **ages = measure_views(assignment->served, batch, now);
	int			nth = 0;
	ListCell   *lc;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	assignment->slot->records += batch->nrecords;
	assignment->slot->batches++;
	foreach(lc, assignment->served)
	{
		WeirServed *served = lfirst(lc);
		WeirHistogram *age = ages[nth++];
		WeirViewEntry *entry = weir_shmem_view(MyDatabaseId,
											   served->view->view);

		if (entry == NULL || age == NULL)
			continue;
		weir_rate_count(&entry->rate, records_read(served));
		weir_histogram_add(&entry->commit, weir_commit_bounds, now - started);
		weir_histogram_merge(&entry->event, age);
		entry->last_commit = now;
		entry->commit_us = now - started;
		entry->failures = 0;
	}
	LWLockRelease(weir_shared->lock);
}

/* The ends of the stream's partitions; false if one is not known. */
static bool
known_ends(const WeirAssignment *assignment, int64 *ends)
{
	for (int p = 0; p < assignment->npartitions; p++)
	{
		WeirPartitionEntry *entry =
			weir_shmem_partition(MyDatabaseId, assignment->slot->object, p);

		if (entry == NULL || entry->asked_at == 0)
			return false;
		ends[p] = entry->high;
	}
	return true;
}

/* It is catching up from when it is a batch behind until it is at the end. */
static void
note_catch_up(const WeirServed *served, const int64 *ends,
			  WeirCatchUp *catch_up)
{
	int64		position = 0;
	int64		end = 0;
	bool		behind = false;

	for (int p = 0; p < served->npartitions; p++)
	{
		int64		next = served->checkpoints[p].next_offset;

		behind |= ends[p] - next > weir_batch_rows;
		position += next;
		end += Max(ends[p], next);
	}
	if (position == end)
		catch_up->since = 0;
	else if (behind && catch_up->since == 0)
	{
		catch_up->since = GetCurrentTimestamp();
		catch_up->from = position;
		catch_up->end = end;
	}
}

/* Remember now and then how far the watermark has come. */
static void
note_milestone(const WeirServed *served, WeirMilestone *milestones)
{
	TimestampTz now = GetCurrentTimestamp();

	if (served->watermark == DT_NOBEGIN ||
		!TimestampDifferenceExceeds(milestones[1].at, now, MILESTONE_MS))
		return;
	milestones[0] = milestones[1];
	milestones[1].at = now;
	milestones[1].watermark = served->watermark;
}

void
weir_measure_progress(WeirAssignment *assignment)
{
	int64	   *ends = palloc_array(int64, assignment->npartitions + 1);
	ListCell   *lc;
	bool		known;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	known = known_ends(assignment, ends);
	foreach(lc, assignment->served)
	{
		WeirServed *served = lfirst(lc);
		WeirViewEntry *entry = weir_shmem_view(MyDatabaseId,
											   served->view->view);

		if (entry == NULL)
			continue;
		note_milestone(served, entry->milestones);
		if (known && served->npartitions == assignment->npartitions)
			note_catch_up(served, ends, &entry->catch_up);
	}
	LWLockRelease(weir_shared->lock);
}
