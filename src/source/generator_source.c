/*-------------------------------------------------------------------------
 *
 * generator_source.c
 *	  The generator as a source of messages.
 *
 * The log is a function of the clock, so every question is answered at once
 * and nothing is kept but a cursor for each assigned partition.  A poll goes
 * to the partition whose next message is the oldest, and takes from it what
 * lies within CHUNK ordinals, so that the partitions advance together.
 *
 * Should the clock be set back, a partition that was read further than its
 * end just waits.  An offset that can never be reached is an error.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "base/error.h"
#include "source/generator_source.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CHUNK			256		/* ordinals */
#define BLOCK_SIZE		65536

typedef struct Reading
{
	WeirGeneratorCursor cursor;
	TimestampTz ready_at;		/* of the cursor's message */
	int64		end;			/* as of the present poll */
	bool		end_told;		/* EOF was given for this arrival */
} Reading;

/* Where messages lie until release. */
typedef struct Block
{
	struct Block *next;
	size_t		used;
	char		data[BLOCK_SIZE];
} Block;

typedef struct GeneratorSource
{
	WeirSource	base;
	MemoryContext context;		/* holds all of this */
	WeirGeneratorOptions options;
	int			nreadings;
	Reading    *readings;
	Block	   *first;
	Block	   *current;
} GeneratorSource;

static void
raise_value(const char *name, const char *value, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errdetail("%s", detail)));
}

/* A weight at *p, which moves behind it and the blanks around it. */
static bool
read_weight(const char **p, double *weight)
{
	char	   *end;

	*weight = strtod(*p, &end);
	if (end == *p || !(*weight >= 0) || isinf(*weight))
		return false;
	while (*end == ' ')
		end++;
	*p = end;
	return true;
}

/* Weights of partitions, separated by commas; returns how many. */
static int
read_skew(const char *value, WeirGeneratorOptions *options)
{
	const char *p = value;
	int			n = 0;

	for (;;)
	{
		if (n == WEIR_GENERATOR_MAX_PARTITIONS ||
			!read_weight(&p, &options->skew[n++]) || (*p && *p != ','))
			raise_value("skew", value,
						"It must be a list of weights, such as '10,1,1,0'.");
		if (!*p++)
			return n;
	}
}

/* A name goes into the messages as it is. */
static bool
name_is_plain(const char *name)
{
	for (; *name; name++)
		if ((unsigned char) *name < ' ' || *name == '"' || *name == '\\')
			return false;
	return true;
}

/* Names and weights of event types: 'a:0.2,b:0.8'. */
static void
read_event_types(const char *value, WeirGeneratorOptions *options)
{
	const char *p = value;
	int			n = 0;

	for (;;)
	{
		size_t		len;

		while (*p == ' ')
			p++;
		len = strcspn(p, ":,");
		if (n == WEIR_GENERATOR_MAX_TYPES || len == 0 || p[len] != ':' ||
			len >= sizeof(options->type_names[0]))
			break;
		strlcpy(options->type_names[n], p, len + 1);
		p += len + 1;
		if (!name_is_plain(options->type_names[n]) ||
			!read_weight(&p, &options->type_weights[n]) || (*p && *p != ','))
			break;
		options->ntypes = ++n;
		if (!*p++)
			return;
	}
	raise_value("event_types", value,
				"It must be a list of up to 64 names with weights, such as 'purchase:0.2,login:0.8'.");
}

static void
read_numbers(List *list, WeirGeneratorOptions *options)
{
	const char *value;

	if ((value = weir_option_get(list, "rate")) != NULL)
		options->rate = strtod(value, NULL);
	if ((value = weir_option_get(list, "limit")) != NULL)
		options->limit = strtoll(value, NULL, 10);
	if ((value = weir_option_get(list, "seed")) != NULL)
		options->seed = (uint64_t) strtoll(value, NULL, 10);
	if ((value = weir_option_get(list, "users")) != NULL)
		options->users = atoi(value);
	if ((value = weir_option_get(list, "late_fraction")) != NULL)
		options->late_fraction = strtod(value, NULL);
	if ((value = weir_option_get(list, "poison_fraction")) != NULL)
	{
		options->poison_fraction = strtod(value, NULL);
		if (options->poison_fraction + options->late_fraction > 1)
			raise_value("poison_fraction", value,
						"Together with \"late_fraction\" it is more than 1.");
	}
	if ((value = weir_option_get(list, "zone")) != NULL)
		(void) parse_bool(value, &options->zone);
}

static void
read_times(List *list, WeirGeneratorOptions *options)
{
	const char *value;

	if ((value = weir_option_get(list, "disorder")) != NULL)
		options->disorder = weir_option_microseconds("disorder", value, false);
	options->late_by = 2 * options->disorder + 10 * USECS_PER_MINUTE;
	if ((value = weir_option_get(list, "late_by")) != NULL)
		options->late_by = weir_option_microseconds("late_by", value, false);
}

/* The partitions are as many as "partitions" or the list of weights says. */
static void
read_partitions(List *list, WeirGeneratorOptions *options)
{
	const char *partitions = weir_option_get(list, "partitions");
	const char *skew = weir_option_get(list, "skew");
	int			n;

	if (partitions)
		options->partitions = atoi(partitions);
	if (!skew)
		return;
	n = read_skew(skew, options);
	if (partitions && n != options->partitions)
		raise_value("skew", skew,
					psprintf("It has %d weights for %d partitions.",
							 n, options->partitions));
	options->partitions = n;
}

bool
weir_generator_read_options(List *list, WeirGeneratorOptions *options)
{
	const char *value;
	bool		relative = true;

	weir_generator_defaults(options);
	read_numbers(list, options);
	read_times(list, options);
	read_partitions(list, options);
	if ((value = weir_option_get(list, "event_types")) != NULL)
		read_event_types(value, options);
	if (!weir_generator_prepare(options))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the weights of a generator must not all be zero")));
	if ((value = weir_option_get(list, "start")) != NULL)
		options->start = weir_option_start("start", value, &relative);
	return !relative;
}

static int
generator_partitions(WeirSource *source)
{
	return ((GeneratorSource *) source)->options.partitions;
}

static void
check_reachable(GeneratorSource *generator, const WeirPosition *position)
{
	int64		last;

	if (position->partition < 0 ||
		position->partition >= generator->options.partitions)
		ereport(ERROR,
				(errcode(ERRCODE_WEIR_LOG_UNTRUSTED),
				 errmsg("there is no partition %d", position->partition)));
	last = weir_generator_end(&generator->options, position->partition,
							  PG_INT64_MAX);
	if (position->offset < 0 || position->offset > last)
		ereport(ERROR,
				(errcode(ERRCODE_WEIR_LOG_UNTRUSTED),
				 errmsg("partition %d will never have offset %lld",
						position->partition, (long long) position->offset)));
}

/* What the reading's cursor stands on. */
static void
look_at_next(GeneratorSource *generator, Reading *reading)
{
	int64		at = weir_generator_timestamp(&generator->options,
											  &reading->cursor);

	reading->ready_at = at == WEIR_GENERATOR_NEVER ? DT_NOEND : at;
}

static void
generator_assign(WeirSource *source, int n, const WeirPosition *positions)
{
	GeneratorSource *generator = (GeneratorSource *) source;

	for (int i = 0; i < n; i++)
		check_reachable(generator, &positions[i]);
	if (generator->readings)
		pfree(generator->readings);
	generator->nreadings = n;
	generator->readings = MemoryContextAllocZero(generator->context,
												 Max(n, 1) * sizeof(Reading));
	for (int i = 0; i < n; i++)
	{
		Reading    *reading = &generator->readings[i];

		weir_generator_seek(&generator->options, &reading->cursor,
							positions[i].partition, positions[i].offset);
		look_at_next(generator, reading);
	}
}

/* Room for one message, valid until release. */
static char *
message_room(GeneratorSource *generator)
{
	Block	   *block = generator->current;

	if (block->used + WEIR_GENERATOR_MAX_MESSAGE > BLOCK_SIZE)
	{
		if (!block->next)
		{
			block->next = MemoryContextAlloc(generator->context, sizeof(Block));
			block->next->next = NULL;
		}
		block = block->next;
		block->used = 0;
		generator->current = block;
	}
	return block->data + block->used;
}

static void
hand_out(GeneratorSource *generator, Reading *reading, WeirMessage *message)
{
	char	   *room = message_room(generator);

	memset(message, 0, sizeof(*message));
	message->kind = WEIR_RECORD;
	message->partition = reading->cursor.partition;
	message->offset = reading->cursor.n;
	message->timestamp = reading->ready_at;
	message->value = room;
	message->value_len = (int32) weir_generator_message(&generator->options,
														&reading->cursor,
														reading->ready_at,
														room);
	generator->current->used += message->value_len;
	weir_generator_next(&generator->options, &reading->cursor);
	look_at_next(generator, reading);
	reading->end_told = false;
}

/* The reading whose next message is the oldest and there, or NULL. */
static Reading *
oldest_reading(GeneratorSource *generator)
{
	Reading    *oldest = NULL;

	for (int i = 0; i < generator->nreadings; i++)
	{
		Reading    *reading = &generator->readings[i];

		if (reading->cursor.n < reading->end &&
			(!oldest || reading->cursor.ordinal < oldest->cursor.ordinal))
			oldest = reading;
	}
	return oldest;
}

/* An EOF for each partition that has arrived at its end. */
static int
tell_ends(GeneratorSource *generator, WeirMessage *messages, int max)
{
	int			n = 0;

	for (int i = 0; i < generator->nreadings && n < max; i++)
	{
		Reading    *reading = &generator->readings[i];

		if (reading->end_told || reading->cursor.n != reading->end)
			continue;
		memset(&messages[n], 0, sizeof(WeirMessage));
		messages[n].kind = WEIR_EOF;
		messages[n].partition = reading->cursor.partition;
		messages[n].offset = reading->end;
		messages[n].timestamp = WEIR_NO_TIMESTAMP;
		reading->end_told = true;
		n++;
	}
	return n;
}

static int
generator_poll(WeirSource *source, WeirMessage *messages, int max)
{
	GeneratorSource *generator = (GeneratorSource *) source;
	TimestampTz now = GetCurrentTimestamp();
	Reading    *reading;
	int			n = 0;

	for (int i = 0; i < generator->nreadings; i++)
		generator->readings[i].end =
			weir_generator_end(&generator->options,
							   generator->readings[i].cursor.partition, now);

	while (n < max && (reading = oldest_reading(generator)) != NULL)
	{
		int64		stop = reading->cursor.ordinal + CHUNK;

		while (n < max && reading->cursor.n < reading->end &&
			   reading->cursor.ordinal < stop)
			hand_out(generator, reading, &messages[n++]);
	}
	return n + tell_ends(generator, messages + n, max - n);
}

static void
generator_release(WeirSource *source)
{
	GeneratorSource *generator = (GeneratorSource *) source;

	generator->current = generator->first;
	generator->current->used = 0;
}

static bool
generator_ends(WeirSource *source, int32 first, int n, WeirEnds *ends)
{
	GeneratorSource *generator = (GeneratorSource *) source;
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < n; i++)
	{
		ends[i].low = 0;
		ends[i].high = weir_generator_end(&generator->options, first + i, now);
		ends[i].stable = ends[i].high;
	}
	return true;
}

/* The end just before timestamp is the number of messages before it. */
static int64
generator_offset_at(WeirSource *source, int32 partition,
					TimestampTz timestamp)
{
	GeneratorSource *generator = (GeneratorSource *) source;
	TimestampTz now = GetCurrentTimestamp();

	if (timestamp <= generator->options.start)
		return 0;
	return weir_generator_end(&generator->options, partition,
							  Min(timestamp - 1, now));
}

static char *
generator_headers(WeirSource *source, const WeirMessage *message)
{
	return NULL;
}

static void
generator_publish(WeirSource *source, const char *group, int n,
				  const WeirPosition *positions)
{
}

static pgsocket
generator_socket(WeirSource *source)
{
	return PGINVALID_SOCKET;
}

static TimestampTz
generator_ready_at(WeirSource *source)
{
	GeneratorSource *generator = (GeneratorSource *) source;
	TimestampTz ready_at = DT_NOEND;

	for (int i = 0; i < generator->nreadings; i++)
	{
		Reading    *reading = &generator->readings[i];

		/* an end that was not told yet is news, too */
		if (!reading->end_told && reading->cursor.n == reading->end)
			return DT_NOBEGIN;
		ready_at = Min(ready_at, reading->ready_at);
	}
	return ready_at;
}

static void
generator_close(WeirSource *source)
{
	MemoryContextDelete(((GeneratorSource *) source)->context);
}

static const WeirSourceMethods generator_methods = {
	generator_partitions,
	generator_assign,
	generator_poll,
	generator_release,
	generator_ends,
	generator_offset_at,
	generator_headers,
	generator_publish,
	generator_socket,
	generator_ready_at,
	generator_close
};

WeirSource *
weir_generator_open(List *table_options, const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "weir generator",
												  ALLOCSET_DEFAULT_SIZES);
	GeneratorSource *generator = MemoryContextAllocZero(context,
														sizeof(GeneratorSource));

	generator->base.methods = &generator_methods;
	generator->context = context;
	if (!weir_generator_read_options(table_options, &generator->options))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the start of stream %s is not resolved", name),
				 errdetail("It was created while pg_weir was not preloaded."),
				 errhint("Set shared_preload_libraries = 'pg_weir', restart, and create the stream again.")));
	generator->first = MemoryContextAlloc(context, sizeof(Block));
	generator->first->next = NULL;
	generator->first->used = 0;
	generator->current = generator->first;
	return &generator->base;
}
