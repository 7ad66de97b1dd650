/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  A producer: the rows of a source into a topic, at a rate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_PRODUCER_H
#define WEIR_PRODUCER_H

#include "base/compat.h"

/*
 * The relation that a producer's source names, or InvalidOid if the source is
 * a query.  Raises 42P01 for a name that no relation has.  Needs a
 * transaction.
 */
extern Oid	weir_producer_relation(const char *source);

/* The query that gives the source's rows, palloc'd. */
extern char *weir_producer_query(const char *source);

extern PGDLLEXPORT void weir_producer_main(Datum arg);

#endif							/* WEIR_PRODUCER_H */
