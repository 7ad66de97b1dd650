/*-------------------------------------------------------------------------
 *
 * late.c
 *	  Late records as rows of their stream.
 *
 *		weir.decode(stream, late)	one row of weir.late_event
 *		weir._row_stream(stream)	the stream of a row, for weir.late_events
 *
 * weir.late_event keeps key and value as they came.  They are decoded again,
 * as the stream is defined now, by the same code that a reader uses.  Headers
 * are not kept and read as NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "source/decode.h"

/* What one call leaves for the next of the same statement. */
typedef struct Decoding
{
	WeirStream *stream;
	WeirDecoder *decoder;
} Decoding;

/* The stream whose row the first argument is. */
static Oid
argument_stream(FunctionCallInfo fcinfo)
{
	Oid			relid = get_typ_typrelid(get_fn_expr_argtype(fcinfo->flinfo, 0));

	if (!OidIsValid(relid) || !weir_stream_is(relid, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the first argument is not a row of a stream"),
				 errhint("Write NULL::stream.")));
	return relid;
}

/* Make ready to decode all columns, as a SELECT of all of them would. */
static Decoding *
prepare(FunctionCallInfo fcinfo)
{
	Oid			relid = argument_stream(fcinfo);
	MemoryContext save = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Decoding   *decoding = palloc_object(Decoding);
	Bitmapset  *columns = NULL;
	AclResult	acl;

	LockRelationOid(relid, AccessShareLock);
	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	decoding->stream = weir_stream_get(relid);
	for (int i = 0; i < decoding->stream->tupdesc->natts; i++)
		columns = bms_add_member(columns, i + 1);
	decoding->decoder = weir_decoder_create(decoding->stream, columns);
	MemoryContextSwitchTo(save);
	return decoding;
}

static TimestampTz
time_attribute(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? WEIR_NO_TIMESTAMP : DatumGetTimestampTz(value);
}

static void
bytes_attribute(HeapTupleHeader row, const char *name, const char **bytes,
				int32 *length)
{
	bool		isnull;
	Datum		datum = GetAttributeByName(row, name, &isnull);
	bytea	   *value = isnull ? NULL : DatumGetByteaPP(datum);

	*bytes = isnull ? NULL : VARDATA_ANY(value);
	*length = isnull ? 0 : VARSIZE_ANY_EXHDR(value);
}

/* The message of which a row of weir.late_event was made. */
static void
read_message(HeapTupleHeader row, WeirMessage *message)
{
	bool		isnull;

	memset(message, 0, sizeof(*message));
	message->kind = WEIR_RECORD;
	message->partition = DatumGetInt32(GetAttributeByName(row, "partition",
														  &isnull));
	message->offset = DatumGetInt64(GetAttributeByName(row, "offset",
													   &isnull));
	message->timestamp = time_attribute(row, "timestamp");
	bytes_attribute(row, "key", &message->key, &message->key_len);
	bytes_attribute(row, "value", &message->value, &message->value_len);
}

PG_FUNCTION_INFO_V1(weir_decode_late);

/*
 * weir.decode(stream anyelement, late weir.late_event) returns anyelement.
 * NULL where the record has become bad by a change of the stream.
 */
Datum
weir_decode_late(PG_FUNCTION_ARGS)
{
	Decoding   *decoding = fcinfo->flinfo->fn_extra;
	WeirRecord	record = {0};
	HeapTuple	tuple;

	if (decoding == NULL)
		decoding = fcinfo->flinfo->fn_extra = prepare(fcinfo);
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	read_message(PG_GETARG_HEAPTUPLEHEADER(1), &record.message);
	(void) weir_decode(decoding->decoder, NULL, &record, 1, WEIR_DECODE_ALL);
	if (record.verdict != WEIR_WELL_FORMED)
		PG_RETURN_NULL();
	tuple = heap_form_tuple(decoding->stream->tupdesc, record.values,
							record.isnull);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

PG_FUNCTION_INFO_V1(weir_row_stream);

/*
 * weir._row_stream(stream anyelement) returns regclass.  Raises 42809 unless
 * the argument is a row of a stream.
 */
Datum
weir_row_stream(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(argument_stream(fcinfo));
}
