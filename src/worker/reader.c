/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  A reader: one pass over a stream for the views that it serves.
 *
 * The loop, each step outside of any transaction unless it says so:
 *
 *		assign		start from the checkpoints (assign.c)
 *		collect		take messages until the batch is full or its time is up
 *		commit		decode once, apply to each view in a subtransaction of
 *					its own; one transaction
 *		answers		ask for ends where they decide whether a partition is
 *					idle, or whether a silence closes windows (answer.c); if
 *					that moves a watermark, commit an empty batch
 *		close		close windows, a transaction for each view
 *		compact		merge segments and give space back, a transaction each
 *
 * A worker holds no state between batches but what it can read again.  After
 * an error outside of any view the transaction is gone, and the reader
 * assigns itself anew from the checkpoints.  A view that a batch could not be
 * applied to leaves the reader: it comes back by an assignment, so it cannot
 * miss a batch (I2).
 *
 * No Kafka call is made inside a transaction (I7).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/usercontext.h"
#include "worker/answer.h"
#include "worker/assign.h"
#include "worker/claim.h"
#include "worker/measure.h"
#include "worker/publish.h"
#include "worker/reader.h"
#include "worker/tend.h"
#include "worker/worker.h"

#define POLL_MESSAGES		10000	/* taken from the source at a time */
#define BATCH_BYTES			(64 * 1024 * 1024)	/* payload of a batch */
#define DECODED_BYTES		(512 * 1024 * 1024) /* what a batch is decoded to */
#define DRAIN_MS			50	/* between looks while a batch is open */
#define RECLAIM_MS			5000	/* between attempts to reclaim */
#define JOIN_MS				1000	/* between attempts to join main */
#define REFRESH_MS			10000	/* between looks at the partitions */
#define PUBLISH_MS			5000	/* between publications of positions */
#define MAX_BACKOFF_MS		60000
#define QUIET_MS			1000	/* silence that raises doubt */
#define USAGE_MS			1000	/* between publications of what is used */

int			weir_batch_time = 500;
int			weir_max_rate = 0;

typedef struct Reader
{
	WeirSlot   *slot;
	WeirAssignment *assignment;
	bool		assigned;
	bool		heard;			/* anything, since it was assigned */
	int			failures;		/* in a row, outside of any view */

	/* the batch at hand */
	MemoryContext context;		/* reset after each batch */
	WeirBatch	batch;
	int			room;			/* records that fit */
	int		   *count;			/* records by partition */
	Size		bytes;
	bool		committing;		/* the last attempt has not succeeded yet */
	bool		doubted;		/* is it the log that was read before? */
	bool		cut;			/* what was taken does not all belong to it */
	TimestampTz began;			/* 0: nothing collected yet */

	/* the batch before it, for weir.max_rate */
	TimestampTz paced_since;
	int			paced_records;

	WeirAnswers answers;

	/* when things were done last */
	TimestampTz quiet_since;	/* waiting for any message, or 0 */
	TimestampTz assigned_at;
	TimestampTz refreshed_at;
	TimestampTz published_at;
	TimestampTz reclaimed_at;
	TimestampTz used_at;		/* what is used was published */
	bool		worked;			/* since then */
	bool		reclaim;		/* there are dead segments to give back */
} Reader;

/* Has anything been changed that the served views depend on? */
static volatile bool invalidated = false;

static void
note_relation(Datum arg, Oid relid)
{
	invalidated = true;
}

/* A foreign server or a user mapping. */
static void
note_access(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidated = true;
}

static bool
elapsed(TimestampTz since, int milliseconds)
{
	return TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
									  milliseconds);
}

/* ---------------------------------------------------------------- collect */

/* Begin an empty batch at the present positions. */
static void
begin_batch(Reader *reader)
{
	WeirAssignment *assignment = reader->assignment;
	int			n = assignment->npartitions;

	if (assignment->source != NULL)
		weir_source_release(assignment->source);
	MemoryContextReset(reader->context);
	MemoryContextSwitchTo(reader->context);
	memset(&reader->batch, 0, sizeof(WeirBatch));
	reader->batch.stream = assignment->stream;
	reader->batch.npartitions = n;
	reader->batch.from = palloc_array(int64, n);
	reader->batch.to = palloc_array(int64, n);
	reader->count = palloc0_array(int, n);
	for (int p = 0; p < n; p++)
		reader->batch.from[p] = reader->batch.to[p] = assignment->position[p];
	reader->room = 1024;
	reader->batch.records = palloc_array(WeirRecord, reader->room);
	reader->bytes = 0;
	reader->doubted = false;
	reader->cut = false;
	reader->began = 0;
}

static void
take_record(Reader *reader, const WeirMessage *message)
{
	WeirBatch  *batch = &reader->batch;
	WeirRecord *record;

	if (batch->nrecords == reader->room)
	{
		reader->room *= 2;
		batch->records = repalloc_huge(batch->records,
									   sizeof(WeirRecord) * reader->room);
	}
	record = &batch->records[batch->nrecords++];
	record->message = *message;
	reader->bytes += Max(message->value_len, 0) + Max(message->key_len, 0);
	reader->count[message->partition]++;
}

/* A message of the source: part of the batch, an anchor, or an end. */
static void
take_message(Reader *reader, const WeirMessage *message)
{
	WeirBatch  *batch = &reader->batch;
	int			p = message->partition;

	if (message->kind == WEIR_EOF)
	{
		batch->to[p] = Max(batch->to[p], message->offset);
		return;
	}
	if (message->offset < batch->to[p])
	{
		weir_assignment_check_anchor(reader->assignment, message);
		return;
	}
	take_record(reader, message);
	batch->to[p] = message->offset + 1;
}

/* How many more messages may come, so that no partition gets too many. */
static int
room_in_batch(const Reader *reader)
{
	int			most = 0;

	if (reader->bytes >= BATCH_BYTES)
		return 0;
	for (int p = 0; p < reader->batch.npartitions; p++)
		most = Max(most, reader->count[p]);
	return Min(weir_batch_rows - most, POLL_MESSAGES);
}

/*
 * Something has arrived, or nothing.  A topic that is deleted falls silent;
 * made anew and longer than before, it would go on as if nothing had been.
 * So what ends a silence is not taken before the anchors were read again.
 * What an assignment brings is not doubted, else it might never be taken.
 */
static void
note_arrival(Reader *reader, bool arrived)
{
	if (arrived)
	{
		reader->doubted |= reader->quiet_since != 0 && reader->heard &&
			reader->assignment->stream->kind == WEIR_KAFKA &&
			elapsed(reader->quiet_since, QUIET_MS) &&
			elapsed(reader->assigned_at, 2 * QUIET_MS);
		reader->quiet_since = 0;
		reader->heard = true;
	}
	else if (reader->quiet_since == 0)
		reader->quiet_since = GetCurrentTimestamp();
}

/*
 * Take what is here now, for as long as a batch may take.  True if the batch
 * is full.
 */
static bool
drain(Reader *reader)
{
	WeirMessage *messages = palloc_array(WeirMessage, POLL_MESSAGES);
	int			nrecords = reader->batch.nrecords;
	int			room;
	int			n;

	while ((room = room_in_batch(reader)) > 0)
	{
		n = weir_source_poll(reader->assignment->source, messages, room);
		if (reader->began == 0)
			note_arrival(reader, n > 0);
		if (n == 0 || reader->doubted)
			break;
		for (int i = 0; i < n; i++)
			take_message(reader, &messages[i]);
		if (reader->began == 0)
			reader->began = GetCurrentTimestamp();
		else if (elapsed(reader->began, weir_batch_time))
			break;				/* what trickles in must not keep it open */
		CHECK_FOR_INTERRUPTS();
	}
	if (reader->batch.nrecords > nrecords)
		reader->answers.read_at = GetCurrentTimestamp();
	pfree(messages);
	return room <= 0;
}

/* The time until the batch at hand is due, or until something else is. */
static long
time_to_wait(Reader *reader)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = TimestampTzPlusMilliseconds(now, REFRESH_MS);
	ListCell   *lc;

	if (reader->began != 0)
	{
		due = TimestampTzPlusMilliseconds(reader->began, weir_batch_time);
		return Min(TimestampDifferenceMilliseconds(now, due), DRAIN_MS);
	}
	due = Min(due, weir_source_ready_at(reader->assignment->source));
	if (reader->reclaim)
		due = Min(due, TimestampTzPlusMilliseconds(now, RECLAIM_MS));
	if (!reader->slot->main)
		due = Min(due, TimestampTzPlusMilliseconds(now, JOIN_MS));
	foreach(lc, reader->assignment->served)
	{
		WeirServed *served = lfirst(lc);

		if (served->close_retry_at > now)
			due = Min(due, served->close_retry_at);
	}
	due = Min(due, weir_answers_due(&reader->answers, reader->assignment));
	return TimestampDifferenceMilliseconds(now, due);
}

/* Sleep until there may be something to do. */
static void
wait_for_messages(Reader *reader)
{
	pgsocket	socket = weir_source_socket(reader->assignment->source);
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	pgstat_report_activity(STATE_IDLE, NULL);
	if (reader->worked && reader->began == 0)
	{
		weir_worker_publish_usage();
		reader->used_at = GetCurrentTimestamp();
		reader->worked = false;
	}
	if (socket != PGINVALID_SOCKET && reader->began == 0)
		events |= WL_SOCKET_READABLE;
	(void) WaitLatchOrSocket(MyLatch, events, socket, time_to_wait(reader),
							 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	AcceptInvalidationMessages();
}

/* Collect a batch; true if there is one to commit. */
static bool
collect(Reader *reader)
{
	bool		full = drain(reader);

	if (!full && !reader->doubted &&
		(reader->began == 0 ||
		 !elapsed(reader->began, weir_batch_time)))
	{
		wait_for_messages(reader);
		full = drain(reader);
	}
	if (reader->began == 0 || reader->doubted)
		return false;
	return full || elapsed(reader->began, weir_batch_time) || invalidated;
}

/* ----------------------------------------------------------------- commit */

typedef struct ApplyWork
{
	WeirServed *served;
	const WeirBatch *batch;
	const bool *read_to_end;
	bool		applied;
} ApplyWork;

static void
apply_to_view(void *arg)
{
	ApplyWork  *work = (ApplyWork *) arg;

	work->applied = weir_served_apply(work->served, work->batch,
									  work->read_to_end);
}

/* Write down why a view leaves, in the transaction of the others' batch. */
static void
record_failure(WeirServed *served, ErrorData *error)
{
	WeirErrorClass class = weir_error_class(error->sqlerrcode);
	Oid			view = served->view->view;

	if (class != WEIR_ERROR_RETRY &&
		!weir_view_set_failed(view, class == WEIR_ERROR_LOG ? WEIR_STOPPED :
							  WEIR_FAILED, error))
		return;					/* it was dropped */
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("continuous view \"%s\" leaves its reader: %s",
					get_rel_name(view), error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0));
}

/* Apply the batch to one view.  True if it stays with the reader. */
static bool
apply_batch_to(Reader *reader, WeirServed *served, const bool *read_to_end,
			   bool *failed)
{
	ApplyWork	work = {
		.served = served,
		.batch = &reader->batch,
		.read_to_end = read_to_end
	};
	ErrorData  *error;

	*failed = false;
	if (!weir_served_takes(served, &reader->batch))
		return false;
	error = weir_try(apply_to_view, &work);
	if (error == NULL)
		return work.applied;
	served->pending = NULL;
	record_failure(served, error);
	*failed = true;
	return false;
}

/*
 * A few bytes can stand for very many, and so for more memory than there is.
 * The batch ends before the records that are not decoded; they are read again.
 */
static void
cut_batch(Reader *reader, int n)
{
	WeirBatch  *batch = &reader->batch;

	for (int i = n; i < batch->nrecords; i++)
	{
		const WeirMessage *message = &batch->records[i].message;
		int64	   *to = &batch->to[message->partition];

		*to = Min(*to, message->offset);
	}
	batch->nrecords = n;
	reader->cut = true;
}

/* Decode the columns that some view needs, as the stream's owner. */
static void
decode_batch(Reader *reader)
{
	WeirStream *stream = reader->assignment->stream;
	Bitmapset  *needed = NULL;
	WeirUserContext user;
	WeirDecoder *decoder;
	ListCell   *lc;
	int			n;

	if (reader->batch.nrecords == 0)
		return;
	foreach(lc, reader->assignment->served)
		needed = bms_add_members(needed,
								 ((WeirServed *) lfirst(lc))->plan->columns);
	weir_user_enter(&user, stream->owner, NIL);
	decoder = weir_decoder_create(stream, needed);
	n = weir_decode(decoder, reader->assignment->source, reader->batch.records,
					reader->batch.nrecords, DECODED_BYTES);
	weir_user_leave(&user);
	if (n < reader->batch.nrecords)
		cut_batch(reader, n);
}

/* The views that have left, and whether that was a failure. */
typedef struct Leaver
{
	WeirServed *served;
	bool		failed;
} Leaver;

/*
 * An error outside of any view is over: by a batch that was committed, or, if
 * it was none of committing one, by an answer of the source.
 */
static void
forget_error(Reader *reader)
{
	if (reader->slot->error[0] != '\0')
		weir_worker_show_error(NULL, 0);
}

/* While it works a reader says once a second what it uses. */
static void
publish_usage(Reader *reader)
{
	reader->worked = !elapsed(reader->used_at, USAGE_MS);
	if (reader->worked)
		return;
	reader->used_at = GetCurrentTimestamp();
	weir_worker_publish_usage();
}

/* The batch is committed: the positions are behind it. */
static void
batch_committed(Reader *reader, List *leavers, TimestampTz started)
{
	WeirAssignment *assignment = reader->assignment;
	ListCell   *lc;

	weir_measure_batch(assignment, &reader->batch, started);
	foreach(lc, assignment->served)
		weir_served_committed(lfirst(lc));
	foreach(lc, leavers)
	{
		Leaver	   *leaver = lfirst(lc);

		weir_assignment_leave(assignment, leaver->served, leaver->failed);
	}
	for (int p = 0; p < assignment->npartitions; p++)
		assignment->position[p] = reader->batch.to[p];
	weir_claim_publish(reader->slot, assignment->npartitions,
					   assignment->position);
	weir_measure_progress(assignment);
	ConditionVariableBroadcast(&weir_shared->progress);
	publish_usage(reader);
	reader->committing = false;
	forget_error(reader);
	reader->failures = 0;
	if (leavers != NIL)
		weir_worker_ready();
}

/*
 * Commit the batch at hand for all views, or, without records, what moved.
 * False if the stream is gone.
 */
static bool
commit_batch(Reader *reader, const bool *read_to_end)
{
	TimestampTz started = GetCurrentTimestamp();
	List	   *leavers = NIL;
	ListCell   *lc;

	pgstat_report_activity(STATE_RUNNING, "applying a batch");
	reader->batch.now = started;
	reader->committing = true;
	WEIR_FAULT("batch-collected");
	if (!weir_worker_begin(reader->slot->object))
	{
		weir_worker_commit();
		return false;
	}
	MemoryContextSwitchTo(reader->context);
	decode_batch(reader);
	WEIR_FAULT("batch-decoded");
	foreach(lc, reader->assignment->served)
	{
		WeirServed *served = lfirst(lc);
		bool		failed;

		if (!apply_batch_to(reader, served, read_to_end, &failed))
		{
			Leaver	   *leaver = palloc_object(Leaver);

			leaver->served = served;
			leaver->failed = failed;
			leavers = lappend(leavers, leaver);
		}
		MemoryContextSwitchTo(reader->context);
	}
	WEIR_FAULT("batch-commit");
	weir_worker_commit();
	WEIR_FAULT("batch-committed");
	MemoryContextSwitchTo(reader->context);
	batch_committed(reader, leavers, started);
	return true;
}

/* ---------------------------------------------------------------- answers */

/* Has a view that had failed been served, with nothing there to read? */
static bool
may_be_healed(const Reader *reader)
{
	ListCell   *lc;

	foreach(lc, reader->assignment->served)
	{
		const WeirServed *served = lfirst(lc);

		if (served->failed && served->at_end)
			return true;
	}
	return false;
}

/*
 * What a clock moves, or what needs no record, is an empty batch: idle
 * partitions let the watermark go, a silence moves it on, a view has healed.
 */
static void
commit_without_records(Reader *reader)
{
	bool	   *read_to_end;
	bool		moves;
	ListCell   *lc;

	begin_batch(reader);
	read_to_end = palloc0_array(bool, reader->assignment->npartitions);
	moves = weir_answers_move_idle(&reader->answers, reader->assignment,
								   read_to_end);
	moves |= weir_answers_move_silent(&reader->answers, reader->assignment);
	if (moves || may_be_healed(reader))
		(void) commit_batch(reader, read_to_end);
	foreach(lc, reader->assignment->served)
		((WeirServed *) lfirst(lc))->silence = 0;
}

/* Keep the ends in shared memory fresh, for the lag that operators see. */
static void
refresh_ends(Reader *reader)
{
	WeirAssignment *assignment = reader->assignment;
	int			n = assignment->npartitions;
	WeirEnds   *ends;
	bool		grown;

	if (!elapsed(reader->refreshed_at, REFRESH_MS))
		return;
	reader->refreshed_at = GetCurrentTimestamp();
	ends = palloc_array(WeirEnds, n);
	if (weir_source_all_ends(assignment->source, n, ends))
	{
		for (int p = 0; p < n; p++)
			weir_assignment_note_ends(assignment, p, &ends[p]);
		weir_measure_progress(assignment);
		if (!reader->committing)
			forget_error(reader);
	}
	pfree(ends);
	grown = weir_source_partitions(assignment->source) !=
		assignment->npartitions;
	if (grown)
		reader->assigned = false;
}

/* -------------------------------------------------------------- the loop */

/* Close, compact and reclaim; after a batch and on ticks. */
static void
tend_views(Reader *reader, bool wrote)
{
	bool		reclaim = reader->reclaim &&
		elapsed(reader->reclaimed_at, RECLAIM_MS);

	MemoryContextSwitchTo(reader->context);
	if (reclaim)
	{
		reader->reclaimed_at = GetCurrentTimestamp();
		reader->reclaim = false;
	}
	reader->reclaim |= weir_tend_views(reader->assignment, wrote, reclaim);
}

/* Publish positions for lag tools, now and then. */
static void
publish_positions(Reader *reader)
{
	if (reader->assignment->stream->kind != WEIR_KAFKA ||
		!elapsed(reader->published_at, PUBLISH_MS))
		return;
	reader->published_at = GetCurrentTimestamp();
	MemoryContextSwitchTo(reader->context);
	weir_publish_positions(reader->assignment);
}

/* What may be changed of a stream while views read it. */
static void
read_options(WeirStream *stream)
{
	WeirStream *now = weir_stream_get(stream->relid);

	stream->idle_timeout = now->idle_timeout;
	stream->close_timeout = now->close_timeout;
	stream->on_error = now->on_error;
}

/*
 * Follow what commands have changed: views whose row forbids them to run
 * leave, also on a quiet stream, and so do those that were paused and resumed
 * meanwhile; the others take over a watermark that was moved by hand, and the
 * stream's options.  All leave a connection that was made with a user mapping
 * which is not theirs any more, and get a reader anew.  False if nothing is left
 * to serve, or the stream or the extension is gone (I9).
 */
static bool
follow_commands(Reader *reader)
{
	List	   *leavers = NIL;
	ListCell   *lc;
	bool		access;

	invalidated = false;
	if (!weir_worker_begin(reader->slot->object))
	{
		weir_worker_commit();
		return false;
	}
	MemoryContextSwitchTo(reader->context);
	read_options(reader->assignment->stream);
	access = weir_assignment_has_access(reader->assignment);
	foreach(lc, reader->assignment->served)
	{
		WeirServed *served = lfirst(lc);
		WeirView   *view = weir_view_get(served->view->view, true);

		if (!access || !weir_served_stays(served, view) ||
			!weir_served_read_watermark(served))
			leavers = lappend(leavers, served);
	}
	weir_worker_commit();
	MemoryContextSwitchTo(reader->context);
	foreach(lc, leavers)
		weir_assignment_leave(reader->assignment, lfirst(lc), false);
	if (leavers != NIL)
	{
		weir_worker_ready();
		ConditionVariableBroadcast(&weir_shared->progress);
	}
	reader->assigned = reader->assignment->served != NIL;
	return reader->assigned;
}

/*
 * A reader that is catching up keeps below weir.max_rate: the batch before
 * takes as long as its records may, whatever wakes us in the meantime.
 */
static bool
rest(Reader *reader)
{
	long		needed;
	long		taken;

	if (weir_max_rate == 0 || reader->slot->main)
		return false;
	needed = (long) (reader->paced_records * 1000.0 / weir_max_rate);
	taken = TimestampDifferenceMilliseconds(reader->paced_since,
											GetCurrentTimestamp());
	if (needed <= taken)
		return false;
	weir_worker_wait(needed - taken);
	return true;
}

/*
 * A catch-up reader gives its views to the main one, or is that itself once
 * there is none; a reader whose views are given away is done.
 */
static bool
join_main(Reader *reader)
{
	WeirAssignment *assignment = reader->assignment;

	if (!reader->slot->main)
		weir_claim_publish(reader->slot, assignment->npartitions,
						   assignment->position);
	if (weir_claim_hand_over(reader->slot, assignment->npartitions,
							 assignment->position, weir_batch_rows))
		return true;
	weir_assignment_set_statuses(assignment);
	return false;
}

/*
 * One turn of the loop.  False if there is nothing to serve any more.
 */
static bool
turn(Reader *reader)
{
	WeirAssignment *assignment = reader->assignment;
	bool		wrote = false;
	bool		full;

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (weir_claim_handed(reader->slot))
		reader->assigned = false;
	if (!reader->assigned)
	{
		if (!weir_assignment_make(assignment))
			return false;
		weir_measure_progress(assignment);
		reader->assigned = true;
		reader->assigned_at = GetCurrentTimestamp();
		reader->quiet_since = 0;
		reader->heard = false;
		begin_batch(reader);
	}
	full = !rest(reader) && collect(reader);
	if ((weir_worker_catalog_changed() || invalidated) &&
		!follow_commands(reader))
		return false;
	if (full)
	{
		reader->paced_since = reader->began;
		reader->paced_records = reader->batch.nrecords;
		if (!commit_batch(reader, NULL))
			return false;
		wrote = reader->paced_records > 0;
		reader->quiet_since = 0;
		if (reader->cut)
		{
			tend_views(reader, wrote);
			begin_batch(reader);
			reader->assigned = false;	/* to read the rest again */
			return assignment->served != NIL;
		}
		begin_batch(reader);
	}
	if (reader->doubted)
	{
		begin_batch(reader);
		reader->assigned = false;
		return true;
	}
	if (assignment->served == NIL)
		return false;
	if (reader->began != 0)
		return true;			/* a batch is open: nothing else between */
	commit_without_records(reader);
	tend_views(reader, wrote);
	begin_batch(reader);
	publish_positions(reader);
	refresh_ends(reader);
	return assignment->served != NIL && !join_main(reader);
}

/* The log of the whole stream is not to be trusted: all views stop. */
static void
stop_all(Reader *reader, ErrorData *error)
{
	ListCell   *lc;

	if (weir_worker_begin(reader->slot->object))
	{
		foreach(lc, reader->assignment->served)
		{
			Oid			view = ((WeirServed *) lfirst(lc))->view->view;

			(void) weir_view_set_failed(view, WEIR_STOPPED, error);
		}
	}
	weir_worker_commit();
	ConditionVariableBroadcast(&weir_shared->progress);
}

/*
 * An error outside of any view's part.  The transaction is gone; the next
 * turn starts from the checkpoints, after a while.
 */
static void
recover(Reader *reader, ErrorData *error)
{
	long		backoff;
	char	   *shown;

	reader->assigned = false;
	reader->refreshed_at = 0;
	reader->failures++;
	backoff = Min(1000L << Min(reader->failures - 1, 6), MAX_BACKOFF_MS);
	shown = psprintf("%s%s%s", error->message, error->detail ? ": " : "",
					 error->detail ? error->detail : "");
	weir_worker_show_error(shown,
						   TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   backoff));
	pfree(shown);
	if (weir_error_class(error->sqlerrcode) == WEIR_ERROR_LOG)
		stop_all(reader, error);
	weir_assignment_close(reader->assignment);
	if (reader->failures == 1 &&
		error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE)
		return;					/* fenced: look up again at once */
	weir_worker_wait(backoff);
}

/* Run one turn; false if the reader is done. */
static bool
guarded_turn(Reader *reader)
{
	volatile bool more = true;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		more = turn(reader);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(TopMemoryContext);
	}
	PG_END_TRY();
	if (error != NULL)
	{
		recover(reader, error);
		FreeErrorData(error);
	}
	return more;
}

/* Main function of a reader. */
void
weir_reader_main(Datum arg)
{
	Reader		reader = {0};

	reader.slot = weir_worker_attach(arg);
	MemoryContextSwitchTo(TopMemoryContext);
	CacheRegisterRelcacheCallback(note_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_access, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, note_access, (Datum) 0);
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_SESSION);
	reader.assignment = weir_assignment_create(reader.slot);
	reader.answers.read_at = GetCurrentTimestamp();
	reader.context = AllocSetContextCreate(TopMemoryContext, "weir batch",
										   ALLOCSET_DEFAULT_SIZES);
	while (!weir_worker_should_leave())
	{
		if (!guarded_turn(&reader))
			break;
	}
	weir_claim_resign(reader.slot);
	weir_worker_ready();
	WEIR_FAULT("reader-leaving");
	weir_assignment_close(reader.assignment);
	proc_exit(0);
}
