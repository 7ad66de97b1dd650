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
	char	   *name;			/* of the column in partials */
	int			output;			/* the output that is this key, or -1 */
} WeirKey;

typedef struct WeirState
{
	WeirPart	part;
	char	   *name;			/* of the column in partials */
	int			output;			/* the output that is its merge, or -1 */
} WeirState;

/* An aggregate of the query, as its states make it up. */
typedef struct WeirAggregate
{
	Aggref	   *aggref;			/* as it is in query */
	int			nstates;
	int			states[WEIR_MAX_PARTS];
	const char *final;			/* see WeirDecomposed */
} WeirAggregate;

/* A column of the view, or of a relation behind it. */
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

	/* for the merges */
	Query	   *query;			/* the one that was planned */
	int			window_rti;		/* in query */
	List	   *key_exprs;		/* of the keys, as they are in query */
	List	   *window_args;	/* constants after the time, defaults filled */
	List	   *aggregates;		/* of WeirAggregate */
} WeirPlan;

/*
 * Plan a query.  Raises FEATURE_NOT_SUPPORTED with position, detail and hint
 * for what cannot be kept up to date.  source_text is for error positions,
 * or NULL.  Expressions in the result are as analysed: prepare them with
 * ExecPrepareExpr.  Needs a transaction and locks on the relations of query,
 * as parse analysis takes them; result in the current context.
 */
extern WeirPlan *weir_plan_make(Query *query, const char *source_text);

/*
 * The plan of a continuous view, from its definition <v>_query.  Locks the
 * view and its stream in ACCESS SHARE mode.
 */
extern WeirPlan *weir_plan_of_view(Oid query_view);

/*
 * Columns of a partial: pane_start, late_bound (of sessions: session_start,
 * session_end), keys, states.  Hidden columns of closed, which follow the outputs there: window_start and window_end
 * unless they are outputs, keys and states that are not.
 */
extern WeirOutput *weir_plan_partial_columns(const WeirPlan *plan, int *n);
extern WeirOutput *weir_plan_hidden_columns(const WeirPlan *plan, int *n);

/*
 * SQL of the merges (merge.c).  Columns of segments and closed are found by
 * position, so their owner may rename them.  All names are qualified: run it
 * under search_path pg_catalog, pg_temp.  Need a transaction and locks on the
 * relations named.
 *
 * live: SELECT the outputs of all open windows: the segments that the state
 * row lists as live, windows after closed_to.
 */
extern char *weir_plan_live_sql(const WeirPlan *plan, Oid closed,
								const Oid *segments);

/*
 * INSERT INTO closed of all windows with window_end <= $1 (timestamptz) that
 * are still open; returns one row (merged bigint, inserted bigint,
 * open_from timestamptz): the last is the least start of a session that stays
 * open, or NULL, and NULL for windows whose bounds are known without a look.
 */
extern char *weir_plan_close_sql(const WeirPlan *plan, Oid closed,
								 const Oid *segments);

/*
 * SELECT the merge, by pane, late_bound and keys, of all live rows, as rows
 * of a segment; of sessions, those that are still open.
 */
extern char *weir_plan_compact_sql(const WeirPlan *plan, Oid closed,
								   const Oid *segments);

#endif							/* WEIR_PLAN_H */
