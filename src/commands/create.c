/*-------------------------------------------------------------------------
 *
 * create.c
 *	  Build a continuous view out of ordinary relations, and check one.
 *
 * A continuous view v is
 *
 *		weir_data.v_query		view: the user's query, the definition
 *		weir_data.v_closed		table: rows of closed windows
 *		weir_data.v_partial_0	tables: the ring of segments with partials,
 *			... v_partial_7		owned by the extension's owner
 *		v						view: closed, open, and the query under WHERE
 *								false, so that dropping the stream reaches v
 *
 * and rows of the catalog.  All are made by ordinary statements, nested in
 * the user's own, so that event triggers see them.  Users cannot create
 * anything in weir_data: its relations are made by the extension's owner and
 * then handed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/reloptions.h"
#include "access/xact.h"
#include "base/usercontext.h"
#include "catalog/edges.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/create.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "worker/shmem.h"
#include "worker/worker.h"

#define DATA_SCHEMA "weir_data"

/* ---------------------------------------------------------------------
 * Nested statements
 * ---------------------------------------------------------------------
 */

/* Become userid, under settings in which our text is written and read. */
static void
enter(WeirUserContext *context, Oid userid)
{
	weir_user_enter(context, userid,
					list_make3("DateStyle=ISO, YMD", "IntervalStyle=postgres",
							   "extra_float_digits=3"));
}

static Node *
parse(const char *sql)
{
	return linitial_node(RawStmt, pg_parse_query(sql))->stmt;
}

/* Run one utility statement as part of the present one. */
static void
run_statement(Node *statement, const char *sql)
{
	PlannedStmt *planned = makeNode(PlannedStmt);

	planned->commandType = CMD_UTILITY;
	planned->utilityStmt = statement;
	planned->stmt_location = -1;
	ProcessUtility(planned, sql, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

static void
run(const char *sql)
{
	run_statement(parse(sql), sql);
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static const char *
role_name(Oid role)
{
	return quote_identifier(GetUserNameFromId(role, false));
}

/* ---------------------------------------------------------------------
 * The relations
 * ---------------------------------------------------------------------
 */

/* "name type COLLATE collation, ..." */
static void
append_columns(StringInfo sql, const WeirOutput *columns, int n)
{
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(sql, "%s%s %s",
						 sql->data[sql->len - 1] == '(' ? "" : ", ",
						 quote_identifier(columns[i].name),
						 format_type_extended(columns[i].type,
											  columns[i].typmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(columns[i].collation))
			appendStringInfo(sql, " COLLATE %s",
							 generate_collation_name(columns[i].collation));
	}
}

/* A name in weir_data like PostgreSQL would give to an index. */
static char *
choose_name(const char *view, const char *label)
{
	return ChooseRelationName(view, NULL, label,
							  get_namespace_oid(DATA_SCHEMA, false), false);
}

static Oid
data_relation(const char *name)
{
	return get_relname_relid(name, get_namespace_oid(DATA_SCHEMA, false));
}

static char *
data_name(const char *name)
{
	return quote_qualified_identifier(DATA_SCHEMA, name);
}

static Oid
create_query(const char *view, Query *query, Oid owner)
{
	char	   *name = choose_name(view, "query");

	run(psprintf("CREATE VIEW %s AS %s", data_name(name),
				 pg_get_querydef(copyObject(query), false)));
	run(psprintf("ALTER VIEW %s OWNER TO %s", data_name(name),
				 role_name(owner)));
	return data_relation(name);
}

static Oid
create_closed(const char *view, const WeirPlan *plan, Oid owner)
{
	char	   *name = choose_name(view, "closed");
	WeirOutput *hidden;
	StringInfoData sql;
	Oid			closed;
	int			nhidden;

	hidden = weir_plan_hidden_columns(plan, &nhidden);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", data_name(name));
	append_columns(&sql, plan->outputs, plan->noutputs);
	append_columns(&sql, hidden, nhidden);
	appendStringInfoChar(&sql, ')');
	run(sql.data);
	closed = data_relation(name);
	run(psprintf("CREATE INDEX ON %s (%s)", data_name(name),
				 quote_identifier(get_attname(closed,
											  plan->window_start >= 0 ?
											  plan->window_start + 1 :
											  plan->noutputs + 1, false))));
	run(psprintf("ALTER TABLE %s OWNER TO %s", data_name(name),
				 role_name(owner)));
	return closed;
}

/*
 * A segment.  Its rows must never be toasted: a truncation would leave their
 * toast behind, so the columns are PLAIN from the start.
 */
static Oid
create_segment(const char *view, int number, const WeirPlan *plan, Oid owner)
{
	char	   *name = choose_name(view, psprintf("partial_%d", number));
	WeirOutput *columns;
	StringInfoData sql;
	CreateStmt *statement;
	ListCell   *lc;
	int			n;

	columns = weir_plan_partial_columns(plan, &n);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", data_name(name));
	append_columns(&sql, columns, n);
	appendStringInfoString(&sql, ") USING heap WITH (autovacuum_enabled = off)");
	statement = castNode(CreateStmt, parse(sql.data));
	foreach(lc, statement->tableElts)
		lfirst_node(ColumnDef, lc)->storage = TYPSTORAGE_PLAIN;
	run_statement((Node *) statement, sql.data);
	run(psprintf("GRANT SELECT ON TABLE %s TO %s", data_name(name),
				 role_name(owner)));
	return data_relation(name);
}

/* Relations in weir_data, by the extension's owner. */
static void
create_data_relations(WeirView *view, const char *name, const WeirPlan *plan)
{
	WeirUserContext context;

	enter(&context, weir_extension_owner());
	view->query = create_query(name, plan->query, view->owner);
	view->closed = create_closed(name, plan, view->owner);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		view->segments[i] = create_segment(name, i, plan, view->owner);
	weir_user_leave(&context);
}

/* The first n columns of a relation, each with a prefix. */
static void
append_column_list(StringInfo sql, Oid relid, int n, const char *prefix)
{
	for (int i = 1; i <= n; i++)
		appendStringInfo(sql, "%s%s%s", i == 1 ? "" : ", ", prefix,
						 quote_identifier(get_attname(relid, i, false)));
}

/* What v is: closed, open, and nothing of the query. */
static void
append_view_query(StringInfo sql, const WeirView *view, const WeirPlan *plan)
{
	appendStringInfoString(sql, "SELECT ");
	append_column_list(sql, view->closed, plan->noutputs, "c.");
	appendStringInfo(sql, " FROM %s c", qualified_name(view->closed));
	if (strcmp(view->emit, "changes") == 0)
		appendStringInfo(sql, " UNION ALL %s",
						 weir_plan_live_sql(plan, view->closed,
											view->segments));
	appendStringInfoString(sql, " UNION ALL SELECT ");
	append_column_list(sql, view->query, plan->noutputs, "q.");
	appendStringInfo(sql, " FROM %s q WHERE false",
					 qualified_name(view->query));
}

/* The view itself, by its owner. */
static Oid
create_view(WeirView *view, Oid schema, const char *name,
			const WeirPlan *plan)
{
	WeirUserContext context;
	StringInfoData sql;

	initStringInfo(&sql);
	enter(&context, view->owner);
	appendStringInfo(&sql, "CREATE VIEW %s (",
					 quote_qualified_identifier(get_namespace_name(schema),
												name));
	for (int i = 0; i < plan->noutputs; i++)
		appendStringInfo(&sql, "%s%s", i == 0 ? "" : ", ",
						 quote_identifier(plan->outputs[i].name));
	appendStringInfoString(&sql, ") AS ");
	append_view_query(&sql, view, plan);
	run(sql.data);
	weir_user_leave(&context);
	return get_relname_relid(name, schema);
}

/* ---------------------------------------------------------------------
 * CREATE
 * ---------------------------------------------------------------------
 */

/* What must be true whatever the query is. */
static void
check_surroundings(void)
{
	PreventCommandIfReadOnly("CREATE MATERIALIZED VIEW");
	if (creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot be part of an extension"),
				 errhint("Create it after CREATE EXTENSION.")));
	if (!OidIsValid(weir_catalog_extension()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"pg_weir\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION pg_weir.")));
	weir_shmem_require();
}

/* Names of the column list replace those of the select list. */
static void
rename_columns(Query *query, List *names)
{
	ListCell   *name = list_head(names);
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk || name == NULL)
			continue;
		tle->resname = pstrdup(strVal(lfirst(name)));
		name = lnext(names, name);
	}
	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("too many column names were specified")));
}

/* The reader reads the stream as the owner, so the owner must be allowed. */
static void
check_stream(const WeirPlan *plan)
{
	AclResult	result;

	result = pg_class_aclcheck(plan->stream, GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE,
					   get_rel_name(plan->stream));
	if (get_rel_persistence(plan->stream) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot read a temporary stream"),
				 errhint("Create the stream in another schema.")));
}

/*
 * The schema to create in, or InvalidOid when there is a relation of this
 * name already and that is all right.
 */
static Oid
creation_schema(WeirCreateView *create)
{
	Oid			existing;
	Oid			schema;

	if (create->name->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot be temporary or unlogged"),
				 errhint("Create it without TEMPORARY or UNLOGGED.")));
	schema = RangeVarGetAndCheckCreationNamespace(create->name, NoLock,
												  &existing);
	if (isTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot be temporary or unlogged"),
				 errhint("Create it in another schema.")));
	if (!OidIsValid(existing))
		return schema;
	if (!create->if_not_exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists",
						create->name->relname)));
	ereport(NOTICE,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("relation \"%s\" already exists, skipping",
					create->name->relname)));
	return InvalidOid;
}

/* The reader that is to come will not come soon: say so. */
static void
warn_if_queued(const WeirView *view)
{
	bool		room;
	bool		slot = false;

	if (weir_shared == NULL)
		return;
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	room = weir_shmem_view_room();
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		const WeirSlot *other = &weir_shared->slots[i];

		if (weir_shmem_taken(other) ?
			other->kind == WEIR_WORKER_READER &&
			other->database == MyDatabaseId && other->object == view->stream :
			i < weir_max_workers)
			slot = true;
	}
	LWLockRelease(weir_shared->lock);
	if (!room)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("continuous view \"%s\" is queued",
						get_rel_name(view->view)),
				 errdetail("Shared memory holds %d continuous views of the cluster, and all places are taken.",
						   WEIR_MAX_VIEWS),
				 errhint("Drop some that are not needed, in any database.")));
	else if (!slot)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("continuous view \"%s\" is queued",
						get_rel_name(view->view)),
				 errdetail("All %d workers of the cluster are in use.",
						   weir_max_workers),
				 errhint("Raise weir.max_workers in postgresql.conf and restart.")));
}

/* Rows of the catalog; from here on a worker may find the view. */
static void
record_view(WeirView *view, bool with_data)
{
	WeirViewState state = {0};

	state.closed_to = DT_NOBEGIN;
	state.closed_before = DT_NOBEGIN;
	state.nlive = 1;
	weir_view_insert(view);
	weir_view_state_insert(view->closed, &state);
	if (with_data)
		weir_view_arm(view->view);
	CommandCounterIncrement();
	weir_view_record_dependencies(view->view);
	weir_wake_at_commit();
}

static void
set_options(WeirView *view, const WeirViewOptions *options)
{
	view->start = options->start;
	view->emit = options->emit;
	view->lateness = options->lateness;
	view->on_late = options->on_late;
	view->retention = options->retention;
}

/*
 * weir_view_prepare
 *		Everything before the creation; see create.h.
 */
WeirPlan *
weir_view_prepare(WeirCreateView *create, Oid *schema)
{
	WeirPlan   *plan;

	check_surroundings();
	*schema = creation_schema(create);
	if (!OidIsValid(*schema))
		return NULL;
	rename_columns(create->query, create->column_names);
	plan = weir_plan_make(create->query, create->source_text);
	check_stream(plan);
	return plan;
}

/*
 * weir_view_create
 *		Create a continuous view as the current user; see create.h.
 */
Oid
weir_view_create(WeirCreateView *create)
{
	WeirView	view = {0};
	Oid			schema;
	WeirPlan   *plan = weir_view_prepare(create, &schema);

	if (plan == NULL)
		return InvalidOid;

	view.stream = plan->stream;
	view.owner = GetUserId();
	view.settings = weir_user_settings();
	view.status = create->with_data ? WEIR_QUEUED : WEIR_PAUSED;
	set_options(&view, &create->options);
	create_data_relations(&view, create->name->relname, plan);
	view.view = create_view(&view, schema, create->name->relname, plan);
	record_view(&view, create->with_data);
	if (create->with_data)
		warn_if_queued(&view);
	return view.view;
}

/* ---------------------------------------------------------------------
 * Changes and checks
 * ---------------------------------------------------------------------
 */

/* The reloptions of a relation as DefElems, so that a replacement keeps them. */
static List *
relation_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	List	   *options = NIL;
	Datum		datum;
	bool		isnull;

	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

/*
 * weir_view_rebuild
 *		Replace v by what its emit option says now; see create.h.
 */
void
weir_view_rebuild(const WeirView *view)
{
	WeirPlan   *plan = weir_plan_of_view(view->query);
	WeirUserContext context;
	StringInfoData sql;
	ViewStmt   *statement;

	initStringInfo(&sql);
	enter(&context, view->owner);
	appendStringInfo(&sql, "CREATE OR REPLACE VIEW %s (",
					 qualified_name(view->view));
	append_column_list(&sql, view->view, plan->noutputs, "");
	appendStringInfoString(&sql, ") AS ");
	append_view_query(&sql, view, plan);
	statement = castNode(ViewStmt, parse(sql.data));
	statement->options = relation_options(view->view);
	run_statement((Node *) statement, sql.data);
	weir_user_leave(&context);
}

static bool
collect_relations_walker(Node *node, List **relations)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION)
			*relations = list_append_unique_oid(*relations, rte->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_relations_walker,
								 relations, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_relations_walker, relations);
}

/* The relations that a view reads. */
static List *
relations_of(Oid view)
{
	Relation	relation = relation_open(view, AccessShareLock);
	List	   *relations = NIL;

	if (relation->rd_rel->relkind == RELKIND_VIEW)
		(void) collect_relations_walker((Node *) get_view_query(relation),
										&relations);
	relation_close(relation, NoLock);

	/* PostgreSQL before 16 has the view itself in its range table, twice */
	return list_delete_oid(relations, view);
}

/* The relations that v must read. */
static List *
recorded_relations(const WeirView *view)
{
	List	   *relations = list_make2_oid(view->closed, view->query);

	if (strcmp(view->emit, "changes") != 0)
		return relations;
	relations = lappend_oid(relations, weir_catalog_relation("view_state"));
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		relations = lappend_oid(relations, view->segments[i]);
	return relations;
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* A relation behind the view is there and belongs to whom it should. */
static void
check_relation(const WeirView *view, Oid relid, Oid owner)
{
	Oid			actual = relation_owner(relid);

	if (!OidIsValid(actual))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" is not whole",
						get_rel_name(view->view)),
				 errdetail("A relation behind it is missing."),
				 errhint("Restore the whole database, or drop the view and create it again.")));
	if (actual != owner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" behind continuous view \"%s\" belongs to another role",
						get_rel_name(relid), get_rel_name(view->view)),
				 errhint("Run ALTER TABLE %s OWNER TO %s.",
						 qualified_name(relid), role_name(owner))));
}

/*
 * weir_view_check_restored
 *		Raise unless the relations of the view are whole; see create.h.
 */
void
weir_view_check_restored(Oid view_id)
{
	WeirView   *view = weir_view_get(view_id, false);
	List	   *reads = relations_of(view_id);
	List	   *expected = recorded_relations(view);
	Oid			extension_owner = weir_extension_owner();

	check_relation(view, view->query, view->owner);
	check_relation(view, view->closed, view->owner);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		check_relation(view, view->segments[i], extension_owner);
	if (list_difference_oid(reads, expected) != NIL ||
		list_difference_oid(expected, reads) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" is not whole",
						get_rel_name(view_id)),
				 errdetail("Its definition does not read exactly the relations that are recorded for it."),
				 errhint("Let the restore finish, or drop the view and create it again.")));
}
