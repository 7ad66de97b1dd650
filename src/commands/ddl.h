/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  Statements on continuous views and streams: the utility hook and the
 *	  object access hook.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_DDL_H
#define WEIR_DDL_H

#include "base/compat.h"

extern void weir_ddl_init(void);	/* from _PG_init: hooks */

#endif							/* WEIR_DDL_H */
