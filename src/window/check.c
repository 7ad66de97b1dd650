/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Which queries a continuous view may have.
 *
 * plan.c tells the form that can be kept up to date.  Here is everything that
 * is refused, each with its position, the reason and a way out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parse_param.h"
#include "parser/parsetree.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "window/check.h"

static const char window_hint[] =
"Put weir.tumble(column, '1 minute'), weir.hop(column, '5 minutes', '1 minute'), weir.cumulate(column, '1 day', '1 hour') or weir.session(column, '30 minutes') into FROM, and window_start and window_end into GROUP BY.";

/* Position of the error in the text of the statement, if it is known. */
int
weir_check_position(const WeirPlanner *planner, int location)
{
	if (planner->source_text == NULL || location < 0)
		return 0;
	return errposition(pg_mbstrlen_with_len(planner->source_text,
											location) + 1);
}

/* Refuse the query: what is not supported, why, and the way out. */
void
weir_check_refuse(const WeirPlanner *planner, int location, const char *what,
				  const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s not supported in a continuous view", what),
			 errdetail("%s", detail),
			 errhint("%s", hint),
			 weir_check_position(planner, location)));
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
int
weir_check_clause_location(Query *query, List *clause)
{
	return exprLocation(get_sortgroupclause_expr(linitial(clause),
												 query->targetList));
}

/* Refuse clauses that have no meaning for rows that are kept for ever. */
static void
check_clauses(const WeirPlanner *planner)
{
	Query	   *query = planner->query;

	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		weir_check_refuse(planner, -1, "this statement is",
						  "A continuous view is defined by a SELECT.",
						  "Write SELECT ... GROUP BY window_start, window_end.");
	if (query->setOperations != NULL)
		weir_check_refuse(planner, -1, "UNION, INTERSECT or EXCEPT is",
						  "A continuous view reads one stream once.",
						  "Create a continuous view for each part, and an ordinary view that combines them.");
	if (query->cteList != NIL)
		weir_check_refuse(planner,
						  linitial_node(CommonTableExpr, query->cteList)->location,
						  "WITH is", "A continuous view reads one stream directly.",
						  "Write the query without WITH.");
	if (query->hasSubLinks)
		weir_check_refuse(planner, location_of(query, T_SubLink), "a subquery is",
						  "Its result could change without a new record.",
						  "Use the subquery in an ordinary view over the continuous view.");
	if (query->hasWindowFuncs)
		weir_check_refuse(planner, location_of(query, T_WindowFunc),
						  "a window function (OVER) is",
						  "It needs all rows of the result at once.",
						  "Use it when you read the view.");
	if (query->hasTargetSRFs)
		weir_check_refuse(planner, exprLocation((Node *) query->targetList),
						  "a set-returning function in the select list is",
						  "One window and group gives one row.",
						  "Use it when you read the view.");
	if (query->distinctClause != NIL)
		weir_check_refuse(planner, exprLocation((Node *) query->targetList),
						  "DISTINCT is",
						  "The rows of a grouped query are distinct by their window and keys.",
						  "Leave DISTINCT out, or use it when you read the view.");
	if (query->groupingSets != NIL)
		weir_check_refuse(planner, exprLocation((Node *) query->groupingSets),
						  "GROUPING SETS, ROLLUP or CUBE is",
						  "A continuous view keeps one set of groups.",
						  "Create a continuous view for each grouping set.");
	if (query->sortClause != NIL)
		weir_check_refuse(planner, weir_check_clause_location(query, query->sortClause),
						  "ORDER BY is", "The rows of a view have no order.",
						  "Use ORDER BY when you read the view.");
	if (query->limitCount != NULL || query->limitOffset != NULL)
		weir_check_refuse(planner, exprLocation(query->limitCount != NULL ?
												query->limitCount : query->limitOffset),
						  "LIMIT or OFFSET is",
						  "Which rows it leaves would change with every record.",
						  "Use it when you read the view.");
	if (query->rowMarks != NIL)
		weir_check_refuse(planner, -1, "FOR UPDATE or FOR SHARE is",
						  "Rows of a stream cannot be locked.", "Leave it out.");
	if (query_contains_extern_params(query))
		weir_check_refuse(planner, -1, "a parameter is",
						  "The query must mean the same for ever.",
						  "Write the value as a constant.");
}

/* Is this function one of ours that make windows? */
static bool
is_window_function(Oid funcid, WeirWindowKind *kind)
{
	static const char *const names[] = {"tumble", "hop", "cumulate", "session"};
	static const WeirWindowKind kinds[] = {
		WEIR_TUMBLE, WEIR_HOP, WEIR_CUMULATE, WEIR_SESSION
	};

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
check_relation(WeirPlanner *planner, int rti, RangeTblEntry *rte)
{
	WeirSourceKind kind;

	if (rte->relkind != RELKIND_FOREIGN_TABLE ||
		!weir_stream_is(rte->relid, &kind))
		weir_check_refuse(planner, -1,
						  psprintf("reading \"%s\" is", rte->eref->aliasname),
						  psprintf("\"%s\" is not a stream.",
								   get_rel_name(rte->relid)),
						  "A continuous view reads one stream: a foreign table of weir_kafka or weir_generator. Join tables when you read the view.");
	if (planner->stream_rti != 0)
		weir_check_refuse(planner, -1, "reading more than one stream is",
						  psprintf("Both \"%s\" and \"%s\" are streams.",
								   rt_fetch(planner->stream_rti,
											planner->query->rtable)->eref->aliasname,
								   rte->eref->aliasname),
						  "Create a continuous view for each, and join them when you read them.");
	planner->stream_rti = rti;
	planner->stream = rte->relid;
}

/* A function in FROM: the window. */
static void
check_function(WeirPlanner *planner, int rti, RangeTblEntry *rte)
{
	FuncExpr   *call;
	int			location;

	call = (FuncExpr *) linitial_node(RangeTblFunction,
									  rte->functions)->funcexpr;
	location = exprLocation((Node *) call);
	if (list_length(rte->functions) != 1 || rte->funcordinality ||
		!IsA(call, FuncExpr) ||
		!is_window_function(call->funcid, &planner->kind))
		weir_check_refuse(planner, location, "this function in FROM is",
						  "Only a window function of schema weir may stand beside the stream.",
						  window_hint);
	if (planner->window_rti != 0)
		weir_check_refuse(planner, location, "more than one window is",
						  "A record belongs to the windows of one function.",
						  "Create a continuous view for each window.");
	planner->window_rti = rti;
}

/* One item of FROM, which may be a join. */
static void
check_from(WeirPlanner *planner, Node *item)
{
	RangeTblEntry *rte;
	int			rti;

	if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;

		if (join->jointype != JOIN_INNER)
			weir_check_refuse(planner, -1, "an outer join is",
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
		weir_check_refuse(planner, -1, "a subquery, VALUES or the like in FROM is",
						  "A continuous view reads one stream directly.",
						  "Write FROM stream, weir.tumble(...).");
}

/* FROM and WHERE as a whole. */
static void
check_jointree(WeirPlanner *planner)
{
	FromExpr   *jointree = planner->query->jointree;
	ListCell   *lc;

	foreach(lc, jointree->fromlist)
		check_from(planner, lfirst(lc));
	if (jointree->quals != NULL)
		planner->quals = lappend(planner->quals, jointree->quals);

	if (planner->stream_rti == 0)
		weir_check_refuse(planner, -1, "a query without a stream is",
						  "There is nothing in FROM that new records come from.",
						  "Name a foreign table of weir_kafka or weir_generator in FROM.");
	if (planner->window_rti == 0)
		weir_check_refuse(planner, -1, "a query without a window is",
						  "Running aggregates and plain rows cannot be kept yet.",
						  window_hint);
	if (planner->query->groupClause == NIL && !planner->query->hasAggs)
		weir_check_refuse(planner, -1, "a query without GROUP BY is",
						  "Plain rows cannot be kept yet.", window_hint);
}

/*
 * weir_check_form
 *		Check everything but expressions; find stream, window and conditions.
 */
void
weir_check_form(WeirPlanner *planner)
{
	check_clauses(planner);
	check_jointree(planner);
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
refuse_moment(const WeirPlanner *planner, const char *name)
{
	weir_check_refuse(planner, planner->location,
					  psprintf("%s in %s is", name, planner->where),
					  "Its value depends on when or by whom it is asked, so that the rows would depend on when a record was read.",
					  "Compare with the time when you read the view.");
}

/* For check_functions_in_node: what a record's evaluation may call. */
static bool
check_record_function(Oid funcid, void *context)
{
	WeirPlanner *planner = context;

	if (depends_on_moment(funcid))
		refuse_moment(planner, psprintf("%s()", get_func_name(funcid)));
	if (func_volatile(funcid) == PROVOLATILE_VOLATILE)
		weir_check_refuse(planner, planner->location,
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
	WeirPlanner *planner = context;

	if (func_volatile(funcid) != PROVOLATILE_IMMUTABLE)
		weir_check_refuse(planner, planner->location,
						  psprintf("function %s() in %s is",
								   get_func_name(funcid), planner->where),
						  "It is not immutable: an open window could look different from what it closes with.",
						  "Use it when you read the view, or group by the expression if it needs no aggregate.");
	return false;
}

static void
note_location(WeirPlanner *planner, Node *node)
{
	int			location = exprLocation(node);

	if (location >= 0)
		planner->location = location;
}

/* Check an expression that is evaluated for each record. */
static bool
check_record_walker(Node *node, WeirPlanner *planner)
{
	if (node == NULL)
		return false;
	note_location(planner, node);
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == planner->window_rti)
			weir_check_refuse(planner, planner->location,
							  psprintf("a window column in %s is", planner->where),
							  "Records are aggregated before their windows are known.",
							  "Group by window_start and window_end themselves, and compute with them in the select list or when you read the view.");
		if (var->varattno <= 0)
			weir_check_refuse(planner, planner->location,
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

void
weir_check_record(WeirPlanner *planner, Node *node, const char *where)
{
	planner->where = where;
	planner->location = exprLocation(node);
	(void) check_record_walker(node, planner);
}

/* Check an expression over keys, window columns and aggregates. */
static bool
check_output_walker(Node *node, WeirPlanner *planner)
{
	if (node == NULL || IsA(node, Aggref) ||
		list_member(planner->key_exprs, node))
		return false;
	note_location(planner, node);
	if (IsA(node, Var) && ((Var *) node)->varno == planner->window_rti &&
		((Var *) node)->varattno > 0)
		return false;
	if (IsA(node, Var))
		weir_check_refuse(planner, planner->location,
						  psprintf("this column in %s is", planner->where),
						  "It is neither a key nor a window column nor aggregated.",
						  "Add it to GROUP BY, or aggregate it.");
	if (IsA(node, GroupingFunc))
		weir_check_refuse(planner, planner->location, "GROUPING is",
						  "A continuous view keeps one set of groups.",
						  "Leave it out.");
	if (IsA(node, SQLValueFunction))
		refuse_moment(planner, "CURRENT_TIMESTAMP, CURRENT_USER or the like");
	(void) check_functions_in_node(node, check_output_function, planner);
	return expression_tree_walker(node, check_output_walker, planner);
}

void
weir_check_output(WeirPlanner *planner, Node *node, const char *where)
{
	planner->where = where;
	planner->location = exprLocation(node);
	(void) check_output_walker(node, planner);
}

/* A column can only have a type that a table can store. */
void
weir_check_type(WeirPlanner *planner, Node *node, Oid type)
{
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		weir_check_refuse(planner, exprLocation(node),
						  psprintf("an expression of type %s is", format_type_be(type)),
						  "A table has no columns of this type.",
						  "Cast it to another type.");
}
