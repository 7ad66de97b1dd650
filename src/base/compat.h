/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The only place where server versions differ.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_COMPAT_H
#define WEIR_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "pg_weir needs PostgreSQL 15 or later"
#endif

#endif							/* WEIR_COMPAT_H */
