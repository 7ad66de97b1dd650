/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  From the analysed query of a continuous view to what a reader computes.
 *
 * A query that can be kept up to date has this form:
 *
 *		SELECT	 expressions over keys, window columns and aggregates
 *		FROM	 a stream, weir.tumble(event time, constants ...) or the like
 *		WHERE	 condition over the stream
 *		GROUP BY window_start, window_end, keys over the stream
 *		HAVING	 condition over keys, window columns and aggregates
 *
 * Keys, arguments and conditions on the stream are evaluated once, by the
 * reader, under the settings that the view recorded: they may be stable.
 * What is above the aggregates is evaluated when a window closes, but while
 * it is open by whoever reads the view: it must be immutable, or an open
 * window could look different from the closed one.  Everything else is
 * refused with its position, the reason and a way out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_func.h"
#include "parser/parse_param.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "rewrite/rewriteSupport.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "window/check.h"
#include "window/functions.h"
#include "window/plan.h"

#define WINDOW_START_ATTNO	1
#define WINDOW_END_ATTNO	2

/* ---------------------------------------------------------------------
 * The window
 * ---------------------------------------------------------------------
 */

/* The time argument must be the event time, or lateness means nothing. */
static void
check_time_argument(WeirPlanner *planner, Node *argument)
{
	AttrNumber	attnum = weir_stream_get(planner->plan->stream)->event_time;
	Var		   *var = (Var *) argument;

	if (attnum == InvalidAttrNumber)
		weir_check_refuse(planner, exprLocation(argument),
						  "a window over a stream without an event time column is",
						  "The stream has neither the option event_time nor a column with metadata 'timestamp'.",
						  "Name the event time with ALTER FOREIGN TABLE ... OPTIONS (ADD event_time 'column').");
	if (!IsA(var, Var) || var->varno != planner->stream_rti ||
		var->varlevelsup != 0 || var->varattno != attnum)
		weir_check_refuse(planner, exprLocation(argument), "this time of a window is",
						  psprintf("Windows of this stream are made of its event time, column \"%s\".",
								   get_attname(planner->plan->stream, attnum, false)),
						  "Use that column, or declare another stream over the same topic with another event_time.");
	planner->plan->time = attnum;
}

/* An error in the arguments of the window points at its call. */
static void
window_error_callback(void *arg)
{
	const WeirPlanner *planner = arg;

	(void) weir_check_position(planner, planner->location);
}

static const void *
argument_value(WeirPlanner *planner, int i)
{
	Const	   *argument = list_nth_node(Const, planner->plan->window_args, i);

	return argument->constisnull ? NULL :
		DatumGetPointer(argument->constvalue);
}

/* Make the window of its constant arguments, or raise what is wrong. */
static void
make_window(WeirPlanner *planner)
{
	WeirPlan   *plan = planner->plan;
	bool		two = plan->window.kind != WEIR_TUMBLE; /* spans */
	ErrorContextCallback callback;

	callback.callback = window_error_callback;
	callback.arg = planner;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (plan->window.kind == WEIR_SESSION)
		weir_session_from_args(&plan->window, argument_value(planner, 0),
							   argument_value(planner, 1));
	else
	{
		Const	   *origin = llast_node(Const, plan->window_args);
		Timestamp	local = origin->constisnull ? 0 :
			DatumGetTimestamp(origin->constvalue);

		weir_window_from_args(&plan->window, plan->window.kind,
							  argument_value(planner, 0),
							  two ? argument_value(planner, 1) : NULL,
							  argument_value(planner, two ? 2 : 1),
							  origin->constisnull ? NULL : &local);
	}
	error_context_stack = callback.previous;
}

/* The window: the event time, and constant arguments. */
static void
plan_window(WeirPlanner *planner)
{
	RangeTblEntry *rte = rt_fetch(planner->window_rti,
								  planner->query->rtable);
	Node	   *expr;
	FuncExpr   *call;
	ListCell   *lc;

	expr = linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	call = castNode(FuncExpr, eval_const_expressions(NULL, expr));
	check_time_argument(planner, linitial(call->args));

	planner->plan->window_rti = planner->window_rti;
	planner->plan->window_args = list_copy_tail(call->args, 1);
	foreach(lc, planner->plan->window_args)
	{
		if (!IsA(lfirst(lc), Const))
			weir_check_refuse(planner, exprLocation(lfirst(lc)),
							  "this argument of a window is",
							  "The size and the other arguments of a window must be constant.",
							  "Write a constant, like '1 minute'.");
	}
	planner->location = exprLocation(expr);
	make_window(planner);
}

/* A copy of an expression of the query in which the stream is varno 1. */
static Expr *
record_expr(WeirPlanner *planner, Expr *expr)
{
	Node	   *copy = copyObject((Node *) expr);

	if (copy != NULL && planner->stream_rti != 1)
		ChangeVarNodes(copy, planner->stream_rti, 1, 0);
	return (Expr *) copy;
}

/* ---------------------------------------------------------------------
 * Names of columns
 * ---------------------------------------------------------------------
 */

static bool
name_is_taken(WeirPlanner *planner, const char *name)
{
	ListCell   *lc;

	foreach(lc, planner->names)
	{
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return true;
	}
	return false;
}

/* base, or base_1 and so on if it is taken; taken from now on. */
static char *
choose_name(WeirPlanner *planner, const char *base)
{
	char	   *name = pstrdup(base);

	for (int i = 1; name_is_taken(planner, name); i++)
		name = makeObjectName(base, NULL, psprintf("%d", i));
	planner->names = lappend(planner->names, makeString(name));
	return name;
}

/* The names of the first two columns of a partial. */
static const char *
pane_column(const WeirPlan *plan)
{
	return plan->window.kind == WEIR_SESSION ? "session_start" : "pane_start";
}

static const char *
bound_column(const WeirPlan *plan)
{
	return plan->window.kind == WEIR_SESSION ? "session_end" : "late_bound";
}

/*
 * The name of the partials' column for an output: the output's own, unless
 * it is one of the names that every partial has.
 */
static char *
partial_name(WeirPlanner *planner, int output)
{
	char	   *name = planner->plan->outputs[output].name;

	if (strcmp(name, pane_column(planner->plan)) == 0 ||
		strcmp(name, bound_column(planner->plan)) == 0)
		return choose_name(planner, name);
	return name;
}

/* ---------------------------------------------------------------------
 * Outputs, keys, states
 * ---------------------------------------------------------------------
 */

/* Describe the view's columns; their names must differ. */
static void
plan_outputs(WeirPlanner *planner)
{
	WeirPlan   *plan = planner->plan;
	ListCell   *lc;

	plan->outputs = palloc0(sizeof(WeirOutput) *
							list_length(planner->query->targetList));
	plan->window_start = -1;
	plan->window_end = -1;
	planner->names = list_make2(makeString(pstrdup(pane_column(plan))),
								makeString(pstrdup(bound_column(plan))));
	foreach(lc, planner->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;
		WeirOutput *output = &plan->outputs[plan->noutputs];

		if (tle->resjunk)
			continue;
		for (int i = 0; i < plan->noutputs; i++)
		{
			if (strcmp(plan->outputs[i].name, tle->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" specified more than once",
								tle->resname),
						 errhint("Name the columns with AS."),
						 weir_check_position(planner, exprLocation(expr))));
		}
		output->name = tle->resname;
		output->type = exprType(expr);
		output->typmod = exprTypmod(expr);
		output->collation = exprCollation(expr);
		weir_check_type(planner, expr, output->type);
		planner->names = lappend(planner->names, makeString(output->name));
		plan->noutputs++;
	}
}

/* The first output that is this very expression, or -1. */
static int
output_of(WeirPlanner *planner, Node *expr)
{
	int			i = 0;
	ListCell   *lc;

	foreach(lc, planner->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		if (equal(tle->expr, expr))
			return i;
		i++;
	}
	return -1;
}

/* The sessions of a key are found in the order of keys. */
static void
check_sortable(WeirPlanner *planner, Node *expr)
{
	TypeCacheEntry *type = lookup_type_cache(exprType(expr),
											 TYPECACHE_LT_OPR);

	if (!OidIsValid(type->lt_opr))
		weir_check_refuse(planner, exprLocation(expr),
						  psprintf("a key of type %s for sessions is",
								   format_type_be(exprType(expr))),
						  "Sessions are found in the order of their keys, and this type has none.",
						  "Cast it to another type, like text.");
}

/* A GROUP BY expression that is not a window column: a key. */
static void
add_key(WeirPlanner *planner, Node *expr)
{
	WeirPlan   *plan = planner->plan;
	WeirKey    *key = &plan->keys[plan->nkeys++];

	weir_check_record(planner, expr, "GROUP BY");
	key->expr = record_expr(planner, (Expr *) expr);
	key->type = exprType(expr);
	key->typmod = exprTypmod(expr);
	key->collation = exprCollation(expr);
	weir_check_type(planner, expr, key->type);
	if (plan->window.kind == WEIR_SESSION)
		check_sortable(planner, expr);
	key->output = output_of(planner, expr);
	if (key->output >= 0)
		key->name = partial_name(planner, key->output);
	else if (IsA(expr, Var))
		key->name = choose_name(planner,
								get_attname(plan->stream,
											((Var *) expr)->varattno, false));
	else
		key->name = choose_name(planner, "key");
	planner->key_exprs = lappend(planner->key_exprs, expr);
}

/* GROUP BY: both window columns, and the keys. */
static void
plan_keys(WeirPlanner *planner)
{
	Query	   *query = planner->query;
	WeirPlan   *plan = planner->plan;
	bool		has_start = false;
	bool		has_end = false;
	ListCell   *lc;

	plan->keys = palloc0(sizeof(WeirKey) *
						 Max(list_length(query->groupClause), 1));
	foreach(lc, query->groupClause)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(lc),
													query->targetList);
		Var		   *var = (Var *) expr;

		if (IsA(var, Var) && var->varno == planner->window_rti &&
			var->varattno == WINDOW_START_ATTNO)
		{
			has_start = true;
			plan->window_start = output_of(planner, expr);
		}
		else if (IsA(var, Var) && var->varno == planner->window_rti &&
				 var->varattno == WINDOW_END_ATTNO)
		{
			has_end = true;
			plan->window_end = output_of(planner, expr);
		}
		else
			add_key(planner, expr);
	}
	if (!has_start || !has_end)
		weir_check_refuse(planner, query->groupClause == NIL ? -1 :
						  weir_check_clause_location(query, query->groupClause),
						  "GROUP BY without window_start and window_end is",
						  "A window is closed as a whole, so each row must belong to one.",
						  "Write GROUP BY window_start, window_end and your keys.");
}

static bool
collect_aggregates_walker(Node *node, List **aggregates)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		*aggregates = list_append_unique(*aggregates, node);
		return false;
	}
	return expression_tree_walker(node, collect_aggregates_walker, aggregates);
}

static bool
same_part(const WeirPart *a, const WeirPart *b)
{
	return a->aggfnoid == b->aggfnoid && equal(a->argument, b->argument) &&
		equal(a->filter, b->filter);
}

/* The state that keeps a part; equal parts share one. */
static int
state_of_part(WeirPlanner *planner, const WeirPart *part, const char *base)
{
	WeirPlan   *plan = planner->plan;
	WeirState  *state;
	WeirPart	own = *part;

	own.argument = record_expr(planner, part->argument);
	own.filter = record_expr(planner, part->filter);
	for (int i = 0; i < plan->nstates; i++)
	{
		if (same_part(&plan->states[i].part, &own))
			return i;
	}
	state = &plan->states[plan->nstates];
	state->part = own;
	state->output = -1;
	state->name = choose_name(planner, base);
	return plan->nstates++;
}

/* Keep an aggregate that is its own only state. */
static void
add_whole(WeirPlanner *planner, WeirAggregate *aggregate, const WeirPart *part)
{
	WeirPlan   *plan = planner->plan;
	int			output = output_of(planner, (Node *) aggregate->aggref);
	int			nstates = plan->nstates;
	WeirState  *state;

	aggregate->states[0] = state_of_part(planner, part, part->suffix);
	state = &plan->states[aggregate->states[0]];
	if (output < 0 || state->output >= 0)
		return;
	state->output = output;
	if (plan->nstates > nstates)
		state->name = partial_name(planner, output);
}

/* Check an aggregate, decompose it, and keep its states. */
static void
add_aggregate(WeirPlanner *planner, Aggref *aggref)
{
	WeirPlan   *plan = planner->plan;
	WeirAggregate *aggregate = palloc0(sizeof(WeirAggregate));
	WeirDecomposed *decomposed;
	const char *reason;
	const char *hint;
	int			output = output_of(planner, (Node *) aggref);

	decomposed = weir_aggregate_decompose(aggref, &reason, &hint);
	if (decomposed == NULL)
		weir_check_refuse(planner, exprLocation((Node *) aggref),
						  psprintf("aggregate %s%s is",
								   get_func_name(aggref->aggfnoid),
								   aggref->aggdistinct != NIL ? " with DISTINCT" :
								   aggref->aggorder != NIL && aggref->aggkind == AGGKIND_NORMAL ?
								   " with ORDER BY" : ""),
						  reason, hint);
	weir_check_record(planner, (Node *) aggref->args,
					  "an aggregate's argument");
	weir_check_record(planner, (Node *) aggref->aggfilter, "FILTER");
	weir_check_type(planner, (Node *) aggref, aggref->aggtype);

	aggregate->aggref = aggref;
	aggregate->final = decomposed->final;
	aggregate->nstates = decomposed->nparts;
	plan->aggregates = lappend(plan->aggregates, aggregate);
	if (decomposed->final == NULL)
	{
		add_whole(planner, aggregate, &decomposed->parts[0]);
		return;
	}
	for (int i = 0; i < decomposed->nparts; i++)
	{
		const WeirPart *part = &decomposed->parts[i];
		char	   *base = output < 0 ? pstrdup(part->suffix) :
			makeObjectName(plan->outputs[output].name, NULL, part->suffix);

		aggregate->states[i] = state_of_part(planner, part, base);
	}
}

/* States of all aggregates, in the select list and in HAVING. */
static void
plan_states(WeirPlanner *planner)
{
	Query	   *query = planner->query;
	List	   *aggregates = NIL;
	ListCell   *lc;

	(void) collect_aggregates_walker((Node *) query->targetList, &aggregates);
	(void) collect_aggregates_walker(query->havingQual, &aggregates);
	planner->plan->states = palloc0(sizeof(WeirState) * WEIR_MAX_PARTS *
									Max(list_length(aggregates), 1));
	foreach(lc, aggregates)
		add_aggregate(planner, lfirst_node(Aggref, lc));
}

/* WHERE and the conditions of joins, as one expression. */
static void
plan_filter(WeirPlanner *planner)
{
	ListCell   *lc;

	if (planner->quals == NIL)
		return;
	foreach(lc, planner->quals)
		weir_check_record(planner, lfirst(lc), "WHERE");
	planner->plan->filter =
		record_expr(planner, make_ands_explicit(planner->quals));
}

/* Check what is above the aggregates. */
static void
check_outputs(WeirPlanner *planner)
{
	ListCell   *lc;

	foreach(lc, planner->query->targetList)
		weir_check_output(planner,
						  (Node *) lfirst_node(TargetEntry, lc)->expr,
						  "the select list");
	weir_check_output(planner, planner->query->havingQual, "HAVING");
}

/* Add the columns of the stream that an expression reads. */
static void
add_columns(WeirPlan *plan, Expr *expr)
{
	Bitmapset  *attnums = NULL;
	int			i = -1;

	pull_varattnos((Node *) expr, 1, &attnums);
	while ((i = bms_next_member(attnums, i)) >= 0)
		plan->columns = bms_add_member(plan->columns,
									   i + FirstLowInvalidHeapAttributeNumber);
}

static void
plan_columns(WeirPlan *plan)
{
	plan->columns = bms_make_singleton(plan->time);
	add_columns(plan, plan->filter);
	for (int i = 0; i < plan->nkeys; i++)
		add_columns(plan, plan->keys[i].expr);
	for (int i = 0; i < plan->nstates; i++)
	{
		add_columns(plan, plan->states[i].part.argument);
		add_columns(plan, plan->states[i].part.filter);
	}
}

/*
 * weir_plan_make
 *		Plan a query, or weir_check_refuse it; see plan.h.
 */
WeirPlan *
weir_plan_make(Query *query, const char *source_text)
{
	WeirPlanner planner = {0};

	planner.plan = palloc0(sizeof(WeirPlan));
	planner.plan->query = copyObject(query);
	planner.query = planner.plan->query;
	planner.source_text = source_text;

	weir_check_form(&planner);
	planner.plan->stream = planner.stream;
	planner.plan->window.kind = planner.kind;
	plan_window(&planner);
	plan_filter(&planner);
	plan_outputs(&planner);
	plan_keys(&planner);
	plan_states(&planner);
	check_outputs(&planner);
	planner.plan->key_exprs = planner.key_exprs;
	plan_columns(planner.plan);
	return planner.plan;
}

/*
 * weir_plan_of_view
 *		Plan the definition of a continuous view.
 */
WeirPlan *
weir_plan_of_view(Oid query_view)
{
	Relation	relation = table_open(query_view, AccessShareLock);
	Query	   *query = copyObject(get_view_query(relation));

	table_close(relation, NoLock);
	AcquireRewriteLocks(query, false, false);
	return weir_plan_make(query, NULL);
}

static WeirOutput
column(char *name, Oid type, int32 typmod, Oid collation)
{
	WeirOutput	output = {name, type, typmod, collation};

	return output;
}

static WeirOutput
key_column(const WeirKey *key)
{
	return column(key->name, key->type, key->typmod, key->collation);
}

static WeirOutput
state_column(const WeirState *state)
{
	return column(state->name, state->part.type, state->part.typmod,
				  state->part.collation);
}

/*
 * weir_plan_partial_columns
 *		Columns of a partial, in order.
 */
WeirOutput *
weir_plan_partial_columns(const WeirPlan *plan, int *n)
{
	WeirOutput *columns = palloc(sizeof(WeirOutput) *
								 (2 + plan->nkeys + plan->nstates));

	*n = 0;
	columns[(*n)++] = column(pstrdup(pane_column(plan)), TIMESTAMPTZOID, -1,
							 InvalidOid);
	columns[(*n)++] = column(pstrdup(bound_column(plan)), TIMESTAMPTZOID, -1,
							 InvalidOid);
	for (int i = 0; i < plan->nkeys; i++)
		columns[(*n)++] = key_column(&plan->keys[i]);
	for (int i = 0; i < plan->nstates; i++)
		columns[(*n)++] = state_column(&plan->states[i]);
	return columns;
}

/* A name for a hidden column that no column of closed has. */
static char *
hidden_name(const WeirPlan *plan, const char *base)
{
	WeirPlanner planner = {0};

	for (int i = 0; i < plan->noutputs; i++)
		planner.names = lappend(planner.names,
								makeString(plan->outputs[i].name));
	for (int i = 0; i < plan->nkeys; i++)
		planner.names = lappend(planner.names,
								makeString(plan->keys[i].name));
	for (int i = 0; i < plan->nstates; i++)
		planner.names = lappend(planner.names,
								makeString(plan->states[i].name));
	return choose_name(&planner, base);
}

/*
 * weir_plan_hidden_columns
 *		Columns of closed behind the outputs, in order.
 */
WeirOutput *
weir_plan_hidden_columns(const WeirPlan *plan, int *n)
{
	WeirOutput *columns = palloc(sizeof(WeirOutput) *
								 (2 + plan->nkeys + plan->nstates));

	*n = 0;
	if (plan->window_start < 0)
		columns[(*n)++] = column(hidden_name(plan, "window_start"),
								 TIMESTAMPTZOID, -1, InvalidOid);
	if (plan->window_end < 0)
		columns[(*n)++] = column(hidden_name(plan, "window_end"),
								 TIMESTAMPTZOID, -1, InvalidOid);
	for (int i = 0; i < plan->nkeys; i++)
	{
		if (plan->keys[i].output < 0)
			columns[(*n)++] = key_column(&plan->keys[i]);
	}
	for (int i = 0; i < plan->nstates; i++)
	{
		if (plan->states[i].output < 0)
			columns[(*n)++] = state_column(&plan->states[i]);
	}
	return columns;
}
