/*-------------------------------------------------------------------------
 *
 * fuzz_value.c
 *	  The parsers of single values on any bytes.
 *
 * Every parser gives one of the four answers; what is taken as an integer is
 * taken as a decimal of the same value, and timestamps stay in their years.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "source/value.h"

#define OK WEIR_PARSE_OK
#define USECS_PER_DAY INT64_C(86400000000)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
check_numbers(const char *str, size_t size)
{
	int16_t		i2 = 0;
	int32_t		i4 = 0;
	int64_t		i8 = 0;
	float		f4;
	double		f8;
	WeirDecimal decimal;
	bool		is_i2 = weir_value_parse_int16(str, size, &i2) == OK;
	bool		is_i4 = weir_value_parse_int32(str, size, &i4) == OK;
	bool		is_i8 = weir_value_parse_int64(str, size, &i8) == OK;

	must(!is_i2 || (is_i4 && i4 == i2));
	must(!is_i4 || (is_i8 && i8 == i4));
	if (weir_value_parse_decimal(str, size, &decimal) == WEIR_PARSE_OK)
	{
		must(decimal.scale >= 0 && decimal.scale <= 18);
		must(decimal.scale > 0 || (is_i8 && i8 == decimal.mantissa));
	}
	else
		must(!is_i4);
	must(weir_value_parse_float4(str, size, &f4) <= WEIR_PARSE_FALLBACK);
	if (weir_value_parse_float8(str, size, &f8) == WEIR_PARSE_OK && is_i4)
		must(f8 == (double) i4);
}

static void
check_times(const char *str, size_t size)
{
	const int64_t least = -730120 * USECS_PER_DAY;
	const int64_t most = 2921941 * USECS_PER_DAY;
	int64_t		micros;
	bool		has_zone;

	if (weir_value_parse_timestamp(str, size, &micros,
								   &has_zone) == WEIR_PARSE_OK)
		must(micros >= least && micros <= most);
	for (int unit = WEIR_UNIT_S; unit <= WEIR_UNIT_US; unit++)
	{
		if (weir_value_parse_epoch(str, size, (WeirUnit) unit,
								   &micros) == WEIR_PARSE_OK)
			must(micros >= least && micros <= most);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *str = (const char *) data;
	bool		truth;
	uint8_t		uuid[16];

	check_numbers(str, size);
	check_times(str, size);
	must(weir_value_parse_bool(str, size, &truth) != WEIR_PARSE_FALLBACK);
	must(weir_value_parse_uuid(str, size, uuid) != WEIR_PARSE_BAD_SYNTAX);
	must(weir_value_utf8_prefix(str, size) <= size);
	return 0;
}
