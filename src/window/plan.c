/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  From the analysed query of a continuous view to what a reader computes.
 *
 * A query that can be kept up to date has this form:
 *
 *		SELECT	 expressions over keys, window columns and aggregates
 *		FROM	 a stream, weir.tumble(event time, constants ...)
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
#include "window/functions.h"
#include "window/plan.h"

#define WINDOW_START_ATTNO	1
#define WINDOW_END_ATTNO	2

typedef struct Planner
{
	Query	   *query;
	const char *source_text;
	int			stream_rti;
	int			window_rti;
	List	   *quals;			/* of WHERE and joins */
	List	   *names;			/* of columns, taken */
	const char *where;			/* clause under check, for messages */
	int			location;		/* nearest known to the node under check */
	WeirPlan   *plan;
} Planner;

static const char window_hint[] =
"Put weir.tumble(column, '1 minute') or weir.hop(column, '5 minutes', '1 minute') into FROM, and window_start and window_end into GROUP BY.";

/* Position of the error in the text of the statement, if it is known. */
static int
error_position(const Planner *planner, int location)
{
	if (planner->source_text == NULL || location < 0)
		return 0;
	return errposition(pg_mbstrlen_with_len(planner->source_text,
											location) + 1);
}

/* Refuse the query: what is not supported, why, and the way out. */
static void
pg_attribute_noreturn()
refuse(const Planner *planner, int location, const char *what,
	   const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s not supported in a continuous view", what),
			 errdetail("%s", detail),
			 errhint("%s", hint),
			 error_position(planner, location)));
}

/* ---------------------------------------------------------------------
 * The form of the query
 * ---------------------------------------------------------------------
 */

typedef struct Search
{
	NodeTag		tag;
	int			location;
} Search;

static bool
find_node_walker(Node *node, Search *search)
{
	if (node == NULL)
		return false;
	if (nodeTag(node) == search->tag)
	{
		search->location = exprLocation(node);
		return true;
	}
	return expression_tree_walker(node, find_node_walker, search);
}

/* Where the first node of a kind is in the query, or -1. */
static int
location_of(Query *query, NodeTag tag)
{
	Search		search = {tag, -1};

	(void) query_tree_walker(query, find_node_walker, &search,
							 QTW_IGNORE_RT_SUBQUERIES);
	return search.location;
}

/* Where a GROUP BY, ORDER BY or DISTINCT clause begins. */
static int
clause_location(Query *query, List *clause)
{
	return exprLocation(get_sortgroupclause_expr(linitial(clause),
												 query->targetList));
}

/* Refuse clauses that have no meaning for rows that are kept for ever. */
static void
check_clauses(const Planner *planner)
{
	Query	   *query = planner->query;

	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		refuse(planner, -1, "this statement is",
			   "A continuous view is defined by a SELECT.",
			   "Write SELECT ... GROUP BY window_start, window_end.");
	if (query->setOperations != NULL)
		refuse(planner, -1, "UNION, INTERSECT or EXCEPT is",
			   "A continuous view reads one stream once.",
			   "Create a continuous view for each part, and an ordinary view that combines them.");
	if (query->cteList != NIL)
		refuse(planner,
			   linitial_node(CommonTableExpr, query->cteList)->location,
			   "WITH is", "A continuous view reads one stream directly.",
			   "Write the query without WITH.");
	if (query->hasSubLinks)
		refuse(planner, location_of(query, T_SubLink), "a subquery is",
			   "Its result could change without a new record.",
			   "Use the subquery in an ordinary view over the continuous view.");
	if (query->hasWindowFuncs)
		refuse(planner, location_of(query, T_WindowFunc),
			   "a window function (OVER) is",
			   "It needs all rows of the result at once.",
			   "Use it when you read the view.");
	if (query->hasTargetSRFs)
		refuse(planner, exprLocation((Node *) query->targetList),
			   "a set-returning function in the select list is",
			   "One window and group gives one row.",
			   "Use it when you read the view.");
	if (query->distinctClause != NIL)
		refuse(planner, exprLocation((Node *) query->targetList),
			   "DISTINCT is",
			   "The rows of a grouped query are distinct by their window and keys.",
			   "Leave DISTINCT out, or use it when you read the view.");
	if (query->groupingSets != NIL)
		refuse(planner, exprLocation((Node *) query->groupingSets),
			   "GROUPING SETS, ROLLUP or CUBE is",
			   "A continuous view keeps one set of groups.",
			   "Create a continuous view for each grouping set.");
	if (query->sortClause != NIL)
		refuse(planner, clause_location(query, query->sortClause),
			   "ORDER BY is", "The rows of a view have no order.",
			   "Use ORDER BY when you read the view.");
	if (query->limitCount != NULL || query->limitOffset != NULL)
		refuse(planner, exprLocation(query->limitCount != NULL ?
									 query->limitCount : query->limitOffset),
			   "LIMIT or OFFSET is",
			   "Which rows it leaves would change with every record.",
			   "Use it when you read the view.");
	if (query->rowMarks != NIL)
		refuse(planner, -1, "FOR UPDATE or FOR SHARE is",
			   "Rows of a stream cannot be locked.", "Leave it out.");
	if (query_contains_extern_params(query))
		refuse(planner, -1, "a parameter is",
			   "The query must mean the same for ever.",
			   "Write the value as a constant.");
}

/* Is this function one of ours that make windows? */
static bool
is_window_function(Oid funcid, WeirWindowKind *kind)
{
	static const char *const names[] = {"tumble", "hop"};
	static const WeirWindowKind kinds[] = {WEIR_TUMBLE, WEIR_HOP};

	for (int i = 0; i < lengthof(names); i++)
	{
		List	   *name = list_make2(makeString("weir"),
									  makeString(pstrdup(names[i])));

		if (funcid == LookupFuncName(name, -1, NULL, true))
		{
			*kind = kinds[i];
			return true;
		}
	}
	return false;
}

/* A relation in FROM: the stream. */
static void
check_relation(Planner *planner, int rti, RangeTblEntry *rte)
{
	WeirSourceKind kind;

	if (rte->relkind != RELKIND_FOREIGN_TABLE ||
		!weir_stream_is(rte->relid, &kind))
		refuse(planner, -1,
			   psprintf("reading \"%s\" is", rte->eref->aliasname),
			   psprintf("\"%s\" is not a stream.",
						get_rel_name(rte->relid)),
			   "A continuous view reads one stream: a foreign table of weir_kafka or weir_generator. Join tables when you read the view.");
	if (planner->stream_rti != 0)
		refuse(planner, -1, "reading more than one stream is",
			   psprintf("Both \"%s\" and \"%s\" are streams.",
						rt_fetch(planner->stream_rti,
								 planner->query->rtable)->eref->aliasname,
						rte->eref->aliasname),
			   "Create a continuous view for each, and join them when you read them.");
	planner->stream_rti = rti;
	planner->plan->stream = rte->relid;
}

/* A function in FROM: the window. */
static void
check_function(Planner *planner, int rti, RangeTblEntry *rte)
{
	FuncExpr   *call;
	int			location;

	call = (FuncExpr *) linitial_node(RangeTblFunction,
									  rte->functions)->funcexpr;
	location = exprLocation((Node *) call);
	if (list_length(rte->functions) != 1 || rte->funcordinality ||
		!IsA(call, FuncExpr) ||
		!is_window_function(call->funcid, &planner->plan->window.kind))
		refuse(planner, location, "this function in FROM is",
			   "Only a window function of schema weir may stand beside the stream.",
			   window_hint);
	if (planner->window_rti != 0)
		refuse(planner, location, "more than one window is",
			   "A record belongs to the windows of one function.",
			   "Create a continuous view for each window.");
	planner->window_rti = rti;
}

/* One item of FROM, which may be a join. */
static void
check_from(Planner *planner, Node *item)
{
	RangeTblEntry *rte;
	int			rti;

	if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;

		if (join->jointype != JOIN_INNER)
			refuse(planner, -1, "an outer join is",
				   "Every record belongs to a window.",
				   "Write FROM stream, weir.tumble(...).");
		check_from(planner, join->larg);
		check_from(planner, join->rarg);
		if (join->quals != NULL)
			planner->quals = lappend(planner->quals, join->quals);
		return;
	}

	rti = castNode(RangeTblRef, item)->rtindex;
	rte = rt_fetch(rti, planner->query->rtable);
	if (rte->rtekind == RTE_RELATION)
		check_relation(planner, rti, rte);
	else if (rte->rtekind == RTE_FUNCTION)
		check_function(planner, rti, rte);
	else
		refuse(planner, -1, "a subquery, VALUES or the like in FROM is",
			   "A continuous view reads one stream directly.",
			   "Write FROM stream, weir.tumble(...).");
}

/* FROM and WHERE as a whole. */
static void
check_jointree(Planner *planner)
{
	FromExpr   *jointree = planner->query->jointree;
	ListCell   *lc;

	foreach(lc, jointree->fromlist)
		check_from(planner, lfirst(lc));
	if (jointree->quals != NULL)
		planner->quals = lappend(planner->quals, jointree->quals);

	if (planner->stream_rti == 0)
		refuse(planner, -1, "a query without a stream is",
			   "There is nothing in FROM that new records come from.",
			   "Name a foreign table of weir_kafka or weir_generator in FROM.");
	if (planner->window_rti == 0)
		refuse(planner, -1, "a query without a window is",
			   "Running aggregates and plain rows cannot be kept yet.",
			   window_hint);
	if (planner->query->groupClause == NIL && !planner->query->hasAggs)
		refuse(planner, -1, "a query without GROUP BY is",
			   "Plain rows cannot be kept yet.", window_hint);
}

/* ---------------------------------------------------------------------
 * The window
 * ---------------------------------------------------------------------
 */

/* The time argument must be the event time, or lateness means nothing. */
static void
check_time_argument(Planner *planner, Node *argument)
{
	AttrNumber	attnum = weir_stream_get(planner->plan->stream)->event_time;
	Var		   *var = (Var *) argument;

	if (attnum == InvalidAttrNumber)
		refuse(planner, exprLocation(argument),
			   "a window over a stream without an event time column is",
			   "The stream has neither the option event_time nor a column with metadata 'timestamp'.",
			   "Name the event time with ALTER FOREIGN TABLE ... OPTIONS (ADD event_time 'column').");
	if (!IsA(var, Var) || var->varno != planner->stream_rti ||
		var->varlevelsup != 0 || var->varattno != attnum)
		refuse(planner, exprLocation(argument), "this time of a window is",
			   psprintf("Windows of this stream are made of its event time, column \"%s\".",
						get_attname(planner->plan->stream, attnum, false)),
			   "Use that column, or declare another stream over the same topic with another event_time.");
	planner->plan->time = attnum;
}

/* An error in the arguments of the window points at its call. */
static void
window_error_callback(void *arg)
{
	const Planner *planner = arg;

	(void) error_position(planner, planner->location);
}

static const void *
argument_value(Planner *planner, int i)
{
	Const	   *argument = list_nth_node(Const, planner->plan->window_args, i);

	return argument->constisnull ? NULL :
		DatumGetPointer(argument->constvalue);
}

/* Make the window of its constant arguments, or raise what is wrong. */
static void
make_window(Planner *planner)
{
	WeirPlan   *plan = planner->plan;
	bool		hop = plan->window.kind == WEIR_HOP;
	Const	   *origin = llast_node(Const, plan->window_args);
	Timestamp	local = origin->constisnull ? 0 :
		DatumGetTimestamp(origin->constvalue);
	ErrorContextCallback callback;

	callback.callback = window_error_callback;
	callback.arg = planner;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	weir_window_from_args(&plan->window, plan->window.kind,
						  argument_value(planner, 0),
						  hop ? argument_value(planner, 1) : NULL,
						  argument_value(planner, hop ? 2 : 1),
						  origin->constisnull ? NULL : &local);
	error_context_stack = callback.previous;
}

/* The window: the event time, and constant arguments. */
static void
plan_window(Planner *planner)
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
			refuse(planner, exprLocation(lfirst(lc)),
				   "this argument of a window is",
				   "The size and the other arguments of a window must be constant.",
				   "Write a constant, like '1 minute'.");
	}
	planner->location = exprLocation(expr);
	make_window(planner);
}

/* ---------------------------------------------------------------------
 * Expressions
 * ---------------------------------------------------------------------
 */

/* Functions that are stable, but depend on when or by whom they are called. */
static bool
depends_on_moment(Oid funcid)
{
	switch (funcid)
	{
		case F_NOW:
		case F_TRANSACTION_TIMESTAMP:
		case F_STATEMENT_TIMESTAMP:
		case F_AGE_TIMESTAMP:
		case F_AGE_TIMESTAMPTZ:
		case F_AGE_XID:
		case F_CURRENT_USER:
		case F_SESSION_USER:
		case F_CURRENT_DATABASE:
		case F_CURRENT_SCHEMA:
		case F_CURRENT_SCHEMAS:
		case F_CURRENT_SETTING_TEXT:
		case F_CURRENT_SETTING_TEXT_BOOL:
		case F_PG_BACKEND_PID:
		case F_PG_POSTMASTER_START_TIME:
		case F_PG_CONF_LOAD_TIME:
		case F_PG_CURRENT_XACT_ID:
		case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
		case F_PG_CURRENT_SNAPSHOT:
		case F_TXID_CURRENT:
		case F_TXID_CURRENT_IF_ASSIGNED:
		case F_TXID_CURRENT_SNAPSHOT:
			return true;
		default:
			return false;
	}
}

static void
pg_attribute_noreturn()
refuse_moment(const Planner *planner, const char *name)
{
	refuse(planner, planner->location,
		   psprintf("%s in %s is", name, planner->where),
		   "Its value depends on when or by whom it is asked, so that the rows would depend on when a record was read.",
		   "Compare with the time when you read the view.");
}

/* For check_functions_in_node: what a record's evaluation may call. */
static bool
check_record_function(Oid funcid, void *context)
{
	Planner    *planner = context;

	if (depends_on_moment(funcid))
		refuse_moment(planner, psprintf("%s()", get_func_name(funcid)));
	if (func_volatile(funcid) == PROVOLATILE_VOLATILE)
		refuse(planner, planner->location,
			   psprintf("volatile function %s() in %s is",
						get_func_name(funcid), planner->where),
			   "The same record could give another result when it is read again.",
			   "Use immutable or stable functions; if this one is, declare it so with ALTER FUNCTION.");
	return false;
}

/* For check_functions_in_node: what the select list and HAVING may call. */
static bool
check_output_function(Oid funcid, void *context)
{
	Planner    *planner = context;

	if (func_volatile(funcid) != PROVOLATILE_IMMUTABLE)
		refuse(planner, planner->location,
			   psprintf("function %s() in %s is",
						get_func_name(funcid), planner->where),
			   "It is not immutable: an open window could look different from what it closes with.",
			   "Use it when you read the view, or group by the expression if it needs no aggregate.");
	return false;
}

static void
note_location(Planner *planner, Node *node)
{
	int			location = exprLocation(node);

	if (location >= 0)
		planner->location = location;
}

/* Check an expression that is evaluated for each record. */
static bool
check_record_walker(Node *node, Planner *planner)
{
	if (node == NULL)
		return false;
	note_location(planner, node);
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == planner->window_rti)
			refuse(planner, planner->location,
				   psprintf("a window column in %s is", planner->where),
				   "Records are aggregated before their windows are known.",
				   "Group by window_start and window_end themselves, and compute with them in the select list or when you read the view.");
		if (var->varattno <= 0)
			refuse(planner, planner->location,
				   psprintf("a whole row or system column in %s is",
							planner->where),
				   "Only columns of the stream have a meaning for each record.",
				   "Name the columns.");
		return false;
	}
	if (IsA(node, SQLValueFunction))
		refuse_moment(planner, "CURRENT_TIMESTAMP, CURRENT_USER or the like");
	(void) check_functions_in_node(node, check_record_function, planner);
	return expression_tree_walker(node, check_record_walker, planner);
}

static void
check_record_expr(Planner *planner, Node *node, const char *where)
{
	planner->where = where;
	planner->location = exprLocation(node);
	(void) check_record_walker(node, planner);
}

/* Check an expression over keys, window columns and aggregates. */
static bool
check_output_walker(Node *node, Planner *planner)
{
	if (node == NULL || IsA(node, Aggref) ||
		list_member(planner->plan->key_exprs, node))
		return false;
	note_location(planner, node);
	if (IsA(node, Var) && ((Var *) node)->varno == planner->window_rti &&
		((Var *) node)->varattno > 0)
		return false;
	if (IsA(node, Var))
		refuse(planner, planner->location,
			   psprintf("this column in %s is", planner->where),
			   "It is neither a key nor a window column nor aggregated.",
			   "Add it to GROUP BY, or aggregate it.");
	if (IsA(node, GroupingFunc))
		refuse(planner, planner->location, "GROUPING is",
			   "A continuous view keeps one set of groups.",
			   "Leave it out.");
	if (IsA(node, SQLValueFunction))
		refuse_moment(planner, "CURRENT_TIMESTAMP, CURRENT_USER or the like");
	(void) check_functions_in_node(node, check_output_function, planner);
	return expression_tree_walker(node, check_output_walker, planner);
}

static void
check_output_expr(Planner *planner, Node *node, const char *where)
{
	planner->where = where;
	planner->location = exprLocation(node);
	(void) check_output_walker(node, planner);
}

/* A copy of an expression of the query in which the stream is varno 1. */
static Expr *
record_expr(Planner *planner, Expr *expr)
{
	Node	   *copy = copyObject((Node *) expr);

	if (copy != NULL && planner->stream_rti != 1)
		ChangeVarNodes(copy, planner->stream_rti, 1, 0);
	return (Expr *) copy;
}

/* A column can only have a type that a table can store. */
static void
check_type(Planner *planner, Node *node, Oid type)
{
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		refuse(planner, exprLocation(node),
			   psprintf("an expression of type %s is", format_type_be(type)),
			   "A table has no columns of this type.",
			   "Cast it to another type.");
}

/* ---------------------------------------------------------------------
 * Names of columns
 * ---------------------------------------------------------------------
 */

static bool
name_is_taken(Planner *planner, const char *name)
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
choose_name(Planner *planner, const char *base)
{
	char	   *name = pstrdup(base);

	for (int i = 1; name_is_taken(planner, name); i++)
		name = makeObjectName(base, NULL, psprintf("%d", i));
	planner->names = lappend(planner->names, makeString(name));
	return name;
}

/*
 * The name of the partials' column for an output: the output's own, unless
 * it is one of the names that every partial has.
 */
static char *
partial_name(Planner *planner, int output)
{
	char	   *name = planner->plan->outputs[output].name;

	if (strcmp(name, "pane_start") == 0 || strcmp(name, "late_bound") == 0)
		return choose_name(planner, name);
	return name;
}

/* ---------------------------------------------------------------------
 * Outputs, keys, states
 * ---------------------------------------------------------------------
 */

/* Describe the view's columns; their names must differ. */
static void
plan_outputs(Planner *planner)
{
	WeirPlan   *plan = planner->plan;
	ListCell   *lc;

	plan->outputs = palloc0(sizeof(WeirOutput) *
							list_length(planner->query->targetList));
	plan->window_start = -1;
	plan->window_end = -1;
	planner->names = list_make2(makeString("pane_start"),
								makeString("late_bound"));
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
						 error_position(planner, exprLocation(expr))));
		}
		output->name = tle->resname;
		output->type = exprType(expr);
		output->typmod = exprTypmod(expr);
		output->collation = exprCollation(expr);
		check_type(planner, expr, output->type);
		planner->names = lappend(planner->names, makeString(output->name));
		plan->noutputs++;
	}
}

/* The first output that is this very expression, or -1. */
static int
output_of(Planner *planner, Node *expr)
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

/* A GROUP BY expression that is not a window column: a key. */
static void
add_key(Planner *planner, Node *expr)
{
	WeirPlan   *plan = planner->plan;
	WeirKey    *key = &plan->keys[plan->nkeys++];

	check_record_expr(planner, expr, "GROUP BY");
	key->expr = record_expr(planner, (Expr *) expr);
	key->type = exprType(expr);
	key->typmod = exprTypmod(expr);
	key->collation = exprCollation(expr);
	check_type(planner, expr, key->type);
	key->output = output_of(planner, expr);
	if (key->output >= 0)
		key->name = partial_name(planner, key->output);
	else if (IsA(expr, Var))
		key->name = choose_name(planner,
								get_attname(plan->stream,
											((Var *) expr)->varattno, false));
	else
		key->name = choose_name(planner, "key");
	plan->key_exprs = lappend(plan->key_exprs, expr);
}

/* GROUP BY: both window columns, and the keys. */
static void
plan_keys(Planner *planner)
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
		refuse(planner, query->groupClause == NIL ? -1 :
			   clause_location(query, query->groupClause),
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
state_of_part(Planner *planner, const WeirPart *part, const char *base)
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
add_whole(Planner *planner, WeirAggregate *aggregate, const WeirPart *part)
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
add_aggregate(Planner *planner, Aggref *aggref)
{
	WeirPlan   *plan = planner->plan;
	WeirAggregate *aggregate = palloc0(sizeof(WeirAggregate));
	WeirDecomposed *decomposed;
	const char *reason;
	const char *hint;
	int			output = output_of(planner, (Node *) aggref);

	decomposed = weir_aggregate_decompose(aggref, &reason, &hint);
	if (decomposed == NULL)
		refuse(planner, exprLocation((Node *) aggref),
			   psprintf("aggregate %s is", get_func_name(aggref->aggfnoid)),
			   reason, hint);
	check_record_expr(planner, (Node *) aggref->args,
					  "an aggregate's argument");
	check_record_expr(planner, (Node *) aggref->aggfilter, "FILTER");
	check_type(planner, (Node *) aggref, aggref->aggtype);

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
plan_states(Planner *planner)
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
plan_filter(Planner *planner)
{
	ListCell   *lc;

	if (planner->quals == NIL)
		return;
	foreach(lc, planner->quals)
		check_record_expr(planner, lfirst(lc), "WHERE");
	planner->plan->filter =
		record_expr(planner, make_ands_explicit(planner->quals));
}

/* Check what is above the aggregates. */
static void
check_outputs(Planner *planner)
{
	ListCell   *lc;

	foreach(lc, planner->query->targetList)
		check_output_expr(planner,
						  (Node *) lfirst_node(TargetEntry, lc)->expr,
						  "the select list");
	check_output_expr(planner, planner->query->havingQual, "HAVING");
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
 *		Plan a query, or refuse it; see plan.h.
 */
WeirPlan *
weir_plan_make(Query *query, const char *source_text)
{
	Planner		planner = {0};

	planner.plan = palloc0(sizeof(WeirPlan));
	planner.plan->query = copyObject(query);
	planner.query = planner.plan->query;
	planner.source_text = source_text;

	check_clauses(&planner);
	check_jointree(&planner);
	plan_window(&planner);
	plan_filter(&planner);
	plan_outputs(&planner);
	plan_keys(&planner);
	plan_states(&planner);
	check_outputs(&planner);
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
	columns[(*n)++] = column("pane_start", TIMESTAMPTZOID, -1, InvalidOid);
	columns[(*n)++] = column("late_bound", TIMESTAMPTZOID, -1, InvalidOid);
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
	Planner		planner = {0};

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
