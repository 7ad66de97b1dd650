/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: one database worker for each labelled database.
 *
 * The launcher is connected to no database, so it can read the shared
 * catalogs only.  CREATE EXTENSION puts a security label on its database,
 * DROP EXTENSION takes it off, both in their own transaction: so
 * pg_shseclabel always says where the extension is.  A copy made by CREATE
 * DATABASE ... TEMPLATE has the extension but not the label, and comes up
 * with nothing running; weir.resume() sets the label there.
 *
 * Each cycle compares the labels with the slots: a labelled database without
 * a database worker gets one, and workers in a database that has no label
 * any more are asked to leave.  A cycle runs at the commit of everything
 * that may change the outcome, when a worker ends, when a back-off is over,
 * and every minute, since COMMIT PREPARED and databases labelled from
 * elsewhere wake nobody.
 *
 * A label may outlive its extension (dropped while the library was not
 * loaded).  The database worker then finds no extension and says so in
 * WeirDatabase.absent, and is not started again before something commits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_shseclabel.h"
#include "commands/seclabel.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/launcher.h"

#define LABEL_PROVIDER		"weir"
#define LABEL				"pg_weir"
#define RECONCILE_MS		60000
#define RESTART_SECONDS		5

typedef struct LabelledDatabase
{
	Oid			oid;
	char	   *name;
} LabelledDatabase;

PG_FUNCTION_INFO_V1(weir_require_preload);
PG_FUNCTION_INFO_V1(weir_label_this_database);

/*-------------------------------------------------------------------------
 * The label
 *-------------------------------------------------------------------------
 */

/*
 * Label provider: only our own label, on databases only.  NULL takes it off.
 */
static void
check_label(const ObjectAddress *object, const char *seclabel)
{
	if (object->classId != DatabaseRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("security labels of provider \"%s\" are for databases only",
						LABEL_PROVIDER)));
	if (seclabel != NULL && strcmp(seclabel, LABEL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a valid security label of provider \"%s\"",
						seclabel, LABEL_PROVIDER),
				 errhint("CREATE EXTENSION pg_weir sets the only valid label, \"%s\".",
						 LABEL)));
	weir_wake_at_commit();
}

/* Register the label provider.  For _PG_init. */
void
weir_label_register(void)
{
	register_label_provider(LABEL_PROVIDER, check_label);
}

/*
 * Set or remove the label of the current database, as part of the current
 * transaction; the launcher learns of it at commit.
 */
void
weir_label_database(bool labelled)
{
	ObjectAddress database;

	ObjectAddressSet(database, DatabaseRelationId, MyDatabaseId);
	SetSecurityLabel(&database, LABEL_PROVIDER, labelled ? LABEL : NULL);
	weir_wake_at_commit();
}

/* SQL: weir._require_preload(), the first thing that CREATE EXTENSION does */
Datum
weir_require_preload(PG_FUNCTION_ARGS)
{
	weir_shmem_require();
	PG_RETURN_VOID();
}

/* SQL: weir._label_database(), the last thing that CREATE EXTENSION does */
Datum
weir_label_this_database(PG_FUNCTION_ARGS)
{
	weir_shmem_require();
	weir_label_database(true);
	PG_RETURN_VOID();
}

/* Oids of all databases that have our label.  Needs a transaction. */
static List *
labelled_oids(void)
{
	Relation	relation = table_open(SharedSecLabelRelationId,
									  AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(relation, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_shseclabel form = (Form_pg_shseclabel) GETSTRUCT(tuple);
		Datum		provider;
		bool		isnull;

		if (form->classoid != DatabaseRelationId)
			continue;
		provider = heap_getattr(tuple, Anum_pg_shseclabel_provider,
								RelationGetDescr(relation), &isnull);
		if (!isnull && strcmp(TextDatumGetCString(provider),
							  LABEL_PROVIDER) == 0)
			result = lappend_oid(result, form->objoid);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);

	return result;
}

/*
 * All labelled databases that can be connected to, in the context given.
 * Runs a transaction of its own.
 */
static List *
labelled_databases(MemoryContext context)
{
	List	   *oids;
	List	   *result = NIL;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	oids = labelled_oids();

	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;
		LabelledDatabase *database;

		if (!form->datallowconn || !list_member_oid(oids, form->oid))
			continue;
		old = MemoryContextSwitchTo(context);
		database = palloc(sizeof(LabelledDatabase));
		database->oid = form->oid;
		database->name = pstrdup(NameStr(form->datname));
		result = lappend(result, database);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();

	return result;
}

/*-------------------------------------------------------------------------
 * The launcher
 *-------------------------------------------------------------------------
 */

/* Register the launcher.  For _PG_init, in the postmaster. */
void
weir_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "pg_weir", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "weir_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "weir launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "weir launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static void
launcher_exit(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	weir_shared->launcher = NULL;
	weir_shared->launcher_pid = 0;
	LWLockRelease(weir_shared->lock);
}

static void
launcher_start(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	on_shmem_exit(launcher_exit, (Datum) 0);
	weir_shared->launcher = MyLatch;
	weir_shared->launcher_pid = MyProcPid;
	LWLockRelease(weir_shared->lock);

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name,
					PGC_USERSET, PGC_S_OVERRIDE);
}

/* Should a database worker be started here? */
static bool
needs_worker(Oid database)
{
	WeirDatabase *entry;
	bool		needed;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	entry = weir_shmem_database(database, false);
	needed = entry == NULL || (!entry->absent && entry->barred == 0);
	for (int i = 0; needed && i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (slot->kind == WEIR_WORKER_DATABASE &&
			slot->database == database && weir_shmem_taken(slot))
			needed = false;
	}
	LWLockRelease(weir_shared->lock);

	return needed;
}

static bool
is_labelled(Oid database, List *databases)
{
	ListCell   *lc;

	foreach(lc, databases)
	{
		if (((LabelledDatabase *) lfirst(lc))->oid == database)
			return true;
	}
	return false;
}

/* Does any worker hold a slot of this database?  Needs the lock. */
static bool
has_workers(Oid database)
{
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (slot->database == database && weir_shmem_taken(slot))
			return true;
	}
	return false;
}

/*
 * Databases without a label: their workers leave, and when they are gone,
 * what is known of the database is forgotten.
 */
static void
leave_unlabelled(List *databases)
{
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (weir_shmem_taken(slot) && !is_labelled(slot->database, databases))
			weir_worker_ask_to_leave(slot);
	}
	for (int i = 0; i < WEIR_MAX_DATABASES; i++)
	{
		WeirDatabase *entry = &weir_shared->databases[i];

		if (OidIsValid(entry->database) && entry->barred == 0 &&
			!is_labelled(entry->database, databases) &&
			!has_workers(entry->database))
			weir_shmem_forget_database(entry->database);
	}
	LWLockRelease(weir_shared->lock);
}

/* Milliseconds until the next database worker may be tried again. */
static long
time_to_retry(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		timeout = RECONCILE_MS;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (!slot->in_use && OidIsValid(slot->database) &&
			slot->kind == WEIR_WORKER_DATABASE && slot->failures > 0 &&
			slot->retry_at > now)
			timeout = Min(timeout,
						  TimestampDifferenceMilliseconds(now,
														  slot->retry_at));
	}
	LWLockRelease(weir_shared->lock);

	return timeout;
}

/* Is the database still labelled, under this name? */
static bool
still_labelled(Oid database, const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "weir launch",
												  ALLOCSET_SMALL_SIZES);
	bool		still = false;
	ListCell   *lc;

	foreach(lc, labelled_databases(context))
	{
		LabelledDatabase *now = lfirst(lc);

		if (now->oid == database)
			still = strcmp(now->name, name) == 0;
	}
	MemoryContextDelete(context);
	return still;
}

/* Start a database worker, and show what it waits for. */
static void
launch_database_worker(const LabelledDatabase *database)
{
	static bool reported = false;
	WeirLaunch	result = weir_worker_launch(WEIR_WORKER_DATABASE,
											database->oid, InvalidOid, NULL,
											database->name, still_labelled);
	WeirDatabase *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_database(database->oid, true);
	if (entry != NULL)
		entry->waits = result == WEIR_LAUNCH_NO_SLOT ? WEIR_WAITS_SLOT :
			result == WEIR_LAUNCH_NO_PROCESS ? WEIR_WAITS_PROCESS :
			WEIR_WAITS_NOT;
	LWLockRelease(weir_shared->lock);
	if (entry == NULL && !reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for database \"%s\" in shared memory",
						database->name),
				 errdetail("%d databases of a cluster are known; workers of the others may be slow to leave for a DROP DATABASE.",
						   WEIR_MAX_DATABASES)));
	reported |= entry == NULL;
}

/* Compare the labels with the slots. */
static void
launcher_cycle(MemoryContext context)
{
	List	   *databases = labelled_databases(context);
	ListCell   *lc;

	leave_unlabelled(databases);
	foreach(lc, databases)
	{
		LabelledDatabase *database = lfirst(lc);

		if (needs_worker(database->oid))
			launch_database_worker(database);
	}
}

/* Main function of the launcher. */
void
weir_launcher_main(Datum arg)
{
	MemoryContext context;

	launcher_start();
	ereport(DEBUG1, (errmsg_internal("weir launcher started")));

	context = AllocSetContextCreate(TopMemoryContext, "weir launcher cycle",
									ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		MemoryContextSwitchTo(context);
		launcher_cycle(context);
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		weir_worker_wait(time_to_retry());
	}
}
