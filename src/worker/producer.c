/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  A producer: the rows of a source into a topic, at a rate.
 *
 * A producer is a row of weir.producer and, while it is enabled, a worker.
 * `produced` says how many rows of the source are delivered for certain; it is
 * written, in a transaction of its own, when everything sent before has been
 * acknowledged.  A worker that takes over goes on from there, so what was sent
 * after it is sent again: at least once, nothing is left out.
 *
 * A generator stream is followed for ever, or to its limit.  Its messages go
 * out as they are, with key, timestamp and partition, whatever they hold.
 * They are sent in slices of time: a slice is every message of every
 * partition with a timestamp in [from, to), so after a slice the number of
 * messages sent determines the position in each partition: the positions at
 * the instant before which there are that many messages.  A target with fewer
 * partitions gets partition p in p modulo its number.
 *
 * Any other source is a query that runs once, as the producer's owner, in one
 * transaction that encodes its rows into a temporary file; they are sent from
 * there with no transaction open (I7).  When all are delivered the producer
 * stops itself.  A worker that takes over runs the query again and skips
 * `produced` rows: a query that is to survive that needs an order.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "access/xact.h"
#include "base/usercontext.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "source/encode.h"
#include "source/generator_source.h"
#include "source/kafka.h"
#include "source/stream.h"
#include "storage/buffile.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "worker/producer.h"
#include "worker/worker.h"

#define CHUNK			10000	/* messages between two looks at the world */
#define SLICE			1000	/* messages in a slice, about, at most */
#define POLL			1000	/* messages taken from a generator at once */
#define FETCH			1000	/* rows fetched from a query at once */
#define SAVE_MS			1000	/* between two updates of produced */
#define LOG_MS			10000	/* between two lines in the log */

typedef struct Producer
{
	WeirProducer *row;
	WeirSlot   *slot;
	MemoryContext context;		/* of everything here */
	WeirStream *target;
	List	   *mapping;		/* options of the owner's user mapping */
	WeirStream *generator;		/* the source, or NULL: a query */
	WeirSource *source;			/* over the generator */
	int64		limit;			/* of the generator, or -1 */
	double		pace;			/* messages a second that it gives */
	TimestampTz start;			/* of the generator */
	int			target_partitions;
	WeirKafkaProducer *kafka;

	int64		sent;			/* rows of the source, in all */
	int64		sent_before;	/* when this worker began */
	int64		logged;			/* what sent was at the last line */
	TimestampTz logged_at;
	TimestampTz saved_at;

	bool		leaving;		/* it was told to */
	double		tokens;			/* messages that may be sent now */
	TimestampTz filled_at;
} Producer;

/* What stands before each message in the temporary file. */
typedef struct SpoolHeader
{
	int32		partition;
	int32		key_len;		/* -1: NULL */
	int32		value_len;		/* -1: NULL */
	TimestampTz timestamp;
} SpoolHeader;

/* ---- the source ---- */

Oid
weir_producer_relation(const char *source)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(source), '.', &names) || names == NIL)
		return InvalidOid;
	for (ListCell *lc = list_head(names); lc; lc = lnext(names, lc))
		lfirst(lc) = makeString(lfirst(lc));
	return RangeVarGetRelid(makeRangeVarFromNameList(names), AccessShareLock,
							false);
}

char *
weir_producer_query(const char *source)
{
	Oid			relid = weir_producer_relation(source);

	if (!OidIsValid(relid))
		return pstrdup(source);
	return psprintf("SELECT * FROM %s",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
											   get_rel_name(relid)));
}

/* ---- the worker's transactions ---- */

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
check_owner_acl(Oid relid, Oid owner, AclMode mode)
{
	AclResult	acl = pg_class_aclcheck(relid, owner, mode);

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* Find out what the source is; a generator is read as the stream it is. */
static void
open_source(Producer *producer)
{
	WeirUserContext user;
	WeirGeneratorOptions *options;
	WeirSourceKind kind;
	Oid			relid;

	weir_user_enter(&user, producer->row->owner, producer->row->settings);
	relid = weir_producer_relation(producer->row->source);
	weir_user_leave(&user);
	if (!OidIsValid(relid) || !weir_stream_is(relid, &kind) ||
		kind != WEIR_GENERATOR)
		return;
	check_owner_acl(relid, producer->row->owner, ACL_SELECT);
	options = palloc0(sizeof(WeirGeneratorOptions));
	producer->generator = weir_stream_get(relid);
	(void) weir_generator_read_options(producer->generator->table_options,
									   options);
	producer->limit = options->limit;
	producer->pace = options->rate;
	producer->start = options->start;
	producer->source = weir_stream_open(producer->generator,
										producer->row->owner);
}

/* Read the producer's row and streams; exits if it is not to run. */
static Producer *
load_producer(WeirSlot *slot)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "producer",
												  ALLOCSET_DEFAULT_SIZES);
	Producer   *producer;

	begin();
	MemoryContextSwitchTo(context);
	producer = palloc0(sizeof(Producer));
	producer->context = context;
	producer->slot = slot;
	producer->row = weir_producer_get(NameStr(slot->name), true);
	if (producer->row == NULL || !producer->row->enabled)
		proc_exit(0);
	LockRelationOid(producer->row->target, AccessShareLock);
	producer->target = weir_stream_get(producer->row->target);
	check_owner_acl(producer->row->target, producer->row->owner, ACL_INSERT);
	producer->mapping = weir_kafka_mapping(producer->target->serverid,
										   producer->row->owner);
	open_source(producer);
	commit();
	MemoryContextSwitchTo(context);
	return producer;
}

/* Tell shared memory how far it has come. */
static void
report(Producer *producer)
{
	uint64		records = Max(producer->sent - producer->sent_before, 0);

	LWLockAcquire(weir_shared->lock, LW_EXCLUSIVE);
	weir_rate_count(&producer->slot->rate, records - producer->slot->records);
	producer->slot->records = records;
	LWLockRelease(weir_shared->lock);
	weir_worker_publish_usage();
}

/* Has the producer been stopped, dropped or changed? */
static bool
is_stopped(Producer *producer)
{
	WeirProducer *row;
	bool		stopped;

	begin();
	row = weir_producer_get(producer->row->name, true);
	stopped = row == NULL || !row->enabled;
	commit();
	MemoryContextSwitchTo(producer->context);
	if (row == NULL)
		proc_exit(0);
	return stopped;
}

static bool
told_to_leave(Producer *producer)
{
	if (!producer->leaving)
		producer->leaving = weir_worker_should_leave() ||
			(weir_worker_catalog_changed() && is_stopped(producer));
	return producer->leaving;
}

/*
 * Say what a producer waits for whose broker does not answer.  If it is told
 * to leave, it does: what was not confirmed is sent again by who goes on.
 */
static void
show_trouble(Producer *producer)
{
	const char *trouble = weir_kafka_producer_trouble(producer->kafka);

	if (trouble == NULL && producer->slot->error[0] == '\0')
		return;
	weir_worker_show_error(trouble, 0);
	if (trouble == NULL || !told_to_leave(producer))
		return;
	ereport(LOG,
			(errmsg("producer \"%s\" leaves, %lld events are not confirmed: %s",
					producer->row->name,
					(long long) (producer->sent - producer->row->produced),
					trouble)));
	proc_exit(0);
}

/*
 * Wait until all is delivered, and write that down.  finished: there is no
 * more to come, the producer stops.
 */
static void
save(Producer *producer, bool finished)
{
	const char *name = producer->row->name;

	while (!weir_kafka_producer_wait(producer->kafka))
		show_trouble(producer);
	show_trouble(producer);
	begin();
	weir_producer_set_produced(name, producer->sent);
	if (producer->row->error)
		weir_producer_set_error(name, NULL);
	if (finished)
	{
		weir_producer_set_enabled(name, false);
		weir_wake_at_commit();
	}
	commit();
	MemoryContextSwitchTo(producer->context);
	producer->row->error = NULL;
	producer->saved_at = GetCurrentTimestamp();
}

static void
log_progress(Producer *producer, TimestampTz now)
{
	double		seconds = (now - producer->logged_at) / (double) USECS_PER_SEC;
	double		rate = seconds > 0 ?
		(producer->sent - producer->logged) / seconds : 0;

	ereport(LOG,
			(errmsg("producer \"%s\" produced %lld events, %.0f events/s",
					producer->row->name, (long long) producer->sent, rate)));
	report(producer);
	producer->logged = producer->sent;
	producer->logged_at = now;
}

/* Exit, with everything delivered and written down. */
static void
leave(Producer *producer, bool finished)
{
	save(producer, finished);
	log_progress(producer, GetCurrentTimestamp());
	if (finished)
		ereport(LOG,
				(errmsg("producer \"%s\" has sent all of its source",
						producer->row->name)));
	proc_exit(0);
}

/* Between two chunks: leave, save, log if it is time. */
static void
look_around(Producer *producer)
{
	TimestampTz now = GetCurrentTimestamp();

	CHECK_FOR_INTERRUPTS();
	if (told_to_leave(producer))
		leave(producer, false);
	if (producer->sent != producer->row->produced &&
		TimestampDifferenceExceeds(producer->saved_at, now, SAVE_MS))
	{
		save(producer, false);
		producer->row->produced = producer->sent;
		report(producer);
	}
	if (TimestampDifferenceExceeds(producer->logged_at, now, LOG_MS))
		log_progress(producer, now);
}

/* ---- the rate ---- */

/*
 * How many messages may be sent now, at least 1: waits if need be.  A pause is
 * made up for by at most a tenth of a second's worth.
 */
static int
wait_for_tokens(Producer *producer)
{
	double		rate = producer->row->rate;
	TimestampTz now;

	for (;;)
	{
		now = GetCurrentTimestamp();
		if (rate <= 0)
			return CHUNK;
		if (now > producer->filled_at)
			producer->tokens += rate * (now - producer->filled_at) /
				USECS_PER_SEC;
		producer->tokens = Min(producer->tokens, Max(rate / 10, 1));
		producer->filled_at = now;
		if (producer->tokens >= 1)
			return (int) Min(producer->tokens, CHUNK);
		weir_worker_wait((long) Min(1000, Max(20, (1 - producer->tokens) *
											  1000 / rate)));
		look_around(producer);
	}
}

static void
count_sent(Producer *producer, int64 n)
{
	producer->sent += n;
	producer->tokens -= n;
}

/* ---- a generator ---- */

/* Messages before an instant, in all; positions by partition if not NULL. */
static int64
messages_before(Producer *producer, int partitions, TimestampTz instant,
				int64 *positions)
{
	int64		sum = 0;

	for (int p = 0; p < partitions; p++)
	{
		int64		n = weir_source_offset_at(producer->source, p, instant);

		if (positions)
			positions[p] = n;
		sum += n;
	}
	return sum;
}

/*
 * The least instant in (from, to] before which there are n messages; to if
 * there is none.
 */
static TimestampTz
instant_of(Producer *producer, int partitions, int64 n, TimestampTz from,
		   TimestampTz to)
{
	while (to - from > 1)
	{
		TimestampTz middle = from + (to - from) / 2;

		if (messages_before(producer, partitions, middle, NULL) >= n)
			to = middle;
		else
			from = middle;
	}
	return to;
}

/* Send the messages [from, to) of one partition as they are. */
static void
send_range(Producer *producer, int32 partition, int64 from, int64 to)
{
	WeirPosition position = {partition, from};
	WeirMessage messages[POLL];
	int			n;

	weir_source_assign(producer->source, 1, &position);
	while (from < to)
	{
		n = weir_source_poll(producer->source, messages, Min(POLL, to - from));
		if (n == 0)
			elog(ERROR, "generator has no message %lld of partition %d",
				 (long long) from, partition);
		for (int i = 0; i < n; i++)
		{
			if (messages[i].kind != WEIR_RECORD)
				continue;
			weir_kafka_produce(producer->kafka,
							   partition % producer->target_partitions,
							   messages[i].timestamp,
							   messages[i].key, messages[i].key_len,
							   messages[i].value, messages[i].value_len);
			from = messages[i].offset + 1;
		}
		weir_source_release(producer->source);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * The end of the next slice: a second of the generator's time, or what gives
 * SLICE messages if that is longer; at most max messages, at least one, and
 * not beyond what is readable.
 */
static TimestampTz
slice_end(Producer *producer, int partitions, TimestampTz from, int max)
{
	TimestampTz now = GetCurrentTimestamp();
	double		seconds = Max(1, SLICE / producer->pace);
	TimestampTz to = now;
	int64		there;

	if (to <= from)
		return from;
	if (seconds < (now - from) / (double) USECS_PER_SEC)
		to = from + (TimestampTz) (seconds * USECS_PER_SEC);
	there = messages_before(producer, partitions, to, NULL) - producer->sent;
	if (there <= 0)
		to = instant_of(producer, partitions, producer->sent + 1, from, now);
	else if (there > max)
		to = instant_of(producer, partitions, producer->sent + max, from, to);
	return to;
}

static void
wait_for_generator(Producer *producer)
{
	double		ms = producer->pace > 0 ? 1000 / producer->pace : 1000;

	weir_worker_wait((long) Min(1000, Max(20, ms)));
	look_around(producer);
}

/* From the instant before which `produced` messages lie, for ever. */
static void
follow_generator(Producer *producer)
{
	int			partitions = weir_source_partitions(producer->source);
	int64	   *from = palloc0(sizeof(int64) * partitions);
	int64	   *to = palloc0(sizeof(int64) * partitions);
	TimestampTz at = producer->start;

	if (producer->sent > 0)
		at = instant_of(producer, partitions, producer->sent + 1, at,
						GetCurrentTimestamp()) - 1;
	producer->sent = messages_before(producer, partitions, at, from);
	for (;;)
	{
		TimestampTz end;
		int64		sum;

		look_around(producer);
		if (producer->limit >= 0 && producer->sent >= producer->limit)
			leave(producer, true);
		end = slice_end(producer, partitions, at, wait_for_tokens(producer));
		sum = messages_before(producer, partitions, end, to);
		for (int p = 0; p < partitions; p++)
		{
			if (to[p] > from[p])
				send_range(producer, p, from[p], to[p]);
			from[p] = to[p];
		}
		at = Max(at, end);
		if (sum <= producer->sent)
			wait_for_generator(producer);
		else
			count_sent(producer, sum - producer->sent);
	}
}

/* ---- a query ---- */

static void
spool_message(BufFile *file, const WeirEncoded *message)
{
	SpoolHeader header;

	header.partition = message->partition;
	header.timestamp = message->timestamp;
	header.key_len = message->key ? message->key_len : -1;
	header.value_len = message->value ? message->value_len : -1;
	BufFileWrite(file, &header, sizeof(header));
	if (message->key)
		BufFileWrite(file, (void *) message->key, message->key_len);
	if (message->value)
		BufFileWrite(file, (void *) message->value, message->value_len);
}

/* Encode all rows of the portal but the first `skip` ones. */
static int64
spool_portal(Producer *producer, Portal portal, BufFile *file, int64 skip)
{
	TupleDesc	tupdesc = portal->tupDesc;
	WeirEncoder *encoder = weir_encoder_create(producer->target, tupdesc);
	Datum	   *values = palloc(sizeof(Datum) * tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * tupdesc->natts);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "rows",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext saved;
	int64		n = 0;

	if (skip > 0)
		SPI_cursor_move(portal, true, skip);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH);
		if (SPI_processed == 0)
			return n;
		saved = MemoryContextSwitchTo(batch);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			WeirEncoded message;

			heap_deform_tuple(SPI_tuptable->vals[i], tupdesc, values, isnull);
			weir_encode(encoder, values, isnull, &message);
			spool_message(file, &message);
		}
		n += SPI_processed;
		MemoryContextSwitchTo(saved);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
}

/* Run the query as the owner; its rows are in the file afterwards. */
static int64
spool_query(Producer *producer, BufFile *file)
{
	WeirUserContext user;
	SPIPlanPtr	plan;
	Portal		portal;
	int64		n;

	SPI_connect();
	weir_user_enter(&user, producer->row->owner, producer->row->settings);
	plan = SPI_prepare(weir_producer_query(producer->row->source), 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	n = spool_portal(producer, portal, file, producer->row->produced);
	SPI_cursor_close(portal);
	weir_user_leave(&user);
	SPI_finish();
	return n;
}

static char *
read_bytes(BufFile *file, int32 len)
{
	char	   *bytes;

	if (len < 0)
		return NULL;
	bytes = palloc(len + 1);
	if (BufFileRead(file, bytes, len) != len)
		elog(ERROR, "could not read a producer's temporary file");
	return bytes;
}

static void
send_next(Producer *producer, BufFile *file)
{
	SpoolHeader header;
	char	   *key;
	char	   *value;

	if (BufFileRead(file, &header, sizeof(header)) != sizeof(header))
		elog(ERROR, "could not read a producer's temporary file");
	key = read_bytes(file, header.key_len);
	value = read_bytes(file, header.value_len);
	weir_kafka_produce(producer->kafka, header.partition, header.timestamp,
					   key, Max(header.key_len, 0),
					   value, Max(header.value_len, 0));
	if (key)
		pfree(key);
	if (value)
		pfree(value);
}

/* Run the query once, send what it gives, and stop. */
static void
send_query(Producer *producer)
{
	BufFile    *file;
	int64		left;

	begin();
	MemoryContextSwitchTo(producer->context);
	file = BufFileCreateTemp(true);
	left = spool_query(producer, file);
	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		elog(ERROR, "could not rewind a producer's temporary file");
	commit();
	MemoryContextSwitchTo(producer->context);
	while (left > 0)
	{
		int			n = Min(left, wait_for_tokens(producer));

		for (int i = 0; i < n; i++)
			send_next(producer, file);
		count_sent(producer, n);
		left -= n;
		look_around(producer);
	}
	BufFileClose(file);
	leave(producer, true);
}

/* ---- main ---- */

/* How many partitions the target has; waits for the broker. */
static int
ask_partitions(Producer *producer)
{
	WeirSource *source = weir_kafka_open(producer->target->topic,
										 producer->target->server_options,
										 producer->mapping);
	int			partitions = weir_source_partitions(source);

	weir_source_close(source);
	return partitions;
}

static void
run_producer(WeirSlot *slot)
{
	Producer   *producer = load_producer(slot);
	TimestampTz now = GetCurrentTimestamp();

	producer->sent = producer->row->produced;
	producer->sent_before = producer->sent;
	producer->logged = producer->sent;
	producer->logged_at = producer->saved_at = producer->filled_at = now;
	producer->kafka = weir_kafka_producer_open(producer->target->topic,
											   producer->target->server_options,
											   producer->mapping,
											   producer->target->max_message_bytes);
	if (producer->generator == NULL)
		send_query(producer);
	producer->target_partitions = ask_partitions(producer);
	follow_generator(producer);
}

/* Write down why the producer failed, and fail. */
static void
record_failure(const char *name)
{
	ErrorData  *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	begin();
	if (weir_producer_get(name, true) != NULL)
		weir_producer_set_error(name, error->message);
	commit();
	ReThrowError(error);
}

void
weir_producer_main(Datum arg)
{
	WeirSlot   *slot = weir_worker_attach(arg);

	PG_TRY();
	{
		run_producer(slot);
	}
	PG_CATCH();
	{
		record_failure(NameStr(slot->name));
	}
	PG_END_TRY();
	proc_exit(0);
}
