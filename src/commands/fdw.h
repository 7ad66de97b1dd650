/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The foreign data wrappers weir_kafka and weir_generator.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_FDW_H
#define WEIR_FDW_H

#include "base/compat.h"

/*
 * Check the columns and constraints of a stream that was created or altered,
 * which a validator cannot see, and resolve a generator's start.  Does
 * nothing for other relations.  Needs a transaction and a lock on relid that
 * its change took.
 */
extern void weir_fdw_check_stream(Oid relid);

#endif							/* WEIR_FDW_H */
