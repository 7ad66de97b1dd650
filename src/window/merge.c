/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  SQL that merges partials into rows of a continuous view.
 *
 * A merge is the user's own query with the events replaced by partials.  Its
 * inner part is written as text: the live segments, the user's window over
 * pane_start, the keys, and for each state its merge.
 *
 *		SELECT w.window_start, w.window_end, p.k1, ..., sum(p.s1), ...
 *		FROM   (SELECT 0, x.* FROM segment_0 x UNION ALL ...)
 *			   p (seg, pane_start, late_bound, k1, ..., s1, ...),
 *			   weir.tumble(p.pane_start, ...) w
 *		WHERE  the segment is live, the pane alive, the window open,
 *			   and the window not missed by late records
 *		GROUP BY w.window_start, w.window_end, p.k1, ...
 *
 * Sessions have no window function: their inner part puts the partials of a key
 * in the order of their starts, numbers the sessions that they make, and
 * groups by that number.
 *
 *		SELECT min(p.pane_start), max(p.session_end), p.k1, ..., sum(p.s1), ...
 *		FROM   (SELECT ..., how many sessions begin up to here
 *				FROM (SELECT ..., how far those before reach
 *					  FROM the segments p WHERE alive) q) p
 *		GROUP BY p.k1, ..., p.session
 *		HAVING the session is open
 *
 * Its outer part is the user's own analysed select list and HAVING, in which
 * each key, window column and aggregate is replaced by a column of the inner
 * part.  Both are put together as a tree, and PostgreSQL turns that into
 * text: no expression of the user's is ever printed or parsed here.
 *
 * A constant seg makes each branch a one-time filter over one InitPlan, so
 * that segments which are not live are never scanned (DESIGN 3.4).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_cte.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "window/plan.h"

/* Columns of the inner part. */
#define INNER_WINDOW_START	1
#define INNER_WINDOW_END	2
#define INNER_KEY(plan, i)		(3 + (i))
#define INNER_STATE(plan, i)	(3 + (plan)->nkeys + (i))
#define INNER_FINAL(plan, i)	(3 + (plan)->nkeys + (plan)->nstates + (i))

typedef struct Graft
{
	const WeirPlan *plan;
	List	   *columns;		/* target list of the inner part */
} Graft;

/*
 * Settings under which text means the same wherever it is read again.
 * Returns what leave_settings() needs.
 */
static int
enter_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "3"},
		{"quote_all_identifiers", "off"}
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1],
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

static void
leave_settings(int nestlevel)
{
	AtEOXact_GUC(true, nestlevel);
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* ---------------------------------------------------------------------
 * The inner part, as text
 * ---------------------------------------------------------------------
 */

static bool
is_session(const WeirPlan *plan)
{
	return plan->window.kind == WEIR_SESSION;
}

/* ", p.k1, p.k2" */
static void
append_keys(StringInfo sql, const WeirPlan *plan)
{
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(sql, ", p.k%d", i + 1);
}

/* "(SELECT 0, x.* FROM ... UNION ALL ...) p (seg, pane_start, ...)" */
static void
append_segments(StringInfo sql, const WeirPlan *plan, const Oid *segments)
{
	appendStringInfoChar(sql, '(');
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		appendStringInfo(sql, "%sSELECT %d, x.* FROM %s x",
						 i == 0 ? "" : " UNION ALL ", i,
						 qualified_name(segments[i]));
	appendStringInfo(sql, ") p (seg, pane_start, %s",
					 is_session(plan) ? "session_end" : "late_bound");
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(sql, ", k%d", i + 1);
	for (int i = 0; i < plan->nstates; i++)
		appendStringInfo(sql, ", s%d", i + 1);
	appendStringInfoChar(sql, ')');
}

/* A column of the view's state row, as a subquery. */
static void
append_state_row(StringInfo sql, const char *column, Oid closed)
{
	appendStringInfo(sql, "(SELECT s.%s FROM %s s WHERE s.closed = %s::pg_catalog.regclass)",
					 column, WEIR_VIEW_STATE_SQL,
					 quote_literal_cstr(qualified_name(closed)));
}

/*
 * A row is alive if and only if the state row lists its segment and its pane
 * is not behind closed_before.
 */
static void
append_alive(StringInfo sql, Oid closed)
{
	appendStringInfo(sql, "p.seg = ANY ((SELECT weir.need(s.live) FROM (VALUES (1)) d LEFT JOIN %s s ON s.closed = %s::pg_catalog.regclass)::pg_catalog.int4[]) AND p.pane_start >= ",
					 WEIR_VIEW_STATE_SQL,
					 quote_literal_cstr(qualified_name(closed)));
	append_state_row(sql, "closed_before", closed);
}

/* ", '1 minute', ...": the constant arguments of the window. */
static void
append_window_args(StringInfo sql, const WeirPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->window_args)
		appendStringInfo(sql, ", %s",
						 deparse_expression(lfirst(lc), NIL, false, false));
}

/* "weir.tumble(p.pane_start, ...)": the user's window over panes. */
static void
append_window(StringInfo sql, const WeirPlan *plan)
{
	static const char *const functions[] = {
		[WEIR_TUMBLE] = "tumble",
		[WEIR_HOP] = "hop",
		[WEIR_CUMULATE] = "cumulate"
	};

	appendStringInfo(sql, "weir.%s(p.pane_start",
					 functions[plan->window.kind]);
	append_window_args(sql, plan);
	appendStringInfoString(sql, ") w (window_start, window_end)");
}

/* "OVER (PARTITION BY t.k1, ... ORDER BY t.pane_start" */
static void
append_over(StringInfo sql, const WeirPlan *plan, const char *t)
{
	appendStringInfoString(sql, "OVER (");
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(sql, "%s%s.k%d", i == 0 ? "PARTITION BY " : ", ", t,
						 i + 1);
	appendStringInfo(sql, " ORDER BY %s.pane_start", t);
}

/*
 * The live partials of sessions as "(...) p", with column session: those of a
 * key with one number make one session.  Partials that begin at one time are
 * peers, so that they get one number in whatever order they come.
 */
static void
append_sessions(StringInfo sql, const WeirPlan *plan, Oid closed,
				const Oid *segments)
{
	appendStringInfoString(sql, "(SELECT q.*, pg_catalog.count(*) FILTER (WHERE NOT weir._session_takes(q.reached, q.pane_start");
	append_window_args(sql, plan);
	appendStringInfoString(sql, ")) ");
	append_over(sql, plan, "q");
	appendStringInfoString(sql, ") AS session FROM (SELECT p.*, pg_catalog.max(p.session_end) ");
	append_over(sql, plan, "p");
	appendStringInfoString(sql, " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached FROM ");
	append_segments(sql, plan, segments);
	appendStringInfoString(sql, " WHERE ");
	append_alive(sql, closed);
	appendStringInfoString(sql, ") q) p");
}

/*
 * " GROUP BY ...": open sessions.  Keys come first, since the rows come in
 * their order.
 */
static void
append_session_groups(StringInfo sql, const WeirPlan *plan, Oid closed)
{
	appendStringInfoString(sql, " GROUP BY ");
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(sql, "p.k%d, ", i + 1);
	appendStringInfoString(sql, "p.session HAVING pg_catalog.max(p.session_end) > ");
	append_state_row(sql, "closed_to", closed);
}

/* The merge of a state. */
static char *
merge_sql(const WeirPlan *plan, int state)
{
	return psprintf(plan->states[state].part.merge,
					psprintf("p.s%d", state + 1));
}

/* The final value of an aggregate over its merged states. */
static char *
final_sql(const WeirPlan *plan, const WeirAggregate *aggregate)
{
	Assert(aggregate->nstates == 2);
	return psprintf(aggregate->final,
					merge_sql(plan, aggregate->states[0]),
					merge_sql(plan, aggregate->states[1]));
}

/* ", p.k1, ..., <merges>, <final values>": what follows the window. */
static void
append_inner_columns(StringInfo sql, const WeirPlan *plan)
{
	ListCell   *lc;

	append_keys(sql, plan);
	for (int i = 0; i < plan->nstates; i++)
		appendStringInfo(sql, ", %s AS s%d", merge_sql(plan, i), i + 1);
	foreach(lc, plan->aggregates)
	{
		WeirAggregate *aggregate = lfirst(lc);

		if (aggregate->final != NULL)
			appendStringInfo(sql, ", %s AS f%d", final_sql(plan, aggregate),
							 foreach_current_index(lc) + 1);
	}
}

/* The inner part of sessions: all that are open. */
static char *
session_sql(const WeirPlan *plan, Oid closed, const Oid *segments)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.min(p.pane_start) AS window_start, pg_catalog.max(p.session_end) AS window_end");
	append_inner_columns(&sql, plan);
	appendStringInfoString(&sql, " FROM ");
	append_sessions(&sql, plan, closed, segments);
	append_session_groups(&sql, plan, closed);
	return sql.data;
}

/* The inner part of other windows; with upper_bound those that end by $1. */
static char *
window_sql(const WeirPlan *plan, Oid closed, const Oid *segments,
		   bool upper_bound)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT w.window_start, w.window_end");
	append_inner_columns(&sql, plan);
	appendStringInfoString(&sql, " FROM ");
	append_segments(&sql, plan, segments);
	appendStringInfoString(&sql, ", ");
	append_window(&sql, plan);
	appendStringInfoString(&sql, " WHERE ");
	append_alive(&sql, closed);
	appendStringInfoString(&sql, " AND w.window_end > ");
	append_state_row(&sql, "closed_to", closed);
	if (plan->window.kind != WEIR_TUMBLE)
		appendStringInfoString(&sql, " AND (p.late_bound IS NULL OR w.window_end > p.late_bound)");
	if (upper_bound)
		appendStringInfoString(&sql, " AND w.window_end <= $1");
	appendStringInfoString(&sql, " GROUP BY w.window_start, w.window_end");
	append_keys(&sql, plan);
	return sql.data;
}

/* ---------------------------------------------------------------------
 * The outer part, as a tree
 * ---------------------------------------------------------------------
 */

/* Column attno of the inner part, in place of an expression of the query. */
static Var *
inner_column(const Graft *graft, int attno, Node *replaced)
{
	TargetEntry *tle = list_nth_node(TargetEntry, graft->columns, attno - 1);
	Node	   *expr = (Node *) tle->expr;

	if (replaced == NULL)
		replaced = expr;
	if (exprType(expr) != exprType(replaced))
		elog(ERROR, "merge of type %s in place of type %s",
			 format_type_be(exprType(expr)),
			 format_type_be(exprType(replaced)));
	return makeVar(1, attno, exprType(replaced), exprTypmod(replaced),
				   exprCollation(replaced), 0);
}

/* The inner column that holds an aggregate. */
static int
aggregate_column(const WeirPlan *plan, Node *node)
{
	int			nfinals = 0;
	ListCell   *lc;

	foreach(lc, plan->aggregates)
	{
		WeirAggregate *aggregate = lfirst(lc);

		if (equal(aggregate->aggref, node))
			return aggregate->final == NULL ?
				INNER_STATE(plan, aggregate->states[0]) :
				INNER_FINAL(plan, nfinals);
		if (aggregate->final != NULL)
			nfinals++;
	}
	elog(ERROR, "aggregate is not in the plan");
}

static Node *
graft_mutator(Node *node, Graft *graft)
{
	const WeirPlan *plan = graft->plan;
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	foreach(lc, plan->key_exprs)
	{
		if (equal(lfirst(lc), node))
			return (Node *) inner_column(graft,
										 INNER_KEY(plan, foreach_current_index(lc)),
										 node);
	}
	if (IsA(node, Aggref))
		return (Node *) inner_column(graft, aggregate_column(plan, node),
									 node);
	if (IsA(node, Var))
	{
		Assert(((Var *) node)->varno == plan->window_rti);
		return (Node *) inner_column(graft, ((Var *) node)->varattno, node);
	}
	return expression_tree_mutator(node, graft_mutator, graft);
}

/* Append a column to a target list. */
static List *
add_column(List *targets, Node *expr, const char *name)
{
	return lappend(targets,
				   makeTargetEntry((Expr *) expr, list_length(targets) + 1,
								   pstrdup(name), false));
}

/* The select list of the user over the inner part. */
static List *
output_targets(Graft *graft)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, graft->plan->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			targets = add_column(targets,
								 graft_mutator((Node *) tle->expr, graft),
								 tle->resname);
	}
	return targets;
}

/* Add what closed keeps behind the outputs: see weir_plan_hidden_columns. */
static List *
add_hidden_targets(List *targets, const Graft *graft)
{
	const WeirPlan *plan = graft->plan;

	if (plan->window_start < 0)
		targets = add_column(targets,
							 (Node *) inner_column(graft, INNER_WINDOW_START,
												   NULL), "window_start");
	if (plan->window_end < 0)
		targets = add_column(targets,
							 (Node *) inner_column(graft, INNER_WINDOW_END,
												   NULL), "window_end");
	for (int i = 0; i < plan->nkeys; i++)
	{
		if (plan->keys[i].output < 0)
			targets = add_column(targets,
								 (Node *) inner_column(graft,
													   INNER_KEY(plan, i),
													   NULL),
								 plan->keys[i].name);
	}
	for (int i = 0; i < plan->nstates; i++)
	{
		if (plan->states[i].output < 0)
			targets = add_column(targets,
								 (Node *) inner_column(graft,
													   INNER_STATE(plan, i),
													   NULL),
								 plan->states[i].name);
	}
	return targets;
}

/* Parse and analyse one SELECT; $1 is a timestamptz. */
static Query *
analyse(const char *sql)
{
	static const Oid types[] = {TIMESTAMPTZOID};
	RawStmt    *statement = linitial_node(RawStmt, pg_parse_query(sql));

	return parse_analyze_fixedparams(statement, sql, types, 1, NULL);
}

/* "(inner) l" in FROM. */
static RangeTblEntry *
inner_subquery(Query *inner)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
		addRangeTableEntryForSubquery(pstate, inner, makeAlias("l", NIL),
									  false, true);

	free_parsestate(pstate);
	return item->p_rte;
}

/* "l" in FROM, a WITH query that has the columns of inner. */
static RangeTblEntry *
inner_reference(Query *inner)
{
	ParseState *pstate = make_parsestate(NULL);
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	ParseNamespaceItem *item;

	cte->ctename = pstrdup("l");
	cte->ctequery = (Node *) inner;
	analyzeCTETargetList(pstate, cte, inner->targetList);
	item = addRangeTableEntryForCTE(pstate, cte, 0,
									makeRangeVar(NULL, pstrdup("l"), -1), true);
	free_parsestate(pstate);
	return item->p_rte;
}

/* The outer part, as text, over what inner is in FROM. */
static char *
outer_sql(const WeirPlan *plan, Query *inner, RangeTblEntry *from, bool close)
{
	Query	   *outer = makeNode(Query);
	RangeTblRef *reference = makeNode(RangeTblRef);
	Graft		graft = {plan, inner->targetList};

	reference->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->canSetTag = true;
	outer->rtable = list_make1(from);
	outer->targetList = output_targets(&graft);
	if (close)
		outer->targetList = add_hidden_targets(outer->targetList, &graft);
	outer->jointree = makeFromExpr(list_make1(reference),
								   graft_mutator(plan->query->havingQual,
												 &graft));
	return pg_get_querydef(outer, false);
}

/*
 * weir_plan_live_sql
 *		SELECT the outputs of all windows that are open; see plan.h.
 */
char *
weir_plan_live_sql(const WeirPlan *plan, Oid closed, const Oid *segments)
{
	int			nestlevel = enter_settings();
	Query	   *inner = analyse(is_session(plan) ?
								session_sql(plan, closed, segments) :
								window_sql(plan, closed, segments, false));
	char	   *sql = outer_sql(plan, inner, inner_subquery(inner), false);

	leave_settings(nestlevel);
	return sql;
}

/* "a, b, c": the first n columns of a relation. */
static char *
column_list(Oid relid, int n)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= n; i++)
		appendStringInfo(&sql, "%s%s", i == 1 ? "" : ", ",
						 quote_identifier(get_attname(relid, i, false)));
	return sql.data;
}

/*
 * weir_plan_close_sql
 *		INSERT INTO closed the windows that end by $1; see plan.h.
 */
char *
weir_plan_close_sql(const WeirPlan *plan, Oid closed, const Oid *segments)
{
	int			nestlevel = enter_settings();
	const char *with = "";
	const char *open_from = "NULL::pg_catalog.timestamptz";
	char	   *merge;
	int			nhidden;

	(void) weir_plan_hidden_columns(plan, &nhidden);
	if (is_session(plan))
	{
		char	   *sessions = session_sql(plan, closed, segments);
		Query	   *inner = analyse(sessions);

		with = psprintf("s AS MATERIALIZED (%s), l AS (SELECT * FROM s WHERE s.window_end <= $1), ",
						sessions);
		merge = outer_sql(plan, inner, inner_reference(inner), true);
		open_from = "(SELECT pg_catalog.min(s.window_start) FROM s WHERE s.window_end > $1)";
	}
	else
	{
		Query	   *inner = analyse(window_sql(plan, closed, segments, true));

		merge = outer_sql(plan, inner, inner_subquery(inner), true);
	}
	merge = psprintf("WITH %sm AS MATERIALIZED (%s), i AS (INSERT INTO %s (%s) SELECT * FROM m RETURNING 1) SELECT (SELECT pg_catalog.count(*) FROM m) AS merged, (SELECT pg_catalog.count(*) FROM i) AS inserted, %s AS open_from",
					 with, merge, qualified_name(closed),
					 column_list(closed, plan->noutputs + nhidden), open_from);
	leave_settings(nestlevel);
	return merge;
}

/*
 * weir_plan_compact_sql
 *		SELECT what all live rows merge to; see plan.h.
 */
char *
weir_plan_compact_sql(const WeirPlan *plan, Oid closed, const Oid *segments)
{
	int			nestlevel = enter_settings();
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, is_session(plan) ?
						   "SELECT pg_catalog.min(p.pane_start), pg_catalog.max(p.session_end)" :
						   "SELECT p.pane_start, p.late_bound");
	append_keys(&sql, plan);
	for (int i = 0; i < plan->nstates; i++)
		appendStringInfo(&sql, ", %s", merge_sql(plan, i));
	appendStringInfoString(&sql, " FROM ");
	if (is_session(plan))
	{
		append_sessions(&sql, plan, closed, segments);
		append_session_groups(&sql, plan, closed);
	}
	else
	{
		append_segments(&sql, plan, segments);
		appendStringInfoString(&sql, " WHERE ");
		append_alive(&sql, closed);
		appendStringInfoString(&sql, " GROUP BY p.pane_start, p.late_bound");
		append_keys(&sql, plan);
	}
	leave_settings(nestlevel);
	return sql.data;
}

PG_FUNCTION_INFO_V1(weir_need);

/*
 * weir.need(int[]): the array itself.  Raises on NULL: a
 * missing state row must be an error, never an empty live part.
 */
Datum
weir_need(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the state row of the continuous view is missing"),
				 errdetail("Without it nobody can tell which windows are closed."),
				 errhint("Restore the table weir.view_state together with the view, or drop the view and create it again.")));
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}
