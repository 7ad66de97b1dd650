/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory: who runs, what it serves, and what is measured.
 *
 * One LWLock, weir_shared->lock, protects everything here but the atomics.
 * Nothing in shared memory is needed for correctness: positions, counters
 * and status are in tables.  A slot is {in_use, generation, proc}: generation
 * grows every time the slot is taken, so that whoever holds an old one sees
 * it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SHMEM_H
#define WEIR_SHMEM_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#define WEIR_MAX_WORKERS	64	/* slots; weir.max_workers may be less */
#define WEIR_MAX_DATABASES	32
#define WEIR_MAX_VIEWS		512 /* entries with rates, all databases */
#define WEIR_MAX_PARTITIONS 4096	/* entries with ends, all databases */

typedef enum WeirWorkerKind
{
	WEIR_WORKER_DATABASE,
	WEIR_WORKER_READER,
	WEIR_WORKER_PRODUCER
} WeirWorkerKind;

typedef struct WeirSlot
{
	bool		in_use;
	uint32		generation;
	WeirWorkerKind kind;
	Oid			database;
	Oid			object;			/* reader: stream; producer: target stream */
	NameData	name;			/* producer's name */
	PGPROC	   *proc;			/* NULL until attached */
	pid_t		pid;
	TimestampTz launched_at;
	bool		main;			/* reader: serves the main group */
	uint64		records;		/* decoded or produced since launch */
	uint64		batches;
} WeirSlot;

typedef struct WeirDatabase
{
	Oid			database;		/* InvalidOid: free */
	bool		dirty;			/* the catalog changed: reconcile */
	int			barred;			/* > 0: no worker may start or stay here */
} WeirDatabase;

typedef struct WeirViewEntry
{
	Oid			database;		/* InvalidOid: free */
	Oid			view;
	int			slot;			/* reader that claims it, or -1 */
	uint32		generation;		/* of that slot */
	int			failures;		/* in a row, for the back-off */
	TimestampTz retry_at;
	double		rate;			/* records a second, moving average */
	TimestampTz last_commit;
	TimestampTz last_record;	/* newest Kafka timestamp applied */
	int64		commit_us;		/* time of the last commit */
} WeirViewEntry;

typedef struct WeirPartitionEntry
{
	Oid			database;		/* InvalidOid: free */
	Oid			stream;
	int32		partition;
	int64		low;
	int64		high;
	int64		stable;
	TimestampTz asked_at;
} WeirPartitionEntry;

typedef struct WeirShared
{
	LWLock	   *lock;
	Latch	   *launcher;		/* its latch, or NULL */
	pid_t		launcher_pid;
	WeirDatabase databases[WEIR_MAX_DATABASES];
	WeirSlot	slots[WEIR_MAX_WORKERS];
	WeirViewEntry views[WEIR_MAX_VIEWS];
	WeirPartitionEntry partitions[WEIR_MAX_PARTITIONS];
} WeirShared;

extern WeirShared *weir_shared; /* NULL when not preloaded */

extern void weir_shmem_init(void);	/* from _PG_init: hooks */

/* Raise OBJECT_NOT_IN_PREREQUISITE_STATE with the line to add, if not loaded. */
extern void weir_shmem_require(void);

/* ---- all of these need the lock, shared or exclusive as they change ---- */

/* The entry of a view, made when there is none; NULL when the table is full. */
extern WeirViewEntry *weir_shmem_view(Oid database, Oid view);
extern WeirPartitionEntry *weir_shmem_partition(Oid database, Oid stream,
												int32 partition);
extern WeirDatabase *weir_shmem_database(Oid database, bool create);

/* Is the claim on this view held by a live reader? */
extern bool weir_shmem_claimed(const WeirViewEntry *entry);

#endif							/* WEIR_SHMEM_H */
