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

/* The user as whom a foreign scan or an insert reads its user mapping, or 0. */
#if PG_VERSION_NUM >= 160000
#define weir_scan_user(node) \
	(((ForeignScan *) (node)->ss.ps.plan)->checkAsUser)
#define weir_insert_user(estate, rinfo) \
	(ExecGetResultRelCheckAsUser(rinfo, estate))
#else
#define weir_scan_user(node) \
	(exec_rt_fetch(((ForeignScan *) (node)->ss.ps.plan)->scan.scanrelid, \
				   (node)->ss.ps.state)->checkAsUser)
#define weir_insert_user(estate, rinfo) \
	((rinfo)->ri_RangeTableIndex > 0 ? \
	 exec_rt_fetch((rinfo)->ri_RangeTableIndex, estate)->checkAsUser : \
	 InvalidOid)
#endif

#endif							/* WEIR_COMPAT_H */
