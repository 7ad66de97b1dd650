/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  The few lines a plain C test needs to speak TAP.
 *
 * A test calls ok() for each property and ends with return done_testing().
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_TAP_H
#define WEIR_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int	tap_count = 0;
static int	tap_failed = 0;

/* Print one result; gives back whether it was good. */
__attribute__((format(printf, 2, 3)))
static inline bool
ok(bool good, const char *format,...)
{
	va_list		args;

	tap_count++;
	if (!good)
		tap_failed++;
	printf("%sok %d - ", good ? "" : "not ", tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return good;
}

/* Print the plan; the exit status is 0 when all was good. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0 ? 1 : 0;
}

#endif							/* WEIR_TAP_H */
