/*-------------------------------------------------------------------------
 *
 * fuzz_json.c
 *	  The scanner on any bytes, with what must hold of every answer.
 *
 * A bad text has an error inside the text.  A good one is valid UTF-8, its
 * spans lie in it and begin as their kind does, a string's unescaped text is
 * valid UTF-8 and no longer than the string, and an object found in it is a
 * good text by itself.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "source/json.h"
#include "source/value.h"

#define NFIELDS 6

static const char *const paths[NFIELDS][3] = {
	{"a"}, {"b"}, {"a", "b"}, {"a", "b", "c"}, {"timestamp"}, {""}
};
static const int npaths[NFIELDS] = {1, 1, 2, 3, 1, 1};

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static WeirJsonShape *
make_shape(void)
{
	WeirJsonField fields[NFIELDS];

	for (int f = 0; f < NFIELDS; f++)
	{
		fields[f].path = paths[f];
		fields[f].npath = npaths[f];
	}
	return weir_json_shape_init(malloc(weir_json_shape_size(fields, NFIELDS)),
								fields, NFIELDS);
}

static void
check_string(const WeirJsonValue *value)
{
	char	   *out = malloc(value->len > 0 ? value->len : 1);
	size_t		len = weir_json_unescape(value->start, value->len, out);

	must(len <= value->len);
	must(value->escaped ? len < value->len : len == value->len);
	must(weir_value_utf8_prefix(out, len) == len);
	free(out);
}

static void
check_value(const WeirJsonShape *shape, const WeirJsonValue *value,
			const char *str, size_t size)
{
	WeirJsonValue inner[NFIELDS];
	WeirJsonError error;

	if (value->kind == WEIR_JSON_ABSENT)
		return;
	must(value->start >= str && value->len <= size &&
		 value->start + value->len <= str + size);
	if (value->kind == WEIR_JSON_STRING)
		check_string(value);
	else if (value->kind == WEIR_JSON_OBJECT)
		must(weir_json_scan(shape, value->start, value->len, inner, &error));
	else if (value->kind == WEIR_JSON_ARRAY)
		must(!weir_json_scan(shape, value->start, value->len, inner, &error) &&
			 strcmp(error.sqlstate, "22023") == 0);
}

/* A walk over the members ends with the text's last bracket. */
static void
check_members(const WeirJsonShape *shape, const char *str, size_t size)
{
	WeirJsonMembers members;
	WeirJsonValue key;
	WeirJsonValue value;

	weir_json_members(&members, str, size);
	while (weir_json_next_member(&members, &key, &value))
	{
		check_value(shape, &key, str, size);
		check_value(shape, &value, str, size);
	}
	must(members.at < str + size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static WeirJsonShape *shape = NULL;
	const char *str = (const char *) data;
	WeirJsonValue values[NFIELDS];
	WeirJsonError error;

	if (shape == NULL)
		shape = make_shape();
	if (!weir_json_scan(shape, str, size, values, &error))
	{
		must(strlen(error.sqlstate) == 5 && error.reason != NULL &&
			 error.position <= size);
		return 0;
	}
	must(weir_value_utf8_prefix(str, size) == size);
	for (int f = 0; f < NFIELDS; f++)
		check_value(shape, &values[f], str, size);
	check_members(shape, str, size);
	return 0;
}
