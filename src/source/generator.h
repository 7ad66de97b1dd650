/*-------------------------------------------------------------------------
 *
 * generator.h
 *	  Synthetic streams: a pure function from (options, partition, n) to
 *	  bytes.  Builds without a server.
 *
 * The messages of a stream are numbered through in the order in which they
 * become readable; that number is a message's ordinal.  A cursor steps
 * through one partition without searching for ordinals.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_GENERATOR_H
#define WEIR_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_GENERATOR_MAX_PARTITIONS	1024
#define WEIR_GENERATOR_MAX_TYPES		64
#define WEIR_GENERATOR_MAX_MESSAGE		1024	/* bytes a message may take */
#define WEIR_GENERATOR_NEVER			INT64_MAX

typedef struct WeirGeneratorOptions
{
	int			partitions;
	double		rate;			/* messages a second, of the whole stream */
	int64_t		limit;			/* messages of the whole stream, or -1 */
	uint64_t	seed;
	int64_t		start;			/* microseconds since 2000-01-01 UTC */
	int64_t		disorder;		/* microseconds an event time may lie before
								 * its record timestamp */
	double		late_fraction;
	int64_t		late_by;		/* how far late records lie back, at least */
	double		poison_fraction;
	double		skew[WEIR_GENERATOR_MAX_PARTITIONS];	/* weights */
	int			users;
	int			ntypes;
	char		type_names[WEIR_GENERATOR_MAX_TYPES][64];
	double		type_weights[WEIR_GENERATOR_MAX_TYPES];
	bool		zone;			/* timestamps end in Z */

	/* filled in by weir_generator_prepare() */
	uint32_t	bounds[WEIR_GENERATOR_MAX_PARTITIONS + 1];
	double		type_bounds[WEIR_GENERATOR_MAX_TYPES];
} WeirGeneratorOptions;

typedef struct WeirGeneratorCursor
{
	int32_t		partition;
	int64_t		n;				/* of the next message */
	int64_t		ordinal;		/* of that message, or NEVER */
} WeirGeneratorCursor;

/* What a message is meant to be; tests count on it. */
typedef enum WeirGeneratorIntent
{
	WEIR_GENERATOR_ON_TIME,
	WEIR_GENERATOR_LATE,
	WEIR_GENERATOR_POISON
} WeirGeneratorIntent;

/* Options of a stream that has none; call prepare after changing them. */
extern void weir_generator_defaults(WeirGeneratorOptions *options);

/*
 * Derive what the functions below need.  False if the weights of the
 * partitions or of the event types do not sum to a finite positive number.
 */
extern bool weir_generator_prepare(WeirGeneratorOptions *options);

/* Messages of partition p that exist at time now.  Never decreases. */
extern int64_t weir_generator_end(const WeirGeneratorOptions *options,
								  int32_t partition, int64_t now);

/* Put a cursor on message n of a partition. */
extern void weir_generator_seek(const WeirGeneratorOptions *options,
								WeirGeneratorCursor *cursor,
								int32_t partition, int64_t n);

/* Step to the next message of the partition. */
extern void weir_generator_next(const WeirGeneratorOptions *options,
								WeirGeneratorCursor *cursor);

/*
 * The instant at which the cursor's message becomes readable, which is its
 * record timestamp; NEVER if that lies beyond the limit or a century off.
 */
extern int64_t weir_generator_timestamp(const WeirGeneratorOptions *options,
										const WeirGeneratorCursor *cursor);

/*
 * Write the value of the cursor's message into buf, which has room for
 * WEIR_GENERATOR_MAX_MESSAGE bytes; returns its length.  timestamp is what
 * weir_generator_timestamp() gives.
 */
extern size_t weir_generator_message(const WeirGeneratorOptions *options,
									 const WeirGeneratorCursor *cursor,
									 int64_t timestamp, char *buf);

/* What message n of a partition is meant to be. */
extern WeirGeneratorIntent weir_generator_intent(const WeirGeneratorOptions *options,
												 int32_t partition, int64_t n);

#endif							/* WEIR_GENERATOR_H */
