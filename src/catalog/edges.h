/*-------------------------------------------------------------------------
 *
 * edges.h
 *	  What belongs to a continuous view, and to the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_EDGES_H
#define WEIR_EDGES_H

#include "base/compat.h"

/*
 * Make query, closed and segments of a view go when it goes (AUTO
 * dependencies).  They survive neither a dump nor pg_upgrade; what is there
 * already is left alone.  Needs a transaction.
 */
extern void weir_view_record_dependencies(Oid view);

/*
 * Was the view's query replaced by one that does not show its rows?  A query
 * of constants is none: pg_dump --clean breaks circles with it.
 */
extern bool weir_view_was_replaced(Oid view);

/* The role that owns the extension; raises UNDEFINED_OBJECT without it. */
extern Oid	weir_extension_owner(void);

#endif							/* WEIR_EDGES_H */
