/*-------------------------------------------------------------------------
 *
 * deadletter.c
 *	  Records that a view could not use: weir.dead_letter, weir.late_event.
 *
 * Rows go in by multi-inserts of some hundred rows, bounded in bytes too,
 * because each copies its rows before it writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/error.h"
#include "catalog/deadletter.h"
#include "catalog/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

int			weir_max_late_events = 100000;

#define CHUNK_ROWS	500
#define CHUNK_BYTES	(1024 * 1024)

/* Columns of weir.dead_letter. */
enum
{
	DEAD_VIEW,
	DEAD_PARTITION,
	DEAD_OFFSET,
	DEAD_TOPIC,
	DEAD_TIMESTAMP,
	DEAD_KEY,
	DEAD_VALUE,
	DEAD_SQLSTATE,
	DEAD_REASON,
	DEAD_AT,
	DEAD_NATTS
};

/* Columns of weir.late_event. */
enum
{
	LATE_VIEW,
	LATE_PARTITION,
	LATE_OFFSET,
	LATE_TIMESTAMP,
	LATE_EVENT_TIME,
	LATE_BOUND,
	LATE_KEY,
	LATE_VALUE,
	LATE_AT,
	LATE_NATTS
};

/* Rows on their way into a table. */
typedef struct Inserter
{
	Relation	table;
	MemoryContext context;		/* of the rows of a chunk */
	TupleTableSlot **slots;		/* made when first needed */
	int			nslots;
	int			n;
	size_t		bytes;
} Inserter;

static void begin_insert(Inserter *inserter, const char *name, int n);
static TupleTableSlot *next_slot(Inserter *inserter,
								 const WeirMessage *message);
static void flush_slots(Inserter *inserter);
static void end_insert(Inserter *inserter);
static void store_bytes(TupleTableSlot *slot, int column, const char *bytes,
						int32 length);
static void store_timestamp(TupleTableSlot *slot, int column,
							TimestampTz timestamp);
static int64 trim(const char *name, Oid view, int at, TimestampTz before,
				  int64 max_rows, int bound, TimestampTz *up_to);

/*
 * Write n records with what is wrong with each.  Needs a transaction; raises
 * 23505 if one was written before.
 */
void
weir_dead_letter_insert(Oid view, const char *topic, WeirRecord **records,
						WeirBadness **badness, int n)
{
	Inserter	inserter;

	begin_insert(&inserter, "dead_letter", n);
	for (int i = 0; i < n; i++)
	{
		const WeirMessage *message = &records[i]->message;
		TupleTableSlot *slot = next_slot(&inserter, message);
		MemoryContext caller = MemoryContextSwitchTo(inserter.context);
		const char *sqlstate = weir_sqlstate(badness[i]->sqlerrcode);
		const char *reason = badness[i]->reason;

		slot->tts_values[DEAD_VIEW] = ObjectIdGetDatum(view);
		slot->tts_values[DEAD_PARTITION] = Int32GetDatum(message->partition);
		slot->tts_values[DEAD_OFFSET] = Int64GetDatum(message->offset);
		slot->tts_values[DEAD_TOPIC] = CStringGetTextDatum(topic);
		store_timestamp(slot, DEAD_TIMESTAMP, message->timestamp);
		store_bytes(slot, DEAD_KEY, message->key, message->key_len);
		store_bytes(slot, DEAD_VALUE, message->value, message->value_len);
		slot->tts_values[DEAD_SQLSTATE] = CStringGetTextDatum(sqlstate);
		slot->tts_values[DEAD_REASON] = CStringGetTextDatum(reason);
		slot->tts_values[DEAD_AT] =
			TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		ExecStoreVirtualTuple(slot);
		MemoryContextSwitchTo(caller);
	}
	end_insert(&inserter);
}

/*
 * Write n late or partly late records.  Needs a transaction; raises 23505 if
 * one was written before.
 */
void
weir_late_event_insert(Oid view, WeirRecord **records,
					   TimestampTz *late_bounds, int n)
{
	Inserter	inserter;

	begin_insert(&inserter, "late_event", n);
	for (int i = 0; i < n; i++)
	{
		const WeirMessage *message = &records[i]->message;
		TupleTableSlot *slot = next_slot(&inserter, message);
		MemoryContext caller = MemoryContextSwitchTo(inserter.context);

		slot->tts_values[LATE_VIEW] = ObjectIdGetDatum(view);
		slot->tts_values[LATE_PARTITION] = Int32GetDatum(message->partition);
		slot->tts_values[LATE_OFFSET] = Int64GetDatum(message->offset);
		store_timestamp(slot, LATE_TIMESTAMP, message->timestamp);
		slot->tts_values[LATE_EVENT_TIME] =
			TimestampTzGetDatum(records[i]->event_time);
		slot->tts_values[LATE_BOUND] = TimestampTzGetDatum(late_bounds[i]);
		store_bytes(slot, LATE_KEY, message->key, message->key_len);
		store_bytes(slot, LATE_VALUE, message->value, message->value_len);
		slot->tts_values[LATE_AT] =
			TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		ExecStoreVirtualTuple(slot);
		MemoryContextSwitchTo(caller);
	}
	end_insert(&inserter);
}

/*
 * Count the late and partly late records stored for a view, up to limit.
 */
int64
weir_late_event_count(Oid view, int64 limit)
{
	Relation	table = weir_table_open("late_event", AccessShareLock, false);
	SysScanDesc scan = weir_table_scan(table, LATE_VIEW + 1,
									   ObjectIdGetDatum(view));
	int64		count = 0;

	while (count < limit && HeapTupleIsValid(systable_getnext(scan)))
		count++;
	systable_endscan(scan);
	table_close(table, NoLock);
	return count;
}

int64
weir_dead_letter_trim(Oid view, TimestampTz before, int64 max_rows,
					  TimestampTz *up_to)
{
	return trim("dead_letter", view, DEAD_AT, before, max_rows, DEAD_AT,
				up_to);
}

int64
weir_late_event_trim(Oid view, TimestampTz before, int64 max_rows,
					 TimestampTz *up_to)
{
	return trim("late_event", view, LATE_AT, before, max_rows, LATE_BOUND,
				up_to);
}

/*
 * Delete at most max_rows rows of a view that were written before a time;
 * *up_to is the greatest value that the column bound had in them.
 */
static int64
trim(const char *name, Oid view, int at, TimestampTz before, int64 max_rows,
	 int bound, TimestampTz *up_to)
{
	Relation	table = weir_table_open(name, RowExclusiveLock, false);
	TupleDesc	desc = RelationGetDescr(table);
	SysScanDesc scan = weir_table_scan(table, 1, ObjectIdGetDatum(view));
	HeapTuple	tuple;
	int64		rows = 0;
	bool		isnull;

	*up_to = DT_NOBEGIN;
	while (rows < max_rows && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TimestampTz value;

		CHECK_FOR_INTERRUPTS();
		value = DatumGetTimestampTz(heap_getattr(tuple, at + 1, desc,
												 &isnull));
		if (value >= before)
			continue;
		value = DatumGetTimestampTz(heap_getattr(tuple, bound + 1, desc,
												 &isnull));
		if (!weir_table_delete_row(table, tuple))
			continue;
		*up_to = Max(*up_to, value);
		rows++;
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	CommandCounterIncrement();
	return rows;
}

/*
 * Make ready to insert n rows.
 */
static void
begin_insert(Inserter *inserter, const char *name, int n)
{
	memset(inserter, 0, sizeof(Inserter));
	inserter->table = weir_table_open(name, RowExclusiveLock, false);
	inserter->context = AllocSetContextCreate(CurrentMemoryContext,
											  "weir dead letters",
											  ALLOCSET_DEFAULT_SIZES);
	inserter->slots = palloc(Min(n, CHUNK_ROWS) * sizeof(TupleTableSlot *));
}

/*
 * An empty slot for a message, without nulls; writes the chunk first if it
 * is full.
 */
static TupleTableSlot *
next_slot(Inserter *inserter, const WeirMessage *message)
{
	TupleDesc	desc = RelationGetDescr(inserter->table);
	TupleTableSlot *slot;

	if (inserter->n == CHUNK_ROWS || inserter->bytes >= CHUNK_BYTES)
		flush_slots(inserter);
	if (inserter->n == inserter->nslots)
		inserter->slots[inserter->nslots++] =
			MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);

	slot = inserter->slots[inserter->n++];
	inserter->bytes += message->key_len + message->value_len;
	memset(slot->tts_isnull, false, desc->natts * sizeof(bool));
	return slot;
}

/*
 * Write the slots that are filled, and empty them.
 */
static void
flush_slots(Inserter *inserter)
{
	if (inserter->n > 0)
		weir_table_insert_slots(inserter->table, inserter->slots,
								inserter->n);
	for (int i = 0; i < inserter->n; i++)
		ExecClearTuple(inserter->slots[i]);
	MemoryContextReset(inserter->context);
	inserter->n = 0;
	inserter->bytes = 0;
}

static void
end_insert(Inserter *inserter)
{
	flush_slots(inserter);
	for (int i = 0; i < inserter->nslots; i++)
		ExecDropSingleTupleTableSlot(inserter->slots[i]);
	pfree(inserter->slots);
	MemoryContextDelete(inserter->context);
	table_close(inserter->table, NoLock);
}

static void
store_bytes(TupleTableSlot *slot, int column, const char *bytes,
			int32 length)
{
	bytea	   *value;

	slot->tts_isnull[column] = bytes == NULL;
	if (bytes == NULL)
		return;
	value = palloc(VARHDRSZ + length);
	SET_VARSIZE(value, VARHDRSZ + length);
	memcpy(VARDATA(value), bytes, length);
	slot->tts_values[column] = PointerGetDatum(value);
}

static void
store_timestamp(TupleTableSlot *slot, int column, TimestampTz timestamp)
{
	slot->tts_isnull[column] = timestamp == WEIR_NO_TIMESTAMP;
	slot->tts_values[column] = TimestampTzGetDatum(timestamp);
}
