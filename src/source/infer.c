/*-------------------------------------------------------------------------
 *
 * infer.c
 *	  Which columns a sample of JSON messages has, and of which types.
 *
 * The type of a field is the narrowest that takes every value of the sample
 * without loss, when the decoder converts it:
 *
 *		integers of 64 bits				bigint
 *		other numbers					numeric
 *		true, false						boolean
 *		strings, all RFC 3339 times		timestamp with time zone
 *		objects, arrays					jsonb
 *		anything else, and mixtures		text
 *
 * Of equal keys in one object the last one counts, as it does when a stream
 * is read.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "source/infer.h"
#include "source/option.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Seconds since 1970 at the beginning of the years 2000 and 2100. */
#define SECONDS_2000	INT64CONST(946684800)
#define SECONDS_2100	INT64CONST(4102444800)

#define MICROSECOND_DIGITS	6

struct WeirInference
{
	MemoryContext context;
	MemoryContext scratch;		/* reset for every message */
	WeirJsonShape *shape;		/* of no fields: it only checks */
	HTAB	   *names;			/* of FieldEntry */
	int64		messages;
	int			nfields;
	WeirInferred *fields[WEIR_INFER_FIELDS];
	bool		complete;
	int			ntouched;		/* fields of the message at hand */
	WeirInferred *touched[WEIR_INFER_FIELDS];
};

typedef struct FieldEntry
{
	const char *name;			/* the key */
	WeirInferred *field;
} FieldEntry;

static uint32
hash_name(const void *key, Size size)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, strlen(name));
}

static int
match_names(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

WeirInference *
weir_infer_create(void)
{
	WeirInference *inference = palloc0(sizeof(WeirInference));
	HASHCTL		control = {
		.keysize = sizeof(const char *),
		.entrysize = sizeof(FieldEntry),
		.hash = hash_name,
		.match = match_names,
		.hcxt = CurrentMemoryContext
	};

	inference->context = CurrentMemoryContext;
	inference->scratch = AllocSetContextCreate(CurrentMemoryContext,
											   "weir inference",
											   ALLOCSET_DEFAULT_SIZES);
	inference->shape = weir_json_shape_init(palloc(weir_json_shape_size(NULL, 0)),
											NULL, 0);
	inference->names = hash_create("weir inferred fields", 64, &control,
								   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
								   HASH_CONTEXT);
	inference->complete = true;
	return inference;
}

/* ---- one message ----------------------------------------------------- */

/* The text of a JSON string, in scratch. */
static char *
string_text(const WeirJsonValue *value, size_t *len)
{
	char	   *string = palloc(value->len + 1);

	*len = value->len;
	if (value->escaped)
		*len = weir_json_unescape(value->start, value->len, string);
	else
		memcpy(string, value->start, value->len);
	string[*len] = '\0';
	return string;
}

/* The field of this name; NULL when there are too many already. */
static WeirInferred *
find_field(WeirInference *inference, const char *name)
{
	FieldEntry *entry;
	WeirInferred *field;
	bool		found;

	entry = hash_search(inference->names, &name, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->field;
	if (inference->nfields == WEIR_INFER_FIELDS)
	{
		inference->complete = false;
		return NULL;
	}
	field = MemoryContextAllocZero(inference->context, sizeof(WeirInferred));
	field->name = MemoryContextStrdup(inference->context, name);
	field->integer = true;
	field->time = true;
	field->least = PG_INT64_MAX;
	field->greatest = PG_INT64_MIN;
	name = field->name;
	entry = hash_search(inference->names, &name, HASH_ENTER, &found);
	entry->field = field;
	inference->fields[inference->nfields++] = field;
	return field;
}

/* A number, as the text that jsonb gives for it. */
static void
note_number(WeirInferred *field)
{
	const WeirJsonValue *value = &field->last;
	const char *string = value->start;
	size_t		len = value->len;
	int64_t		integer;

	if (!value->plain)
	{
		Datum		number = DirectFunctionCall3(numeric_in,
												 CStringGetDatum(pnstrdup(string, len)),
												 ObjectIdGetDatum(InvalidOid),
												 Int32GetDatum(-1));

		string = DatumGetCString(DirectFunctionCall1(numeric_out, number));
		len = strlen(string);
	}
	if (weir_value_parse_int64(string, len, &integer) != WEIR_PARSE_OK)
	{
		field->integer = false;
		return;
	}
	field->least = Min(field->least, integer);
	field->greatest = Max(field->greatest, integer);
}

/* Has the fraction of a timestamp digits that microseconds do not have? */
static bool
is_finer(const char *string)
{
	const char *point = strchr(string, '.');
	size_t		digits;

	if (point == NULL)
		return false;
	digits = strspn(++point, "0123456789");
	while (digits > MICROSECOND_DIGITS && point[digits - 1] == '0')
		digits--;
	return digits > MICROSECOND_DIGITS;
}

static void
note_string(WeirInferred *field)
{
	size_t		len;
	char	   *string;
	int64_t		instant;
	bool		zone;

	if (!field->time)
		return;
	string = string_text(&field->last, &len);
	if (weir_value_parse_timestamp(string, len, &instant, &zone) != WEIR_PARSE_OK)
	{
		field->time = false;
		return;
	}
	field->zoneless |= !zone;
	field->finer |= is_finer(string);

	/* whatever zone the stream may have, it is less than a day */
	field->remote |= instant < WEIR_MIN_TIMESTAMP + USECS_PER_DAY ||
		instant >= WEIR_END_TIMESTAMP - USECS_PER_DAY;
}

static void
note_value(WeirInferred *field)
{
	field->seen[field->last.kind]++;
	if (field->last.kind == WEIR_JSON_NUMBER)
		note_number(field);
	else if (field->last.kind == WEIR_JSON_STRING)
		note_string(field);
}

/* Remember the last value of each field of an object. */
static void
collect_members(WeirInference *inference, const char *string, size_t len)
{
	WeirJsonMembers members;
	WeirJsonValue key;
	WeirJsonValue value;
	WeirInferred *field;
	size_t		ignored;

	inference->ntouched = 0;
	weir_json_members(&members, string, len);
	while (weir_json_next_member(&members, &key, &value))
	{
		field = find_field(inference, string_text(&key, &ignored));
		if (field == NULL)
			continue;
		field->last = value;
		if (field->last_message == inference->messages)
			continue;
		field->last_message = inference->messages;
		inference->touched[inference->ntouched++] = field;
	}
}

bool
weir_infer_add(WeirInference *inference, const char *value, size_t len,
			   WeirJsonError *error)
{
	MemoryContext save;
	WeirJsonValue none;

	if (!weir_json_scan(inference->shape, value, len, &none, error))
		return false;
	inference->messages++;
	save = MemoryContextSwitchTo(inference->scratch);
	collect_members(inference, value, len);
	for (int i = 0; i < inference->ntouched; i++)
		note_value(inference->touched[i]);
	MemoryContextSwitchTo(save);
	MemoryContextReset(inference->scratch);
	return true;
}

/* ---- what came of it ------------------------------------------------- */

int64
weir_infer_messages(const WeirInference *inference)
{
	return inference->messages;
}

WeirInferred **
weir_infer_fields(const WeirInference *inference, int *n, bool *complete)
{
	*n = inference->nfields;
	*complete = inference->complete;
	return unconstify(WeirInference *, inference)->fields;
}

/* The kinds of types, in the order in which they are told. */
typedef enum Family
{
	FAMILY_NUMBER,
	FAMILY_STRING,
	FAMILY_BOOLEAN,
	FAMILY_CONTAINER
} Family;

static int64
count_family(const WeirInferred *field, Family family)
{
	switch (family)
	{
		case FAMILY_NUMBER:
			return field->seen[WEIR_JSON_NUMBER];
		case FAMILY_STRING:
			return field->seen[WEIR_JSON_STRING];
		case FAMILY_BOOLEAN:
			return field->seen[WEIR_JSON_TRUE] + field->seen[WEIR_JSON_FALSE];
		case FAMILY_CONTAINER:
			return field->seen[WEIR_JSON_OBJECT] +
				field->seen[WEIR_JSON_ARRAY];
	}
	return 0;
}

static int
count_families(const WeirInferred *field)
{
	int			n = 0;

	for (Family family = FAMILY_NUMBER; family <= FAMILY_CONTAINER; family++)
		n += count_family(field, family) > 0;
	return n;
}

bool
weir_infer_mixed(const WeirInferred *field)
{
	return count_families(field) > 1;
}

Oid
weir_infer_type(const WeirInferred *field)
{
	if (count_families(field) != 1)
		return TEXTOID;
	if (count_family(field, FAMILY_NUMBER) > 0)
		return field->integer ? INT8OID : NUMERICOID;
	if (count_family(field, FAMILY_BOOLEAN) > 0)
		return BOOLOID;
	if (count_family(field, FAMILY_CONTAINER) > 0)
		return JSONBOID;
	return field->time ? TIMESTAMPTZOID : TEXTOID;
}

WeirUnit
weir_infer_unit(const WeirInferred *field)
{
	static const WeirUnit units[] = {WEIR_UNIT_S, WEIR_UNIT_MS, WEIR_UNIT_US};
	int64		factor = 1;

	if (weir_infer_type(field) != INT8OID)
		return WEIR_UNIT_NONE;
	for (int i = 0; i < lengthof(units); i++, factor *= 1000)
	{
		if (field->least >= SECONDS_2000 * factor &&
			field->greatest < SECONDS_2100 * factor)
			return units[i];
	}
	return WEIR_UNIT_NONE;
}

char *
weir_infer_kinds(const WeirInferred *field)
{
	static const char *const names[] = {
		[FAMILY_NUMBER] = "number",
		[FAMILY_STRING] = "string",
		[FAMILY_BOOLEAN] = "boolean",
		[FAMILY_CONTAINER] = "object or array"
	};
	StringInfoData list;

	initStringInfo(&list);
	for (Family family = FAMILY_NUMBER; family <= FAMILY_CONTAINER; family++)
	{
		int64		count = count_family(field, family);

		if (count > 0)
			appendStringInfo(&list, "%s%s in " INT64_FORMAT,
							 list.len > 0 ? ", " : "", names[family], count);
	}
	return list.data;
}
