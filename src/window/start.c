/*-------------------------------------------------------------------------
 *
 * start.c
 *	  weir.start: where a continuous view begins to read.
 *
 * A timestamp T reads from the earliest offset whose Kafka timestamp is at
 * least T - watermark_delay: a record that counts for a window from T on can
 * not be older in the log, as far as the stream keeps to its disorder.
 * Sessions are made of the records from T on.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/usercontext.h"
#include "window/start.h"
#include "window/watermark.h"

static void
refuse(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"weir.start\": \"%s\"", text),
			 errhint("Use earliest, latest, a timestamp, or offsets for each"
					 " partition such as {\"0\": 17, \"1\": 4}.")));
}

static int32
parse_partition(const char *text, const char *digits)
{
	if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		refuse(text);
	return pg_strtoint32(digits);
}

/* A whole number, which numeric_int8() would make of any. */
static int64
parse_offset(const char *text, Numeric number)
{
	int64		offset = DatumGetInt64(DirectFunctionCall1(numeric_int8,
														   NumericGetDatum(number)));

	if (offset < 0 ||
		!DatumGetBool(DirectFunctionCall2(numeric_eq,
										  NumericGetDatum(number),
										  DirectFunctionCall1(int8_numeric,
															  Int64GetDatum(offset)))))
		refuse(text);
	return offset;
}

/* {"partition": offset, ...} */
static void
parse_offsets(const char *text, WeirStart *start)
{
	Jsonb	   *json;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	WeirPosition *position = NULL;

	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(text)));
	if (!JB_ROOT_IS_OBJECT(json))
		refuse(text);
	start->offsets = palloc_array(WeirPosition, JB_ROOT_COUNT(json) + 1);
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			position = &start->offsets[start->noffsets++];
			position->partition =
				parse_partition(text, pnstrdup(value.val.string.val,
											   value.val.string.len));
		}
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvNumeric)
				refuse(text);
			position->offset = parse_offset(text, value.val.numeric);
		}
	}
}

WeirStart *
weir_start_parse(const char *text)
{
	WeirStart  *start = palloc0_object(WeirStart);

	if (pg_strcasecmp(text, "earliest") == 0)
		start->kind = WEIR_START_EARLIEST;
	else if (pg_strcasecmp(text, "latest") == 0)
		start->kind = WEIR_START_LATEST;
	else if (text[strspn(text, " \t\n\r")] == '{')
	{
		start->kind = WEIR_START_OFFSETS;
		parse_offsets(text, start);
	}
	else
	{
		start->kind = WEIR_START_TIMESTAMP;
		start->timestamp =
			DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													CStringGetDatum(text),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
		if (TIMESTAMP_NOT_FINITE(start->timestamp))
			refuse(text);
	}
	return start;
}

WeirStart *
weir_start_of_view(const WeirView *view)
{
	WeirUserContext user;
	WeirStart  *start;

	weir_user_enter(&user, view->owner, view->settings);
	start = weir_start_parse(view->start);
	weir_user_leave(&user);
	return start;
}

TimestampTz
weir_start_bound(const WeirStart *start, const WeirPlan *plan)
{
	if (start->kind != WEIR_START_TIMESTAMP)
		return DT_NOBEGIN;
	if (plan->window.kind == WEIR_SESSION)
		return start->timestamp - 1;
	return weir_window_end(&plan->window,
						   weir_window_last(&plan->window,
											start->timestamp - 1));
}

void
weir_start_resolve(const WeirStart *start, const WeirStream *stream,
				   WeirSource *source, int n, int64 *offsets)
{
	for (int p = 0; p < n; p++)
	{
		WeirEnds	ends;

		if (start->kind == WEIR_START_TIMESTAMP)
		{
			offsets[p] =
				weir_source_offset_at(source, p,
									  weir_time_minus(start->timestamp,
													  stream->watermark_delay));
			continue;
		}
		if (!weir_source_ends(source, p, &ends))
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not learn the offsets of partition %d of"
							" topic \"%s\"", p, stream->topic)));
		offsets[p] = start->kind == WEIR_START_LATEST ? ends.stable : ends.low;
		for (int i = 0; i < start->noffsets; i++)
		{
			if (start->offsets[i].partition == p)
				offsets[p] = start->offsets[i].offset;
		}
	}
}
