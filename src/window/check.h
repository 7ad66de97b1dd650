/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Which queries a continuous view may have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include "base/compat.h"
#include "nodes/parsenodes.h"
#include "window/window.h"

/* A query on its way to a plan. */
typedef struct WeirPlanner
{
	Query	   *query;
	const char *source_text;
	Oid			stream;
	WeirWindowKind kind;
	int			stream_rti;
	int			window_rti;
	List	   *quals;			/* of WHERE and joins */
	List	   *key_exprs;		/* as they are in query */
	List	   *names;			/* of columns, taken */
	const char *where;			/* clause under check, for messages */
	int			location;		/* nearest known to the node under check */
	struct WeirPlan *plan;
} WeirPlanner;

/*
 * Raise FEATURE_NOT_SUPPORTED: "<what> not supported in a continuous view",
 * so that what ends in "is"; detail says why, hint the way out.  location is
 * a token's, or -1.
 */
extern void weir_check_refuse(const WeirPlanner *planner, int location,
							  const char *what, const char *detail,
							  const char *hint) pg_attribute_noreturn();

/* For ereport(): the position of the error in the text, if it is known. */
extern int	weir_check_position(const WeirPlanner *planner, int location);

/* Where a GROUP BY or ORDER BY clause begins. */
extern int	weir_check_clause_location(Query *query, List *clause);

/*
 * Check the form of the query, all but its expressions.  Fills in
 * stream, kind of window, their range table indexes, and quals.
 */
extern void weir_check_form(WeirPlanner *planner);

/*
 * Check an expression that is evaluated for each record, or one above the
 * aggregates (needs key_exprs); where names the clause.
 */
extern void weir_check_record(WeirPlanner *planner, Node *node,
							  const char *where);
extern void weir_check_output(WeirPlanner *planner, Node *node,
							  const char *where);

/* A column can only have a type that a table can store. */
extern void weir_check_type(WeirPlanner *planner, Node *node,
							Oid type);

#endif							/* WEIR_CHECK_H */
