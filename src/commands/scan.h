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
#include "source/stream.h"

/* Fill in a handler's callbacks for scans. */
extern void weir_scan_callbacks(FdwRoutine *routine);

/* One WARNING for the bad messages that were left out, if there are any. */
extern void weir_scan_warn(const WeirStream *stream, int64 bad);

#endif							/* WEIR_SCAN_H */
