/*-------------------------------------------------------------------------
 *
 * why.c
 *	  Why is there no output?  In plain sentences.
 *
 * In this order, each with what to type where something can be done:
 *
 *		state		what the view is doing; always the first sentence
 *		since		since when and by whom, where it does nothing
 *		server		what keeps readers from running, or from reading
 *		producers	whether any sends, where there are some
 *		records		what became of those that were read
 *		time		who holds the watermark, what closes next (why_time.c)
 *		space		who keeps it from being reclaimed (holder.c)
 *
 * The sentences are part of what users and tests rely on: they are extended
 * at their ends and with new ones.  Errors may quote what was in messages;
 * only the view's owner and members of pg_read_all_stats are told.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "commands/holder.h"
#include "commands/maintain.h"
#include "commands/why.h"
#include "commands/why_time.h"
#include "worker/database.h"
#include "worker/worker.h"

/* ------------------------------------------------------------------ facts */

/* What shared memory knows of the view, its reader and its stream. */
static void
collect_shared(WeirFacts *facts)
{
	Oid			stream = facts->view->stream;
	const WeirViewEntry *entry;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	entry = weir_shmem_find_view(MyDatabaseId, facts->view->view);
	if (entry != NULL)
	{
		facts->entry = *entry;
		if (weir_shmem_claimed(entry))
			facts->slot = weir_shared->slots[entry->slot];
	}
	for (int p = 0; p < facts->n; p++)
	{
		const WeirPartitionEntry *end =
			weir_shmem_find_partition(MyDatabaseId, stream, p);

		if (end != NULL)
			facts->ends[p] = *end;
	}
	LWLockRelease(weir_shared->lock);
}

static WeirFacts *
collect_facts(const WeirView *view)
{
	WeirFacts  *facts = palloc0_object(WeirFacts);

	LockRelationOid(view->stream, AccessShareLock);
	facts->view = view;
	facts->name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(view->view)),
											 get_rel_name(view->view));
	facts->literal = quote_literal_cstr(facts->name);
	facts->stream = weir_stream_get(view->stream);
	facts->checkpoints = weir_checkpoint_read(view->view, &facts->n);
	facts->ends = palloc0_array(WeirPartitionEntry, facts->n + 1);
	facts->loaded = weir_shared != NULL;
	if (facts->loaded)
		collect_shared(facts);
	for (int p = 0; p < facts->n; p++)
		weir_counters_add(&facts->sum, &facts->checkpoints[p].counters);
	return facts;
}

/* An error, for those who may read it. */
static const char *
error_text(const WeirFacts *facts, const char *error)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		pg_class_ownercheck(facts->view->view, GetUserId()))
		return error;
	return "an error that its owner and members of pg_monitor may see";
}

/* The records behind which it is, -1: not known; and as of when. */
static int64
lag_of(const WeirFacts *facts, TimestampTz *asked_at)
{
	int64		lag = 0;

	*asked_at = DT_NOEND;
	for (int p = 0; p < facts->n; p++)
	{
		const WeirPartitionEntry *end = &facts->ends[p];

		if (end->asked_at == 0)
			return -1;
		lag += Max(end->high - facts->checkpoints[p].next_offset, 0);
		*asked_at = Min(*asked_at, end->asked_at);
	}
	return facts->n > 0 ? lag : -1;
}

/* ------------------------------------------------------------------ state */

/* "It is tried again at ...", or when not known. */
static char *
retry_text(TimestampTz at)
{
	if (at > GetCurrentTimestamp() && at != DT_NOEND)
		return psprintf("tried again at %s", weir_why_time(at));
	return pstrdup("tried again from time to time");
}

/* The reader of the stream that ended last without success, and when the next may start. */
static int
failed_starts(const WeirFacts *facts, TimestampTz *retry_at)
{
	int			failures = 0;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		const WeirSlot *slot = &weir_shared->slots[i];

		if (!slot->in_use && slot->kind == WEIR_WORKER_READER &&
			slot->database == MyDatabaseId &&
			slot->object == facts->view->stream && slot->failures > failures)
		{
			failures = slot->failures;
			*retry_at = slot->retry_at;
		}
	}
	LWLockRelease(weir_shared->lock);
	return failures;
}

static bool
shared_memory_full(const WeirFacts *facts)
{
	bool		room;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	room = weir_shmem_view_room();
	LWLockRelease(weir_shared->lock);
	return !room && !OidIsValid(facts->entry.database);
}

/* No reader has claimed the view: what it waits for. */
static void
explain_waiting(WeirFacts *facts)
{
	const char *state = facts->view->status == WEIR_QUEUED ?
		"The view is queued" : "The view is without a reader";
	TimestampTz retry_at = 0;
	int			failures;

	if (shared_memory_full(facts))
		weir_why_say(facts, "%s: shared memory holds %d continuous views of the cluster, and all places are taken.  Drop some that are not needed, in any database.",
					 state, WEIR_MAX_VIEWS);
	else if (facts->entry.waits == WEIR_WAITS_SLOT)
		weir_why_say(facts, "%s: all %d workers of the cluster are in use.  Raise weir.max_workers in postgresql.conf and restart.",
					 state, weir_max_workers);
	else if (facts->entry.waits == WEIR_WAITS_PROCESS)
		weir_why_say(facts, "%s: all background workers of the cluster are in use.  Raise max_worker_processes (%d) in postgresql.conf and restart.",
					 state, max_worker_processes);
	else if (facts->entry.waits == WEIR_WAITS_CATCH_UP)
		weir_why_say(facts, "%s: %d readers of this database catch up at a time, and it waits for its turn.  To let more do so, raise weir.max_catch_up in postgresql.conf and type: SELECT pg_reload_conf();",
					 state, weir_max_catch_up);
	else if ((failures = failed_starts(facts, &retry_at)) > 0)
		weir_why_say(facts, "%s: its reader ended %d times in a row; it is %s.  The server's log says why.",
					 state, failures, retry_text(retry_at));
	else if (facts->entry.retry_at > GetCurrentTimestamp())
		weir_why_say(facts, "%s: it left its reader; it is %s.  The server's log says why.",
					 state, retry_text(facts->entry.retry_at));
	else
		weir_why_say(facts, "%s: its reader is about to start.", state);
}

/* A reader serves the view, or may have when nothing can be known of it. */
static void
explain_running(WeirFacts *facts)
{
	TimestampTz asked_at;
	int64		lag = lag_of(facts, &asked_at);
	bool		catching_up = facts->view->status == WEIR_CATCHING_UP ||
		facts->entry.catch_up.since != 0;
	const char *state = catching_up ? "The view is catching up" :
		"The view is running";

	if (lag < 0)
		weir_why_say(facts, "%s.", state);
	else if (lag == 0)
		weir_why_say(facts, "%s: it has read its stream to the end, as of %s.",
					 state, weir_why_time(asked_at));
	else
		weir_why_say(facts, "%s: it is " INT64_FORMAT " offsets behind the end of its stream, as of %s.%s",
					 state, lag, weir_why_time(asked_at),
					 catching_up ? "  How long it will take: SELECT * FROM weir.stat_progress_catch_up;" : "");
}

static void
explain_paused(WeirFacts *facts)
{
	const WeirView *view = facts->view;
	const char *resume = psprintf("SELECT weir.resume(%s);", facts->literal);

	if (view->armed)
		weir_why_say(facts, "The view is paused.  Type: %s", resume);
	else if (view->status == WEIR_PAUSED && facts->n == 0)
		weir_why_say(facts, "The view is paused: it was created with no data.  To let it run, type: %s",
					 resume);
	else
		weir_why_say(facts, "The view is paused: it was restored or copied from another database or cluster.  To let it run here, type: %s",
					 resume);
}

static void
explain_failure(WeirFacts *facts)
{
	const WeirView *view = facts->view;
	const char *error = error_text(facts, view->error ? view->error :
								   "its log cannot be trusted");
	const char *state = view->error_sqlstate ? view->error_sqlstate : "?";
	char	   *at = weir_why_time(view->error_at);
	TimestampTz retry_at = Max(facts->entry.retry_at,
							   facts->entry.close_retry_at);

	if (view->status == WEIR_FAILED)
		weir_why_say(facts, "The view failed at %s with %s: %s.  It is %s; after mending the cause, type: SELECT weir.resume(%s);",
					 at, state, error, retry_text(retry_at), facts->literal);
	else if (view->status == WEIR_CLOSE_FAILED)
		weir_why_say(facts, "The view is running, but its windows could not be closed at %s, with %s: %s.  They stay open and visible; closing them is %s, and succeeds once the cause is mended.",
					 at, state, error, retry_text(retry_at));
	else if (weir_view_stopped_by_record(view))
		weir_why_say(facts, "The view is stopped: %s.  The stream's on_error was stop; to let the view go on and keep such records, type: ALTER FOREIGN TABLE %s OPTIONS (SET on_error 'dead_letter'); SELECT weir.resume(%s);",
					 error, facts->stream->name, facts->literal);
	else
		weir_why_say(facts, "The view is stopped: %s.  Nothing is read until you decide; drop the view and create it again to start from what the log has now.",
					 error);
}

/* Always one sentence, the first. */
static void
explain_state(WeirFacts *facts)
{
	const WeirView *view = facts->view;

	if (!view->armed || view->status == WEIR_PAUSED)
		explain_paused(facts);
	else if (view->status == WEIR_FAILED || view->status == WEIR_STOPPED ||
			 view->status == WEIR_CLOSE_FAILED)
		explain_failure(facts);
	else if (!facts->loaded)
		weir_why_say(facts, "The view is not read: the library is not loaded.  Add shared_preload_libraries = 'pg_weir' to postgresql.conf and restart.");
	else if (!RecoveryInProgress() && !facts->slot.in_use)
		explain_waiting(facts);
	else
		explain_running(facts);
}

/* Since when it does nothing, and by whom. */
static void
explain_since(WeirFacts *facts)
{
	const WeirView *view = facts->view;

	if (view->status == WEIR_PAUSED || view->status == WEIR_STOPPED)
		weir_why_say(facts, "It has been so since %s%s%s.",
					 weir_why_time(view->status_since),
					 view->status_by ? ", by " : "",
					 view->status_by ? quote_identifier(view->status_by) : "");
}

/* ----------------------------------------------------------------- server */

/* Does a database worker run here; if not, what does it wait for? */
static bool
database_worker(WeirWaits *waits)
{
	WeirDatabase *entry;
	bool		found = false;

	LWLockAcquire(weir_shared->lock, LW_SHARED);
	for (int i = 0; i < WEIR_MAX_WORKERS && !found; i++)
	{
		const WeirSlot *slot = &weir_shared->slots[i];

		found = slot->kind == WEIR_WORKER_DATABASE &&
			slot->database == MyDatabaseId && weir_shmem_taken(slot);
	}
	entry = weir_shmem_database(MyDatabaseId, false);
	*waits = entry != NULL ? entry->waits : WEIR_WAITS_NOT;
	LWLockRelease(weir_shared->lock);
	return found;
}

/* What keeps every view of the database from running. */
static void
explain_server(WeirFacts *facts)
{
	WeirWaits	waits;

	if (!facts->loaded)
		return;
	if (RecoveryInProgress())
		weir_why_say(facts, "This server is a standby: views are kept up to date on the primary, and read here as far as it has replayed.");
	else if (!database_worker(&waits))
	{
		if (waits == WEIR_WAITS_SLOT)
			weir_why_say(facts, "No worker runs in this database: all %d of the cluster are in use.  Raise weir.max_workers in postgresql.conf and restart.",
						 weir_max_workers);
		else if (waits == WEIR_WAITS_PROCESS)
			weir_why_say(facts, "No worker runs in this database: all background workers of the cluster are in use.  Raise max_worker_processes (%d) in postgresql.conf and restart.",
						 max_worker_processes);
		else
			weir_why_say(facts, "No worker runs in this database yet.");
	}
}

/* What keeps the reader from reading. */
static void
explain_reader(WeirFacts *facts)
{
	const WeirSlot *slot = &facts->slot;

	if (slot->in_use && slot->error[0] != '\0')
		weir_why_say(facts, "The reader of stream %s cannot read since %s: %s.  It is %s.",
					 facts->stream->name, weir_why_time(slot->error_since),
					 error_text(facts, slot->error),
					 retry_text(slot->again_at));
	if (slot->in_use && facts->n > 0 && slot->error[0] == '\0')
	{
		bool		room;

		LWLockAcquire(weir_shared->lock, LW_SHARED);
		room = weir_shmem_partition_room();
		LWLockRelease(weir_shared->lock);
		if (!room && facts->ends[facts->n - 1].asked_at == 0)
			weir_why_say(facts, "Shared memory holds %d partitions of streams of the cluster, and all places are taken: the lag is not known, and a reader that catches up does not join the main one.",
						 WEIR_MAX_PARTITIONS);
	}
}

/*
 * The stream has producers, and none of them is to send.  Speaks of those
 * only that the user sees in weir.stat_producer.
 */
static void
explain_producers(WeirFacts *facts)
{
	const WeirProducer *silent = NULL;
	ListCell   *lc;

	foreach(lc, weir_producer_list())
	{
		const WeirProducer *producer = lfirst(lc);

		if (producer->target != facts->view->stream)
			continue;
		if (producer->enabled && producer->error == NULL)
			return;
		if (has_privs_of_role(GetUserId(), producer->owner) ||
			has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
			silent = producer;
	}
	if (silent == NULL)
		return;
	if (silent->enabled)
		weir_why_say(facts, "No producer sends to stream %s: \"%s\" failed with: %s.  It is tried again from time to time.",
					 facts->stream->name, silent->name, silent->error);
	else
		weir_why_say(facts, "No producer sends to stream %s: \"%s\" is stopped.  To let it go on, type: SELECT weir.start_producer(%s, %s, %s%s);",
					 facts->stream->name, silent->name,
					 quote_literal_cstr(silent->name),
					 quote_literal_cstr(silent->source),
					 quote_literal_cstr(facts->stream->name),
					 silent->rate > 0 ? psprintf(", %.15g", silent->rate) : "");
}

/* ---------------------------------------------------------------- records */

static void
explain_nothing_read(WeirFacts *facts)
{
	TimestampTz asked_at;
	int64		lag = lag_of(facts, &asked_at);
	bool		empty = lag == 0;

	for (int p = 0; p < facts->n; p++)
		empty &= facts->ends[p].low == facts->ends[p].high;
	if (facts->n == 0)
		weir_why_say(facts, "Nothing has been read yet: its reader has not reached the stream so far.");
	else if (empty)
		weir_why_say(facts, "Nothing has been read yet: stream %s is empty, as of %s.",
					 facts->stream->name, weir_why_time(asked_at));
	else if (lag == 0)
		weir_why_say(facts, "Nothing has been read yet: stream %s has no record at or after the view's start (weir.start = %s), as of %s.",
					 facts->stream->name, facts->view->start,
					 weir_why_time(asked_at));
	else
		weir_why_say(facts, "Nothing has been read yet.");
}

static void
explain_late(WeirFacts *facts)
{
	bool		stored = strcmp(facts->view->on_late, "store") == 0;

	weir_why_say(facts, INT64_FORMAT " of " INT64_FORMAT " records read were late and are not counted%s.  %s%s%sTo wait longer for such records, create the stream with a greater watermark_delay, or the view with a greater weir.lateness.",
				 facts->sum.late, facts->sum.read,
				 stored ? "" : " (weir.on_late = count)",
				 stored ? "Look at them: SELECT * FROM weir.late_event WHERE view = " : "",
				 stored ? facts->literal : "",
				 stored ? "::regclass ORDER BY event_time DESC LIMIT 10;  " : "");
}

static void
explain_bad(WeirFacts *facts)
{
	if (facts->sum.dead_lettered > 0)
		weir_why_say(facts, INT64_FORMAT " of " INT64_FORMAT " records read were bad and are kept.  Look at them: SELECT partition, \"offset\", reason, value FROM weir.dead_letter WHERE view = %s::regclass ORDER BY at DESC LIMIT 10;",
					 facts->sum.dead_lettered, facts->sum.read,
					 facts->literal);
	if (facts->sum.skipped > 0)
		weir_why_say(facts, INT64_FORMAT " of " INT64_FORMAT " records read were bad and were skipped (the stream's on_error = skip).",
					 facts->sum.skipped, facts->sum.read);
}

/* Nothing read, or nothing of it aggregated; what else was not. */
static void
explain_records(WeirFacts *facts)
{
	const WeirCounters *sum = &facts->sum;

	if (sum->read == 0)
	{
		explain_nothing_read(facts);
		return;
	}
	if (sum->filtered == sum->read)
		weir_why_say(facts, "All " INT64_FORMAT " records read were filtered out by WHERE.  Compare it with what comes in: SELECT * FROM %s LIMIT 10;",
					 sum->read, facts->stream->name);
	else if (sum->aggregated == 0)
		weir_why_say(facts, "Of " INT64_FORMAT " records read none was aggregated: " INT64_FORMAT " did not pass WHERE, " INT64_FORMAT " were late, " INT64_FORMAT " were bad, " INT64_FORMAT " were tombstones.",
					 sum->read, sum->filtered, sum->late,
					 sum->dead_lettered + sum->skipped, sum->tombstones);
	if (sum->late > 0)
		explain_late(facts);
	explain_bad(facts);
}

/* ----------------------------------------------------------------- answer */

List *
weir_why_sentences(const WeirView *view)
{
	WeirFacts  *facts = collect_facts(view);
	char	   *holder;

	explain_state(facts);
	explain_since(facts);
	explain_server(facts);
	explain_reader(facts);
	explain_producers(facts);
	explain_records(facts);
	if (facts->n > 0)
		weir_why_watermark(facts);
	holder = weir_holder_sentence(view);
	if (holder != NULL)
		facts->sentences = lappend(facts->sentences, holder);
	return list_concat(facts->sentences, weir_maintain_sentences(view));
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
