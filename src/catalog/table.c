/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The tables of schema weir, found by name and touched directly.
 *
 * Oids are cached.  Any invalidation of one of the tables empties the cache,
 * so it outlives DROP and CREATE EXTENSION: the extension's own oid is kept
 * only together with that of a table, and they go together.
 *
 * Reads take a fresh snapshot like those of the system catalogs do, so what
 * is read after a lock was taken is what its last holder left (I5).
 *
 * Updates and deletes do not go through CatalogTupleUpdate(): it raises an
 * internal error where a row was changed meanwhile, which would be taken for
 * the view's fault.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "catalog/table.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define SCHEMA		"weir"
#define MAX_CACHED	16

typedef struct CachedTable
{
	NameData	name;
	Oid			oid;
} CachedTable;

static CachedTable cached[MAX_CACHED];
static int	ncached = 0;
static Oid	cached_extension = InvalidOid;

static Oid	find_table(const char *name);
static Oid	leading_index(Relation table);
static void insert_index_entries(Relation table, TupleTableSlot **slots,
								 int n, bool same_key);
static void insert_index_entry(Relation table, Relation index,
							   IndexInfo *info, TupleTableSlot *slot,
							   bool same_key);
static void raise_concurrent_change(Relation table);

/*
 * Forget what was cached when one of the tables changes or goes.
 */
static void
invalidate(Datum arg, Oid relid)
{
	bool		hit = !OidIsValid(relid);

	for (int i = 0; i < ncached && !hit; i++)
		hit = cached[i].oid == relid;
	if (hit)
	{
		ncached = 0;
		cached_extension = InvalidOid;
	}
}

/*
 * Oid of the extension, or InvalidOid.
 */
Oid
weir_catalog_extension(void)
{
	Oid			extension;

	if (OidIsValid(cached_extension))
		return cached_extension;

	extension = get_extension_oid("pg_weir", true);
	if (OidIsValid(extension) && OidIsValid(find_table("view")))
		cached_extension = extension;
	return extension;
}

/*
 * Oid of a table of schema weir; 42P01 if it is missing.
 */
Oid
weir_catalog_relation(const char *name)
{
	Oid			oid = find_table(name);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", SCHEMA, name),
				 errhint("Create the extension: CREATE EXTENSION pg_weir.")));
	return oid;
}

/*
 * Open a table; see table.h.
 */
Relation
weir_table_open(const char *name, LOCKMODE lockmode, bool missing_ok)
{
	Oid			oid;

	if (!missing_ok)
		return table_open(weir_catalog_relation(name), lockmode);
	oid = find_table(name);
	return OidIsValid(oid) ? try_table_open(oid, lockmode) : NULL;
}

/*
 * Scan for the rows with a key; see table.h.
 */
SysScanDesc
weir_table_scan(Relation table, AttrNumber attno, Datum key)
{
	return weir_table_scan_under(table, attno, key, NULL);
}

/*
 * The same under a snapshot; see table.h.
 */
SysScanDesc
weir_table_scan_under(Relation table, AttrNumber attno, Datum key,
					  Snapshot snapshot)
{
	ScanKeyData scankey;
	Form_pg_attribute attribute;

	if (attno == 0)
		return systable_beginscan(table, InvalidOid, false, snapshot, 0, NULL);

	attribute = TupleDescAttr(RelationGetDescr(table), attno - 1);
	ScanKeyEntryInitialize(&scankey, 0, attno, BTEqualStrategyNumber,
						   InvalidOid, attribute->attcollation,
						   attribute->atttypid == TEXTOID ?
						   F_TEXTEQ : F_OIDEQ, key);
	return systable_beginscan(table, leading_index(table), attno == 1,
							  snapshot, 1, &scankey);
}

/*
 * Scan for the rows with the first columns of the index; see table.h.
 */
SysScanDesc
weir_table_scan_by(Relation table, int n, const Datum *keys,
				   const bool *isnull)
{
	ScanKeyData scankeys[INDEX_MAX_KEYS];

	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), i);
		Oid			equal = attribute->atttypid == INT4OID ? F_INT4EQ :
			attribute->atttypid == INT8OID ? F_INT8EQ : F_OIDEQ;

		if (isnull[i])
			ScanKeyEntryInitialize(&scankeys[i], SK_ISNULL | SK_SEARCHNULL,
								   i + 1, InvalidStrategy, InvalidOid,
								   InvalidOid, InvalidOid, (Datum) 0);
		else
			ScanKeyEntryInitialize(&scankeys[i], 0, i + 1,
								   BTEqualStrategyNumber, InvalidOid,
								   attribute->attcollation, equal, keys[i]);
	}
	return systable_beginscan(table, leading_index(table), true, NULL, n,
							  scankeys);
}

/*
 * Insert a row.
 */
void
weir_table_insert(Relation table, HeapTuple tuple)
{
	CatalogTupleInsert(table, tuple);
	CommandCounterIncrement();
}

/*
 * Replace the row at tid; see table.h.  HOT where the page has room.
 */
void
weir_table_update(Relation table, ItemPointer tid, HeapTuple tuple)
{
	TM_FailureData failure;
	LockTupleMode lockmode;

	if (heap_update(table, tid, tuple, GetCurrentCommandId(true),
					InvalidSnapshot, true, &failure, &lockmode) != TM_Ok)
		raise_concurrent_change(table);

	if (!HeapTupleIsHeapOnly(tuple))
	{
		TupleDesc	desc = RelationGetDescr(table);
		TupleTableSlot *slot = MakeSingleTupleTableSlot(desc,
														&TTSOpsHeapTuple);

		ExecStoreHeapTuple(tuple, slot, false);
		insert_index_entries(table, &slot, 1, true);
		ExecDropSingleTupleTableSlot(slot);
	}
	CommandCounterIncrement();
}

/*
 * Replace columns of the row with a key; see table.h.
 */
bool
weir_table_modify(Relation table, Datum key, Datum *values, bool *isnull,
				  bool *replace)
{
	SysScanDesc scan = weir_table_scan(table, 1, key);
	HeapTuple	old = systable_getnext(scan);

	if (HeapTupleIsValid(old))
		weir_table_update(table, &old->t_self,
						  heap_modify_tuple(old, RelationGetDescr(table),
											values, isnull, replace));
	systable_endscan(scan);
	return HeapTupleIsValid(old);
}

/*
 * Insert n rows by one multi-insert.  CatalogTuplesMultiInsertWithInfo()
 * would index a row whose values were toasted under a wrong address.
 */
void
weir_table_insert_slots(Relation table, TupleTableSlot **slots, int n)
{
	table_multi_insert(table, slots, n, GetCurrentCommandId(true), 0, NULL);
	insert_index_entries(table, slots, n, false);
	CommandCounterIncrement();
}

/*
 * Delete a row that a scan brought.  False if somebody else did it first.
 */
bool
weir_table_delete_row(Relation table, HeapTuple tuple)
{
	TM_FailureData failure;
	TM_Result	result;

	result = heap_delete(table, &tuple->t_self, GetCurrentCommandId(true),
						 InvalidSnapshot, true, &failure, false);
	if (result != TM_Ok && result != TM_Deleted)
		raise_concurrent_change(table);
	return result == TM_Ok;
}

/*
 * Delete the rows with a key.  It does not matter who else deletes them.
 */
void
weir_table_delete(const char *name, AttrNumber attno, Datum key)
{
	Relation	table = weir_table_open(name, RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (table == NULL)
		return;

	scan = weir_table_scan(table, attno, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		(void) weir_table_delete_row(table, tuple);
	systable_endscan(scan);
	table_close(table, NoLock);
	CommandCounterIncrement();
}

/*
 * Oid of a table, InvalidOid if there is none.
 */
static Oid
find_table(const char *name)
{
	static bool registered = false;
	Oid			schema;
	Oid			oid;

	for (int i = 0; i < ncached; i++)
	{
		if (strcmp(NameStr(cached[i].name), name) == 0)
			return cached[i].oid;
	}

	if (!registered)
	{
		CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
		registered = true;
	}
	schema = get_namespace_oid(SCHEMA, true);
	oid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	if (OidIsValid(oid) && ncached < MAX_CACHED)
	{
		namestrcpy(&cached[ncached].name, name);
		cached[ncached++].oid = oid;
	}
	return oid;
}

/*
 * The primary key's index, or the first one.  Each begins with column 1.
 */
static Oid
leading_index(Relation table)
{
	Oid			index = RelationGetPrimaryKeyIndex(table);
	List	   *indexes;

	if (OidIsValid(index))
		return index;
	indexes = RelationGetIndexList(table);
	if (indexes != NIL)
		index = linitial_oid(indexes);
	list_free(indexes);
	return index;
}

/*
 * Index rows that are in the table already.  same_key: they are new versions
 * of rows whose key is as it was.
 */
static void
insert_index_entries(Relation table, TupleTableSlot **slots, int n,
					 bool same_key)
{
	CatalogIndexState state = CatalogOpenIndexes(table);

	for (int i = 0; i < state->ri_NumIndices; i++)
	{
		if (!state->ri_IndexRelationInfo[i]->ii_ReadyForInserts)
			continue;			/* REINDEX CONCURRENTLY has not built it yet */
		for (int j = 0; j < n; j++)
			insert_index_entry(table, state->ri_IndexRelationDescs[i],
							   state->ri_IndexRelationInfo[i], slots[j],
							   same_key);
	}
	CatalogCloseIndexes(state);
}

/*
 * Index one row.  The tables have plain indexes only.  A key that did not
 * change is unique already, and to look at all its versions takes the longer
 * the longer somebody holds a snapshot.
 */
static void
insert_index_entry(Relation table, Relation index, IndexInfo *info,
				   TupleTableSlot *slot, bool same_key)
{
	bool		check = index->rd_index->indisunique && !same_key;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	FormIndexDatum(info, slot, NULL, values, isnull);
	(void) index_insert(index, values, isnull, &slot->tts_tid, table,
						check ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
						same_key, info);
}

static void
raise_concurrent_change(Relation table)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("a row of \"%s.%s\" was changed concurrently",
					SCHEMA, RelationGetRelationName(table))));
}
