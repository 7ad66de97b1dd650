/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: streams out of the topics of a server.
 *
 * Each topic becomes a foreign table of its name, with a column for each
 * field that its newest messages have, of a type that loses nothing of them
 * (infer.c).  Nothing is guessed silently: where text stands for want of a
 * better type, where an event time was chosen, where a field could not become
 * a column, a NOTICE says so, and what to type for something else.
 *
 * A column has its field's name, letter by letter, so that the option field
 * is needed only where that is no name for a column.  What Kafka adds to the
 * value is in columns kafka_key, kafka_headers, kafka_timestamp and
 * kafka_value, each only where there is something in it that the other
 * columns do not show.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/heap.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/import.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "source/bounded.h"
#include "source/infer.h"
#include "source/kafka.h"
#include "source/stream.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Kafka has no schemas; this one stands for all topics. */
#define SCHEMA			"kafka"

#define DEFAULT_SAMPLE	1000
#define MAX_SAMPLE		1000000

/* How many names a message lists. */
#define MAX_LISTED		10

/* What was read of a topic. */
typedef struct Sample
{
	WeirInference *inference;
	int64		messages;		/* that have a value */
	int64		bad;			/* of these: no stream of format json has them */
	char	   *reason;			/* of the first */
	int32		partition;
	int64		offset;
	bool		value_is_text;
	bool		has_key;
	bool		key_is_text;
	bool		has_headers;
} Sample;

/* A column of the table that is proposed. */
typedef struct Column
{
	char	   *name;
	const char *type;
	const char *option;			/* "field", "metadata", or NULL */
	const char *value;
	WeirInferred *field;		/* NULL: metadata, or a copy as text */
} Column;

/* The import of one topic. */
typedef struct Import
{
	ImportForeignSchemaStmt *statement;
	const char *topic;
	char	   *table;			/* its name */
	char	   *name;			/* the same, qualified and quoted */
	List	   *options;		/* of the table, as given */
	bool		raw;
	Sample		sample;
	List	   *columns;		/* of Column */
	Column	   *event_time;		/* NULL: Kafka's timestamp, or as given */
	List	   *left_out;		/* names of fields without a column */
	bool		complete;		/* no other fields were left out */
} Import;

/* ---- options --------------------------------------------------------- */

static int
read_sample(DefElem *def)
{
	char	   *value = defGetString(def);
	char	   *end;
	long		sample;

	errno = 0;
	sample = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || sample < 1 ||
		sample > MAX_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"",
						"sample", value),
				 errhint("It must be an integer from 1 to %d.", MAX_SAMPLE)));
	return (int) sample;
}

/* "sample" is the import's own; everything else is an option of each table. */
static List *
table_options(List *options, int *sample)
{
	List	   *result = NIL;
	List	   *checked;
	ListCell   *cell;

	*sample = DEFAULT_SAMPLE;
	foreach(cell, options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "sample") == 0)
			*sample = read_sample(def);
		else if (strcmp(def->defname, "topic") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"topic\" is not allowed for IMPORT FOREIGN SCHEMA"),
					 errhint("Name the topics in LIMIT TO.")));
		else
			result = lappend(result, def);
	}
	checked = lappend(list_copy(result),
					  makeDefElem("topic", (Node *) makeString("topic"), -1));
	weir_option_validate(WEIR_KAFKA, ForeignTableRelationId, checked);
	return result;
}

/* ---- reading the sample ---------------------------------------------- */

static bool
is_text(const char *bytes, int32 len)
{
	return weir_value_utf8_prefix(bytes, len) == len;
}

static void
note_bad(Sample *sample, const WeirMessage *message, const char *reason)
{
	if (sample->bad++ > 0)
		return;
	sample->reason = pstrdup(reason);
	sample->partition = message->partition;
	sample->offset = message->offset;
}

static void
note_message(Sample *sample, WeirStream *stream, const WeirRecord *record)
{
	const WeirMessage *message = &record->message;
	WeirJsonError error;

	if (message->value == NULL)
		return;
	sample->messages++;
	sample->has_headers |= !record->isnull[0];
	if (message->key != NULL)
	{
		sample->has_key = true;
		sample->key_is_text &= is_text(message->key, message->key_len);
	}
	sample->value_is_text &= is_text(message->value, message->value_len);
	if (message->value_len > stream->max_message_bytes)
		note_bad(sample, message, "message longer than max_message_bytes");
	else if (!weir_infer_add(sample->inference, message->value,
							 message->value_len, &error))
		note_bad(sample, message, error.reason);
}

static void
read_topic(Sample *sample, Oid serverid, const char *topic, List *options,
		   int size)
{
	WeirStream *stream = weir_stream_of_topic(serverid, topic, options);
	WeirBounded *bounded = weir_bounded_open(stream, bms_make_singleton(1),
											 GetUserId());
	WeirRecord *records;
	int			n;

	sample->inference = weir_infer_create();
	sample->value_is_text = true;
	sample->key_is_text = true;
	weir_bounded_start_newest(bounded, size);
	while ((records = weir_bounded_read(bounded, &n)) != NULL)
	{
		for (int i = 0; i < n; i++)
			note_message(sample, stream, &records[i]);
	}
	weir_bounded_close(bounded);
}

/* ---- columns --------------------------------------------------------- */

static bool
name_is_taken(Import *import, const char *name)
{
	ListCell   *cell;

	foreach(cell, import->columns)
	{
		if (strcmp(((Column *) lfirst(cell))->name, name) == 0)
			return true;
	}
	return SystemAttributeByName(name) != NULL;
}

/* base, cut to fit, with a number behind it if it is taken. */
static char *
choose_name(Import *import, const char *base)
{
	char	   *name = pnstrdup(base, pg_mbcliplen(base, strlen(base),
												   NAMEDATALEN - 1));

	for (int i = 1; name[0] == '\0' || name_is_taken(import, name); i++)
	{
		char		suffix[16];
		int			len = snprintf(suffix, sizeof(suffix), "_%d", i);

		name = psprintf("%.*s%s", pg_mbcliplen(base, strlen(base),
											   NAMEDATALEN - 1 - len),
						base, suffix);
	}
	return name;
}

static Column *
add_column(Import *import, const char *name, const char *type,
		   const char *option, const char *value)
{
	Column	   *column = palloc0(sizeof(Column));

	column->name = choose_name(import, name);
	column->type = type;
	column->option = option;
	column->value = value;
	import->columns = lappend(import->columns, column);
	return column;
}

/*
 * The column of a field.  A field that cannot have its own name needs the
 * option field, which takes a dot for a path and no empty name.
 */
static void
add_field(Import *import, WeirInferred *field)
{
	bool		own_name = strcmp(choose_name(import, field->name),
								  field->name) == 0;
	bool		no_path = field->name[0] == '\0' ||
		strchr(field->name, '.') != NULL;
	Column	   *column;

	if (!own_name && no_path)
	{
		import->left_out = lappend(import->left_out, field->name);
		return;
	}
	column = add_column(import, field->name,
						format_type_be(weir_infer_type(field)),
						own_name ? NULL : "field", field->name);
	column->field = field;
}

static bool
is_timestamp(const Column *column)
{
	return column->field != NULL &&
		weir_infer_type(column->field) == TIMESTAMPTZOID;
}

/* Times that are finer than microseconds are kept as text, too. */
static void
add_exact_times(Import *import)
{
	List	   *columns = list_copy(import->columns);
	ListCell   *cell;

	foreach(cell, columns)
	{
		Column	   *column = lfirst(cell);
		Column	   *copy;

		if (!is_timestamp(column) || !column->field->finer)
			continue;
		if (strchr(column->field->name, '.') != NULL)
		{
			/* no option can name it: the type alone must lose nothing */
			column->type = "text";
			column->field->time = false;
			continue;
		}
		copy = add_column(import, psprintf("%s_text", column->name), "text",
						  "field", column->field->name);
		ereport(NOTICE,
				(errmsg("column \"%s\" of stream %s is also kept as text, in column \"%s\"",
						column->name, import->name, copy->name),
				 errdetail("Some of its times are finer than the microseconds of timestamp with time zone.")));
	}
}

static void
add_metadata(Import *import)
{
	Sample	   *sample = &import->sample;
	bool		empty = sample->messages == 0;

	if (sample->has_key || empty)
		add_column(import, "kafka_key", sample->key_is_text ? "text" : "bytea",
				   "metadata", "key");
	if (sample->has_headers)
		add_column(import, "kafka_headers", "jsonb", "metadata", "headers");
	if (import->event_time == NULL &&
		weir_option_get(import->options, "event_time") == NULL)
		add_column(import, "kafka_timestamp", "timestamp with time zone",
				   "metadata", "timestamp");
	if (empty || import->left_out != NIL || !import->complete)
		add_column(import, "kafka_value",
				   sample->value_is_text ? "text" : "bytea",
				   "metadata", "value");
}

/* ---- event time ------------------------------------------------------ */

/* Every message of the sample has it, and in a range that event time allows. */
static bool
can_be_event_time(const Import *import, const Column *column)
{
	return is_timestamp(column) && !column->field->remote &&
		column->field->seen[WEIR_JSON_STRING] ==
		weir_infer_messages(import->sample.inference);
}

/* How much a name promises to be the event time; 0 is most. */
static int
name_rank(const char *name)
{
	static const char *const names[] = {
		"event_time", "timestamp", "ts", "time", "eventtime", "@timestamp",
		"event_timestamp", "datetime", "occurred_at", "created_at"
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(name, names[i]) == 0)
			return i;
	}
	return lengthof(names);
}

/* The best name of those that can be, else the first. */
static void
choose_event_time(Import *import)
{
	ListCell   *cell;

	if (weir_option_get(import->options, "event_time") != NULL)
		return;
	foreach(cell, import->columns)
	{
		Column	   *column = lfirst(cell);

		if (can_be_event_time(import, column) &&
			(import->event_time == NULL ||
			 name_rank(column->field->name) <
			 name_rank(import->event_time->field->name)))
			import->event_time = column;
	}
}

/* ---- what is worth saying -------------------------------------------- */

/* Up to MAX_LISTED strings, quoted. */
static char *
name_list(List *names)
{
	StringInfoData list;
	ListCell   *cell;
	int			n = 0;

	initStringInfo(&list);
	foreach(cell, names)
	{
		if (n++ == MAX_LISTED)
		{
			appendStringInfoString(&list, ", ...");
			break;
		}
		appendStringInfo(&list, "%s\"%s\"", n > 1 ? ", " : "",
						 (char *) lfirst(cell));
	}
	return list.data;
}

static void
tell_messages(const Import *import)
{
	const Sample *sample = &import->sample;

	if (sample->messages == 0)
		ereport(NOTICE,
				(errmsg("topic \"%s\" has no messages to infer columns from",
						import->topic),
				 errhint("Add columns to %s with ALTER FOREIGN TABLE ... ADD COLUMN, or import the topic again when it has messages.",
						 import->name)));
	else if (import->raw)
		ereport(NOTICE,
				(errmsg("topic \"%s\" has no JSON objects: its stream is of format raw",
						import->topic),
				 errdetail("None of the newest %lld messages is one. The first, at partition %d offset %lld: %s.",
						   (long long) sample->messages, sample->partition,
						   (long long) sample->offset, sample->reason)));
	else if (sample->bad > 0)
		ereport(NOTICE,
				(errmsg("%lld of the newest %lld messages of topic \"%s\" are bad",
						(long long) sample->bad, (long long) sample->messages,
						import->topic),
				 errdetail("The first, at partition %d offset %lld: %s.",
						   sample->partition, (long long) sample->offset,
						   sample->reason),
				 errhint("SELECT leaves them out, a continuous view makes them dead letters; see the option on_error.")));
	if (import->left_out != NIL || !import->complete)
		ereport(NOTICE,
				(errmsg("some fields of topic \"%s\" have no column of their own",
						import->topic),
				 import->complete ?
				 errdetail("No column can stand for: %s.",
						   name_list(import->left_out)) :
				 errdetail("There are more than %d fields.",
						   WEIR_INFER_FIELDS),
				 errhint("Column \"kafka_value\" has the whole message.")));
}

/* Does the name of a field speak of time? */
static bool
names_time(const char *name)
{
	char	   *lower = pstrdup(name);
	size_t		len = strlen(name);

	for (char *c = lower; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	return strcmp(lower, "ts") == 0 || strstr(lower, "time") != NULL ||
		strstr(lower, "date") != NULL ||
		(len > 3 && (strcmp(lower + len - 3, "_at") == 0 ||
					 strcmp(lower + len - 3, "_ts") == 0 ||
					 strcmp(lower + len - 3, "_ms") == 0));
}

/* An integer that is perhaps a time: kept as it is, but worth a hint. */
static void
tell_epoch(const Import *import, const Column *column)
{
	static const char *const long_names[] = {
		[WEIR_UNIT_S] = "seconds",
		[WEIR_UNIT_MS] = "milliseconds",
		[WEIR_UNIT_US] = "microseconds"
	};
	static const char *const names[] = {
		[WEIR_UNIT_S] = "s",[WEIR_UNIT_MS] = "ms",[WEIR_UNIT_US] = "us"
	};
	WeirUnit	unit = weir_infer_unit(column->field);
	const char *quoted = quote_identifier(column->name);

	if (unit == WEIR_UNIT_NONE || !names_time(column->field->name))
		return;
	ereport(NOTICE,
			(errmsg("column \"%s\" of stream %s looks like %s since 1970",
					column->name, import->name, long_names[unit]),
			 errhint("To make it the event time: ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE timestamptz, ALTER COLUMN %s OPTIONS (ADD unit '%s'), OPTIONS (%s event_time %s);",
					 import->name, quoted, quoted, names[unit],
					 import->event_time != NULL ||
					 weir_option_get(import->options, "event_time") != NULL ?
					 "SET" : "ADD", quote_literal_cstr(column->name))));
}

static void
tell_column(const Import *import, const Column *column)
{
	const WeirInferred *field = column->field;

	if (weir_infer_mixed(field))
		ereport(NOTICE,
				(errmsg("column \"%s\" of stream %s is text: its field has several types",
						column->name, import->name),
				 errdetail("Messages by type: %s.", weir_infer_kinds(field))));
	else if (weir_infer_kinds(field)[0] == '\0')
		ereport(NOTICE,
				(errmsg("column \"%s\" of stream %s is text: its field is null wherever it is",
						column->name, import->name)));
	else if (is_timestamp(column) && field->zoneless)
		ereport(NOTICE,
				(errmsg("column \"%s\" of stream %s has times without a zone",
						column->name, import->name),
				 errhint("The option timezone of the stream says how to read them; without it they are UTC's.")));
	tell_epoch(import, column);
}

/* Which column is the event time, or why none of those that seem to be. */
static void
tell_event_time(const Import *import)
{
	List	   *others = NIL;
	ListCell   *cell;

	if (weir_option_get(import->options, "event_time") != NULL)
		return;
	foreach(cell, import->columns)
	{
		Column	   *column = lfirst(cell);

		if (is_timestamp(column) && column != import->event_time)
			others = lappend(others, column->name);
	}
	if (import->event_time != NULL)
		ereport(NOTICE,
				(errmsg("the event time of stream %s is column \"%s\"",
						import->name, import->event_time->name),
				 others != NIL ?
				 errdetail("Other times are: %s.", name_list(others)) : 0,
				 errhint("To choose another: ALTER FOREIGN TABLE %s OPTIONS (SET event_time '...');",
						 import->name)));
	else if (others != NIL)
		ereport(NOTICE,
				(errmsg("no column of stream %s can be its event time",
						import->name),
				 errdetail("In some messages these are null, absent, or outside of the years 1970 to 2200: %s.",
						   name_list(others)),
				 errhint("A message without event time is bad.")));
}

static void
tell(const Import *import)
{
	ListCell   *cell;

	tell_messages(import);
	foreach(cell, import->columns)
	{
		Column	   *column = lfirst(cell);

		if (column->field != NULL)
			tell_column(import, column);
	}
	tell_event_time(import);
}

/* ---- the statement --------------------------------------------------- */

static void
append_column(StringInfo sql, const Column *column)
{
	appendStringInfo(sql, "%s%s %s", sql->data[sql->len - 1] == '(' ? "" : ", ",
					 quote_identifier(column->name), column->type);
	if (column->option != NULL)
		appendStringInfo(sql, " OPTIONS (%s %s)", column->option,
						 quote_literal_cstr(column->value));
}

static char *
create_statement(const Import *import)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (",
					 quote_identifier(import->table));
	foreach(cell, import->columns)
		append_column(&sql, lfirst(cell));
	appendStringInfo(&sql, ") SERVER %s OPTIONS (topic %s",
					 quote_identifier(import->statement->server_name),
					 quote_literal_cstr(import->topic));
	if (import->raw && weir_option_get(import->options, "format") == NULL)
		appendStringInfoString(&sql, ", format 'raw'");
	if (import->event_time != NULL)
		appendStringInfo(&sql, ", event_time %s",
						 quote_literal_cstr(import->event_time->name));
	foreach(cell, import->options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		appendStringInfo(&sql, ", %s %s", quote_identifier(def->defname),
						 quote_literal_cstr(defGetString(def)));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* ---- one topic ------------------------------------------------------- */

static void
propose_raw(Import *import)
{
	import->raw = true;
	import->complete = true;
	add_column(import, "value",
			   import->sample.value_is_text ? "text" : "bytea", NULL, NULL);
}

static void
propose_fields(Import *import)
{
	WeirInferred **fields;
	int			n;

	fields = weir_infer_fields(import->sample.inference, &n,
							   &import->complete);
	for (int i = 0; i < n; i++)
		add_field(import, fields[i]);
	add_exact_times(import);
	choose_event_time(import);
}

static char *
import_topic(ImportForeignSchemaStmt *statement, Oid serverid,
			 const char *topic, char *table, List *options, int sample)
{
	const char *format = weir_option_get(options, "format");
	Import		import = {
		.statement = statement,
		.topic = topic,
		.table = table,
		.name = quote_qualified_identifier(statement->local_schema, table),
		.options = options
	};

	read_topic(&import.sample, serverid, topic, options, sample);
	if (format ? strcmp(format, "raw") == 0 :
		import.sample.messages > 0 &&
		import.sample.bad == import.sample.messages)
		propose_raw(&import);
	else
		propose_fields(&import);
	add_metadata(&import);
	if (format == NULL || !import.raw)
		tell(&import);
	return create_statement(&import);
}

/* ---- all topics ------------------------------------------------------ */

/* The name of a topic's table; topics have plain ASCII names. */
static char *
table_name(const char *topic)
{
	return pnstrdup(topic, Min(strlen(topic), NAMEDATALEN - 1));
}

static bool
is_listed(ImportForeignSchemaStmt *statement, const char *table)
{
	ListCell   *cell;

	foreach(cell, statement->table_list)
	{
		if (strcmp(lfirst_node(RangeVar, cell)->relname, table) == 0)
			return true;
	}
	return false;
}

static bool
is_wanted(ImportForeignSchemaStmt *statement, const WeirTopic *topic)
{
	bool		listed = is_listed(statement, table_name(topic->name));

	if (statement->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO)
		return listed;
	return !topic->internal && !listed;
}

/* A topic that is named must be there: else it is a mistake. */
static void
check_listed(ImportForeignSchemaStmt *statement, List *topics)
{
	ListCell   *cell;

	if (statement->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach(cell, statement->table_list)
	{
		const char *name = lfirst_node(RangeVar, cell)->relname;
		ListCell   *topic;
		bool		found = false;

		foreach(topic, topics)
			found |= strcmp(table_name(((WeirTopic *) lfirst(topic))->name),
							name) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("topic \"%s\" does not exist", name),
					 errhint("SELECT * FROM weir.topics(%s) lists those of the server.",
							 quote_literal_cstr(statement->server_name))));
	}
}

static int
compare_topics(const ListCell *a, const ListCell *b)
{
	return strcmp(((WeirTopic *) lfirst(a))->name,
				  ((WeirTopic *) lfirst(b))->name);
}

/* The topics to import, in the order of their names. */
static List *
wanted_topics(ImportForeignSchemaStmt *statement, Oid serverid)
{
	List	   *topics = weir_kafka_topics(serverid);
	List	   *wanted = NIL;
	const char *before = "";
	ListCell   *cell;

	check_listed(statement, topics);
	list_sort(topics, compare_topics);
	foreach(cell, topics)
	{
		WeirTopic  *topic = lfirst(cell);

		if (!is_wanted(statement, topic))
			continue;
		if (strcmp(table_name(topic->name), before) == 0)
		{
			ereport(NOTICE,
					(errmsg("topic \"%s\" is left out", topic->name),
					 errdetail("Another topic begins with the same %d letters, which are the name of its stream.",
							   NAMEDATALEN - 1),
					 errhint("Use CREATE FOREIGN TABLE.")));
			continue;
		}
		before = table_name(topic->name);
		wanted = lappend(wanted, topic);
	}
	return wanted;
}

static List *
import_schema(ImportForeignSchemaStmt *statement, Oid serverid)
{
	List	   *commands = NIL;
	List	   *options;
	ListCell   *cell;
	int			sample;

	if (strcmp(statement->remote_schema, SCHEMA) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("schema \"%s\" is not present on foreign server \"%s\"",
						statement->remote_schema, statement->server_name),
				 errdetail("Kafka has no schemas."),
				 errhint("Write IMPORT FOREIGN SCHEMA %s, and LIMIT TO for some topics only.",
						 SCHEMA)));
	options = table_options(statement->options, &sample);
	foreach(cell, wanted_topics(statement, serverid))
	{
		const char *topic = ((WeirTopic *) lfirst(cell))->name;
		MemoryContext own = AllocSetContextCreate(CurrentMemoryContext,
												  "weir import",
												  ALLOCSET_DEFAULT_SIZES);
		MemoryContext save = MemoryContextSwitchTo(own);
		char	   *command = import_topic(statement, serverid, topic,
										   table_name(topic), options, sample);

		MemoryContextSwitchTo(save);
		commands = lappend(commands, pstrdup(command));
		MemoryContextDelete(own);
	}
	return commands;
}

void
weir_import_callbacks(FdwRoutine *routine)
{
	routine->ImportForeignSchema = import_schema;
}
