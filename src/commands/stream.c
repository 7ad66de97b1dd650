/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  What may change about a stream while continuous views read it.
 *
 * A continuous view's rows are a function of the records in the log.  An
 * option, type or constraint that decides what a record is must therefore
 * stay as it was when the first of them was read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/stream.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "source/option.h"
#include "source/stream.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "worker/worker.h"

static void
pg_attribute_noreturn()
raise_frozen(Oid stream, Oid view, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot change %s of stream \"%s\"", what,
					get_rel_name(stream)),
			 errdetail("Continuous view \"%s\" reads it: records that it has read already would have been read differently.",
					   get_rel_name(view)),
			 errhint("Create a new stream over the same topic, and a new continuous view over that.")));
}

/* A continuous view that reads the stream, or InvalidOid. */
static Oid
reading_view(Oid stream)
{
	List	   *views;

	if (!OidIsValid(weir_catalog_extension()))
		return InvalidOid;
	views = weir_view_list_of_stream(stream);
	return views == NIL ? InvalidOid :
		((WeirView *) linitial(views))->view;
}

/* Options of the stream or of a column: none of the frozen ones. */
static void
check_options(Oid stream, Oid view, Oid catalog, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (weir_option_frozen(catalog, option->defname))
			raise_frozen(stream, view,
						 psprintf("option \"%s\"", option->defname));
	}
}

/* A new column may not be a new contract for old records. */
static void
check_new_column(Oid stream, Oid view, ColumnDef *column)
{
	if (column->is_not_null || column->constraints != NIL)
		raise_frozen(stream, view, "the constraints");
}

/* Do records have to satisfy anything about the column? */
static bool
column_constrained(Oid stream, const char *name)
{
	Relation	rel = relation_open(stream, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attno = get_attnum(stream, name);
	bool		constrained = false;

	if (attno > 0)
	{
		Bitmapset  *columns = NULL;
		int			nchecks = desc->constr ? desc->constr->num_check : 0;

		for (int i = 0; i < nchecks; i++)
			pull_varattnos(stringToNode(desc->constr->check[i].ccbin), 1,
						   &columns);
		constrained = TupleDescAttr(desc, attno - 1)->attnotnull ||
			bms_is_member(attno - FirstLowInvalidHeapAttributeNumber,
						  columns);
	}
	relation_close(rel, NoLock);
	return constrained;
}

static void
check_command(Oid stream, Oid view, AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_GenericOptions:
			check_options(stream, view, ForeignTableRelationId,
						  castNode(List, command->def));
			break;
		case AT_AlterColumnGenericOptions:
			check_options(stream, view, AttributeRelationId,
						  castNode(List, command->def));
			break;
		case AT_AlterColumnType:
			raise_frozen(stream, view,
						 psprintf("the type of column \"%s\"", command->name));
			break;
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_AddConstraint:
		case AT_DropConstraint:
		case AT_AlterConstraint:
			raise_frozen(stream, view, "the constraints");
			break;
		case AT_DropColumn:
			if (column_constrained(stream, command->name))
				raise_frozen(stream, view, "the constraints");
			break;
		case AT_AddColumn:
			check_new_column(stream, view,
							 castNode(ColumnDef, command->def));
			break;
		default:
			break;
	}
}

/* The stream that a statement names, or InvalidOid. */
static Oid
stream_named(RangeVar *relation)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, true);
	WeirSourceKind kind;

	if (!OidIsValid(relid) ||
		get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		!weir_stream_is(relid, &kind))
		return InvalidOid;
	return relid;
}

/*
 * weir_stream_check_alter
 *		ALTER FOREIGN TABLE: nothing that decides what a record is.
 */
void
weir_stream_check_alter(AlterTableStmt *statement)
{
	Oid			stream = stream_named(statement->relation);
	Oid			view;
	ListCell   *lc;

	if (!OidIsValid(stream))
		return;

	/* first the lock that the statement needs, so that no view comes between */
	stream = RangeVarGetRelidExtended(statement->relation,
									  AlterTableGetLockLevel(statement->cmds),
									  0, RangeVarCallbackOwnsRelation, NULL);
	view = reading_view(stream);
	if (!OidIsValid(view))
		return;
	foreach(lc, statement->cmds)
		check_command(stream, view, lfirst_node(AlterTableCmd, lc));
	weir_wake_at_commit();		/* its readers take the new options */
}

/*
 * weir_stream_check_rename
 *		RENAME COLUMN: a column without the option field reads the field of
 *		its own name.
 */
void
weir_stream_check_rename(RenameStmt *statement)
{
	Oid			stream;
	Oid			view;
	AttrNumber	attnum;
	List	   *options;

	if (statement->renameType != OBJECT_COLUMN)
		return;
	stream = stream_named(statement->relation);
	if (!OidIsValid(stream))
		return;
	attnum = get_attnum(stream, statement->subname);
	view = reading_view(stream);
	if (attnum == InvalidAttrNumber || !OidIsValid(view))
		return;
	options = GetForeignColumnOptions(stream, attnum);
	if (weir_option_get(options, "field") == NULL &&
		weir_option_get(options, "metadata") == NULL)
		raise_frozen(stream, view,
					 psprintf("the name of column \"%s\"",
							  statement->subname));
}

/*
 * weir_server_check_alter
 *		ALTER SERVER: not to another cluster of brokers.
 */
void
weir_server_check_alter(AlterForeignServerStmt *statement)
{
	Oid			server = get_foreign_server_oid(statement->servername, true);
	ListCell   *lc;

	if (!OidIsValid(server) || !OidIsValid(weir_catalog_extension()))
		return;
	foreach(lc, weir_view_list())
	{
		WeirView   *view = lfirst(lc);

		if (get_rel_relkind(view->stream) == RELKIND_FOREIGN_TABLE &&
			GetForeignTable(view->stream)->serverid == server)
			check_options(view->stream, view->view,
						  ForeignServerRelationId, statement->options);
	}
}
