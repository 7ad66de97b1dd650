/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  Rows into messages of a stream: what INSERT and producers send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_ENCODE_H
#define WEIR_ENCODE_H

#include "base/compat.h"
#include "source/stream.h"

typedef struct WeirEncoded
{
	int32		partition;		/* -1: by the key's hash */
	TimestampTz timestamp;		/* or WEIR_NO_TIMESTAMP: when it is sent */
	const char *key;			/* may be NULL */
	const char *value;			/* NULL: a tombstone */
	int32		key_len;
	int32		value_len;
} WeirEncoded;

typedef struct WeirEncoder WeirEncoder;

/*
 * An encoder for rows of tupdesc into messages of stream.  With tupdesc NULL
 * the rows are the stream's own, column by column, as in INSERT; otherwise
 * columns are matched by name, and a name that the stream does not have
 * raises UNDEFINED_COLUMN.  Lives in the current memory context.  Needs a
 * transaction.
 */
extern WeirEncoder *weir_encoder_create(WeirStream *stream,
										TupleDesc tupdesc);

/*
 * Encode one row.  The message is allocated in the current memory context or
 * points into the row.  Raises 22023 for a value in a column that cannot be
 * sent (offset, headers, error, another topic) and 22008 for an infinite
 * time.  Needs a transaction.
 */
extern void weir_encode(WeirEncoder *encoder, const Datum *values,
						const bool *isnull, WeirEncoded *message);

#endif							/* WEIR_ENCODE_H */
