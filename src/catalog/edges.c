/*-------------------------------------------------------------------------
 *
 * edges.c
 *	  What belongs to a continuous view, and to the extension.
 *
 * The edges are AUTO: with INTERNAL ones pg_dump --clean fails, because the
 * relations behind a view could not be dropped by themselves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/edges.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_rewrite.h"
#include "rewrite/rewriteSupport.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Does relation depend on view by an AUTO edge? */
static bool
edge_exists(Relation depend, Oid relation, Oid view)
{
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2,
							  key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		found = form->refclassid == RelationRelationId &&
			form->refobjid == view && form->refobjsubid == 0 &&
			form->deptype == DEPENDENCY_AUTO;
	}
	systable_endscan(scan);
	return found;
}

static void
record_edge(Relation depend, Oid relation, Oid view)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	if (!OidIsValid(relation) || get_rel_name(relation) == NULL ||
		edge_exists(depend, relation, view))
		return;
	ObjectAddressSet(depender, RelationRelationId, relation);
	ObjectAddressSet(referenced, RelationRelationId, view);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_AUTO);
}

/*
 * weir_view_record_dependencies
 *		Make the relations behind a view go with it; idempotent.
 */
void
weir_view_record_dependencies(Oid view)
{
	WeirView   *row = weir_view_get(view, false);
	Relation	depend = table_open(DependRelationId, RowExclusiveLock);

	record_edge(depend, row->query, view);
	record_edge(depend, row->closed, view);
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		record_edge(depend, row->segments[i], view);
	table_close(depend, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * weir_view_was_replaced
 *		Does the view's rule read relations, but not its closed table?
 */
bool
weir_view_was_replaced(Oid view)
{
	Oid			closed = weir_view_get(view, false)->closed;
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		reads_closed = false;
	bool		reads = false;

	ScanKeyInit(&key[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RewriteRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ,
				ObjectIdGetDatum(get_rewrite_oid(view, ViewSelectRuleName,
												 false)));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2,
							  key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid != RelationRelationId || form->refobjid == view)
			continue;
		reads = true;
		if (form->refobjid == closed)
			reads_closed = true;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return reads && !reads_closed;
}

/*
 * weir_extension_owner
 *		The role that owns the extension, and the segments of all views.
 */
Oid
weir_extension_owner(void)
{
	Relation	extensions;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(weir_catalog_extension()));
	scan = systable_beginscan(extensions, ExtensionOidIndexId, true, NULL, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pg_weir\" does not exist"),
				 errhint("Create it: CREATE EXTENSION pg_weir.")));
	return owner;
}
