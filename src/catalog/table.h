/*-------------------------------------------------------------------------
 *
 * table.h
 *	  The tables of schema weir, found by name and touched directly: neither
 *	  the current user's rights nor its search_path matter.
 *
 * All functions need a transaction.  Locks are held to its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_TABLE_H
#define WEIR_TABLE_H

#include "base/compat.h"
#include "access/genam.h"
#include "executor/tuptable.h"
#include "storage/lock.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* Oids, looked up by name in schema weir, cached until invalidation. */
extern Oid	weir_catalog_extension(void);	/* InvalidOid if absent */
extern Oid	weir_catalog_relation(const char *name);	/* raises */

/* NULL if the table is missing and missing_ok; else it raises. */
extern Relation weir_table_open(const char *name, LOCKMODE lockmode,
								bool missing_ok);

/*
 * Scan for rows whose column attno equals key (an oid, or a text); attno 0
 * is all rows.  The first column is looked up in the table's index.  Sees
 * what is committed at the call, and this transaction's own commands.  End
 * it by systable_endscan().
 */
extern SysScanDesc weir_table_scan(Relation table, AttrNumber attno,
								   Datum key);

/* The same, but sees what the snapshot does. */
extern SysScanDesc weir_table_scan_under(Relation table, AttrNumber attno,
										 Datum key, Snapshot snapshot);

/*
 * Scan for rows by the first n columns of the table's index, given as keys;
 * a key that is NULL finds NULL.  The rest as above.
 */
extern SysScanDesc weir_table_scan_by(Relation table, int n,
									  const Datum *keys, const bool *isnull);

/* Write, and let the next command see it.  The tuples get their t_self. */
extern void weir_table_insert(Relation table, HeapTuple tuple);

/*
 * Replace the row at tid; its key stays as it is.  If somebody else changed it meanwhile, raises
 * 40001.
 */
extern void weir_table_update(Relation table, ItemPointer tid,
							  HeapTuple tuple);

/*
 * Replace columns of the row whose first column equals key.  False if there
 * is none.
 */
extern bool weir_table_modify(Relation table, Datum key, Datum *values,
							  bool *isnull, bool *replace);

/* Insert n rows given as slots by one multi-insert. */
extern void weir_table_insert_slots(Relation table, TupleTableSlot **slots,
									int n);

/*
 * Delete a row that a scan brought.  False if somebody else did it first;
 * if it was changed meanwhile, raises 40001.
 */
extern bool weir_table_delete_row(Relation table, HeapTuple tuple);

/* Delete the rows of a table whose column equals key, if there is a table. */
extern void weir_table_delete(const char *name, AttrNumber attno, Datum key);

#endif							/* WEIR_TABLE_H */
