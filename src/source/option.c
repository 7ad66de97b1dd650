/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Options of servers, user mappings, streams and their columns.
 *
 * One table says which options there are, where each belongs, what values
 * it takes, and whether it may change under a continuous view.  librdkafka's
 * properties are an allow-list: what is not in the table never reaches
 * rd_kafka_conf_set(), whose mere call can load code or open files.  Secrets
 * belong to user mappings, which only their user and the server's owner see.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "source/option.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define KAFKA		(1 << WEIR_KAFKA)
#define GENERATOR	(1 << WEIR_GENERATOR)
#define EITHER		(KAFKA | GENERATOR)

#define SERVER		ForeignServerRelationId
#define MAPPING		UserMappingRelationId
#define STREAM		ForeignTableRelationId
#define COLUMN		AttributeRelationId

/* Longest exact time an option takes: 100 years, so that sums fit. */
#define MAX_TIME	(INT64CONST(36525) * USECS_PER_DAY)

typedef enum OptionType
{
	OPTION_TEXT,				/* not empty */
	OPTION_LIST,				/* one of list, separated by blanks */
	OPTION_INTEGER,				/* min .. max */
	OPTION_REAL,				/* min .. max, finite */
	OPTION_BOOLEAN,
	OPTION_TIME,				/* exact time */
	OPTION_TIME_INFINITE,		/* exact time or infinity */
	OPTION_TIME_OFF,			/* exact time or off */
	OPTION_START,				/* instant, or exact time before now */
	OPTION_ZONE,				/* name of a time zone */
	OPTION_FORMAT,
	OPTION_KIND
} OptionType;

typedef struct Option
{
	const char *name;
	int			kinds;
	Oid			catalog;
	bool		frozen;			/* not while a continuous view reads it */
	const char *property;		/* librdkafka's name, or NULL */
	OptionType	type;
	const char *list;
	double		min;
	double		max;
} Option;

static const Option options[] = {
	/* where the broker is */
	{"bootstrap_servers", KAFKA, SERVER, true, "bootstrap.servers", OPTION_TEXT},
	{"security_protocol", KAFKA, SERVER, false, "security.protocol", OPTION_LIST,
	"plaintext ssl sasl_plaintext sasl_ssl"},
	{"sasl_mechanism", KAFKA, SERVER, false, "sasl.mechanism", OPTION_LIST,
	"PLAIN SCRAM-SHA-256 SCRAM-SHA-512"},
	{"ssl_ca_pem", KAFKA, SERVER, false, "ssl.ca.pem", OPTION_TEXT},
	{"ssl_cipher_suites", KAFKA, SERVER, false, "ssl.cipher.suites", OPTION_TEXT},
	{"ssl_endpoint_identification_algorithm", KAFKA, SERVER, false,
	"ssl.endpoint.identification.algorithm", OPTION_LIST, "https none"},
	{"broker_address_family", KAFKA, SERVER, false, "broker.address.family",
	OPTION_LIST, "any v4 v6"},
	{"client_rack", KAFKA, SERVER, false, "client.rack", OPTION_TEXT},
	{"socket_timeout_ms", KAFKA, SERVER, false, "socket.timeout.ms",
	OPTION_INTEGER, NULL, 10, 300000},
	{"socket_connection_setup_timeout_ms", KAFKA, SERVER, false,
	"socket.connection.setup.timeout.ms", OPTION_INTEGER, NULL, 1000, 300000},
	{"fetch_wait_max_ms", KAFKA, SERVER, false, "fetch.wait.max.ms",
	OPTION_INTEGER, NULL, 0, 10000},
	{"fetch_min_bytes", KAFKA, SERVER, false, "fetch.min.bytes",
	OPTION_INTEGER, NULL, 1, 100000000},
	{"fetch_max_bytes", KAFKA, SERVER, false, "fetch.max.bytes",
	OPTION_INTEGER, NULL, 1024, 1000000000},
	{"fetch_message_max_bytes", KAFKA, SERVER, false,
	"fetch.message.max.bytes", OPTION_INTEGER, NULL, 1024, 1000000000},
	{"fetch_error_backoff_ms", KAFKA, SERVER, false, "fetch.error.backoff.ms",
	OPTION_INTEGER, NULL, 0, 300000},
	{"queued_min_messages", KAFKA, SERVER, false, "queued.min.messages",
	OPTION_INTEGER, NULL, 1, 10000000},
	{"queued_max_messages_kbytes", KAFKA, SERVER, false,
	"queued.max.messages.kbytes", OPTION_INTEGER, NULL, 1, 1048576},
	{"compression_type", KAFKA, SERVER, false, "compression.type", OPTION_LIST,
	"none gzip snappy lz4 zstd"},
	{"linger_ms", KAFKA, SERVER, false, "linger.ms", OPTION_INTEGER, NULL,
	0, 900000},
	{"batch_size", KAFKA, SERVER, false, "batch.size", OPTION_INTEGER, NULL,
	1, 2147483647},
	{"message_timeout_ms", KAFKA, SERVER, false, "message.timeout.ms",
	OPTION_INTEGER, NULL, 1000, 2147483647},

	/* secrets */
	{"sasl_username", KAFKA, MAPPING, false, "sasl.username", OPTION_TEXT},
	{"sasl_password", KAFKA, MAPPING, false, "sasl.password", OPTION_TEXT},
	{"ssl_certificate_pem", KAFKA, MAPPING, false, "ssl.certificate.pem",
	OPTION_TEXT},
	{"ssl_key_pem", KAFKA, MAPPING, false, "ssl.key.pem", OPTION_TEXT},
	{"ssl_key_password", KAFKA, MAPPING, false, "ssl.key.password", OPTION_TEXT},

	/* streams */
	{"topic", KAFKA, STREAM, true, NULL, OPTION_TEXT},
	{"max_message_bytes", EITHER, STREAM, true, NULL, OPTION_INTEGER, NULL,
	1, 100000000},
	{"event_time", EITHER, STREAM, true, NULL, OPTION_TEXT},
	{"watermark_delay", EITHER, STREAM, true, NULL, OPTION_TIME},
	{"max_future", EITHER, STREAM, true, NULL, OPTION_TIME_INFINITE},
	{"idle_timeout", EITHER, STREAM, false, NULL, OPTION_TIME_INFINITE, NULL, 1},
	{"close_timeout", EITHER, STREAM, false, NULL, OPTION_TIME_OFF, NULL, 1},
	{"timezone", EITHER, STREAM, true, NULL, OPTION_ZONE},
	{"format", EITHER, STREAM, true, NULL, OPTION_FORMAT},
	{"on_error", EITHER, STREAM, false, NULL, OPTION_LIST,
	"dead_letter skip stop"},

	/* generator streams */
	{"kind", GENERATOR, STREAM, true, NULL, OPTION_KIND},
	{"rate", GENERATOR, STREAM, true, NULL, OPTION_REAL, NULL, 1e-6, 1e9},
	{"limit", GENERATOR, STREAM, true, NULL, OPTION_INTEGER, NULL, 0, 1e15},
	{"partitions", GENERATOR, STREAM, true, NULL, OPTION_INTEGER, NULL, 1, 1024},
	{"seed", GENERATOR, STREAM, true, NULL, OPTION_INTEGER, NULL, 0, 9e18},
	{"start", GENERATOR, STREAM, true, NULL, OPTION_START},
	{"disorder", GENERATOR, STREAM, true, NULL, OPTION_TIME},
	{"late_fraction", GENERATOR, STREAM, true, NULL, OPTION_REAL, NULL, 0, 1},
	{"late_by", GENERATOR, STREAM, true, NULL, OPTION_TIME},
	{"poison_fraction", GENERATOR, STREAM, true, NULL, OPTION_REAL, NULL, 0, 1},
	{"skew", GENERATOR, STREAM, true, NULL, OPTION_TEXT},
	{"users", GENERATOR, STREAM, true, NULL, OPTION_INTEGER, NULL,
	1, 1000000000},
	{"event_types", GENERATOR, STREAM, true, NULL, OPTION_TEXT},
	{"zone", GENERATOR, STREAM, true, NULL, OPTION_BOOLEAN},

	/* columns */
	{"field", EITHER, COLUMN, true, NULL, OPTION_TEXT},
	{"metadata", EITHER, COLUMN, true, NULL, OPTION_LIST,
	"topic partition offset key timestamp headers value error"},
	{"unit", EITHER, COLUMN, true, NULL, OPTION_LIST, "s ms us"}
};

/*
 * Properties of librdkafka that are refused for a reason the user should
 * hear; a name matches that begins with prefix and ends with suffix.
 */
static const struct
{
	const char *prefix;
	const char *suffix;
	const char *reason;
}			refusals[] =

{
	{"plugin_", "", "It would load code into the server."},
	{"ssl_engine_", "", "It would load code into the server."},
	{"ssl_providers", "", "It would load code into the server."},
	{"interceptors", "", "It would load code into the server."},
	{"sasl_kerberos_", "", "It would run a command on the server."},
	{"sasl_oauthbearer_", "", "It would let the server fetch any URL."},
	{"https_ca_", "", "It would let the server open any file."},
	{"", "_location", "It would let the server open any file."},
	{"", "_file", "It would let the server open any file."},
	{"", "_path", "It would let the server open any file."},
	{"enable_ssl_certificate_verification", "",
	"Connections would be open to anybody in between."},
	{"debug", "", "It would write secrets to the server log."},
	{"log_level", "", "It would write secrets to the server log."},
	{"test_mock_", "", "It exists for tests of librdkafka only."},
	{"enable_auto_", "", "pg_weir keeps offsets itself."},
	{"group_", "", "pg_weir keeps offsets itself."},
	{"auto_offset_reset", "", "Where a view begins is its own option, weir.start."},
	{"enable_idempotence", "", "Producing is always idempotent."},
	{"acks", "", "Producing always waits for all replicas."}
};

static const char *
object_name(Oid catalog)
{
	switch (catalog)
	{
		case SERVER:
			return "a SERVER";
		case MAPPING:
			return "a USER MAPPING";
		case STREAM:
			return "a FOREIGN TABLE";
		case COLUMN:
			return "a column";
		default:
			return "a FOREIGN DATA WRAPPER";
	}
}

/* The option with that name anywhere, or NULL; names are unique. */
static const Option *
find_option(const char *name)
{
	for (int i = 0; i < lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* Name with underscores for dots, palloc'd. */
static char *
with_underscores(const char *name)
{
	char	   *copy = pstrdup(name);

	for (char *c = copy; *c; c++)
		if (*c == '.')
			*c = '_';
	return copy;
}

static const char *
refusal_reason(const char *name)
{
	size_t		len = strlen(name);

	for (int i = 0; i < lengthof(refusals); i++)
	{
		size_t		suffix = strlen(refusals[i].suffix);

		if (strncmp(name, refusals[i].prefix, strlen(refusals[i].prefix)) == 0 &&
			suffix <= len &&
			strcmp(name + len - suffix, refusals[i].suffix) == 0)
			return refusals[i].reason;
	}
	return NULL;
}

/* "a, b, c" of what is valid here, and the nearest to name, if near. */
static char *
valid_options_hint(WeirSourceKind kind, Oid catalog, const char *name)
{
	StringInfoData list;
	const char *nearest = NULL;
	int			least = 4;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(options); i++)
	{
		const Option *option = &options[i];
		int			distance;

		if (!(option->kinds & (1 << kind)) || option->catalog != catalog)
			continue;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", option->name);
		if (strlen(name) > 63)
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name),
												 option->name,
												 strlen(option->name),
												 1, 1, 1, least, true);
		if (distance < least && distance < strlen(option->name) / 2 + 1)
		{
			nearest = option->name;
			least = distance;
		}
	}
	if (list.len == 0)
		return psprintf("There are no valid options for %s.",
						object_name(catalog));
	if (nearest)
		return psprintf("Perhaps you meant \"%s\". Valid options for %s are: %s.",
						nearest, object_name(catalog), list.data);
	return psprintf("Valid options for %s are: %s.",
					object_name(catalog), list.data);
}

static void
raise_invalid_name(WeirSourceKind kind, Oid catalog, const char *name)
{
	char	   *normal = with_underscores(name);
	const Option *option = find_option(normal);
	const char *reason = option ? NULL : refusal_reason(normal);

	if (reason)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed", name),
				 errdetail("%s", reason)));
	if (option && option->catalog == MAPPING && catalog == SERVER &&
		(option->kinds & (1 << kind)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed for a SERVER", name),
				 errdetail("Options of a server can be read by everybody."),
				 errhint("Give it in CREATE USER MAPPING instead.")));
	if (option && (option->kinds & (1 << kind)) && option->catalog != catalog)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\" for %s", name,
						object_name(catalog)),
				 errhint("It is an option of %s.",
						 object_name(option->catalog))));
	if (option && !(option->kinds & (1 << kind)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\" for %s", name,
						object_name(catalog)),
				 errhint("It is an option of %s of %s.",
						 object_name(option->catalog),
						 kind == WEIR_KAFKA ? "weir_generator" : "weir_kafka")));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\" for %s", name,
					object_name(catalog)),
			 errhint("%s", valid_options_hint(kind, catalog, normal))));
}

/* Report a value; detail and hint are full sentences or NULL. */
static void
raise_invalid_value(const char *name, const char *value, const char *detail,
					const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 detail ? errdetail("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

static void
check_list(const Option *option, const char *value)
{
	size_t		len = strlen(value);
	const char *word = option->list;

	while (len > 0 && *word)
	{
		size_t		word_len = strcspn(word, " ");

		if (word_len == len && memcmp(word, value, len) == 0)
			return;
		word += word_len + (word[word_len] == ' ');
	}
	raise_invalid_value(option->name, value, NULL,
						psprintf("Valid values are: %s.", option->list));
}

static void
check_number(const Option *option, const char *value)
{
	bool		integer = option->type == OPTION_INTEGER;
	double		number;
	char	   *end;

	errno = 0;
	if (integer)
		number = (double) strtoll(value, &end, 10);
	else
		number = strtod(value, &end);
	if (end == value || *end != '\0' || errno != 0 || isnan(number) ||
		number < option->min || number > option->max)
		raise_invalid_value(option->name, value, NULL,
							integer ?
							psprintf("It must be an integer from %.0f to %.0f.",
									 option->min, option->max) :
							psprintf("It must be a number from %g to %g.",
									 option->min, option->max));
}

/*
 * Decode an interval without days and months into microseconds.  False if
 * it is no interval; *days tells whether it has days or months.
 */
static bool
decode_interval(const char *value, int64 *result, bool *days)
{
	struct pg_itm_in itm;
	char		buffer[256];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nfields;
	int			dtype;

	if (ParseDateTime(value, buffer, sizeof(buffer), field, ftype,
					  MAXDATEFIELDS, &nfields) != 0 ||
		DecodeInterval(field, ftype, nfields, INTERVAL_FULL_RANGE,
					   &dtype, &itm) != 0 ||
		dtype != DTK_DELTA)
		return false;
	*days = itm.tm_year != 0 || itm.tm_mon != 0 || itm.tm_mday != 0;
	*result = itm.tm_usec;
	return true;
}

static int64
read_time(const char *name, const char *value)
{
	int64		result;
	bool		days;

	if (!decode_interval(value, &result, &days))
		raise_invalid_value(name, value, "It is not an interval.",
							"Write an exact time, such as '5 minutes'.");
	if (days)
		raise_invalid_value(name, value,
							"Days and months vary in length.",
							"Write an exact time, such as '24 hours'.");
	return result;
}

int64
weir_option_microseconds(const char *name, const char *value,
						 bool infinity_allowed)
{
	int64		result;

	if (infinity_allowed && pg_strcasecmp(value, "infinity") == 0)
		return PG_INT64_MAX;
	result = read_time(name, value);
	if (result < 0 || result > MAX_TIME)
		raise_invalid_value(name, value,
							"It must be from zero to 100 years.", NULL);
	return result;
}

/* A timestamp with or without zone, then UTC's, from 1970 to 2200. */
static TimestampTz
read_instant(const char *name, const char *value)
{
	int64		instant;
	bool		zone;

	if (weir_value_parse_timestamp(value, strlen(value), &instant,
								   &zone) != WEIR_PARSE_OK ||
		instant < WEIR_MIN_TIMESTAMP || instant >= WEIR_END_TIMESTAMP)
		raise_invalid_value(name, value,
							"It is no time between the years 1970 and 2200.",
							"Write, for example, '2024-01-31T12:00:00Z', '-15 minutes' or 'now'.");
	return instant;
}

TimestampTz
weir_option_start(const char *name, const char *value, bool *relative)
{
	int64		offset;
	bool		days;

	*relative = true;
	if (pg_strcasecmp(value, "now") == 0)
		return 0;
	if (decode_interval(value, &offset, &days))
	{
		offset = read_time(name, value);
		if (offset > 0 || offset < -MAX_TIME)
			raise_invalid_value(name, value,
								"A start lies in the past.",
								"Write, for example, '-15 minutes'.");
		return offset;
	}
	*relative = false;
	return read_instant(name, value);
}

static void
check_time(const Option *option, const char *value)
{
	int64		time;

	if (option->type == OPTION_TIME_OFF && strcmp(value, "off") == 0)
		return;
	if (option->type == OPTION_TIME_OFF && pg_strcasecmp(value, "infinity") == 0)
		raise_invalid_value(option->name, value, NULL,
							"To switch it off, write 'off'.");
	if (option->type == OPTION_TIME_INFINITE && strcmp(value, "off") == 0)
		raise_invalid_value(option->name, value, NULL,
							"To switch it off, write 'infinity'.");
	time = weir_option_microseconds(option->name, value,
									option->type == OPTION_TIME_INFINITE);
	if (time < option->min)
		raise_invalid_value(option->name, value, "It must not be zero.",
							option->type == OPTION_TIME_OFF ?
							"To switch it off, write 'off'." :
							"To switch it off, write 'infinity'.");
}

static void
check_zone(const Option *option, const char *value)
{
	pg_tz	   *zone = pg_tzset(value);

	if (!zone || !pg_tz_acceptable(zone))
		raise_invalid_value(option->name, value,
							"There is no such time zone.",
							"See the view pg_timezone_names.");
}

/* Values that DESIGN knows but this version does not are told apart. */
static void
check_available(const Option *option, const char *value,
				const char *available, const char *planned)
{
	Option		list = *option;

	list.list = planned;
	if (strlen(value) > 0 && strchr(value, ' ') == NULL &&
		strstr(planned, value) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s \"%s\" is not available", option->name, value),
				 errhint("Available values are: %s.", available)));
	list.list = available;
	check_list(&list, value);
}

/* librdkafka takes any number for a port, modulo 65536. */
static void
check_ports(const Option *option, const char *value)
{
	for (const char *colon = strchr(value, ':'); colon != NULL;
		 colon = strchr(colon + 1, ':'))
	{
		size_t		digits = strspn(colon + 1, "0123456789");
		char		next = colon[1 + digits];

		if (digits > 0 && (next == '\0' || next == ',') &&
			strtoul(colon + 1, NULL, 10) > PG_UINT16_MAX)
			raise_invalid_value(option->name, value,
								"A port is at most 65535.",
								"Write host:port, or several separated by commas.");
	}
}

static void
check_text(const Option *option, const char *value)
{
	if (value[0] == '\0')
		raise_invalid_value(option->name, value, "It must not be empty.",
							NULL);
	if (strcmp(option->name, "bootstrap_servers") == 0)
		check_ports(option, value);
	if (strcmp(option->name, "topic") == 0 &&
		(strlen(value) > 249 || strcmp(value, ".") == 0 ||
		 strcmp(value, "..") == 0 ||
		 strspn(value, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(value)))
		raise_invalid_value(option->name, value,
							"A topic's name has up to 249 letters, digits, dots, underscores and hyphens.",
							NULL);
}

static void
check_value(const Option *option, const char *value)
{
	bool		flag;

	switch (option->type)
	{
		case OPTION_TEXT:
			check_text(option, value);
			break;
		case OPTION_LIST:
			check_list(option, value);
			break;
		case OPTION_INTEGER:
		case OPTION_REAL:
			check_number(option, value);
			break;
		case OPTION_BOOLEAN:
			if (!parse_bool(value, &flag))
				raise_invalid_value(option->name, value, NULL,
									"Valid values are: true false.");
			break;
		case OPTION_TIME:
		case OPTION_TIME_INFINITE:
		case OPTION_TIME_OFF:
			check_time(option, value);
			break;
		case OPTION_START:
			(void) weir_option_start(option->name, value, &flag);
			break;
		case OPTION_ZONE:
			check_zone(option, value);
			break;
		case OPTION_FORMAT:
			check_available(option, value, "json raw", "csv avro");
			break;
		case OPTION_KIND:
			check_available(option, value, "ecommerce", "ysb nexmark");
			break;
	}
}

static void
require(List *list, const char *name, Oid catalog)
{
	if (!weir_option_get(list, name))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is missing", name),
				 errhint("Add OPTIONS (%s '...') for %s.", name,
						 object_name(catalog))));
}

/* A broker is checked against the name in its certificate. */
static void
check_superuser_values(List *list)
{
	const char *value = weir_option_get(list,
										"ssl_endpoint_identification_algorithm");

	if (value && strcmp(value, "none") == 0 && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to set option \"%s\" to \"%s\"",
						"ssl_endpoint_identification_algorithm", value)));
}

void
weir_option_validate(WeirSourceKind kind, Oid catalog, List *list)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst_node(DefElem, cell);
		const Option *option = find_option(def->defname);

		if (!option || option->catalog != catalog ||
			!(option->kinds & (1 << kind)))
			raise_invalid_name(kind, catalog, def->defname);
		check_value(option, defGetString(def));
	}

	if (kind == WEIR_KAFKA && catalog == SERVER)
	{
		require(list, "bootstrap_servers", catalog);
		check_superuser_values(list);
	}
	if (kind == WEIR_KAFKA && catalog == STREAM)
		require(list, "topic", catalog);
	if (catalog == COLUMN && weir_option_get(list, "metadata") &&
		(weir_option_get(list, "field") || weir_option_get(list, "unit")))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("a metadata column takes neither \"field\" nor \"unit\"")));
}

const char *
weir_option_property(const char *name)
{
	const Option *option = find_option(name);

	return option ? option->property : NULL;
}

bool
weir_option_frozen(Oid catalog, const char *name)
{
	const Option *option = find_option(name);

	return option && option->catalog == catalog && option->frozen;
}

const char *
weir_option_get(List *list, const char *name)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}
