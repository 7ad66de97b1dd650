/*-------------------------------------------------------------------------
 *
 * why.c
 *	  Why is there no output?  In plain sentences.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "catalog/checkpoint.h"
#include "commands/why.h"
#include "source/stream.h"
#include "window/watermark.h"
#include "worker/database.h"
#include "worker/worker.h"

static char *
qualified(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

static const char *
time_text(TimestampTz t)
{
	return pstrdup(timestamptz_to_str(t));
}

/* The last error outside of any view of the reader that serves the stream. */
static char *
reader_error(const WeirView *view, bool *running)
{
	char	   *error = NULL;

	*running = false;
	if (weir_shared == NULL)
		return NULL;
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		const WeirSlot *slot = &weir_shared->slots[i];

		if (slot->in_use && slot->kind == WEIR_WORKER_READER &&
			slot->database == MyDatabaseId && slot->object == view->stream)
		{
			*running = true;
			if (slot->error[0] != '\0')
				error = pstrdup(slot->error);
		}
	}
	LWLockRelease(weir_shared->lock);
	return error;
}

/* What the status alone says. */
static List *
explain_status(const WeirView *view, List *sentences)
{
	char	   *name = qualified(view->view);

	if (!view->armed)
		return lappend(sentences,
					   psprintf("The view is paused: it was restored or copied, or created with no data."
								"  To let it run here, type: SELECT weir.resume('%s');", name));
	switch (view->status)
	{
		case WEIR_PAUSED:
			sentences = lappend(sentences,
								psprintf("The view is paused.  Type: SELECT weir.resume('%s');", name));
			break;
		case WEIR_QUEUED:
			sentences = lappend(sentences,
								psprintf("The view is queued: it waits for a reader.  At most %d readers catch up at a time (weir.max_catch_up), of %d workers (weir.max_workers).",
										 weir_max_catch_up, weir_max_workers));
			break;
		case WEIR_FAILED:
			sentences = lappend(sentences,
								psprintf("The view failed at %s with %s: %s.  It is tried again from time to time; after mending the cause, type: SELECT weir.resume('%s');",
										 time_text(view->error_at), view->error_sqlstate, view->error, name));
			break;
		case WEIR_CLOSE_FAILED:
			sentences = lappend(sentences,
								psprintf("Windows could not be closed at %s, with %s: %s.  They stay open and visible; closing is tried again from time to time.",
										 time_text(view->error_at), view->error_sqlstate, view->error));
			break;
		case WEIR_STOPPED:
			sentences = lappend(sentences,
								psprintf("The view is stopped: %s.  Nothing is read until you decide; drop the view and create it again to start from what the log has now.",
										 view->error ? view->error : "its log cannot be trusted"));
			break;
		case WEIR_CATCHING_UP:
			sentences = lappend(sentences, "The view is catching up.");
			break;
		case WEIR_RUNNING:
			sentences = lappend(sentences, "The view is running.");
			break;
	}
	return sentences;
}

/* Nothing read, or nothing of it aggregated. */
static List *
explain_counters(const WeirCheckpoint *checkpoints, int n, List *sentences)
{
	WeirCounters sum = {0};
	int64		bad;

	for (int p = 0; p < n; p++)
	{
		sum.read += checkpoints[p].counters.read;
		sum.aggregated += checkpoints[p].counters.aggregated;
		sum.filtered += checkpoints[p].counters.filtered;
		sum.late += checkpoints[p].counters.late;
		sum.dead_lettered += checkpoints[p].counters.dead_lettered;
		sum.skipped += checkpoints[p].counters.skipped;
	}
	bad = sum.dead_lettered + sum.skipped;
	if (sum.read == 0)
		return lappend(sentences, "Nothing has been read yet: the topic has no record at or after the view's start.");
	if (sum.aggregated == 0)
		sentences = lappend(sentences,
							psprintf("Of " INT64_FORMAT " records read none was aggregated: " INT64_FORMAT " did not pass WHERE, " INT64_FORMAT " were late, " INT64_FORMAT " were bad.",
									 sum.read, sum.filtered, sum.late, bad));
	else if (bad > 0 || sum.late > 0)
		sentences = lappend(sentences,
							psprintf("Of " INT64_FORMAT " records read " INT64_FORMAT " were late (weir.late_event) and " INT64_FORMAT " bad (weir.dead_letter).",
									 sum.read, sum.late, bad));
	return sentences;
}

/* Who moved the watermark, if it was not the log. */
static char *
explain_moved(const WeirView *view, const WeirStream *stream,
			  TimestampTz watermark)
{
	TimestampTz at;
	char	   *kind = weir_exception_kind(view->view, watermark, &at);

	if (kind == NULL)
		return NULL;
	if (strcmp(kind, "advance") == 0)
		return psprintf("The watermark is %s: weir.advance() moved it there at %s.",
						time_text(watermark), time_text(at));
	return psprintf("The watermark is %s: nothing was read for the stream's close_timeout of " INT64_FORMAT " s, and it has gone on with the clock since %s.",
					time_text(watermark),
					stream->close_timeout / USECS_PER_SEC, time_text(at));
}

/* The partition that holds the watermark, and how far it has come. */
static List *
explain_watermark(const WeirView *view, const WeirCheckpoint *checkpoints,
				  int n, List *sentences)
{
	WeirStream *stream = weir_stream_get(view->stream);
	WeirViewState state;
	TimestampTz watermark = DT_NOBEGIN;
	char	   *moved;
	int			holder = 0;

	for (int p = 0; p < n; p++)
	{
		watermark = Max(watermark, checkpoints[p].watermark);
		if (checkpoints[p].max_event_time < checkpoints[holder].max_event_time)
			holder = p;
	}
	weir_view_state_get(view->closed, &state);
	moved = explain_moved(view, stream, watermark);
	if (moved == NULL && checkpoints[holder].max_event_time == DT_NOBEGIN)
		return lappend(sentences,
					   psprintf("Partition %d holds the watermark: it has had no record yet.  It lets go when it is idle for " INT64_FORMAT " s of Kafka time (the stream's idle_timeout).",
								holder, stream->idle_timeout / USECS_PER_SEC));
	sentences = lappend(sentences, moved != NULL ? moved :
						psprintf("The watermark is %s; partition %d holds it, with %s as its greatest event time and a watermark_delay of " INT64_FORMAT " s.",
								 time_text(watermark), holder,
								 time_text(checkpoints[holder].max_event_time),
								 stream->watermark_delay / USECS_PER_SEC));
	return lappend(sentences,
				   state.closed_to == DT_NOBEGIN ?
				   pstrdup("No window is closed yet.") :
				   psprintf("Windows that end by %s are closed.",
							time_text(state.closed_to)));
}

List *
weir_why_sentences(const WeirView *view)
{
	List	   *sentences = explain_status(view, NIL);
	WeirCheckpoint *checkpoints;
	bool		running;
	char	   *error = reader_error(view, &running);
	int			n;

	if (error != NULL)
		sentences = lappend(sentences,
							psprintf("The reader of stream %s cannot read: %s.  It tries again from time to time.",
									 qualified(view->stream), error));
	else if (!running && weir_shared == NULL)
		sentences = lappend(sentences, "The library is not loaded: add shared_preload_libraries = 'pg_weir' to postgresql.conf and restart.");
	checkpoints = weir_checkpoint_read(view->view, &n);
	if (n == 0)
		return lappend(sentences, "The view has not learned yet where it starts.");
	sentences = explain_counters(checkpoints, n, sentences);
	return explain_watermark(view, checkpoints, n, sentences);
}

PG_FUNCTION_INFO_V1(weir_why);

/*
 * weir.why(view regclass): one sentence a row.  Raises 42809 if it is no
 * continuous view.
 */
Datum
weir_why(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirView   *view = weir_view_get(PG_GETARG_OID(0), false);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, weir_why_sentences(view))
	{
		Datum		value = CStringGetTextDatum(lfirst(lc));
		bool		isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value,
							 &isnull);
	}
	return (Datum) 0;
}
