/*-------------------------------------------------------------------------
 *
 * explainview.c
 *	  EXPLAIN CREATE MATERIALIZED VIEW: the dry run of a continuous view.
 *
 * The statement is prepared as CREATE prepares it, and the plan is told: what
 * is decoded of each record, which records pass, into which panes and windows
 * they go and when those close, and which states are kept and merged.  With
 * ANALYZE the newest records are read and judged by the code that readers
 * run, and their partials are measured instead of stored.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/usercontext.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "commands/explainview.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "source/bounded.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "window/partial.h"
#include "window/start.h"

/* How many of the newest records ANALYZE reads, unless they are large. */
#define SAMPLE			10000
#define SAMPLE_BYTES	(64 * 1024 * 1024)

/* The dry run. */
typedef struct DryRun
{
	const WeirCreateView *create;
	WeirPlan   *plan;
	WeirStream *stream;
	List	   *deparse;		/* context in which the stream is varno 1 */
	ExplainState *es;
} DryRun;

/* What ANALYZE found. */
typedef struct Findings
{
	WeirCounters counters;		/* over all partitions */
	int64		groups;
	int64		bytes;
	char	   *first_bad;		/* where and why, or NULL */
} Findings;

/* ---- the options of EXPLAIN ------------------------------------------ */

static ExplainFormat
read_format(DefElem *def)
{
	static const char *const names[] = {
		[EXPLAIN_FORMAT_TEXT] = "text",[EXPLAIN_FORMAT_XML] = "xml",
		[EXPLAIN_FORMAT_JSON] = "json",[EXPLAIN_FORMAT_YAML] = "yaml"
	};
	char	   *value = defGetString(def);

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(value, names[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value for EXPLAIN option \"%s\": \"%s\"",
					def->defname, value)));
}

/* Options that are about the execution of plans change nothing here. */
static bool
is_plan_option(const char *name)
{
	static const char *const names[] = {
		"verbose", "costs", "buffers", "wal", "settings", "timing",
		"summary", "generic_plan", "memory", "serialize"
	};

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
read_options(ExplainState *es, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "analyze") == 0)
			es->analyze = defGetBoolean(def);
		else if (strcmp(def->defname, "format") == 0)
			es->format = read_format(def);
		else if (!is_plan_option(def->defname))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("unrecognized EXPLAIN option \"%s\"",
							def->defname)));
	}
}

/* ---- texts ----------------------------------------------------------- */

static char *
expression_text(const DryRun *run, Expr *expr)
{
	return deparse_expression((Node *) expr, run->deparse, false, false);
}

static char *
span_text(int32 months, int32 days, int64 us)
{
	Interval	interval = {.time = us,.day = days,.month = months};

	return DatumGetCString(DirectFunctionCall1(interval_out,
											   IntervalPGetDatum(&interval)));
}

static char *
column_name(const DryRun *run, AttrNumber attnum)
{
	return pstrdup(quote_identifier(get_attname(run->plan->stream, attnum,
												false)));
}

/* "sum(total_amount) FILTER (WHERE ...)": an aggregate of a part's argument. */
static char *
aggregate_text(const DryRun *run, Oid aggfnoid, const WeirPart *part)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%s(%s)", get_func_name(aggfnoid),
					 part->argument ? expression_text(run, part->argument) : "*");
	if (part->filter != NULL)
		appendStringInfo(&out, " FILTER (WHERE %s)",
						 expression_text(run, part->filter));
	return out.data;
}

/* The window's call with its constants. */
static char *
window_text(const DryRun *run)
{
	RangeTblEntry *rte = rt_fetch(run->plan->window_rti,
								  run->plan->query->rtable);
	FuncExpr   *call = castNode(FuncExpr,
								linitial_node(RangeTblFunction,
											  rte->functions)->funcexpr);
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	appendStringInfo(&out, "weir.%s(%s", get_func_name(call->funcid),
					 column_name(run, run->plan->time));
	foreach(cell, run->plan->window_args)
	{
		Const	   *argument = lfirst_node(Const, cell);
		Oid			output;
		bool		varlena;

		if (argument->constisnull)
			continue;
		getTypeOutputInfo(argument->consttype, &output, &varlena);
		appendStringInfo(&out, ", %s",
						 quote_literal_cstr(OidOutputFunctionCall(output,
																  argument->constvalue)));
	}
	appendStringInfoChar(&out, ')');
	return out.data;
}

/* ---- what would be made ---------------------------------------------- */

static void
tell_stream(const DryRun *run)
{
	Bitmapset  *decoded = weir_decoder_columns(weir_decoder_create(run->stream,
																   run->plan->columns));
	List	   *names = NIL;
	int			i = -1;

	ExplainPropertyText("Stream", run->stream->name, run->es);
	if (run->stream->kind == WEIR_KAFKA)
		ExplainPropertyText("Topic", run->stream->topic, run->es);
	ExplainPropertyText("Start", run->create->options.start, run->es);
	while ((i = bms_next_member(decoded, i)) >= 0)
		names = lappend(names, column_name(run, i));
	ExplainPropertyList("Columns Decoded", names, run->es);
	if (run->plan->filter != NULL)
		ExplainPropertyText("Filter",
							expression_text(run, run->plan->filter), run->es);
}

/* Which windows there are, and when one closes. */
static void
tell_window(const DryRun *run)
{
	const WeirWindow *window = &run->plan->window;
	const WeirSpan *pane = window->kind == WEIR_CUMULATE ? &window->step :
		&window->pane;
	StringInfoData closes;

	ExplainPropertyText("Window", window_text(run), run->es);
	if (window->kind != WEIR_SESSION)
		ExplainPropertyText("Pane",
							span_text(pane->months, pane->days, pane->us),
							run->es);
	initStringInfo(&closes);
	appendStringInfo(&closes, "when the greatest %s", column_name(run, run->plan->time));
	if (run->stream->watermark_delay > 0)
		appendStringInfo(&closes, " - %s",
						 span_text(0, 0, run->stream->watermark_delay));
	appendStringInfo(&closes, " of every partition has %s window_end",
					 window->kind == WEIR_SESSION ? "passed" : "reached");
	if (run->create->options.lateness > 0)
		appendStringInfo(&closes, " + %s",
						 span_text(0, 0, run->create->options.lateness));
	ExplainPropertyText("Closes", closes.data, run->es);
	ExplainPropertyText("Late Records",
						strcmp(run->create->options.on_late, "store") == 0 ?
						"counted, and stored in weir.late_event" : "counted",
						run->es);
	ExplainPropertyText("Open Windows",
						strcmp(run->create->options.emit, "changes") == 0 ?
						"visible" : "not visible", run->es);
	if (run->create->options.retention != NULL)
		ExplainPropertyText("Retention", run->create->options.retention,
							run->es);
}

static void
tell_keys(const DryRun *run)
{
	List	   *keys = NIL;

	for (int i = 0; i < run->plan->nkeys; i++)
		keys = lappend(keys, expression_text(run, run->plan->keys[i].expr));
	if (keys != NIL)
		ExplainPropertyList("Keys", keys, run->es);
}

/*
 * A state: its column in the partials, what keeps it up to date, and how the
 * merge puts those of many partials together.
 */
static void
tell_state(const DryRun *run, const WeirState *state)
{
	ExplainState *es = run->es;
	char	   *column = pstrdup(quote_identifier(state->name));
	char	   *type = format_type_with_typemod(state->part.type,
												state->part.typmod);
	char	   *aggregate = aggregate_text(run, state->part.aggfnoid,
										   &state->part);
	char	   *merge = psprintf(state->part.merge, column);
	const char *transition = weir_part_is_native(&state->part) ?
		"native" : "generic";

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText("State",
							psprintf("%s %s = %s, %s, merged by %s", column,
									 type, aggregate, transition, merge), es);
		return;
	}
	ExplainOpenGroup("State", NULL, true, es);
	ExplainPropertyText("Column", column, es);
	ExplainPropertyText("Type", type, es);
	ExplainPropertyText("Aggregate", aggregate, es);
	ExplainPropertyText("Transition", transition, es);
	ExplainPropertyText("Merge", merge, es);
	ExplainCloseGroup("State", NULL, true, es);
}

static void
tell_states(const DryRun *run)
{
	ExplainOpenGroup("States", "States", false, run->es);
	for (int i = 0; i < run->plan->nstates; i++)
		tell_state(run, &run->plan->states[i]);
	ExplainCloseGroup("States", "States", false, run->es);
}

/* Aggregates that are not one state, but computed of two. */
static void
tell_finals(const DryRun *run)
{
	List	   *finals = NIL;
	ListCell   *cell;

	foreach(cell, run->plan->aggregates)
	{
		WeirAggregate *aggregate = lfirst(cell);
		WeirState  *states = run->plan->states;
		const char *parts[WEIR_MAX_PARTS] = {"", ""};

		if (aggregate->final == NULL)
			continue;
		for (int i = 0; i < aggregate->nstates; i++)
			parts[i] = pstrdup(quote_identifier(states[aggregate->states[i]].name));
		finals = lappend(finals,
						 psprintf("%s = %s",
								  aggregate_text(run,
												 aggregate->aggref->aggfnoid,
												 &states[aggregate->states[0]].part),
								  psprintf(aggregate->final, parts[0],
										   parts[1])));
	}
	if (finals != NIL)
		ExplainPropertyList("After the Merge", finals, run->es);
}

/* ---- ANALYZE --------------------------------------------------------- */

static void
note_rejects(Findings *findings, const WeirRejects *rejects)
{
	const WeirMessage *message;

	if (rejects->ndead == 0 || findings->first_bad != NULL)
		return;
	message = &rejects->dead[0]->message;
	findings->first_bad = psprintf("partition %d offset " INT64_FORMAT ": %s",
								   message->partition, message->offset,
								   rejects->badness[0]->reason);
}

static WeirBadness *
copy_badness(const WeirBadness *badness)
{
	WeirBadness *copy;

	if (badness == NULL)
		return NULL;
	copy = palloc_object(WeirBadness);
	*copy = *badness;
	copy->reason = pstrdup(badness->reason);
	copy->next = copy_badness(badness->next);
	return copy;
}

/* Copy what judging needs of a record; returns how many bytes that takes. */
static Size
copy_record(const WeirStream *stream, WeirRecord *copy,
			const WeirRecord *record)
{
	int			natts = stream->tupdesc->natts;
	Size		bytes = natts * (sizeof(Datum) + sizeof(bool));

	*copy = *record;
	copy->values = palloc_array(Datum, natts + 1);
	copy->isnull = palloc_array(bool, natts + 1);
	memcpy(copy->isnull, record->isnull, natts * sizeof(bool));
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(stream->tupdesc, i);

		if (record->isnull[i])
			continue;
		copy->values[i] = datumCopy(record->values[i], att->attbyval,
									att->attlen);
		bytes += datumGetSize(record->values[i], att->attbyval, att->attlen);
	}
	copy->badness = copy_badness(record->badness);
	copy->message.value = NULL;
	copy->message.key = NULL;
	return bytes;
}

/* Read the newest records into one batch, as a reader that has just come. */
static void
read_sample(const DryRun *run, WeirBounded *bounded, WeirBatch *batch)
{
	WeirRecord *records;
	Size		bytes = 0;
	int			n;

	batch->records = palloc_array(WeirRecord, SAMPLE);
	weir_bounded_start_newest(bounded, SAMPLE);
	while (bytes < SAMPLE_BYTES &&
		   (records = weir_bounded_read(bounded, &n)) != NULL)
	{
		for (int i = 0; i < n && batch->nrecords < SAMPLE; i++)
			bytes += copy_record(run->stream,
								 &batch->records[batch->nrecords++],
								 &records[i]);
	}
}

/* Judge and aggregate the sample as the view's owner would. */
static void
apply_sample(const DryRun *run, const WeirBatch *batch,
			 WeirCheckpoint *checkpoints, Findings *findings)
{
	WeirRules	rules = {
		.lateness = run->create->options.lateness,
		.closed_to = DT_NOBEGIN,
		.start_bound = weir_start_bound(weir_start_parse(run->create->options.start),
										run->plan)
	};
	WeirGroups *groups = weir_groups_create(run->plan, run->stream);
	WeirRejects rejects;
	WeirUserContext user;

	weir_user_enter(&user, GetUserId(), weir_user_settings());
	weir_partial_apply(groups, run->plan, batch, &rules, checkpoints,
					   &rejects);
	findings->groups = weir_groups_measure(groups, &findings->bytes);
	weir_user_leave(&user);
	note_rejects(findings, &rejects);
}

static void
analyze(const DryRun *run)
{
	ExplainState *es = run->es;
	Findings	findings = {0};
	WeirBatch	batch = {.stream = run->stream};
	WeirBounded *bounded = weir_bounded_open(run->stream, run->plan->columns,
											 GetUserId());
	WeirCheckpoint *checkpoints;
	int			n;

	(void) weir_bounded_ends(bounded, &n);
	batch.npartitions = n;
	batch.from = palloc0_array(int64, n + 1);
	batch.to = palloc0_array(int64, n + 1);
	batch.now = GetCurrentTimestamp();
	checkpoints = palloc0_array(WeirCheckpoint, n + 1);
	for (int i = 0; i < n; i++)
	{
		checkpoints[i].partition = i;
		checkpoints[i].max_event_time = DT_NOBEGIN;
		checkpoints[i].max_timestamp = DT_NOBEGIN;
		checkpoints[i].watermark = DT_NOBEGIN;
	}

	/* to count bad records is the point: also where a view would stop */
	run->stream->on_error = WEIR_ON_ERROR_DEAD_LETTER;
	read_sample(run, bounded, &batch);
	weir_bounded_close(bounded);
	apply_sample(run, &batch, checkpoints, &findings);
	for (int i = 0; i < n; i++)
		weir_counters_add(&findings.counters, &checkpoints[i].counters);

	ExplainPropertyInteger("Newest Records Read", NULL,
						   findings.counters.read, es);
	ExplainPropertyInteger("Aggregated", NULL, findings.counters.aggregated,
						   es);
	ExplainPropertyInteger("Filtered", NULL, findings.counters.filtered, es);
	ExplainPropertyInteger("Late", NULL, findings.counters.late, es);
	ExplainPropertyInteger("Partly Late", NULL,
						   findings.counters.partly_late, es);
	ExplainPropertyInteger("Bad", NULL, findings.counters.dead_lettered, es);
	ExplainPropertyInteger("Tombstones", NULL, findings.counters.tombstones,
						   es);
	if (findings.first_bad != NULL)
		ExplainPropertyText("First Bad", findings.first_bad, es);
	ExplainPropertyInteger("Groups", NULL, findings.groups, es);
	if (findings.groups > 0)
		ExplainPropertyInteger("Bytes per Group", NULL,
							   findings.bytes / findings.groups, es);
}

/* ---- the whole ------------------------------------------------------- */

static void
tell(DryRun *run, Oid schema)
{
	ExplainState *es = run->es;

	ExplainPropertyText("Continuous View",
						quote_qualified_identifier(get_namespace_name(schema),
												   run->create->name->relname),
						es);
	if (es->format == EXPLAIN_FORMAT_TEXT)
		es->indent++;
	if (!run->create->with_data)
		ExplainPropertyText("Status", "paused", es);
	tell_stream(run);
	tell_window(run);
	tell_keys(run);
	tell_states(run);
	tell_finals(run);
	if (es->analyze)
		analyze(run);
	if (es->format == EXPLAIN_FORMAT_TEXT)
		es->indent--;
}

static void
explain(WeirCreateView *create, ExplainState *es)
{
	Oid			schema;
	DryRun		run = {.create = create,.es = es};

	run.plan = weir_view_prepare(create, &schema);
	if (run.plan == NULL)
		return;
	run.stream = weir_stream_get(run.plan->stream);
	run.deparse = deparse_context_for(get_rel_name(run.plan->stream),
									  run.plan->stream);
	ExplainOpenGroup("Query", NULL, true, es);
	tell(&run, schema);
	ExplainCloseGroup("Query", NULL, true, es);
}

void
weir_explain_create(ExplainStmt *statement, WeirCreateView *create,
					DestReceiver *dest)
{
	ExplainState *es = NewExplainState();
	TupOutputState *output;

	read_options(es, statement->options);
	ExplainBeginOutput(es);
	explain(create, es);
	ExplainEndOutput(es);

	output = begin_tup_output_tupdesc(dest, ExplainResultDesc(statement),
									  &TTSOpsVirtual);
	if (es->format == EXPLAIN_FORMAT_TEXT)
		do_text_output_multiline(output, es->str->data);
	else
		do_text_output_oneline(output, es->str->data);
	end_tup_output(output);
}
