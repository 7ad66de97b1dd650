/*-------------------------------------------------------------------------
 *
 * generator.h
 *	  Synthetic streams: a pure function from (options, partition, n) to
 *	  bytes.  Builds without a server.
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
} WeirGeneratorOptions;

/* Messages of partition p that exist at time now.  Never decreases. */
extern int64_t weir_generator_end(const WeirGeneratorOptions *options,
								  int32_t partition, int64_t now);

/* The instant at which message n of partition p becomes readable. */
extern int64_t weir_generator_timestamp(const WeirGeneratorOptions *options,
										int32_t partition, int64_t n);

/*
 * Write the value of message n of partition p into buf, which has room for
 * WEIR_GENERATOR_MAX_MESSAGE bytes; returns its length.  *key points into
 * buf or is NULL.
 */
extern size_t weir_generator_message(const WeirGeneratorOptions *options,
									 int32_t partition, int64_t n,
									 char *buf);

#endif							/* WEIR_GENERATOR_H */
