/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  SQL functions that create a continuous view and tell about one.
 *
 *		weir.create_view(name, query, start, emit, lateness, on_late,
 *						 retention, with_data) returns regclass
 *		weir.definition(view) returns text
 *		weir.closed(view) returns regclass
 *		weir._merge_sql(view, merge) returns text
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/usercontext.h"
#include "catalog/namespace.h"
#include "commands/create.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "window/plan.h"

PG_FUNCTION_INFO_V1(weir_create_view);
PG_FUNCTION_INFO_V1(weir_definition);
PG_FUNCTION_INFO_V1(weir_closed);
PG_FUNCTION_INFO_V1(weir_merge_sql);

/* Positions in the query are positions in an argument, not in the statement. */
static void
query_error_callback(void *arg)
{
	const char *query = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(query);
	}
	errcontext("query of a continuous view");
}

/* Parse and analyse the one SELECT that the text must be. */
static Query *
analyse_query(const char *text)
{
	List	   *statements = pg_parse_query(text);
	RawStmt    *statement;

	if (list_length(statements) != 1 ||
		!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a continuous view is defined by one SELECT")));
	statement = linitial_node(RawStmt, statements);
	return parse_analyze_fixedparams(statement, text, NULL, 0, NULL);
}

static void
set_text_option(FunctionCallInfo fcinfo, int arg, WeirViewOptions *options,
				const char *name)
{
	if (!PG_ARGISNULL(arg))
		weir_view_option_set(options, name,
							 text_to_cstring(PG_GETARG_TEXT_PP(arg)), false);
}

static void
set_interval_option(FunctionCallInfo fcinfo, int arg,
					WeirViewOptions *options, const char *name)
{
	Datum		value;

	if (PG_ARGISNULL(arg))
		return;
	value = DirectFunctionCall1(interval_out, PG_GETARG_DATUM(arg));
	weir_view_option_set(options, name, DatumGetCString(value), false);
}

static void
read_options(FunctionCallInfo fcinfo, WeirViewOptions *options)
{
	weir_view_options_init(options);
	set_text_option(fcinfo, 2, options, "start");
	set_text_option(fcinfo, 3, options, "emit");
	set_interval_option(fcinfo, 4, options, "lateness");
	set_text_option(fcinfo, 5, options, "on_late");
	set_interval_option(fcinfo, 6, options, "retention");
}

/*
 * weir.create_view(): what CREATE MATERIALIZED VIEW does, without the hook's
 * syntax.  Options that are null have their defaults.
 */
Datum
weir_create_view(PG_FUNCTION_ARGS)
{
	WeirCreateView create = {0};
	ErrorContextCallback callback;
	char	   *query;
	Oid			view;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and query of a continuous view must not be null")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	create.name = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0)));
	create.with_data = PG_ARGISNULL(7) || PG_GETARG_BOOL(7);
	create.source_text = query;
	read_options(fcinfo, &create.options);

	callback.callback = query_error_callback;
	callback.arg = query;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	create.query = analyse_query(query);
	view = weir_view_create(&create);
	error_context_stack = callback.previous;
	PG_RETURN_OID(view);
}

static void
append_option(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, ", weir.%s = %s", name, quote_literal_cstr(value));
}

/* Options that differ from their defaults. */
static void
append_options(StringInfo sql, const WeirView *view)
{
	Interval	lateness = {.time = view->lateness};
	WeirViewOptions initial;

	weir_view_options_init(&initial);
	if (strcmp(view->start, initial.start) != 0)
		append_option(sql, "start", view->start);
	if (strcmp(view->emit, initial.emit) != 0)
		append_option(sql, "emit", view->emit);
	if (view->lateness != initial.lateness)
		append_option(sql, "lateness",
					  DatumGetCString(DirectFunctionCall1(interval_out,
														  IntervalPGetDatum(&lateness))));
	if (strcmp(view->on_late, initial.on_late) != 0)
		append_option(sql, "on_late", view->on_late);
	if (view->retention != NULL)
		append_option(sql, "retention", view->retention);
}

/* " (a, b)": the columns of v, where they were renamed. */
static void
append_renamed_columns(StringInfo sql, const WeirView *view)
{
	bool		renamed = false;
	int			n = 0;

	while (get_attname(view->view, n + 1, true) != NULL)
	{
		n++;
		renamed |= strcmp(get_attname(view->view, n, false),
						  get_attname(view->query, n, false)) != 0;
	}
	for (int i = 1; renamed && i <= n; i++)
		appendStringInfo(sql, "%s%s%s", i == 1 ? " (" : ", ",
						 quote_identifier(get_attname(view->view, i, false)),
						 i == n ? ")" : "");
}

/*
 * weir.definition(): the statement that creates the view again.
 */
Datum
weir_definition(PG_FUNCTION_ARGS)
{
	WeirView   *view = weir_view_get(PG_GETARG_OID(0), false);
	WeirUserContext context;
	StringInfoData sql;
	Datum		query;

	weir_user_enter(&context, GetUserId(),
					list_make3("DateStyle=ISO, YMD", "IntervalStyle=postgres",
							   "extra_float_digits=3"));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE MATERIALIZED VIEW %s",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(view->view)),
												get_rel_name(view->view)));
	append_renamed_columns(&sql, view);
	appendStringInfoString(&sql, " WITH (weir.continuous");
	append_options(&sql, view);
	query = DirectFunctionCall1(pg_get_viewdef,
								ObjectIdGetDatum(view->query));
	appendStringInfo(&sql, ") AS\n%s", TextDatumGetCString(query));
	weir_user_leave(&context);
	PG_RETURN_TEXT_P(cstring_to_text(sql.data));
}

/*
 * weir.closed(): the table of closed windows, for indexes, triggers,
 * foreign keys and publications.
 */
Datum
weir_closed(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(weir_view_get(PG_GETARG_OID(0), false)->closed);
}

/*
 * weir._merge_sql(): the statement that reads the open windows, closes
 * windows, or gives the rows of a compaction; for tests and curiosity.
 */
Datum
weir_merge_sql(PG_FUNCTION_ARGS)
{
	WeirView   *view = weir_view_get(PG_GETARG_OID(0), false);
	char	   *merge = text_to_cstring(PG_GETARG_TEXT_PP(1));
	WeirPlan   *plan = weir_plan_of_view(view->query);
	char	   *sql = NULL;

	if (strcmp(merge, "live") == 0)
		sql = weir_plan_live_sql(plan, view->closed, view->segments);
	else if (strcmp(merge, "close") == 0)
		sql = weir_plan_close_sql(plan, view->closed, view->segments);
	else if (strcmp(merge, "compact") == 0)
		sql = weir_plan_compact_sql(plan, view->closed, view->segments);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized merge \"%s\"", merge),
				 errhint("Valid values are live, close and compact.")));
	PG_RETURN_TEXT_P(cstring_to_text(sql));
}
