/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The extension's tables as C structs: views and their state rows.
 *
 * The other tables are in checkpoint.c, deadletter.c and registry.c.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "base/error.h"
#include "catalog/catalog.h"
#include "catalog/form.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define PAD_LENGTH	800

/* Columns of weir.view. */
enum
{
	VIEW,
	STREAM,
	QUERY,
	CLOSED,
	SEGMENTS,
	START,
	EMIT,
	LATENESS,
	ON_LATE,
	RETENTION,
	SETTINGS,
	STATUS,
	ERROR_MESSAGE,
	SQLSTATE,
	ERROR_AT,
	STATUS_SINCE,
	STATUS_BY,
	VIEW_NATTS
};

/* Columns of weir.view_state. */
enum
{
	STATE_CLOSED,
	STATE_CLOSED_TO,
	STATE_CLOSED_BEFORE,
	STATE_LIVE,
	STATE_GROUPS,
	STATE_PAD,
	STATE_NATTS
};

/* Columns of weir.armed. */
enum
{
	ARMED_VIEW,
	ARMED_SYSTEM_IDENTIFIER,
	ARMED_DATABASE,
	ARMED_NATTS
};

static const char *const status_names[] = {
	[WEIR_QUEUED] = "queued",
	[WEIR_CATCHING_UP] = "catching up",
	[WEIR_RUNNING] = "running",
	[WEIR_PAUSED] = "paused",
	[WEIR_FAILED] = "failed",
	[WEIR_CLOSE_FAILED] = "close_failed",
	[WEIR_STOPPED] = "stopped"
};

static List *list_views(AttrNumber attno, Datum key);
static WeirView *deform_view(TupleDesc desc, HeapTuple tuple);
static void form_options(const WeirView *view, Datum *values, bool *isnull);
static void form_failure(const ErrorData *error, Datum *values,
						 bool *isnull);
static void form_change(Datum *values, bool *isnull);
static Oid	owner_of(Oid relation);
static bool is_armed(Oid view);
static int	compare_views(const ListCell *a, const ListCell *b);
static void update_view(Oid view, Datum *values, bool *isnull,
						bool *replace);
static Datum form_live(const WeirViewState *state);
static Datum form_pad(void);

/*
 * Is this the very database of the very cluster?  See catalog.h.
 */
bool
weir_catalog_is_here(uint64 system_identifier, Oid database)
{
	return system_identifier == GetSystemIdentifier() &&
		database == MyDatabaseId;
}

PG_FUNCTION_INFO_V1(weir_is_here);

/*
 * weir._is_here(system_identifier bigint, database oid): the same in SQL.
 */
Datum
weir_is_here(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(weir_catalog_is_here(PG_GETARG_INT64(0),
										PG_GETARG_OID(1)));
}

/*
 * The word for a status.
 */
const char *
weir_status_name(WeirStatus status)
{
	return status_names[status];
}

static WeirStatus
status_of(const char *name)
{
	for (int i = 0; i < lengthof(status_names); i++)
	{
		if (strcmp(status_names[i], name) == 0)
			return (WeirStatus) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("unexpected status \"%s\" of a continuous view", name)));
}

/*
 * A view's row, in the current memory context.  Raises 42809 or 42P01 if
 * there is none, unless missing_ok.
 */
WeirView *
weir_view_get(Oid view, bool missing_ok)
{
	List	   *found = list_views(VIEW + 1, ObjectIdGetDatum(view));
	char	   *name;

	if (found != NIL)
		return linitial(found);
	if (missing_ok)
		return NULL;

	name = get_rel_name(view);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", view)));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a continuous view", name),
			 errhint("One is created WITH (weir.continuous); SELECT view FROM weir.overview lists them.")));
}

/*
 * All views, by oid.
 */
List *
weir_view_list(void)
{
	return list_views(0, (Datum) 0);
}

/*
 * The views of a stream, by oid.
 */
List *
weir_view_list_of_stream(Oid stream)
{
	return list_views(STREAM + 1, ObjectIdGetDatum(stream));
}

/*
 * Insert a view's row; armed and owner are not part of it.
 */
void
weir_view_insert(const WeirView *view)
{
	Relation	table = weir_table_open("view", RowExclusiveLock, false);
	Datum		values[VIEW_NATTS];
	bool		isnull[VIEW_NATTS];
	Datum		segments[WEIR_SEGMENTS];

	memset(isnull, false, sizeof(isnull));
	for (int i = 0; i < WEIR_SEGMENTS; i++)
		segments[i] = ObjectIdGetDatum(view->segments[i]);
	values[VIEW] = ObjectIdGetDatum(view->view);
	values[STREAM] = ObjectIdGetDatum(view->stream);
	values[QUERY] = ObjectIdGetDatum(view->query);
	values[CLOSED] = ObjectIdGetDatum(view->closed);
	values[SEGMENTS] =
		PointerGetDatum(construct_array(segments, WEIR_SEGMENTS, REGCLASSOID,
										sizeof(Oid), true, TYPALIGN_INT));
	values[START] = CStringGetTextDatum(view->start);
	form_options(view, values, isnull);
	values[SETTINGS] = weir_form_strings(view->settings);
	values[STATUS] = CStringGetTextDatum(status_names[view->status]);
	form_failure(NULL, values, isnull);
	form_change(values, isnull);
	weir_table_insert(table, heap_form_tuple(RelationGetDescr(table), values,
											 isnull));
	table_close(table, NoLock);
}

/*
 * Write the options that can be changed: emit, lateness, on_late, retention.
 */
void
weir_view_update_options(const WeirView *view)
{
	Datum		values[VIEW_NATTS];
	bool		isnull[VIEW_NATTS];
	bool		replace[VIEW_NATTS];

	memset(isnull, false, sizeof(isnull));
	memset(replace, false, sizeof(replace));
	form_options(view, values, isnull);
	replace[EMIT] = replace[LATENESS] = true;
	replace[ON_LATE] = replace[RETENTION] = true;
	update_view(view->view, values, isnull, replace);
}

/*
 * Write the status, and the error that led to it; since when it is so, and
 * by whom, if it is another one.
 */
void
weir_view_set_status(Oid view, WeirStatus status, const ErrorData *error)
{
	const WeirView *before = weir_view_get(view, true);
	Datum		values[VIEW_NATTS];
	bool		isnull[VIEW_NATTS];
	bool		replace[VIEW_NATTS];

	memset(isnull, false, sizeof(isnull));
	memset(replace, false, sizeof(replace));
	values[STATUS] = CStringGetTextDatum(status_names[status]);
	form_failure(error, values, isnull);
	replace[STATUS] = replace[ERROR_MESSAGE] = true;
	replace[SQLSTATE] = replace[ERROR_AT] = true;
	form_change(values, isnull);
	replace[STATUS_SINCE] = replace[STATUS_BY] =
		before == NULL || before->status != status;
	update_view(view, values, isnull, replace);
}

/*
 * Was the view stopped by a record, not by its log?  Then it stands before the
 * record, and can go on.
 */
bool
weir_view_stopped_by_record(const WeirView *view)
{
	return view->status == WEIR_STOPPED && view->error_sqlstate != NULL &&
		strcmp(view->error_sqlstate,
			   weir_sqlstate(ERRCODE_WEIR_BAD_RECORD)) == 0;
}

/*
 * Delete every row that names a view.  Its relations may be going already.
 */
void
weir_view_delete(Oid view)
{
	Relation	table = weir_table_open("view", RowExclusiveLock, true);
	Datum		key = ObjectIdGetDatum(view);

	if (table != NULL)
	{
		SysScanDesc scan = weir_table_scan(table, VIEW + 1, key);
		HeapTuple	tuple = systable_getnext(scan);
		Datum		closed = (Datum) 0;
		bool		isnull;

		if (HeapTupleIsValid(tuple))
			closed = heap_getattr(tuple, CLOSED + 1,
								  RelationGetDescr(table), &isnull);
		systable_endscan(scan);
		table_close(table, NoLock);
		if (closed != (Datum) 0)
			weir_table_delete("view_state", STATE_CLOSED + 1, closed);
	}
	weir_table_delete("view", 1, key);
	weir_table_delete("checkpoint", 1, key);
	weir_table_delete("armed", 1, key);
	weir_table_delete("dead_letter", 1, key);
	weir_table_delete("late_event", 1, key);
	weir_table_delete("exception", 1, key);
	weir_table_delete("trimmed", 1, key);
}

/*
 * The view may run in this very database from now on.
 */
void
weir_view_arm(Oid view)
{
	Relation	table;
	Datum		values[ARMED_NATTS];
	bool		isnull[ARMED_NATTS] = {false};

	weir_view_disarm(view);
	table = weir_table_open("armed", RowExclusiveLock, false);
	values[ARMED_VIEW] = ObjectIdGetDatum(view);
	values[ARMED_SYSTEM_IDENTIFIER] =
		Int64GetDatum((int64) GetSystemIdentifier());
	values[ARMED_DATABASE] = ObjectIdGetDatum(MyDatabaseId);
	weir_table_insert(table, heap_form_tuple(RelationGetDescr(table), values,
											 isnull));
	table_close(table, NoLock);
}

/*
 * The view may not run.
 */
void
weir_view_disarm(Oid view)
{
	weir_table_delete("armed", ARMED_VIEW + 1, ObjectIdGetDatum(view));
}

/*
 * Take the view's lock; see catalog.h.  In pg_locks it is an "object" of
 * class pg_class, sub-id 1; nothing else locks a relation in that way.
 */
bool
weir_view_lock(Oid view, LOCKMODE mode, bool conditional)
{
	LOCKTAG		tag;

	if (conditional && !ConditionalLockRelationOid(view, AccessShareLock))
		return false;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, view, 1);
	if (LockAcquire(&tag, mode, false,
					conditional) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

static void
deform_state(HeapTuple tuple, TupleDesc desc, WeirViewState *state)
{
	Datum		values[STATE_NATTS];
	bool		isnull[STATE_NATTS];
	ArrayType  *live;

	heap_deform_tuple(tuple, desc, values, isnull);
	live = DatumGetArrayTypeP(values[STATE_LIVE]);
	state->closed_to = DatumGetTimestampTz(values[STATE_CLOSED_TO]);
	state->closed_before = DatumGetTimestampTz(values[STATE_CLOSED_BEFORE]);
	state->nlive = ArrayGetNItems(ARR_NDIM(live), ARR_DIMS(live));
	if (state->nlive > WEIR_SEGMENTS || ARR_HASNULL(live))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("state row of relation %u is damaged",
						DatumGetObjectId(values[STATE_CLOSED]))));
	memcpy(state->live, ARR_DATA_PTR(live), state->nlive * sizeof(int32));
	state->groups = DatumGetInt64(values[STATE_GROUPS]);
	if (PointerGetDatum(live) != values[STATE_LIVE])
		pfree(live);
}

/*
 * Read a state row.  Raises XX001 if it is missing: without it the live
 * part would look empty.
 */
void
weir_view_state_get(Oid closed, WeirViewState *state)
{
	Relation	table = weir_table_open("view_state", AccessShareLock, false);
	SysScanDesc scan = weir_table_scan(table, STATE_CLOSED + 1,
									   ObjectIdGetDatum(closed));
	HeapTuple	tuple = systable_getnext(scan);

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("state row of relation %u is missing", closed)));
	deform_state(tuple, RelationGetDescr(table), state);

	systable_endscan(scan);
	table_close(table, NoLock);
}

/* The column of the row that has this key, as the query sees it. */
static bool
look_up(const char *name, AttrNumber key, Oid oid, AttrNumber column,
		Datum *value)
{
	Relation	table = weir_table_open(name, AccessShareLock, false);
	SysScanDesc scan = weir_table_scan_under(table, key + 1,
											 ObjectIdGetDatum(oid),
											 GetActiveSnapshot());
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tuple);
	bool		isnull;

	if (found)
		*value = heap_getattr(tuple, column + 1, RelationGetDescr(table),
							  &isnull);
	systable_endscan(scan);
	table_close(table, NoLock);
	return found;
}

PG_FUNCTION_INFO_V1(weir_closed_to);

/*
 * weir.closed_to(view regclass), under the snapshot of the query: it tells
 * apart the rows that this query sees.  It may be called for each of them, so
 * it is no SQL function: that takes four times as long.
 */
Datum
weir_closed_to(PG_FUNCTION_ARGS)
{
	Datum		closed;
	Datum		closed_to;

	if (!look_up("view", VIEW, PG_GETARG_OID(0), CLOSED, &closed) ||
		!look_up("view_state", STATE_CLOSED, DatumGetObjectId(closed),
				 STATE_CLOSED_TO, &closed_to))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(closed_to);
}

/*
 * Segments that any remaining version of a state row lists; see catalog.h.
 */
void
weir_view_state_versions(Oid closed, bool *listed)
{
	Relation	table;
	TableScanDesc scan;
	HeapTuple	tuple;
	WeirViewState state;

	/* The read that prunes. */
	weir_view_state_get(closed, &state);

	table = weir_table_open("view_state", AccessShareLock, false);
	scan = table_beginscan(table, SnapshotAny, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;
		Datum		key = heap_getattr(tuple, STATE_CLOSED + 1,
									   RelationGetDescr(table), &isnull);

		if (DatumGetObjectId(key) != closed)
			continue;
		deform_state(tuple, RelationGetDescr(table), &state);
		for (int i = 0; i < state.nlive; i++)
			listed[state.live[i]] = true;
	}
	table_endscan(scan);
	table_close(table, NoLock);
}

/*
 * Insert a state row.
 */
void
weir_view_state_insert(Oid closed, const WeirViewState *state)
{
	Relation	table = weir_table_open("view_state", RowExclusiveLock,
										false);
	Datum		values[STATE_NATTS];
	bool		isnull[STATE_NATTS] = {false};

	values[STATE_CLOSED] = ObjectIdGetDatum(closed);
	values[STATE_CLOSED_TO] = TimestampTzGetDatum(state->closed_to);
	values[STATE_CLOSED_BEFORE] = TimestampTzGetDatum(state->closed_before);
	values[STATE_LIVE] = form_live(state);
	values[STATE_GROUPS] = Int64GetDatum(state->groups);
	values[STATE_PAD] = form_pad();
	weir_table_insert(table, heap_form_tuple(RelationGetDescr(table), values,
											 isnull));
	table_close(table, NoLock);
}

/*
 * Write a state row.  Needs the view's EXCLUSIVE lock (I5).
 */
void
weir_view_state_update(Oid closed, const WeirViewState *state)
{
	Relation	table = weir_table_open("view_state", RowExclusiveLock,
										false);
	Datum		values[STATE_NATTS];
	bool		isnull[STATE_NATTS] = {false};
	bool		replace[STATE_NATTS] = {false};

	values[STATE_CLOSED_TO] = TimestampTzGetDatum(state->closed_to);
	values[STATE_CLOSED_BEFORE] = TimestampTzGetDatum(state->closed_before);
	values[STATE_LIVE] = form_live(state);
	values[STATE_GROUPS] = Int64GetDatum(state->groups);
	replace[STATE_CLOSED_TO] = replace[STATE_CLOSED_BEFORE] = true;
	replace[STATE_LIVE] = replace[STATE_GROUPS] = true;
	if (!weir_table_modify(table, ObjectIdGetDatum(closed), values, isnull,
						   replace))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("state row of relation %u is missing", closed)));
	table_close(table, NoLock);
}

/*
 * Views whose column equals key and whose relation is there, by oid.
 */
static List *
list_views(AttrNumber attno, Datum key)
{
	Relation	table = weir_table_open("view", AccessShareLock, true);
	List	   *views = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (table == NULL)
		return NIL;

	scan = weir_table_scan(table, attno, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		WeirView   *view = deform_view(RelationGetDescr(table), tuple);

		view->owner = owner_of(view->view);
		if (OidIsValid(view->owner))
		{
			view->armed = is_armed(view->view);
			views = lappend(views, view);
		}
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	list_sort(views, compare_views);
	return views;
}

static WeirView *
deform_view(TupleDesc desc, HeapTuple tuple)
{
	WeirView   *view = palloc0(sizeof(WeirView));
	Datum		values[VIEW_NATTS];
	bool		isnull[VIEW_NATTS];
	ArrayType  *segments;

	heap_deform_tuple(tuple, desc, values, isnull);
	view->view = DatumGetObjectId(values[VIEW]);
	view->stream = DatumGetObjectId(values[STREAM]);
	view->query = DatumGetObjectId(values[QUERY]);
	view->closed = DatumGetObjectId(values[CLOSED]);
	segments = DatumGetArrayTypeP(values[SEGMENTS]);
	if (ArrayGetNItems(ARR_NDIM(segments),
					   ARR_DIMS(segments)) != WEIR_SEGMENTS ||
		ARR_HASNULL(segments))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog row of view %u is damaged", view->view)));
	memcpy(view->segments, ARR_DATA_PTR(segments), sizeof(view->segments));
	view->start = TextDatumGetCString(values[START]);
	view->emit = TextDatumGetCString(values[EMIT]);
	view->lateness = weir_deform_exact(values[LATENESS]);
	view->on_late = TextDatumGetCString(values[ON_LATE]);
	if (!isnull[RETENTION])
		view->retention = weir_deform_interval(values[RETENTION]);
	view->settings = weir_deform_strings(values[SETTINGS]);
	view->status = status_of(TextDatumGetCString(values[STATUS]));
	if (!isnull[ERROR_MESSAGE])
		view->error = TextDatumGetCString(values[ERROR_MESSAGE]);
	if (!isnull[SQLSTATE])
		view->error_sqlstate = TextDatumGetCString(values[SQLSTATE]);
	if (!isnull[ERROR_AT])
		view->error_at = DatumGetTimestampTz(values[ERROR_AT]);
	view->status_since = DatumGetTimestampTz(values[STATUS_SINCE]);
	if (!isnull[STATUS_BY])
		view->status_by = TextDatumGetCString(values[STATUS_BY]);
	return view;
}

static void
form_options(const WeirView *view, Datum *values, bool *isnull)
{
	values[EMIT] = CStringGetTextDatum(view->emit);
	values[LATENESS] = weir_form_exact(view->lateness);
	values[ON_LATE] = CStringGetTextDatum(view->on_late);
	isnull[RETENTION] = view->retention == NULL;
	if (view->retention != NULL)
		values[RETENTION] = weir_form_interval(view->retention);
}

static void
form_failure(const ErrorData *error, Datum *values, bool *isnull)
{
	isnull[ERROR_MESSAGE] = isnull[SQLSTATE] = isnull[ERROR_AT] =
		error == NULL;
	if (error == NULL)
		return;
	values[ERROR_MESSAGE] =
		CStringGetTextDatum(error->message ? error->message : "");
	values[SQLSTATE] = CStringGetTextDatum(weir_sqlstate(error->sqlerrcode));
	values[ERROR_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
}

/* A status is changed now, by the current user or by a worker. */
static void
form_change(Datum *values, bool *isnull)
{
	values[STATUS_SINCE] = TimestampTzGetDatum(GetCurrentTimestamp());
	isnull[STATUS_BY] = IsBackgroundWorker;
	if (!IsBackgroundWorker)
		values[STATUS_BY] =
			CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
}

/*
 * Owner of a relation, InvalidOid if there is none.
 */
static Oid
owner_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * A row from another cluster or database came by a copy of the files.
 */
static bool
is_armed(Oid view)
{
	Relation	table = weir_table_open("armed", AccessShareLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		values[ARMED_NATTS];
	bool		isnull[ARMED_NATTS];
	bool		armed = false;

	if (table == NULL)
		return false;

	scan = weir_table_scan(table, ARMED_VIEW + 1, ObjectIdGetDatum(view));
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		heap_deform_tuple(tuple, RelationGetDescr(table), values, isnull);
		armed = weir_catalog_is_here(DatumGetInt64(values[ARMED_SYSTEM_IDENTIFIER]),
									 DatumGetObjectId(values[ARMED_DATABASE]));
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	return armed;
}

static int
compare_views(const ListCell *a, const ListCell *b)
{
	Oid			left = ((const WeirView *) lfirst(a))->view;
	Oid			right = ((const WeirView *) lfirst(b))->view;

	return (left > right) - (left < right);
}

static void
update_view(Oid view, Datum *values, bool *isnull, bool *replace)
{
	Relation	table = weir_table_open("view", RowExclusiveLock, false);

	if (!weir_table_modify(table, ObjectIdGetDatum(view), values, isnull,
						   replace))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("continuous view with OID %u does not exist", view)));
	table_close(table, NoLock);
}

static Datum
form_live(const WeirViewState *state)
{
	Datum		live[WEIR_SEGMENTS];

	for (int i = 0; i < state->nlive; i++)
		live[i] = Int32GetDatum(state->live[i]);
	return PointerGetDatum(construct_array(live, state->nlive, INT4OID,
										   sizeof(int32), true,
										   TYPALIGN_INT));
}

/*
 * Blanks, as character(800) holds an empty string.
 */
static Datum
form_pad(void)
{
	text	   *pad = palloc(VARHDRSZ + PAD_LENGTH);

	SET_VARSIZE(pad, VARHDRSZ + PAD_LENGTH);
	memset(VARDATA(pad), ' ', PAD_LENGTH);
	return PointerGetDatum(pad);
}
