/*-------------------------------------------------------------------------
 *
 * json_bench.c
 *	  How long the scan of one event takes: the median of several rounds.
 *
 * Run it pinned to one core (taskset -c 1) of a quiet machine.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source/json.h"
#include "source/value.h"

#define NEVENTS 4096
#define NFIELDS 8
#define NROUNDS 41

static const char *const names[NFIELDS] = {
	"event_id", "event_type", "user_id", "timestamp",
	"device", "location", "page", "total_amount"
};

static char events[NEVENTS][512];
static size_t lengths[NEVENTS];

static void
make_events(void)
{
	static const char *const types[] = {"page_view", "add_to_cart", "click",
	"purchase", "search"};

	srand(1);
	for (int i = 0; i < NEVENTS; i++)
		lengths[i] = (size_t)
			snprintf(events[i], sizeof(events[i]),
					 "{\"event_id\":\"%08x-%04x-4%03x-a%03x-%012x\","
					 "\"event_type\":\"%s\",\"user_id\":\"user_%04d\","
					 "\"timestamp\":\"2024-05-%02dT12:%02d:%02d.%03dZ\","
					 "\"device\":\"%s\",\"location\":\"Berlin\","
					 "\"page\":\"/product/%d\",\"total_amount\":%d.%02d}",
					 rand(), rand() & 0xFFFF, rand() & 0xFFF, rand() & 0xFFF,
					 rand(), types[rand() % 5], rand() % 10000,
					 1 + rand() % 28, rand() % 60, rand() % 60, rand() % 1000,
					 rand() % 2 ? "mobile" : "desktop", rand() % 5000,
					 rand() % 1000, rand() % 100);
}

static double
cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return 1e9 * (double) now.tv_sec + (double) now.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Scan all events with the first n fields wanted; nanoseconds per event. */
static double
round_of(const WeirJsonShape *shape, bool convert)
{
	double		start = cpu_ns();
	WeirJsonValue values[NFIELDS];
	WeirJsonError error;

	for (int i = 0; i < NEVENTS; i++)
	{
		int64_t		ts;
		bool		has_zone;
		WeirDecimal amount;

		if (!weir_json_scan(shape, events[i], lengths[i], values, &error))
			abort();
		if (!convert)
			continue;
		if (weir_value_parse_timestamp(values[3].start, values[3].len, &ts,
									   &has_zone) != WEIR_PARSE_OK ||
			weir_value_parse_decimal(values[7].start, values[7].len,
									 &amount) != WEIR_PARSE_OK)
			abort();
	}
	return (cpu_ns() - start) / NEVENTS;
}

static void
report(const char *what, int nfields, bool convert)
{
	const char *const *paths[NFIELDS];
	WeirJsonField fields[NFIELDS];
	WeirJsonShape *shape;
	double		rounds[NROUNDS];

	for (int f = 0; f < nfields; f++)
	{
		paths[f] = &names[f];
		fields[f].path = paths[f];
		fields[f].npath = 1;
	}
	shape = weir_json_shape_init(malloc(weir_json_shape_size(fields, nfields)),
								 fields, nfields);
	for (int i = 0; i < NROUNDS; i++)
		rounds[i] = round_of(shape, convert);
	qsort(rounds, NROUNDS, sizeof(double), compare);
	printf("%-36s min %6.1f  median %6.1f ns/event\n", what, rounds[0],
		   rounds[NROUNDS / 2]);
	free(shape);
}

int
main(void)
{
	size_t		total = 0;

	make_events();
	for (int i = 0; i < NEVENTS; i++)
		total += lengths[i];
	printf("events of %.0f bytes\n", (double) total / NEVENTS);
	report("check only", 0, false);
	report("check, 4 of 8 fields", 4, false);
	report("check, 8 of 8 fields", 8, false);
	report("and timestamp and decimal", 8, true);
	return 0;
}
