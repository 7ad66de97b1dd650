/*-------------------------------------------------------------------------
 *
 * group.c
 *	  The batch hash: partial states by pane, late bound and keys; of
 *	  sessions, by keys and session.
 *
 * The hash lives for one batch.  Equal keys with different bytes (1.0 and
 * 1.00) get two partials; every merge joins them.  Unequal keys are never
 * joined.
 *
 * Sessions are built from records in the order of time, so that the hash needs
 * the latest session of each key only, and no two states are ever merged here.
 *
 * User expressions may raise.  So a record is added in two steps: all that
 * may raise computes new states beside the old ones, then the new ones are
 * put in place.  After an error everything before the record stands.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_aggregate.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "window/group.h"
#include "window/wide.h"

/* Rows are handed to the table access method in portions of this size. */
#define FLUSH_ROWS	1000

/* Bytes of a partial's variable-width columns that surely fit a page. */
#define MAX_ROW_BYTES	(MaxHeapTupleSize - 512)

/* One part of an aggregate, ready to run. */
typedef struct PartExec
{
	ExprState  *argument;		/* NULL: count(*) */
	ExprState  *filter;
	AttrNumber	column;			/* argument is just this column, else 0 */
	bool		counts;			/* count: no call needed */
	bool		internal;		/* its state is changed in place */
	bool		strict;
	bool		by_value;
	int16		length;
	bool		init_null;
	Datum		init;
	FmgrInfo	final;
	bool		has_final;
	FunctionCallInfo call;
	/* of the record at hand */
	bool		skip;
	Datum		value;
	bool		isnull;
	Datum		new_state;
	bool		new_null;
} PartExec;

typedef struct KeyExec
{
	ExprState  *expr;
	AttrNumber	column;			/* the key is just this column, else 0 */
	bool		by_value;
	int16		length;
} KeyExec;

typedef struct StateValue
{
	Datum		value;
	bool		isnull;
	bool		fresh;			/* strict function without initial value: the
								 * first argument becomes the state */
} StateValue;

typedef struct WeirGroup
{
	uint32		hash;
	int			key_bytes;
	TimestampTz pane;			/* of a session: 0 */
	TimestampTz late_bound;		/* DT_NOBEGIN: none, as for sessions */
	TimestampTz session_start;
	TimestampTz session_end;
	char	   *key;			/* its bytes, for comparison */
	Datum	   *key_values;		/* and as datums, for the row */
	bool	   *key_nulls;
	StateValue *states;
	struct WeirGroup *next;		/* in the order they were begun */
} WeirGroup;

typedef struct GroupEntry
{
	WeirGroup  *group;
	uint32		hash;
	char		status;
} GroupEntry;

static inline bool same_group(const WeirGroup *a, const WeirGroup *b);

#define SH_PREFIX			group
#define SH_ELEMENT_TYPE		GroupEntry
#define SH_KEY_TYPE			WeirGroup *
#define SH_KEY				group
#define SH_HASH_KEY(tb, key)	((key)->hash)
#define SH_EQUAL(tb, a, b)	same_group((a), (b))
#define SH_SCOPE			static inline
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	((a)->hash)
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct WeirGroups
{
	const WeirPlan *plan;
	const WeirStream *stream;
	MemoryContext context;		/* groups and their states */
	group_hash *hash;
	WeirGroup  *all;			/* newest first */
	int64		ngroups;

	/* expressions, made anew after an error */
	EState	   *estate;
	ExprContext *econtext;		/* reset for every record */
	AggState   *aggstate;		/* what transition functions take as theirs */
	TupleTableSlot *slot;		/* the record at hand */
	ExprState  *filter;
	KeyExec    *keys;
	PartExec   *parts;

	/* the record at hand */
	bool		advancing;		/* an old group's transition is running */
	WeirGroup	probe;
	StringInfoData key;
	Datum	   *key_values;
	bool	   *key_nulls;
};

static inline bool
same_group(const WeirGroup *a, const WeirGroup *b)
{
	return a->hash == b->hash && a->pane == b->pane &&
		a->late_bound == b->late_bound && a->key_bytes == b->key_bytes &&
		memcmp(a->key, b->key, a->key_bytes) == 0;
}

/* ---------------------------------------------------------------- set up */

/* Is the expression just a column of the stream?  Its number, else 0. */
static AttrNumber
just_column(Expr *expr)
{
	if (expr != NULL && IsA(expr, Var) && ((Var *) expr)->varattno > 0)
		return ((Var *) expr)->varattno;
	return 0;
}

/* Compile an expression over the stream's columns. */
static ExprState *
compile(WeirGroups *groups, Expr *expr)
{
	return expr == NULL ? NULL : ExecPrepareExpr(expr, groups->estate);
}

static void
check_execute(Oid function)
{
	AclResult	result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* The initial state of an aggregate, as pg_aggregate has it in text. */
static void
load_initial_state(PartExec *exec, HeapTuple aggregate, Oid transtype)
{
	Datum		text_init;
	Oid			input;
	Oid			ioparam;

	text_init = SysCacheGetAttr(AGGFNOID, aggregate,
								Anum_pg_aggregate_agginitval,
								&exec->init_null);
	if (exec->init_null)
		return;
	getTypeInputInfo(transtype, &input, &ioparam);
	exec->init = OidInputFunctionCall(input, TextDatumGetCString(text_init),
									  ioparam, -1);
}

/* Look up the functions of one part, in the executor state. */
static void
prepare_part(WeirGroups *groups, const WeirPart *part, PartExec *exec)
{
	HeapTuple	tuple;
	Form_pg_aggregate aggregate;
	FmgrInfo   *transition = palloc0(sizeof(FmgrInfo));

	exec->column = just_column(part->argument);
	exec->argument = compile(groups, part->argument);
	exec->filter = compile(groups, part->filter);
	exec->counts = weir_part_is_native(part);

	check_execute(part->aggfnoid);
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(part->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", part->aggfnoid);
	aggregate = (Form_pg_aggregate) GETSTRUCT(tuple);

	exec->internal = aggregate->aggtranstype == INTERNALOID;
	get_typlenbyval(aggregate->aggtranstype, &exec->length, &exec->by_value);
	fmgr_info(aggregate->aggtransfn, transition);
	exec->strict = transition->fn_strict;
	exec->call = palloc0(SizeForFunctionCallInfo(2));
	InitFunctionCallInfoData(*exec->call, transition, 2, part->collation,
							 (Node *) groups->aggstate, NULL);
	exec->has_final = OidIsValid(aggregate->aggfinalfn);
	if (exec->has_final)
		fmgr_info(aggregate->aggfinalfn, &exec->final);
	load_initial_state(exec, tuple, aggregate->aggtranstype);
	ReleaseSysCache(tuple);
}

/* A node that makes AggCheckCallContext() give the groups' context. */
static AggState *
aggregate_context(WeirGroups *groups)
{
	AggState   *aggstate = makeNode(AggState);

	aggstate->curaggcontext = makeNode(ExprContext);
	aggstate->curaggcontext->ecxt_per_tuple_memory = groups->context;
	return aggstate;
}

/*
 * (Re)make all that runs.  After an error nothing that functions keep between
 * calls can be trusted.
 */
void
weir_groups_prepare(WeirGroups *groups)
{
	const WeirPlan *plan = groups->plan;
	MemoryContext save;

	groups->estate = CreateExecutorState();
	save = MemoryContextSwitchTo(groups->estate->es_query_cxt);
	groups->econtext = CreateExprContext(groups->estate);
	groups->aggstate = aggregate_context(groups);
	groups->slot = MakeSingleTupleTableSlot(groups->stream->tupdesc,
											&TTSOpsVirtual);

	/* full from the start: weir_groups_record() only points it to values */
	ExecStoreVirtualTuple(groups->slot);
	groups->econtext->ecxt_scantuple = groups->slot;
	groups->filter = compile(groups, plan->filter);
	groups->keys = palloc0_array(KeyExec, Max(plan->nkeys, 1));
	for (int i = 0; i < plan->nkeys; i++)
	{
		groups->keys[i].column = just_column(plan->keys[i].expr);
		groups->keys[i].expr = compile(groups, plan->keys[i].expr);
		get_typlenbyval(plan->keys[i].type, &groups->keys[i].length,
						&groups->keys[i].by_value);
	}
	groups->parts = palloc0_array(PartExec, Max(plan->nstates, 1));
	for (int i = 0; i < plan->nstates; i++)
		prepare_part(groups, &plan->states[i].part, &groups->parts[i]);
	MemoryContextSwitchTo(save);
}

WeirGroups *
weir_groups_create(const WeirPlan *plan, const WeirStream *stream)
{
	WeirGroups *groups = palloc0_object(WeirGroups);

	groups->plan = plan;
	groups->stream = stream;
	groups->context = AllocSetContextCreate(CurrentMemoryContext,
											"weir partials of a batch",
											ALLOCSET_DEFAULT_SIZES);
	groups->hash = group_create(groups->context, 1024, NULL);
	groups->key_values = palloc_array(Datum, Max(plan->nkeys, 1));
	groups->key_nulls = palloc_array(bool, Max(plan->nkeys, 1));
	initStringInfo(&groups->key);
	return groups;
}

/* ------------------------------------------------------- keys and groups */

static Datum
evaluate(WeirGroups *groups, ExprState *expr, AttrNumber column,
		 bool *isnull)
{
	if (column > 0)
	{
		*isnull = groups->slot->tts_isnull[column - 1];
		return groups->slot->tts_values[column - 1];
	}
	return ExecEvalExprSwitchContext(expr, groups->econtext, isnull);
}

/* Append the bytes of a key that tell it from others. */
static void
append_key(StringInfo key, const KeyExec *exec, Datum *value, bool isnull)
{
	appendStringInfoCharMacro(key, isnull ? 1 : 0);
	if (isnull)
		return;
	if (exec->by_value)
		appendBinaryStringInfo(key, (char *) value, sizeof(Datum));
	else if (exec->length == -1)
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(*value);
		int32		length = VARSIZE_ANY_EXHDR(packed);

		*value = PointerGetDatum(packed);
		appendBinaryStringInfo(key, (char *) &length, sizeof(length));
		appendBinaryStringInfo(key, VARDATA_ANY(packed), length);
	}
	else
	{
		int32		length = exec->length > 0 ? exec->length :
			strlen(DatumGetCString(*value)) + 1;

		appendBinaryStringInfo(key, DatumGetPointer(*value), length);
	}
}

/* Evaluate the keys of the record at hand into groups->probe. */
static void
evaluate_keys(WeirGroups *groups, TimestampTz pane, TimestampTz late_bound)
{
	WeirGroup  *probe = &groups->probe;

	resetStringInfo(&groups->key);
	for (int i = 0; i < groups->plan->nkeys; i++)
	{
		KeyExec    *exec = &groups->keys[i];

		groups->key_values[i] = evaluate(groups, exec->expr, exec->column,
										 &groups->key_nulls[i]);
		append_key(&groups->key, exec, &groups->key_values[i],
				   groups->key_nulls[i]);
	}
	probe->pane = pane;
	probe->late_bound = late_bound;
	probe->key = groups->key.data;
	probe->key_bytes = groups->key.len;
	probe->hash = hash_combine(hash_bytes((unsigned char *) probe->key,
										  probe->key_bytes),
							   murmurhash32((uint32) (pane / 1000000) ^
											(uint32) late_bound));
}

/* A group with the probe's key and fresh states, not in the hash yet. */
static WeirGroup *
begin_group(WeirGroups *groups)
{
	const WeirPlan *plan = groups->plan;
	WeirGroup  *probe = &groups->probe;
	MemoryContext save = MemoryContextSwitchTo(groups->context);
	WeirGroup  *group = palloc_object(WeirGroup);

	*group = *probe;
	group->key = memcpy(palloc(Max(probe->key_bytes, 1)), probe->key,
						probe->key_bytes);
	group->key_values = palloc_array(Datum, Max(plan->nkeys, 1));
	group->key_nulls = palloc_array(bool, Max(plan->nkeys, 1));
	for (int i = 0; i < plan->nkeys; i++)
	{
		group->key_nulls[i] = groups->key_nulls[i];
		if (!group->key_nulls[i])
			group->key_values[i] = datumCopy(groups->key_values[i],
											 groups->keys[i].by_value,
											 groups->keys[i].length);
	}
	group->states = palloc_array(StateValue, Max(plan->nstates, 1));
	for (int i = 0; i < plan->nstates; i++)
	{
		PartExec   *exec = &groups->parts[i];

		group->states[i].isnull = exec->init_null;
		group->states[i].fresh = exec->init_null;
		group->states[i].value = exec->init_null ? (Datum) 0 :
			datumCopy(exec->init, exec->by_value, exec->length);
	}
	MemoryContextSwitchTo(save);
	return group;
}

static void
add_group(WeirGroups *groups, WeirGroup *group)
{
	bool		found;

	group_insert_hash(groups->hash, group, group->hash, &found);
	Assert(!found);
	group->next = groups->all;
	groups->all = group;
	groups->ngroups++;
}

/* ------------------------------------------------------------ transitions */

/* Evaluate what the parts take from the record at hand. */
static void
evaluate_arguments(WeirGroups *groups)
{
	for (int i = 0; i < groups->plan->nstates; i++)
	{
		PartExec   *exec = &groups->parts[i];
		bool		isnull;

		exec->skip = false;
		if (exec->filter != NULL)
		{
			Datum		passes = ExecEvalExprSwitchContext(exec->filter,
														   groups->econtext,
														   &isnull);

			exec->skip = isnull || !DatumGetBool(passes);
			if (exec->skip)
				continue;
		}
		exec->isnull = false;
		if (exec->argument != NULL)
			exec->value = evaluate(groups, exec->argument, exec->column,
								   &exec->isnull);
		if (exec->isnull && (exec->strict || exec->counts))
			exec->skip = true;
	}
}

/* Compute the new state of one part beside the old one. */
static void
advance_part(WeirGroups *groups, PartExec *exec, const StateValue *state)
{
	FunctionCallInfo call = exec->call;

	if (exec->counts)
	{
		exec->new_state = Int64GetDatum(DatumGetInt64(state->value) + 1);
		exec->new_null = false;
		return;
	}
	if (exec->strict && state->isnull)
	{
		/* without a state: the first argument becomes it, or it stays NULL */
		exec->new_null = !state->fresh;
		exec->new_state = exec->value;
		return;
	}
	call->args[0].value = state->value;
	call->args[0].isnull = state->isnull;
	call->args[1].value = exec->value;
	call->args[1].isnull = exec->isnull;
	call->isnull = false;
	exec->new_state = FunctionCallInvoke(call);
	exec->new_null = call->isnull;
}

/* Put the new state of one part in place of the old one; does not raise. */
static void
keep_part(WeirGroups *groups, const PartExec *exec, StateValue *state)
{
	Datum		old = state->value;
	bool		old_null = state->isnull;

	state->isnull = exec->new_null;
	state->fresh = false;
	if (exec->by_value || exec->internal || exec->new_null)
		state->value = exec->new_state;
	else if (old_null || DatumGetPointer(exec->new_state) != DatumGetPointer(old))
	{
		MemoryContext save = MemoryContextSwitchTo(groups->context);

		state->value = datumCopy(exec->new_state, false, exec->length);
		MemoryContextSwitchTo(save);
		if (!old_null)
			pfree(DatumGetPointer(old));
	}
}

/*
 * Refuse a record whose own keys and states would not fit a page.  What others
 * have added to the group does not matter: see wide.c.
 */
static void
check_row_fits(WeirGroups *groups, const WeirGroup *group)
{
	Size		bytes = group->key_bytes;

	for (int i = 0; i < groups->plan->nstates; i++)
	{
		PartExec   *exec = &groups->parts[i];

		if (!exec->skip && !exec->internal && !exec->new_null &&
			exec->length == -1)
			bytes += VARSIZE_ANY(DatumGetPointer(exec->new_state));
	}
	if (bytes > MAX_ROW_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("keys and states of %zu bytes do not fit a page",
						bytes)));
}

/*
 * Advance a group by the record at hand.  States that are changed in place
 * come last: their functions raise, if they do, before they change anything.
 */
static void
advance_group(WeirGroups *groups, WeirGroup *group)
{
	int			nstates = groups->plan->nstates;
	MemoryContext save;

	save = MemoryContextSwitchTo(groups->econtext->ecxt_per_tuple_memory);
	for (int i = 0; i < nstates; i++)
	{
		if (!groups->parts[i].skip && !groups->parts[i].internal)
			advance_part(groups, &groups->parts[i], &group->states[i]);
	}
	check_row_fits(groups, group);
	for (int i = 0; i < nstates; i++)
	{
		if (!groups->parts[i].skip && groups->parts[i].internal)
			advance_part(groups, &groups->parts[i], &group->states[i]);
	}
	MemoryContextSwitchTo(save);
	for (int i = 0; i < nstates; i++)
	{
		if (!groups->parts[i].skip)
			keep_part(groups, &groups->parts[i], &group->states[i]);
	}
}

/* ---------------------------------------------------------- the interface */

void
weir_groups_record(WeirGroups *groups, const WeirRecord *record)
{
	ResetExprContext(groups->econtext);
	groups->slot->tts_values = record->values;
	groups->slot->tts_isnull = record->isnull;
}

bool
weir_groups_filter(WeirGroups *groups)
{
	bool		isnull;
	Datum		passes;

	if (groups->filter == NULL)
		return true;
	passes = ExecEvalExprSwitchContext(groups->filter, groups->econtext,
									   &isnull);
	return !isnull && DatumGetBool(passes);
}

/* The group of the probe's key, or NULL. */
static GroupEntry *
lookup(WeirGroups *groups)
{
	return group_lookup_hash(groups->hash, &groups->probe,
							 groups->probe.hash);
}

/*
 * Add the record at hand to the group that was found, if one was; fresh: to a
 * new one that takes its place.
 */
static WeirGroup *
add_to_group(WeirGroups *groups, GroupEntry *entry, bool fresh)
{
	WeirGroup  *group;

	evaluate_arguments(groups);
	if (entry != NULL && !fresh)
	{
		groups->advancing = true;
		advance_group(groups, entry->group);
		groups->advancing = false;
		return entry->group;
	}
	group = begin_group(groups);
	advance_group(groups, group);
	if (entry != NULL)
		group_delete(groups->hash, &groups->probe);
	add_group(groups, group);
	return group;
}

void
weir_groups_add(WeirGroups *groups, TimestampTz pane, TimestampTz late_bound,
				bool fresh)
{
	evaluate_keys(groups, pane, late_bound);
	(void) add_to_group(groups, lookup(groups), fresh);
}

void
weir_groups_add_session(WeirGroups *groups, TimestampTz t, bool fresh)
{
	const WeirWindow *window = &groups->plan->window;
	GroupEntry *entry;
	WeirGroup  *group;

	evaluate_keys(groups, 0, DT_NOBEGIN);
	groups->probe.session_start = t;
	entry = lookup(groups);
	if (entry != NULL &&
		!weir_window_session_takes(window, entry->group->session_end, t))
		fresh = true;
	group = add_to_group(groups, entry, fresh);
	group->session_end = weir_window_session_end(window, t);
}

bool
weir_groups_was_advancing(WeirGroups *groups)
{
	bool		was = groups->advancing;

	groups->advancing = false;
	return was;
}

/* ------------------------------------------------------------------ flush */

/* The final value of a state, in the current memory context. */
static Datum
final_value(WeirGroups *groups, int part, const StateValue *state,
			bool *isnull)
{
	PartExec   *exec = &groups->parts[part];
	const WeirPart *planned = &groups->plan->states[part].part;

	LOCAL_FCINFO(fcinfo, 1);
	Datum		result;

	*isnull = state->isnull;
	if (!exec->has_final)
		return state->value;
	if (state->isnull && exec->final.fn_strict)
		return (Datum) 0;
	InitFunctionCallInfoData(*fcinfo, &exec->final, 1, planned->collation,
							 (Node *) groups->aggstate, NULL);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = state->isnull;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/* A group as a row of a segment: see weir_plan_partial_columns. */
static void
store_group(WeirGroups *groups, const WeirGroup *group, TupleTableSlot *slot)
{
	const WeirPlan *plan = groups->plan;
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;

	ExecClearTuple(slot);
	if (plan->window.kind == WEIR_SESSION)
	{
		*values++ = TimestampTzGetDatum(group->session_start);
		*nulls++ = false;
		*values++ = TimestampTzGetDatum(group->session_end);
		*nulls++ = false;
	}
	else
	{
		*values++ = TimestampTzGetDatum(group->pane);
		*nulls++ = false;
		*values++ = TimestampTzGetDatum(group->late_bound);
		*nulls++ = group->late_bound == DT_NOBEGIN;
	}
	for (int i = 0; i < plan->nkeys; i++)
	{
		*values++ = group->key_values[i];
		*nulls++ = group->key_nulls[i];
	}
	for (int i = 0; i < plan->nstates; i++)
	{
		*values++ = final_value(groups, i, &group->states[i], nulls);
		nulls++;
	}
	ExecStoreVirtualTuple(slot);
}

/* The row type of a segment of this plan. */
static TupleDesc
partial_desc(const WeirPlan *plan)
{
	int			n;
	WeirOutput *columns = weir_plan_partial_columns(plan, &n);
	TupleDesc	desc = CreateTemplateTupleDesc(n);

	for (int i = 0; i < n; i++)
		TupleDescInitEntry(desc, i + 1, columns[i].name, columns[i].type,
						   columns[i].typmod, 0);
	return desc;
}

int64
weir_groups_measure(WeirGroups *groups, int64 *bytes)
{
	TupleDesc	desc = partial_desc(groups->plan);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "weir partial row",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext save = MemoryContextSwitchTo(row);

	*bytes = 0;
	for (WeirGroup *group = groups->all; group != NULL; group = group->next)
	{
		store_group(groups, group, slot);
		*bytes += MAXALIGN(SizeofHeapTupleHeader +
						   BITMAPLEN(desc->natts)) + sizeof(ItemIdData) +
			MAXALIGN(heap_compute_data_size(desc, slot->tts_values,
											slot->tts_isnull));
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(save);
	ExecDropSingleTupleTableSlot(slot);
	return groups->ngroups;
}

int64
weir_groups_flush(WeirGroups *groups, Relation segment)
{
	TupleTableSlot **slots;
	MemoryContext rows;
	MemoryContext save;
	WeirGroup  *group = groups->all;

	rows = AllocSetContextCreate(CurrentMemoryContext, "weir partial rows",
								 ALLOCSET_DEFAULT_SIZES);
	slots = palloc_array(TupleTableSlot *, FLUSH_ROWS);
	for (int i = 0; i < FLUSH_ROWS; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(segment),
											&TTSOpsVirtual);
	save = MemoryContextSwitchTo(rows);
	while (group != NULL)
	{
		int			n = 0;

		MemoryContextReset(rows);
		for (; group != NULL && n < FLUSH_ROWS; group = group->next)
		{
			store_group(groups, group, slots[n]);
			if (weir_wide_row(segment, slots[n]))
				weir_wide_insert(groups->plan, segment, slots[n]);
			else
				n++;
		}
		if (n > 0)
			table_multi_insert(segment, slots, n, GetCurrentCommandId(true),
							   0, NULL);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(save);
	for (int i = 0; i < FLUSH_ROWS; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	MemoryContextDelete(rows);
	FreeExecutorState(groups->estate);
	groups->estate = NULL;
	return groups->ngroups;
}
