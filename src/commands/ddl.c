/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  Statements on continuous views and streams: the utility hook and the
 *	  object access hook.
 *
 * The utility hook handles exactly this, and lets everything else pass:
 *
 *	CREATE MATERIALIZED VIEW with a weir. option	create.c
 *	DROP, ALTER, RENAME, SET SCHEMA, COMMENT, SECURITY LABEL ...
 *		MATERIALIZED VIEW of a continuous view		the same on a VIEW
 *	ALTER [MATERIALIZED] VIEW ... SET (weir. ...)	change options
 *	REFRESH MATERIALIZED VIEW						weir.wait()
 *	EXPLAIN CREATE MATERIALIZED VIEW				explainview.c
 *	CREATE OR REPLACE VIEW							refuse to hide its rows
 *	CREATE, ALTER FOREIGN TABLE, ALTER SERVER		stream.c, fdw.c
 *	CREATE, ALTER, DROP USER MAPPING				wake the readers
 *	ALTER DOMAIN, ALTER TYPE ... RENAME VALUE		stream.c
 *	DROP, RENAME, SET TABLESPACE, copy of a DATABASE	database.c
 *	DROP OWNED, REASSIGN OWNED						lock the views first
 *
 * CREATE OR REPLACE VIEW passes, since pg_dump restores a continuous view with
 * it; only a query that would no longer show the view's rows is refused.  The
 * object access hook removes catalog rows when a view or a stream is dropped,
 * by whatever statement, and makes the relations behind a view follow its
 * owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/usercontext.h"
#include "catalog/catalog.h"
#include "catalog/edges.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/create.h"
#include "commands/database.h"
#include "commands/ddl.h"
#include "commands/explainview.h"
#include "commands/fdw.h"
#include "commands/operate.h"
#include "commands/stream.h"
#include "commands/tablecmds.h"
#include "commands/user.h"
#include "miscadmin.h"
#include "source/stream.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "worker/launcher.h"
#include "worker/worker.h"

/* One call of the hook. */
typedef struct Utility
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *completion;
} Utility;

static ProcessUtility_hook_type previous_utility;
static object_access_hook_type previous_object_access;

/* Let PostgreSQL, or the next extension, execute the statement. */
static void
pass_on(const Utility *utility)
{
	ProcessUtility_hook_type next = previous_utility != NULL ?
		previous_utility : standard_ProcessUtility;

	next(utility->pstmt, utility->query_string, utility->read_only_tree,
		 utility->context, utility->params, utility->query_env,
		 utility->dest, utility->completion);
}

/* The same with another statement, which is ours to scribble on. */
static void
pass_on_statement(const Utility *utility, Node *statement)
{
	Utility		other = *utility;

	other.pstmt = copyObject(utility->pstmt);
	other.pstmt->utilityStmt = statement;
	other.read_only_tree = false;
	pass_on(&other);
}

/* The continuous view of this name, or InvalidOid. */
static Oid
find_view(RangeVar *name)
{
	Oid			relid;

	if (name == NULL || !OidIsValid(weir_catalog_extension()))
		return InvalidOid;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_VIEW ||
		weir_view_get(relid, true) == NULL)
		return InvalidOid;
	return relid;
}

static Oid
find_view_by_names(Node *names)
{
	return find_view(makeRangeVarFromNameList(castNode(List, names)));
}

static void
check_owner(Oid view)
{
	if (!pg_class_ownercheck(view, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, get_rel_name(view));
}

/* ---------------------------------------------------------------------
 * CREATE OR REPLACE VIEW
 * ---------------------------------------------------------------------
 */

static void
replace_view(const Utility *utility)
{
	ViewStmt   *statement = (ViewStmt *) utility->pstmt->utilityStmt;
	Oid			view;

	pass_on(utility);
	if (!statement->replace)
		return;
	CommandCounterIncrement();
	view = find_view(statement->view);
	if (OidIsValid(view) && weir_view_was_replaced(view))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the query of continuous view \"%s\" cannot be replaced",
						get_rel_name(view)),
				 errdetail("It would no longer show what is kept for it."),
				 errhint("Drop it and create it again; weir.definition() gives the statement.")));
}

/* ---------------------------------------------------------------------
 * CREATE MATERIALIZED VIEW ... WITH (weir. ...)
 * ---------------------------------------------------------------------
 */

/* Does the statement create a continuous view? */
static bool
creates_view(Node *statement)
{
	CreateTableAsStmt *create = (CreateTableAsStmt *) statement;

	return statement != NULL && IsA(create, CreateTableAsStmt) &&
		create->objtype == OBJECT_MATVIEW &&
		weir_view_options_present(create->into->options);
}

static void
pg_attribute_noreturn()
raise_unsupported(const char *clause, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported for a continuous view", clause),
			 errhint("%s", hint)));
}

/* What a CREATE statement, which is ours to scribble on, asks for. */
static void
read_create(CreateTableAsStmt *statement, const char *source_text,
			WeirCreateView *create)
{
	memset(create, 0, sizeof(WeirCreateView));
	if (statement->into->accessMethod != NULL)
		raise_unsupported("USING",
						  "Leave it out: the view is built from ordinary tables.");
	if (statement->into->tableSpaceName != NULL)
		raise_unsupported("TABLESPACE",
						  "Move the table that weir.closed() names afterwards.");

	create->name = statement->into->rel;
	create->column_names = statement->into->colNames;
	create->if_not_exists = statement->if_not_exists;
	create->with_data = !statement->into->skipData;
	create->query = castNode(Query, statement->query);
	create->source_text = source_text;
	weir_view_options_init(&create->options);
	weir_view_options_read(&create->options, statement->into->options, false);
}

static void
create_view(const Utility *utility)
{
	WeirCreateView create;

	/* a tree from the plan cache must stay as it is */
	read_create((CreateTableAsStmt *) copyObject(utility->pstmt->utilityStmt),
				utility->query_string, &create);
	(void) weir_view_create(&create);
}

/* The stream that a query reads itself, or InvalidOid. */
static Oid
stream_of_query(const Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION && weir_stream_is(rte->relid, NULL))
			return rte->relid;
	}
	return InvalidOid;
}

/* Who leaves WITH (weir.continuous) out may not mean to. */
static void
notice_plain_view(const CreateTableAsStmt *create)
{
	Oid			stream = InvalidOid;

	if (create->objtype == OBJECT_MATVIEW)
		stream = stream_of_query(castNode(Query, create->query));
	if (OidIsValid(stream))
		ereport(NOTICE,
				(errmsg("materialized view \"%s\" does not follow stream \"%s\"",
						create->into->rel->relname, get_rel_name(stream)),
				 errhint("A continuous view is created WITH (weir.continuous).")));
}

/* EXPLAIN of such a statement would else say something about a matview. */
static bool
explains_view(Node *statement)
{
	Query	   *query = castNode(Query, ((ExplainStmt *) statement)->query);

	return query->commandType == CMD_UTILITY &&
		creates_view(query->utilityStmt);
}

static void
explain_view(const Utility *utility)
{
	ExplainStmt *statement = (ExplainStmt *) utility->pstmt->utilityStmt;
	Query	   *query = castNode(Query, copyObject(statement->query));
	WeirCreateView create;

	read_create(castNode(CreateTableAsStmt, query->utilityStmt),
				utility->query_string, &create);
	weir_explain_create(statement, &create, utility->dest);
}

/* ---------------------------------------------------------------------
 * Statements on MATERIALIZED VIEW that mean a VIEW
 * ---------------------------------------------------------------------
 */

/*
 * If the statement names a continuous view as a materialized view, a copy of
 * it that names a view; else NULL.
 */
static Node *
as_view_statement(Node *node)
{
	switch (nodeTag(node))
	{
		case T_AlterTableStmt:
			{
				AlterTableStmt *statement = (AlterTableStmt *) node;

				if (statement->objtype != OBJECT_MATVIEW ||
					!OidIsValid(find_view(statement->relation)))
					return NULL;
				statement = copyObject(statement);
				statement->objtype = OBJECT_VIEW;
				return (Node *) statement;
			}
		case T_RenameStmt:
			{
				RenameStmt *statement = (RenameStmt *) node;

				if ((statement->renameType != OBJECT_MATVIEW &&
					 (statement->renameType != OBJECT_COLUMN ||
					  statement->relationType != OBJECT_MATVIEW)) ||
					!OidIsValid(find_view(statement->relation)))
					return NULL;
				statement = copyObject(statement);
				if (statement->renameType == OBJECT_MATVIEW)
					statement->renameType = OBJECT_VIEW;
				else
					statement->relationType = OBJECT_VIEW;
				return (Node *) statement;
			}
		case T_AlterObjectSchemaStmt:
			{
				AlterObjectSchemaStmt *statement;

				statement = (AlterObjectSchemaStmt *) node;
				if (statement->objectType != OBJECT_MATVIEW ||
					!OidIsValid(find_view(statement->relation)))
					return NULL;
				statement = copyObject(statement);
				statement->objectType = OBJECT_VIEW;
				return (Node *) statement;
			}
		case T_CommentStmt:
			{
				CommentStmt *statement = (CommentStmt *) node;

				if (statement->objtype != OBJECT_MATVIEW ||
					!OidIsValid(find_view_by_names(statement->object)))
					return NULL;
				statement = copyObject(statement);
				statement->objtype = OBJECT_VIEW;
				return (Node *) statement;
			}
		case T_SecLabelStmt:
			{
				SecLabelStmt *statement = (SecLabelStmt *) node;

				if (statement->objtype != OBJECT_MATVIEW ||
					!OidIsValid(find_view_by_names(statement->object)))
					return NULL;
				statement = copyObject(statement);
				statement->objtype = OBJECT_VIEW;
				return (Node *) statement;
			}
		default:
			return NULL;
	}
}

/* DROP MATERIALIZED VIEW a, b: continuous views apart from the others. */
static void
drop_views(const Utility *utility)
{
	DropStmt   *statement = (DropStmt *) utility->pstmt->utilityStmt;
	List	   *views = NIL;
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		if (OidIsValid(find_view_by_names(lfirst(lc))))
			views = lappend(views, lfirst(lc));
		else
			others = lappend(others, lfirst(lc));
	}
	if (views == NIL)
	{
		pass_on(utility);
		return;
	}
	if (others != NIL)
	{
		statement = copyObject(statement);
		statement->objects = others;
		pass_on_statement(utility, (Node *) statement);
		CommandCounterIncrement();
	}
	statement = copyObject(statement);
	statement->objects = views;
	statement->removeType = OBJECT_VIEW;
	pass_on_statement(utility, (Node *) statement);
}

/* ---------------------------------------------------------------------
 * ALTER VIEW ... SET (weir. ...)
 * ---------------------------------------------------------------------
 */

static bool
is_weir_command(AlterTableCmd *command)
{
	return (command->subtype == AT_SetRelOptions ||
			command->subtype == AT_ResetRelOptions) &&
		weir_view_options_present((List *) command->def);
}

/* Does the statement change options of ours?  Then it must do nothing else. */
static bool
sets_options(AlterTableStmt *statement)
{
	int			ours = 0;
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		if (is_weir_command(lfirst_node(AlterTableCmd, lc)))
			ours++;
	}
	if (ours > 0 && ours < list_length(statement->cmds))
		raise_unsupported("changing weir. options together with something else",
						  "Use a statement for each.");
	return ours > 0;
}

static void
apply_command(WeirViewOptions *options, AlterTableCmd *command)
{
	List	   *elements = castNode(List, command->def);
	ListCell   *lc;

	if (command->subtype == AT_SetRelOptions)
	{
		weir_view_options_read(options, elements, true);
		return;
	}
	foreach(lc, elements)
		weir_view_option_reset(options, lfirst_node(DefElem, lc)->defname);
}

static void
set_options(AlterTableStmt *statement)
{
	Oid			view_id = find_view(statement->relation);
	WeirViewOptions options;
	WeirView   *view;
	bool		rebuild;
	ListCell   *lc;

	if (!OidIsValid(view_id))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view",
						statement->relation->relname),
				 errhint("One is created WITH (weir.continuous); SELECT view FROM weir.overview lists them.")));
	PreventCommandIfReadOnly("ALTER MATERIALIZED VIEW");
	check_owner(view_id);
	(void) weir_view_lock(view_id, ExclusiveLock, false);
	view = weir_view_get(view_id, false);

	weir_view_options_init(&options);
	options.emit = view->emit;
	options.on_late = view->on_late;
	options.retention = view->retention;
	foreach(lc, statement->cmds)
		apply_command(&options, lfirst_node(AlterTableCmd, lc));

	rebuild = strcmp(view->emit, options.emit) != 0;
	view->emit = options.emit;
	view->on_late = options.on_late;
	view->retention = options.retention;
	weir_view_update_options(view);
	if (rebuild)
		weir_view_rebuild(view);
	weir_wake_at_commit();
}

/* ---------------------------------------------------------------------
 * Other statements
 * ---------------------------------------------------------------------
 */

static void
refresh_view(const Utility *utility)
{
	RefreshMatViewStmt *statement;
	Oid			view;

	statement = (RefreshMatViewStmt *) utility->pstmt->utilityStmt;
	view = find_view(statement->relation);
	if (!OidIsValid(view))
	{
		pass_on(utility);
		return;
	}
	if (statement->skipData)
		raise_unsupported("REFRESH ... WITH NO DATA",
						  "Stop the view with weir.pause().");
	check_owner(view);
	weir_wait_for(view, -1);
}

/* After a stream was made or changed: its columns, all together. */
static void
check_stream(RangeVar *name)
{
	Oid			relid;
	WeirSourceKind kind;

	CommandCounterIncrement();
	relid = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(relid) &&
		get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE &&
		weir_stream_is(relid, &kind))
		weir_fdw_check_stream(relid);
}

/* ALTER TABLE, FOREIGN TABLE, VIEW, MATERIALIZED VIEW. */
static void
alter_relation(const Utility *utility)
{
	AlterTableStmt *statement;
	Node	   *as_view;

	statement = (AlterTableStmt *) utility->pstmt->utilityStmt;
	if (sets_options(statement))
	{
		set_options(statement);
		return;
	}
	as_view = as_view_statement((Node *) statement);
	if (as_view != NULL)
	{
		pass_on_statement(utility, as_view);
		return;
	}
	if (statement->objtype != OBJECT_FOREIGN_TABLE &&
		statement->objtype != OBJECT_TABLE)
	{
		pass_on(utility);
		return;
	}
	weir_stream_check_alter(statement);
	pass_on(utility);

	/* CREATE sets the columns' options by such subcommands, one at a time */
	if (utility->context != PROCESS_UTILITY_SUBCOMMAND)
		check_stream(statement->relation);
}

/* A statement that needs a database without workers, maybe. */
static void
change_database(const Utility *utility)
{
	Oid			database = weir_database_to_leave(utility->pstmt->utilityStmt);

	/* Until the end of the transaction: before, its effect cannot be seen. */
	if (OidIsValid(database))
		weir_workers_bar(database);
	pass_on(utility);
}

/*
 * DROP OWNED and REASSIGN OWNED lock what a role owns one by one, the closed
 * rows of a view before the view; a reader that closes does it the other way
 * round.  So the views first, by oid (I9), if the statement will be allowed.
 */
static void
change_owned(const Utility *utility, List *roles)
{
	List	   *owners;
	ListCell   *lc;

	if (!OidIsValid(weir_catalog_extension()))
	{
		pass_on(utility);
		return;
	}
	owners = roleSpecsToIds(roles);
	foreach(lc, weir_view_list())
	{
		const WeirView *view = lfirst(lc);

		if (list_member_oid(owners, view->owner) &&
			has_privs_of_role(GetUserId(), view->owner))
			LockRelationOid(view->view, AccessExclusiveLock);
	}
	pass_on(utility);
}

/* Rename: of a database, a stream's column, a continuous view. */
static void
rename_object(const Utility *utility)
{
	RenameStmt *statement = (RenameStmt *) utility->pstmt->utilityStmt;
	Node	   *as_view;

	if (statement->renameType == OBJECT_DATABASE)
	{
		change_database(utility);
		return;
	}
	weir_stream_check_rename(statement);
	as_view = as_view_statement((Node *) statement);
	if (as_view != NULL)
		pass_on_statement(utility, as_view);
	else
		pass_on(utility);
}

/* Everything that is not handled by a function of its own. */
static void
pass_on_as_view(const Utility *utility)
{
	Node	   *as_view = as_view_statement(utility->pstmt->utilityStmt);

	if (as_view != NULL)
		pass_on_statement(utility, as_view);
	else
		pass_on(utility);
}

static void
dispatch(const Utility *utility)
{
	Node	   *statement = utility->pstmt->utilityStmt;

	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:
			if (creates_view(statement))
				create_view(utility);
			else
			{
				pass_on(utility);
				notice_plain_view((CreateTableAsStmt *) statement);
			}
			break;
		case T_ViewStmt:
			replace_view(utility);
			break;
		case T_ExplainStmt:
			if (explains_view(statement))
				explain_view(utility);
			else
				pass_on(utility);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_MATVIEW)
				drop_views(utility);
			else
				pass_on(utility);
			break;
		case T_AlterTableStmt:
			alter_relation(utility);
			break;
		case T_RenameStmt:
			rename_object(utility);
			break;
		case T_AlterObjectSchemaStmt:
		case T_CommentStmt:
		case T_SecLabelStmt:
			pass_on_as_view(utility);
			break;
		case T_RefreshMatViewStmt:
			refresh_view(utility);
			break;
		case T_CreateForeignTableStmt:
			pass_on(utility);
			check_stream(((CreateForeignTableStmt *) statement)->base.relation);
			break;
		case T_AlterDomainStmt:
			weir_stream_check_domain((AlterDomainStmt *) statement);
			pass_on(utility);
			break;
		case T_AlterEnumStmt:
			weir_stream_check_enum((AlterEnumStmt *) statement);
			pass_on(utility);
			break;
		case T_AlterForeignServerStmt:
			weir_server_check_alter((AlterForeignServerStmt *) statement);
			pass_on(utility);
			weir_wake_at_commit();
			break;
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			pass_on(utility);
			weir_wake_at_commit();	/* readers look whose mapping they use */
			break;
		case T_DropdbStmt:
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
			change_database(utility);
			break;
		case T_DropOwnedStmt:
			change_owned(utility, ((DropOwnedStmt *) statement)->roles);
			break;
		case T_ReassignOwnedStmt:
			change_owned(utility, ((ReassignOwnedStmt *) statement)->roles);
			break;
		default:
			pass_on(utility);
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *query_env, DestReceiver *dest,
				QueryCompletion *completion)
{
	Utility		utility = {pstmt, query_string, read_only_tree, context, params,
	query_env, dest, completion};

	dispatch(&utility);
}

/* ---------------------------------------------------------------------
 * The object access hook
 * ---------------------------------------------------------------------
 */

/* A relation is about to be dropped: its rows of the catalog go first. */
static void
drop_relation(Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_VIEW ||
		!OidIsValid(weir_catalog_extension()) ||
		weir_view_get(relid, true) == NULL)
		return;
	weir_view_delete(relid);
	weir_wake_at_commit();
}

/* GRANT or REVOKE SELECT on all segments, as the extension's owner. */
static void
change_segment_grants(const WeirView *view, const char *format, Oid role)
{
	WeirUserContext context;
	StringInfoData sql;
	RawStmt    *statement;

	initStringInfo(&sql);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		appendStringInfo(&sql, "%s%s", i == 0 ? "" : ", ",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(view->segments[i])),
													get_rel_name(view->segments[i])));
	statement = linitial_node(RawStmt,
							  pg_parse_query(psprintf(format, sql.data,
													  quote_identifier(GetUserNameFromId(role, false)))));
	weir_user_enter(&context, weir_extension_owner(), NIL);
	ExecuteGrantStmt(castNode(GrantStmt, statement->stmt));
	weir_user_leave(&context);
	CommandCounterIncrement();
}

/*
 * A relation was altered.  If it is a continuous view with another owner,
 * query and closed follow, and SELECT on the segments moves.
 */
static void
follow_owner(Oid relid)
{
	WeirView   *before;
	WeirView   *after;

	if (get_rel_relkind(relid) != RELKIND_VIEW ||
		!OidIsValid(weir_catalog_extension()))
		return;
	before = weir_view_get(relid, true);
	if (before == NULL)
		return;
	CommandCounterIncrement();
	after = weir_view_get(relid, false);
	if (after->owner == before->owner)
		return;

	ATExecChangeOwner(after->query, after->owner, true, AccessExclusiveLock);
	ATExecChangeOwner(after->closed, after->owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	change_segment_grants(after, "REVOKE SELECT ON TABLE %s FROM %s",
						  before->owner);
	change_segment_grants(after, "GRANT SELECT ON TABLE %s TO %s",
						  after->owner);
	weir_wake_at_commit();
}

static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id,
			  int sub_id, void *arg)
{
	if (previous_object_access != NULL)
		previous_object_access(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP && class_id == ExtensionRelationId &&
		object_id == weir_catalog_extension())
		weir_label_database(false);
	if (class_id != RelationRelationId || sub_id != 0)
		return;
	if (access == OAT_DROP)
		drop_relation(object_id);
	else if (access == OAT_POST_ALTER)
		follow_owner(object_id);
}

/*
 * weir_ddl_init
 *		Install the hooks; from _PG_init.
 */
void
weir_ddl_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
}
