/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Which aggregates can be kept as typed partial states, and how.
 *
 * An aggregate f is kept as parts g1, g2: ordinary aggregates of the same
 * argument and FILTER, whose final values are the typed columns of a partial.
 * For any split of a group's records into partials
 *
 *		f(all records) = final(merge1(g1 of each), merge2(g2 of each))
 *
 * must hold, with the display scale of numerics too: avg() divides sum by
 * count with numeric_div exactly as its own final function does.  (Sums of
 * floats depend on the order of addition, as they do in PostgreSQL.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "window/aggregate.h"

#define MERGE_SUM		"pg_catalog.sum(%s)"
#define MERGE_BIGINT	"pg_catalog.sum(%s)::pg_catalog.int8"
#define FINAL_NUMERIC	"%1$s::pg_catalog.numeric / NULLIF(%2$s, 0)::pg_catalog.numeric"
#define FINAL_FLOAT		"%1$s / NULLIF(%2$s, 0)::pg_catalog.float8"

/* How one aggregate of pg_catalog is kept. */
typedef struct Rule
{
	Oid			aggfnoid;
	Oid			part;			/* first part; the second is count(any) */
	Oid			type;			/* of the first part */
	const char *merge;
	const char *suffix;
	const char *final;			/* not NULL: there is a second part */
} Rule;

static const Rule rules[] = {
	{F_COUNT_, F_COUNT_, INT8OID, MERGE_BIGINT, "count", NULL},
	{F_COUNT_ANY, F_COUNT_ANY, INT8OID, MERGE_BIGINT, "count", NULL},
	{F_SUM_INT2, F_SUM_INT2, INT8OID, MERGE_BIGINT, "sum", NULL},
	{F_SUM_INT4, F_SUM_INT4, INT8OID, MERGE_BIGINT, "sum", NULL},
	{F_SUM_INT8, F_SUM_INT8, NUMERICOID, MERGE_SUM, "sum", NULL},
	{F_SUM_NUMERIC, F_SUM_NUMERIC, NUMERICOID, MERGE_SUM, "sum", NULL},
	{F_SUM_FLOAT4, F_SUM_FLOAT4, FLOAT4OID, MERGE_SUM, "sum", NULL},
	{F_SUM_FLOAT8, F_SUM_FLOAT8, FLOAT8OID, MERGE_SUM, "sum", NULL},
	{F_SUM_INTERVAL, F_SUM_INTERVAL, INTERVALOID, MERGE_SUM, "sum", NULL},
	{F_SUM_MONEY, F_SUM_MONEY, MONEYOID, MERGE_SUM, "sum", NULL},
	{F_AVG_INT2, F_SUM_INT2, INT8OID, MERGE_BIGINT, "sum", FINAL_NUMERIC},
	{F_AVG_INT4, F_SUM_INT4, INT8OID, MERGE_BIGINT, "sum", FINAL_NUMERIC},
	{F_AVG_INT8, F_SUM_INT8, NUMERICOID, MERGE_SUM, "sum", FINAL_NUMERIC},
	{F_AVG_NUMERIC, F_SUM_NUMERIC, NUMERICOID, MERGE_SUM, "sum", FINAL_NUMERIC},
	{F_AVG_FLOAT4, F_SUM_FLOAT8, FLOAT8OID, MERGE_SUM, "sum", FINAL_FLOAT},
	{F_AVG_FLOAT8, F_SUM_FLOAT8, FLOAT8OID, MERGE_SUM, "sum", FINAL_FLOAT},
	{F_AVG_INTERVAL, F_SUM_INTERVAL, INTERVALOID, MERGE_SUM, "sum", FINAL_FLOAT},
	{F_BOOL_AND, F_BOOL_AND, BOOLOID, "pg_catalog.bool_and(%s)", "and", NULL},
	{F_EVERY, F_BOOL_AND, BOOLOID, "pg_catalog.bool_and(%s)", "and", NULL},
	{F_BOOL_OR, F_BOOL_OR, BOOLOID, "pg_catalog.bool_or(%s)", "or", NULL},
};

static const char kept_hint[] =
"Aggregates that can be kept are count, sum, min, max, avg, bool_and, bool_or and every, of the types that PostgreSQL defines them for.";

/* The rule of an aggregate, or NULL. */
static const Rule *
find_rule(Oid aggfnoid)
{
	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].aggfnoid == aggfnoid)
			return &rules[i];
	}
	return NULL;
}

/* PostgreSQL's own min or max, of any type? */
static bool
is_min_or_max(Oid aggfnoid, const char **name)
{
	if (get_func_namespace(aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	*name = get_func_name(aggfnoid);
	return strcmp(*name, "min") == 0 || strcmp(*name, "max") == 0;
}

/* The argument, or NULL for count(*); as float8 where avg(float4) needs it. */
static Expr *
argument_of(Aggref *aggref)
{
	Expr	   *argument;

	if (aggref->args == NIL)
		return NULL;
	argument = linitial_node(TargetEntry, aggref->args)->expr;
	if (aggref->aggfnoid == F_AVG_FLOAT4)
		argument = (Expr *) makeFuncExpr(F_FLOAT8_FLOAT4, FLOAT8OID,
										 list_make1(argument),
										 InvalidOid, InvalidOid,
										 COERCE_IMPLICIT_CAST);
	return argument;
}

/* Append a part that has the argument and the filter of the aggregate. */
static void
add_part(WeirDecomposed *decomposed, Aggref *aggref, Oid aggfnoid, Oid type,
		 const char *merge, const char *suffix)
{
	WeirPart   *part = &decomposed->parts[decomposed->nparts++];

	part->aggfnoid = aggfnoid;
	part->argument = argument_of(aggref);
	part->filter = aggref->aggfilter;
	part->type = type;
	part->typmod = -1;
	part->collation = type == aggref->aggtype ? aggref->aggcollid : InvalidOid;
	part->merge = merge;
	part->suffix = suffix;
}

/* Why an aggregate call of this form cannot be kept, or NULL. */
static const char *
refused_form(Aggref *aggref, const char **hint)
{
	if (aggref->aggkind != AGGKIND_NORMAL)
	{
		*hint = kept_hint;
		return "An ordered-set aggregate needs all values of its group at once.";
	}
	if (aggref->aggdistinct != NIL)
	{
		*hint = "Group by the argument too, and count its rows when reading the view.";
		return "DISTINCT needs all values of its group at once.";
	}
	if (aggref->aggorder != NIL)
	{
		*hint = "Leave the ORDER BY out.";
		return "ORDER BY needs all values of its group at once.";
	}
	return NULL;
}

/*
 * weir_aggregate_decompose
 *		Decompose an aggregate into parts that can be merged.
 *
 * The result shares the argument and filter of aggref.  Returns NULL and sets
 * *reason and *hint (full sentences) when it cannot be kept.  Needs a
 * transaction.
 */
WeirDecomposed *
weir_aggregate_decompose(Aggref *aggref, const char **reason,
						 const char **hint)
{
	WeirDecomposed *decomposed;
	const Rule *rule = find_rule(aggref->aggfnoid);
	const char *name = NULL;

	*reason = refused_form(aggref, hint);
	if (*reason != NULL)
		return NULL;

	decomposed = palloc0(sizeof(WeirDecomposed));
	if (rule != NULL)
	{
		add_part(decomposed, aggref, rule->part, rule->type, rule->merge,
				 rule->suffix);
		decomposed->final = rule->final;
		if (rule->final != NULL)
			add_part(decomposed, aggref, F_COUNT_ANY, INT8OID, MERGE_BIGINT,
					 "count");
		return decomposed;
	}
	if (is_min_or_max(aggref->aggfnoid, &name))
	{
		add_part(decomposed, aggref, aggref->aggfnoid, aggref->aggtype,
				 psprintf("pg_catalog.%s(%%s)", name), name);
		return decomposed;
	}

	*reason = psprintf("There is no rule that merges partial results of %s.",
					   format_procedure(aggref->aggfnoid));
	*hint = kept_hint;
	return NULL;
}

bool
weir_part_is_native(const WeirPart *part)
{
	return part->aggfnoid == F_COUNT_ || part->aggfnoid == F_COUNT_ANY;
}
