/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Parsers of single values that never raise an error.
 *
 * Builds without a PostgreSQL server and allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_VALUE_H
#define WEIR_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum WeirParse
{
	WEIR_PARSE_OK,
	WEIR_PARSE_BAD_SYNTAX,		/* the type's input function refuses it */
	WEIR_PARSE_OUT_OF_RANGE,	/* well formed, but no value of the type */
	WEIR_PARSE_FALLBACK			/* let the type's input function decide */
} WeirParse;

/* The unit of an epoch number */
typedef enum WeirUnit
{
	WEIR_UNIT_NONE,				/* a number is no timestamp */
	WEIR_UNIT_S,
	WEIR_UNIT_MS,
	WEIR_UNIT_US
} WeirUnit;

/* The number mantissa / 10^scale */
typedef struct WeirDecimal
{
	int64_t		mantissa;
	int			scale;
} WeirDecimal;

extern WeirParse weir_value_parse_int16(const char *str, size_t len,
										int16_t *result);
extern WeirParse weir_value_parse_int32(const char *str, size_t len,
										int32_t *result);
extern WeirParse weir_value_parse_int64(const char *str, size_t len,
										int64_t *result);
extern WeirParse weir_value_parse_float8(const char *str, size_t len,
										 double *result);
extern WeirParse weir_value_parse_float4(const char *str, size_t len,
										 float *result);
extern WeirParse weir_value_parse_bool(const char *str, size_t len,
									   bool *result);
extern WeirParse weir_value_parse_decimal(const char *str, size_t len,
										  WeirDecimal *result);
extern WeirParse weir_value_parse_timestamp(const char *str, size_t len,
											int64_t *result, bool *has_zone);
extern WeirParse weir_value_parse_epoch(const char *str, size_t len,
										WeirUnit unit, int64_t *result);
extern WeirParse weir_value_parse_uuid(const char *str, size_t len,
									   uint8_t *result);
extern size_t weir_value_utf8_prefix(const char *str, size_t len);

/*
 * Return the length of the character beyond ASCII that begins at p, or 0 when
 * it is not one PostgreSQL takes in UTF8: overlong, a surrogate, above
 * U+10FFFF or cut short by end.
 */
static inline int
weir_value_utf8_length(const char *p, const char *end)
{
	const unsigned char *s = (const unsigned char *) p;
	size_t		room = (size_t) (end - p);
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	int			length;

	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (room < (size_t) length)
		return 0;
	if (s[0] == 0xE0)
		low = 0xA0;
	else if (s[0] == 0xED)
		high = 0x9F;
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F;
	if (s[1] < low || s[1] > high)
		return 0;
	for (int i = 2; i < length; i++)
	{
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	}
	return length;
}

#endif							/* WEIR_VALUE_H */
