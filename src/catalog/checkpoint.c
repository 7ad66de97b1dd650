/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  A view's position: one row of weir.checkpoint a partition.
 *
 * A row is rewritten by every batch.  Looking it up by key costs the more
 * the longer its chain of versions is, so a reader remembers where the row
 * is (its TID) and writes there.  Whatever else may have happened to that
 * place - another reader, weir.resume() from before, a table rewritten - is
 * found out by comparing what the row says with what was written last (I2).
 *
 * Updates are HOT as long as the page is pruned in time: nobody reads these
 * pages, so an update prunes before it writes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/checkpoint.h"
#include "port/pg_crc32c.h"
#include "catalog/table.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of weir.checkpoint. */
enum
{
	VIEW,
	PARTITION,
	START,
	NEXT_OFFSET,
	MAX_EVENT_TIME,
	MAX_TIMESTAMP,
	WATERMARK,
	ANCHOR_OFFSET,
	ANCHOR_TIMESTAMP,
	ANCHOR_CRC,
	EPOCH,
	COUNTERS,					/* the first of them */
	NATTS = COUNTERS + sizeof(WeirCounters) / sizeof(int64)
};

static void form_row(Oid view, const WeirCheckpoint *checkpoint,
					 Datum *values, bool *isnull);
static void deform_row(TupleDesc desc, HeapTuple tuple,
					   WeirCheckpoint *checkpoint);
static int	compare_partitions(const void *a, const void *b);
static bool fetch_row(Relation table, ItemPointer tid, HeapTupleData *tuple,
					  Buffer *buffer);
static void check_row(TupleDesc desc, HeapTuple tuple, Oid view,
					  const WeirCheckpoint *checkpoint);
static void raise_fenced_off(Oid view, int32 partition);

/*
 * Rows of a view by partition.  Raises XX001 for a hole.
 */
WeirCheckpoint *
weir_checkpoint_read(Oid view, int *n)
{
	Relation	table = weir_table_open("checkpoint", AccessShareLock, false);
	int			room = 16;
	WeirCheckpoint *rows = palloc(room * sizeof(WeirCheckpoint));
	SysScanDesc scan = weir_table_scan(table, VIEW + 1,
									   ObjectIdGetDatum(view));
	HeapTuple	tuple;

	*n = 0;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (*n == room)
		{
			room *= 2;
			rows = repalloc(rows, room * sizeof(WeirCheckpoint));
		}
		deform_row(RelationGetDescr(table), tuple, &rows[(*n)++]);
	}
	systable_endscan(scan);
	table_close(table, NoLock);

	qsort(rows, *n, sizeof(WeirCheckpoint), compare_partitions);
	for (int i = 0; i < *n; i++)
	{
		if (rows[i].partition != i)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("checkpoint of partition %d of view %u is missing",
							i, view)));
	}
	return rows;
}

void
weir_counters_add(WeirCounters *sum, const WeirCounters *counters)
{
	sum->read += counters->read;
	sum->aggregated += counters->aggregated;
	sum->filtered += counters->filtered;
	sum->late += counters->late;
	sum->dead_lettered += counters->dead_lettered;
	sum->skipped += counters->skipped;
	sum->tombstones += counters->tombstones;
	sum->gaps += counters->gaps;
	sum->partly_late += counters->partly_late;
	sum->late_closed += counters->late_closed;
}

/*
 * Insert a row, and remember where it is.
 */
void
weir_checkpoint_insert(Oid view, WeirCheckpoint *checkpoint)
{
	Relation	table = weir_table_open("checkpoint", RowExclusiveLock,
										false);
	Datum		values[NATTS];
	bool		isnull[NATTS];
	HeapTuple	tuple;

	form_row(view, checkpoint, values, isnull);
	tuple = heap_form_tuple(RelationGetDescr(table), values, isnull);
	weir_table_insert(table, tuple);
	checkpoint->tid = tuple->t_self;
	checkpoint->stored_next_offset = checkpoint->next_offset;
	heap_freetuple(tuple);
	table_close(table, NoLock);
}

/*
 * Write a row where it was last, and remember where it is now.  Raises 40001
 * if it is not there, or was written by somebody else.
 */
void
weir_checkpoint_update(Oid view, WeirCheckpoint *checkpoint)
{
	Relation	table = weir_table_open("checkpoint", RowExclusiveLock,
										false);
	TupleDesc	desc = RelationGetDescr(table);
	Datum		values[NATTS];
	bool		isnull[NATTS];
	HeapTupleData old;
	HeapTuple	new;
	Buffer		buffer;

	if (!fetch_row(table, &checkpoint->tid, &old, &buffer))
		raise_fenced_off(view, checkpoint->partition);
	check_row(desc, &old, view, checkpoint);
	ReleaseBuffer(buffer);

	form_row(view, checkpoint, values, isnull);
	new = heap_form_tuple(desc, values, isnull);
	weir_table_update(table, &checkpoint->tid, new);
	checkpoint->tid = new->t_self;
	checkpoint->stored_next_offset = checkpoint->next_offset;
	heap_freetuple(new);
	table_close(table, NoLock);
}

/*
 * Increase the epoch of all rows of a view.
 */
void
weir_checkpoint_new_epoch(Oid view)
{
	int			n;
	WeirCheckpoint *rows = weir_checkpoint_read(view, &n);
	Relation	table = weir_table_open("checkpoint", RowExclusiveLock,
										false);

	for (int i = 0; i < n; i++)
	{
		Datum		values[NATTS];
		bool		isnull[NATTS];
		HeapTuple	tuple;

		rows[i].epoch++;
		form_row(view, &rows[i], values, isnull);
		tuple = heap_form_tuple(RelationGetDescr(table), values, isnull);
		weir_table_update(table, &rows[i].tid, tuple);
		heap_freetuple(tuple);
	}
	table_close(table, NoLock);
	pfree(rows);
}

/*
 * A timestamp that is NULL while there is none yet.
 */
static void
form_timestamp(TimestampTz timestamp, Datum *value, bool *isnull)
{
	*isnull = TIMESTAMP_IS_NOBEGIN(timestamp);
	*value = TimestampTzGetDatum(timestamp);
}

static TimestampTz
deform_timestamp(Datum value, bool isnull)
{
	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

static void
form_row(Oid view, const WeirCheckpoint *checkpoint, Datum *values,
		 bool *isnull)
{
	int64		counters[NATTS - COUNTERS];

	memset(isnull, false, NATTS * sizeof(bool));
	values[VIEW] = ObjectIdGetDatum(view);
	values[PARTITION] = Int32GetDatum(checkpoint->partition);
	values[START] = Int64GetDatum(checkpoint->start);
	values[NEXT_OFFSET] = Int64GetDatum(checkpoint->next_offset);
	form_timestamp(checkpoint->max_event_time,
				   &values[MAX_EVENT_TIME], &isnull[MAX_EVENT_TIME]);
	form_timestamp(checkpoint->max_timestamp,
				   &values[MAX_TIMESTAMP], &isnull[MAX_TIMESTAMP]);
	form_timestamp(checkpoint->watermark,
				   &values[WATERMARK], &isnull[WATERMARK]);
	values[ANCHOR_OFFSET] = Int64GetDatum(checkpoint->anchor_offset);
	values[ANCHOR_CRC] = Int64GetDatum((int64) checkpoint->anchor_crc);
	isnull[ANCHOR_OFFSET] = isnull[ANCHOR_CRC] =
		checkpoint->anchor_offset < 0;
	form_timestamp(checkpoint->anchor_timestamp,
				   &values[ANCHOR_TIMESTAMP], &isnull[ANCHOR_TIMESTAMP]);
	isnull[ANCHOR_TIMESTAMP] |= isnull[ANCHOR_OFFSET];
	values[EPOCH] = Int64GetDatum(checkpoint->epoch);

	memcpy(counters, &checkpoint->counters, sizeof(counters));
	for (int i = 0; i < lengthof(counters); i++)
		values[COUNTERS + i] = Int64GetDatum(counters[i]);
}

static void
deform_row(TupleDesc desc, HeapTuple tuple, WeirCheckpoint *checkpoint)
{
	Datum		values[NATTS];
	bool		isnull[NATTS];
	int64		counters[NATTS - COUNTERS];

	Assert(desc->natts == NATTS);
	heap_deform_tuple(tuple, desc, values, isnull);
	checkpoint->partition = DatumGetInt32(values[PARTITION]);
	checkpoint->start = DatumGetInt64(values[START]);
	checkpoint->next_offset = DatumGetInt64(values[NEXT_OFFSET]);
	checkpoint->max_event_time = deform_timestamp(values[MAX_EVENT_TIME],
												  isnull[MAX_EVENT_TIME]);
	checkpoint->max_timestamp = deform_timestamp(values[MAX_TIMESTAMP],
												 isnull[MAX_TIMESTAMP]);
	checkpoint->watermark = deform_timestamp(values[WATERMARK],
											 isnull[WATERMARK]);
	checkpoint->anchor_offset = isnull[ANCHOR_OFFSET] ? -1 :
		DatumGetInt64(values[ANCHOR_OFFSET]);
	checkpoint->anchor_timestamp = deform_timestamp(values[ANCHOR_TIMESTAMP],
													isnull[ANCHOR_TIMESTAMP]);
	checkpoint->anchor_crc = isnull[ANCHOR_CRC] ? 0 :
		(uint32) DatumGetInt64(values[ANCHOR_CRC]);
	checkpoint->epoch = DatumGetInt64(values[EPOCH]);

	for (int i = 0; i < lengthof(counters); i++)
		counters[i] = DatumGetInt64(values[COUNTERS + i]);
	memcpy(&checkpoint->counters, counters, sizeof(counters));

	checkpoint->tid = tuple->t_self;
	checkpoint->stored_next_offset = checkpoint->next_offset;
}

static int
compare_partitions(const void *a, const void *b)
{
	int32		left = ((const WeirCheckpoint *) a)->partition;
	int32		right = ((const WeirCheckpoint *) b)->partition;

	return (left > right) - (left < right);
}

/*
 * Find the row at tid as it is now, its buffer pinned, and make room on its
 * page.  False if there is none.
 */
static bool
fetch_row(Relation table, ItemPointer tid, HeapTupleData *tuple,
		  Buffer *buffer)
{
	if (!ItemPointerIsValid(tid) ||
		ItemPointerGetBlockNumber(tid) >= RelationGetNumberOfBlocks(table))
		return false;

	*buffer = ReadBuffer(table, ItemPointerGetBlockNumber(tid));
	heap_page_prune_opt(table, *buffer);
	ReleaseBuffer(*buffer);

	tuple->t_self = *tid;
	return heap_fetch(table, SnapshotSelf, tuple, buffer, false);
}

/*
 * Is it the row, and as it was left?
 */
static void
check_row(TupleDesc desc, HeapTuple tuple, Oid view,
		  const WeirCheckpoint *checkpoint)
{
	bool		isnull;

	if (DatumGetObjectId(heap_getattr(tuple, VIEW + 1, desc,
									  &isnull)) != view ||
		DatumGetInt32(heap_getattr(tuple, PARTITION + 1, desc,
								   &isnull)) != checkpoint->partition ||
		DatumGetInt64(heap_getattr(tuple, NEXT_OFFSET + 1, desc,
								   &isnull)) != checkpoint->stored_next_offset ||
		DatumGetInt64(heap_getattr(tuple, EPOCH + 1, desc,
								   &isnull)) != checkpoint->epoch)
		raise_fenced_off(view, checkpoint->partition);
}

static void
raise_fenced_off(Oid view, int32 partition)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("checkpoint of partition %d of view %u was changed by somebody else",
					partition, view)));
}

/*
 * What identifies a record as an anchor.  A NULL key or value differs from
 * an empty one.
 */
uint32
weir_checkpoint_crc(const char *key, int key_len, const char *value,
					int value_len)
{
	pg_crc32c	crc;
	int32		lengths[2] = {key ? key_len : -1, value ? value_len : -1};

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, lengths, sizeof(lengths));
	if (key != NULL)
		COMP_CRC32C(crc, key, key_len);
	if (value != NULL)
		COMP_CRC32C(crc, value, value_len);
	FIN_CRC32C(crc);
	return crc;
}
