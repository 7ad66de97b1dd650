/*-------------------------------------------------------------------------
 *
 * infer.h
 *	  Which columns a sample of JSON messages has, and of which types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_INFER_H
#define WEIR_INFER_H

#include "base/compat.h"
#include "source/json.h"
#include "source/value.h"

/* More fields than this are not looked at; a table has at most 1600 columns. */
#define WEIR_INFER_FIELDS	1000

/* A field of the sample's objects, by its last value in each. */
typedef struct WeirInferred
{
	char	   *name;			/* as in JSON, unescaped */
	int64		seen[WEIR_JSON_ARRAY + 1];	/* how often, by WeirJsonKind */
	bool		integer;		/* its numbers are all bigint */
	bool		time;			/* its strings are all timestamps, */
	bool		zoneless;		/* some without zone, */
	bool		finer;			/* some finer than microseconds, */
	bool		remote;			/* some outside of what event time can be */
	int64		least;			/* of the integers */
	int64		greatest;
	WeirJsonValue last;			/* of the message at hand */
	int64		last_message;
} WeirInferred;

typedef struct WeirInference WeirInference;

/* An empty sample, in the current memory context. */
extern WeirInference *weir_infer_create(void);

/*
 * Add a message.  False, with error filled in, if a stream of format json
 * would say that it is bad.
 */
extern bool weir_infer_add(WeirInference *inference, const char *value,
						   size_t len, WeirJsonError *error);

/* How many messages were added. */
extern int64 weir_infer_messages(const WeirInference *inference);

/*
 * The n fields, in the order in which they were met.  *complete: no field was
 * left out.
 */
extern WeirInferred **weir_infer_fields(const WeirInference *inference,
										int *n, bool *complete);

/*
 * The type that loses nothing of a field: bigint, numeric, boolean, timestamp
 * with time zone, jsonb, or text.
 */
extern Oid	weir_infer_type(const WeirInferred *field);

/* Has the field values of several types, so that only text can take all? */
extern bool weir_infer_mixed(const WeirInferred *field);

/*
 * The unit in which all integers of the field are times between 2000 and
 * 2100, or WEIR_UNIT_NONE.
 */
extern WeirUnit weir_infer_unit(const WeirInferred *field);

/* "number in 3 messages, string in 1": what the field holds; palloc'd. */
extern char *weir_infer_kinds(const WeirInferred *field);

#endif							/* WEIR_INFER_H */
