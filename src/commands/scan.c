/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  SELECT from a stream: a bounded foreign scan.
 *
 * The ends are fixed when the scan starts and stay through rescans, so that a
 * SELECT ends and sees one state of the log.  Conditions on the metadata
 * columns partition and offset narrow what is read; they are checked again
 * on the rows, so narrowing need not be exact.
 *
 * Tombstones are no rows.  A bad message is a row if the stream has a column
 * that shows the error; otherwise one WARNING at the end tells how many there
 * were.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "commands/scan.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "source/bounded.h"
#include "source/generator_source.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

/* Cost of a message, in units of cpu_tuple_cost, and of a connection. */
#define MESSAGE_COST		20
#define CONNECTION_COST		1000
#define UNKNOWN_MESSAGES	1000000

/* Members of a ForeignScan's fdw_private. */
enum
{
	PRIVATE_NEEDED,				/* list of attribute numbers */
	PRIVATE_COLUMNS,			/* per fdw_exprs: WeirMetadata */
	PRIVATE_STRATEGIES			/* per fdw_exprs: btree strategy */
};

/* A condition on partition or offset; expr is a member of fdw_exprs. */
typedef struct Bound
{
	WeirMetadata column;
	StrategyNumber strategy;
	Oid			type;
	ExprState  *state;
} Bound;

typedef struct StreamScan
{
	WeirStream *stream;
	WeirBounded *bounded;
	bool		shows_errors;
	int			nbounds;
	Bound	   *bounds;
	bool		started;
	WeirRecord *records;
	int			nrecords;
	int			at;
	int64		bad;
} StreamScan;

/* What a range of partitions or offsets is narrowed to. */
typedef struct Span
{
	int64		least;
	int64		greatest;
} Span;

/* ---- planning -------------------------------------------------------- */

static double
estimate_messages(WeirStream *stream, Relation rel)
{
	WeirGeneratorOptions *options;
	double		messages = 0;

	if (stream->kind != WEIR_GENERATOR)
		return rel->rd_rel->reltuples > 0 ? rel->rd_rel->reltuples :
			UNKNOWN_MESSAGES;
	options = palloc(sizeof(WeirGeneratorOptions));
	if (weir_generator_read_options(stream->table_options, options))
		for (int i = 0; i < options->partitions; i++)
			messages += weir_generator_end(options, i, GetCurrentTimestamp());
	return messages;
}

static void
get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	WeirStream *stream = weir_stream_get(relid);
	Relation	rel = RelationIdGetRelation(relid);

	baserel->fdw_private = stream;
	baserel->tuples = Max(1, estimate_messages(stream, rel));
	RelationClose(rel);
	set_baserel_size_estimates(root, baserel);
}

static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	WeirStream *stream = baserel->fdw_private;
	Cost		startup = baserel->baserestrictcost.startup;
	Cost		run = baserel->tuples *
		(MESSAGE_COST * cpu_tuple_cost + baserel->baserestrictcost.per_tuple);

	if (stream->kind == WEIR_KAFKA)
		startup += CONNECTION_COST;
	add_path(baserel, (Path *)
			 create_foreignscan_path(root, baserel, NULL, baserel->rows,
									 startup, startup + run, NIL, NULL, NULL,
									 NIL));
}

/*
 * If clause compares partition or offset with something that is known before
 * the scan, say which, how, and with what.
 */
static bool
clause_bounds(WeirStream *stream, RelOptInfo *baserel, Expr *clause,
			  WeirMetadata *column, int *strategy, Expr **bound)
{
	OpExpr	   *op = (OpExpr *) clause;
	Node	   *left;
	Node	   *right;
	Oid			opno;
	Var		   *var;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2)
		return false;
	left = linitial(op->args);
	right = lsecond(op->args);
	opno = op->opno;
	if (!IsA(left, Var))
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
	}
	var = (Var *) left;
	if (!OidIsValid(opno) || !IsA(left, Var) || var->varno != baserel->relid ||
		var->varattno <= 0 || contain_var_clause(right) ||
		contain_volatile_functions(right))
		return false;
	*column = stream->columns[var->varattno - 1].metadata;
	*strategy = get_op_opfamily_strategy(opno, INTEGER_BTREE_FAM_OID);
	*bound = (Expr *) right;
	return *strategy != InvalidStrategy &&
		(*column == WEIR_META_PARTITION || *column == WEIR_META_OFFSET);
}

/* Attributes that the scan has to give, as a list of integers. */
static List *
needed_columns(WeirStream *stream, RelOptInfo *baserel)
{
	Bitmapset  *found = NULL;
	List	   *needed = NIL;
	ListCell   *cell;
	bool		whole_row;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &found);
	foreach(cell, baserel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   baserel->relid, &found);
	whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, found);
	for (int i = 1; i <= stream->tupdesc->natts; i++)
		if (whole_row ||
			bms_is_member(i - FirstLowInvalidHeapAttributeNumber, found))
			needed = lappend_int(needed, i);
	return needed;
}

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *path,
		 List *tlist, List *clauses, Plan *outer_plan)
{
	WeirStream *stream = baserel->fdw_private;
	List	   *quals = extract_actual_clauses(clauses, false);
	List	   *columns = NIL;
	List	   *strategies = NIL;
	List	   *bounds = NIL;
	ListCell   *cell;

	foreach(cell, quals)
	{
		WeirMetadata column;
		int			strategy;
		Expr	   *bound;

		if (!clause_bounds(stream, baserel, lfirst(cell), &column, &strategy,
						   &bound))
			continue;
		columns = lappend_int(columns, column);
		strategies = lappend_int(strategies, strategy);
		bounds = lappend(bounds, bound);
	}
	return make_foreignscan(tlist, quals, baserel->relid, bounds,
							list_make3(needed_columns(stream, baserel),
									   columns, strategies),
							NIL, NIL, outer_plan);
}

/* ---- running --------------------------------------------------------- */

static bool
has_error_column(WeirStream *stream)
{
	for (int i = 0; i < stream->tupdesc->natts; i++)
		if (stream->columns[i].metadata == WEIR_META_ERROR)
			return true;
	return false;
}

static void
begin_bounds(StreamScan *scan, ForeignScanState *node, ForeignScan *plan)
{
	List	   *columns = list_nth(plan->fdw_private, PRIVATE_COLUMNS);
	List	   *strategies = list_nth(plan->fdw_private, PRIVATE_STRATEGIES);

	scan->nbounds = list_length(plan->fdw_exprs);
	scan->bounds = palloc((scan->nbounds + 1) * sizeof(Bound));
	for (int i = 0; i < scan->nbounds; i++)
	{
		Bound	   *bound = &scan->bounds[i];
		Expr	   *expr = list_nth(plan->fdw_exprs, i);

		bound->column = list_nth_int(columns, i);
		bound->strategy = list_nth_int(strategies, i);
		bound->type = exprType((Node *) expr);
		bound->state = ExecInitExpr(expr, &node->ss.ps);
	}
}

static void
begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	StreamScan *scan;
	Bitmapset  *needed = NULL;
	ListCell   *cell;
	Oid			userid;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	scan = palloc0(sizeof(StreamScan));
	node->fdw_state = scan;
	scan->stream = weir_stream_get(RelationGetRelid(node->ss.ss_currentRelation));
	scan->shows_errors = has_error_column(scan->stream);
	begin_bounds(scan, node, plan);

	foreach(cell, list_nth(plan->fdw_private, PRIVATE_NEEDED))
		needed = bms_add_member(needed, lfirst_int(cell));
	userid = weir_scan_user(node);
	scan->bounded = weir_bounded_open(scan->stream, needed,
									  OidIsValid(userid) ? userid : GetUserId());
}

static int64
integer_value(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

static void
narrow(Span *interval, StrategyNumber strategy, int64 value)
{
	if (strategy == BTLessStrategyNumber)
	{
		/* nothing is less than the least number */
		if (value == PG_INT64_MIN)
			interval->least = PG_INT64_MAX;
		else
			interval->greatest = Min(interval->greatest, value - 1);
	}
	else if (strategy == BTGreaterStrategyNumber)
	{
		if (value == PG_INT64_MAX)
			interval->greatest = PG_INT64_MIN;
		else
			interval->least = Max(interval->least, value + 1);
	}
	if (strategy == BTLessEqualStrategyNumber ||
		strategy == BTEqualStrategyNumber)
		interval->greatest = Min(interval->greatest, value);
	if (strategy == BTGreaterEqualStrategyNumber ||
		strategy == BTEqualStrategyNumber)
		interval->least = Max(interval->least, value);
}

/* Evaluate the conditions; false if one of them can never be true. */
static bool
evaluate_bounds(ForeignScanState *node, StreamScan *scan, Span *partitions,
				Span *offsets)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	for (int i = 0; i < scan->nbounds; i++)
	{
		Bound	   *bound = &scan->bounds[i];
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(bound->state, econtext,
													  &isnull);

		if (isnull)
			return false;
		narrow(bound->column == WEIR_META_PARTITION ? partitions : offsets,
			   bound->strategy, integer_value(bound->type, value));
	}
	return true;
}

static void
start_scan(ForeignScanState *node, StreamScan *scan)
{
	Span		partitions = {PG_INT64_MIN, PG_INT64_MAX};
	Span		offsets = {PG_INT64_MIN, PG_INT64_MAX};
	const WeirEnds *ends;
	WeirRange  *ranges;
	int			nends;
	int			n = 0;

	ends = weir_bounded_ends(scan->bounded, &nends);
	ranges = palloc((nends + 1) * sizeof(WeirRange));
	if (evaluate_bounds(node, scan, &partitions, &offsets))
		for (int i = 0; i < nends; i++)
		{
			if (i < partitions.least || i > partitions.greatest)
				continue;
			ranges[n].partition = i;
			ranges[n].from = Max(ends[i].low, offsets.least);
			ranges[n].to = offsets.greatest < ends[i].stable ?
				offsets.greatest + 1 : ends[i].stable;
			n++;
		}
	weir_bounded_start(scan->bounded, n, ranges);
	pfree(ranges);
	scan->started = true;
	scan->bad = 0;
	scan->nrecords = 0;
	scan->at = 0;
}

/* The next record that is a row, or NULL. */
static WeirRecord *
next_row(StreamScan *scan)
{
	for (;;)
	{
		while (scan->at < scan->nrecords)
		{
			WeirRecord *record = &scan->records[scan->at++];

			if (record->verdict == WEIR_TOMBSTONE)
				continue;
			if (!record->badness || scan->shows_errors)
				return record;
			scan->bad++;
		}
		scan->at = 0;
		scan->records = weir_bounded_read(scan->bounded, &scan->nrecords);
		if (!scan->records)
			return NULL;
	}
}

static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int			natts = scan->stream->tupdesc->natts;
	WeirRecord *record;

	if (!scan->started)
		start_scan(node, scan);
	ExecClearTuple(slot);
	record = next_row(scan);
	if (!record)
		return slot;
	memcpy(slot->tts_values, record->values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, record->isnull, natts * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

static void
rescan(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;

	scan->started = false;
}

void
weir_scan_warn(const WeirStream *stream, int64 bad)
{
	if (bad > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("skipped %lld bad message of stream %s",
							   "skipped %lld bad messages of stream %s",
							   (unsigned long) bad,
							   (long long) bad, stream->name),
				 errhint("A column with OPTIONS (metadata 'error') shows them and the reason, one with (metadata 'value') their bytes.")));
}

static void
end_scan(ForeignScanState *node)
{
	StreamScan *scan = node->fdw_state;

	if (!scan)
		return;
	weir_bounded_close(scan->bounded);
	weir_scan_warn(scan->stream, scan->bad);
}

/* ---- EXPLAIN --------------------------------------------------------- */

static const char *
strategy_name(StrategyNumber strategy)
{
	static const char *const names[] = {"?", "<", "<=", "=", ">=", ">"};

	return names[strategy];
}

static void
explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	WeirStream *stream = weir_stream_get(RelationGetRelid(node->ss.ss_currentRelation));
	List	   *columns = list_nth(plan->fdw_private, PRIVATE_COLUMNS);
	List	   *strategies = list_nth(plan->fdw_private, PRIVATE_STRATEGIES);
	List	   *context = set_deparse_context_plan(es->deparse_cxt,
												   (Plan *) plan, NIL);
	StringInfoData text;

	ExplainPropertyText(stream->kind == WEIR_KAFKA ? "Topic" : "Generator",
						stream->topic, es);
	if (plan->fdw_exprs == NIL)
		return;
	initStringInfo(&text);
	for (int i = 0; i < list_length(plan->fdw_exprs); i++)
		appendStringInfo(&text, "%s%s %s %s", i > 0 ? " AND " : "",
						 list_nth_int(columns, i) == WEIR_META_PARTITION ?
						 "partition" : "offset",
						 strategy_name(list_nth_int(strategies, i)),
						 deparse_expression(list_nth(plan->fdw_exprs, i),
											context, false, false));
	ExplainPropertyText("Reads Only", text.data, es);
}

void
weir_scan_callbacks(FdwRoutine *routine)
{
	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = begin_scan;
	routine->IterateForeignScan = iterate_scan;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end_scan;
	routine->ExplainForeignScan = explain_scan;
}
