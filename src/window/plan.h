/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  From the analysed query of a continuous view to what a reader computes
 *	  and what its relations look like.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_PLAN_H
#define WEIR_PLAN_H

#include "base/compat.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "window/aggregate.h"
#include "window/window.h"

typedef struct WeirKey
{
	Expr	   *expr;			/* Vars have varno 1 = the stream */
	Oid			type;
	int32		typmod;
	Oid			collation;
	char	   *name;			/* of the column in partials and closed */
} WeirKey;

typedef struct WeirState
{
	WeirPart	part;
	char	   *name;			/* of the column in partials and closed */
} WeirState;

/* A column of the view. */
typedef struct WeirOutput
{
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
} WeirOutput;

typedef struct WeirPlan
{
	Oid			stream;
	WeirWindow	window;
	AttrNumber	time;			/* the stream's event time column */
	Expr	   *filter;			/* WHERE as one expression, or NULL */
	int			nkeys;
	WeirKey    *keys;
	int			nstates;		/* equal parts are kept once */
	WeirState  *states;
	int			noutputs;
	WeirOutput *outputs;
	int			window_start;	/* output that is window_start, or -1 */
	int			window_end;
	Bitmapset  *columns;		/* attributes of the stream that are used */
} WeirPlan;

/*
 * Plan a query.  Raises FEATURE_NOT_SUPPORTED with position, detail and hint
 * for what cannot be kept up to date.  source_text is for error positions,
 * or NULL.  Needs a transaction; result in the current context.
 */
extern WeirPlan *weir_plan_make(Query *query, const char *source_text);

/* The plan of a continuous view, from its definition <v>_query. */
extern WeirPlan *weir_plan_of_view(Oid query_view);

/*
 * SQL: the merge of the partials, one row a window and keys: columns
 * window_start, window_end, the keys, the states, all merged, then the
 * outputs.  Which partials and windows is up to the text of the conditions:
 *
 * live: the segments that the state row lists as live, windows after
 * closed_to, as the live part of v reads it.  closed = regclass of <v>_closed.
 * Column names: see weir_plan_merge_columns.
 */
extern char *weir_plan_live_sql(const WeirPlan *plan, Query *query,
								Oid closed, const Oid *segments);

/*
 * SQL: INSERT INTO closed of all windows with window_end <= $1 that are
 * still open; returns one row (merged bigint, inserted bigint).
 */
extern char *weir_plan_close_sql(const WeirPlan *plan, Query *query,
								 Oid closed, const Oid *segments);

/*
 * SQL: INSERT INTO segments[target] the merge, by pane, late_bound and keys,
 * of all live rows; target is the index of the free segment.
 */
extern char *weir_plan_compact_sql(const WeirPlan *plan, Oid closed,
								   const Oid *segments, int target);

#endif							/* WEIR_PLAN_H */
