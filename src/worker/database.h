/*-------------------------------------------------------------------------
 *
 * database.h
 *	  The database worker: catalog against slots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_DATABASE_H
#define WEIR_DATABASE_H

#include "base/compat.h"

extern int	weir_max_catch_up;	/* weir.max_catch_up: readers a database */

extern PGDLLEXPORT void weir_database_main(Datum arg);

#endif							/* WEIR_DATABASE_H */
