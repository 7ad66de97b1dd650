/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The life of a worker: launched, attached, woken, asked to leave.
 *
 * A slot goes
 *
 *		free -> reserved (in_use) -> attached (proc) -> free
 *
 * Whoever launches reserves the slot, registers the process and waits until
 * it has attached; the worker itself frees its slot, after it has left the
 * array of processes, so that a database whose slots are free has no worker
 * left that CREATE or DROP DATABASE could stumble over.
 *
 * There are no messages.  Whoever changes the catalog wakes everybody at
 * commit, after the change has become visible, and they compare the catalog
 * with the slots.  A worker that has to leave finds `leave` in its slot, and
 * gets SIGTERM if it takes too long.
 *
 * While a database is barred no worker attaches there, so that nothing can
 * start between the last worker's exit and the statement that needs the
 * database for itself.  The end of the transaction lifts the bar, whatever
 * its outcome.
 *
 * Back-off: a worker that failed (see ended_badly) leaves the number of
 * failures and the time of the next attempt in its slot.  A change of the
 * catalog makes the next attempt due at once: it may have been the cure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
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
#include "worker/stats.h"
#include "worker/worker.h"

#define ATTACH_POLL_MS		10	/* how often a launch looks */
#define LEAVE_POLL_MS		10	/* how often a bar looks */
#define LEAVE_POLITE_MS		1000	/* then SIGTERM */
#define LEAVE_TIMEOUT_MS	10000	/* then the statement may fail */
#define LONG_RUN_MS			60000	/* a failure after it is a first one */

int			weir_max_workers = 16;

/* Of a worker: its slot, and the catalog as it last saw it. */
static WeirSlot *my_slot = NULL;
static bool catalog_seen = false;
static uint64 catalog_changes = 0;

/* What is to be done at the end of the transaction. */
static bool callback_registered = false;
static bool wake_pending = false;
static List *barred_databases = NIL;	/* in TopMemoryContext */

static void register_callback(void);

/*-------------------------------------------------------------------------
 * Launch
 *-------------------------------------------------------------------------
 */

/* Was, or is, the slot's worker one for this very thing? */
static bool
same_work(const WeirSlot *slot, WeirWorkerKind kind, Oid database,
		  Oid object, const char *name)
{
	return slot->kind == kind && slot->database == database &&
		slot->object == object &&
		namestrcmp((Name) &slot->name, name ? name : "") == 0;
}

/*
 * Find a slot: the one that remembers the last worker of this kind for the
 * same thing, else one that has no failure to remember, else any.
 */
static WeirLaunch
find_slot(WeirWorkerKind kind, Oid database, Oid object, const char *name,
		  WeirSlot **found)
{
	TimestampTz now = GetCurrentTimestamp();
	WeirSlot   *same = NULL;
	WeirSlot   *other = NULL;

	for (int i = 0; i < weir_max_workers; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (weir_shmem_taken(slot))
			continue;
		if (same_work(slot, kind, database, object, name))
		{
			if (slot->failures > 0 && slot->retry_at > now)
				return WEIR_LAUNCH_TOO_SOON;
			same = slot;
		}
		else if (other == NULL || (other->failures > 0 && slot->failures == 0))
			other = slot;
	}

	*found = same ? same : other;
	return *found ? WEIR_LAUNCHED : WEIR_LAUNCH_NO_SLOT;
}

/* Take a free slot; its generation tells the worker that it is meant. */
static void
take_slot(WeirSlot *slot, WeirWorkerKind kind, Oid database, Oid object,
		  const char *name)
{
	WeirSlot	taken;

	memset(&taken, 0, sizeof(taken));
	taken.in_use = true;
	taken.generation = slot->generation + 1;
	taken.kind = kind;
	taken.database = database;
	taken.object = object;
	namestrcpy(&taken.name, name ? name : "");
	taken.launched_at = GetCurrentTimestamp();
	if (same_work(slot, kind, database, object, name))
		taken.failures = slot->failures;
	*slot = taken;
}

/* Reserve a slot for a new worker.  WEIR_LAUNCHED: *slot is reserved. */
static WeirLaunch
reserve_slot(WeirWorkerKind kind, Oid database, Oid object, const char *name,
			 WeirSlot **slot, uint32 *generation)
{
	WeirDatabase *entry;
	WeirLaunch	result;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_database(database, true);
	if (entry != NULL && entry->barred > 0)
		result = WEIR_LAUNCH_BARRED;
	else
		result = find_slot(kind, database, object, name, slot);
	if (result == WEIR_LAUNCHED)
	{
		take_slot(*slot, kind, database, object, name);
		*generation = (*slot)->generation;
	}
	LWLockRelease(weir_shared->lock);

	return result;
}

/* Note that a worker failed, for the back-off. */
static void
note_failure(WeirSlot *slot)
{
	if (TimestampDifferenceExceeds(slot->launched_at, GetCurrentTimestamp(),
								   LONG_RUN_MS))
		slot->failures = 0;
	slot->failures++;
	slot->retry_at = weir_shmem_retry_at(slot->failures);
}

/*
 * Give a reserved slot back, if no worker has attached to it.  Returns false
 * if one has, even if it has left again.
 */
static bool
give_back_slot(WeirSlot *slot, uint32 generation, bool failed)
{
	bool		unattached;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	unattached = slot->in_use && slot->generation == generation &&
		slot->proc == NULL;
	if (unattached)
	{
		slot->in_use = false;
		if (failed)
			note_failure(slot);
	}
	LWLockRelease(weir_shared->lock);

	return unattached;
}

static bool
register_process(const WeirSlot *slot, uint32 generation, WeirWorkerKind kind,
				 const char *label, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot - weir_shared->slots);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	strlcpy(worker.bgw_library_name, "pg_weir", BGW_MAXLEN);
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "weir_%s_main",
			 weir_stats_kind_name(kind));
	snprintf(worker.bgw_type, BGW_MAXLEN, "weir %s",
			 weir_stats_kind_name(kind));
	snprintf(worker.bgw_name, BGW_MAXLEN, "weir %s: %s",
			 weir_stats_kind_name(kind), label);

	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* Has a worker attached to the slot, even if it has left again? */
static bool
has_attached(const WeirSlot *slot, uint32 generation)
{
	bool		result;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	result = !slot->in_use || slot->generation != generation ||
		slot->proc != NULL;
	LWLockRelease(weir_shared->lock);

	return result;
}

static WeirLaunch
wait_for_attach(WeirSlot *slot, uint32 generation,
				BackgroundWorkerHandle *handle)
{
	while (!has_attached(slot, generation))
	{
		pid_t		pid;

		if (GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED &&
			give_back_slot(slot, generation, true))
			return WEIR_LAUNCH_FAILED;

		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 ATTACH_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return WEIR_LAUNCHED;
}

/* Say once that there is no room, until there is. */
static void
report_shortage(WeirLaunch result)
{
	static WeirLaunch reported = WEIR_LAUNCHED;

	if (result == WEIR_LAUNCH_NO_SLOT && result != reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("out of weir worker slots"),
				 errhint("You might need to increase weir.max_workers.")));
	if (result == WEIR_LAUNCH_NO_PROCESS && result != reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("out of background worker slots"),
				 errhint("You might need to increase max_worker_processes.")));
	if (result == WEIR_LAUNCHED || result == WEIR_LAUNCH_NO_SLOT ||
		result == WEIR_LAUNCH_NO_PROCESS)
		reported = result;
}

/*
 * Start a worker in a free slot and wait until it has attached.  Not in a
 * transaction that holds locks a worker may want.  label names the worker
 * in pg_stat_activity and in the log; name is the producer's, or NULL.  The
 * caller's latch is set when this returns, for what came in meanwhile.
 *
 * The database may have been dropped or renamed, and its bar lifted again,
 * since the caller looked.  With the slot reserved that cannot happen any
 * more: so still_so, if not NULL, is asked then.
 */
WeirLaunch
weir_worker_launch(WeirWorkerKind kind, Oid database, Oid object,
				   const char *name, const char *label,
				   WeirStillSo still_so)
{
	BackgroundWorkerHandle *handle;
	WeirSlot   *slot;
	uint32		generation;
	WeirLaunch	result;

	result = reserve_slot(kind, database, object, name, &slot, &generation);
	if (result == WEIR_LAUNCHED)
	{
		if (still_so != NULL && !still_so(database, label))
		{
			(void) give_back_slot(slot, generation, false);
			SetLatch(MyLatch);
			result = WEIR_LAUNCH_BARRED;
		}
		else if (!register_process(slot, generation, kind, label, &handle))
		{
			(void) give_back_slot(slot, generation, true);
			result = WEIR_LAUNCH_NO_PROCESS;
		}
		else
		{
			result = wait_for_attach(slot, generation, handle);
			pfree(handle);
			SetLatch(MyLatch);
		}
	}
	report_shortage(result);

	return result;
}

/*-------------------------------------------------------------------------
 * Attach and leave
 *-------------------------------------------------------------------------
 */

/* Room, or work, may have come up: wake the launcher and database workers. */
static void
wake_supervisors(void)
{
	if (weir_shared->launcher != NULL)
		SetLatch(weir_shared->launcher);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (slot->in_use && slot->proc != NULL &&
			slot->kind == WEIR_WORKER_DATABASE)
			SetLatch(&slot->proc->procLatch);
	}
}

/*
 * Did this worker fail?  Not if it was asked to leave; but a reader that
 * ends without a claim would only be started again and again.
 */
static bool
ended_badly(const WeirSlot *slot, int code)
{
	if (slot->leave)
		return false;
	return code != 0 || (slot->kind == WEIR_WORKER_READER && !slot->ready);
}

/*
 * Exit hook: free the slot.  Registered before the connection is made, so it
 * runs after the process has left the array of processes.
 */
static void
detach(int code, Datum arg)
{
	/* An error may have thrown us out while we held the lock. */
	LWLockReleaseAll();

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	if (ended_badly(my_slot, code))
		note_failure(my_slot);
	else
		my_slot->failures = 0;
	my_slot->in_use = false;
	my_slot->proc = NULL;
	my_slot->pid = 0;
	wake_supervisors();
	LWLockRelease(weir_shared->lock);
}

/* Make a reserved slot mine, unless it is another's or the place is barred. */
static bool
attach_slot(WeirSlot *slot, uint32 generation)
{
	bool		mine;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	mine = slot->in_use && slot->generation == generation &&
		slot->proc == NULL;
	if (mine)
	{
		WeirDatabase *entry = weir_shmem_database(slot->database, false);

		if (slot->leave || (entry != NULL && entry->barred > 0))
		{
			slot->in_use = false;
			mine = false;
		}
	}
	if (mine)
	{
		slot->proc = MyProc;
		slot->pid = MyProcPid;
		my_slot = slot;
		on_shmem_exit(detach, (Datum) 0);
	}
	LWLockRelease(weir_shared->lock);

	return mine;
}

/* Settings that a database may have its own idea of, but a worker may not. */
static void
force_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"idle_in_transaction_session_timeout", "0"},
		{"lock_timeout", "5s"},
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name,
					PGC_USERSET, PGC_S_OVERRIDE);
}

/*
 * First call of a worker's main function: signal handlers, attach to slot
 * DatumGetInt32(arg), connect to its database as the bootstrap superuser,
 * settings.  Exits when the slot is not its own any more, or when the
 * database is barred.
 */
WeirSlot *
weir_worker_attach(Datum arg)
{
	uint32		generation;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!attach_slot(&weir_shared->slots[DatumGetInt32(arg)], generation))
		proc_exit(0);

	BackgroundWorkerInitializeConnectionByOid(my_slot->database, InvalidOid, 0);
	force_settings();
	weir_worker_publish_usage();

	return my_slot;
}

/*
 * A reader has claimed what it is going to serve, or has given up a view.
 * The database worker looks again, whether views of the stream are left.
 */
void
weir_worker_ready(void)
{
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	my_slot->ready = true;
	wake_supervisors();
	LWLockRelease(weir_shared->lock);
}

/*
 * The database worker has found no extension: do not start another before
 * the catalog changes, unless it has already.
 */
void
weir_worker_report_absent(void)
{
	WeirDatabase *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_database(my_slot->database, false);
	if (entry != NULL && catalog_seen && entry->changes == catalog_changes)
		entry->absent = true;
	LWLockRelease(weir_shared->lock);
}

/* Has this worker been asked to leave? */
bool
weir_worker_should_leave(void)
{
	bool		leave;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	leave = my_slot->leave;
	LWLockRelease(weir_shared->lock);

	return leave;
}

/*
 * Has the catalog of this worker's database changed since the last call?
 * True at the first.
 */
bool
weir_worker_catalog_changed(void)
{
	WeirDatabase *entry;
	bool		changed = true;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	entry = weir_shmem_database(my_slot->database, false);
	if (entry != NULL)
	{
		changed = !catalog_seen || entry->changes != catalog_changes;
		catalog_changes = entry->changes;
		catalog_seen = true;
	}
	LWLockRelease(weir_shared->lock);

	return changed;
}

/*
 * Wait on the latch for at most so many milliseconds, then reread the
 * configuration if asked to.  Outside a transaction.
 */
void
weir_worker_wait(long timeout)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* The memory that this process holds, shared memory that it has touched too. */
static int64
resident_bytes(void)
{
	char		line[128];
	long		pages = 0;
	int			fd = open("/proc/self/statm", O_RDONLY);
	ssize_t		n;

	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	if (sscanf(line, "%*s %ld", &pages) != 1)
		return 0;
	return (int64) pages * sysconf(_SC_PAGESIZE);
}

void
weir_worker_publish_usage(void)
{
	struct rusage usage;
	int64		rss = resident_bytes();

	(void) getrusage(RUSAGE_SELF, &usage);
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	my_slot->cpu_seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	my_slot->rss_bytes = rss;
	LWLockRelease(weir_shared->lock);
}

void
weir_worker_show_error(const char *error, TimestampTz again_at)
{
	int			length = 0;

	if (error != NULL)
		length = pg_mbcliplen(error, strlen(error),
							  sizeof(my_slot->error) - 1);
	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	if (my_slot->error[0] == '\0')
		my_slot->error_since = GetCurrentTimestamp();
	if (length > 0)
		memcpy(my_slot->error, error, length);
	my_slot->error[length] = '\0';
	my_slot->again_at = again_at;
	LWLockRelease(weir_shared->lock);
}

/* Ask a worker to exit.  Needs the lock, exclusive. */
void
weir_worker_ask_to_leave(WeirSlot *slot)
{
	Assert(LWLockHeldByMeInMode(weir_shared->lock, LW_EXCLUSIVE));

	slot->leave = true;
	if (slot->proc != NULL)
		SetLatch(&slot->proc->procLatch);
}

/*-------------------------------------------------------------------------
 * Wake
 *-------------------------------------------------------------------------
 */

/* The catalog of a database has changed: everybody there looks again. */
static void
wake_database(Oid database)
{
	WeirDatabase *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_database(database, true);
	if (entry != NULL)
	{
		entry->changes++;
		entry->absent = false;
	}
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (slot->database != database)
			continue;
		if (!slot->in_use)
			slot->retry_at = 0;
		else if (slot->proc != NULL)
			SetLatch(&slot->proc->procLatch);
	}
	if (weir_shared->launcher != NULL)
		SetLatch(weir_shared->launcher);
	LWLockRelease(weir_shared->lock);
}

/*
 * At commit of the current transaction, let the launcher and the workers of
 * this database look at the catalog again.
 */
void
weir_wake_at_commit(void)
{
	if (weir_shared == NULL)
		return;
	register_callback();
	wake_pending = true;
}

/*-------------------------------------------------------------------------
 * Bar
 *-------------------------------------------------------------------------
 */

/* Ask all workers of a database to leave; returns how many are there. */
static int
ask_all_to_leave(Oid database, bool terminate)
{
	int			count = 0;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		WeirSlot   *slot = &weir_shared->slots[i];

		if (slot->database != database || !weir_shmem_taken(slot))
			continue;
		count++;
		weir_worker_ask_to_leave(slot);
		if (terminate && slot->pid != 0)
			(void) kill(slot->pid, SIGTERM);
	}
	LWLockRelease(weir_shared->lock);

	return count;
}

/*
 * Wait until no worker is left in a database.  Gives up at the end of the
 * time: the statement's own error then says that somebody is still there.
 */
static void
wait_until_gone(Oid database)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		terminated = false;

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		terminate;

		terminate = !terminated &&
			TimestampDifferenceExceeds(start, now, LEAVE_POLITE_MS);
		terminated |= terminate;
		if (ask_all_to_leave(database, terminate) == 0 ||
			TimestampDifferenceExceeds(start, now, LEAVE_TIMEOUT_MS))
			break;

		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LEAVE_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Change a database's bar by one; false if there is no room to remember it. */
static bool
change_bar(Oid database, int by)
{
	WeirDatabase *entry;

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	entry = weir_shmem_database(database, by > 0);
	if (entry != NULL)
		entry->barred += by;
	LWLockRelease(weir_shared->lock);

	return entry != NULL;
}

/*
 * Ask all workers of a database to leave, wait at most 10 s until they are
 * gone, and bar their restart until the end of the transaction.
 */
void
weir_workers_bar(Oid database)
{
	MemoryContext old;

	if (weir_shared == NULL)
		return;
	register_callback();

	old = MemoryContextSwitchTo(TopMemoryContext);
	barred_databases = lcons_oid(database, barred_databases);
	MemoryContextSwitchTo(old);
	if (!change_bar(database, 1))
		barred_databases = list_delete_first(barred_databases);

	wait_until_gone(database);
}

/* Let workers into all barred databases again. */
static void
lift_bars(void)
{
	while (barred_databases != NIL)
	{
		Oid			database = linitial_oid(barred_databases);

		barred_databases = list_delete_first(barred_databases);
		(void) change_bar(database, -1);
		wake_database(database);
	}
}

/*
 * The end of a transaction: by now its effects are visible to others, but
 * its locks are still held.  Must not fail.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	bool		wake = wake_pending && event == XACT_EVENT_COMMIT;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	wake_pending = false;
	lift_bars();
	if (wake)
		wake_database(MyDatabaseId);
}

static void
register_callback(void)
{
	if (callback_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	callback_registered = true;
}
