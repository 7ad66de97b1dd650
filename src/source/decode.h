/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  Messages into rows of a stream, with a verdict for each.
 *
 * A record is *bad* for everybody when its value is malformed or too long,
 * when it breaks NOT NULL or CHECK, or when its event time is unreadable.
 * A column that cannot be decoded is bad only where it is used: it is noted
 * in the record's column errors and reads as NULL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_DECODE_H
#define WEIR_DECODE_H

#include "base/compat.h"
#include "nodes/bitmapset.h"
#include "source/stream.h"

typedef enum WeirVerdict
{
	WEIR_WELL_FORMED,
	WEIR_TOMBSTONE,
	WEIR_BAD
} WeirVerdict;

typedef struct WeirBadness
{
	int			sqlerrcode;
	AttrNumber	attnum;			/* 0: the whole record */
	char	   *reason;			/* never echoes the payload */
	struct WeirBadness *next;
} WeirBadness;

typedef struct WeirRecord
{
	WeirMessage message;
	WeirVerdict verdict;
	TimestampTz event_time;		/* of a well-formed record */
	Datum	   *values;			/* tupdesc->natts, valid where needed */
	bool	   *isnull;
	WeirBadness *badness;		/* of the record if bad, else of columns */
} WeirRecord;

typedef struct WeirDecoder WeirDecoder;

/*
 * A decoder for the columns needed (attribute numbers as they are, without
 * offset); NOT NULL, CHECK and event time columns are added to them.
 * Lives in the current memory context.  Needs a transaction.
 */
extern WeirDecoder *weir_decoder_create(WeirStream *stream,
										Bitmapset *needed);

/* The columns that it decodes: those needed, and those added to them. */
extern Bitmapset *weir_decoder_columns(const WeirDecoder *decoder);

/*
 * Decode n records whose message is filled in; everything allocated goes to
 * the current memory context (the batch's).  Stops behind the record at which
 * that has grown by about memory bytes, after some records at least; returns
 * how many are decoded.  Never raises for what a message holds.  User-defined
 * input functions and CHECK constraints run as the caller's user: worker
 * callers enter the stream owner's context first.  Needs a transaction; uses
 * internal subtransactions only where a type has no parser of ours.  source
 * NULL: headers are not known and read as NULL.
 */
#define WEIR_DECODE_ALL MaxAllocHugeSize	/* memory: no limit */
extern int	weir_decode(WeirDecoder *decoder, WeirSource *source,
						WeirRecord *records, int n, Size memory);

#endif							/* WEIR_DECODE_H */
