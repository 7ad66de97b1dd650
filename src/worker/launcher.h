/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher: one database worker for each labelled database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_LAUNCHER_H
#define WEIR_LAUNCHER_H

#include "base/compat.h"
#include "worker/worker.h"

extern void weir_launcher_register(void);	/* from _PG_init */
extern PGDLLEXPORT void weir_launcher_main(Datum arg);

/* The security label provider; from _PG_init. */
extern void weir_label_register(void);

/*
 * Set or remove the label of the current database by which the launcher
 * finds it, as part of the current transaction, and wake it at commit.
 */
extern void weir_label_database(bool labelled);

#endif							/* WEIR_LAUNCHER_H */
