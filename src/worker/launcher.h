/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  Which workers should run: launcher and worker life cycle.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_LAUNCHER_H
#define WEIR_LAUNCHER_H

#include "base/compat.h"
#include "worker/shmem.h"

typedef enum WeirLaunch
{
	WEIR_LAUNCHED,
	WEIR_LAUNCH_BARRED,			/* the database is being dropped, ... */
	WEIR_LAUNCH_NO_SLOT,		/* weir.max_workers reached */
	WEIR_LAUNCH_NO_PROCESS,		/* max_worker_processes reached */
	WEIR_LAUNCH_FAILED			/* started, but died before it attached */
} WeirLaunch;

extern int	weir_max_workers;

extern void weir_launcher_register(void);	/* from _PG_init */
extern PGDLLEXPORT void weir_launcher_main(Datum arg);

/*
 * Start a worker in a free slot and wait until it has attached; not in a
 * transaction that holds locks a worker may want.
 */
extern WeirLaunch weir_worker_launch(WeirWorkerKind kind, Oid database,
									 Oid object, const char *name);

/*
 * First call of a worker's main function: signal handlers, attach to slot
 * DatumGetInt32(arg), connect to its database, cleanup hooks.  Exits when
 * the slot is not its own any more.
 */
extern WeirSlot *weir_worker_attach(Datum arg);

/* Have I been asked to leave (database barred, extension gone)? */
extern bool weir_worker_should_leave(void);

/*
 * At commit of the current transaction, let the workers of this database
 * look at the catalog again.
 */
extern void weir_wake_at_commit(void);

/*
 * Ask all workers of a database to leave, wait (bounded) until they are gone,
 * and bar their restart until the end of the transaction or
 * weir_workers_unbar().
 */
extern void weir_workers_bar(Oid database);
extern void weir_workers_unbar(Oid database);

#endif							/* WEIR_LAUNCHER_H */
