/*-------------------------------------------------------------------------
 *
 * explainview.h
 *	  EXPLAIN CREATE MATERIALIZED VIEW: the dry run of a continuous view.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_EXPLAINVIEW_H
#define WEIR_EXPLAINVIEW_H

#include "base/compat.h"
#include "commands/create.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"

/*
 * Tell what a CREATE statement would make, as rows of EXPLAIN's in the format
 * that statement asks for; with ANALYZE, what its query makes of the stream's
 * newest records.  Creates nothing, and raises what CREATE would raise.
 * Needs a transaction with an active snapshot.
 */
extern void weir_explain_create(ExplainStmt *statement,
								WeirCreateView *create, DestReceiver *dest);

#endif							/* WEIR_EXPLAINVIEW_H */
