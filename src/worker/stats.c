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

#define STAT_WORKER_COLUMNS	9

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

/* A row: pid, kind, database, stream, name, started, main, records, batches */
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
