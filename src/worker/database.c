/*-------------------------------------------------------------------------
 *
 * database.c
 *	  The database worker: catalog against slots.
 *
 * Each cycle reads the catalog in one short transaction, then compares it
 * with the slots:
 *
 * - The extension is gone, or is another one than at the start: ask all
 *	 workers of the database to leave, and exit.  The launcher starts a new
 *	 database worker if there is something to do.
 * - A stream has views that could run and that no live reader claims: it
 *	 gets a reader, unless one is on its way to its first claim and may yet
 *	 take them.  A stream's first reader is (or becomes) its main reader;
 *	 all others are catch-up readers, of which a database has at most
 *	 weir.max_catch_up.  Views that have to wait for a place are queued.
 * - An enabled producer has no worker: it gets one.
 * - A reader's stream has no view any more, or a producer was stopped: the
 *	 worker is asked to leave.
 * - A view is not armed: it may come from a dump, which does not carry the
 *	 dependencies of the relations behind it.  They are recorded anew.
 *
 * A view could run if it is armed, neither paused nor stopped, and its
 * back-off is over.  Which views stand together, and which reader is main,
 * is decided by the readers.
 *
 * A cycle runs at the commit of everything that may change the outcome, when
 * a worker is ready or ends, when a back-off is over, and every minute.
 * Everything can be cut off everywhere: the next database worker compares
 * the same catalog with the same slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/edges.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/database.h"
#include "worker/worker.h"

#define RECONCILE_MS	60000

/* A stream with at least one continuous view. */
typedef struct StreamWork
{
	Oid			stream;
	char	   *label;			/* for the names of its readers */
	List	   *runnable;		/* oids of views that could run */
	List	   *unclaimed;		/* those that no live reader claims */
	int			readers;
	bool		starting;		/* one of them has not claimed yet */
} StreamWork;

/* The catalog, as of the last cycle. */
typedef struct Catalog
{
	Oid			extension;		/* InvalidOid: gone */
	List	   *views;			/* oids */
	List	   *stream_oids;
	List	   *streams;		/* StreamWork */
	List	   *producers;		/* WeirProducer, enabled */
	List	   *unplaced;		/* views that shared memory has no room for */
	char	   *database;		/* its name */
} Catalog;

int			weir_max_catch_up = 2;

/* The extension that this worker was started for. */
static Oid	my_extension = InvalidOid;

/*-------------------------------------------------------------------------
 * The catalog
 *-------------------------------------------------------------------------
 */

/*
 * Lock the extension against DROP EXTENSION, first of all as I9 wants it.
 * Returns its oid, or InvalidOid if it is gone.
 */
static Oid
lock_extension(void)
{
	Oid			extension = weir_catalog_extension();
	Oid			locked = InvalidOid;

	/* By the time the lock is granted it may have been replaced. */
	while (OidIsValid(extension) && extension != locked)
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		locked = extension;
		extension = weir_catalog_extension();
	}
	return extension;
}

/*
 * Begin a transaction with the extension locked.  Returns its oid, or
 * InvalidOid if it is gone.
 */
static Oid
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "reconciling");

	return lock_extension();
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static StreamWork *
find_stream(Catalog *catalog, Oid stream)
{
	ListCell   *lc;

	foreach(lc, catalog->streams)
	{
		StreamWork *work = lfirst(lc);

		if (work->stream == stream)
			return work;
	}
	return NULL;
}

static StreamWork *
add_stream(Catalog *catalog, Oid stream, const char *name)
{
	StreamWork *work = palloc0(sizeof(StreamWork));

	work->stream = stream;
	work->label = psprintf("%s, %s.%s", catalog->database,
						   get_namespace_name(get_rel_namespace(stream)),
						   name);
	catalog->streams = lappend(catalog->streams, work);
	catalog->stream_oids = lappend_oid(catalog->stream_oids, stream);
	return work;
}

/* Record what a dump lost, unless the view is being changed or dropped. */
static void
record_dependencies(Oid view)
{
	if (ConditionalLockRelationOid(view, AccessShareLock) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)))
		weir_view_record_dependencies(view);
}

/*
 * Add a row of weir.view.  One whose relations are gone is an orphan, as a
 * DROP without the library leaves it, and is nothing to run.
 */
static void
add_view(Catalog *catalog, const WeirView *view)
{
	char	   *name = get_rel_name(view->stream);
	StreamWork *work;

	if (name == NULL || get_rel_name(view->view) == NULL)
		return;

	catalog->views = lappend_oid(catalog->views, view->view);
	work = find_stream(catalog, view->stream);
	if (work == NULL)
		work = add_stream(catalog, view->stream, name);
	if (!view->armed)
		record_dependencies(view->view);
	else if (view->status != WEIR_PAUSED && view->status != WEIR_STOPPED)
		work->runnable = lappend_oid(work->runnable, view->view);
}

/*
 * Read the catalog, in a transaction of its own, into the context given.
 */
static void
read_catalog(Catalog *catalog, MemoryContext context)
{
	ListCell   *lc;

	memset(catalog, 0, sizeof(Catalog));
	catalog->extension = begin();
	MemoryContextSwitchTo(context);
	if (OidIsValid(catalog->extension))
	{
		catalog->database = get_database_name(MyDatabaseId);
		foreach(lc, weir_view_list())
			add_view(catalog, lfirst(lc));
		foreach(lc, weir_producer_list())
		{
			WeirProducer *producer = lfirst(lc);

			if (producer->enabled)
				catalog->producers = lappend(catalog->producers, producer);
		}
	}
	commit();
	MemoryContextSwitchTo(context);
}

/*-------------------------------------------------------------------------
 * The slots
 *-------------------------------------------------------------------------
 */

/* Is this the slot of another worker of this database? */
static bool
is_colleague(const WeirSlot *slot)
{
	return slot->database == MyDatabaseId &&
		slot->kind != WEIR_WORKER_DATABASE && weir_shmem_taken(slot);
}

static bool
is_enabled(Catalog *catalog, const WeirSlot *slot)
{
	ListCell   *lc;

	foreach(lc, catalog->producers)
	{
		WeirProducer *producer = lfirst(lc);

		if (producer->target == slot->object &&
			namestrcmp((Name) &slot->name, producer->name) == 0)
			return true;
	}
	return false;
}

/* Count the readers of each stream; ask those to leave that serve nothing. */
static void
look_at_workers(Catalog *catalog)
{
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];
		StreamWork *work;

		if (!is_colleague(slot))
			continue;
		if (slot->kind == WEIR_WORKER_PRODUCER)
		{
			if (!is_enabled(catalog, slot))
				weir_worker_ask_to_leave(slot);
			continue;
		}

		work = find_stream(catalog, slot->object);
		if (work == NULL)
			weir_worker_ask_to_leave(slot);
		else
		{
			work->readers++;
			work->starting |= !slot->ready;
		}
	}
}

/*
 * Which views of a stream want a reader?  Lowers *wake_at to the end of the
 * first back-off.
 */
static void
look_at_views(Catalog *catalog, StreamWork *work, TimestampTz now,
			  TimestampTz *wake_at)
{
	ListCell   *lc;

	foreach(lc, work->runnable)
	{
		WeirViewEntry *entry = weir_shmem_view(MyDatabaseId, lfirst_oid(lc));

		if (entry == NULL)
			catalog->unplaced = lappend_oid(catalog->unplaced,
											lfirst_oid(lc));
		else if (weir_shmem_claimed(entry))
			continue;
		else if (entry->retry_at > now)
			*wake_at = Min(*wake_at, entry->retry_at);
		else
			work->unclaimed = lappend_oid(work->unclaimed, lfirst_oid(lc));
	}
}

/* The end of the first back-off of a failed reader or producer. */
static void
look_at_failures(TimestampTz now, TimestampTz *wake_at)
{
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (!slot->in_use && slot->database == MyDatabaseId &&
			slot->kind != WEIR_WORKER_DATABASE && slot->failures > 0 &&
			slot->retry_at > now)
			*wake_at = Min(*wake_at, slot->retry_at);
	}
}

/*
 * Compare the catalog with shared memory.  Returns the time at which the
 * next back-off is over.
 */
static TimestampTz
look_at_slots(Catalog *catalog)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = TimestampTzPlusMilliseconds(now, RECONCILE_MS);
	ListCell   *lc;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	weir_shmem_retain(MyDatabaseId, catalog->views, catalog->stream_oids);
	look_at_workers(catalog);
	foreach(lc, catalog->streams)
		look_at_views(catalog, lfirst(lc), now, &wake_at);
	look_at_failures(now, &wake_at);
	LWLockRelease(weir_shared->lock);

	return wake_at;
}

/* Is a worker with this producer's name there? */
static bool
has_producer(const char *name)
{
	bool		found = false;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_WORKERS && !found; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		found = is_colleague(slot) && slot->kind == WEIR_WORKER_PRODUCER &&
			namestrcmp(&slot->name, name) == 0;
	}
	LWLockRelease(weir_shared->lock);

	return found;
}

/*-------------------------------------------------------------------------
 * The difference
 *-------------------------------------------------------------------------
 */

/* Show what the views wait for. */
static void
note_waits(List *views, WeirWaits waits)
{
	ListCell   *lc;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	foreach(lc, views)
	{
		WeirViewEntry *entry = weir_shmem_view(MyDatabaseId, lfirst_oid(lc));

		if (entry != NULL && !weir_shmem_claimed(entry))
			entry->waits = waits;
	}
	LWLockRelease(weir_shared->lock);
}

/*
 * The views have no place now.  Their status is changed under their lock,
 * like every status; who has it is changing something, and wakes us.
 */
static void
queue_views(List *views, WeirWaits waits)
{
	ListCell   *lc;
	bool		same = begin() == my_extension;

	note_waits(views, waits);

	foreach(lc, views)
	{
		WeirView   *view;

		if (!same || !weir_view_lock(lfirst_oid(lc), ExclusiveLock, true))
			continue;
		view = weir_view_get(lfirst_oid(lc), true);
		if (view != NULL && (view->status == WEIR_RUNNING ||
							 view->status == WEIR_CATCHING_UP))
			weir_view_set_status(view->view, WEIR_QUEUED, NULL);
	}
	commit();
}

/* Say once that there is no room for views, until there is. */
static void
queue_unplaced(List *views)
{
	static bool reported = false;

	if (views != NIL)
		queue_views(views, WEIR_WAITS_NOT);
	if (views != NIL && !reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for %d continuous views in shared memory",
						list_length(views)),
				 errdetail("A cluster can run %d; the others stay queued.",
						   WEIR_MAX_VIEWS),
				 errhint("Drop continuous views that are not needed, in any database.")));
	reported = views != NIL;
}

/* Catch-up readers there are: all but the first of each stream. */
static int
count_catch_up(Catalog *catalog)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, catalog->streams)
	{
		StreamWork *work = lfirst(lc);

		count += Max(work->readers - 1, 0);
	}
	return count;
}

/* Launch a reader of a stream; its views are queued if there is no room. */
static bool
launch_reader(StreamWork *work)
{
	switch (weir_worker_launch(WEIR_WORKER_READER, MyDatabaseId,
							   work->stream, NULL, work->label,
							   NULL))
	{
		case WEIR_LAUNCHED:
			return true;
		case WEIR_LAUNCH_NO_SLOT:
			queue_views(work->unclaimed, WEIR_WAITS_SLOT);
			return false;
		case WEIR_LAUNCH_NO_PROCESS:
			queue_views(work->unclaimed, WEIR_WAITS_PROCESS);
			return false;
		case WEIR_LAUNCH_BARRED:
		case WEIR_LAUNCH_TOO_SOON:
		case WEIR_LAUNCH_FAILED:
			return false;
	}
	return false;
}

static void
launch_readers(Catalog *catalog)
{
	int			catch_up = count_catch_up(catalog);
	ListCell   *lc;

	foreach(lc, catalog->streams)
	{
		StreamWork *work = lfirst(lc);

		if (work->unclaimed == NIL || work->starting)
			continue;
		if (work->readers > 0 && catch_up >= weir_max_catch_up)
			queue_views(work->unclaimed, WEIR_WAITS_CATCH_UP);
		else if (launch_reader(work) && work->readers > 0)
			catch_up++;
	}
}

static void
launch_producers(Catalog *catalog)
{
	ListCell   *lc;

	foreach(lc, catalog->producers)
	{
		WeirProducer *producer = lfirst(lc);

		if (!has_producer(producer->name))
			(void) weir_worker_launch(WEIR_WORKER_PRODUCER, MyDatabaseId,
									  producer->target, producer->name,
									  psprintf("%s, %s", catalog->database,
											   producer->name), NULL);
	}
}

/*
 * The extension is gone, or replaced: everybody leaves, and so does this
 * worker.
 */
static void
leave_database(bool absent)
{
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		if (is_colleague(&weir_shared->slots[i]))
			weir_worker_ask_to_leave(&weir_shared->slots[i]);
	}
	LWLockRelease(weir_shared->lock);

	if (absent)
		weir_worker_report_absent();
	proc_exit(0);
}

/*
 * Compare the catalog with the slots, and start what is missing.  Returns
 * the milliseconds after which to look again.
 */
static long
reconcile(MemoryContext context)
{
	Catalog		catalog;
	TimestampTz wake_at;

	(void) weir_worker_catalog_changed();
	read_catalog(&catalog, context);
	if (!OidIsValid(my_extension))
		my_extension = catalog.extension;
	if (catalog.extension != my_extension || !OidIsValid(my_extension))
		leave_database(!OidIsValid(catalog.extension));

	wake_at = look_at_slots(&catalog);
	queue_unplaced(catalog.unplaced);
	launch_readers(&catalog);
	launch_producers(&catalog);

	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at);
}

/* Main function of a database worker. */
void
weir_database_main(Datum arg)
{
	MemoryContext context;

	(void) weir_worker_attach(arg);

	context = AllocSetContextCreate(TopMemoryContext, "weir database cycle",
									ALLOCSET_DEFAULT_SIZES);
	while (!weir_worker_should_leave())
	{
		long		timeout = reconcile(context);

		weir_worker_publish_usage();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		weir_worker_wait(timeout);
	}
	proc_exit(0);
}
