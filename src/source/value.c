/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Parsers of single values that never raise an error.
 *
 * Each takes a text of valid UTF-8 without a zero byte, and says one of four
 * things.  On OK, the result is exactly that of the type's input function
 * (PostgreSQL 15 and later).  BAD_SYNTAX and OUT_OF_RANGE are said only where
 * the input function of every version refuses the text too, for that reason.
 * Whatever is rare, or was added by a version, is FALLBACK.
 *
 * Two kinds of value are read more strictly than PostgreSQL does, and never
 * give FALLBACK: timestamps and epoch numbers.
 *
 * A timestamp is RFC 3339's, a little wider:
 *
 *	YYYY-MM-DD (T|t| ) HH:MM [:SS [.digits]] [Z|z|(+|-)HH[[:]MM]]
 *
 * with a year in 0001..9999.  As timestamptz_in does, it takes second 60 (the
 * next minute), 24:00:00 (the next day) and zones up to 15:59, and rounds a
 * fraction to microseconds by way of a double.  Words such as now or infinity
 * have no place in a log that must give the same rows when read again.
 *
 *-------------------------------------------------------------------------
 */
#include "source/value.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* What fits an int64 or a numeric's fast path whatever the digits are */
#define DECIMAL_DIGITS_MAX	18

/* No timestamptz_in takes more places than fit its work buffer. */
#define FRACTION_DIGITS_MAX 100

#define USECS_PER_SECOND	INT64_C(1000000)
#define SECONDS_PER_DAY		INT64_C(86400)

/* Days from 0001-01-01, and seconds from 1970-01-01, to 2000-01-01 */
#define DAYS_TO_2000		730119
#define UNIX_TO_2000		INT64_C(946684800)

/* 0001-01-01 and the microsecond before 10000-01-01, from 1970-01-01 */
#define EPOCH_MIN			(INT64_C(-62135596800) * USECS_PER_SECOND)
#define EPOCH_MAX			(INT64_C(253402300800) * USECS_PER_SECOND - 1)

/* A number as it is written: sign, digits, places, exponent */
typedef struct Number
{
	bool		negative;
	const char *digits;			/* first digit, behind the sign */
	const char *end;			/* behind the last digit or place */
	int			before;			/* digits before the point */
	int			places;			/* digits behind it */
	int			exponent;		/* limited to +-EXPONENT_LIMIT */
	bool		has_exponent;
} Number;

#define EXPONENT_LIMIT		1000000
#define NUMBER_DIGITS_MAX	1000000

/* A timestamp's parts, read but not yet checked */
typedef struct DateTime
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int64_t		micros;
	int			zone_hour;
	int			zone_minute;
	bool		west;
	bool		has_zone;
} DateTime;

static const double power_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*---- Characters ----*/

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Letters and the underscore: what some version may take inside a number */
static inline bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

static inline const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/*
 * weir_value_utf8_prefix
 *		Return the length of the longest prefix that is valid UTF-8 without a
 *		zero byte: len when all of it is.
 */
size_t
weir_value_utf8_prefix(const char *str, size_t len)
{
	const char *end = str + len;
	const char *p = str;

	while (p < end)
	{
		int			length;

#ifdef __SSE2__
		if (end - p >= 16)
		{
			const __m128i zero = _mm_setzero_si128();
			__m128i		bytes = _mm_loadu_si128((const __m128i *) p);

			/* all above zero as signed bytes: ASCII, and none is zero */
			if (_mm_movemask_epi8(_mm_cmpgt_epi8(bytes, zero)) == 0xFFFF)
			{
				p += 16;
				continue;
			}
		}
#endif
		if (*p == '\0')
			break;
		length = (unsigned char) *p < 0x80 ? 1 :
			weir_value_utf8_length(p, end);
		if (length == 0)
			break;
		p += length;
	}
	return (size_t) (p - str);
}

/*---- Integers ----*/

/*
 * Tell whether some version may take what follows the digits of an integer:
 * space, digits in groups, another base.
 */
static inline bool
may_follow_integer(char c)
{
	return is_space(c) || is_word(c) || ((unsigned char) c & 0x80);
}

/* Read an integer that lies in -max - 1 .. max. */
static WeirParse
parse_integer(const char *str, size_t len, int64_t max, int64_t *result)
{
	const char *p = str;
	const char *end = str + len;
	const char *digits;
	bool		negative = len > 0 && *p == '-';
	uint64_t	limit = (uint64_t) max + (negative ? 1 : 0);
	uint64_t	value = 0;
	bool		overflow = false;

	if (len > 0 && (*p == '-' || *p == '+'))
		p++;
	else if (len > 0 && (is_space(*p) || ((unsigned char) *p & 0x80)))
		return WEIR_PARSE_FALLBACK;
	for (digits = p; p < end && is_digit(*p); p++)
	{
		uint64_t	digit = (uint64_t) (*p - '0');

		if (value > (limit - digit) / 10)
			overflow = true;
		else
			value = value * 10 + digit;
	}
	if (p == digits)
		return WEIR_PARSE_BAD_SYNTAX;
	/* which of two faults is reported is the server's own affair */
	if (p < end)
		return overflow || may_follow_integer(*p) ? WEIR_PARSE_FALLBACK :
			WEIR_PARSE_BAD_SYNTAX;
	if (overflow)
		return WEIR_PARSE_OUT_OF_RANGE;
	*result = negative ? (int64_t) (0 - value) : (int64_t) value;
	return WEIR_PARSE_OK;
}

/*
 * weir_value_parse_int16, weir_value_parse_int32, weir_value_parse_int64
 *		Parse as int2in, int4in and int8in do.
 */
WeirParse
weir_value_parse_int16(const char *str, size_t len, int16_t *result)
{
	int64_t		value;
	WeirParse	parse = parse_integer(str, len, INT16_MAX, &value);

	if (parse == WEIR_PARSE_OK)
		*result = (int16_t) value;
	return parse;
}

WeirParse
weir_value_parse_int32(const char *str, size_t len, int32_t *result)
{
	int64_t		value;
	WeirParse	parse = parse_integer(str, len, INT32_MAX, &value);

	if (parse == WEIR_PARSE_OK)
		*result = (int32_t) value;
	return parse;
}

WeirParse
weir_value_parse_int64(const char *str, size_t len, int64_t *result)
{
	return parse_integer(str, len, INT64_MAX, result);
}

/*---- Numbers with a point ----*/

/* Read an exponent behind its e; false when it has no digit or is not last. */
static bool
read_exponent(const char *p, const char *end, int *exponent)
{
	bool		negative = p < end && *p == '-';
	int			value = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end || !is_digit(*p))
		return false;
	for (; p < end && is_digit(*p); p++)
	{
		if (value < EXPONENT_LIMIT)
			value = value * 10 + (*p - '0');
	}
	if (value > EXPONENT_LIMIT)
		value = EXPONENT_LIMIT;
	*exponent = negative ? -value : value;
	return p == end;
}

/* Read [sign] digits [. digits] [e [sign] digits]; false for all else. */
static bool
read_number(const char *p, const char *end, Number *number)
{
	memset(number, 0, sizeof(Number));
	if (end - p > NUMBER_DIGITS_MAX)
		return false;
	number->negative = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	number->digits = p;
	p = skip_digits(p, end);
	number->before = (int) (p - number->digits);
	if (number->before == 0)
		return false;
	if (p < end && *p == '.')
	{
		const char *places = ++p;

		p = skip_digits(p, end);
		number->places = (int) (p - places);
		if (number->places == 0)
			return false;
	}
	number->end = p;
	if (p == end)
		return true;
	number->has_exponent = true;
	return (*p == 'e' || *p == 'E') &&
		read_exponent(p + 1, end, &number->exponent);
}

/* Tell whether no version of PostgreSQL can see a number in the text. */
static bool
is_no_number(const char *p, const char *end)
{
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return true;
	return !is_digit(*p) && !is_space(*p) && !((unsigned char) *p & 0x80) &&
		strchr(".nNiI", *p) == NULL;
}

/* Put the digits together; false when there are more than fit for sure. */
static bool
read_mantissa(const Number *number, uint64_t *mantissa)
{
	const char *p = number->digits;
	uint64_t	value = 0;
	int			count = 0;

	for (; p < number->end; p++)
	{
		if (*p == '.' || (value == 0 && *p == '0'))
			continue;
		if (++count > DECIMAL_DIGITS_MAX)
			return false;
		value = value * 10 + (uint64_t) (*p - '0');
	}
	*mantissa = value;
	return true;
}

/*
 * Read a number's sign, mantissa and power of ten; the common beginning of
 * the parsers of float8, float4 and decimal.
 */
static WeirParse
read_scaled(const char *str, size_t len, Number *number, uint64_t *mantissa)
{
	const char *end = str + len;

	if (is_no_number(str, end))
		return WEIR_PARSE_BAD_SYNTAX;
	if (!read_number(str, end, number) || !read_mantissa(number, mantissa))
		return WEIR_PARSE_FALLBACK;
	return WEIR_PARSE_OK;
}

/*
 * weir_value_parse_float8
 *		Parse as float8in does, where one correctly rounded operation on two
 *		exact doubles gives the result; otherwise FALLBACK.
 */
WeirParse
weir_value_parse_float8(const char *str, size_t len, double *result)
{
	Number		number;
	uint64_t	mantissa;
	int			power;
	double		value;
	WeirParse	parse = read_scaled(str, len, &number, &mantissa);

	if (parse != WEIR_PARSE_OK)
		return parse;
	power = number.exponent - number.places;
	if (mantissa == 0)
		power = 0;
	if (FLT_EVAL_METHOD != 0 || mantissa > (UINT64_C(1) << DBL_MANT_DIG) ||
		power < -22 || power > 22)
		return WEIR_PARSE_FALLBACK;
	value = (double) mantissa;
	value = power < 0 ? value / power_of_ten[-power] :
		value * power_of_ten[power];
	*result = number.negative ? -value : value;
	return WEIR_PARSE_OK;
}

/*
 * weir_value_parse_float4
 *		The same for float4in.
 */
WeirParse
weir_value_parse_float4(const char *str, size_t len, float *result)
{
	Number		number;
	uint64_t	mantissa;
	int			power;
	float		value;
	WeirParse	parse = read_scaled(str, len, &number, &mantissa);

	if (parse != WEIR_PARSE_OK)
		return parse;
	power = number.exponent - number.places;
	if (mantissa == 0)
		power = 0;
	if (FLT_EVAL_METHOD != 0 || mantissa > (UINT64_C(1) << FLT_MANT_DIG) ||
		power < -10 || power > 10)
		return WEIR_PARSE_FALLBACK;
	value = (float) mantissa;
	value = power < 0 ? value / (float) power_of_ten[-power] :
		value * (float) power_of_ten[power];
	*result = number.negative ? -value : value;
	return WEIR_PARSE_OK;
}

/*
 * weir_value_parse_decimal
 *		Parse a number of at most 18 digits without exponent, for the caller to
 *		make a numeric whose display scale is result->scale.
 */
WeirParse
weir_value_parse_decimal(const char *str, size_t len, WeirDecimal *result)
{
	Number		number;
	uint64_t	mantissa;
	WeirParse	parse = read_scaled(str, len, &number, &mantissa);

	if (parse != WEIR_PARSE_OK)
		return parse;
	if (number.has_exponent || number.places > DECIMAL_DIGITS_MAX)
		return WEIR_PARSE_FALLBACK;
	result->mantissa = number.negative ? -(int64_t) mantissa :
		(int64_t) mantissa;
	result->scale = number.places;
	return WEIR_PARSE_OK;
}

/*---- Booleans ----*/

/* Tell whether text is the beginning of word, and at least min long. */
static bool
begins_word(const char *str, size_t len, const char *word, size_t min)
{
	if (len < min || len > strlen(word))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (to_lower(str[i]) != word[i])
			return false;
	}
	return true;
}

/*
 * weir_value_parse_bool
 *		Parse as boolin does; never FALLBACK.
 */
WeirParse
weir_value_parse_bool(const char *str, size_t len, bool *result)
{
	while (len > 0 && is_space(*str))
	{
		str++;
		len--;
	}
	while (len > 0 && is_space(str[len - 1]))
		len--;

	if (begins_word(str, len, "true", 1) ||
		begins_word(str, len, "yes", 1) ||
		begins_word(str, len, "on", 2) || begins_word(str, len, "1", 1))
		*result = true;
	else if (begins_word(str, len, "false", 1) ||
			 begins_word(str, len, "no", 1) ||
			 begins_word(str, len, "off", 2) ||
			 begins_word(str, len, "0", 1))
		*result = false;
	else
		return WEIR_PARSE_BAD_SYNTAX;
	return WEIR_PARSE_OK;
}

/*---- Timestamps ----*/

/* Read exactly n digits at *p and go behind them. */
static inline bool
read_digits(const char **p, const char *end, int n, int *value)
{
	if (end - *p < n)
		return false;
	*value = 0;
	for (int i = 0; i < n; i++, (*p)++)
	{
		if (!is_digit(**p))
			return false;
		*value = *value * 10 + (**p - '0');
	}
	return true;
}

static inline bool
read_char(const char **p, const char *end, char c)
{
	if (*p == end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* Read more places than a double's digits as the server does. */
static double
read_long_fraction(const char *digits, int count)
{
	char		buffer[FRACTION_DIGITS_MAX + 2];

	buffer[0] = '.';
	memcpy(buffer + 1, digits, (size_t) count);
	buffer[count + 1] = '\0';
	return strtod(buffer, NULL);
}

/* Read the places of a second and round them to microseconds. */
static bool
read_fraction(const char **p, const char *end, int64_t *micros)
{
	const char *digits = *p;
	int			count;
	int64_t		value = 0;

	*p = skip_digits(digits, end);
	if (*p == digits || *p - digits > FRACTION_DIGITS_MAX)
		return false;
	count = (int) (*p - digits);
	if (count > 15)
	{
		*micros = (int64_t) rint(read_long_fraction(digits, count) * 1e6);
		return true;
	}
	for (int i = 0; i < count; i++)
		value = value * 10 + (digits[i] - '0');
	if (count > 6)
		*micros = (int64_t) rint((double) value / power_of_ten[count] * 1e6);
	else
	{
		for (int i = count; i < 6; i++)
			value *= 10;
		*micros = value;
	}
	return true;
}

static bool
read_date(const char **p, const char *end, DateTime *dt)
{
	return read_digits(p, end, 4, &dt->year) && read_char(p, end, '-') &&
		read_digits(p, end, 2, &dt->month) && read_char(p, end, '-') &&
		read_digits(p, end, 2, &dt->day);
}

static bool
read_time(const char **p, const char *end, DateTime *dt)
{
	if (!read_digits(p, end, 2, &dt->hour) || !read_char(p, end, ':') ||
		!read_digits(p, end, 2, &dt->minute))
		return false;
	dt->second = 0;
	dt->micros = 0;
	if (!read_char(p, end, ':'))
		return true;
	if (!read_digits(p, end, 2, &dt->second))
		return false;
	return !read_char(p, end, '.') || read_fraction(p, end, &dt->micros);
}

/* Read the zone, if there is one, up to the end of the text. */
static bool
read_zone(const char **p, const char *end, DateTime *dt)
{
	dt->has_zone = *p < end;
	dt->zone_hour = 0;
	dt->zone_minute = 0;
	dt->west = false;
	if (!dt->has_zone)
		return true;
	if (!read_char(p, end, 'Z') && !read_char(p, end, 'z'))
	{
		dt->west = **p == '-';
		if (!read_char(p, end, '-') && !read_char(p, end, '+'))
			return false;
		if (!read_digits(p, end, 2, &dt->zone_hour))
			return false;
		if (*p == end)
			return true;
		if (**p == ':')
			(*p)++;
		if (!read_digits(p, end, 2, &dt->zone_minute))
			return false;
	}
	return *p == end;
}

static inline bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool
in_range(const DateTime *dt)
{
	static const int month_days[] = {
		31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	if (dt->year < 1 || dt->month < 1 || dt->month > 12 || dt->day < 1 ||
		dt->day > month_days[dt->month - 1])
		return false;
	if (dt->month == 2 && dt->day == 29 && !is_leap(dt->year))
		return false;
	if (dt->hour > 24 || dt->minute > 59 || dt->second > 60)
		return false;
	if (dt->hour == 24 &&
		(dt->minute > 0 || dt->second > 0 || dt->micros > 0))
		return false;
	return dt->zone_hour <= 15 && dt->zone_minute <= 59;
}

/* Days from 2000-01-01 */
static int
days_from_date(int year, int month, int day)
{
	static const int days_before[] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	int			past = year - 1;
	int			days = 365 * past + past / 4 - past / 100 + past / 400;

	days += days_before[month - 1] + day - 1;
	if (month > 2 && is_leap(year))
		days++;
	return days - DAYS_TO_2000;
}

/*
 * weir_value_parse_timestamp
 *		Parse a timestamp into microseconds from 2000-01-01.
 *
 * With a zone they are UTC's and the result is timestamptz_in's.  Without, the
 * result is timestamp_in's, and the caller applies the stream's timezone.
 * Bad syntax is 22007 in PostgreSQL, out of range 22008.
 */
WeirParse
weir_value_parse_timestamp(const char *str, size_t len, int64_t *result,
						   bool *has_zone)
{
	const char *end = str + len;
	const char *p = str;
	DateTime	dt;
	int64_t		seconds;
	int			zone;

	if (!read_date(&p, end, &dt) || p == end ||
		(*p != 'T' && *p != 't' && *p != ' '))
		return WEIR_PARSE_BAD_SYNTAX;
	p++;
	if (!read_time(&p, end, &dt) || !read_zone(&p, end, &dt))
		return WEIR_PARSE_BAD_SYNTAX;
	if (!in_range(&dt))
		return WEIR_PARSE_OUT_OF_RANGE;

	seconds = days_from_date(dt.year, dt.month, dt.day) * SECONDS_PER_DAY +
		dt.hour * 3600 + dt.minute * 60 + dt.second;
	zone = dt.zone_hour * 3600 + dt.zone_minute * 60;
	seconds += dt.west ? zone : -zone;
	*result = seconds * USECS_PER_SECOND + dt.micros;
	*has_zone = dt.has_zone;
	return WEIR_PARSE_OK;
}

/*
 * Put together the first n digits of a number, zeros where it has no more, and
 * round by the next one, half away from zero.  False above INT64_MAX.
 */
static bool
round_digits(const Number *number, int n, int64_t *result)
{
	int			count = number->before + number->places;
	int64_t		value = 0;

	*result = 0;
	for (int i = 0; i <= n && (i < count || value > 0); i++)
	{
		int			skip = i >= number->before && number->places > 0 ? 1 : 0;
		int			digit = i < count ? number->digits[i + skip] - '0' : 0;

		if (i == n)
			value += digit >= 5 ? 1 : 0;
		else if (__builtin_mul_overflow(value, INT64_C(10), &value) ||
				 __builtin_add_overflow(value, (int64_t) digit, &value) ||
				 value == INT64_MAX)
			return false;
	}
	*result = value;
	return true;
}

/*
 * weir_value_parse_epoch
 *		Parse a number of units since 1970-01-01 UTC into microseconds from
 *		2000-01-01 UTC, rounded as numeric rounds.
 *
 * Out of range outside the years 0001 to 9999.
 */
WeirParse
weir_value_parse_epoch(const char *str, size_t len, WeirUnit unit,
					   int64_t *result)
{
	Number		number;
	int64_t		micros;
	int			shift = unit == WEIR_UNIT_S ? 6 : unit == WEIR_UNIT_MS ? 3 : 0;

	if (!read_number(str, str + len, &number))
		return WEIR_PARSE_BAD_SYNTAX;
	if (!round_digits(&number, number.before + number.exponent + shift,
					  &micros))
		return WEIR_PARSE_OUT_OF_RANGE;
	if (number.negative)
		micros = -micros;
	if (micros < EPOCH_MIN || micros > EPOCH_MAX)
		return WEIR_PARSE_OUT_OF_RANGE;
	*result = micros - UNIX_TO_2000 * USECS_PER_SECOND;
	return WEIR_PARSE_OK;
}

/*---- Uuids ----*/

static inline int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * weir_value_parse_uuid
 *		Parse a uuid's canonical form into 16 bytes; other spellings FALLBACK.
 */
WeirParse
weir_value_parse_uuid(const char *str, size_t len, uint8_t *result)
{
	const char *p = str;

	if (len != 36)
		return WEIR_PARSE_FALLBACK;
	for (int i = 0; i < 16; i++)
	{
		int			high;
		int			low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			return WEIR_PARSE_FALLBACK;
		high = hex_value(p[0]);
		low = hex_value(p[1]);
		if (high < 0 || low < 0)
			return WEIR_PARSE_FALLBACK;
		result[i] = (uint8_t) (high << 4 | low);
		p += 2;
	}
	return WEIR_PARSE_OK;
}
