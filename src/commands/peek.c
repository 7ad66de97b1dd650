/*-------------------------------------------------------------------------
 *
 * peek.c
 *	  What there is to read: weir.topics(), weir.partitions(), weir.tail().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "commands/scan.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "source/bounded.h"
#include "source/kafka.h"
#include "source/stream.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* More rows than this are not a tail. */
#define MAX_TAIL	100000

PG_FUNCTION_INFO_V1(weir_topics);
PG_FUNCTION_INFO_V1(weir_partitions);
PG_FUNCTION_INFO_V1(weir_tail);

/* A row of a tail, copied out of its batch. */
typedef struct TailRow
{
	TimestampTz timestamp;
	int32		partition;
	int64		offset;
	HeapTuple	tuple;
} TailRow;

/* weir.topics(server name) */
Datum
weir_topics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	ForeignServer *server = GetForeignServerByName(name, false);
	WeirSourceKind kind;
	ListCell   *cell;

	if (!weir_stream_server_is(server->serverid, &kind) || kind != WEIR_KAFKA)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not of weir_kafka", name)));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, weir_kafka_topics(server->serverid))
	{
		WeirTopic  *topic = lfirst(cell);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (topic->internal)
			continue;
		values[0] = CStringGetTextDatum(topic->name);
		values[1] = Int32GetDatum(topic->partitions);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* Lock a stream until commit, as a SELECT of all of it would. */
static WeirStream *
get_readable_stream(Oid relid)
{
	AclResult	acl;

	LockRelationOid(relid, AccessShareLock);
	acl = get_rel_name(relid) ?
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) : ACLCHECK_OK;
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	return weir_stream_get(relid);
}

/* weir.partitions(stream regclass) */
Datum
weir_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirStream *stream = get_readable_stream(PG_GETARG_OID(0));
	WeirBounded *bounded = weir_bounded_open(stream, NULL, GetUserId());
	const WeirEnds *ends;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	ends = weir_bounded_ends(bounded, &n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum(i);
		values[1] = Int64GetDatum(ends[i].low);
		values[2] = Int64GetDatum(ends[i].high);
		values[3] = Int64GetDatum(ends[i].stable);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	weir_bounded_close(bounded);
	PG_RETURN_NULL();
}

/* Newest first; partition and offset make it a total order. */
static int
compare_rows(const void *a, const void *b)
{
	const TailRow *left = a;
	const TailRow *right = b;

	if (left->timestamp != right->timestamp)
		return left->timestamp > right->timestamp ? -1 : 1;
	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	return left->offset > right->offset ? -1 : 1;
}

/* Begin to read the last n offsets of each partition. */
static void
start_tail(WeirBounded *bounded, int n)
{
	int			nends;
	const WeirEnds *ends = weir_bounded_ends(bounded, &nends);
	WeirRange  *ranges = palloc((nends + 1) * sizeof(WeirRange));

	for (int i = 0; i < nends; i++)
	{
		ranges[i].partition = i;
		ranges[i].from = Max(ends[i].low, ends[i].stable - n);
		ranges[i].to = ends[i].stable;
	}
	weir_bounded_start(bounded, nends, ranges);
}

/* Sort the rows, keep the n newest, and forget the others. */
static int
keep_newest(TailRow *rows, int nrows, int n)
{
	qsort(rows, nrows, sizeof(TailRow), compare_rows);
	for (int i = n; i < nrows; i++)
		heap_freetuple(rows[i].tuple);
	return Min(nrows, n);
}

/*
 * The n newest of the well-formed records; bad ones are rows only where the
 * stream shows errors, and else counted in *bad.
 */
static int
read_tail(WeirBounded *bounded, WeirStream *stream, bool shows_errors, int n,
		  TailRow **rows, int64 *bad)
{
	WeirRecord *records;
	int			nrecords;
	int			nrows = 0;

	while ((records = weir_bounded_read(bounded, &nrecords)) != NULL)
	{
		*rows = *rows ?
			repalloc_huge(*rows, (nrows + nrecords) * sizeof(TailRow)) :
			palloc(nrecords * sizeof(TailRow));
		for (int i = 0; i < nrecords; i++)
		{
			WeirRecord *record = &records[i];
			TailRow    *row = &(*rows)[nrows];

			if (record->verdict == WEIR_TOMBSTONE)
				continue;
			if (record->badness && !shows_errors)
			{
				(*bad)++;
				continue;
			}
			row->timestamp = record->message.timestamp;
			row->partition = record->message.partition;
			row->offset = record->message.offset;
			row->tuple = heap_form_tuple(stream->tupdesc, record->values,
										 record->isnull);
			nrows++;
		}
		if (nrows > 0)
			nrows = keep_newest(*rows, nrows, n);
	}
	return nrows;
}

static Bitmapset *
all_columns(WeirStream *stream, bool *shows_errors)
{
	Bitmapset  *columns = NULL;

	*shows_errors = false;
	for (int i = 0; i < stream->tupdesc->natts; i++)
	{
		columns = bms_add_member(columns, i + 1);
		if (stream->columns[i].metadata == WEIR_META_ERROR)
			*shows_errors = true;
	}
	return columns;
}

/* weir.tail(stream anyelement, n int) */
Datum
weir_tail(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = get_typ_typrelid(get_fn_expr_argtype(fcinfo->flinfo, 0));
	int			n = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	WeirStream *stream;
	WeirBounded *bounded;
	TailRow    *rows = NULL;
	Bitmapset  *columns;
	bool		shows_errors;
	int64		bad = 0;
	int			nrows;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the first argument is not a row of a stream"),
				 errhint("Write weir.tail(NULL::stream, 10).")));
	if (n < 0 || n > MAX_TAIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of rows must be from 0 to %d", MAX_TAIL)));
	stream = get_readable_stream(relid);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	columns = all_columns(stream, &shows_errors);
	bounded = weir_bounded_open(stream, columns, GetUserId());
	start_tail(bounded, n);
	nrows = read_tail(bounded, stream, shows_errors, n, &rows, &bad);
	for (int i = 0; i < nrows; i++)
		tuplestore_puttuple(result->setResult, rows[i].tuple);
	weir_bounded_close(bounded);
	weir_scan_warn(stream, bad);
	PG_RETURN_NULL();
}
