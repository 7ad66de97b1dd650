/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  A producer: a query's rows into a topic, at a rate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_PRODUCER_H
#define WEIR_PRODUCER_H

#include "base/compat.h"

extern PGDLLEXPORT void weir_producer_main(Datum arg);

#endif							/* WEIR_PRODUCER_H */
