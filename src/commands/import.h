/*-------------------------------------------------------------------------
 *
 * import.h
 *	  IMPORT FOREIGN SCHEMA: streams out of the topics of a server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_IMPORT_H
#define WEIR_IMPORT_H

#include "base/compat.h"
#include "foreign/fdwapi.h"

/* Fill in a handler's callback for IMPORT FOREIGN SCHEMA. */
extern void weir_import_callbacks(FdwRoutine *routine);

#endif							/* WEIR_IMPORT_H */
