/*-------------------------------------------------------------------------
 *
 * wide.c
 *	  Partials that are too wide for a page.
 *
 * A segment has no toast, and each record's own keys and states fit a page.
 * But states of one group can come from several records, and a sum of
 * numerics has all digits from the first of the greatest to the last of the
 * smallest: 1e20000 and 1.5, of a few bytes each, have a sum of 10 kB.
 *
 * NULL is neutral to every merge, and so is it to write a sum as its addends.
 * So a row that is too wide becomes several with the same keys: each holds
 * some of the states, and a sum that does not fit by itself is cut by its
 * digits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"

#include "window/wide.h"

/* Bytes of a numeric beside its digits, those cut in two at its ends too. */
#define NUMERIC_OVERHEAD	32

/* A row that is too wide, and the one that takes the next part of it. */
typedef struct Split
{
	Relation	segment;
	TupleTableSlot *whole;
	TupleTableSlot *row;
	int			first_state;	/* behind window and keys */
	bool		empty;			/* row has no state yet */
} Split;

/* Bytes that a row takes on a page. */
static Size
row_bytes(Relation segment, TupleTableSlot *slot)
{
	TupleDesc	desc = RelationGetDescr(segment);

	return MAXALIGN(MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(desc->natts)) +
					heap_compute_data_size(desc, slot->tts_values,
										   slot->tts_isnull));
}

bool
weir_wide_row(Relation segment, TupleTableSlot *slot)
{
	return row_bytes(segment, slot) > MaxHeapTupleSize;
}

/* Begin a row with the window and keys, and no state. */
static void
begin_row(Split *split)
{
	int			natts = split->row->tts_tupleDescriptor->natts;

	ExecClearTuple(split->row);
	memcpy(split->row->tts_values, split->whole->tts_values,
		   sizeof(Datum) * natts);
	memcpy(split->row->tts_isnull, split->whole->tts_isnull,
		   sizeof(bool) * natts);
	for (int i = split->first_state; i < natts; i++)
		split->row->tts_isnull[i] = true;
	split->empty = true;
}

/* Append the row, and begin the next. */
static void
append_row(Split *split)
{
	ExecStoreVirtualTuple(split->row);
	table_tuple_insert(split->segment, split->row, GetCurrentCommandId(true), 0,
					   NULL);
	begin_row(split);
}

/* Put a state into the row; false if there is no room for it. */
static bool
put_state(Split *split, int state)
{
	split->row->tts_isnull[state] = split->whole->tts_isnull[state];
	if (weir_wide_row(split->segment, split->row))
	{
		split->row->tts_isnull[state] = true;
		return false;
	}
	split->empty &= split->row->tts_isnull[state];
	return true;
}

/* The digits [from, to) of a number as numeric_out() writes it. */
static Datum
addend(const char *sum, int before, int from, int to)
{
	const char *digits = sum + (*sum == '-');
	StringInfoData number;

	initStringInfo(&number);
	if (*sum == '-')
		appendStringInfoChar(&number, '-');
	for (int i = from; i < to; i++)
		appendStringInfoChar(&number, digits[i + (i >= before)]);
	appendStringInfo(&number, "e%d", before - to);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(number.data),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/*
 * Append rows with the addends of a sum, to the empty row.  The last one has
 * the scale of the sum.
 */
static void
append_addends(Split *split, int state)
{
	char	   *sum = DatumGetCString(DirectFunctionCall1(numeric_out,
														  split->whole->tts_values[state]));
	const char *digits = sum + (*sum == '-');
	int			before = strcspn(digits, ".");
	int			ndigits = strlen(digits) - (digits[before] == '.');
	int			room = (int) MaxHeapTupleSize - NUMERIC_OVERHEAD -
		(int) row_bytes(split->segment, split->row);
	int			step = Max(2 * room, 4);	/* four digits take two bytes */

	for (int from = 0; from < ndigits; from += step)
	{
		split->row->tts_values[state] = addend(sum, before, from,
											   Min(from + step, ndigits));
		split->row->tts_isnull[state] = false;
		append_row(split);
	}
}

/* Append a state that does not fit the row, or put it into the next one. */
static void
split_before(Split *split, const WeirPlan *plan, int state)
{
	int			i = state - split->first_state;

	if (!split->empty)
		append_row(split);
	if (put_state(split, state))
		return;
	if (plan->states[i].part.aggfnoid != F_SUM_NUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("keys and state \"%s\" do not fit a page",
						plan->states[i].name)));
	append_addends(split, state);
}

void
weir_wide_insert(const WeirPlan *plan, Relation segment, TupleTableSlot *slot)
{
	TupleDesc	desc = RelationGetDescr(segment);
	Split		split = {
		.segment = segment,
		.whole = slot,
		.row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual),
		.first_state = desc->natts - plan->nstates
	};

	begin_row(&split);
	for (int i = split.first_state; i < desc->natts; i++)
	{
		if (!put_state(&split, i))
			split_before(&split, plan, i);
	}
	if (!split.empty)
		append_row(&split);
	ExecDropSingleTupleTableSlot(split.row);
}
