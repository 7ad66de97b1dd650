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

extern PGDLLEXPORT void weir_database_main(Datum arg);

#endif							/* WEIR_DATABASE_H */
