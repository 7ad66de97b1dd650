/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Where events come from: one interface over Kafka and the generator.
 *
 * A source hands out messages of the partitions that it was assigned, each
 * partition in the order of offsets, without ever blocking.  What it hands
 * out stays valid until weir_source_release().  No function here may be
 * called inside a worker's transaction (I7), release excepted.
 *
 * Errors are raised with ereport: 08xxx while the broker cannot be reached,
 * ERRCODE_WEIR_LOG_UNTRUSTED when an assigned offset is no longer (or not
 * yet) in the log, 42P01 when the topic does not exist.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SOURCE_H
#define WEIR_SOURCE_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "storage/latch.h"
#include "source/option.h"

#define WEIR_NO_TIMESTAMP	DT_NOBEGIN

typedef enum WeirMessageKind
{
	WEIR_RECORD,				/* a record */
	WEIR_EOF					/* the partition was read to offset, which is
								 * the next one to be written */
} WeirMessageKind;

typedef struct WeirMessage
{
	WeirMessageKind kind;
	int32		partition;
	int64		offset;
	TimestampTz timestamp;		/* Kafka's, or WEIR_NO_TIMESTAMP */
	const char *value;			/* NULL: a tombstone */
	const char *key;			/* may be NULL */
	int32		value_len;
	int32		key_len;
	void	   *handle;			/* the source's own */
} WeirMessage;

typedef struct WeirPosition
{
	int32		partition;
	int64		offset;			/* next offset to hand out */
} WeirPosition;

typedef struct WeirEnds
{
	int64		low;			/* first offset that is still there */
	int64		high;			/* high watermark: next to be written */
	int64		stable;			/* last stable offset, <= high */
} WeirEnds;

typedef struct WeirSource WeirSource;

typedef struct WeirSourceMethods
{
	int			(*partitions) (WeirSource *source);
	void		(*assign) (WeirSource *source, int n,
						   const WeirPosition *positions);
	int			(*poll) (WeirSource *source, WeirMessage *messages, int max);
	void		(*release) (WeirSource *source);
	bool		(*ends) (WeirSource *source, int32 first, int n,
						 WeirEnds *ends);
	int64		(*offset_at) (WeirSource *source, int32 partition,
							  TimestampTz timestamp);
	char	   *(*headers) (WeirSource *source, const WeirMessage *message);
	void		(*publish) (WeirSource *source, const char *group, int n,
							const WeirPosition *positions);
	pgsocket	(*socket) (WeirSource *source);
	TimestampTz (*ready_at) (WeirSource *source);
	void		(*close) (WeirSource *source);
} WeirSourceMethods;

struct WeirSource
{
	const WeirSourceMethods *methods;
};

/* The number of partitions now. Waits at most 1 s for a broker. */
static inline int
weir_source_partitions(WeirSource *source)
{
	return source->methods->partitions(source);
}

/*
 * Read these partitions from these offsets from now on, and no others.
 * Messages and ends of an earlier assignment never appear after it.
 */
static inline void
weir_source_assign(WeirSource *source, int n, const WeirPosition *positions)
{
	source->methods->assign(source, n, positions);
}

/*
 * Fill in up to max messages that are here now; 0 if there are none.  Must
 * be called until it gives 0 before waiting on the socket.
 */
static inline int
weir_source_poll(WeirSource *source, WeirMessage *messages, int max)
{
	return source->methods->poll(source, messages, max);
}

/* Forget all messages handed out so far.  Allowed in any state. */
static inline void
weir_source_release(WeirSource *source)
{
	source->methods->release(source);
}

/*
 * Ask for the ends of a partition, anew.  False if there was no answer
 * within 1 s.  The generator always answers.
 */
static inline bool
weir_source_ends(WeirSource *source, int32 partition, WeirEnds *ends)
{
	return source->methods->ends(source, partition, 1, ends);
}

/*
 * The same for partitions 0 to n - 1 at once, ends[] by partition.  False,
 * within 1 s, unless all have answered.
 */
static inline bool
weir_source_all_ends(WeirSource *source, int n, WeirEnds *ends)
{
	return source->methods->ends(source, 0, n, ends);
}

/* The first offset whose timestamp is >= timestamp, or the end. */
static inline int64
weir_source_offset_at(WeirSource *source, int32 partition,
					  TimestampTz timestamp)
{
	return source->methods->offset_at(source, partition, timestamp);
}

/* Headers of a message as JSON text, palloc'd, or NULL. */
static inline char *
weir_source_headers(WeirSource *source, const WeirMessage *message)
{
	return source->methods->headers(source, message);
}

/*
 * Publish positions under a consumer group's name, as information for lag
 * tools only.  Does not wait, does not raise.
 */
static inline void
weir_source_publish(WeirSource *source, const char *group, int n,
					const WeirPosition *positions)
{
	source->methods->publish(source, group, n, positions);
}

/* Readable when poll may give something, or PGINVALID_SOCKET. */
static inline pgsocket
weir_source_socket(WeirSource *source)
{
	return source->methods->socket(source);
}

/*
 * When the next message is due, for a source that knows (the generator);
 * DT_NOEND if none will come or only the socket tells.
 */
static inline TimestampTz
weir_source_ready_at(WeirSource *source)
{
	return source->methods->ready_at(source);
}

/* End it.  Bounded in time; also done by an exit hook. Allowed anywhere. */
static inline void
weir_source_close(WeirSource *source)
{
	source->methods->close(source);
}

#endif							/* WEIR_SOURCE_H */
