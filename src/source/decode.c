/*-------------------------------------------------------------------------
 *
 * decode.c
 *	  Messages into rows of a stream, with a verdict for each.
 *
 * Three passes over the records of a call, or, where the values are many times
 * as long as the messages (1e131071 is a number of 131072 digits), over some
 * after the others:
 *
 *	1.	scan the value and convert the needed columns by parsers that cannot
 *		fail; what only the type's input function can decide is put off
 *	2.	call the input functions for what was put off
 *	3.	judge: event time, NOT NULL, CHECK; then fill the error column
 *
 * Input functions and CHECK constraints may raise.  Pass 2, and the CHECK
 * constraints of pass 3, each run inside one subtransaction for all records;
 * when one raises for a reason that lies in the record, the failure is noted
 * and the pass resumes behind it.  Any other error is raised again.
 *
 * A JSON value becomes the text that jsonb would give for it, and that text
 * a value of the column's type, as jsonb_populate_record() does it; convert.c
 * says where we are stricter.
 *
 * A reason never holds what the message held, because it is shown to people
 * who may not read the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "base/error.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "source/convert.h"
#include "source/decode.h"
#include "source/json.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* What pass 1 may leave for the others. */
#define CHUNK_BYTES	(64 * 1024 * 1024)

/*
 * Objects and arrays of more bytes may have more members than jsonb_in() has
 * memory for: it raises an internal error.
 */
#define JSONB_BYTES	(32 * 1024 * 1024)

/* A value for an input function, NULL for a domain to look at. */
typedef struct Pending
{
	WeirRecord *record;
	WeirConversion *conversion;
	char	   *text;
} Pending;

typedef struct Check
{
	char	   *name;
	ExprState  *state;
} Check;

struct WeirDecoder
{
	WeirStream *stream;
	int			nconversions;
	WeirConversion *conversions;
	WeirConversion *event_time; /* NULL: the record's Kafka timestamp */
	WeirConversion *error;		/* the error column, if needed */
	WeirConversion **not_null;	/* of ordinary NOT NULL columns */
	int			nnot_null;
	int			nfields;
	WeirJsonShape *shape;
	WeirJsonValue *found;		/* nfields */
	int			nchecks;
	Check	   *checks;
	ExprContext *econtext;
	TupleTableSlot *slot;
	MemoryContext scratch;		/* reset after each record of pass 1 */
	MemoryContext results;		/* during a call: the caller's context */

	int			npending;
	int			maxpending;
	Pending    *pending;		/* in results */
	int			at;				/* pending or record that is worked on */
	int			check_at;
	WeirRecord *records;
	int			nrecords;
};

/* ---- verdicts -------------------------------------------------------- */

static void
add_badness(WeirDecoder *decoder, WeirRecord *record, AttrNumber attnum,
			int sqlerrcode, const char *reason)
{
	WeirBadness *badness = MemoryContextAlloc(decoder->results,
											  sizeof(WeirBadness));

	badness->sqlerrcode = sqlerrcode;
	badness->attnum = attnum;
	badness->reason = MemoryContextStrdup(decoder->results, reason);
	badness->next = record->badness;
	record->badness = badness;
}

/* The record is bad for everybody; nothing else is held against it. */
static void
condemn(WeirDecoder *decoder, WeirRecord *record, AttrNumber attnum,
		int sqlerrcode, const char *reason)
{
	record->verdict = WEIR_BAD;
	record->badness = NULL;
	add_badness(decoder, record, attnum, sqlerrcode, reason);
}

static const char *
column_name(WeirDecoder *decoder, AttrNumber attnum)
{
	return NameStr(TupleDescAttr(decoder->stream->tupdesc,
								 attnum - 1)->attname);
}

static void
column_failed(WeirDecoder *decoder, WeirRecord *record,
			  WeirConversion *conversion, int sqlerrcode)
{
	const char *what = "invalid value";
	char	   *reason;

	if (sqlerrcode == ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE ||
		sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW)
		what = "value out of range";
	else if (sqlerrcode == ERRCODE_STRING_DATA_RIGHT_TRUNCATION ||
			 sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		what = "value too long";
	else if (sqlerrcode == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE)
		what = "invalid UTF-8";
	reason = psprintf("%s for column \"%s\" of type %s", what,
					  column_name(decoder, conversion->attnum),
					  format_type_with_typemod(conversion->type,
											   conversion->typmod));
	record->isnull[conversion->attnum - 1] = true;
	if (conversion->guarded)
		condemn(decoder, record, conversion->attnum, sqlerrcode, reason);
	else
		add_badness(decoder, record, conversion->attnum, sqlerrcode, reason);
}

/* ---- pass 1: what cannot fail ---------------------------------------- */

static void
put_off(WeirDecoder *decoder, WeirRecord *record, WeirConversion *conversion,
		const char *text, size_t len)
{
	MemoryContext old = MemoryContextSwitchTo(decoder->results);
	Pending    *pending;

	if (decoder->npending == decoder->maxpending)
	{
		Size		size;

		decoder->maxpending = Max(64, 2 * decoder->maxpending);
		size = decoder->maxpending * sizeof(Pending);
		decoder->pending = decoder->pending ?
			repalloc_huge(decoder->pending, size) : palloc(size);
	}
	pending = &decoder->pending[decoder->npending++];
	pending->record = record;
	pending->conversion = conversion;
	pending->text = text ? pnstrdup(text, len) : NULL;

	MemoryContextSwitchTo(old);
}

/* The text that jsonb gives for a number or container. */
static char *
jsonb_text(const WeirJsonValue *value)
{
	Datum		datum = DirectFunctionCall1(jsonb_in,
											CStringGetDatum(pnstrdup(value->start, value->len)));
	Jsonb	   *jsonb = DatumGetJsonbP(datum);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

/*
 * The text that jsonb gives for a value, or, for json and jsonb columns, the
 * JSON text itself.  Points into the message, or is allocated in scratch.
 */
static const char *
value_text(WeirDecoder *decoder, const WeirJsonValue *value, bool whole_json,
		   size_t *len)
{
	MemoryContext old;
	char	   *text;

	*len = value->len;
	if (whole_json)
	{
		if (value->kind != WEIR_JSON_STRING)
			return value->start;
		*len = value->len + 2;
		return value->start - 1;
	}
	if (value->kind == WEIR_JSON_TRUE || value->kind == WEIR_JSON_FALSE ||
		(value->kind == WEIR_JSON_NUMBER && value->plain) ||
		(value->kind == WEIR_JSON_STRING && !value->escaped))
		return value->start;

	old = MemoryContextSwitchTo(decoder->scratch);
	if (value->kind == WEIR_JSON_STRING)
	{
		text = palloc(value->len + 1);

		*len = weir_json_unescape(value->start, value->len, text);
	}
	else
	{
		text = jsonb_text(value);

		*len = strlen(text);
	}
	MemoryContextSwitchTo(old);
	return text;
}

static void
convert_field(WeirDecoder *decoder, WeirRecord *record,
			  WeirConversion *conversion)
{
	const WeirJsonValue *value = &decoder->found[conversion->field];
	int			i = conversion->attnum - 1;
	const char *text;
	size_t		len;
	int			outcome;

	record->isnull[i] = true;
	if (value->kind == WEIR_JSON_ABSENT || value->kind == WEIR_JSON_NULL)
	{
		if (conversion->domain)
			put_off(decoder, record, conversion, NULL, 0);
		return;
	}
	if (value->len > JSONB_BYTES && conversion->type != JSONOID &&
		(value->kind == WEIR_JSON_OBJECT || value->kind == WEIR_JSON_ARRAY))
	{
		column_failed(decoder, record, conversion,
					  ERRCODE_PROGRAM_LIMIT_EXCEEDED);
		return;
	}
	text = value_text(decoder, value, conversion->whole_json, &len);

	outcome = conversion->convert(conversion, text, len, &record->values[i]);
	if (outcome == WEIR_CONVERT_DONE)
		record->isnull[i] = false;
	else if (outcome == WEIR_CONVERT_PUT_OFF)
		put_off(decoder, record, conversion, text, len);
	else
		column_failed(decoder, record, conversion, outcome);
}

/* Bytes of a message in a column that is text or bytea. */
static void
convert_message_bytes(WeirDecoder *decoder, WeirRecord *record,
					  WeirConversion *conversion, const char *bytes, int32 len)
{
	int			i = conversion->attnum - 1;

	if (!bytes)
		return;
	if (conversion->type != BYTEAOID &&
		weir_value_utf8_prefix(bytes, len) != len)
	{
		column_failed(decoder, record, conversion,
					  ERRCODE_CHARACTER_NOT_IN_REPERTOIRE);
		return;
	}
	record->values[i] = PointerGetDatum(cstring_to_text_with_len(bytes, len));
	record->isnull[i] = false;
}

static void
fill_headers(WeirSource *source, WeirRecord *record, WeirConversion *conversion)
{
	char	   *headers = source == NULL ? NULL :
		weir_source_headers(source, &record->message);
	int			i = conversion->attnum - 1;

	if (!headers)
		return;
	record->values[i] = conversion->type == JSONBOID ?
		DirectFunctionCall1(jsonb_in, CStringGetDatum(headers)) :
		CStringGetTextDatum(headers);
	record->isnull[i] = false;
}

static void
fill_metadata(WeirDecoder *decoder, WeirSource *source, WeirRecord *record,
			  WeirConversion *conversion)
{
	const WeirMessage *message = &record->message;
	int			i = conversion->attnum - 1;
	Datum	   *value = &record->values[i];

	record->isnull[i] = true;
	switch (conversion->metadata)
	{
		case WEIR_META_KEY:
			convert_message_bytes(decoder, record, conversion, message->key,
								  message->key_len);
			return;
		case WEIR_META_VALUE:
			convert_message_bytes(decoder, record, conversion, message->value,
								  message->value_len);
			return;
		case WEIR_META_HEADERS:
			fill_headers(source, record, conversion);
			return;
		case WEIR_META_TIMESTAMP:
			if (message->timestamp == WEIR_NO_TIMESTAMP)
				return;
			*value = TimestampTzGetDatum(message->timestamp);
			break;
		case WEIR_META_TOPIC:
			*value = CStringGetTextDatum(decoder->stream->topic);
			break;
		case WEIR_META_PARTITION:
			*value = conversion->type == INT8OID ?
				Int64GetDatum(message->partition) :
				Int32GetDatum(message->partition);
			break;
		case WEIR_META_OFFSET:
			*value = Int64GetDatum(message->offset);
			break;
		case WEIR_META_NONE:
		case WEIR_META_ERROR:
			return;
	}
	record->isnull[i] = false;
}

/* The value of a stream of format raw. */
static void
decode_raw(WeirDecoder *decoder, WeirRecord *record)
{
	for (int i = 0; i < decoder->nconversions; i++)
	{
		WeirConversion *conversion = &decoder->conversions[i];

		if (conversion->metadata == WEIR_META_NONE)
			convert_message_bytes(decoder, record, conversion,
								  record->message.value,
								  record->message.value_len);
	}
}

static void
decode_json(WeirDecoder *decoder, WeirRecord *record)
{
	WeirJsonError error;

	if (!weir_json_scan(decoder->shape, record->message.value,
						record->message.value_len, decoder->found, &error))
	{
		condemn(decoder, record, 0,
				MAKE_SQLSTATE(error.sqlstate[0], error.sqlstate[1],
							  error.sqlstate[2], error.sqlstate[3],
							  error.sqlstate[4]),
				error.reason);
		return;
	}
	for (int i = 0; i < decoder->nconversions; i++)
		if (decoder->conversions[i].metadata == WEIR_META_NONE)
			convert_field(decoder, record, &decoder->conversions[i]);
}

static void
decode_record(WeirDecoder *decoder, WeirSource *source, WeirRecord *record)
{
	record->verdict = WEIR_WELL_FORMED;
	record->badness = NULL;
	record->event_time = DT_NOBEGIN;
	for (int i = 0; i < decoder->nconversions; i++)
		if (decoder->conversions[i].metadata != WEIR_META_NONE)
			fill_metadata(decoder, source, record, &decoder->conversions[i]);

	if (!record->message.value)
		record->verdict = WEIR_TOMBSTONE;
	else if (record->message.value_len > decoder->stream->max_message_bytes)
		condemn(decoder, record, 0, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
				"message longer than max_message_bytes");
	else if (decoder->stream->format == WEIR_FORMAT_RAW)
		decode_raw(decoder, record);
	else
		decode_json(decoder, record);
}

/* ---- pass 2: input functions ----------------------------------------- */

static bool
is_finite(Oid type, Datum value)
{
	switch (type)
	{
		case FLOAT4OID:
			return isfinite(DatumGetFloat4(value));
		case FLOAT8OID:
			return isfinite(DatumGetFloat8(value));
		case NUMERICOID:
			return !numeric_is_nan(DatumGetNumeric(value)) &&
				!numeric_is_inf(DatumGetNumeric(value));
		default:
			return true;
	}
}

static void
call_input_function(WeirDecoder *decoder, Pending *pending)
{
	WeirConversion *conversion = pending->conversion;
	WeirRecord *record = pending->record;
	int			i = conversion->attnum - 1;
	Datum		value;

	value = InputFunctionCall(&conversion->input, pending->text,
							  conversion->ioparam, conversion->typmod);
	if (!pending->text)
		return;					/* the domain allows NULL */
	if (!is_finite(getBaseType(conversion->type), value))
	{
		column_failed(decoder, record, conversion,
					  ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
		return;
	}
	record->values[i] = value;
	record->isnull[i] = false;
}

static void
call_input_functions(void *arg)
{
	WeirDecoder *decoder = arg;
	MemoryContext old = MemoryContextSwitchTo(decoder->results);

	for (; decoder->at < decoder->npending; decoder->at++)
		if (decoder->pending[decoder->at].record->verdict != WEIR_BAD)
			call_input_function(decoder, &decoder->pending[decoder->at]);
	MemoryContextSwitchTo(old);
}

/* Raise again what is not the record's own fault. */
static int
record_error(ErrorData *error)
{
	int			sqlerrcode = error->sqlerrcode;

	if (weir_error_class(sqlerrcode) != WEIR_ERROR_RECORD)
		ReThrowError(error);
	FreeErrorData(error);
	return sqlerrcode;
}

static void
decode_pending(WeirDecoder *decoder)
{
	ErrorData  *error;

	decoder->at = 0;
	while (decoder->at < decoder->npending &&
		   (error = weir_try(call_input_functions, decoder)) != NULL)
	{
		Pending    *pending = &decoder->pending[decoder->at++];

		column_failed(decoder, pending->record, pending->conversion,
					  record_error(error));
	}
}

/* ---- pass 3: event time, NOT NULL, CHECK ----------------------------- */

static void
judge_event_time(WeirDecoder *decoder, WeirRecord *record)
{
	WeirConversion *conversion = decoder->event_time;
	AttrNumber	attnum = conversion ? conversion->attnum : 0;

	if (!conversion)
		record->event_time = record->message.timestamp;
	else if (!record->isnull[attnum - 1])
		record->event_time = DatumGetTimestampTz(record->values[attnum - 1]);

	if (record->event_time == DT_NOBEGIN)
		condemn(decoder, record, attnum, ERRCODE_NULL_VALUE_NOT_ALLOWED,
				"no event time");
	else if (record->event_time < WEIR_MIN_TIMESTAMP ||
			 record->event_time >= WEIR_END_TIMESTAMP)
		condemn(decoder, record, attnum, ERRCODE_DATETIME_FIELD_OVERFLOW,
				"event time outside of the years 1970 to 2200");
}

static void
judge_not_null(WeirDecoder *decoder, WeirRecord *record)
{
	for (int i = 0; i < decoder->nnot_null; i++)
	{
		AttrNumber	attnum = decoder->not_null[i]->attnum;

		if (!record->isnull[attnum - 1])
			continue;
		condemn(decoder, record, attnum, ERRCODE_NOT_NULL_VIOLATION,
				psprintf("null value in column \"%s\" violates not-null constraint",
						 column_name(decoder, attnum)));
		return;
	}
}

static bool
check_holds(WeirDecoder *decoder, WeirRecord *record, Check *check)
{
	TupleTableSlot *slot = decoder->slot;
	bool		holds;

	ExecClearTuple(slot);
	for (int i = 0; i < decoder->stream->tupdesc->natts; i++)
	{
		slot->tts_values[i] = record->values[i];
		slot->tts_isnull[i] = record->isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	decoder->econtext->ecxt_scantuple = slot;
	holds = ExecCheck(check->state, decoder->econtext);
	ResetExprContext(decoder->econtext);
	return holds;
}

static void
run_checks(void *arg)
{
	WeirDecoder *decoder = arg;

	for (; decoder->at < decoder->nrecords; decoder->at++)
	{
		WeirRecord *record = &decoder->records[decoder->at];

		for (decoder->check_at = 0; decoder->check_at < decoder->nchecks &&
			 record->verdict == WEIR_WELL_FORMED; decoder->check_at++)
		{
			Check	   *check = &decoder->checks[decoder->check_at];

			if (!check_holds(decoder, record, check))
				condemn(decoder, record, 0, ERRCODE_CHECK_VIOLATION,
						psprintf("violates check constraint \"%s\"",
								 check->name));
		}
	}
}

static void
judge_checks(WeirDecoder *decoder)
{
	ErrorData  *error;

	decoder->at = 0;
	while (decoder->at < decoder->nrecords &&
		   (error = weir_try(run_checks, decoder)) != NULL)
	{
		Check	   *check = &decoder->checks[decoder->check_at];

		condemn(decoder, &decoder->records[decoder->at++], 0,
				record_error(error),
				psprintf("check constraint \"%s\" raised an error",
						 check->name));
	}
}

/* The reasons of a record, the first one found first. */
static char *
join_reasons(const WeirBadness *badness)
{
	char	   *rest;

	if (!badness->next)
		return psprintf("%s", badness->reason);
	rest = join_reasons(badness->next);
	return psprintf("%s; %s", rest, badness->reason);
}

static void
fill_error(WeirDecoder *decoder, WeirRecord *record)
{
	int			i = decoder->error->attnum - 1;

	record->isnull[i] = record->badness == NULL;
	if (record->badness)
		record->values[i] = CStringGetTextDatum(join_reasons(record->badness));
}

/* A record that is bad shows only its metadata. */
static void
hide_values(WeirDecoder *decoder, WeirRecord *record)
{
	for (int i = 0; i < decoder->nconversions; i++)
		if (decoder->conversions[i].metadata == WEIR_META_NONE)
			record->isnull[decoder->conversions[i].attnum - 1] = true;
}

static void
allocate_rows(WeirDecoder *decoder, WeirRecord *records, int n)
{
	int			natts = decoder->stream->tupdesc->natts;
	Datum	   *values = MemoryContextAllocHuge(decoder->results,
												(Size) n * natts * sizeof(Datum) + 1);
	bool	   *isnull = MemoryContextAllocHuge(decoder->results,
												(Size) n * natts + 1);

	memset(values, 0, (Size) n * natts * sizeof(Datum));
	memset(isnull, true, (Size) n * natts);
	for (int i = 0; i < n; i++)
	{
		records[i].values = values + (Size) i * natts;
		records[i].isnull = isnull + (Size) i * natts;
	}
}

/*
 * Pass 1, over as many records as give at most about CHUNK_BYTES; returns how
 * many.
 */
static int
scan_records(WeirDecoder *decoder, WeirSource *source, WeirRecord *records,
			 int n)
{
	Size		limit = MemoryContextMemAllocated(decoder->results, false) +
		CHUNK_BYTES;
	int			i = 0;

	do
	{
		decode_record(decoder, source, &records[i]);
		MemoryContextReset(decoder->scratch);
	} while (++i < n &&
			 MemoryContextMemAllocated(decoder->results, false) < limit);
	return i;
}

/* What the input functions have read is needed no more. */
static void
forget_pending(WeirDecoder *decoder)
{
	for (int i = 0; i < decoder->npending; i++)
	{
		if (decoder->pending[i].text)
			pfree(decoder->pending[i].text);
	}
	decoder->npending = 0;
}

/* All passes, over some of the records at least; returns over how many. */
static int
decode_records(WeirDecoder *decoder, WeirSource *source, WeirRecord *records,
			   int n)
{
	n = scan_records(decoder, source, records, n);
	decoder->records = records;
	decoder->nrecords = n;
	decode_pending(decoder);
	forget_pending(decoder);
	for (int i = 0; i < n; i++)
	{
		if (records[i].verdict == WEIR_WELL_FORMED)
			judge_event_time(decoder, &records[i]);
		if (records[i].verdict == WEIR_WELL_FORMED)
			judge_not_null(decoder, &records[i]);
	}
	if (decoder->nchecks > 0)
		judge_checks(decoder);
	for (int i = 0; i < n; i++)
	{
		if (records[i].verdict == WEIR_BAD)
			hide_values(decoder, &records[i]);
		if (decoder->error)
			fill_error(decoder, &records[i]);
	}
	return n;
}

int
weir_decode(WeirDecoder *decoder, WeirSource *source, WeirRecord *records,
			int n, Size memory)
{
	int			done = 0;
	Size		limit;

	decoder->results = CurrentMemoryContext;
	decoder->npending = 0;
	decoder->maxpending = 0;
	decoder->pending = NULL;
	allocate_rows(decoder, records, n);

	limit = MemoryContextMemAllocated(decoder->results, false) + memory;
	while (done < n &&
		   (done == 0 ||
			MemoryContextMemAllocated(decoder->results, false) < limit))
		done += decode_records(decoder, source, &records[done], n - done);
	return done;
}

/* ---- setting up ------------------------------------------------------ */

/* Columns that a CHECK constraint reads. */
static Bitmapset *
check_columns(TupleDesc tupdesc, Node *expr)
{
	Bitmapset  *found = NULL;
	Bitmapset  *columns = NULL;
	int			i = -1;

	pull_varattnos(expr, 1, &found);
	while ((i = bms_next_member(found, i)) >= 0)
	{
		int			attnum = i + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0)
			columns = bms_add_member(columns, attnum);
		else if (attnum == InvalidAttrNumber)
			for (int j = 0; j < tupdesc->natts; j++)
				columns = bms_add_member(columns, j + 1);
	}
	return columns;
}

/* Prepare the CHECK constraints; returns the columns they read. */
static Bitmapset *
prepare_checks(WeirDecoder *decoder)
{
	TupleDesc	tupdesc = decoder->stream->tupdesc;
	TupleConstr *constr = tupdesc->constr;
	Bitmapset  *columns = NULL;
	EState	   *estate;

	if (!constr || constr->num_check == 0)
		return NULL;
	estate = CreateExecutorState();
	decoder->econtext = CreateExprContext(estate);
	decoder->slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	decoder->checks = palloc(constr->num_check * sizeof(Check));
	decoder->nchecks = constr->num_check;
	for (int i = 0; i < constr->num_check; i++)
	{
		Node	   *expr = stringToNode(constr->check[i].ccbin);

		columns = bms_add_members(columns, check_columns(tupdesc, expr));
		decoder->checks[i].name = constr->check[i].ccname;
		decoder->checks[i].state = ExecPrepareExpr((Expr *) expr, estate);
	}
	return columns;
}

static void
prepare_conversion(WeirDecoder *decoder, AttrNumber attnum, bool guarded)
{
	Form_pg_attribute att = TupleDescAttr(decoder->stream->tupdesc,
										  attnum - 1);
	WeirConversion *conversion = &decoder->conversions[decoder->nconversions++];
	Oid			input;

	conversion->stream = decoder->stream;
	conversion->attnum = attnum;
	conversion->metadata = decoder->stream->columns[attnum - 1].metadata;
	conversion->unit = decoder->stream->columns[attnum - 1].unit;
	conversion->type = att->atttypid;
	conversion->typmod = att->atttypmod;
	conversion->guarded = guarded;
	conversion->field = -1;
	conversion->convert = weir_convert_find(att->atttypid);
	conversion->whole_json = att->atttypid == JSONOID ||
		att->atttypid == JSONBOID;
	conversion->domain = get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
	getTypeInputInfo(att->atttypid, &input, &conversion->ioparam);
	fmgr_info(input, &conversion->input);

	if (attnum == decoder->stream->event_time)
		decoder->event_time = conversion;
	if (conversion->metadata == WEIR_META_ERROR)
		decoder->error = conversion;
	if (att->attnotnull && conversion->metadata != WEIR_META_ERROR)
		decoder->not_null[decoder->nnot_null++] = conversion;
}

/* Tell the scanner which fields are wanted. */
static void
prepare_shape(WeirDecoder *decoder)
{
	WeirJsonField *fields = palloc0((decoder->nconversions + 1) *
									sizeof(WeirJsonField));
	int			n = 0;

	for (int i = 0; i < decoder->nconversions; i++)
	{
		WeirConversion *conversion = &decoder->conversions[i];
		WeirColumn *column = &decoder->stream->columns[conversion->attnum - 1];

		if (conversion->metadata != WEIR_META_NONE)
			continue;
		fields[n].path = (const char *const *) column->path;
		fields[n].npath = column->npath;
		conversion->field = n++;
	}
	decoder->nfields = n;
	decoder->found = palloc0((n + 1) * sizeof(WeirJsonValue));
	decoder->shape = weir_json_shape_init(palloc(weir_json_shape_size(fields, n)),
										  fields, n);
}

static bool
reads_error_column(WeirStream *stream, Bitmapset *needed)
{
	for (int i = 0; i < stream->tupdesc->natts; i++)
		if (stream->columns[i].metadata == WEIR_META_ERROR &&
			bms_is_member(i + 1, needed))
			return true;
	return false;
}

WeirDecoder *
weir_decoder_create(WeirStream *stream, Bitmapset *needed)
{
	WeirDecoder *decoder = palloc0(sizeof(WeirDecoder));
	TupleDesc	tupdesc = stream->tupdesc;
	bool		all = reads_error_column(stream, needed);
	Bitmapset  *checked;

	decoder->stream = stream;
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext,
											 "weir decoder",
											 ALLOCSET_DEFAULT_SIZES);
	decoder->conversions = palloc0((tupdesc->natts + 1) * sizeof(WeirConversion));
	decoder->not_null = palloc0((tupdesc->natts + 1) * sizeof(WeirConversion *));
	checked = prepare_checks(decoder);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		bool		guarded = att->attnotnull ||
			att->attnum == stream->event_time ||
			bms_is_member(att->attnum, checked);

		if (!att->attisdropped &&
			(guarded || all || bms_is_member(att->attnum, needed)))
			prepare_conversion(decoder, att->attnum, guarded);
	}
	prepare_shape(decoder);
	return decoder;
}

Bitmapset *
weir_decoder_columns(const WeirDecoder *decoder)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < decoder->nconversions; i++)
		columns = bms_add_member(columns, decoder->conversions[i].attnum);
	return columns;
}
