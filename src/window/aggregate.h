/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *	  Which aggregates can be kept as typed partial states, and how.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_AGGREGATE_H
#define WEIR_AGGREGATE_H

#include "base/compat.h"
#include "nodes/primnodes.h"

#define WEIR_MAX_PARTS	2

/*
 * An aggregate of the user's query is kept as one or two parts; each part is
 * itself an aggregate of the same argument, whose *final value* is the typed
 * column of the partial.  Its merge is SQL over that column, "%s".
 */
typedef struct WeirPart
{
	Oid			aggfnoid;		/* e.g. sum(numeric), count(*) */
	Expr	   *argument;		/* coerced to its input type; NULL: count(*) */
	Expr	   *filter;			/* FILTER, or NULL */
	Oid			type;			/* of the column */
	int32		typmod;
	Oid			collation;
	const char *merge;			/* "pg_catalog.sum(%s)::bigint" */
	const char *suffix;			/* for the column's name: "sum", "count" */
} WeirPart;

typedef struct WeirDecomposed
{
	int			nparts;
	WeirPart	parts[WEIR_MAX_PARTS];
	const char *final;			/* SQL over merged parts, "%1$s" and "%2$s",
								 * or NULL: the one part is the value */
} WeirDecomposed;

/*
 * Decompose an aggregate.  Returns NULL and sets *reason (and *hint) when it
 * cannot be kept incrementally.
 */
extern WeirDecomposed *weir_aggregate_decompose(Aggref *aggref,
												const char **reason,
												const char **hint);

/*
 * Is a part counted by our own code?  Others call the aggregate's transition
 * function for each record.
 */
extern bool weir_part_is_native(const WeirPart *part);

#endif							/* WEIR_AGGREGATE_H */
