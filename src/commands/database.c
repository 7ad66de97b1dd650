/*-------------------------------------------------------------------------
 *
 * database.c
 *	  Statements on whole databases, which workers must leave first.
 *
 * DROP, RENAME, SET TABLESPACE and CREATE ... TEMPLATE fail while anybody is
 * connected to the database, and a worker counts like anybody.  Who may not
 * run the statement must not be able to stop workers with it either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#define DEFAULT_TEMPLATE "template1"

static DefElem *
find_element(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *element = lfirst_node(DefElem, lc);

		if (strcmp(element->defname, name) == 0)
			return element;
	}
	return NULL;
}

/* The database that CREATE DATABASE copies. */
static const char *
template_name(CreatedbStmt *statement)
{
	DefElem    *element = find_element(statement->options, "template");

	return element != NULL && element->arg != NULL ?
		defGetString(element) : DEFAULT_TEMPLATE;
}

/*
 * May the current user create databases?  The server's own function for this
 * is not exported by every minor release of 15.
 */
static bool
may_create_databases(void)
{
	HeapTuple	role;
	bool		may = superuser();

	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(role))
	{
		may |= ((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
		ReleaseSysCache(role);
	}
	return may;
}

/* May everybody with CREATEDB copy this database? */
static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(database));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

static bool
may_copy(Oid database)
{
	return may_create_databases() &&
		(is_template(database) ||
		 pg_database_ownercheck(database, GetUserId()));
}

/*
 * weir_database_to_leave
 *		The database that a statement needs for itself; see database.h.
 */
Oid
weir_database_to_leave(Node *statement)
{
	const char *name = NULL;
	Oid			database;

	if (IsA(statement, CreatedbStmt))
	{
		database = get_database_oid(template_name((CreatedbStmt *) statement),
									true);
		return OidIsValid(database) && may_copy(database) ? database :
			InvalidOid;
	}
	if (IsA(statement, DropdbStmt))
		name = ((DropdbStmt *) statement)->dbname;
	else if (IsA(statement, RenameStmt) &&
			 ((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		name = ((RenameStmt *) statement)->subname;
	else if (IsA(statement, AlterDatabaseStmt) &&
			 find_element(((AlterDatabaseStmt *) statement)->options,
						  "tablespace") != NULL)
		name = ((AlterDatabaseStmt *) statement)->dbname;
	if (name == NULL)
		return InvalidOid;

	/* one's own database cannot be the object of any of these */
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId ||
		!pg_database_ownercheck(database, GetUserId()))
		return InvalidOid;
	return database;
}
