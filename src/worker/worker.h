/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The life of a worker: launched, attached, woken, asked to leave.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WORKER_H
#define WEIR_WORKER_H

#include "base/compat.h"
#include "worker/shmem.h"

typedef enum WeirLaunch
{
	WEIR_LAUNCHED,
	WEIR_LAUNCH_BARRED,			/* the database is being dropped, ..., or was */
	WEIR_LAUNCH_TOO_SOON,		/* the last one failed: wait for retry_at */
	WEIR_LAUNCH_NO_SLOT,		/* weir.max_workers reached */
	WEIR_LAUNCH_NO_PROCESS,		/* max_worker_processes reached */
	WEIR_LAUNCH_FAILED			/* started, but died before it attached */
} WeirLaunch;

extern int	weir_max_workers;

/* Is what a launch was decided on still so? */
typedef bool (*WeirStillSo) (Oid database, const char *label);

/*
 * Start a worker in a free slot and wait until it has attached; not in a
 * transaction that holds locks a worker may want.  label names it in
 * pg_stat_activity and the log; name is the producer's, or NULL.  still_so,
 * or NULL, is asked when nobody can drop or rename the database any more
 * without waiting for the worker.
 */
extern WeirLaunch weir_worker_launch(WeirWorkerKind kind, Oid database,
									 Oid object, const char *name,
									 const char *label,
									 WeirStillSo still_so);

/*
 * First call of a worker's main function: signal handlers, attach to slot
 * DatumGetInt32(arg), connect to its database, settings, cleanup hooks.
 * Exits when the slot is not its own any more.
 */
extern WeirSlot *weir_worker_attach(Datum arg);

/*
 * A reader has claimed what it is going to serve, or has given up a view:
 * views of its stream that are left may get another reader.  A reader that
 * exits without having called this counts as failed.
 */
extern void weir_worker_ready(void);

/* The database worker has found no extension where it was connected. */
extern void weir_worker_report_absent(void);

/* Have I been asked to leave (database barred, extension gone)? */
extern bool weir_worker_should_leave(void);

/*
 * Has the catalog of my database changed since the last call?  True at the
 * first.
 */
extern bool weir_worker_catalog_changed(void);

/*
 * Wait on the latch for at most so many milliseconds, then reread the
 * configuration if asked to.  For workers outside a transaction.
 */
extern void weir_worker_wait(long timeout);

/*
 * Publish what CPU time and memory this worker has used; now and then while
 * it works, and before it waits for work.
 */
extern void weir_worker_publish_usage(void);

/*
 * Show what this worker cannot do at present, or that it can again (NULL), and
 * when it tries the next time.
 */
extern void weir_worker_show_error(const char *error, TimestampTz again_at);

/* Ask a worker to exit.  Needs the lock, exclusive. */
extern void weir_worker_ask_to_leave(WeirSlot *slot);

/*
 * At commit of the current transaction, let the launcher and the workers of
 * this database look at the catalog again.
 */
extern void weir_wake_at_commit(void);

/*
 * Ask all workers of a database to leave, wait (bounded) until they are gone,
 * and bar their restart until the end of the transaction.  The caller has
 * checked that the user may do what the workers have to leave for.
 */
extern void weir_workers_bar(Oid database);

#endif							/* WEIR_WORKER_H */
