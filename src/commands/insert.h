/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  INSERT into a stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_INSERT_H
#define WEIR_INSERT_H

#include "base/compat.h"
#include "foreign/fdwapi.h"

/* Fill in a handler's callbacks for INSERT and COPY into a topic. */
extern void weir_insert_callbacks(FdwRoutine *routine);

/* Those of a wrapper whose streams cannot be written. */
extern void weir_insert_refusals(FdwRoutine *routine);

#endif							/* WEIR_INSERT_H */
