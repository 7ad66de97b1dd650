/*-------------------------------------------------------------------------
 *
 * generator.c
 *	  Synthetic streams: a pure function from (options, partition, n) to
 *	  bytes.
 *
 * Time.  At time t the stream has
 *		N(t) = least(limit, floor((t - start) * rate))
 * messages; message number k (its ordinal) becomes readable at the first
 * microsecond with N(t) > k, which is its record timestamp.
 *
 * Partitions.  Ordinals are dealt out in rounds of SLOTS.  Slot i of a round
 * stands at the point (i * STEP) mod SLOTS of a circle, and belongs to the
 * partition whose arc [bounds[p], bounds[p + 1]) holds that point.  STEP is
 * odd, so that a round visits each point once, and close to SLOTS divided by
 * the golden ratio, so that every stretch of slots is spread evenly.  The
 * slots below i that belong to p are counted in O(log SLOTS) by a sum of
 * floors.  Hence the ends of the partitions sum to N(t) exactly, never
 * decrease, and a partition of weight 0 has no slot.  A weight below a
 * millionth of the sum may have none either.
 *
 * Randomness.  Every draw is splitmix64 of (seed, partition, n, what is
 * drawn), so that no message depends on another.
 *
 * Event time is the record timestamp, cut to a millisecond, less a uniform
 * draw of whole milliseconds up to disorder.  So it never outruns the record
 * timestamp, and inside one partition never lies more than disorder below
 * the greatest event time before it, unless it is meant to be late.
 *
 *-------------------------------------------------------------------------
 */
#include "source/generator.h"

#include <math.h>
#include <string.h>

#define SLOTS		1048576u	/* 2^20 */
#define STEP		648055u		/* odd, SLOTS / 1.6180 */

#define GOLDEN		UINT64_C(0x9E3779B97F4A7C15)
#define MSEC		INT64_C(1000)
#define SEC			INT64_C(1000000)
#define MINUTE		(60 * SEC)
#define DAY			(86400 * SEC)

/* Beyond 142 years a double does not count microseconds any more. */
#define MAX_ELAPSED (INT64_C(1) << 52)
#define MAX_COUNT	4e18

/* What is drawn. */
typedef enum Draw
{
	DRAW_INTENT,
	DRAW_POISON,
	DRAW_DELAY,
	DRAW_LATE,
	DRAW_UUID_HIGH,
	DRAW_UUID_LOW,
	DRAW_TYPE,
	DRAW_USER,
	DRAW_DEVICE,
	DRAW_LOCATION,
	DRAW_PAGE,
	DRAW_PRODUCT,
	DRAW_QUANTITY,
	DRAW_AMOUNT
} Draw;

/* A message that is being written. */
typedef struct Writer
{
	const WeirGeneratorOptions *options;
	uint64_t	state;			/* of the message's draws */
	char	   *to;
} Writer;

static const char *const locations[] = {
	"US", "UK", "DE", "FR", "JP", "BR", "IN", "CA", "AU", "ES"
};

static const char *const pages[] = {
	"/", "/search", "/products", "/offers", "/cart", "/checkout", "/account"
};

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

/* splitmix64's finaliser */
static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static uint64_t
message_state(const WeirGeneratorOptions *options, int32_t partition,
			  int64_t n)
{
	uint64_t	z = mix(options->seed + GOLDEN);

	z = mix(z + GOLDEN * ((uint64_t) partition + 1));
	return mix(z + GOLDEN * ((uint64_t) n + 1));
}

static uint64_t
draw(uint64_t state, Draw what)
{
	return mix(state + GOLDEN * ((uint64_t) what + 1));
}

/* A uniform draw from [0, 1). */
static double
draw_unit(uint64_t state, Draw what)
{
	return (double) (draw(state, what) >> 11) / 9007199254740992.0;
}

/* A uniform draw from 0 .. bound - 1, for bounds far below 2^53. */
static int64_t
draw_below(uint64_t state, Draw what, int64_t bound)
{
	return (int64_t) (draw_unit(state, what) * (double) bound);
}

void
weir_generator_defaults(WeirGeneratorOptions *options)
{
	static const struct
	{
		const char *name;
		double		weight;
	}			types[] = {
		{"page_view", 0.5}, {"cart_add", 0.2}, {"login", 0.15},
		{"purchase", 0.15}
	};

	memset(options, 0, sizeof(*options));
	options->partitions = 4;
	options->rate = 100;
	options->limit = -1;
	options->users = 1000;
	options->zone = true;
	for (int i = 0; i < WEIR_GENERATOR_MAX_PARTITIONS; i++)
		options->skew[i] = 1;
	options->ntypes = LENGTH(types);
	for (size_t i = 0; i < LENGTH(types); i++)
	{
		strcpy(options->type_names[i], types[i].name);
		options->type_weights[i] = types[i].weight;
	}
}

/* The sum of n weights, or 0 if they are no weights. */
static double
sum_weights(const double *weights, int n)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		if (!(weights[i] >= 0))
			return 0;
		sum += weights[i];
	}
	return isfinite(sum) ? sum : 0;
}

bool
weir_generator_prepare(WeirGeneratorOptions *options)
{
	double		skew = sum_weights(options->skew, options->partitions);
	double		types = sum_weights(options->type_weights, options->ntypes);
	double		sum = 0;

	if (skew <= 0 || types <= 0)
		return false;
	options->bounds[0] = 0;
	for (int i = 0; i < options->partitions; i++)
	{
		sum += options->skew[i];
		options->bounds[i + 1] = (uint32_t) (sum / skew * SLOTS + 0.5);
	}
	sum = 0;
	for (int i = 0; i < options->ntypes; i++)
	{
		sum += options->type_weights[i];
		options->type_bounds[i] = sum / types;
	}
	return true;
}

/* The sum of floor((a * i + b) / m) for i = 0 .. n - 1. */
static uint64_t
floor_sum(uint64_t n, uint64_t m, uint64_t a, uint64_t b)
{
	uint64_t	sum = 0;

	while (n > 0)
	{
		uint64_t	top;

		sum += (n - 1) * n / 2 * (a / m) + n * (b / m);
		a %= m;
		b %= m;
		top = a * n + b;
		if (top < m)
			break;
		n = top / m;
		b = top % m;
		top = m;
		m = a;
		a = top;
	}
	return sum;
}

/* How many of the first n slots of a round stand below a point. */
static uint64_t
slots_below(uint32_t n, uint32_t point)
{
	/* floor(x / m) - floor((x - point) / m) is 1 just where x mod m < point */
	return floor_sum(n, SLOTS, STEP, 0) + n -
		floor_sum(n, SLOTS, STEP, SLOTS - point);
}

/* How many of the first n slots of a round belong to a partition. */
static int64_t
slots_of(const WeirGeneratorOptions *options, int32_t partition, uint32_t n)
{
	return (int64_t) (slots_below(n, options->bounds[partition + 1]) -
					  slots_below(n, options->bounds[partition]));
}

static bool
slot_belongs(const WeirGeneratorOptions *options, int32_t partition,
			 int64_t ordinal)
{
	uint32_t	point = (uint32_t) ordinal * STEP % SLOTS;

	return point >= options->bounds[partition] &&
		point < options->bounds[partition + 1];
}

/* Slots of a whole round that belong to a partition. */
static int64_t
share(const WeirGeneratorOptions *options, int32_t partition)
{
	return options->bounds[partition + 1] - options->bounds[partition];
}

/* N at a time after start, without the limit. */
static int64_t
count_at(const WeirGeneratorOptions *options, int64_t elapsed)
{
	double		count;

	if (elapsed <= 0)
		return 0;
	if (elapsed > MAX_ELAPSED)
		elapsed = MAX_ELAPSED;
	count = (double) elapsed * options->rate / (double) SEC;
	return count >= MAX_COUNT ? (int64_t) MAX_COUNT : (int64_t) count;
}

int64_t
weir_generator_end(const WeirGeneratorOptions *options, int32_t partition,
				   int64_t now)
{
	int64_t		count;

	if (now <= options->start)
		return 0;
	if (now > options->start + MAX_ELAPSED)
		now = options->start + MAX_ELAPSED;
	count = count_at(options, now - options->start);
	if (options->limit >= 0 && count > options->limit)
		count = options->limit;
	return count / SLOTS * share(options, partition) +
		slots_of(options, partition, (uint32_t) (count % SLOTS));
}

/* The slot of a round that is a partition's nth, counted from 0. */
static int64_t
find_slot(const WeirGeneratorOptions *options, int32_t partition, int64_t n)
{
	uint32_t	low = 0;
	uint32_t	high = SLOTS - 1;

	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (slots_of(options, partition, middle + 1) > n)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void
weir_generator_seek(const WeirGeneratorOptions *options,
					WeirGeneratorCursor *cursor, int32_t partition, int64_t n)
{
	int64_t		slots = share(options, partition);

	cursor->partition = partition;
	cursor->n = n;
	if (slots == 0 || n / slots > INT64_MAX / (2 * (int64_t) SLOTS))
		cursor->ordinal = WEIR_GENERATOR_NEVER;
	else
		cursor->ordinal = n / slots * SLOTS +
			find_slot(options, partition, n % slots);
}

void
weir_generator_next(const WeirGeneratorOptions *options,
					WeirGeneratorCursor *cursor)
{
	cursor->n++;
	if (cursor->ordinal == WEIR_GENERATOR_NEVER)
		return;
	do
		cursor->ordinal++;
	while (!slot_belongs(options, cursor->partition, cursor->ordinal));
}

int64_t
weir_generator_timestamp(const WeirGeneratorOptions *options,
						 const WeirGeneratorCursor *cursor)
{
	int64_t		ordinal = cursor->ordinal;
	double		guess;
	int64_t		elapsed;

	if (ordinal == WEIR_GENERATOR_NEVER ||
		(options->limit >= 0 && ordinal >= options->limit))
		return WEIR_GENERATOR_NEVER;
	guess = ((double) ordinal + 1) * (double) SEC / options->rate;
	if (guess >= (double) (MAX_ELAPSED - 2))
		return WEIR_GENERATOR_NEVER;

	/* The quotient may be off by a rounding error or two. */
	elapsed = (int64_t) guess;
	while (elapsed > 0 && count_at(options, elapsed - 1) > ordinal)
		elapsed--;
	while (count_at(options, elapsed) <= ordinal)
		elapsed++;
	return options->start + elapsed;
}

static void
put_bytes(Writer *writer, const char *bytes, size_t len)
{
	memcpy(writer->to, bytes, len);
	writer->to += len;
}

static void
put(Writer *writer, const char *text)
{
	put_bytes(writer, text, strlen(text));
}

/* A number with at least so many digits. */
static void
put_number(Writer *writer, uint64_t number, int digits)
{
	char		buffer[20];
	int			at = sizeof(buffer);

	do
	{
		buffer[--at] = (char) ('0' + number % 10);
		number /= 10;
		digits--;
	} while (number > 0 || digits > 0);
	put_bytes(writer, buffer + at, sizeof(buffer) - at);
}

static void
put_hex(Writer *writer, uint64_t number, int digits)
{
	for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
		*writer->to++ = "0123456789abcdef"[(number >> shift) & 15];
}

/* Version 4, variant 1. */
static void
put_uuid(Writer *writer)
{
	uint64_t	high = draw(writer->state, DRAW_UUID_HIGH);
	uint64_t	low = draw(writer->state, DRAW_UUID_LOW);

	put_hex(writer, high >> 32, 8);
	put(writer, "-");
	put_hex(writer, high >> 16, 4);
	put(writer, "-4");
	put_hex(writer, high, 3);
	put(writer, "-");
	put_hex(writer, (low >> 48 & 0x3fff) | 0x8000, 4);
	put(writer, "-");
	put_hex(writer, low, 12);
}

/* ISO 8601 with milliseconds. */
static void
put_timestamp(Writer *writer, int64_t time)
{
	int64_t		days = time / DAY;
	int64_t		rest = time % DAY;
	int64_t		era_day;
	int64_t		year;
	int64_t		month;

	if (rest < 0)
	{
		rest += DAY;
		days--;
	}

	/*
	 * Years that begin in March, counted from 0000-03-01, which is 730425
	 * days before 2000-01-01; era_day is the day in 400 years.
	 */
	days += 730425;
	era_day = days % 146097;
	year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
	era_day -= 365 * year + year / 4 - year / 100;
	year += days / 146097 * 400;
	month = (5 * era_day + 2) / 153;
	era_day -= (153 * month + 2) / 5;

	put_number(writer, (uint64_t) (year + (month >= 10)), 4);
	put(writer, "-");
	put_number(writer, (uint64_t) (month < 10 ? month + 3 : month - 9), 2);
	put(writer, "-");
	put_number(writer, (uint64_t) era_day + 1, 2);
	put(writer, "T");
	put_number(writer, (uint64_t) (rest / (3600 * SEC)), 2);
	put(writer, ":");
	put_number(writer, (uint64_t) (rest / MINUTE % 60), 2);
	put(writer, ":");
	put_number(writer, (uint64_t) (rest / SEC % 60), 2);
	put(writer, ".");
	put_number(writer, (uint64_t) (rest / MSEC % 1000), 3);
	if (writer->options->zone)
		put(writer, "Z");
}

static int64_t
event_time(const WeirGeneratorOptions *options, uint64_t state,
		   WeirGeneratorIntent intent, int64_t timestamp)
{
	int64_t		time = timestamp - ((timestamp % MSEC) + MSEC) % MSEC;

	time -= MSEC * draw_below(state, DRAW_DELAY, options->disorder / MSEC + 1);
	if (intent == WEIR_GENERATOR_LATE)
		time = timestamp - options->late_by -
			draw_below(state, DRAW_LATE, options->late_by / 4 + MSEC);
	return time;
}

static WeirGeneratorIntent
draw_intent(const WeirGeneratorOptions *options, uint64_t state)
{
	double		unit = draw_unit(state, DRAW_INTENT);

	if (unit < options->poison_fraction)
		return WEIR_GENERATOR_POISON;
	if (unit < options->poison_fraction + options->late_fraction)
		return WEIR_GENERATOR_LATE;
	return WEIR_GENERATOR_ON_TIME;
}

WeirGeneratorIntent
weir_generator_intent(const WeirGeneratorOptions *options, int32_t partition,
					  int64_t n)
{
	return draw_intent(options, message_state(options, partition, n));
}

static const char *
draw_type(const WeirGeneratorOptions *options, uint64_t state)
{
	double		unit = draw_unit(state, DRAW_TYPE);
	int			i = 0;

	/* the last bound may be a rounding error below 1 */
	while (i < options->ntypes - 1 && unit >= options->type_bounds[i])
		i++;
	return options->type_names[i];
}

static const char *
draw_device(uint64_t state)
{
	double		unit = draw_unit(state, DRAW_DEVICE);

	return unit < 0.55 ? "mobile" : unit < 0.9 ? "desktop" : "tablet";
}

/* Who: event_id, event_type, user_id, session_id. */
static void
put_who(Writer *writer, const char *type, int64_t time)
{
	int64_t		user = draw_below(writer->state, DRAW_USER,
								  writer->options->users) + 1;

	put(writer, "{\"event_id\": \"");
	put_uuid(writer);
	put(writer, "\", \"event_type\": \"");
	put(writer, type);
	put(writer, "\", \"user_id\": \"user_");
	put_number(writer, (uint64_t) user, 4);
	put(writer, "\", \"session_id\": \"session_");
	put_hex(writer, mix((uint64_t) user * GOLDEN +
						(uint64_t) (time / (30 * MINUTE))), 8);
	put(writer, "\"");
}

/* Where and what: device, location, page, and what was bought. */
static void
put_what(Writer *writer, const char *type)
{
	uint64_t	state = writer->state;
	bool		purchase = strcmp(type, "purchase") == 0;
	int64_t		quantity = draw_below(state, DRAW_QUANTITY, 5) + 1;
	int64_t		cents = quantity * (draw_below(state, DRAW_AMOUNT, 19500) + 500);

	put(writer, ", \"device\": \"");
	put(writer, draw_device(state));
	put(writer, "\", \"location\": \"");
	put(writer, locations[draw_below(state, DRAW_LOCATION, LENGTH(locations))]);
	put(writer, "\", \"page\": \"");
	put(writer, pages[draw_below(state, DRAW_PAGE, LENGTH(pages))]);
	put(writer, "\"");
	if (strcmp(type, "login") != 0)
	{
		put(writer, ", \"product_id\": \"product_");
		put_number(writer, (uint64_t) draw_below(state, DRAW_PRODUCT, 500) + 1, 4);
		put(writer, "\"");
	}
	if (purchase || strcmp(type, "cart_add") == 0)
	{
		put(writer, ", \"quantity\": ");
		put_number(writer, (uint64_t) quantity, 1);
	}
	if (purchase)
	{
		put(writer, ", \"total_amount\": ");
		put_number(writer, (uint64_t) (cents / 100), 1);
		put(writer, ".");
		put_number(writer, (uint64_t) (cents % 100), 2);
	}
	put(writer, "}");
}

/*
 * A message that nobody can use: no JSON, a string that is none, or an event
 * time that cannot be read.
 */
static void
put_poison(Writer *writer, const char *type, int64_t time)
{
	static const char *const times[] = {
		"12345", "true", "null", "\"yesterday\"", "\"9999-12-31T00:00:00Z\"",
		"{\"at\": 1}", "\"2024-02-30T00:00:00Z\""
	};
	static const char *const strings[] = {
		"\"\\u0000\"", "\"\\ud83d\"", "\"\xff\xfe\"", "\"\xed\xa0\x80\"",
		"\"\\x41\"", "\"a\tb\"", "NaN", "01", "\"open"
	};
	int64_t		kind = draw_below(writer->state, DRAW_POISON, 19);

	if (kind == 0)
	{
		put(writer, "this is not JSON");
		return;
	}
	if (kind == 1)
	{
		put(writer, "[1, 2, 3]");
		return;
	}
	put_who(writer, type, time);
	if (kind == 2)
		return;					/* cut off */
	put(writer, ", \"timestamp\": ");
	if (kind < 10)
		put(writer, times[kind - 3]);
	else
	{
		put(writer, "\"");
		put_timestamp(writer, time);
		put(writer, "\", \"page\": ");
		put(writer, strings[kind - 10]);
	}
	put_what(writer, type);
}

size_t
weir_generator_message(const WeirGeneratorOptions *options,
					   const WeirGeneratorCursor *cursor, int64_t timestamp,
					   char *buf)
{
	Writer		writer;
	WeirGeneratorIntent intent;
	const char *type;
	int64_t		time;

	writer.options = options;
	writer.state = message_state(options, cursor->partition, cursor->n);
	writer.to = buf;
	intent = draw_intent(options, writer.state);
	type = draw_type(options, writer.state);
	time = event_time(options, writer.state, intent, timestamp);

	if (intent == WEIR_GENERATOR_POISON)
		put_poison(&writer, type, time);
	else
	{
		put_who(&writer, type, time);
		put(&writer, ", \"timestamp\": \"");
		put_timestamp(&writer, time);
		put(&writer, "\"");
		put_what(&writer, type);
	}
	return (size_t) (writer.to - buf);
}
