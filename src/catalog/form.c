/*-------------------------------------------------------------------------
 *
 * form.c
 *	  Column values of the extension's tables from C values, and back.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/form.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/*
 * An array of the strings of a list.
 */
Datum
weir_form_strings(List *strings)
{
	Datum	   *elements = palloc((list_length(strings) + 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, strings)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * The strings of an array without NULLs.
 */
List *
weir_deform_strings(Datum array)
{
	List	   *strings = NIL;
	Datum	   *elements;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		strings = lappend(strings, TextDatumGetCString(elements[i]));
	return strings;
}

Datum
weir_form_exact(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

int64
weir_deform_exact(Datum interval)
{
	const Interval *value = DatumGetIntervalP(interval);

	return value->time + value->day * USECS_PER_DAY;
}

Datum
weir_form_interval(const char *string)
{
	return DirectFunctionCall3(interval_in, CStringGetDatum(string),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

char *
weir_deform_interval(Datum interval)
{
	struct pg_itm fields;
	char		buffer[MAXDATELEN + 1];

	interval2itm(*DatumGetIntervalP(interval), &fields);
	EncodeInterval(&fields, INTSTYLE_POSTGRES, buffer);
	return pstrdup(buffer);
}
