/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The small tables beside the views': exceptions, what was trimmed,
 *	  producers.
 *	  See catalog.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/form.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Columns of weir.exception. */
enum
{
	EXCEPTION_VIEW,
	EXCEPTION_PARTITION,
	EXCEPTION_OFFSET,
	EXCEPTION_KIND,
	EXCEPTION_FROM,
	EXCEPTION_TO,
	EXCEPTION_AT,
	EXCEPTION_NATTS
};

/* Columns of weir.trimmed. */
enum
{
	TRIMMED_VIEW,
	TRIMMED_WHAT,
	TRIMMED_ROWS,
	TRIMMED_UP_TO,
	TRIMMED_AT,
	TRIMMED_NATTS
};

static const char *const trimmed_names[] = {
	[WEIR_TRIMMED_CLOSED] = "closed rows",
	[WEIR_TRIMMED_LATE_EVENTS] = "late events",
	[WEIR_TRIMMED_DEAD_LETTERS] = "dead letters",
	[WEIR_UNSTORED_LATE_EVENTS] = "late events not stored"
};

/* Columns of weir.producer. */
enum
{
	NAME,
	OWNER,
	SOURCE,
	TARGET,
	RATE,
	SETTINGS,
	ENABLED,
	SYSTEM_IDENTIFIER,
	DATABASE,
	PRODUCED,
	PRODUCER_ERROR,
	PRODUCER_NATTS
};

static HeapTuple find_trimmed(Relation table, Oid view, WeirTrimmedKind kind,
							  WeirTrimmed *trimmed);
static List *list_producers(AttrNumber attno, Datum key);
static WeirProducer *deform_producer(TupleDesc desc, HeapTuple tuple);
static void update_producer(const char *name, int column, Datum value,
							bool null);

/*
 * Record a move of a watermark that the log does not explain.
 */
void
weir_exception_insert(Oid view, int32 partition, int64 offset,
					  const char *kind, TimestampTz from, TimestampTz to)
{
	Relation	table = weir_table_open("exception", RowExclusiveLock, false);
	Datum		values[EXCEPTION_NATTS];
	bool		isnull[EXCEPTION_NATTS] = {false};

	values[EXCEPTION_VIEW] = ObjectIdGetDatum(view);
	values[EXCEPTION_PARTITION] = Int32GetDatum(partition);
	isnull[EXCEPTION_PARTITION] = partition < 0;
	values[EXCEPTION_OFFSET] = Int64GetDatum(offset);
	isnull[EXCEPTION_OFFSET] = offset < 0;
	values[EXCEPTION_KIND] = CStringGetTextDatum(kind);
	values[EXCEPTION_FROM] = TimestampTzGetDatum(from);
	isnull[EXCEPTION_FROM] = TIMESTAMP_IS_NOBEGIN(from);
	values[EXCEPTION_TO] = TimestampTzGetDatum(to);
	isnull[EXCEPTION_TO] = TIMESTAMP_IS_NOBEGIN(to);
	values[EXCEPTION_AT] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	weir_table_insert(table, heap_form_tuple(RelationGetDescr(table), values,
											 isnull));
	table_close(table, NoLock);
}

/*
 * The word for a kind of rows that are not there any more.
 */
const char *
weir_trimmed_name(WeirTrimmedKind kind)
{
	return trimmed_names[kind];
}

/*
 * How much of a view was trimmed so far.
 */
bool
weir_trimmed_get(Oid view, WeirTrimmedKind kind, WeirTrimmed *trimmed)
{
	Relation	table = weir_table_open("trimmed", AccessShareLock, false);
	HeapTuple	tuple = find_trimmed(table, view, kind, trimmed);

	table_close(table, NoLock);
	return tuple != NULL;
}

/*
 * Remember that rows of a view are not there any more.
 */
void
weir_trimmed_add(Oid view, WeirTrimmedKind kind, int64 rows,
				 TimestampTz up_to)
{
	Relation	table;
	HeapTuple	old;
	HeapTuple	tuple;
	WeirTrimmed before = {0, DT_NOBEGIN, 0};
	Datum		values[TRIMMED_NATTS];
	bool		isnull[TRIMMED_NATTS] = {false};

	if (rows == 0)
		return;
	table = weir_table_open("trimmed", RowExclusiveLock, false);
	old = find_trimmed(table, view, kind, &before);
	values[TRIMMED_VIEW] = ObjectIdGetDatum(view);
	values[TRIMMED_WHAT] = CStringGetTextDatum(trimmed_names[kind]);
	values[TRIMMED_ROWS] = Int64GetDatum(before.rows + rows);
	values[TRIMMED_UP_TO] = TimestampTzGetDatum(Max(before.up_to, up_to));
	values[TRIMMED_AT] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(table), values, isnull);
	if (old == NULL)
		weir_table_insert(table, tuple);
	else
		weir_table_update(table, &old->t_self, tuple);
	table_close(table, NoLock);
}

/*
 * A copy of a row of weir.trimmed, and what it says; or NULL.
 */
static HeapTuple
find_trimmed(Relation table, Oid view, WeirTrimmedKind kind,
			 WeirTrimmed *trimmed)
{
	SysScanDesc scan = weir_table_scan(table, TRIMMED_VIEW + 1,
									   ObjectIdGetDatum(view));
	HeapTuple	found = NULL;
	HeapTuple	tuple;
	Datum		values[TRIMMED_NATTS];
	bool		isnull[TRIMMED_NATTS];

	while (found == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		heap_deform_tuple(tuple, RelationGetDescr(table), values, isnull);
		if (strcmp(TextDatumGetCString(values[TRIMMED_WHAT]),
				   trimmed_names[kind]) != 0)
			continue;
		trimmed->rows = DatumGetInt64(values[TRIMMED_ROWS]);
		trimmed->up_to = DatumGetTimestampTz(values[TRIMMED_UP_TO]);
		trimmed->at = DatumGetTimestampTz(values[TRIMMED_AT]);
		found = heap_copytuple(tuple);
	}
	systable_endscan(scan);
	return found;
}

/*
 * Scan the rows of a view for a partition at an offset, or, for a partition
 * < 0, those for the view as a whole.
 */
static SysScanDesc
scan_exceptions(Relation table, Oid view, int32 partition, int64 offset)
{
	Datum		keys[] = {
		ObjectIdGetDatum(view), Int32GetDatum(partition), Int64GetDatum(offset)
	};
	bool		isnull[] = {false, partition < 0, false};

	return weir_table_scan_by(table, partition < 0 ? 2 : 3, keys, isnull);
}

/* Is the row of this kind, if kind is not NULL, and does it end at to? */
static bool
is_exception(Relation table, HeapTuple tuple, const char *kind,
			 const TimestampTz *to)
{
	TupleDesc	desc = RelationGetDescr(table);
	bool		isnull;
	Datum		value;

	if (kind != NULL)
	{
		value = heap_getattr(tuple, EXCEPTION_KIND + 1, desc, &isnull);
		if (strcmp(TextDatumGetCString(value), kind) != 0)
			return false;
	}
	if (to == NULL)
		return true;
	value = heap_getattr(tuple, EXCEPTION_TO + 1, desc, &isnull);
	return !isnull && DatumGetTimestampTz(value) == *to;
}

/*
 * Is there a row of this kind already?
 */
bool
weir_exception_exists(Oid view, int32 partition, int64 offset,
					  const char *kind)
{
	Relation	table = weir_table_open("exception", AccessShareLock, false);
	SysScanDesc scan = scan_exceptions(table, view, partition, offset);
	bool		found = false;
	HeapTuple	tuple;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = is_exception(table, tuple, kind, NULL);
	systable_endscan(scan);
	table_close(table, NoLock);
	return found;
}

/*
 * Let the row of this kind that ends at from end at to.
 */
bool
weir_exception_extend(Oid view, const char *kind, TimestampTz from,
					  TimestampTz to)
{
	Relation	table = weir_table_open("exception", RowExclusiveLock, false);
	SysScanDesc scan = scan_exceptions(table, view, -1, -1);
	Datum		values[EXCEPTION_NATTS];
	bool		isnull[EXCEPTION_NATTS] = {false};
	bool		replace[EXCEPTION_NATTS] = {false};
	HeapTuple	tuple;

	values[EXCEPTION_TO] = TimestampTzGetDatum(to);
	replace[EXCEPTION_TO] = true;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!is_exception(table, tuple, kind, &from))
			continue;
		weir_table_update(table, &tuple->t_self,
						  heap_modify_tuple(tuple, RelationGetDescr(table),
											values, isnull, replace));
		break;
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	return HeapTupleIsValid(tuple);
}

/*
 * What kind of row ends at to?
 */
char *
weir_exception_kind(Oid view, TimestampTz to, TimestampTz *at)
{
	Relation	table = weir_table_open("exception", AccessShareLock, false);
	SysScanDesc scan = scan_exceptions(table, view, -1, -1);
	TupleDesc	desc = RelationGetDescr(table);
	char	   *kind = NULL;
	HeapTuple	tuple;
	bool		isnull;

	while (kind == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!is_exception(table, tuple, NULL, &to))
			continue;
		kind = TextDatumGetCString(heap_getattr(tuple, EXCEPTION_KIND + 1,
												desc, &isnull));
		*at = DatumGetTimestampTz(heap_getattr(tuple, EXCEPTION_AT + 1, desc,
											   &isnull));
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	return kind;
}

/*
 * A producer by name.  Raises 42704 if there is none, unless missing_ok.
 */
WeirProducer *
weir_producer_get(const char *name, bool missing_ok)
{
	List	   *found = list_producers(NAME + 1, CStringGetTextDatum(name));

	if (found == NIL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("producer \"%s\" does not exist", name)));
	return found == NIL ? NULL : linitial(found);
}

/*
 * All producers.
 */
List *
weir_producer_list(void)
{
	return list_producers(0, (Datum) 0);
}

/*
 * Insert a producer's row; raises 23505 for a name that is taken.
 */
void
weir_producer_insert(const WeirProducer *producer)
{
	Relation	table = weir_table_open("producer", RowExclusiveLock, false);
	Datum		values[PRODUCER_NATTS];
	bool		isnull[PRODUCER_NATTS] = {false};

	values[NAME] = CStringGetTextDatum(producer->name);
	values[OWNER] = ObjectIdGetDatum(producer->owner);
	values[SOURCE] = CStringGetTextDatum(producer->source);
	values[TARGET] = ObjectIdGetDatum(producer->target);
	values[RATE] = Float8GetDatum(producer->rate);
	values[SETTINGS] = weir_form_strings(producer->settings);
	values[ENABLED] = BoolGetDatum(producer->enabled);
	values[SYSTEM_IDENTIFIER] = Int64GetDatum(GetSystemIdentifier());
	values[DATABASE] = ObjectIdGetDatum(MyDatabaseId);
	values[PRODUCED] = Int64GetDatum(producer->produced);
	isnull[PRODUCER_ERROR] = producer->error == NULL;
	if (producer->error != NULL)
		values[PRODUCER_ERROR] = CStringGetTextDatum(producer->error);
	weir_table_insert(table, heap_form_tuple(RelationGetDescr(table), values,
											 isnull));
	table_close(table, NoLock);
}

/*
 * Whether a producer is to run.
 */
void
weir_producer_set_enabled(const char *name, bool enabled)
{
	update_producer(name, ENABLED, BoolGetDatum(enabled), false);
}

/*
 * How far a producer has got.
 */
void
weir_producer_set_produced(const char *name, int64 produced)
{
	update_producer(name, PRODUCED, Int64GetDatum(produced), false);
}

/*
 * Why a producer failed last; NULL: it works.
 */
void
weir_producer_set_error(const char *name, const char *error)
{
	update_producer(name, PRODUCER_ERROR,
					error ? CStringGetTextDatum(error) : (Datum) 0,
					error == NULL);
}

/*
 * Delete a producer's row.
 */
void
weir_producer_delete(const char *name)
{
	weir_table_delete("producer", NAME + 1, CStringGetTextDatum(name));
}

static List *
list_producers(AttrNumber attno, Datum key)
{
	Relation	table = weir_table_open("producer", AccessShareLock, true);
	List	   *producers = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (table == NULL)
		return NIL;

	scan = weir_table_scan(table, attno, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		producers = lappend(producers,
							deform_producer(RelationGetDescr(table), tuple));
	systable_endscan(scan);
	table_close(table, NoLock);
	return producers;
}

static WeirProducer *
deform_producer(TupleDesc desc, HeapTuple tuple)
{
	WeirProducer *producer = palloc(sizeof(WeirProducer));
	Datum		values[PRODUCER_NATTS];
	bool		isnull[PRODUCER_NATTS];

	heap_deform_tuple(tuple, desc, values, isnull);
	producer->name = TextDatumGetCString(values[NAME]);
	producer->owner = DatumGetObjectId(values[OWNER]);
	producer->source = TextDatumGetCString(values[SOURCE]);
	producer->target = DatumGetObjectId(values[TARGET]);
	producer->rate = DatumGetFloat8(values[RATE]);
	producer->settings = weir_deform_strings(values[SETTINGS]);
	producer->enabled = DatumGetBool(values[ENABLED]) &&
		weir_catalog_is_here(DatumGetInt64(values[SYSTEM_IDENTIFIER]),
							 DatumGetObjectId(values[DATABASE]));
	producer->produced = DatumGetInt64(values[PRODUCED]);
	producer->error = isnull[PRODUCER_ERROR] ? NULL :
		TextDatumGetCString(values[PRODUCER_ERROR]);
	return producer;
}

static void
update_producer(const char *name, int column, Datum value, bool null)
{
	Relation	table = weir_table_open("producer", RowExclusiveLock, false);
	Datum		values[PRODUCER_NATTS];
	bool		isnull[PRODUCER_NATTS] = {false};
	bool		replace[PRODUCER_NATTS] = {false};

	values[column] = value;
	isnull[column] = null;
	replace[column] = true;
	if (!weir_table_modify(table, CStringGetTextDatum(name), values, isnull,
						   replace))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("producer \"%s\" does not exist", name)));
	table_close(table, NoLock);
}
