/*-------------------------------------------------------------------------
 *
 * pg_weir.c
 *	  Load: settings, hooks, the launcher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "base/fault.h"
#include "catalog/deadletter.h"
#include "commands/ddl.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "worker/assign.h"
#include "worker/database.h"
#include "worker/launcher.h"
#include "worker/reader.h"
#include "worker/shmem.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static void
define_settings(void)
{
	DefineCustomIntVariable("weir.batch_rows",
							"Sets the number of offsets in each partition that a reader commits together.",
							NULL,
							&weir_batch_rows,
							50000, 1, 10000000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("weir.batch_time",
							"Sets the time after which a reader commits what it has read.",
							NULL,
							&weir_batch_time,
							500, 1, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	weir_fault_init();

	DefineCustomIntVariable("weir.max_catch_up",
							"Sets the maximum number of catch-up readers in a database.",
							NULL,
							&weir_max_catch_up,
							2, 0, WEIR_MAX_WORKERS,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("weir.max_late_events",
							"Sets the maximum number of late records that are stored for a continuous view.",
							"Those beyond it are only counted.  -1 means no limit.",
							&weir_max_late_events,
							100000, -1, INT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("weir.max_rate",
							"Sets the maximum number of records a second that a reader catching up reads.",
							"Zero means no limit.",
							&weir_max_rate,
							0, 0, INT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("weir.max_workers",
							"Sets the maximum number of database workers, readers and producers.",
							"They are taken from max_worker_processes, and so is the launcher.",
							&weir_max_workers,
							16, 1, WEIR_MAX_WORKERS,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("weir");
}

/*
 * Module load callback.
 *
 * Outside shared_preload_libraries nothing is set up: there is no shared
 * memory, so SQL functions must exist and protect themselves (see
 * weir_shmem_require).  During pg_upgrade the label provider must exist,
 * since dumps name it, but nothing may run.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	define_settings();
	weir_label_register();
	weir_shmem_init();
	weir_ddl_init();
	if (!IsBinaryUpgrade)
		weir_launcher_register();
}
