/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  SQL functions over what shared memory knows of workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_STATS_H
#define WEIR_STATS_H

#include "base/compat.h"
#include "worker/shmem.h"

/* The word for a kind of worker: database, reader, producer. */
extern const char *weir_stats_kind_name(WeirWorkerKind kind);

#endif							/* WEIR_STATS_H */
