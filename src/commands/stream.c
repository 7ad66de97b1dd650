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
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/stream.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_type.h"
#include "source/option.h"
#include "source/stream.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
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

/*
 * Is it a constraint that records would have to satisfy?  Others a parent of
 * the stream may have, and keeps to itself.
 */
static bool
constrains_records(const Constraint *constraint)
{
	return constraint->contype != CONSTR_UNIQUE &&
		constraint->contype != CONSTR_EXCLUSION &&
		constraint->contype != CONSTR_FOREIGN;
}

/* None of what decides what a record is. */
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
		case AT_AddConstraint:
			if (constrains_records(castNode(Constraint, command->def)))
				raise_frozen(stream, view, "the constraints");
			break;
		case AT_DropConstraint:
			if (OidIsValid(get_relation_constraint_oid(stream, command->name,
													   true)))
				raise_frozen(stream, view, "the constraints");
			break;
		case AT_SetNotNull:
		case AT_DropNotNull:
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

/* The streams among a relation and, if that is asked, what inherits from it. */
static List *
streams_among(Oid relid, bool inheritors)
{
	List	   *relids = inheritors ? find_all_inheritors(relid, NoLock, NULL) :
		list_make1_oid(relid);
	List	   *streams = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		WeirSourceKind kind;

		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE &&
			weir_stream_is(lfirst_oid(lc), &kind))
			streams = lappend_oid(streams, lfirst_oid(lc));
	}
	return streams;
}

/*
 * The streams that a statement on a relation reaches: itself, and what inherits
 * from it unless it says ONLY.  Where there are any, the relation and they are
 * locked, as the statement will lock them; nothing else is.
 */
static List *
streams_reached(RangeVar *relation, LOCKMODE lockmode)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, true);
	List	   *streams;
	ListCell   *lc;

	if (!OidIsValid(relid) || streams_among(relid, relation->inh) == NIL)
		return NIL;

	/* first the locks that the statement needs, so that no view comes between */
	relid = RangeVarGetRelidExtended(relation, lockmode, 0,
									 RangeVarCallbackOwnsRelation, NULL);
	streams = streams_among(relid, relation->inh);
	foreach(lc, streams)
		LockRelationOid(lfirst_oid(lc), lockmode);
	return streams;
}

/*
 * weir_stream_check_alter
 *		ALTER TABLE, FOREIGN TABLE: nothing that decides what a record is.
 */
void
weir_stream_check_alter(AlterTableStmt *statement)
{
	ListCell   *lc;
	ListCell   *command;

	foreach(lc, streams_reached(statement->relation,
								AlterTableGetLockLevel(statement->cmds)))
	{
		Oid			view = reading_view(lfirst_oid(lc));

		if (!OidIsValid(view))
			continue;
		foreach(command, statement->cmds)
			check_command(lfirst_oid(lc), view,
						  lfirst_node(AlterTableCmd, command));
		weir_wake_at_commit();	/* its readers take the new options */
	}
}

/* Does the stream's column of this name read the field of its own name? */
static bool
reads_field_of_its_name(Oid stream, const char *column)
{
	AttrNumber	attnum = get_attnum(stream, column);
	List	   *options;

	if (attnum == InvalidAttrNumber)
		return false;
	options = GetForeignColumnOptions(stream, attnum);
	return weir_option_get(options, "field") == NULL &&
		weir_option_get(options, "metadata") == NULL;
}

/*
 * weir_stream_check_rename
 *		RENAME COLUMN: a column without the option field reads the field of
 *		its own name.
 */
void
weir_stream_check_rename(RenameStmt *statement)
{
	ListCell   *lc;

	if (statement->renameType != OBJECT_COLUMN)
		return;
	foreach(lc, streams_reached(statement->relation, AccessExclusiveLock))
	{
		Oid			view = reading_view(lfirst_oid(lc));

		if (OidIsValid(view) &&
			reads_field_of_its_name(lfirst_oid(lc), statement->subname))
			raise_frozen(lfirst_oid(lc), view,
						 psprintf("the name of column \"%s\"",
								  statement->subname));
	}
}

/* Is it the type, or a domain over it, or over one over it? */
static bool
rests_on(Oid type, Oid base)
{
	while (OidIsValid(type) && type != base)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		type = InvalidOid;
		if (HeapTupleIsValid(tuple))
		{
			type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
			ReleaseSysCache(tuple);
		}
	}
	return OidIsValid(type);
}

/* Raise if a column of a stream that a view reads is of this type. */
static void
check_type(List *name, const char *what)
{
	Oid			type = LookupTypeNameOid(NULL, makeTypeNameFromNameList(name),
										 true);
	ListCell   *lc;

	if (!OidIsValid(type) || !OidIsValid(weir_catalog_extension()))
		return;
	foreach(lc, weir_view_list())
	{
		WeirView   *view = lfirst(lc);
		Relation	rel = try_relation_open(view->stream, AccessShareLock);

		if (rel == NULL)
			continue;
		for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

			if (!att->attisdropped && rests_on(att->atttypid, type))
				raise_frozen(view->stream, view->view,
							 psprintf("%s of a column's type", what));
		}
		relation_close(rel, NoLock);
	}
}

/*
 * weir_stream_check_domain
 *		ALTER DOMAIN: its constraints are those of the records.
 */
void
weir_stream_check_domain(AlterDomainStmt *statement)
{
	switch (statement->subtype)
	{
		case 'N':				/* DROP NOT NULL */
		case 'O':				/* SET NOT NULL */
		case 'C':				/* ADD CONSTRAINT */
		case 'X':				/* DROP CONSTRAINT */
			check_type(statement->typeName, "the constraints");
			break;
	}
}

/*
 * weir_stream_check_enum
 *		ALTER TYPE ... RENAME VALUE: messages go on to hold the old one.
 */
void
weir_stream_check_enum(AlterEnumStmt *statement)
{
	if (statement->oldVal != NULL)
		check_type(statement->typeName, "a value");
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
