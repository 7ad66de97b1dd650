/*-------------------------------------------------------------------------
 *
 * json_oracle.c
 *	  Says what our parsers make of the texts on standard input, for a test
 *	  that asks the server the same (test/t/010_json_equals_jsonb.pl).
 *
 * Usage: json_oracle FIELD...		(a FIELD is a dotted path)
 *
 * A line of input is ID, TYPE and the text in hexadecimal, with tabs between.
 * A line of output is ID, VERDICT and RESULT.  VERDICT is "ok", for json a
 * SQLSTATE, else "bad", "range" or "fallback".  RESULT is the value as the
 * server's functions would print it; for json one word for each field:
 *
 *	-  absent		n  null		t  true		f  false
 *	s and the string in hexadecimal
 *	#  and a number spelt as numeric's output, ~ and any other number
 *	{ or [ and the span in hexadecimal
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/json.h"
#include "source/value.h"

#define MAX_FIELDS 64
#define MAX_PATH 16

static const char *const verdicts[] = {"ok", "bad", "range", "fallback"};

static WeirJsonField fields[MAX_FIELDS];
static const char *paths[MAX_FIELDS][MAX_PATH];
static int	nfields;
static WeirJsonShape *shape;

static void
fail(const char *message)
{
	fprintf(stderr, "json_oracle: %s\n", message);
	exit(2);
}

static void
split_field(char *field)
{
	int			npath = 0;

	if (nfields == MAX_FIELDS)
		fail("too many fields");
	paths[nfields][npath++] = field;
	for (char *p = field; *p != '\0'; p++)
	{
		if (*p != '.')
			continue;
		if (npath == MAX_PATH)
			fail("path too long");
		*p = '\0';
		paths[nfields][npath++] = p + 1;
	}
	fields[nfields].path = paths[nfields];
	fields[nfields].npath = npath;
	nfields++;
}

static void
put_hex(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", (unsigned char) bytes[i]);
}

static void
put_string(const WeirJsonValue *value)
{
	char	   *out;
	size_t		len;

	putchar('s');
	if (!value->escaped)
	{
		put_hex(value->start, value->len);
		return;
	}
	out = malloc(value->len);
	len = weir_json_unescape(value->start, value->len, out);
	put_hex(out, len);
	free(out);
}

static void
put_value(const WeirJsonValue *value)
{
	static const char marks[] = "-ntf";

	switch (value->kind)
	{
		case WEIR_JSON_STRING:
			put_string(value);
			break;
		case WEIR_JSON_NUMBER:
			printf("%c%.*s", value->plain ? '#' : '~', (int) value->len,
				   value->start);
			break;
		case WEIR_JSON_OBJECT:
		case WEIR_JSON_ARRAY:
			putchar(value->kind == WEIR_JSON_OBJECT ? '{' : '[');
			put_hex(value->start, value->len);
			break;
		default:
			putchar(marks[value->kind]);
	}
}

static void
put_json(const char *str, size_t len)
{
	WeirJsonValue values[MAX_FIELDS];
	WeirJsonError error;

	if (!weir_json_scan(shape, str, len, values, &error))
	{
		if (error.position > len)
			fail("position outside of the text");
		printf("%s\t", error.sqlstate);
		return;
	}
	printf("ok\t");
	for (int f = 0; f < nfields; f++)
	{
		if (f > 0)
			putchar(' ');
		put_value(&values[f]);
	}
}

/* Print an int64 in network order, as the send functions do. */
static void
put_int64_bytes(int64_t value)
{
	printf("%016" PRIx64, (uint64_t) value);
}

static void
put_decimal(const WeirDecimal *decimal)
{
	char		digits[32];
	int64_t		magnitude = decimal->mantissa < 0 ? -decimal->mantissa :
		decimal->mantissa;
	int			len = snprintf(digits, sizeof(digits), "%0*" PRId64,
							   decimal->scale + 1, magnitude);

	printf("%s%.*s", decimal->mantissa < 0 ? "-" : "",
		   len - decimal->scale, digits);
	if (decimal->scale > 0)
		printf(".%s", digits + len - decimal->scale);
}

static void
put_integer(const char *type, const char *str, size_t len)
{
	int16_t		i2 = 0;
	int32_t		i4 = 0;
	int64_t		i8 = 0;
	WeirParse	parse;

	if (strcmp(type, "int2") == 0)
	{
		parse = weir_value_parse_int16(str, len, &i2);
		i8 = i2;
	}
	else if (strcmp(type, "int4") == 0)
	{
		parse = weir_value_parse_int32(str, len, &i4);
		i8 = i4;
	}
	else
		parse = weir_value_parse_int64(str, len, &i8);
	printf("%s\t", verdicts[parse]);
	if (parse == WEIR_PARSE_OK)
		printf("%" PRId64, i8);
}

static void
put_float(const char *type, const char *str, size_t len)
{
	WeirParse	parse;
	double		value;
	float		value4;
	uint32_t	bits4;
	int64_t		bits;

	if (strcmp(type, "float4") == 0)
	{
		parse = weir_value_parse_float4(str, len, &value4);
		printf("%s\t", verdicts[parse]);
		if (parse != WEIR_PARSE_OK)
			return;
		memcpy(&bits4, &value4, sizeof(bits4));
		printf("%08" PRIx32, bits4);
		return;
	}
	parse = weir_value_parse_float8(str, len, &value);
	printf("%s\t", verdicts[parse]);
	if (parse != WEIR_PARSE_OK)
		return;
	memcpy(&bits, &value, sizeof(bits));
	put_int64_bytes(bits);
}

static void
put_time(const char *type, const char *str, size_t len)
{
	WeirParse	parse;
	int64_t		value;
	bool		has_zone = true;

	if (strcmp(type, "timestamp") == 0)
		parse = weir_value_parse_timestamp(str, len, &value, &has_zone);
	else
		parse = weir_value_parse_epoch(str, len,
									   strcmp(type, "epoch_s") == 0 ?
									   WEIR_UNIT_S :
									   strcmp(type, "epoch_ms") == 0 ?
									   WEIR_UNIT_MS : WEIR_UNIT_US, &value);
	printf("%s\t", verdicts[parse]);
	if (parse != WEIR_PARSE_OK)
		return;
	printf("%s", has_zone ? "z" : "l");
	put_int64_bytes(value);
}

static void
put_other(const char *type, const char *str, size_t len)
{
	WeirParse	parse;
	WeirDecimal decimal;
	bool		truth;
	uint8_t		uuid[16];

	if (strcmp(type, "numeric") == 0)
	{
		parse = weir_value_parse_decimal(str, len, &decimal);
		printf("%s\t", verdicts[parse]);
		if (parse == WEIR_PARSE_OK)
			put_decimal(&decimal);
	}
	else if (strcmp(type, "bool") == 0)
	{
		parse = weir_value_parse_bool(str, len, &truth);
		printf("%s\t", verdicts[parse]);
		if (parse == WEIR_PARSE_OK)
			printf("%s", truth ? "true" : "false");
	}
	else if (strcmp(type, "uuid") == 0)
	{
		parse = weir_value_parse_uuid(str, len, uuid);
		printf("%s\t", verdicts[parse]);
		if (parse == WEIR_PARSE_OK)
			put_hex((const char *) uuid, sizeof(uuid));
	}
	else
		fail("unknown type");
}

/* Decode hexadecimal into a buffer of the exact size. */
static char *
from_hex(const char *hex, size_t *len)
{
	char	   *bytes;

	*len = strlen(hex) / 2;
	bytes = malloc(*len > 0 ? *len : 1);
	for (size_t i = 0; i < *len; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			fail("bad hexadecimal");
		bytes[i] = (char) byte;
	}
	return bytes;
}

static void
answer(char *line)
{
	char	   *id = strtok(line, "\t\n");
	char	   *type = strtok(NULL, "\t\n");
	char	   *hex = strtok(NULL, "\t\n");
	size_t		len;
	char	   *str;

	if (id == NULL || type == NULL)
		fail("bad line");
	str = from_hex(hex != NULL ? hex : "", &len);
	printf("%s\t", id);
	if (strcmp(type, "json") == 0)
		put_json(str, len);
	else if (strncmp(type, "int", 3) == 0)
		put_integer(type, str, len);
	else if (strncmp(type, "float", 5) == 0)
		put_float(type, str, len);
	else if (strcmp(type, "timestamp") == 0 || strncmp(type, "epoch", 5) == 0)
		put_time(type, str, len);
	else
		put_other(type, str, len);
	putchar('\n');
	free(str);
}

int
main(int argc, char **argv)
{
	char	   *line = NULL;
	size_t		size = 0;

	for (int i = 1; i < argc; i++)
		split_field(argv[i]);
	shape = weir_json_shape_init(malloc(weir_json_shape_size(fields, nfields)),
								 fields, nfields);
	while (getline(&line, &size, stdin) > 0)
		answer(line);
	free(line);
	free(shape);
	return 0;
}
