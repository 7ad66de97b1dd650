/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  SQL functions over what shared memory knows.
 *
 * They give no rows when the library is not preloaded: a monitoring query
 * must not fail because nothing runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "source/stream.h"
#include "worker/shmem.h"
#include "worker/stats.h"

#define STAT_WORKER_COLUMNS	13
#define STAT_VIEW_COLUMNS	11
#define STAT_LATENCY_COLUMNS	10
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
 * May the current user see a worker's error?  It may quote what was in a
 * message, which is the business of the stream's owner.
 */
static bool
may_read_error(const WeirSlot *slot)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		(slot->database == MyDatabaseId && OidIsValid(slot->object) &&
		 get_rel_name(slot->object) != NULL &&
		 pg_class_ownercheck(slot->object, GetUserId()));
}

/*
 * A row: pid, kind, database, stream, name, started, main, records, batches,
 * cpu_seconds, rss_bytes, error, error_since
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
	values[9] = Float8GetDatum(slot->cpu_seconds);
	values[10] = Int64GetDatum(slot->rss_bytes);
	nulls[10] = slot->rss_bytes == 0;
	values[11] = CStringGetTextDatum(slot->error);
	values[12] = TimestampTzGetDatum(slot->error_since);
	nulls[12] = slot->error[0] == '\0';
	nulls[11] = nulls[12] || !may_read_error(slot);
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

/* The reader that serves a view, or NULL. */
static const WeirSlot *
reader_of(const WeirViewEntry *entry, const WeirSlot *slots)
{
	const WeirSlot *slot;

	if (entry->slot < 0)
		return NULL;
	slot = &slots[entry->slot];
	return slot->in_use && slot->generation == entry->generation ? slot : NULL;
}

/*
 * A row: view, pid of its reader, main, rate, last_commit, commit_ms,
 * retry_at, catch_up_since, catch_up_from, catch_up_end, stats_reset
 */
static void
put_view(ReturnSetInfo *rsinfo, const WeirViewEntry *entry,
		 const WeirSlot *slots)
{
	Datum		values[STAT_VIEW_COLUMNS];
	bool		nulls[STAT_VIEW_COLUMNS] = {0};
	const WeirSlot *slot = reader_of(entry, slots);
	TimestampTz retry_at = Max(entry->retry_at, entry->close_retry_at);

	if (slot != NULL)
		retry_at = Max(retry_at, slot->again_at);
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
	values[6] = TimestampTzGetDatum(retry_at);
	nulls[6] = retry_at <= GetCurrentTimestamp() || retry_at == DT_NOEND;
	values[7] = TimestampTzGetDatum(entry->catch_up.since);
	values[8] = Int64GetDatum(entry->catch_up.from);
	values[9] = Int64GetDatum(entry->catch_up.end);
	nulls[7] = nulls[8] = nulls[9] = entry->catch_up.since == 0;
	values[10] = TimestampTzGetDatum(entry->stats_reset);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A copy of the entries of all views, and of all slots if slots is not NULL. */
static WeirViewEntry *
copy_views(WeirSlot **slots)
{
	WeirViewEntry *views = palloc(sizeof(weir_shared->views));

	if (slots != NULL)
		*slots = palloc(sizeof(weir_shared->slots));
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	memcpy(views, weir_shared->views, sizeof(weir_shared->views));
	if (slots != NULL)
		memcpy(*slots, weir_shared->slots, sizeof(weir_shared->slots));
	LWLockRelease(weir_shared->lock);
	return views;
}

PG_FUNCTION_INFO_V1(weir_stat_views);

/* SQL: weir._stat_view(), one row for each view of this database */
Datum
weir_stat_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirViewEntry *views;
	WeirSlot   *slots;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();
	views = copy_views(&slots);
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		if (views[i].database == MyDatabaseId)
			put_view(rsinfo, &views[i], slots);
	}
	PG_RETURN_VOID();
}

/* Bounds in seconds, cumulative counts, sum and count: four columns. */
static void
form_histogram(const WeirHistogram *histogram, const WeirBounds bounds,
			   Datum *values)
{
	Datum		seconds[WEIR_HISTOGRAM_BOUNDS];
	Datum		cumulative[WEIR_HISTOGRAM_BOUNDS];
	int64		total = 0;

	for (int i = 0; i < WEIR_HISTOGRAM_BOUNDS; i++)
	{
		total += histogram->count[i];
		seconds[i] = Float8GetDatum(bounds[i] / (double) USECS_PER_SEC);
		cumulative[i] = Int64GetDatum(total);
	}
	values[0] = PointerGetDatum(construct_array(seconds, WEIR_HISTOGRAM_BOUNDS,
												FLOAT8OID, sizeof(float8),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[1] = PointerGetDatum(construct_array(cumulative,
												WEIR_HISTOGRAM_BOUNDS,
												INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[2] = Float8GetDatum(histogram->sum / USECS_PER_SEC);
	values[3] = Int64GetDatum(weir_histogram_total(histogram));
}

PG_FUNCTION_INFO_V1(weir_stat_latencies);

/*
 * SQL: weir._stat_latency(): view, the histograms of its commits and of its
 * records, since when they count
 */
Datum
weir_stat_latencies(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirViewEntry *views;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();
	views = copy_views(NULL);
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		Datum		values[STAT_LATENCY_COLUMNS];
		bool		nulls[STAT_LATENCY_COLUMNS] = {0};

		if (views[i].database != MyDatabaseId)
			continue;
		values[0] = ObjectIdGetDatum(views[i].view);
		form_histogram(&views[i].commit, weir_commit_bounds, &values[1]);
		form_histogram(&views[i].event, weir_event_bounds, &values[5]);
		values[9] = TimestampTzGetDatum(views[i].stats_reset);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(weir_stat_reset);

/*
 * weir.stat_reset(): rates, times and histograms of this database begin anew.
 */
Datum
weir_stat_reset(PG_FUNCTION_ARGS)
{
	weir_shmem_require();
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	weir_shmem_reset_database(MyDatabaseId);
	LWLockRelease(weir_shared->lock);
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

static Datum
interval_of(int64 microseconds)
{
	Interval   *interval = palloc0_object(Interval);

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

PG_FUNCTION_INFO_V1(weir_stream_times_sql);

/*
 * SQL: weir._stream_times(stream oid): watermark_delay, and idle_timeout,
 * which is NULL for infinity.  Both are NULL if there is no such stream.
 */
Datum
weir_stream_times_sql(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {true, true};
	int64		delay;
	int64		idle;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (weir_stream_times(PG_GETARG_OID(0), &delay, &idle))
	{
		values[0] = interval_of(delay);
		values[1] = interval_of(idle);
		nulls[0] = delay == PG_INT64_MAX;
		nulls[1] = idle == PG_INT64_MAX;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
