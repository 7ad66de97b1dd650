/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  A reader: one pass over a stream for the views that it serves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_READER_H
#define WEIR_READER_H

#include "base/compat.h"

extern int	weir_batch_time;	/* weir.batch_time, milliseconds */
extern int	weir_max_rate;		/* weir.max_rate; 0 = none */

extern PGDLLEXPORT void weir_reader_main(Datum arg);

#endif							/* WEIR_READER_H */
