/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  SQL functions over what shared memory knows of workers.
 *
 * They give no rows when the library is not preloaded: a monitoring query
 * must not fail because nothing runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"
#include "worker/stats.h"

#define STAT_WORKER_COLUMNS	10
#define STAT_VIEW_COLUMNS	7
#define STAT_PARTITION_COLUMNS	6

PG_FUNCTION_INFO_V1(weir_stat_workers);

/* The word for a kind of worker, as in pg_stat_activity. */
const char *
weir_stats_kind_name(WeirWorkerKind kind)
{
	switch (kind)
	{
		case WEIR_WORKER_DATABASE:
			return "database";
		case WEIR_WORKER_READER:
			return "reader";
		case WEIR_WORKER_PRODUCER:
			return "producer";
	}
	return NULL;				/* keep compiler quiet */
}

/*
 * A row: pid, kind, database, stream, name, started, main, records, batches,
 * error
 */
static void
put_worker(ReturnSetInfo *rsinfo, const WeirSlot *slot)
{
	Datum		values[STAT_WORKER_COLUMNS];
	bool		nulls[STAT_WORKER_COLUMNS] = {0};
	bool		is_database = slot->kind == WEIR_WORKER_DATABASE;

	values[0] = Int32GetDatum(slot->pid);
	values[1] = CStringGetTextDatum(weir_stats_kind_name(slot->kind));
	values[2] = ObjectIdGetDatum(slot->database);
	values[3] = ObjectIdGetDatum(slot->object);
	nulls[3] = is_database;
	values[4] = CStringGetTextDatum(NameStr(slot->name));
	nulls[4] = slot->kind != WEIR_WORKER_PRODUCER;
	values[5] = TimestampTzGetDatum(slot->launched_at);
	values[6] = BoolGetDatum(slot->main);
	nulls[6] = slot->kind != WEIR_WORKER_READER;
	values[7] = Int64GetDatum(slot->records);
	nulls[7] = is_database;
	values[8] = Int64GetDatum(slot->batches);
	nulls[8] = is_database;
	values[9] = CStringGetTextDatum(slot->error);
	nulls[9] = slot->error[0] == '\0';
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* SQL: weir._stat_worker(), one row for each worker that is attached */
Datum
weir_stat_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirSlot   *slots;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();

	/* Copied, so that the lock is not held while the tuplestore spills. */
	slots = palloc(sizeof(weir_shared->slots));
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	memcpy(slots, weir_shared->slots, sizeof(weir_shared->slots));
	LWLockRelease(weir_shared->lock);

	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		if (slots[i].in_use && slots[i].proc != NULL)
			put_worker(rsinfo, &slots[i]);
	}
	PG_RETURN_VOID();
}

/* A row: view, pid of its reader, main, rate, last_commit, commit_us, retry */
static void
put_view(ReturnSetInfo *rsinfo, const WeirViewEntry *entry,
		 const WeirSlot *slots)
{
	Datum		values[STAT_VIEW_COLUMNS];
	bool		nulls[STAT_VIEW_COLUMNS] = {0};
	const WeirSlot *slot = entry->slot >= 0 &&
		slots[entry->slot].in_use &&
		slots[entry->slot].generation == entry->generation ?
		&slots[entry->slot] : NULL;

	values[0] = ObjectIdGetDatum(entry->view);
	values[1] = Int32GetDatum(slot ? slot->pid : 0);
	nulls[1] = slot == NULL;
	values[2] = BoolGetDatum(slot && slot->main);
	nulls[2] = slot == NULL;
	values[3] = Float8GetDatum(weir_rate_now(&entry->rate));
	values[4] = TimestampTzGetDatum(entry->last_commit);
	nulls[4] = entry->last_commit == 0;
	values[5] = Float8GetDatum(entry->commit_us / 1000.0);
	nulls[5] = entry->last_commit == 0;
	values[6] = TimestampTzGetDatum(entry->retry_at);
	nulls[6] = entry->retry_at <= GetCurrentTimestamp() ||
		entry->retry_at == DT_NOEND;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(weir_stat_views);

/* SQL: weir._stat_view(), one row for each view of this database */
Datum
weir_stat_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirShared *copy;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();
	copy = palloc(sizeof(WeirShared));
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	memcpy(copy, weir_shared, sizeof(WeirShared));
	LWLockRelease(weir_shared->lock);
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		if (copy->views[i].database == MyDatabaseId)
			put_view(rsinfo, &copy->views[i], copy->slots);
	}
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(weir_stat_partitions);

/* SQL: weir._stat_partition(): stream, partition, low, high, stable, asked */
Datum
weir_stat_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirPartitionEntry *copy;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();
	copy = palloc(sizeof(weir_shared->partitions));
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	memcpy(copy, weir_shared->partitions, sizeof(weir_shared->partitions));
	LWLockRelease(weir_shared->lock);
	for (int i = 0; i < WEIR_MAX_PARTITIONS; i++)
	{
		const WeirPartitionEntry *entry = &copy[i];
		Datum		values[STAT_PARTITION_COLUMNS];
		bool		nulls[STAT_PARTITION_COLUMNS] = {0};

		if (entry->database != MyDatabaseId || entry->asked_at == 0)
			continue;
		values[0] = ObjectIdGetDatum(entry->stream);
		values[1] = Int32GetDatum(entry->partition);
		values[2] = Int64GetDatum(entry->low);
		values[3] = Int64GetDatum(entry->high);
		values[4] = Int64GetDatum(entry->stable);
		values[5] = TimestampTzGetDatum(entry->asked_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	PG_RETURN_VOID();
}
