/*-------------------------------------------------------------------------
 *
 * generator_test.c
 *	  The generator is a pure function of (options, partition, n).
 *
 *	generator_test [SEED]
 *
 * Options and times are random; the seed is printed.
 *
 *-------------------------------------------------------------------------
 */
#include "source/generator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source/json.h"
#include "source/value.h"
#include "tap.h"

#define ROUNDS		300
#define SEC			INT64_C(1000000)

static uint64_t state;

static uint64_t
random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int64_t
random_below(int64_t bound)
{
	return (int64_t) (random_bits() >> 2) % bound;
}

static void
random_options(WeirGeneratorOptions *options)
{
	static const double rates[] = {0.001, 0.3, 1, 7, 1000, 33333.3, 2e6, 1e9};

	weir_generator_defaults(options);
	options->partitions = 1 + (int) random_below(12);
	options->rate = rates[random_below(8)];
	options->limit = random_below(3) == 0 ? random_below(100000) : -1;
	options->seed = random_bits();
	options->start = random_below(800000000 * SEC);
	for (int i = 0; i < options->partitions; i++)
		options->skew[i] = random_below(4) == 0 ? 0 : (double) random_below(1000);
	options->skew[random_below(options->partitions)] = 3.5;
	if (!weir_generator_prepare(options))
		abort();
}

/* N(t) of the specification, written down anew with more digits. */
static int64_t
expected_count(const WeirGeneratorOptions *options, int64_t now)
{
	long double count = floorl((long double) (now - options->start) *
							   (long double) options->rate / 1e6L);

	if (options->limit >= 0 && count > options->limit)
		return options->limit;
	return count < 0 ? 0 : (int64_t) count;
}

static void
test_ends(void)
{
	int			wrong_sum = 0;
	int			decreased = 0;
	int			not_empty = 0;
	int			before = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		static WeirGeneratorOptions options;
		int64_t		last[16] = {0};
		int64_t		now;

		random_options(&options);
		now = options.start - 5;
		for (int step = 0; step < 40; step++)
		{
			int64_t		sum = 0;
			int64_t		off;

			for (int p = 0; p < options.partitions; p++)
			{
				int64_t		end = weir_generator_end(&options, p, now);

				sum += end;
				decreased += end < last[p];
				not_empty += options.skew[p] == 0 && end != 0;
				last[p] = end;
			}
			/* the product may round up to the next whole number */
			off = sum - expected_count(&options, now);
			wrong_sum += off < -sum / (INT64_C(1) << 50) - 1 ||
				off > sum / (INT64_C(1) << 50) + 1;
			wrong_sum += options.rate == 1 && off != 0;
			before += now <= options.start && sum != 0;
			now += random_below(INT64_C(1) << random_below(38));
		}
	}
	ok(wrong_sum == 0, "ends sum to least(limit, floor(elapsed * rate))");
	ok(decreased == 0, "ends never decrease");
	ok(not_empty == 0, "a partition of weight 0 is empty");
	ok(before == 0, "nothing is there before the start");
}

static void
test_timestamps(void)
{
	int			early = 0;
	int			late = 0;
	int			backwards = 0;
	int			next_differs = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		static WeirGeneratorOptions options;
		int			p;
		WeirGeneratorCursor cursor;
		int64_t		last = 0;

		random_options(&options);
		options.limit = -1;
		p = (int) random_below(options.partitions);
		weir_generator_seek(&options, &cursor, p,
							random_below(options.rate > 1 ? 3000000 : 1000));
		for (int step = 0; step < 50; step++)
		{
			int64_t		at = weir_generator_timestamp(&options, &cursor);
			WeirGeneratorCursor again;

			if (at == WEIR_GENERATOR_NEVER)
				break;
			early += weir_generator_end(&options, p, at - 1) > cursor.n;
			late += weir_generator_end(&options, p, at) <= cursor.n;
			backwards += at < last;
			weir_generator_seek(&options, &again, p, cursor.n);
			next_differs += again.ordinal != cursor.ordinal;
			last = at;
			weir_generator_next(&options, &cursor);
		}
	}
	ok(early == 0 && late == 0,
	   "a message is readable from its record timestamp on, not before");
	ok(backwards == 0, "record timestamps never decrease in a partition");
	ok(next_differs == 0, "a step and a search find the same message");
}

static size_t
message(const WeirGeneratorOptions *options, int32_t partition, int64_t n,
		char *buf)
{
	WeirGeneratorCursor cursor;

	weir_generator_seek(options, &cursor, partition, n);
	return weir_generator_message(options, &cursor,
								  weir_generator_timestamp(options, &cursor),
								  buf);
}

static void
test_purity(void)
{
	static WeirGeneratorOptions options;
	static char first[2000][WEIR_GENERATOR_MAX_MESSAGE];
	static size_t lengths[2000];
	char		again[WEIR_GENERATOR_MAX_MESSAGE];
	int			differs = 0;
	int			same_as_neighbour = 0;
	size_t		longest = 0;

	weir_generator_defaults(&options);
	options.poison_fraction = 0.3;
	options.late_fraction = 0.2;
	options.late_by = 90 * SEC;
	options.disorder = 30 * SEC;
	options.users = 1000000000;
	weir_generator_prepare(&options);
	for (int n = 0; n < 2000; n++)
	{
		lengths[n] = message(&options, n % 4, n / 4, first[n]);
		if (lengths[n] > longest)
			longest = lengths[n];
		same_as_neighbour += n > 0 && lengths[n] == lengths[n - 1] &&
			memcmp(first[n], first[n - 1], lengths[n]) == 0 &&
			weir_generator_intent(&options, n % 4, n / 4) != WEIR_GENERATOR_POISON;
	}
	for (int i = 0; i < 10000; i++)
	{
		int			n = (int) random_below(2000);
		size_t		length = message(&options, n % 4, n / 4, again);

		differs += length != lengths[n] || memcmp(again, first[n], length) != 0;
	}
	ok(differs == 0, "the same bytes again, in any order");
	ok(same_as_neighbour == 0, "messages differ from each other");
	ok(longest + 128 < WEIR_GENERATOR_MAX_MESSAGE,
	   "the longest message seen (%zu) leaves room for long type names", longest);
}

/* The keys of an object of scalars, in their order, joined by blanks. */
static void
collect_keys(const char *text, size_t len, char *keys)
{
	bool		expect_key = true;

	*keys = '\0';
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '"')
		{
			size_t		end = i + 1;

			while (text[end] != '"')
				end++;
			if (expect_key)
			{
				strncat(keys, text +i + 1, end - i - 1);
				strcat(keys, " ");
			}
			expect_key = false;
			i = end;
		}
		else if (text[i] == ',')
			expect_key = true;
	}
}

static void
test_fields(void)
{
	static WeirGeneratorOptions options;
	char		buf[WEIR_GENERATOR_MAX_MESSAGE];
	char		keys[WEIR_GENERATOR_MAX_MESSAGE];
	int			purchases = 0;
	int			logins = 0;
	int			wrong = 0;

	weir_generator_defaults(&options);
	weir_generator_prepare(&options);
	for (int n = 0; n < 20000; n++)
	{
		size_t		len = message(&options, 2, n, buf);

		buf[len] = '\0';
		collect_keys(buf, len, keys);
		if (strstr(buf, "\"event_type\": \"purchase\""))
		{
			purchases++;
			wrong += strcmp(keys, "event_id event_type user_id session_id "
							"timestamp device location page product_id "
							"quantity total_amount ") != 0;
		}
		else if (strstr(buf, "\"event_type\": \"login\""))
		{
			logins++;
			wrong += strcmp(keys, "event_id event_type user_id session_id "
							"timestamp device location page ") != 0;
		}
	}
	ok(wrong == 0, "fields come in a fixed order");
	ok(abs(purchases - 3000) < 250 && abs(logins - 3000) < 250,
	   "event types come by their weights (%d purchases, %d logins of 20000)",
	   purchases, logins);
}

static void
test_event_times(void)
{
	static WeirGeneratorOptions options;
	const char *path = "timestamp";
	WeirJsonField field = {&path, 1};
	WeirJsonShape *shape = malloc(weir_json_shape_size(&field, 1));
	int64_t		greatest = INT64_MIN;
	int			wrong[5] = {0};
	int			count[3] = {0};

	weir_generator_defaults(&options);
	options.poison_fraction = 0.05;
	options.late_fraction = 0.1;
	options.disorder = 20 * SEC;
	options.late_by = 3600 * SEC;
	options.start = 757382400 * SEC;
	weir_generator_prepare(&options);
	weir_json_shape_init(shape, &field, 1);

	for (int64_t n = 0; n < 50000; n++)
	{
		WeirGeneratorCursor cursor;
		WeirGeneratorIntent intent = weir_generator_intent(&options, 1, n);
		WeirJsonValue value;
		WeirJsonError error;
		char		buf[WEIR_GENERATOR_MAX_MESSAGE];
		int64_t		at;
		int64_t		time;
		bool		zone;
		size_t		len;
		bool		good;

		weir_generator_seek(&options, &cursor, 1, n);
		at = weir_generator_timestamp(&options, &cursor);
		len = weir_generator_message(&options, &cursor, at, buf);
		good = weir_json_scan(shape, buf, len, &value, &error) &&
			value.kind == WEIR_JSON_STRING &&
			weir_value_parse_timestamp(value.start, value.len, &time,
									   &zone) == WEIR_PARSE_OK &&
			time < 6342969600 * SEC;
		count[intent]++;
		wrong[0] += good != (intent != WEIR_GENERATOR_POISON);
		if (!good)
			continue;
		wrong[1] += time > at;
		if (intent == WEIR_GENERATOR_LATE)
		{
			wrong[2] += time > at - options.late_by;
			continue;
		}
		wrong[3] += time < at - options.disorder - 1000;
		wrong[4] += greatest != INT64_MIN && time < greatest - options.disorder;
		if (time > greatest)
			greatest = time;
	}
	free(shape);
	ok(wrong[0] == 0, "exactly the messages meant as poison cannot be read");
	ok(wrong[1] == 0, "event time never outruns the record timestamp");
	ok(wrong[2] == 0, "late records lie back as far as asked");
	ok(wrong[3] == 0 && wrong[4] == 0, "all others stay within the disorder");
	ok(abs(count[WEIR_GENERATOR_POISON] - 2500) < 250 &&
	   abs(count[WEIR_GENERATOR_LATE] - 5000) < 350,
	   "fractions are about right (%d poison, %d late of 50000)",
	   count[WEIR_GENERATOR_POISON], count[WEIR_GENERATOR_LATE]);
}

static void
test_skew(void)
{
	static WeirGeneratorOptions options;
	int64_t		now;
	int			far = 0;

	weir_generator_defaults(&options);
	options.skew[0] = 10;
	options.skew[3] = 0;
	options.rate = 1000;
	weir_generator_prepare(&options);
	for (now = SEC; now < 2000 * SEC; now += 7 * SEC)
		for (int p = 0; p < 4; p++)
		{
			double		share = options.skew[p] / 12 * (double) now / 1000;

			far += fabs((double) weir_generator_end(&options, p, now) - share) >
				8 + share / 1e5;
		}
	ok(far == 0, "every partition has its share at any time");
	options.skew[1] = NAN;
	ok(!weir_generator_prepare(&options), "a weight that is no number is refused");
}

int
main(int argc, char **argv)
{
	state = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t) time(NULL);
	printf("# seed %llu\n", (unsigned long long) state);
	state = state * UINT64_C(0x9E3779B97F4A7C15) + 1;
	test_ends();
	test_timestamps();
	test_purity();
	test_fields();
	test_event_times();
	test_skew();
	return done_testing();
}
