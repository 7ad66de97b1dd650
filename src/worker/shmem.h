/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory: who runs, what it serves, and what is measured.
 *
 * One LWLock, weir_shared->lock, protects everything here but the atomics.
 * Nothing in shared memory is needed for correctness: positions, counters
 * and status are in tables.  A slot is {in_use, generation, proc}: generation
 * grows every time the slot is taken, so that whoever holds an old one sees
 * it.  A free slot remembers its last worker: if that failed, the next one
 * for the same thing waits until retry_at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SHMEM_H
#define WEIR_SHMEM_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "worker/histogram.h"

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

/* Events a second over the last few seconds, from two adjoining spans. */
typedef struct WeirRate
{
	TimestampTz since;			/* start of the present span; 0: no event yet */
	int64		count;			/* events in it */
	int64		previous;		/* events in the span before */
} WeirRate;

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
	bool		leave;			/* asked to exit */
	bool		ready;			/* reader: has made its first claim */
	bool		main;			/* reader: serves the main group */
	bool		reassign;		/* reader: views were handed to it */
	Oid			mapping;		/* reader: user mapping, or InvalidOid */
	int64		progress;		/* reader: sum of its next offsets */
	char		error[256];		/* last error outside of any view, or "" */
	TimestampTz error_since;	/* it has been so since then */
	TimestampTz again_at;		/* reader: its next attempt after that */
	uint64		records;		/* decoded or produced since launch */
	uint64		batches;
	WeirRate	rate;			/* producer: messages delivered */
	double		cpu_seconds;	/* used when it last worked, */
	int64		rss_bytes;		/* and held then; 0: not known */

	/* of the last worker, while the slot is free */
	int			failures;		/* in a row; 0: it ended well */
	TimestampTz retry_at;
} WeirSlot;

typedef struct WeirDatabase
{
	Oid			database;		/* InvalidOid: free */
	uint64		changes;		/* committed changes of the catalog */
	bool		absent;			/* as of these, the extension is not there */
	int			barred;			/* > 0: no worker may start or stay here */
} WeirDatabase;

/*
 * A view that is more than a batch behind the end, until it gets there.
 * Positions and ends are sums over the partitions.
 */
typedef struct WeirCatchUp
{
	TimestampTz since;			/* 0: it is not */
	int64		from;			/* its position then */
	int64		end;			/* the end then */
} WeirCatchUp;

typedef struct WeirViewEntry
{
	Oid			database;		/* InvalidOid: free */
	Oid			view;
	int			slot;			/* reader that claims it, or -1 */
	uint32		generation;		/* of that slot */
	int			failures;		/* in a row, for the back-off */
	TimestampTz retry_at;		/* no reader before; DT_NOEND: never */
	TimestampTz close_retry_at; /* after a failed close, or 0 */
	WeirCatchUp catch_up;

	/* what weir.stat_reset() begins anew */
	TimestampTz stats_reset;
	WeirRate	rate;			/* records read */
	TimestampTz last_commit;
	int64		commit_us;		/* time of the last commit */
	WeirHistogram commit;		/* times of commits */
	WeirHistogram event;		/* from a record's timestamp to its commit */
} WeirViewEntry;

typedef struct WeirPartitionEntry
{
	Oid			database;		/* InvalidOid: free */
	Oid			stream;
	int32		partition;
	int64		main_next;		/* next offset of the main reader */
	int64		low;
	int64		high;
	int64		stable;
	TimestampTz asked_at;
} WeirPartitionEntry;

typedef struct WeirShared
{
	LWLock	   *lock;
	ConditionVariable progress; /* something was committed by a reader */
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

/* Back-off: the time of the next attempt after so many failures in a row. */
extern TimestampTz weir_shmem_retry_at(int failures);

/* ---- all of these need the lock, shared or exclusive as they change ---- */

/* The entry of a view, made when there is none; NULL when the table is full. */
extern WeirViewEntry *weir_shmem_view(Oid database, Oid view);
extern WeirPartitionEntry *weir_shmem_partition(Oid database, Oid stream,
												int32 partition);
extern WeirDatabase *weir_shmem_database(Oid database, bool create);

/* Count n events now; and how many there are a second. */
extern void weir_rate_count(WeirRate *rate, int64 n);
extern double weir_rate_now(const WeirRate *rate);

/* Rates, times and histograms of a view, or of all of a database, begin anew. */
extern void weir_shmem_reset_view(WeirViewEntry *entry);
extern void weir_shmem_reset_database(Oid database);

/* Is the claim on this view held by a live reader? */
extern bool weir_shmem_claimed(const WeirViewEntry *entry);

/*
 * Forget what is not in these lists of views and streams, live claims
 * excepted; forget all of a database where nothing runs.
 */
extern void weir_shmem_retain(Oid database, List *views, List *streams);
extern void weir_shmem_forget_database(Oid database);

/* Does a worker hold this slot, or is one on its way to it? */
extern bool weir_shmem_taken(const WeirSlot *slot);

#endif							/* WEIR_SHMEM_H */
