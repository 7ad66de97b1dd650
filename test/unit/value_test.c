/*-------------------------------------------------------------------------
 *
 * value_test.c
 *	  What the parsers of single values take, refuse and leave to others.
 *
 * Each text is parsed in a buffer of its exact size, so that a sanitizer sees
 * a byte read too many.  That results equal the server's on any text is
 * test/t/010_json_equals_jsonb.pl's to show.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "source/value.h"
#include "tap.h"

#define OK WEIR_PARSE_OK
#define BAD WEIR_PARSE_BAD_SYNTAX
#define RANGE WEIR_PARSE_OUT_OF_RANGE
#define FALLBACK WEIR_PARSE_FALLBACK

static const char *const verdicts[] = {
	"ok", "bad syntax", "out of range", "left to others"
};

/* A copy without a byte to spare */
static char *
exact(const char *str)
{
	size_t		len = strlen(str);
	char	   *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, str, len);
	return copy;
}

static void
int16_is(const char *str, WeirParse expected, int16_t value)
{
	char	   *copy = exact(str);
	int16_t		result = 0;
	WeirParse	parse = weir_value_parse_int16(copy, strlen(str), &result);

	ok(parse == expected && (parse != OK || result == value),
	   "int16 \"%s\" is %s", str, verdicts[expected]);
	free(copy);
}

static void
int64_is(const char *str, WeirParse expected, int64_t value)
{
	char	   *copy = exact(str);
	int64_t		result = 0;
	WeirParse	parse = weir_value_parse_int64(copy, strlen(str), &result);

	ok(parse == expected && (parse != OK || result == value),
	   "int64 \"%s\" is %s", str, verdicts[expected]);
	free(copy);
}

static void
test_integers(void)
{
	int32_t		value;

	int16_is("0", OK, 0);
	int16_is("+12", OK, 12);
	int16_is("-007", OK, -7);
	int16_is("32767", OK, 32767);
	int16_is("-32768", OK, -32768);
	int16_is("32768", RANGE, 0);
	int16_is("-32769", RANGE, 0);
	int16_is("", BAD, 0);
	int16_is("-", BAD, 0);
	int16_is("abc", BAD, 0);
	int16_is("1.5", BAD, 0);
	int16_is("1-", BAD, 0);
	int16_is("99999.", FALLBACK, 0);
	int16_is(" 1", FALLBACK, 0);
	int16_is("1 ", FALLBACK, 0);
	int16_is("1_000", FALLBACK, 0);
	int16_is("0x1F", FALLBACK, 0);
	ok(weir_value_parse_int32("-2147483648", 11, &value) == OK &&
	   value == INT32_MIN, "int32's least");
	ok(weir_value_parse_int32("2147483648", 10, &value) == RANGE,
	   "above int32's greatest");
	int64_is("9223372036854775807", OK, INT64_MAX);
	int64_is("-9223372036854775808", OK, INT64_MIN);
	int64_is("9223372036854775808", RANGE, 0);
	int64_is("-9223372036854775809", RANGE, 0);
	int64_is("99999999999999999999999999999999999999", RANGE, 0);
	int64_is("00000000000000000000000000000000000001", OK, 1);
}

static void
float8_is(const char *str, WeirParse expected, double value)
{
	char	   *copy = exact(str);
	double		result = 0;
	WeirParse	parse = weir_value_parse_float8(copy, strlen(str), &result);

	ok(parse == expected &&
	   (parse != OK || memcmp(&result, &value, sizeof(value)) == 0),
	   "float8 \"%s\" is %s", str, verdicts[expected]);
	free(copy);
}

static void
test_floats(void)
{
	float		value;

	float8_is("0", OK, 0.0);
	float8_is("-0.0", OK, -0.0);
	float8_is("0.1", OK, 0.1);
	float8_is("-123.456", OK, -123.456);
	float8_is("9007199254740992", OK, 9007199254740992.0);
	float8_is("9007199254740993", FALLBACK, 0);
	float8_is("1e22", OK, 1e22);
	float8_is("1e23", FALLBACK, 0);
	float8_is("0e999999", OK, 0.0);
	float8_is("1.7976931348623157e308", FALLBACK, 0);
	float8_is("NaN", FALLBACK, 0);
	float8_is("-Infinity", FALLBACK, 0);
	float8_is(".5", FALLBACK, 0);
	float8_is("5.", FALLBACK, 0);
	float8_is("0x1p3", FALLBACK, 0);
	float8_is("1e", FALLBACK, 0);
	float8_is("", BAD, 0);
	float8_is("+", BAD, 0);
	float8_is("abc", BAD, 0);
	ok(weir_value_parse_float4("1234.56", 7, &value) == OK &&
	   value == 1234.56f, "a float4");
	ok(weir_value_parse_float4("0.1", 3, &value) == OK && value == 0.1f,
	   "a float4 is not rounded twice");
	ok(weir_value_parse_float4("16777217", 8, &value) == FALLBACK,
	   "a float4 with too many digits is left to others");
}

static void
bool_is(const char *str, WeirParse expected, bool value)
{
	char	   *copy = exact(str);
	bool		result = !value;
	WeirParse	parse = weir_value_parse_bool(copy, strlen(str), &result);

	ok(parse == expected && (parse != OK || result == value),
	   "bool \"%s\" is %s", str, verdicts[expected]);
	free(copy);
}

static void
test_bools(void)
{
	bool_is("true", OK, true);
	bool_is("TR", OK, true);
	bool_is(" y\t", OK, true);
	bool_is("on", OK, true);
	bool_is("1", OK, true);
	bool_is("f", OK, false);
	bool_is("No", OK, false);
	bool_is("of", OK, false);
	bool_is("0", OK, false);
	bool_is("o", BAD, false);
	bool_is("truee", BAD, false);
	bool_is("2", BAD, false);
	bool_is("00", BAD, false);
	bool_is("", BAD, false);
	bool_is(" ", BAD, false);
}

static void
decimal_is(const char *str, WeirParse expected, int64_t mantissa, int scale)
{
	char	   *copy = exact(str);
	WeirDecimal result = {0, 0};
	WeirParse	parse = weir_value_parse_decimal(copy, strlen(str), &result);

	ok(parse == expected &&
	   (parse != OK || (result.mantissa == mantissa && result.scale == scale)),
	   "decimal \"%s\" is %s", str, verdicts[expected]);
	free(copy);
}

static void
test_decimals(void)
{
	decimal_is("0", OK, 0, 0);
	decimal_is("-0.00", OK, 0, 2);
	decimal_is("1.50", OK, 150, 2);
	decimal_is("-99.99", OK, -9999, 2);
	decimal_is("+007", OK, 7, 0);
	decimal_is("999999999999999999", OK, INT64_C(999999999999999999), 0);
	decimal_is("0.000000000000000001", OK, 1, 18);
	decimal_is("1000000000000000000", FALLBACK, 0, 0);
	decimal_is("0.0000000000000000001", FALLBACK, 0, 0);
	decimal_is("1e2", FALLBACK, 0, 0);
	decimal_is("NaN", FALLBACK, 0, 0);
	decimal_is("infinity", FALLBACK, 0, 0);
	decimal_is(" 1", FALLBACK, 0, 0);
	decimal_is("1.5x", FALLBACK, 0, 0);
	decimal_is("x", BAD, 0, 0);
	decimal_is("", BAD, 0, 0);
}

static void
timestamp_is(const char *str, WeirParse expected, int64_t value,
			 bool has_zone)
{
	char	   *copy = exact(str);
	int64_t		result = 0;
	bool		zone = !has_zone;
	WeirParse	parse = weir_value_parse_timestamp(copy, strlen(str), &result,
												   &zone);

	if (!ok(parse == expected &&
			(parse != OK || (result == value && zone == has_zone)),
			"timestamp \"%s\" is %s", str, verdicts[expected]))
		printf("# %s, %lld\n", verdicts[parse], (long long) result);
	free(copy);
}

static void
test_timestamps(void)
{
	const int64_t day = INT64_C(86400000000);
	const int64_t noon = 43200000000;

	timestamp_is("2000-01-01T00:00:00Z", OK, 0, true);
	timestamp_is("2000-01-01 00:00:00", OK, 0, false);
	timestamp_is("2000-01-01t00:00z", OK, 0, true);
	timestamp_is("2000-01-01T12:00", OK, noon, false);
	timestamp_is("2000-03-01T00:00Z", OK, 60 * day, true);
	timestamp_is("1999-12-31T23:59:59.5Z", OK, -500000, true);
	timestamp_is("2000-01-01T12:00:00.123456+02", OK,
				 noon - 7200000000 + 123456, true);
	timestamp_is("2000-01-01T12:00:00-0330", OK, noon + 12600000000, true);
	timestamp_is("2000-01-01T12:00:00+15:59", OK, noon - 57540000000, true);
	timestamp_is("2000-01-01T00:00:00-00:00", OK, 0, true);
	timestamp_is("2000-01-01T00:00:00.0000005Z", OK, 0, true);
	timestamp_is("2000-01-01T00:00:00.0000015Z", OK, 2, true);
	timestamp_is("2000-01-01T00:00:00.99999999999999999999Z", OK, 1000000,
				 true);
	timestamp_is("2000-01-01T23:59:60Z", OK, day, true);
	timestamp_is("2000-01-01T24:00:00Z", OK, day, true);
	timestamp_is("2000-02-29T00:00Z", OK, 59 * day, true);
	timestamp_is("0001-01-01T00:00Z", OK, -730119 * day, true);
	timestamp_is("9999-12-31T23:59:59.999999Z", OK, 2921940 * day - 1, true);

	timestamp_is("2000-01-01T24:00:01Z", RANGE, 0, true);
	timestamp_is("2000-01-01T25:00Z", RANGE, 0, true);
	timestamp_is("2000-01-01T00:60Z", RANGE, 0, true);
	timestamp_is("2000-01-01T00:00:61Z", RANGE, 0, true);
	timestamp_is("1900-02-29T00:00Z", RANGE, 0, true);
	timestamp_is("2001-04-31T00:00Z", RANGE, 0, true);
	timestamp_is("2001-13-01T00:00Z", RANGE, 0, true);
	timestamp_is("2001-00-01T00:00Z", RANGE, 0, true);
	timestamp_is("2001-01-00T00:00Z", RANGE, 0, true);
	timestamp_is("0000-01-01T00:00Z", RANGE, 0, true);
	timestamp_is("2000-01-01T00:00+16:00", RANGE, 0, true);
	timestamp_is("2000-01-01T00:00+00:60", RANGE, 0, true);

	timestamp_is("", BAD, 0, true);
	timestamp_is("now", BAD, 0, true);
	timestamp_is("tomorrow", BAD, 0, true);
	timestamp_is("infinity", BAD, 0, true);
	timestamp_is("epoch", BAD, 0, true);
	timestamp_is("4714-11-24 BC", BAD, 0, true);
	timestamp_is("2000-01-01", BAD, 0, true);
	timestamp_is("2000-01-01T", BAD, 0, true);
	timestamp_is("2000-1-1T00:00Z", BAD, 0, true);
	timestamp_is("20000101T000000Z", BAD, 0, true);
	timestamp_is("10000-01-01T00:00Z", BAD, 0, true);
	timestamp_is("-2000-01-01T00:00Z", BAD, 0, true);
	timestamp_is("2000-01-01T00:00:00.Z", BAD, 0, true);
	timestamp_is("2000-01-01T00:00:00,5Z", BAD, 0, true);
	timestamp_is("2000-01-01T00:00 Z", BAD, 0, true);
	timestamp_is("2000-01-01T00:00Zz", BAD, 0, true);
	timestamp_is("2000-01-01T00:00+1", BAD, 0, true);
	timestamp_is("2000-01-01T00:00+01:", BAD, 0, true);
	timestamp_is("2000-01-01T00:00+01:0", BAD, 0, true);
	timestamp_is("2000-01-01T00:00 Europe/Berlin", BAD, 0, true);
	timestamp_is(" 2000-01-01T00:00Z", BAD, 0, true);
	timestamp_is("2000-01-01T00:00:00.00000000000000000000000000000000000000"
				 "0000000000000000000000000000000000000000000000000000000000"
				 "00000Z", BAD, 0, true);
}

static void
epoch_is(const char *str, WeirUnit unit, WeirParse expected, int64_t value)
{
	char	   *copy = exact(str);
	int64_t		result = 0;
	WeirParse	parse = weir_value_parse_epoch(copy, strlen(str), unit,
											   &result);

	if (!ok(parse == expected && (parse != OK || result == value),
			"epoch \"%s\" is %s", str, verdicts[expected]))
		printf("# %s, %lld\n", verdicts[parse], (long long) result);
	free(copy);
}

static void
test_epochs(void)
{
	const int64_t unix_epoch = INT64_C(-946684800000000);

	epoch_is("0", WEIR_UNIT_S, OK, unix_epoch);
	epoch_is("-0", WEIR_UNIT_S, OK, unix_epoch);
	epoch_is("946684800", WEIR_UNIT_S, OK, 0);
	epoch_is("946684800.25", WEIR_UNIT_S, OK, 250000);
	epoch_is("946684800000", WEIR_UNIT_MS, OK, 0);
	epoch_is("946684800000.0005", WEIR_UNIT_MS, OK, 1);
	epoch_is("946684800000.0004999", WEIR_UNIT_MS, OK, 0);
	epoch_is("946684800000001", WEIR_UNIT_US, OK, 1);
	epoch_is("9.466848e8", WEIR_UNIT_S, OK, 0);
	epoch_is("9466848000e-1", WEIR_UNIT_S, OK, 0);
	epoch_is("-1.5", WEIR_UNIT_US, OK, unix_epoch - 2);
	epoch_is("1e-999999999", WEIR_UNIT_S, OK, unix_epoch);
	epoch_is("0e999999999", WEIR_UNIT_S, OK, unix_epoch);
	epoch_is("-62135596800", WEIR_UNIT_S, OK, INT64_C(-63082281600000000));
	epoch_is("-62135596800.000001", WEIR_UNIT_S, RANGE, 0);
	epoch_is("253402300799.999999", WEIR_UNIT_S, OK,
			 INT64_C(252455615999999999));
	epoch_is("253402300800", WEIR_UNIT_S, RANGE, 0);
	epoch_is("1e300", WEIR_UNIT_US, RANGE, 0);
	epoch_is("9223372036854775807", WEIR_UNIT_US, RANGE, 0);
	epoch_is("99999999999999999999", WEIR_UNIT_US, RANGE, 0);
	epoch_is("NaN", WEIR_UNIT_S, BAD, 0);
	epoch_is("infinity", WEIR_UNIT_S, BAD, 0);
	epoch_is("", WEIR_UNIT_S, BAD, 0);
	epoch_is("1e", WEIR_UNIT_S, BAD, 0);
	epoch_is("12 ", WEIR_UNIT_S, BAD, 0);
	epoch_is("2024-01-01", WEIR_UNIT_S, BAD, 0);
}

static void
test_uuids(void)
{
	static const uint8_t expected[16] = {
		0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
		0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10
	};
	const char *str = "01234567-89ab-CDEF-fedc-ba9876543210";
	uint8_t		result[16];

	ok(weir_value_parse_uuid(str, 36, result) == OK &&
	   memcmp(result, expected, 16) == 0, "a uuid");
	ok(weir_value_parse_uuid(str, 35, result) == FALLBACK, "one too short");
	ok(weir_value_parse_uuid("0123456789abCDEFfedcba9876543210", 32,
							 result) == FALLBACK, "one without hyphens");
	ok(weir_value_parse_uuid("01234567-89ab-CDEF-fedc-ba987654321g", 36,
							 result) == FALLBACK, "one with a wrong digit");
	ok(weir_value_parse_uuid("0123456-789ab-CDEF-fedc-ba9876543210", 36,
							 result) == FALLBACK, "one with moved hyphens");
}

static void
utf8_is(const char *str, size_t len, size_t valid, const char *what)
{
	char	   *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, str, len);
	ok(weir_value_utf8_prefix(copy, len) == valid, "UTF-8: %s", what);
	free(copy);
}

static void
test_utf8(void)
{
	utf8_is("", 0, 0, "empty");
	utf8_is("plain ASCII of more than sixteen bytes", 38, 38, "ASCII");
	utf8_is("plain ASCII of m\0re", 19, 16, "a zero byte");
	utf8_is("seventeen bytes \0", 17, 16, "a zero byte at the end");
	utf8_is("\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80", 13, 13,
			"two and three bytes");
	utf8_is("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8, 8, "four bytes");
	utf8_is("a\xC1\xBF", 3, 1, "overlong, two bytes");
	utf8_is("a\xE0\x9F\xBF", 4, 1, "overlong, three bytes");
	utf8_is("a\xF0\x8F\xBF\xBF", 5, 1, "overlong, four bytes");
	utf8_is("a\xED\xA0\x80", 4, 1, "a surrogate");
	utf8_is("a\xF4\x90\x80\x80", 5, 1, "above U+10FFFF");
	utf8_is("a\xF5\x80\x80\x80", 5, 1, "far above");
	utf8_is("a\x80", 2, 1, "a byte that only continues");
	utf8_is("a\xE2\x82", 3, 1, "cut short");
	utf8_is("a\xE2\x82\x41", 4, 1, "not continued");
}

int
main(void)
{
	test_integers();
	test_floats();
	test_bools();
	test_decimals();
	test_timestamps();
	test_epochs();
	test_uuids();
	test_utf8();
	return done_testing();
}
