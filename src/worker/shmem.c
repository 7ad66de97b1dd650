/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: who runs, what it serves, and what is measured.
 *
 * Views and partitions have a fixed number of entries, found by linear
 * search from a place given by their oids.  An entry that does not fit is
 * not an error: what it would show is not shown, and positions, counters and
 * status are in tables anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"

#define RETRY_MIN_SECONDS	1
#define RETRY_MAX_SECONDS	60

/* A worker that was launched so long ago and has not attached never will. */
#define ATTACH_TIMEOUT_SECONDS	60

/* The window over which rates are measured, in microseconds. */
#define RATE_SPAN	(5 * USECS_PER_SEC)

WeirShared *weir_shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void request_shmem(void);
static void startup_shmem(void);
static void init_shared(void);

/*
 * Reserve and attach shared memory.  For _PG_init, while the postmaster
 * loads shared_preload_libraries.
 */
void
weir_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(sizeof(WeirShared));
	RequestNamedLWLockTranche("weir", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	weir_shared = ShmemInitStruct("weir", sizeof(WeirShared), &found);
	if (!found)
		init_shared();
	LWLockRelease(AddinShmemInitLock);
}

/* First time through, or after a crash. */
static void
init_shared(void)
{
	memset(weir_shared, 0, sizeof(WeirShared));
	weir_shared->lock = &(GetNamedLWLockTranche("weir"))->lock;
	ConditionVariableInit(&weir_shared->progress);
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
		weir_shared->views[i].slot = -1;
}

/*
 * Raise OBJECT_NOT_IN_PREREQUISITE_STATE, with the line to add, if the
 * library was not loaded by the postmaster.
 */
void
weir_shmem_require(void)
{
	if (weir_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_weir must be loaded via shared_preload_libraries"),
				 errhint("Add shared_preload_libraries = 'pg_weir' to postgresql.conf and restart.")));
}

/*
 * The time before which nothing is tried again after so many failures in a
 * row: 1 s from now after the first, twice as long after each, at most 60 s.
 */
TimestampTz
weir_shmem_retry_at(int failures)
{
	int			seconds = RETRY_MIN_SECONDS << Min(Max(failures - 1, 0), 6);

	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   Min(seconds, RETRY_MAX_SECONDS) * 1000);
}

/*
 * The entry of a view, made when there is none; NULL when the table is full.
 * Needs the lock, exclusive.
 */
WeirViewEntry *
weir_shmem_view(Oid database, Oid view)
{
	uint32		first = hash_combine(murmurhash32(database),
									 murmurhash32(view));
	WeirViewEntry *unused = NULL;

	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		WeirViewEntry *entry;

		entry = &weir_shared->views[(first + i) % WEIR_MAX_VIEWS];
		if (entry->database == database && entry->view == view)
			return entry;
		if (unused == NULL && !OidIsValid(entry->database))
			unused = entry;
	}

	if (unused != NULL)
	{
		memset(unused, 0, sizeof(WeirViewEntry));
		unused->database = database;
		unused->view = view;
		unused->slot = -1;
		unused->stats_reset = GetCurrentTimestamp();
	}
	return unused;
}

/*
 * The entry of a partition, made when there is none; NULL when the table is
 * full.  Needs the lock, exclusive.
 */
WeirPartitionEntry *
weir_shmem_partition(Oid database, Oid stream, int32 partition)
{
	uint32		first = hash_combine(murmurhash32(database),
									 murmurhash32(stream)) + partition;
	WeirPartitionEntry *unused = NULL;

	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	for (int i = 0; i < WEIR_MAX_PARTITIONS; i++)
	{
		WeirPartitionEntry *entry;

		entry = &weir_shared->partitions[(first + i) % WEIR_MAX_PARTITIONS];
		if (entry->database == database && entry->stream == stream &&
			entry->partition == partition)
			return entry;
		if (unused == NULL && !OidIsValid(entry->database))
			unused = entry;
	}

	if (unused != NULL)
	{
		memset(unused, 0, sizeof(WeirPartitionEntry));
		unused->database = database;
		unused->stream = stream;
		unused->partition = partition;
	}
	return unused;
}

/*
 * The entry of a database; if there is none it is made, or NULL is returned
 * when !create or when the table is full.  Needs the lock, exclusive to
 * create.
 */
WeirDatabase *
weir_shmem_database(Oid database, bool create)
{
	WeirDatabase *unused = NULL;

	Assert(LWLockHeldByMe(weir_shared->lock));

	for (int i = 0; i < WEIR_MAX_DATABASES; i++)
	{
		WeirDatabase *entry = &weir_shared->databases[i];

		if (entry->database == database)
			return entry;
		if (unused == NULL && !OidIsValid(entry->database))
			unused = entry;
	}

	if (!create || unused == NULL)
		return NULL;

	memset(unused, 0, sizeof(WeirDatabase));
	unused->database = database;
	return unused;
}

/*
 * The rates, times and histograms of a view begin anew.  Needs the lock,
 * exclusive.
 */
void
weir_shmem_reset_view(WeirViewEntry *entry)
{
	memset(&entry->rate, 0, sizeof(WeirRate));
	memset(&entry->commit, 0, sizeof(WeirHistogram));
	memset(&entry->event, 0, sizeof(WeirHistogram));
	entry->last_commit = 0;
	entry->commit_us = 0;
	entry->stats_reset = GetCurrentTimestamp();
}

/* The same for all views and producers of a database. */
void
weir_shmem_reset_database(Oid database)
{
	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		if (weir_shared->views[i].database == database)
			weir_shmem_reset_view(&weir_shared->views[i]);
	}
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		if (weir_shared->slots[i].database == database)
			memset(&weir_shared->slots[i].rate, 0, sizeof(WeirRate));
	}
}

/* Is the claim on this view held by a live reader?  Needs the lock. */
bool
weir_shmem_claimed(const WeirViewEntry *entry)
{
	const WeirSlot *slot;

	Assert(LWLockHeldByMe(weir_shared->lock));

	if (entry->slot < 0)
		return false;
	slot = &weir_shared->slots[entry->slot];
	return slot->in_use && slot->generation == entry->generation &&
		slot->kind == WEIR_WORKER_READER;
}

/*
 * Forget what is measured of views and streams of a database that are not in
 * these lists of oids, views with a live claim excepted: they may be newer
 * than the lists.  Needs the lock, exclusive.
 */
void
weir_shmem_retain(Oid database, List *views, List *streams)
{
	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
	{
		WeirViewEntry *entry = &weir_shared->views[i];

		if (entry->database == database && !weir_shmem_claimed(entry) &&
			!list_member_oid(views, entry->view))
			entry->database = InvalidOid;
	}
	for (int i = 0; i < WEIR_MAX_PARTITIONS; i++)
	{
		WeirPartitionEntry *entry = &weir_shared->partitions[i];

		if (entry->database == database &&
			!list_member_oid(streams, entry->stream))
			entry->database = InvalidOid;
	}
}

/*
 * Forget all that is known of a database where nothing runs.  Needs the
 * lock, exclusive.
 */
void
weir_shmem_forget_database(Oid database)
{
	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	for (int i = 0; i < WEIR_MAX_DATABASES; i++)
		if (weir_shared->databases[i].database == database)
			weir_shared->databases[i].database = InvalidOid;
	for (int i = 0; i < WEIR_MAX_VIEWS; i++)
		if (weir_shared->views[i].database == database)
			weir_shared->views[i].database = InvalidOid;
	for (int i = 0; i < WEIR_MAX_PARTITIONS; i++)
		if (weir_shared->partitions[i].database == database)
			weir_shared->partitions[i].database = InvalidOid;
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
		if (weir_shared->slots[i].database == database &&
			!weir_shmem_taken(&weir_shared->slots[i]))
			weir_shared->slots[i].database = InvalidOid;
}

/*
 * Does a worker hold this slot, or is one on its way to it?  Needs the lock.
 */
bool
weir_shmem_taken(const WeirSlot *slot)
{
	Assert(LWLockHeldByMe(weir_shared->lock));

	if (!slot->in_use || slot->proc != NULL)
		return slot->in_use;
	return !TimestampDifferenceExceeds(slot->launched_at,
									   GetCurrentTimestamp(),
									   ATTACH_TIMEOUT_SECONDS * 1000);
}

/* Move a rate on to the span that contains now. */
static void
advance_rate(WeirRate *rate, TimestampTz now)
{
	int64		spans = (now - rate->since) / RATE_SPAN;

	if (rate->since == 0 || now < rate->since || spans > 1)
	{
		rate->since = now;
		rate->previous = rate->count = 0;
	}
	else if (spans == 1)
	{
		rate->since += RATE_SPAN;
		rate->previous = rate->count;
		rate->count = 0;
	}
}

void
weir_rate_count(WeirRate *rate, int64 n)
{
	advance_rate(rate, GetCurrentTimestamp());
	rate->count += n;
}

/*
 * The present span counts in full, the one before with what is left of it in
 * a window of one span: so a burst is forgotten after two spans.
 */
double
weir_rate_now(const WeirRate *rate)
{
	TimestampTz now = GetCurrentTimestamp();
	WeirRate	moved = *rate;
	double		part;

	advance_rate(&moved, now);
	part = (double) (now - moved.since) / RATE_SPAN;
	return (moved.previous * (1 - part) + moved.count) /
		(RATE_SPAN / (double) USECS_PER_SEC);
}
