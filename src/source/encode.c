/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  Rows into messages of a stream: what INSERT and producers send.
 *
 * With format json the value is one object.  Each ordinary column is a member
 * at its field's path; columns that are NULL are left out, and so are objects
 * that would be empty, because the decoder reads what is missing as NULL.
 * Numbers, booleans, arrays, composites and json go as JSON has them, times
 * as ISO 8601 or, with a unit, as epoch numbers, everything else as the text
 * of its output function.  With format raw the value is the one ordinary
 * column.
 *
 * A metadata column is sent as what it is: partition, key and timestamp of
 * the record; a value that is not NULL is the whole value, byte by byte, and
 * the ordinary columns are not looked at: so rows of another stream pass
 * through unchanged, whatever they hold.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "source/encode.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef enum EncodeAs
{
	ENCODE_TEXT,				/* a string of the output function's text */
	ENCODE_NUMBER,
	ENCODE_BOOL,
	ENCODE_TIME,
	ENCODE_JSON,
	ENCODE_ARRAY,
	ENCODE_COMPOSITE
} EncodeAs;

typedef struct EncodeColumn
{
	bool		used;			/* false: dropped */
	Oid			type;			/* base type, for a domain */
	EncodeAs	as;
	FmgrInfo	output;
	const WeirColumn *column;
	char	   *name;
} EncodeColumn;

/* A member of the JSON object: a column, or an object, or both. */
typedef struct EncodeMember
{
	char	   *name;			/* escaped, with its colon; NULL: the root */
	int			column;			/* -1: none */
	List	   *members;		/* of EncodeMember */
	char	   *plain;			/* the name as it is */
} EncodeMember;

struct WeirEncoder
{
	WeirStream *stream;
	int			ncolumns;
	EncodeColumn *columns;
	EncodeMember root;
	int			raw;			/* column that is the raw value, or -1 */
};

static EncodeAs
encode_as(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return ENCODE_BOOL;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return ENCODE_NUMBER;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return ENCODE_TIME;
		case JSONOID:
		case JSONBOID:
			return ENCODE_JSON;
		default:
			if (OidIsValid(get_element_type(type)))
				return ENCODE_ARRAY;
			if (type_is_rowtype(type))
				return ENCODE_COMPOSITE;
			return ENCODE_TEXT;
	}
}

/* The stream's attribute that a source column called name goes to. */
static int
target_attribute(WeirStream *stream, const char *name)
{
	for (int i = 0; i < stream->tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(stream->tupdesc, i);

		if (!attribute->attisdropped &&
			strcmp(NameStr(attribute->attname), name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of stream %s does not exist",
					name, stream->name),
			 errhint("Name the columns of the source as the stream's are named.")));
	return -1;
}

static void
check_metadata_type(const EncodeColumn *column)
{
	bool		fits = true;

	if (column->column->metadata == WEIR_META_PARTITION)
		fits = column->type == INT2OID || column->type == INT4OID ||
			column->type == INT8OID;
	else if (column->column->metadata == WEIR_META_TIMESTAMP)
		fits = column->type == TIMESTAMPTZOID;
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot be sent as metadata",
						column->name, format_type_be(column->type)),
				 errdetail("A partition is an integer, a timestamp is a timestamp with time zone.")));
}

static void
init_column(EncodeColumn *column, WeirStream *stream,
			Form_pg_attribute attribute, int target)
{
	Oid			function;
	bool		varlena;

	column->used = true;
	column->name = pstrdup(NameStr(attribute->attname));
	column->type = getBaseType(attribute->atttypid);
	column->as = encode_as(column->type);
	column->column = &stream->columns[target];
	getTypeOutputInfo(column->type, &function, &varlena);
	fmgr_info(function, &column->output);
	check_metadata_type(column);
}

/* The member of this name, made if there is none. */
static EncodeMember *
find_member(EncodeMember *parent, const char *name)
{
	ListCell   *lc;
	EncodeMember *member;
	StringInfoData escaped;

	foreach(lc, parent->members)
	{
		member = lfirst(lc);
		if (strcmp(member->plain, name) == 0)
			return member;
	}
	initStringInfo(&escaped);
	escape_json(&escaped, name);
	appendStringInfoChar(&escaped, ':');
	member = palloc0(sizeof(EncodeMember));
	member->plain = pstrdup(name);
	member->name = escaped.data;
	member->column = -1;
	parent->members = lappend(parent->members, member);
	return member;
}

static void
add_column(WeirEncoder *encoder, int i)
{
	const WeirColumn *column = encoder->columns[i].column;
	EncodeMember *member = &encoder->root;

	if (column->metadata != WEIR_META_NONE)
		return;
	encoder->raw = i;
	for (int step = 0; step < column->npath; step++)
		member = find_member(member, column->path[step]);
	/* Of two columns with one field the first is sent. */
	if (member->column < 0)
		member->column = i;
}

WeirEncoder *
weir_encoder_create(WeirStream *stream, TupleDesc tupdesc)
{
	WeirEncoder *encoder = palloc0(sizeof(WeirEncoder));
	TupleDesc	rows = tupdesc ? tupdesc : stream->tupdesc;

	encoder->stream = stream;
	encoder->ncolumns = rows->natts;
	encoder->columns = palloc0(sizeof(EncodeColumn) * rows->natts);
	encoder->root.column = -1;
	encoder->raw = -1;
	for (int i = 0; i < rows->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rows, i);
		int			target = i;

		if (attribute->attisdropped)
			continue;
		if (tupdesc)
			target = target_attribute(stream, NameStr(attribute->attname));
		init_column(&encoder->columns[i], stream, attribute, target);
		add_column(encoder, i);
	}
	return encoder;
}

/*
 * Microseconds since the PostgreSQL epoch of a date or timestamp; raises for
 * an infinite one, which is no point in time that JSON could name.
 */
static int64
time_microseconds(const EncodeColumn *column, Datum value)
{
	bool		finite;
	int64		result;

	if (column->type == DATEOID)
	{
		finite = !DATE_NOT_FINITE(DatumGetDateADT(value));
		result = finite ? (int64) DatumGetDateADT(value) * USECS_PER_DAY : 0;
	}
	else
	{
		result = DatumGetInt64(value);
		finite = !TIMESTAMP_NOT_FINITE(result);
	}
	if (!finite)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("cannot send an infinite time in column \"%s\"",
						column->name)));
	return result;
}

/* An epoch number of a unit that has so many microseconds. */
static void
append_epoch(StringInfo out, int64 us, int64 unit, int digits)
{
	us += (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	if (us < 0)
		appendStringInfoChar(out, '-');
	us = us < 0 ? -us : us;
	appendStringInfo(out, INT64_FORMAT, us / unit);
	if (us % unit != 0)
		appendStringInfo(out, ".%0*lld", digits, (long long) (us % unit));
}

static void
append_time(StringInfo out, const EncodeColumn *column, Datum value)
{
	int64		us = time_microseconds(column, value);
	const int	utc = 0;
	char		iso[MAXDATELEN + 1];

	switch (column->column->unit)
	{
		case WEIR_UNIT_NONE:
			/* Always UTC: no session's TimeZone shows in a message. */
			JsonEncodeDateTime(iso, value, column->type, &utc);
			appendStringInfo(out, "\"%s\"", iso);
			break;
		case WEIR_UNIT_S:
			append_epoch(out, us, USECS_PER_SEC, 6);
			break;
		case WEIR_UNIT_MS:
			append_epoch(out, us, 1000, 3);
			break;
		case WEIR_UNIT_US:
			append_epoch(out, us, 1, 0);
			break;
	}
}

/* A number that JSON cannot write (NaN, Infinity) goes as a string. */
static void
append_number(StringInfo out, const char *digits)
{
	bool		number = isdigit((unsigned char) digits[0]) ||
		(digits[0] == '-' && isdigit((unsigned char) digits[1]));

	appendStringInfo(out, number ? "%s" : "\"%s\"", digits);
}

static void
append_value(StringInfo out, EncodeColumn *column, Datum value)
{
	switch (column->as)
	{
		case ENCODE_BOOL:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case ENCODE_NUMBER:
			append_number(out, OutputFunctionCall(&column->output, value));
			break;
		case ENCODE_TIME:
			append_time(out, column, value);
			break;
		case ENCODE_JSON:
			appendStringInfoString(out,
								   OutputFunctionCall(&column->output, value));
			break;
		case ENCODE_ARRAY:
			appendStringInfoString(out,
								   TextDatumGetCString(DirectFunctionCall1(array_to_json, value)));
			break;
		case ENCODE_COMPOSITE:
			appendStringInfoString(out,
								   TextDatumGetCString(DirectFunctionCall1(row_to_json, value)));
			break;
		case ENCODE_TEXT:
			escape_json(out, OutputFunctionCall(&column->output, value));
			break;
	}
}

/* Append a member's value; false, and nothing appended, if it has none. */
static bool
append_member(StringInfo out, WeirEncoder *encoder,
			  const EncodeMember *member, const Datum *values,
			  const bool *isnull)
{
	int			begin = out->len;
	bool		any = false;
	ListCell   *lc;

	if (member->column >= 0 && !isnull[member->column])
	{
		append_value(out, &encoder->columns[member->column],
					 values[member->column]);
		return true;
	}
	appendStringInfoChar(out, '{');
	foreach(lc, member->members)
	{
		EncodeMember *child = lfirst(lc);
		int			before = out->len;

		if (any)
			appendStringInfoChar(out, ',');
		appendStringInfoString(out, child->name);
		if (append_member(out, encoder, child, values, isnull))
			any = true;
		else
			out->data[out->len = before] = '\0';
	}
	appendStringInfoChar(out, '}');
	if (!any)
		out->data[out->len = begin] = '\0';
	return any;
}

/* The bytes of a text, bytea or any other value. */
static const char *
column_bytes(EncodeColumn *column, Datum value, int32 *len)
{
	const char *written;

	if (column->type == BYTEAOID || column->type == TEXTOID ||
		column->type == VARCHAROID)
	{
		struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

		*len = VARSIZE_ANY_EXHDR(bytes);
		return VARDATA_ANY(bytes);
	}
	written = OutputFunctionCall(&column->output, value);
	*len = strlen(written);
	return written;
}

static int32
partition_number(const EncodeColumn *column, Datum value)
{
	int64		partition = column->type == INT2OID ? DatumGetInt16(value) :
		column->type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);

	if (partition < 0 || partition > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %lld does not exist",
						(long long) partition)));
	return (int32) partition;
}

static void
refuse_column(const WeirStream *stream, const EncodeColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of stream %s cannot be sent",
					column->name, stream->name),
			 errhint("Leave the column out, or give it NULL.")));
}

/* What a metadata column says of the message. */
static void
encode_metadata(WeirEncoder *encoder, EncodeColumn *column, Datum value,
				WeirEncoded *message)
{
	const char *topic;
	int32		len;

	switch (column->column->metadata)
	{
		case WEIR_META_PARTITION:
			message->partition = partition_number(column, value);
			break;
		case WEIR_META_KEY:
			message->key = column_bytes(column, value, &message->key_len);
			break;
		case WEIR_META_TIMESTAMP:
			message->timestamp = time_microseconds(column, value);
			break;
		case WEIR_META_VALUE:
			message->value = column_bytes(column, value, &message->value_len);
			break;
		case WEIR_META_TOPIC:
			topic = column_bytes(column, value, &len);
			if (len != (int32) strlen(encoder->stream->topic) ||
				memcmp(topic, encoder->stream->topic, len) != 0)
				refuse_column(encoder->stream, column);
			break;
		case WEIR_META_OFFSET:
		case WEIR_META_HEADERS:
		case WEIR_META_ERROR:
			refuse_column(encoder->stream, column);
			break;
		case WEIR_META_NONE:
			break;
	}
}

static void
encode_value(WeirEncoder *encoder, const Datum *values, const bool *isnull,
			 WeirEncoded *message)
{
	StringInfoData json;

	if (encoder->stream->format == WEIR_FORMAT_RAW)
	{
		if (encoder->raw >= 0 && !isnull[encoder->raw])
			message->value = column_bytes(&encoder->columns[encoder->raw],
										  values[encoder->raw],
										  &message->value_len);
		return;
	}
	initStringInfo(&json);
	if (!append_member(&json, encoder, &encoder->root, values, isnull))
		appendStringInfoString(&json, "{}");
	message->value = json.data;
	message->value_len = json.len;
}

void
weir_encode(WeirEncoder *encoder, const Datum *values, const bool *isnull,
			WeirEncoded *message)
{
	memset(message, 0, sizeof(WeirEncoded));
	message->partition = -1;
	message->timestamp = WEIR_NO_TIMESTAMP;
	for (int i = 0; i < encoder->ncolumns; i++)
	{
		if (encoder->columns[i].used && !isnull[i])
			encode_metadata(encoder, &encoder->columns[i], values[i], message);
	}
	if (message->value == NULL)
		encode_value(encoder, values, isnull, message);
}
