/*-------------------------------------------------------------------------
 *
 * fdw.c
 *	  The foreign data wrappers weir_kafka and weir_generator: handlers,
 *	  validators, and what makes a good stream.
 *
 * A generator's start becomes an instant when the stream is created, and is
 * kept among the stream's options: so a message depends on options, partition
 * and number alone, and a dump that restores the table restores its messages.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/fdw.h"
#include "commands/import.h"
#include "commands/insert.h"
#include "commands/scan.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "source/generator_source.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(weir_kafka_handler);
PG_FUNCTION_INFO_V1(weir_kafka_validator);
PG_FUNCTION_INFO_V1(weir_generator_handler);
PG_FUNCTION_INFO_V1(weir_generator_validator);

Datum
weir_kafka_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	weir_scan_callbacks(routine);
	weir_insert_callbacks(routine);
	weir_import_callbacks(routine);
	PG_RETURN_POINTER(routine);
}

Datum
weir_generator_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	weir_scan_callbacks(routine);
	weir_insert_refusals(routine);
	PG_RETURN_POINTER(routine);
}

Datum
weir_kafka_validator(PG_FUNCTION_ARGS)
{
	weir_option_validate(WEIR_KAFKA, PG_GETARG_OID(1),
						 untransformRelOptions(PG_GETARG_DATUM(0)));
	PG_RETURN_VOID();
}

Datum
weir_generator_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);

	weir_option_validate(WEIR_GENERATOR, catalog, options);
	if (catalog == ForeignTableRelationId)
		(void) weir_generator_read_options(options,
										   palloc(sizeof(WeirGeneratorOptions)));
	PG_RETURN_VOID();
}

/* ---- what makes a good stream ---------------------------------------- */

static void
check_event_time(WeirStream *stream)
{
	Form_pg_attribute att;
	WeirMetadata metadata;

	if (!weir_option_get(stream->table_options, "event_time"))
	{
		ereport(NOTICE,
				(errmsg("the event time of stream %s is the record's Kafka timestamp",
						stream->name),
				 errhint("OPTIONS (event_time '...') names a timestamptz column instead.")));
		return;
	}
	att = TupleDescAttr(stream->tupdesc, stream->event_time - 1);
	metadata = stream->columns[stream->event_time - 1].metadata;
	if (att->atttypid != TIMESTAMPTZOID ||
		(metadata != WEIR_META_NONE && metadata != WEIR_META_TIMESTAMP))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("event time column \"%s\" of stream %s is not of type timestamp with time zone",
						NameStr(att->attname), stream->name),
				 errhint("Declare it as timestamptz: text without a zone is read in the stream's timezone, numbers with OPTIONS (unit 's'), 'ms' or 'us'.")));
}

/* The types that a metadata column may have, up to InvalidOid. */
static const Oid *
metadata_types(WeirMetadata metadata)
{
	static const Oid types[][4] = {
		[WEIR_META_TOPIC] = {TEXTOID},
		[WEIR_META_PARTITION] = {INT4OID, INT8OID},
		[WEIR_META_OFFSET] = {INT8OID},
		[WEIR_META_KEY] = {TEXTOID, BYTEAOID},
		[WEIR_META_TIMESTAMP] = {TIMESTAMPTZOID},
		[WEIR_META_HEADERS] = {JSONBOID, JSONOID, TEXTOID},
		[WEIR_META_VALUE] = {BYTEAOID, TEXTOID},
		[WEIR_META_ERROR] = {TEXTOID}
	};

	return types[metadata];
}

static void
raise_type(WeirStream *stream, Form_pg_attribute att, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" of stream %s cannot have type %s",
					NameStr(att->attname), stream->name,
					format_type_be(att->atttypid)),
			 errhint("%s", hint)));
}

static void
check_type(WeirStream *stream, Form_pg_attribute att,
		   const Oid *allowed)
{
	StringInfoData list;

	initStringInfo(&list);
	for (; OidIsValid(*allowed); allowed++)
	{
		if (*allowed == att->atttypid)
			return;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 format_type_be(*allowed));
	}
	raise_type(stream, att, psprintf("It can have: %s.", list.data));
}

/* Whatever has one text can come from JSON; containers are jsonb. */
static void
check_json_type(WeirStream *stream, Form_pg_attribute att)
{
	Oid			base = getBaseType(att->atttypid);

	switch (get_typtype(base))
	{
		case TYPTYPE_BASE:
		case TYPTYPE_ENUM:
		case TYPTYPE_RANGE:
		case TYPTYPE_MULTIRANGE:
			break;
		default:
			raise_type(stream, att, "For an object, use jsonb.");
	}
	if (OidIsValid(get_element_type(base)))
		raise_type(stream, att, "For an array, use jsonb.");
}

static void
check_column(WeirStream *stream, Form_pg_attribute att)
{
	static const Oid raw[] = {TEXTOID, BYTEAOID, InvalidOid};
	static const Oid times[] = {
		TIMESTAMPTZOID, TIMESTAMPOID, DATEOID, InvalidOid
	};
	WeirColumn *column = &stream->columns[att->attnum - 1];

	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of stream %s cannot be a generated column",
						NameStr(att->attname), stream->name)));
	if (column->metadata != WEIR_META_NONE)
		check_type(stream, att, metadata_types(column->metadata));
	else if (stream->format == WEIR_FORMAT_RAW)
		check_type(stream, att, raw);
	else
		check_json_type(stream, att);
	if (column->unit != WEIR_UNIT_NONE)
		check_type(stream, att, times);
}

static void
check_columns(WeirStream *stream)
{
	int			ordinary = 0;

	for (int i = 0; i < stream->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(stream->tupdesc, i);

		if (att->attisdropped)
			continue;
		check_column(stream, att);
		ordinary += stream->columns[i].metadata == WEIR_META_NONE;
	}
	if (stream->format == WEIR_FORMAT_RAW && ordinary > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("stream %s of format raw has more than one ordinary column",
						stream->name),
				 errhint("All columns but one need OPTIONS (metadata '...').")));
}

/* Whether a record is bad must be the same whenever it is read. */
static void
check_constraints(WeirStream *stream)
{
	TupleConstr *constr = stream->tupdesc->constr;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		if (!contain_mutable_functions(stringToNode(constr->check[i].ccbin)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("check constraint \"%s\" of stream %s is not immutable",
						constr->check[i].ccname, stream->name),
				 errdetail("A record that is read again must get the same verdict."),
				 errhint("Use only functions that are marked IMMUTABLE.")));
	}
}

/* An instant as the option "start" takes it. */
static char *
instant_text(TimestampTz instant)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(instant, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year,
					tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					(int) fsec);
}

/* Set one option of a foreign table, as ALTER would. */
static void
set_table_option(Oid relid, const char *name, char *value, bool exists)
{
	Relation	catalog = table_open(ForeignTableRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(FOREIGNTABLEREL,
											ObjectIdGetDatum(relid));
	Datum		values[Natts_pg_foreign_table] = {0};
	bool		nulls[Natts_pg_foreign_table] = {0};
	bool		replace[Natts_pg_foreign_table] = {0};
	DefElem    *def = makeDefElem(pstrdup(name), (Node *) makeString(value), -1);
	Datum		old;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for foreign table %u", relid);
	def->defaction = exists ? DEFELEM_SET : DEFELEM_ADD;
	old = SysCacheGetAttr(FOREIGNTABLEREL, tuple,
						  Anum_pg_foreign_table_ftoptions, &isnull);
	values[Anum_pg_foreign_table_ftoptions - 1] =
		transformGenericOptions(ForeignTableRelationId,
								isnull ? PointerGetDatum(NULL) : old,
								list_make1(def), InvalidOid);
	replace[Anum_pg_foreign_table_ftoptions - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls,
							  replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	CacheInvalidateRelcacheByRelid(relid);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

static void
resolve_start(WeirStream *stream)
{
	const char *value = weir_option_get(stream->table_options, "start");
	TimestampTz start = 0;
	bool		relative = true;

	if (value)
		start = weir_option_start("start", value, &relative);
	if (relative)
		set_table_option(stream->relid, "start",
						 instant_text(GetCurrentTransactionStartTimestamp() +
									  start),
						 value != NULL);
}

void
weir_fdw_check_stream(Oid relid)
{
	WeirStream *stream;

	CommandCounterIncrement();
	if (!weir_stream_is(relid, NULL))
		return;
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("streams need a database with encoding UTF8"),
				 errdetail("This one has %s.", GetDatabaseEncodingName())));
	stream = weir_stream_get(relid);
	check_columns(stream);
	check_event_time(stream);
	check_constraints(stream);
	if (stream->kind == WEIR_GENERATOR)
		resolve_start(stream);
}
