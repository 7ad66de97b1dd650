/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  A stream: a foreign table of ours with its options, read into a struct.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "base/compat.h"
#include "access/tupdesc.h"
#include "pgtime.h"
#include "source/option.h"
#include "source/source.h"
#include "source/value.h"

typedef enum WeirMetadata
{
	WEIR_META_NONE,				/* an ordinary column, from the value */
	WEIR_META_TOPIC,
	WEIR_META_PARTITION,
	WEIR_META_OFFSET,
	WEIR_META_KEY,
	WEIR_META_TIMESTAMP,
	WEIR_META_HEADERS,
	WEIR_META_VALUE,
	WEIR_META_ERROR
} WeirMetadata;

typedef enum WeirFormat
{
	WEIR_FORMAT_JSON,
	WEIR_FORMAT_RAW				/* the value goes into the one ordinary
								 * column, as text or bytea */
} WeirFormat;

typedef enum WeirOnError
{
	WEIR_ON_ERROR_DEAD_LETTER,
	WEIR_ON_ERROR_SKIP,
	WEIR_ON_ERROR_STOP
} WeirOnError;

typedef struct WeirColumn
{
	WeirMetadata metadata;
	WeirUnit	unit;
	int			npath;			/* 0: dropped or metadata */
	char	  **path;			/* field, split at its dots */
} WeirColumn;

typedef struct WeirStream
{
	Oid			relid;
	Oid			serverid;
	Oid			owner;
	char	   *name;			/* schema-qualified and quoted */
	WeirSourceKind kind;
	TupleDesc	tupdesc;		/* a copy, with constraints */
	WeirColumn *columns;		/* tupdesc->natts of them */
	AttrNumber	event_time;		/* 0: the record's Kafka timestamp */
	int64		watermark_delay;	/* these in microseconds, */
	int64		max_future;		/* PG_INT64_MAX = infinity */
	int64		idle_timeout;
	int64		close_timeout;	/* 0 = off */
	pg_tz	   *timezone;
	WeirFormat	format;
	WeirOnError on_error;
	int			max_message_bytes;
	char	   *topic;			/* for a generator the relation's name */
	List	   *table_options;
	List	   *server_options;
} WeirStream;

/*
 * Is the relation a stream, and of which kind?  False for every other
 * relation, and for one that is gone.  kind may be NULL.
 */
extern bool weir_stream_is(Oid relid, WeirSourceKind *kind);

/*
 * Is the foreign server one of ours, and of which kind?  kind may be NULL.
 */
extern bool weir_stream_server_is(Oid serverid, WeirSourceKind *kind);

/*
 * Read the stream relid into the current memory context.  Raises
 * WRONG_OBJECT_TYPE if it is not one.  Needs a transaction and a lock on it.
 */
extern WeirStream *weir_stream_get(Oid relid);

/*
 * A stream over a topic that no foreign table shows yet: of format raw, with
 * one column, which has the headers as text.  options are those of a foreign
 * table.  Needs a transaction.
 */
extern WeirStream *weir_stream_of_topic(Oid serverid, const char *topic,
										List *options);

/*
 * The greatest disorder and the time after which a partition may be idle, of
 * a stream that need not be locked.  False if it is gone.
 */
extern bool weir_stream_times(Oid relid, int64 *watermark_delay,
							  int64 *idle_timeout);

/*
 * Open the stream's source as userid (whose user mapping is used).  Allocated
 * in the current memory context, closed when that is reset or deleted, by
 * weir_source_close() or at process exit.  Needs a transaction (it reads the
 * mapping); does not talk to a broker yet.
 */
extern WeirSource *weir_stream_open(WeirStream *stream, Oid userid);

#endif							/* WEIR_STREAM_H */
