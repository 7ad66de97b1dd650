/*-------------------------------------------------------------------------
 *
 * partial.c
 *	  A batch of records into partial aggregates of one view: the verdict on
 *	  each record.
 *
 * A record gets its verdict in this order: tombstone, bad, filtered, late,
 * aggregated.  It is late for a window when its end + lateness <= w, the
 * watermark of the record's own partition before the record, or when the
 * window is already closed.  Late for all its windows it counts as late;
 * late for some it is aggregated, and its partial keeps late_bound, the
 * greatest end that it missed: a window counts a partial only if its end is
 * beyond that.
 *
 * A record of a session view has one window, the session that it is part of.
 * It is late when event time + lateness < w, or when it is not after
 * closed_to.  Records that count are added to sessions when all are judged, in
 * the order of their times; one whose transition raises there is bad after
 * all, and no longer aggregated.
 *
 * The batch runs inside one subtransaction.  After an error the record that
 * raised is known and everything before it stands (group.c), so the work
 * goes on behind it in a new subtransaction.  A transition that raised is
 * tried again on fresh states: if it raises there too it is the record's
 * fault, otherwise the group goes on with a second partial.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "miscadmin.h"

#include "base/error.h"
#include "window/partial.h"
#include "window/watermark.h"

/* The windows of the pane that was met last. */
typedef struct PaneWindows
{
	TimestampTz start;
	TimestampTz end;			/* of the pane; start = end: nothing cached */
	TimestampTz first_end;		/* of the windows that contain the pane */
	TimestampTz last_end;
} PaneWindows;

typedef enum JudgedAs
{
	JUDGED_COUNTS,				/* at least one window counts it */
	JUDGED_LATE,				/* late for all its windows */
	JUDGED_UNBUILT				/* all its windows begin before weir.start */
} JudgedAs;

typedef struct Judgement
{
	JudgedAs	verdict;
	TimestampTz late;			/* greatest end it was late for, or none */
	TimestampTz late_bound;		/* what the partial keeps */
	bool		late_closed;	/* lost one only because it was closed */
} Judgement;

/* A record that counts in a session; the time is here for the sort. */
typedef struct Counted
{
	TimestampTz time;
	WeirRecord *record;
} Counted;

static inline int
compare_counted(const Counted *a, const Counted *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return a->record < b->record ? -1 : a->record > b->record;
}

#define ST_SORT			sort_counted
#define ST_ELEMENT_TYPE	Counted
#define ST_COMPARE(a, b)	compare_counted((a), (b))
#define ST_SCOPE		static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The pass over a batch, and where it stands. */
typedef struct Pass
{
	WeirGroups *groups;
	const WeirPlan *plan;
	PaneWindows windows;
	const WeirBatch *batch;
	const WeirRules *rules;
	WeirCheckpoint *checkpoints;
	WeirRejects *rejects;
	int			at;				/* the record at hand */
	bool		observed;		/* it has moved its partition's watermark */
	TimestampTz w;				/* that watermark before the record */
	bool		retrying;		/* on fresh states */

	/* sessions: the records that count, sorted once all are judged */
	Counted    *counted;
	int			ncounted;
	bool		sorted;
	int			added;			/* so many of them are in groups */
} Pass;

/* -------------------------------------------------------------- verdicts */

/* Fill in the windows of the pane that contains t. */
static void
find_windows(Pass *pass, TimestampTz t)
{
	const WeirWindow *window = &pass->plan->window;
	PaneWindows *pane = &pass->windows;

	if (t >= pane->start && t < pane->end)
		return;
	pane->start = weir_window_pane(window, t);
	pane->first_end = weir_window_end(window,
									  weir_window_first(window, pane->start));
	pane->last_end = weir_window_end(window,
									 weir_window_last(window, pane->start));
	pane->end = weir_window_pane_end(window, pane->start);
}

/* The greatest end <= bound among the windows of the pane, or none. */
static TimestampTz
last_end_by(const Pass *pass, TimestampTz bound)
{
	const PaneWindows *pane = &pass->windows;
	const WeirWindow *window = &pass->plan->window;

	if (bound >= pane->last_end)
		return pane->last_end;
	if (bound < pane->first_end)
		return DT_NOBEGIN;
	return weir_window_end(window, weir_window_last_ended(window, bound));
}

/* A record that cannot be used: dead letter, skipped, or the view stops. */
static void
reject_bad(Pass *pass, WeirRecord *record, WeirBadness *badness)
{
	WeirCheckpoint *checkpoint =
		&pass->checkpoints[record->message.partition];
	WeirRejects *rejects = pass->rejects;

	switch (pass->batch->stream->on_error)
	{
		case WEIR_ON_ERROR_SKIP:
			checkpoint->counters.skipped++;
			return;
		case WEIR_ON_ERROR_DEAD_LETTER:
			checkpoint->counters.dead_lettered++;
			rejects->dead[rejects->ndead] = record;
			rejects->badness[rejects->ndead++] = badness;
			return;
		case WEIR_ON_ERROR_STOP:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_WEIR_BAD_RECORD),
			 errmsg("bad record at partition %d offset " INT64_FORMAT
					" of stream %s: %s",
					record->message.partition, record->message.offset,
					pass->batch->stream->name, badness->reason),
			 errhint("The stream's option on_error is stop.")));
}

/* The badness of a column that the view uses, or NULL. */
static WeirBadness *
bad_column(const WeirPlan *plan, const WeirRecord *record)
{
	for (WeirBadness *b = record->badness; b != NULL; b = b->next)
	{
		if (bms_is_member(b->attnum, plan->columns))
			return b;
	}
	return NULL;
}

/*
 * The watermark of the partition before the record, and the record's effect
 * on it.  Every well-formed record moves it, whatever becomes of it.
 */
static void
observe_record(Pass *pass, const WeirRecord *record,
			   WeirCheckpoint *checkpoint)
{
	const WeirStream *stream = pass->batch->stream;
	TimestampTz timestamp = record->message.timestamp;

	pass->w = weir_time_minus(checkpoint->max_event_time,
							  stream->watermark_delay);
	checkpoint->max_event_time =
		weir_watermark_observe(checkpoint->max_event_time,
							   record->event_time, timestamp,
							   stream->max_future);
	if (timestamp != WEIR_NO_TIMESTAMP)
		checkpoint->max_timestamp = Max(checkpoint->max_timestamp,
										Min(timestamp, pass->batch->now));
}

/*
 * Judge a well-formed record in time: which of its windows count it.  Pure;
 * count_judgement() does the counting once nothing can raise any more.
 */
static Judgement
judge_time(Pass *pass, const WeirRecord *record)
{
	const WeirRules *rules = pass->rules;
	TimestampTz last_end;
	TimestampTz by_watermark;
	TimestampTz unbuilt;
	Judgement	j = {0};

	find_windows(pass, record->event_time);
	last_end = pass->windows.last_end;
	unbuilt = last_end_by(pass, rules->start_bound);
	by_watermark = last_end_by(pass,
							   weir_time_minus(pass->w, rules->lateness));
	j.late = Max(by_watermark, last_end_by(pass, rules->closed_to));
	j.late_closed = j.late > Max(by_watermark, unbuilt);
	if (j.late <= unbuilt)
		j.late = DT_NOBEGIN;
	j.late_bound = Max(j.late, unbuilt);
	if (unbuilt == last_end)
		j.verdict = JUDGED_UNBUILT;
	else if (j.late == last_end)
		j.verdict = JUDGED_LATE;
	else
		j.verdict = JUDGED_COUNTS;
	return j;
}

/* The same for sessions. */
static Judgement
judge_session(const Pass *pass, const WeirRecord *record)
{
	const WeirRules *rules = pass->rules;
	TimestampTz t = record->event_time;
	bool		by_watermark = t < weir_time_minus(pass->w, rules->lateness);
	Judgement	j = {JUDGED_COUNTS, DT_NOBEGIN, DT_NOBEGIN, false};

	if (t <= rules->start_bound)
		j.verdict = JUDGED_UNBUILT;
	else if (by_watermark || t <= rules->closed_to)
	{
		j.verdict = JUDGED_LATE;
		j.late = weir_window_session_end(&pass->plan->window, t);
		j.late_closed = !by_watermark;
	}
	return j;
}

static void
count_judgement(Pass *pass, WeirRecord *record, const Judgement *j)
{
	WeirCounters *counters =
		&pass->checkpoints[record->message.partition].counters;
	WeirRejects *rejects = pass->rejects;

	if (j->verdict == JUDGED_UNBUILT)
	{
		counters->filtered++;
		return;
	}
	if (j->verdict == JUDGED_LATE)
		counters->late++;
	else
		counters->aggregated++;
	if (j->late == DT_NOBEGIN)
		return;
	if (j->verdict == JUDGED_COUNTS)
		counters->partly_late++;
	counters->late_closed += j->late_closed;
	rejects->late[rejects->nlate] = record;
	rejects->late_bound[rejects->nlate++] = j->late;
}

static bool
is_session(const Pass *pass)
{
	return pass->plan->window.kind == WEIR_SESSION;
}

/* Judge a record and add it where it counts; to a session, later. */
static void
apply_record(Pass *pass, WeirRecord *record, WeirCheckpoint *checkpoint)
{
	WeirBadness *badness = record->badness;
	Judgement	judgement;

	if (record->verdict == WEIR_TOMBSTONE)
	{
		checkpoint->counters.tombstones++;
		return;
	}
	if (record->verdict == WEIR_WELL_FORMED)
	{
		if (!pass->observed)
			observe_record(pass, record, checkpoint);
		pass->observed = true;
		badness = bad_column(pass->plan, record);
	}
	if (badness != NULL)
	{
		reject_bad(pass, record, badness);
		return;
	}

	weir_groups_record(pass->groups, record);
	if (!weir_groups_filter(pass->groups))
	{
		checkpoint->counters.filtered++;
		return;
	}
	if (!weir_window_valid(&pass->plan->window, record->event_time))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("event time out of range for its window")));
	judgement = is_session(pass) ? judge_session(pass, record) :
		judge_time(pass, record);
	if (judgement.verdict == JUDGED_COUNTS && is_session(pass))
	{
		pass->counted[pass->ncounted].time = record->event_time;
		pass->counted[pass->ncounted++].record = record;
	}
	else if (judgement.verdict == JUDGED_COUNTS)
		weir_groups_add(pass->groups, pass->windows.start,
						judgement.late_bound, pass->retrying);
	count_judgement(pass, record, &judgement);
}

/* The record at hand has its verdict: the position passes it. */
static void
finish_record(Pass *pass, WeirCheckpoint *checkpoint)
{
	const WeirMessage *message = &pass->batch->records[pass->at].message;

	checkpoint->counters.read++;
	checkpoint->counters.gaps += message->offset - checkpoint->next_offset;
	checkpoint->next_offset = message->offset + 1;
	pass->observed = false;
	pass->retrying = false;
	pass->at++;
}

/* Add the records that count to sessions, in the order of their times. */
static void
add_to_sessions(Pass *pass)
{
	if (!pass->sorted)
		sort_counted(pass->counted, pass->ncounted);
	pass->sorted = true;
	while (pass->added < pass->ncounted)
	{
		Counted    *next = &pass->counted[pass->added];

		if (pass->added % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		weir_groups_record(pass->groups, next->record);
		weir_groups_add_session(pass->groups, next->time, pass->retrying);
		pass->retrying = false;
		pass->added++;
	}
}

/* Go on through the batch; called again behind a record that raised. */
static void
run_pass(void *arg)
{
	Pass	   *pass = (Pass *) arg;
	const WeirBatch *batch = pass->batch;

	weir_groups_prepare(pass->groups);
	while (pass->at < batch->nrecords)
	{
		WeirRecord *record = &batch->records[pass->at];
		WeirCheckpoint *checkpoint =
			&pass->checkpoints[record->message.partition];

		if (record->message.offset < checkpoint->next_offset)
		{
			pass->at++;			/* applied before */
			continue;
		}
		if (pass->at % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		apply_record(pass, record, checkpoint);
		finish_record(pass, checkpoint);
	}
	if (is_session(pass))
		add_to_sessions(pass);
}

/* The record that was judged or added when an error came, or NULL. */
static WeirRecord *
record_at_hand(const Pass *pass)
{
	if (pass->at < pass->batch->nrecords)
		return &pass->batch->records[pass->at];
	if (pass->sorted && pass->added < pass->ncounted)
		return pass->counted[pass->added].record;
	return NULL;
}

/*
 * An error at the record at hand.  Raise it again unless it is the record's
 * fault; if an old state may be to blame, arrange a second try.
 */
static void
handle_error(Pass *pass, ErrorData *error)
{
	WeirRecord *record = record_at_hand(pass);
	WeirCheckpoint *checkpoint;
	WeirBadness *badness;

	if (record == NULL ||
		weir_error_class(error->sqlerrcode) != WEIR_ERROR_RECORD)
		ReThrowError(error);
	if (weir_groups_was_advancing(pass->groups))
	{
		pass->retrying = true;
		return;
	}
	badness = palloc0_object(WeirBadness);
	badness->sqlerrcode = error->sqlerrcode;
	badness->reason = error->message;
	reject_bad(pass, record, badness);
	checkpoint = &pass->checkpoints[record->message.partition];
	if (pass->at < pass->batch->nrecords)
	{
		finish_record(pass, checkpoint);
		return;
	}
	checkpoint->counters.aggregated--;
	pass->retrying = false;
	pass->added++;
}

/*
 * Without any record so far, all partitions begin with the least timestamp
 * of the view's first batch, so that a partition without records can become
 * idle.
 */
static void
begin_timestamps(const WeirBatch *batch, WeirCheckpoint *checkpoints)
{
	TimestampTz least = DT_NOEND;

	for (int p = 0; p < batch->npartitions; p++)
	{
		if (checkpoints[p].max_timestamp != DT_NOBEGIN)
			return;
	}
	for (int i = 0; i < batch->nrecords; i++)
	{
		const WeirRecord *record = &batch->records[i];
		const WeirMessage *message = &record->message;

		if (record->verdict == WEIR_WELL_FORMED &&
			message->timestamp != WEIR_NO_TIMESTAMP &&
			message->offset >= checkpoints[message->partition].next_offset)
			least = Min(least, Min(message->timestamp, batch->now));
	}
	for (int p = 0; least != DT_NOEND && p < batch->npartitions; p++)
		checkpoints[p].max_timestamp = least;
}

/* An end may lie behind control records: they are gaps. */
void
weir_partial_skip(const WeirBatch *batch, WeirCheckpoint *checkpoints)
{
	for (int p = 0; p < batch->npartitions; p++)
	{
		if (batch->to[p] <= checkpoints[p].next_offset)
			continue;
		checkpoints[p].counters.gaps +=
			batch->to[p] - checkpoints[p].next_offset;
		checkpoints[p].next_offset = batch->to[p];
	}
}

void
weir_partial_apply(WeirGroups *groups, const WeirPlan *plan,
				   const WeirBatch *batch, const WeirRules *rules,
				   WeirCheckpoint *checkpoints, WeirRejects *rejects)
{
	Pass		pass = {
		.groups = groups,
		.plan = plan,
		.batch = batch,
		.rules = rules,
		.checkpoints = checkpoints,
		.rejects = rejects
	};
	ErrorData  *error;

	memset(rejects, 0, sizeof(*rejects));
	rejects->dead = palloc_array(WeirRecord *, batch->nrecords + 1);
	rejects->badness = palloc_array(WeirBadness *, batch->nrecords + 1);
	rejects->late = palloc_array(WeirRecord *, batch->nrecords + 1);
	rejects->late_bound = palloc_array(TimestampTz, batch->nrecords + 1);
	if (is_session(&pass))
		pass.counted = palloc_array(Counted, batch->nrecords + 1);
	begin_timestamps(batch, checkpoints);

	while ((error = weir_try(run_pass, &pass)) != NULL)
		handle_error(&pass, error);

	weir_partial_skip(batch, checkpoints);
}
