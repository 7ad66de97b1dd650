/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  The text of a value into a datum, without ever raising an error.
 *
 * Each conversion gives what the type's input function gives, puts the
 * decision off to that function, or refuses with the function's SQLSTATE.
 * Three kinds are read more strictly than PostgreSQL does:
 *
 *	- timestamptz, timestamp and date take RFC 3339 with or without zone (then
 *	  the stream's), or numbers in the column's unit.  timestamp and date are
 *	  what the stream's timezone shows at that instant.
 *	- float and numeric values are finite; the caller sees to that after the
 *	  input function, too
 *	- every text is valid UTF-8, and so is the database
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "source/convert.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

static int
parse_error(WeirParse parse, int syntax_error, int range_error)
{
	switch (parse)
	{
		case WEIR_PARSE_OK:
			return WEIR_CONVERT_DONE;
		case WEIR_PARSE_BAD_SYNTAX:
			return syntax_error;
		case WEIR_PARSE_OUT_OF_RANGE:
			return range_error;
		case WEIR_PARSE_FALLBACK:
			break;
	}
	return WEIR_CONVERT_PUT_OFF;
}

static int
number_error(WeirParse parse)
{
	return parse_error(parse, ERRCODE_INVALID_TEXT_REPRESENTATION,
					   ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

static int
time_error(WeirParse parse)
{
	return parse_error(parse, ERRCODE_INVALID_DATETIME_FORMAT,
					   ERRCODE_DATETIME_FIELD_OVERFLOW);
}

static int
convert_int2(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	int16		value = 0;
	int			outcome = number_error(weir_value_parse_int16(text, len, &value));

	*result = Int16GetDatum(value);
	return outcome;
}

static int
convert_int4(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	int32		value = 0;
	int			outcome = number_error(weir_value_parse_int32(text, len, &value));

	*result = Int32GetDatum(value);
	return outcome;
}

static int
convert_int8(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	int64_t		value = 0;
	int			outcome = number_error(weir_value_parse_int64(text, len, &value));

	*result = Int64GetDatum(value);
	return outcome;
}

static int
convert_float4(WeirConversion *conversion, const char *text, size_t len,
			   Datum *result)
{
	float		value = 0;
	int			outcome = number_error(weir_value_parse_float4(text, len, &value));

	*result = Float4GetDatum(value);
	return outcome;
}

static int
convert_float8(WeirConversion *conversion, const char *text, size_t len,
			   Datum *result)
{
	double		value = 0;
	int			outcome = number_error(weir_value_parse_float8(text, len, &value));

	*result = Float8GetDatum(value);
	return outcome;
}

/* A value of numeric(precision, scale), if it needs no rounding. */
static bool
fit_decimal(WeirDecimal *decimal, int32 typmod)
{
	int			precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	int			scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	int64		bound = 1;

	if (decimal->scale > scale || precision > 18)
		return false;
	for (; decimal->scale < scale; decimal->scale++)
		if (pg_mul_s64_overflow(decimal->mantissa, 10, &decimal->mantissa))
			return false;
	for (int i = 0; i < precision; i++)
		bound *= 10;
	return decimal->mantissa > -bound && decimal->mantissa < bound;
}

static int
convert_numeric(WeirConversion *conversion, const char *text, size_t len,
				Datum *result)
{
	WeirDecimal decimal;
	int			outcome = number_error(weir_value_parse_decimal(text, len,
																&decimal));

	if (outcome != WEIR_CONVERT_DONE)
		return outcome;
	if (conversion->typmod >= 0 && !fit_decimal(&decimal, conversion->typmod))
		return WEIR_CONVERT_PUT_OFF;
	*result = NumericGetDatum(decimal.scale == 0 ?
							  int64_to_numeric(decimal.mantissa) :
							  int64_div_fast_to_numeric(decimal.mantissa,
														decimal.scale));
	return WEIR_CONVERT_DONE;
}

static int
convert_bool(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	bool		value = false;
	int			outcome = number_error(weir_value_parse_bool(text, len, &value));

	*result = BoolGetDatum(value);
	return outcome;
}

static int
convert_text(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	/* as many bytes are at most as many characters */
	if (conversion->typmod >= 0 && len + VARHDRSZ > conversion->typmod)
		return WEIR_CONVERT_PUT_OFF;
	*result = PointerGetDatum(cstring_to_text_with_len(text, len));
	return WEIR_CONVERT_DONE;
}

/* char(n) is padded by its input function. */
static int
convert_bpchar(WeirConversion *conversion, const char *text, size_t len,
			   Datum *result)
{
	if (conversion->typmod >= 0)
		return WEIR_CONVERT_PUT_OFF;
	return convert_text(conversion, text, len, result);
}

static int
convert_uuid(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	*result = UUIDPGetDatum(uuid);
	return number_error(weir_value_parse_uuid(text, len, uuid->data));
}

/* The instant at which the stream's timezone shows a local time. */
static bool
local_to_instant(WeirStream *stream, Timestamp local, TimestampTz *instant)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	long		fixed;

	if (pg_get_timezone_offset(stream->timezone, &fixed))
	{
		*instant = local - fixed * USECS_PER_SEC;
		return true;
	}
	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	offset = DetermineTimeZoneOffset(&tm, stream->timezone);
	return tm2timestamp(&tm, fsec, &offset, instant) == 0;
}

/* What the stream's timezone shows at an instant. */
static bool
instant_to_local(WeirStream *stream, TimestampTz instant, Timestamp *local)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	long		fixed;

	if (pg_get_timezone_offset(stream->timezone, &fixed))
	{
		*local = instant + fixed * USECS_PER_SEC;
		return true;
	}
	return timestamp2tm(instant, &offset, &tm, &fsec, NULL,
						stream->timezone) == 0 &&
		tm2timestamp(&tm, fsec, NULL, local) == 0;
}

/* An RFC 3339 text, or a number in the column's unit. */
static int
read_time(WeirConversion *conversion, const char *text, size_t len, int64 *time,
		  bool *has_zone)
{
	int64_t		value = 0;
	WeirParse	parse;

	if (conversion->unit != WEIR_UNIT_NONE)
	{
		parse = weir_value_parse_epoch(text, len, conversion->unit, &value);
		if (parse != WEIR_PARSE_BAD_SYNTAX)
		{
			*time = value;
			*has_zone = true;
			return time_error(parse);
		}
	}
	parse = weir_value_parse_timestamp(text, len, &value, has_zone);
	*time = value;
	return time_error(parse);
}

static int
convert_timestamptz(WeirConversion *conversion, const char *text, size_t len,
					Datum *result)
{
	TimestampTz instant;
	bool		has_zone;
	int			outcome = read_time(conversion, text, len, &instant, &has_zone);

	if (outcome != WEIR_CONVERT_DONE)
		return outcome;
	if (!has_zone && !local_to_instant(conversion->stream, instant, &instant))
		return ERRCODE_DATETIME_FIELD_OVERFLOW;
	*result = TimestampTzGetDatum(instant);
	if (conversion->typmod >= 0)
		*result = DirectFunctionCall2(timestamptz_scale, *result,
									  Int32GetDatum(conversion->typmod));
	return WEIR_CONVERT_DONE;
}

static int
convert_timestamp(WeirConversion *conversion, const char *text, size_t len,
				  Datum *result)
{
	Timestamp	local;
	bool		has_zone;
	int			outcome = read_time(conversion, text, len, &local, &has_zone);

	if (outcome != WEIR_CONVERT_DONE)
		return outcome;
	if (has_zone && !instant_to_local(conversion->stream, local, &local))
		return ERRCODE_DATETIME_FIELD_OVERFLOW;
	*result = TimestampGetDatum(local);
	if (conversion->typmod >= 0)
		*result = DirectFunctionCall2(timestamp_scale, *result,
									  Int32GetDatum(conversion->typmod));
	return WEIR_CONVERT_DONE;
}

/* A day alone, or the day of a timestamp. */
static int
convert_date(WeirConversion *conversion, const char *text, size_t len,
			 Datum *result)
{
	static const char midnight[] = "T00:00";
	char		buffer[10 + sizeof(midnight)];
	Timestamp	local;
	bool		has_zone;
	int			outcome;

	if (len == 10 && text[4] == '-')
	{
		memcpy(buffer, text, len);
		strcpy(buffer + len, midnight);
		text = buffer;

		len += strlen(midnight);
	}
	outcome = read_time(conversion, text, len, &local, &has_zone);
	if (outcome != WEIR_CONVERT_DONE)
		return outcome;
	if (has_zone && !instant_to_local(conversion->stream, local, &local))
		return ERRCODE_DATETIME_FIELD_OVERFLOW;

	/* to the day before, also before 2000; a double would not be exact */
	if (local < 0)
		local -= USECS_PER_DAY - 1;
	*result = DateADTGetDatum((DateADT) (local / USECS_PER_DAY));
	return WEIR_CONVERT_DONE;
}

static int
convert_bytes(WeirConversion *conversion, const char *text, size_t len,
			  Datum *result)
{
	*result = PointerGetDatum(cstring_to_text_with_len(text, len));
	return WEIR_CONVERT_DONE;
}

/* The scan has seen that jsonb takes it. */
static int
convert_jsonb(WeirConversion *conversion, const char *text, size_t len,
			  Datum *result)
{
	*result = DirectFunctionCall1(jsonb_in,
								  CStringGetDatum(pnstrdup(text, len)));
	return WEIR_CONVERT_DONE;
}

static int
convert_other(WeirConversion *conversion, const char *text, size_t len,
			  Datum *result)
{
	return WEIR_CONVERT_PUT_OFF;
}

WeirConvert
weir_convert_find(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return convert_int2;
		case INT4OID:
			return convert_int4;
		case INT8OID:
			return convert_int8;
		case FLOAT4OID:
			return convert_float4;
		case FLOAT8OID:
			return convert_float8;
		case NUMERICOID:
			return convert_numeric;
		case BOOLOID:
			return convert_bool;
		case TEXTOID:
		case VARCHAROID:
			return convert_text;
		case BPCHAROID:
			return convert_bpchar;
		case UUIDOID:
			return convert_uuid;
		case TIMESTAMPTZOID:
			return convert_timestamptz;
		case TIMESTAMPOID:
			return convert_timestamp;
		case DATEOID:
			return convert_date;
		case JSONOID:
			return convert_bytes;
		case JSONBOID:
			return convert_jsonb;
		default:
			return convert_other;
	}
}
