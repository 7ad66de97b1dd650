/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  A stream: a foreign table of ours with its options, read into a struct.
 *
 * A foreign table is a stream when the handler of its foreign data wrapper is
 * one of ours, whatever the wrapper is called.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "source/generator_source.h"
#include "source/kafka.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define DEFAULT_MESSAGE_BYTES	1000000
#define DEFAULT_IDLE_TIMEOUT	USECS_PER_MINUTE

bool
weir_stream_server_is(Oid serverid, WeirSourceKind *kind)
{
	ForeignServer *server = GetForeignServerExtended(serverid,
													 FSV_MISSING_OK);
	ForeignDataWrapper *wrapper;
	WeirSourceKind found;
	char	   *name;

	if (!server)
		return false;
	wrapper = GetForeignDataWrapper(server->fdwid);
	name = OidIsValid(wrapper->fdwhandler) ?
		get_func_name(wrapper->fdwhandler) : NULL;
	if (!name || get_func_namespace(wrapper->fdwhandler) !=
		get_namespace_oid("weir", true))
		return false;
	if (strcmp(name, "kafka_handler") == 0)
		found = WEIR_KAFKA;
	else if (strcmp(name, "generator_handler") == 0)
		found = WEIR_GENERATOR;
	else
		return false;
	if (kind)
		*kind = found;
	return true;
}

bool
weir_stream_is(Oid relid, WeirSourceKind *kind)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	return weir_stream_server_is(GetForeignTable(relid)->serverid, kind);
}

/* Split a dotted path in the current memory context. */
static void
split_path(WeirColumn *column, const char *path)
{
	char	   *copy = pstrdup(path);
	int			n = 1;

	for (char *c = copy; *c; c++)
		n += *c == '.';
	column->path = palloc(n * sizeof(char *));
	column->npath = n;
	for (int i = 0; i < n; i++)
	{
		column->path[i] = copy;
		copy += strcspn(copy, ".");
		*copy++ = '\0';
	}
}

static WeirMetadata
read_metadata(const char *value)
{
	static const char *const names[] = {
		"topic", "partition", "offset", "key", "timestamp", "headers",
		"value", "error"
	};

	for (int i = 0; i < lengthof(names); i++)
		if (value && strcmp(value, names[i]) == 0)
			return WEIR_META_TOPIC + i;
	return WEIR_META_NONE;
}

static WeirUnit
read_unit(const char *value)
{
	if (!value)
		return WEIR_UNIT_NONE;
	if (strcmp(value, "s") == 0)
		return WEIR_UNIT_S;
	return strcmp(value, "ms") == 0 ? WEIR_UNIT_MS : WEIR_UNIT_US;
}

static void
read_columns(WeirStream *stream)
{
	stream->columns = palloc0(stream->tupdesc->natts * sizeof(WeirColumn));
	for (int i = 0; i < stream->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(stream->tupdesc, i);
		WeirColumn *column = &stream->columns[i];
		List	   *options;
		const char *field;

		if (att->attisdropped)
			continue;
		options = GetForeignColumnOptions(stream->relid, att->attnum);
		column->metadata = read_metadata(weir_option_get(options, "metadata"));
		column->unit = read_unit(weir_option_get(options, "unit"));
		if (column->metadata != WEIR_META_NONE)
			continue;
		field = weir_option_get(options, "field");
		if (field)
			split_path(column, field);
		else
		{
			column->npath = 1;
			column->path = palloc(sizeof(char *));
			column->path[0] = pstrdup(NameStr(att->attname));
		}
	}
}

/*
 * The event time column: the one that is named, else the one that shows the
 * record's Kafka timestamp, if there is one.
 */
static AttrNumber
find_event_time(WeirStream *stream)
{
	const char *name = weir_option_get(stream->table_options, "event_time");

	for (int i = 0; i < stream->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(stream->tupdesc, i);

		if (att->attisdropped)
			continue;
		if (name ? strcmp(NameStr(att->attname), name) == 0 :
			stream->columns[i].metadata == WEIR_META_TIMESTAMP)
			return att->attnum;
	}
	if (name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("event time column \"%s\" of stream %s does not exist",
						name, stream->name),
				 errhint("The option event_time names a column, not the field it is read from.")));
	return 0;
}

static int64
read_time(List *options, const char *name, int64 missing)
{
	const char *value = weir_option_get(options, name);

	if (!value)
		return missing;
	if (strcmp(value, "off") == 0)
		return 0;
	return weir_option_microseconds(name, value, true);
}

static void
read_options(WeirStream *stream)
{
	List	   *options = stream->table_options;
	const char *value;

	stream->watermark_delay = read_time(options, "watermark_delay", 0);
	stream->max_future = read_time(options, "max_future", 0);
	stream->idle_timeout = read_time(options, "idle_timeout",
									 DEFAULT_IDLE_TIMEOUT);
	stream->close_timeout = read_time(options, "close_timeout", 0);

	value = weir_option_get(options, "timezone");
	stream->timezone = pg_tzset(value ? value : "UTC");

	value = weir_option_get(options, "format");
	stream->format = value && strcmp(value, "raw") == 0 ?
		WEIR_FORMAT_RAW : WEIR_FORMAT_JSON;

	value = weir_option_get(options, "on_error");
	stream->on_error = !value || strcmp(value, "dead_letter") == 0 ?
		WEIR_ON_ERROR_DEAD_LETTER :
		strcmp(value, "skip") == 0 ? WEIR_ON_ERROR_SKIP : WEIR_ON_ERROR_STOP;

	value = weir_option_get(options, "max_message_bytes");
	stream->max_message_bytes = value ? atoi(value) : DEFAULT_MESSAGE_BYTES;
}

WeirStream *
weir_stream_get(Oid relid)
{
	WeirStream *stream = palloc0(sizeof(WeirStream));
	ForeignTable *table;
	Relation	rel;
	const char *topic;

	if (!weir_stream_is(relid, &stream->kind))
	{
		char	   *name = get_rel_name(relid);

		ereport(ERROR,
				(errcode(name ? ERRCODE_WRONG_OBJECT_TYPE :
						 ERRCODE_UNDEFINED_TABLE),
				 name ? errmsg("\"%s\" is not a stream", name) :
				 errmsg("stream with OID %u does not exist", relid),
				 errhint("A stream is a foreign table of weir_kafka or weir_generator.")));
	}
	table = GetForeignTable(relid);
	stream->relid = relid;
	stream->serverid = table->serverid;
	stream->table_options = table->options;
	stream->server_options = GetForeignServer(table->serverid)->options;

	rel = table_open(relid, NoLock);
	stream->owner = rel->rd_rel->relowner;
	stream->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
											  RelationGetRelationName(rel));
	stream->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	topic = weir_option_get(table->options, "topic");
	stream->topic = pstrdup(topic ? topic : RelationGetRelationName(rel));
	table_close(rel, NoLock);

	read_columns(stream);
	read_options(stream);
	stream->event_time = find_event_time(stream);
	return stream;
}

WeirStream *
weir_stream_of_topic(Oid serverid, const char *topic, List *options)
{
	WeirStream *stream = palloc0(sizeof(WeirStream));

	stream->serverid = serverid;
	stream->owner = GetUserId();
	stream->name = pstrdup(quote_identifier(topic));
	stream->kind = WEIR_KAFKA;
	stream->topic = pstrdup(topic);
	stream->table_options = options;
	stream->server_options = GetForeignServer(serverid)->options;
	stream->tupdesc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(stream->tupdesc, 1, "headers", TEXTOID, -1, 0);
	stream->columns = palloc0(sizeof(WeirColumn));
	stream->columns[0].metadata = WEIR_META_HEADERS;
	read_options(stream);
	stream->format = WEIR_FORMAT_RAW;
	return stream;
}

bool
weir_stream_times(Oid relid, int64 *watermark_delay, int64 *idle_timeout)
{
	List	   *options;

	if (!weir_stream_is(relid, NULL))
		return false;
	options = GetForeignTable(relid)->options;
	*watermark_delay = read_time(options, "watermark_delay", 0);
	*idle_timeout = read_time(options, "idle_timeout", DEFAULT_IDLE_TIMEOUT);
	return true;
}

WeirSource *
weir_stream_open(WeirStream *stream, Oid userid)
{
	if (stream->kind == WEIR_GENERATOR)
		return weir_generator_open(stream->table_options, stream->name);
	return weir_kafka_open(stream->topic, stream->server_options,
						   weir_kafka_mapping(stream->serverid, userid));
}
