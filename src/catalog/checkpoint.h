/*-------------------------------------------------------------------------
 *
 * checkpoint.h
 *	  A view's position: one row of weir.checkpoint a partition.
 *
 * A row is updated by its cached TID and re-checked for (view, partition,
 * epoch, next_offset); anything else raises 40001 (I2).  The TIDs of a
 * (sub)transaction that aborted must be dropped by weir_checkpoint_read().
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CHECKPOINT_H
#define WEIR_CHECKPOINT_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

/* Counters of the law: read = the six that follow it (promise 3). */
typedef struct WeirCounters
{
	int64		read;
	int64		aggregated;
	int64		filtered;
	int64		late;
	int64		dead_lettered;
	int64		skipped;
	int64		tombstones;
	int64		gaps;			/* next_offset - start = read + gaps */
	int64		partly_late;	/* of the aggregated */
	int64		late_closed;	/* lost a window only because it was closed */
} WeirCounters;

/* Add the counters of another partition. */
extern void weir_counters_add(WeirCounters *sum, const WeirCounters *counters);

typedef struct WeirCheckpoint
{
	int32		partition;
	int64		start;
	int64		next_offset;
	TimestampTz max_event_time; /* DT_NOBEGIN: none yet */
	TimestampTz max_timestamp;	/* DT_NOBEGIN: none yet */
	TimestampTz watermark;		/* of the view, at this commit */
	int64		anchor_offset;	/* -1: none yet */
	TimestampTz anchor_timestamp;
	uint32		anchor_crc;
	int64		epoch;
	WeirCounters counters;

	ItemPointerData tid;		/* where the row was last */
	int64		stored_next_offset; /* what it must say there */
} WeirCheckpoint;

/*
 * Rows of a view by partition, palloc'd; *n gets their number.  Partitions
 * are 0 .. n-1 without a hole.
 */
extern WeirCheckpoint *weir_checkpoint_read(Oid view, int *n);
extern void weir_checkpoint_insert(Oid view, WeirCheckpoint *checkpoint);
extern void weir_checkpoint_update(Oid view, WeirCheckpoint *checkpoint);

/* What identifies a record as an anchor: CRC-32C of key and value. */
extern uint32 weir_checkpoint_crc(const char *key, int key_len,
								  const char *value, int value_len);

/* Fence off every reader from before: epoch + 1 in all rows of the view. */
extern void weir_checkpoint_new_epoch(Oid view);

#endif							/* WEIR_CHECKPOINT_H */
