/*-------------------------------------------------------------------------
 *
 * bounded.c
 *	  Read a stream up to where it ended when one began to read.
 *
 * The ends are the last stable offsets, asked for once.  A range is done when
 * a record or an end at or behind its last offset was seen: the last offset
 * itself may belong to a control record, or be compacted away.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "source/bounded.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The first batch is small, for LIMIT. */
#define FIRST_BATCH		64
#define MAX_BATCH		4096
#define PATIENCE		10		/* seconds */

struct WeirBounded
{
	WeirStream *stream;
	WeirSource *source;
	WeirDecoder *decoder;
	MemoryContext context;
	MemoryContext batch;		/* what was decoded last */
	int			nends;
	WeirEnds   *ends;			/* NULL: not asked yet */
	int		   *range_of;		/* by partition: its range, or -1 */
	WeirRange  *ranges;			/* from moves on; done when from >= to */
	int			nopen;			/* ranges not done yet */
	int			max;			/* of the next batch */
	WeirMessage *messages;		/* MAX_BATCH of them */
	WeirRecord *records;
};

WeirBounded *
weir_bounded_open(WeirStream *stream, Bitmapset *needed, Oid userid)
{
	WeirBounded *bounded = palloc0(sizeof(WeirBounded));

	bounded->stream = stream;
	bounded->context = CurrentMemoryContext;
	bounded->batch = AllocSetContextCreate(CurrentMemoryContext,
										   "weir bounded batch",
										   ALLOCSET_DEFAULT_SIZES);
	bounded->messages = palloc(MAX_BATCH * sizeof(WeirMessage));
	bounded->records = palloc0(MAX_BATCH * sizeof(WeirRecord));
	bounded->decoder = weir_decoder_create(stream, needed);
	bounded->source = weir_stream_open(stream, userid);
	return bounded;
}

void
weir_bounded_wait(WeirSource *source)
{
	pgsocket	socket = weir_source_socket(source);
	TimestampTz ready_at = weir_source_ready_at(source);
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	long		timeout = 1000;

	if (socket != PGINVALID_SOCKET)
		events |= WL_SOCKET_READABLE;
	if (ready_at != DT_NOEND)
		timeout = Min(timeout,
					  TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  ready_at));
	(void) WaitLatchOrSocket(MyLatch, events, socket, timeout,
							 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
ask_end(WeirBounded *bounded, int partition, WeirEnds *ends)
{
	for (int i = 0; i < PATIENCE; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (weir_source_ends(bounded->source, partition, ends))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not get the end of partition %d of topic \"%s\"",
					partition, bounded->stream->topic),
			 errdetail("The partition's leader did not answer within %d seconds.",
					   PATIENCE)));
}

const WeirEnds *
weir_bounded_ends(WeirBounded *bounded, int *n)
{
	if (!bounded->ends)
	{
		int			count = weir_source_partitions(bounded->source);
		WeirEnds   *ends = MemoryContextAllocZero(bounded->context,
												  (count + 1) * sizeof(WeirEnds));

		for (int i = 0; i < count; i++)
			ask_end(bounded, i, &ends[i]);
		bounded->range_of = MemoryContextAlloc(bounded->context,
											   (count + 1) * sizeof(int));
		bounded->nends = count;
		bounded->ends = ends;
	}
	*n = bounded->nends;
	return bounded->ends;
}

void
weir_bounded_start(WeirBounded *bounded, int n, const WeirRange *ranges)
{
	WeirPosition *positions = palloc((n + 1) * sizeof(WeirPosition));
	int			nends;

	(void) weir_bounded_ends(bounded, &nends);
	for (int i = 0; i < nends; i++)
		bounded->range_of[i] = -1;
	if (bounded->ranges)
		pfree(bounded->ranges);
	bounded->ranges = MemoryContextAlloc(bounded->context,
										 (n + 1) * sizeof(WeirRange));
	bounded->nopen = 0;
	for (int i = 0; i < n; i++)
	{
		int			open = bounded->nopen;

		if (ranges[i].from >= ranges[i].to)
			continue;
		bounded->ranges[open] = ranges[i];
		bounded->range_of[ranges[i].partition] = open;
		positions[open].partition = ranges[i].partition;
		positions[open].offset = ranges[i].from;
		bounded->nopen++;
	}
	bounded->max = FIRST_BATCH;
	weir_source_release(bounded->source);
	weir_source_assign(bounded->source, bounded->nopen, positions);
	pfree(positions);
}

/* By how much there is to read, least first. */
static int
compare_ranges(const void *a, const void *b)
{
	int64		left = ((const WeirRange *) a)->to - ((const WeirRange *) a)->from;
	int64		right = ((const WeirRange *) b)->to - ((const WeirRange *) b)->from;

	return left < right ? -1 : left > right;
}

void
weir_bounded_start_newest(WeirBounded *bounded, int64 n)
{
	int			nends;
	const WeirEnds *ends = weir_bounded_ends(bounded, &nends);
	WeirRange  *ranges = palloc((nends + 1) * sizeof(WeirRange));

	for (int i = 0; i < nends; i++)
	{
		ranges[i].partition = i;
		ranges[i].from = ends[i].low;
		ranges[i].to = ends[i].stable;
	}
	qsort(ranges, nends, sizeof(WeirRange), compare_ranges);
	for (int i = 0; i < nends; i++)
	{
		int64		share = (n + nends - i - 1) / (nends - i);

		ranges[i].from = Max(ranges[i].from, ranges[i].to - share);
		n -= ranges[i].to - ranges[i].from;
	}
	weir_bounded_start(bounded, nends, ranges);
	pfree(ranges);
}

/* Note that a partition was read up to next; false if nothing new came. */
static bool
move_on(WeirBounded *bounded, int partition, int64 next)
{
	int			index = bounded->range_of[partition];
	WeirRange  *range;

	if (index < 0)
		return false;
	range = &bounded->ranges[index];
	if (range->from >= range->to || next <= range->from)
		return false;
	range->from = next;
	if (next >= range->to)
		bounded->nopen--;
	return true;
}

/* Keep the records that lie in a range; returns how many. */
static int
keep_wanted(WeirBounded *bounded, int nmessages)
{
	int			n = 0;

	for (int i = 0; i < nmessages; i++)
	{
		WeirMessage *message = &bounded->messages[i];
		int			index = bounded->range_of[message->partition];
		bool		record = message->kind == WEIR_RECORD;

		if (move_on(bounded, message->partition, message->offset + record) &&
			record && message->offset < bounded->ranges[index].to)
			bounded->records[n++].message = *message;
	}
	return n;
}

WeirRecord *
weir_bounded_read(WeirBounded *bounded, int *n)
{
	weir_source_release(bounded->source);
	MemoryContextReset(bounded->batch);
	*n = 0;
	while (*n == 0)
	{
		MemoryContext old;
		int			nmessages;

		CHECK_FOR_INTERRUPTS();
		if (bounded->nopen == 0)
			return NULL;
		nmessages = weir_source_poll(bounded->source, bounded->messages,
									 bounded->max);
		if (nmessages == 0)
			weir_bounded_wait(bounded->source);
		*n = keep_wanted(bounded, nmessages);
		if (*n == 0)
		{
			weir_source_release(bounded->source);
			continue;
		}
		old = MemoryContextSwitchTo(bounded->batch);
		(void) weir_decode(bounded->decoder, bounded->source, bounded->records,
						   *n, WEIR_DECODE_ALL);
		MemoryContextSwitchTo(old);
	}
	bounded->max = Min(2 * bounded->max, MAX_BATCH);
	return bounded->records;
}

void
weir_bounded_close(WeirBounded *bounded)
{
	weir_source_close(bounded->source);
}
