/*-------------------------------------------------------------------------
 *
 * json_test.c
 *	  What the scanner finds, refuses and says.
 *
 * Each text is scanned in a buffer of its exact size, so that a sanitizer
 * sees a byte read too many.  That the verdict is jsonb_in's on any text is
 * test/t/010_json_equals_jsonb.pl's to show.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/json.h"
#include "tap.h"

#define MAX_FIELDS 16

typedef struct Fixture
{
	WeirJsonShape *shape;
	char	   *str;
	size_t		len;
	WeirJsonValue values[MAX_FIELDS];
	WeirJsonError error;
	bool		good;
} Fixture;

/* Split "a.b,c" into fields and build their shape. */
static WeirJsonShape *
make_shape(const char *list)
{
	char	   *copy = strdup(list);
	const char *elements[64];
	WeirJsonField fields[MAX_FIELDS];
	int			nelements = 0;
	int			nfields = 0;
	WeirJsonShape *shape;

	elements[nelements++] = copy;
	fields[nfields].path = elements;
	fields[nfields++].npath = 1;
	for (char *p = copy; *p != '\0'; p++)
	{
		if (*p != '.' && *p != ',')
			continue;
		if (*p == ',')
		{
			fields[nfields].path = &elements[nelements];
			fields[nfields++].npath = 0;
		}
		*p = '\0';
		elements[nelements++] = p + 1;
		fields[nfields - 1].npath++;
	}
	shape = weir_json_shape_init(malloc(weir_json_shape_size(fields, nfields)),
								 fields, nfields);
	free(copy);
	return shape;
}

static Fixture *
scan_bytes(const char *fields, const char *str, size_t len)
{
	Fixture    *fixture = calloc(1, sizeof(Fixture));

	fixture->shape = make_shape(fields);
	fixture->str = malloc(len > 0 ? len : 1);
	fixture->len = len;
	memcpy(fixture->str, str, len);
	fixture->good = weir_json_scan(fixture->shape, fixture->str, len,
								   fixture->values, &fixture->error);
	return fixture;
}

static Fixture *
scan(const char *fields, const char *str)
{
	return scan_bytes(fields, str, strlen(str));
}

static void
release(Fixture *fixture)
{
	free(fixture->shape);
	free(fixture->str);
	free(fixture);
}

/* Tell whether field f of the text has this kind and span. */
static void
finds(const char *fields, const char *str, int f, WeirJsonKind kind,
	  const char *span, const char *what)
{
	Fixture    *fixture = scan(fields, str);
	const WeirJsonValue *value = &fixture->values[f];

	ok(fixture->good && value->kind == kind &&
	   (kind == WEIR_JSON_ABSENT ||
		(value->len == strlen(span) &&
		 memcmp(value->start, span, value->len) == 0)), "%s", what);
	release(fixture);
}

static void
refuses_bytes(const char *str, size_t len, const char *sqlstate,
			  size_t position, const char *what)
{
	Fixture    *fixture = scan_bytes("a,b.c", str, len);

	if (!ok(!fixture->good && fixture->error.position == position &&
			strcmp(fixture->error.sqlstate, sqlstate) == 0, "%s", what))
		printf("# %s at %zu: %s\n",
			   fixture->good ? "good" : fixture->error.sqlstate,
			   fixture->error.position,
			   fixture->good ? "" : fixture->error.reason);
	release(fixture);
}

static void
refuses(const char *str, const char *sqlstate, size_t position,
		const char *what)
{
	refuses_bytes(str, strlen(str), sqlstate, position, what);
}

static void
test_kinds(void)
{
	const char *str = " { \"n\":null, \"t\" : true,\"f\":false,\"i\":-1.50,"
		"\"s\":\"x y\",\"o\":{\"k\":[1, 2]},\"a\":[ {} ] } \n";
	const char *fields = "n,t,f,i,s,o,a,none,o.k";

	finds(fields, str, 0, WEIR_JSON_NULL, "null", "null");
	finds(fields, str, 1, WEIR_JSON_TRUE, "true", "true");
	finds(fields, str, 2, WEIR_JSON_FALSE, "false", "false");
	finds(fields, str, 3, WEIR_JSON_NUMBER, "-1.50", "number");
	finds(fields, str, 4, WEIR_JSON_STRING, "x y", "a string's inside");
	finds(fields, str, 5, WEIR_JSON_OBJECT, "{\"k\":[1, 2]}", "object");
	finds(fields, str, 6, WEIR_JSON_ARRAY, "[ {} ]", "array");
	finds(fields, str, 7, WEIR_JSON_ABSENT, "", "a missing key is absent");
	finds(fields, str, 8, WEIR_JSON_ARRAY, "[1, 2]", "inside an object");
	finds("a", "{}", 0, WEIR_JSON_ABSENT, "", "empty object");
}

static void
test_paths(void)
{
	finds("a.b", "{\"a\":{\"x\":0,\"b\":1}}", 0, WEIR_JSON_NUMBER, "1",
		  "a path leads into an object");
	finds("a.b", "{\"a\":[{\"b\":1}]}", 0, WEIR_JSON_ABSENT, "",
		  "a path does not lead into an array");
	finds("a.b", "{\"a\":\"b\"}", 0, WEIR_JSON_ABSENT, "",
		  "a path does not lead into a string");
	finds("b", "{\"a\":{\"b\":1}}", 0, WEIR_JSON_ABSENT, "",
		  "a key is only wanted at its own depth");
	finds("a,a.b", "{\"a\":{\"b\":1}}", 0, WEIR_JSON_OBJECT, "{\"b\":1}",
		  "a path may end where another goes on");
	finds("x,x", "{\"x\":7}", 1, WEIR_JSON_NUMBER, "7",
		  "two fields may have one path");
	finds("a.b.c.d", "{\"a\":{\"b\":{\"c\":{\"d\":\"deep\"}}}}", 0,
		  WEIR_JSON_STRING, "deep", "a long path");
	finds("abcdefghi,abcdefghj", "{\"abcdefghj\":2,\"abcdefghi\":1}", 0,
		  WEIR_JSON_NUMBER, "1", "names that differ behind eight bytes");
	finds(",x", "{\"\":3}", 0, WEIR_JSON_NUMBER, "3", "the empty key");
}

static void
test_equal_keys(void)
{
	finds("a", "{\"a\":1,\"a\":\"two\"}", 0, WEIR_JSON_STRING, "two",
		  "the last of equal keys wins");
	finds("a", "{\"a\":1,\"\\u0061\":2}", 0, WEIR_JSON_NUMBER, "2",
		  "also when it is spelt with an escape");
	finds("a", "{\"\\u0061\":2,\"a\":1}", 0, WEIR_JSON_NUMBER, "1",
		  "also when the first was");
	finds("a.b", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", 0, WEIR_JSON_ABSENT, "",
		  "it wins with all that is inside it");
	finds("a.b", "{\"a\":{\"b\":1},\"a\":null}", 0, WEIR_JSON_ABSENT, "",
		  "also when it has no inside");
	finds("a.b,a.b.c", "{\"a\":{\"b\":{\"c\":1}},\"a\":{\"b\":2}}", 1,
		  WEIR_JSON_ABSENT, "", "also further down");
	finds("\xF0\x9F\x98\x80", "{\"\\ud83d\\ude00\":1}", 0, WEIR_JSON_NUMBER,
		  "1", "a key spelt as a surrogate pair");
	finds("abc", "{\"ab\\u0063d\":1}", 0, WEIR_JSON_ABSENT, "",
		  "an escaped key that only begins like a name");
}

static void
unescapes(const char *str, const char *expected, const char *what)
{
	Fixture    *fixture = scan("a", str);
	const WeirJsonValue *value = &fixture->values[0];
	char	   *out = malloc(value->len + 1);
	size_t		len = weir_json_unescape(value->start, value->len, out);

	ok(fixture->good && value->escaped && len == strlen(expected) &&
	   memcmp(out, expected, len) == 0, "%s", what);
	free(out);
	release(fixture);
}

static void
test_escapes(void)
{
	Fixture    *fixture = scan("a", "{\"a\":\"plain\"}");

	ok(fixture->good && !fixture->values[0].escaped,
	   "a string without escapes says so");
	release(fixture);
	unescapes("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\tx\"}", "\"\\/\b\f\n\r\tx",
			  "the short escapes");
	unescapes("{\"a\":\"\\u0041\\u00e9\\u20AC\"}", "A\xC3\xA9\xE2\x82\xAC",
			  "\\u of one, two and three bytes");
	unescapes("{\"a\":\"<\\uD83D\\uDE00>\"}", "<\xF0\x9F\x98\x80>",
			  "a surrogate pair");
}

static void
number_is(const char *number, bool plain)
{
	char		str[64];
	Fixture    *fixture;

	snprintf(str, sizeof(str), "{\"a\":%s}", number);
	fixture = scan("a", str);
	ok(fixture->good && fixture->values[0].kind == WEIR_JSON_NUMBER &&
	   fixture->values[0].plain == plain, "%s is %s", number,
	   plain ? "as numeric spells it" : "spelt otherwise by numeric");
	release(fixture);
}

static void
test_numbers(void)
{
	number_is("0", true);
	number_is("10.50", true);
	number_is("-0.01", true);
	number_is("-0", false);
	number_is("-0.00", false);
	number_is("1e2", false);
	number_is("1e131071", false);
	number_is("0e1000000", false);
	number_is("1e-16383", false);
	refuses("{\"a\":1e131072}", "22003", 5, "too large for numeric");
	refuses("{\"a\":1e1000000}", "22003", 5, "far too large");
	refuses("{\"a\":0e99999999999999999999}", "22003", 5,
			"an absurd exponent of zero");
	refuses("{\"a\":1e-16384}", "22003", 5, "too many places");
	refuses("{\"a\":01}", "22P02", 5, "leading zero");
	refuses("{\"a\":+1}", "22P02", 5, "plus sign");
	refuses("{\"a\":.5}", "22P02", 5, "no digit before the point");
	refuses("{\"a\":5.}", "22P02", 5, "no digit behind the point");
	refuses("{\"a\":1e}", "22P02", 5, "no digit in the exponent");
	refuses("{\"a\":-}", "22P02", 5, "a lone minus");
	refuses("{\"a\":0x10}", "22P02", 5, "hexadecimal");
	refuses("{\"a\":NaN}", "22P02", 5, "NaN");
	refuses("{\"a\":1e999999 x}", "22P02", 14,
			"the next token's fault comes before the range");
	refuses("{\"a\":1e999999 \"x\"}", "22003", 5,
			"the range comes before the next token's place");
}

static void
test_bad_syntax(void)
{
	refuses("", "22P02", 0, "empty");
	refuses(" \n", "22P02", 2, "only white space");
	refuses("{", "22P02", 1, "cut short");
	refuses("{\"a\"", "22P02", 4, "cut short behind a key");
	refuses("{\"a\":", "22P02", 5, "cut short before a value");
	refuses("{\"a\":1", "22P02", 6, "cut short behind a value");
	refuses("{\"a\":\"x", "22P02", 7, "cut short in a string");
	refuses("{\"a\":\"\\", "22P02", 7, "cut short in an escape");
	refuses("{\"a\":1,}", "22P02", 7, "trailing comma");
	refuses("{\"a\":}", "22P02", 5, "no value");
	refuses("{\"a\" 1}", "22P02", 5, "no colon");
	refuses("{a:1}", "22P02", 1, "bare key");
	refuses("{'a':1}", "22P02", 1, "single quotes");
	refuses("{\"a\":[1,]}", "22P02", 8, "trailing comma in an array");
	refuses("{\"a\":[1}", "22P02", 7, "the wrong bracket");
	refuses("{\"a\":1}}", "22P02", 7, "one bracket too many");
	refuses("{\"a\":1} x", "22P02", 8, "garbage behind");
	refuses("{\"a\":truex}", "22P02", 5, "a word that runs on");
	refuses("{\"a\":tru}", "22P02", 5, "half a word");
	refuses("{\"a\":\"x\ty\"}", "22P02", 7, "control character");
	refuses("{\"a\":\"\\x\"}", "22P02", 6, "unknown escape");
	refuses("{\"a\":\"\\u12g4\"}", "22P02", 6, "bad hexadecimal digit");
	refuses("\xEF\xBB\xBF{}", "22P02", 0, "byte order mark");
	refuses("\v{}", "22P02", 0, "vertical tab is no white space");
}

static void
test_bad_text(void)
{
	refuses("{\"a\":\"\\u0000\"}", "22P05", 6, "zero character");
	refuses("{\"\\u0000\":1}", "22P05", 2, "zero character in a key");
	refuses("{\"a\" \"\\u0000\"}", "22P05", 6, "and in the wrong place");
	refuses("{} \"\\u0000\"", "22P05", 4, "and behind the end");
	refuses("{\"a\":\"\\ud800\"}", "22P02", 6, "lone high surrogate");
	refuses("{\"a\":\"\\udc00\"}", "22P02", 6, "lone low surrogate");
	refuses("{\"a\":\"\\ud800\\u0041\"}", "22P02", 6, "half a pair");
	refuses("{\"a\":\"\\ude00\\ud83d\"}", "22P02", 6, "a pair turned round");
	refuses("{\"a\":\"\xED\xA0\x80\"}", "22021", 6, "encoded surrogate");
	refuses("{\"a\":\"\xC0\x80\"}", "22021", 6, "overlong zero");
	refuses("{\"a\":\"\xE0\x80\xAF\"}", "22021", 6, "overlong slash");
	refuses("{\"a\":\"\xF4\x90\x80\x80\"}", "22021", 6, "above U+10FFFF");
	refuses("{\"a\":\"\xE2\x82\"}", "22021", 6, "half a character");
	refuses("{\"a\":\"\xE2", "22021", 6, "half a character at the end");
	refuses("x {\"a\":\"\xFF\"}", "22021", 8,
			"UTF-8 is looked at before the syntax");
	refuses_bytes("{\"a\":\"x\0y\"}", 11, "22021", 7, "zero byte");
	refuses_bytes("{}\0", 3, "22021", 2, "zero byte behind the end");
	finds("a", "{\"a\":\"\xEF\xBF\xBF\xF4\x8F\xBF\xBF\x7F\"}", 0,
		  WEIR_JSON_STRING, "\xEF\xBF\xBF\xF4\x8F\xBF\xBF\x7F",
		  "noncharacters and DEL are good");
}

static void
test_top_level(void)
{
	refuses("[1]", "22023", 0, "an array");
	refuses(" 1", "22023", 1, "a number");
	refuses("\"x\"", "22023", 0, "a string");
	refuses("null", "22023", 0, "null");
	refuses("[1", "22P02", 2, "a bad array is bad syntax first");
	refuses("1e1000000", "22003", 0, "a number out of range");
}

static void
test_depth(void)
{
	char		str[2 * WEIR_JSON_MAX_DEPTH + 16] = "{\"a\":";
	size_t		inside = WEIR_JSON_MAX_DEPTH - 1;
	Fixture    *fixture;

	memset(str + 5, '[', inside);
	memset(str + 5 + inside, ']', inside);
	strcpy(str + 5 + 2 * inside, "}");
	fixture = scan("a", str);
	ok(fixture->good && fixture->values[0].len == 2 * inside,
	   "as deep as is allowed");
	release(fixture);

	str[5 + inside] = '[';
	refuses(str, "54001", 5 + inside, "one deeper");
	memset(str, '[', sizeof(str) - 1);
	str[sizeof(str) - 1] = '\0';
	refuses(str, "54001", WEIR_JSON_MAX_DEPTH, "only opening brackets");
}

/* No prefix of a good text is good, whatever it is cut at. */
static void
test_prefixes(void)
{
	const char *str = "{\"a\":\"\\ud83d\\ude00\xE2\x82\xAC\","
		"\"b\":{\"c\":[-1.5e+3,true,null,false,{}]}}";
	bool		all = true;

	for (size_t len = 0; len < strlen(str); len++)
	{
		Fixture    *fixture = scan_bytes("a,b.c", str, len);

		all = all && !fixture->good && fixture->error.position <= len;
		release(fixture);
	}
	ok(all, "no prefix of a text is good");
}

/* Every string length and place in a block is scanned alike. */
static void
test_lengths(void)
{
	char		str[128];
	bool		all = true;

	for (int len = 0; len < 40; len++)
	{
		for (int pad = 0; pad < 20; pad++)
		{
			Fixture    *fixture;

			snprintf(str, sizeof(str), "%*s{\"a\":\"%.*s\"}", pad, "", len,
					 "0123456789012345678901234567890123456789");
			fixture = scan("a", str);
			all = all && fixture->good &&
				fixture->values[0].len == (size_t) len;
			release(fixture);
		}
	}
	ok(all, "strings of every length at every place");
}

/* Walk over a text's members and tell them: "key=kind:value;" each. */
static bool
members_are(const char *str, const char *expected)
{
	static const char *const kinds[] = {
		"absent", "null", "true", "false", "number", "string", "object",
		"array"
	};
	Fixture    *fixture = scan("unwanted", str);
	bool		good = fixture->good;
	WeirJsonMembers members;
	WeirJsonValue key;
	WeirJsonValue value;
	char		found[1000] = "";

	weir_json_members(&members, fixture->str, good ? fixture->len : 0);
	while (good && weir_json_next_member(&members, &key, &value))
		snprintf(found + strlen(found), sizeof(found) - strlen(found),
				 "%.*s%s=%s:%.*s%s;", (int) key.len, key.start,
				 key.escaped ? "!" : "", kinds[value.kind], (int) value.len,
				 value.start, value.escaped ? "!" : value.plain ? "." : "");
	release(fixture);
	if (strcmp(found, expected) != 0)
		printf("# got %s\n", found);
	return good && strcmp(found, expected) == 0;
}

static void
test_members(void)
{
	ok(members_are("{}", "") && members_are(" { \n } ", ""), "no members");
	ok(members_are("{\"a\": 1, \"b\" :\"x\",\"a\":null}",
				   "a=number:1.;b=string:x;a=null:null;"),
	   "members as they stand, equal keys too");
	ok(members_are("{\"o\":{\"x\":[1,{\"}\":\"]\\\"\"}]} ,\"a\":[],\"t\":true, \"f\" : false }",
				   "o=object:{\"x\":[1,{\"}\":\"]\\\"\"}]};a=array:[];t=true:true;f=false:false;"),
	   "what is inside is passed over");
	ok(members_are("{\"\\u0061\\\\\":\"\\\"\",\"\":\"\"}",
				   "\\u0061\\\\!=string:\\\"!;=string:;"), "escapes");
	ok(members_are("{\"a\":-1.5e+3,\"b\":-0,\"c\":-0.10,\"d\":1E5,\"e\":12}",
				   "a=number:-1.5e+3;b=number:-0;c=number:-0.10.;d=number:1E5;e=number:12.;"),
	   "numbers, and which are plain");
}

int
main(void)
{
	test_members();
	test_kinds();
	test_paths();
	test_equal_keys();
	test_escapes();
	test_numbers();
	test_bad_syntax();
	test_bad_text();
	test_top_level();
	test_depth();
	test_prefixes();
	test_lengths();
	return done_testing();
}
