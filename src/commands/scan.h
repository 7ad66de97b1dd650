/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  SELECT from a stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_SCAN_H
#define WEIR_SCAN_H

#include "base/compat.h"
#include "foreign/fdwapi.h"

/* Fill in a handler's callbacks for scans. */
extern void weir_scan_callbacks(FdwRoutine *routine);

#endif							/* WEIR_SCAN_H */
