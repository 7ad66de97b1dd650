/*-------------------------------------------------------------------------
 *
 * start.h
 *	  weir.start: where a continuous view begins to read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_START_H
#define WEIR_START_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "source/source.h"
#include "source/stream.h"
#include "window/plan.h"

typedef enum WeirStartKind
{
	WEIR_START_EARLIEST,
	WEIR_START_LATEST,
	WEIR_START_TIMESTAMP,
	WEIR_START_OFFSETS
} WeirStartKind;

typedef struct WeirStart
{
	WeirStartKind kind;
	TimestampTz timestamp;
	int			noffsets;
	WeirPosition *offsets;
} WeirStart;

/*
 * Parse the option weir.start: earliest, latest, a timestamp (in the
 * session's settings), or offsets per partition as JSON, {"0": 17, "1": 4}.
 * Raises INVALID_PARAMETER_VALUE.  Needs a transaction.
 */
extern WeirStart *weir_start_parse(const char *text);

/* The same for a view, under the settings that it recorded. */
extern WeirStart *weir_start_of_view(const WeirView *view);

/*
 * The greatest end of a window that begins before a timestamp start: such
 * windows are not built.  For sessions the time just before the start, whose
 * records are not used.  DT_NOBEGIN for other starts.
 */
extern TimestampTz weir_start_bound(const WeirStart *start,
									const WeirPlan *plan);

/*
 * Resolve to the first offset of each of n partitions.  Talks to the broker:
 * not inside a transaction (I7).
 */
extern void weir_start_resolve(const WeirStart *start,
							   const WeirStream *stream, WeirSource *source,
							   int n, int64 *offsets);

#endif							/* WEIR_START_H */
