/*-------------------------------------------------------------------------
 *
 * kafka.c
 *	  A topic as a source: records by partition and offset.
 *
 * Partitions are assigned by hand, from the offsets that the caller keeps;
 * there is no group membership and nothing is committed for its sake.  (The
 * library wants a group.id for a hand-made assignment all the same.)  All
 * partitions come through one queue.  An assignment is a barrier inside
 * librdkafka: what was fetched for an earlier one is dropped when the queue
 * is read.  An error of a partition ends the reading of all until the next
 * assignment, because librdkafka would go on behind a record that it could
 * not hand out.
 *
 * Two handles are needed.  One reads, with isolation.level=read_committed;
 * its answers about ends stop at the last stable offset.  The other asks,
 * with read_uncommitted, and is told the high watermark; it also publishes
 * positions.  Questions are ListOffsets requests made by
 * rd_kafka_offsets_for_times() with the times -2 (beginning) and -1 (end),
 * since rd_kafka_query_watermark_offsets() of librdkafka 2.0.2 waits for ever
 * when its broker goes away in between.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "access/reloptions.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "source/kafka.h"
#include "source/kafka_client.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define ASK_MS			1000	/* one question */
#define PATIENCE_MS		10000	/* of a statement that needs an answer */
#define SILENCE_MS		30000	/* after which an unanswered read is an error */
#define DOWN_MS			1000	/* the same, while no broker can be reached */
#define MAX_PUBLISHED	64		/* positions under way */

#define UNASSIGNED		(-1)

typedef struct KafkaSource
{
	WeirSource	base;
	WeirKafkaClient *reader;	/* NULL: closed */
	WeirKafkaClient *asker;
	rd_kafka_topic_t *handle;	/* the reader's, for metadata */
	char	   *topic;
	MemoryContext context;		/* of this struct */
	MemoryContextCallback callback;

	int			npartitions;	/* size of the two arrays */
	int64	   *next;			/* least offset to hand out, or UNASSIGNED */
	bool	   *heard;			/* of a partition since its assignment */
	int			unheard;
	TimestampTz heard_at;		/* when anything was handed out last */

	rd_kafka_message_t **held;	/* handed out, not released */
	int			nheld;
	int			held_size;

	bool		down;			/* no broker could be reached; told only once */
	rd_kafka_resp_err_t error;	/* of a partition, ends the reading */
	int32		error_partition;
	int			publishing;		/* requests without an answer */
} KafkaSource;

/*
 * Fetch budget: librdkafka 2.0.2 waits up to a second when its queue was full,
 * so the queue holds what a worker reads in about that time.
 */
static const WeirKafkaProperty worker_budget[] = {
	{"queued.min.messages", "1000000"},
	{"queued.max.messages.kbytes", "262144"},
	{"fetch.message.max.bytes", "4194304"},
	{NULL}
};
static const WeirKafkaProperty backend_budget[] = {
	{"queued.min.messages", "1000000"},
	{"queued.max.messages.kbytes", "65536"},
	{NULL}
};

static const WeirKafkaProperty reader_properties[] = {
	{"group.id", "pg_weir"},
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "error"},
	{"isolation.level", "read_committed"},
	{"enable.partition.eof", "true"},
	{"check.crcs", "true"},
	{"allow.auto.create.topics", "false"},
	{NULL}
};

static const WeirKafkaProperty asker_properties[] = {
	{"isolation.level", "read_uncommitted"},
	{"allow.auto.create.topics", "false"},
	{NULL}
};

/* ---- user mappings ---- */

static HeapTuple
find_mapping(Oid serverid, Oid userid)
{
	return SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
						   ObjectIdGetDatum(serverid));
}

List *
weir_kafka_mapping(Oid serverid, Oid userid)
{
	HeapTuple	tuple = find_mapping(serverid, userid);
	List	   *options = NIL;
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = find_mapping(serverid, InvalidOid);
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

/* ---- questions ---- */

/*
 * What ListOffsets says about a time, -1 (end) or -2 (beginning), in one
 * question for n partitions from first on; false if one had no answer.
 */
static bool
ask(KafkaSource *source, WeirKafkaClient *client, int32 first, int n,
	int64 about, int64 deadline, int64 *offsets)
{
	int			ms = weir_kafka_remaining(deadline);
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	if (ms == 0)
		return false;
	list = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, source->topic,
										  first + i)->offset = about;
	err = rd_kafka_offsets_for_times(client->rk, list, ms);
	for (int i = 0; i < n; i++)
	{
		if (!err)
			err = list->elems[i].err;
		offsets[i] = list->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		weir_kafka_note(client, err, rd_kafka_err2str(err));
	else if (client == source->reader)
		source->down = false;
	/* librdkafka waits without looking at interrupts */
	CHECK_FOR_INTERRUPTS();
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int64
deadline_in(int ms)
{
	return GetCurrentTimestamp() + ms * INT64CONST(1000);
}

static bool
kafka_ends(WeirSource *base, int32 first, int n, WeirEnds *ends)
{
	KafkaSource *source = (KafkaSource *) base;
	int64		deadline = deadline_in(ASK_MS);
	int64	   *low = palloc_array(int64, 3 * n);
	int64	   *high = low + n;
	int64	   *stable = high + n;
	bool		answered;

	answered = ask(source, source->asker, first, n, RD_KAFKA_OFFSET_BEGINNING,
				   deadline, low) &&
		ask(source, source->asker, first, n, RD_KAFKA_OFFSET_END, deadline,
			high) &&
		ask(source, source->reader, first, n, RD_KAFKA_OFFSET_END, deadline,
			stable);
	for (int i = 0; answered && i < n; i++)
	{
		ends[i].low = low[i];
		ends[i].high = high[i];
		ends[i].stable = Min(stable[i], high[i]);
	}
	pfree(low);
	return answered;
}

/* The reader's failure, if it has one, is a better reason than a time-out. */
static void
raise_unanswered(KafkaSource *source, rd_kafka_resp_err_t err)
{
	weir_kafka_client_serve(source->reader, NULL);
	weir_kafka_raise(source->reader,
					 source->reader->failure ? source->reader->failure : err,
					 "ask about", source->topic);
}

/*
 * Kafka's times have milliseconds: the first one that is not before
 * timestamp.  Negative ones would mean something else to ListOffsets.
 */
static int64
kafka_milliseconds(TimestampTz timestamp)
{
	int64		us;

	if (timestamp <= MIN_TIMESTAMP || TIMESTAMP_IS_NOBEGIN(timestamp))
		return 0;
	if (timestamp >= END_TIMESTAMP - USECS_PER_DAY * INT64CONST(20000))
		return PG_INT64_MAX / 2;
	us = timestamp +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return us <= 0 ? 0 : (us + 999) / 1000;
}

/*
 * The first offset with a record at or after timestamp, or the end.  That is
 * asked for first: a record that comes between the two answers lies behind it.
 *
 * The reader's isolation decides what counts: records behind the last stable
 * offset are looked at by nobody yet, so that is the end.
 */
static int64
kafka_offset_at(WeirSource *base, int32 partition, TimestampTz timestamp)
{
	KafkaSource *source = (KafkaSource *) base;
	int64		patience = deadline_in(PATIENCE_MS);
	int64		about = kafka_milliseconds(timestamp);
	int64		end;
	int64		offset;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!ask(source, source->reader, partition, 1, RD_KAFKA_OFFSET_END,
				 deadline_in(ASK_MS), &end))
			continue;
		WEIR_FAULT("offset-asked");
		if (ask(source, source->reader, partition, 1, about,
				deadline_in(ASK_MS), &offset))
			return offset >= 0 ? offset : end;
	} while (weir_kafka_remaining(patience) > 0);
	raise_unanswered(source, RD_KAFKA_RESP_ERR__TIMED_OUT);
	return 0;
}

static int
kafka_partitions(WeirSource *base)
{
	KafkaSource *source = (KafkaSource *) base;
	int64		patience = deadline_in(PATIENCE_MS);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	int			partitions = 0;

	/* A statement has patience; a worker has other things to do meanwhile. */
	while ((err = rd_kafka_metadata(source->reader->rk, 0, source->handle,
									&metadata, ASK_MS)) != 0 &&
		   MyBackendType != B_BG_WORKER && weir_kafka_remaining(patience) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		weir_kafka_client_serve(source->reader, NULL);
		if (source->reader->failure)
			break;
	}
	if (!err)
	{
		if (metadata->topic_cnt == 1)
		{
			err = metadata->topics[0].err;
			partitions = metadata->topics[0].partition_cnt;
		}
		rd_kafka_metadata_destroy(metadata);
	}
	CHECK_FOR_INTERRUPTS();
	if (partitions == 0)
		raise_unanswered(source, err ? err :
						 RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
	return partitions;
}

/* ---- reading ---- */

static void
kafka_release(WeirSource *base)
{
	KafkaSource *source = (KafkaSource *) base;

	while (source->nheld > 0)
		rd_kafka_message_destroy(source->held[--source->nheld]);
}

/* Make room for partitions up to n. */
static void
reserve_partitions(KafkaSource *source, int n)
{
	if (n > source->npartitions)
	{
		source->next = source->next ?
			repalloc(source->next, sizeof(int64) * n) :
			MemoryContextAlloc(source->context, sizeof(int64) * n);
		source->heard = source->heard ?
			repalloc(source->heard, sizeof(bool) * n) :
			MemoryContextAlloc(source->context, sizeof(bool) * n);
		source->npartitions = n;
	}
	for (int i = 0; i < source->npartitions; i++)
	{
		source->next[i] = UNASSIGNED;
		source->heard[i] = false;
	}
}

/* Serve the reader's events, and remember that no broker can be reached. */
static void
serve_reader(KafkaSource *source)
{
	weir_kafka_client_serve(source->reader, NULL);
	if (source->reader->failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		source->down = true;
}

/* Errors of before the assignment have nothing to say after it. */
static void
forget_errors(KafkaSource *source)
{
	serve_reader(source);
	source->error = RD_KAFKA_RESP_ERR_NO_ERROR;
	source->reader->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void
kafka_assign(WeirSource *base, int n, const WeirPosition *positions)
{
	KafkaSource *source = (KafkaSource *) base;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;
	int			last = 0;

	for (int i = 0; i < n; i++)
		last = Max(last, positions[i].partition + 1);
	reserve_partitions(source, last);
	forget_errors(source);
	list = rd_kafka_topic_partition_list_new(Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		source->next[positions[i].partition] = positions[i].offset;
		rd_kafka_topic_partition_list_add(list, source->topic,
										  positions[i].partition)->offset =
			positions[i].offset;
	}
	err = rd_kafka_assign(source->reader->rk, n > 0 ? list : NULL);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		weir_kafka_raise(source->reader, err, "read", source->topic);
	source->unheard = n;
	source->heard_at = GetCurrentTimestamp();
}

/* Room for n more messages, before librdkafka gives them. */
static void
reserve_held(KafkaSource *source, int n)
{
	if (source->nheld + n <= source->held_size)
		return;
	source->held_size = Max(source->held_size * 2, source->nheld + n);
	source->held = source->held ?
		repalloc_huge(source->held,
					  sizeof(rd_kafka_message_t *) * source->held_size) :
		MemoryContextAllocHuge(source->context,
							   sizeof(rd_kafka_message_t *) * source->held_size);
}

static TimestampTz
message_timestamp(const rd_kafka_message_t *message)
{
	const int64 limit = PG_INT64_MAX / 4 / 1000;
	rd_kafka_timestamp_type_t type;
	int64		ms = rd_kafka_message_timestamp(message, &type);
	TimestampTz timestamp;

	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < -limit || ms > limit)
		return WEIR_NO_TIMESTAMP;
	timestamp = ms * 1000 -
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return IS_VALID_TIMESTAMP(timestamp) ? timestamp : WEIR_NO_TIMESTAMP;
}

/* An error among the messages: the caller's, when it is of a partition. */
static void
note_message_error(KafkaSource *source, const rd_kafka_message_t *message)
{
	weir_kafka_note(source->reader, message->err,
					rd_kafka_message_errstr(message));
	if (message->rkt == NULL || message->partition < 0 ||
		message->partition >= source->npartitions ||
		source->next[message->partition] == UNASSIGNED)
		return;
	source->error = message->err;
	source->error_partition = message->partition;
}

/* Fill in one message; false if it is none that the caller should see. */
static bool
take_message(KafkaSource *source, rd_kafka_message_t *from, WeirMessage *to)
{
	int32		partition = from->partition;
	bool		eof = from->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

	if (from->err && !eof)
	{
		note_message_error(source, from);
		return false;
	}
	if (partition < 0 || partition >= source->npartitions ||
		source->next[partition] == UNASSIGNED ||
		from->offset < source->next[partition])
		return false;
	if (!source->heard[partition])
	{
		source->heard[partition] = true;
		source->unheard--;
	}
	source->next[partition] = from->offset + (eof ? 0 : 1);
	to->kind = eof ? WEIR_EOF : WEIR_RECORD;
	to->partition = partition;
	to->offset = from->offset;
	to->timestamp = eof ? WEIR_NO_TIMESTAMP : message_timestamp(from);
	to->value = eof ? NULL : from->payload;
	to->value_len = to->value ? (int32) from->len : 0;
	to->key = eof ? NULL : from->key;
	to->key_len = to->key ? (int32) from->key_len : 0;
	to->handle = from;
	return true;
}

/* Take up to max messages out of the queue; stops at an error. */
static int
take_messages(KafkaSource *source, WeirMessage *messages, int max)
{
	ssize_t		got;
	int			n = 0;

	do
	{
		reserve_held(source, max - n);
		got = rd_kafka_consume_batch_queue(source->reader->messages, 0,
										   &source->held[source->nheld],
										   max - n);
		for (ssize_t i = 0; i < got; i++)
		{
			rd_kafka_message_t *message = source->held[source->nheld++];

			if (!source->error && take_message(source, message, &messages[n]))
				n++;
		}
	} while (got > 0 && n < max && !source->error);
	return n;
}

/* An offset that was asked for and is not in the log. */
static void
raise_out_of_range(KafkaSource *source)
{
	int32		partition = source->error_partition;
	int64		asked = source->next[partition];
	WeirEnds	ends;

	if (!kafka_ends(&source->base, partition, 1, &ends) ||
		(asked >= ends.low && asked <= ends.high))
	{
		/* Not shown, or of before this assignment: to be tried again. */
		weir_kafka_raise(source->reader, RD_KAFKA_RESP_ERR__TIMED_OUT,
						 "read", source->topic);
	}
	ereport(ERROR,
			(errcode(ERRCODE_WEIR_LOG_UNTRUSTED),
			 errmsg("offset %lld of partition %d is not in topic \"%s\"",
					(long long) asked, partition, source->topic),
			 errdetail("The partition holds offsets %lld to %lld.",
					   (long long) ends.low, (long long) ends.high - 1),
			 asked < ends.low ?
			 errhint("Retention has removed the records before the partition's first offset.") :
			 errhint("The topic was truncated, or deleted and created again.")));
}

/* With nothing to hand out: raise what stands in the way of more. */
static void
raise_failure(KafkaSource *source)
{
	WeirKafkaClient *reader = source->reader;

	if (source->error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		source->error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		raise_out_of_range(source);
	if (source->error)
		weir_kafka_raise(reader, source->error, "read", source->topic);
	if (reader->failure)
	{
		rd_kafka_resp_err_t err = reader->failure;

		reader->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
		weir_kafka_raise(reader, err, "read", source->topic);
	}

	/*
	 * librdkafka tells neither that a broker does not answer nor that a
	 * partition does not exist.
	 */
	if (source->unheard > 0 &&
		TimestampDifferenceExceeds(source->heard_at, GetCurrentTimestamp(),
								   source->down ? DOWN_MS : SILENCE_MS))
	{
		source->heard_at = GetCurrentTimestamp();
		weir_kafka_raise(reader, RD_KAFKA_RESP_ERR__TIMED_OUT, "read",
						 source->topic);
	}
}

static int
kafka_poll(WeirSource *base, WeirMessage *messages, int max)
{
	KafkaSource *source = (KafkaSource *) base;
	eventfd_t	count;
	int			n = 0;

	/* First the fd, then the queues: what comes later wakes us again. */
	(void) eventfd_read(source->reader->fd, &count);
	serve_reader(source);
	if (!source->error)
		n = take_messages(source, messages, max);
	if (n > 0)
	{
		source->heard_at = GetCurrentTimestamp();
		source->down = false;
		if (source->reader->failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
			source->reader->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	else
		raise_failure(source);
	return n;
}

static pgsocket
kafka_socket(WeirSource *base)
{
	return ((KafkaSource *) base)->reader->fd;
}

static TimestampTz
kafka_ready_at(WeirSource *base)
{
	return DT_NOEND;
}

/* ---- headers ---- */

/* A header's value: its text, or "\x" and hexadecimal if it is none. */
static void
append_header_value(StringInfo out, const char *value, size_t len)
{
	char	   *shown;

	if (value == NULL)
	{
		appendStringInfoString(out, "null");
		return;
	}
	if (memchr(value, '\0', len) == NULL &&
		pg_verify_mbstr(GetDatabaseEncoding(), value, len, true))
		shown = pnstrdup(value, len);
	else
	{
		shown = palloc(2 * len + 3);
		shown[0] = '\\';
		shown[1] = 'x';
		shown[2 + hex_encode(value, len, shown + 2)] = '\0';
	}
	escape_json(out, shown);
	pfree(shown);
}

static char *
kafka_headers(WeirSource *base, const WeirMessage *message)
{
	rd_kafka_headers_t *headers;
	StringInfoData out;
	const char *name;
	const void *value;
	size_t		len;

	if (message->kind != WEIR_RECORD ||
		rd_kafka_message_headers(message->handle, &headers) != 0)
		return NULL;
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (size_t i = 0;
		 rd_kafka_header_get_all(headers, i, &name, &value, &len) == 0; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, ", ");
		append_header_value(&out, name, strlen(name));
		appendStringInfoString(&out, ": ");
		append_header_value(&out, value, len);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* ---- publishing ---- */

static void
count_published(void *owner, rd_kafka_event_t *event)
{
	if (rd_kafka_event_type(event) ==
		RD_KAFKA_EVENT_ALTERCONSUMERGROUPOFFSETS_RESULT)
		((KafkaSource *) owner)->publishing--;
}

/*
 * Without waiting: the answers of earlier calls are taken here.  Whether one
 * succeeded does not matter, the next will say more.
 */
static void
kafka_publish(WeirSource *base, const char *group, int n,
			  const WeirPosition *positions)
{
	KafkaSource *source = (KafkaSource *) base;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_AlterConsumerGroupOffsets_t *request;

	weir_kafka_client_serve(source->asker, count_published);
	if (n == 0 || source->publishing >= MAX_PUBLISHED)
		return;
	list = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, source->topic,
										  positions[i].partition)->offset =
			positions[i].offset;
	request = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
	rd_kafka_AlterConsumerGroupOffsets(source->asker->rk, &request, 1, NULL,
									   source->asker->events);
	source->publishing++;
	rd_kafka_AlterConsumerGroupOffsets_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
}

/* ---- opening and closing ---- */

static void
release_reader(void *owner)
{
	KafkaSource *source = owner;

	kafka_release(&source->base);
	if (source->handle)
		rd_kafka_topic_destroy(source->handle);
	source->handle = NULL;
}

static void
kafka_close(WeirSource *base)
{
	KafkaSource *source = (KafkaSource *) base;
	WeirKafkaClient *reader = source->reader;
	WeirKafkaClient *asker = source->asker;

	source->reader = NULL;
	source->asker = NULL;
	if (reader)
		weir_kafka_client_close(reader);
	if (asker)
		weir_kafka_client_close(asker);
}

static void
close_callback(void *arg)
{
	kafka_close(arg);
}

static const WeirSourceMethods kafka_methods = {
	.partitions = kafka_partitions,
	.assign = kafka_assign,
	.poll = kafka_poll,
	.release = kafka_release,
	.ends = kafka_ends,
	.offset_at = kafka_offset_at,
	.headers = kafka_headers,
	.publish = kafka_publish,
	.socket = kafka_socket,
	.ready_at = kafka_ready_at,
	.close = kafka_close
};

/* The reader's properties with the budget that this process has. */
static WeirKafkaProperty *
properties_with_budget(void)
{
	const WeirKafkaProperty *budget = MyBackendType == B_BG_WORKER ?
		worker_budget : backend_budget;
	WeirKafkaProperty *properties = palloc0(sizeof(reader_properties) +
											sizeof(worker_budget));
	int			n = 0;

	for (int i = 0; reader_properties[i].name; i++)
		properties[n++] = reader_properties[i];
	for (int i = 0; budget[i].name; i++)
		properties[n++] = budget[i];
	return properties;
}

WeirSource *
weir_kafka_open(const char *topic, List *server_options,
				List *mapping_options)
{
	KafkaSource *source = palloc0(sizeof(KafkaSource));
	WeirKafkaProperty *properties = properties_with_budget();

	source->base.methods = &kafka_methods;
	source->context = CurrentMemoryContext;
	source->topic = pstrdup(topic);
	source->callback.func = close_callback;
	source->callback.arg = source;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &source->callback);
	source->reader = weir_kafka_client_open(RD_KAFKA_CONSUMER, properties,
											server_options, mapping_options,
											release_reader, source);
	source->reader->messages = rd_kafka_queue_get_consumer(source->reader->rk);
	weir_kafka_client_watch(source->reader, source->reader->messages);
	source->handle = rd_kafka_topic_new(source->reader->rk, topic, NULL);
	if (source->handle == NULL)
		weir_kafka_raise(source->reader, rd_kafka_last_error(), "read", topic);
	source->asker = weir_kafka_client_open(RD_KAFKA_CONSUMER,
										   asker_properties, server_options,
										   mapping_options, NULL, source);
	pfree(properties);
	return &source->base;
}

/* ---- topics ---- */

static List *
list_topics(const struct rd_kafka_metadata *metadata)
{
	List	   *topics = NIL;

	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		const struct rd_kafka_metadata_topic *from = &metadata->topics[i];
		WeirTopic  *topic;

		if (from->err)
			continue;
		topic = palloc(sizeof(WeirTopic));
		topic->name = pstrdup(from->topic);
		topic->partitions = from->partition_cnt;
		topic->internal = strncmp(from->topic, "__", 2) == 0;
		topics = lappend(topics, topic);
	}
	return topics;
}

/* Ask for all topics, a second at a time, until there is an answer. */
static List *
ask_topics(WeirKafkaClient *client, const char *server)
{
	int64		patience = deadline_in(PATIENCE_MS);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	List	   *topics;

	do
	{
		CHECK_FOR_INTERRUPTS();
		err = rd_kafka_metadata(client->rk, 1, NULL, &metadata, ASK_MS);
		weir_kafka_client_serve(client, NULL);
	} while (err && !client->failure && weir_kafka_remaining(patience) > 0);
	if (err)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not ask server \"%s\" for its topics: %s",
						server, client->reason[0] ? client->reason :
						rd_kafka_err2str(err)),
				 errhint(WEIR_KAFKA_UNREACHABLE_HINT)));
	topics = list_topics(metadata);
	rd_kafka_metadata_destroy(metadata);
	return topics;
}

List *
weir_kafka_topics(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	AclResult	acl = pg_foreign_server_aclcheck(serverid, GetUserId(),
												 ACL_USAGE);
	WeirKafkaClient *client;
	List	   *topics = NIL;

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, server->servername);
	client = weir_kafka_client_open(RD_KAFKA_CONSUMER, asker_properties,
									server->options,
									weir_kafka_mapping(serverid, GetUserId()),
									NULL, NULL);
	PG_TRY();
	{
		topics = ask_topics(client, server->servername);
	}
	PG_FINALLY();
	{
		weir_kafka_client_close(client);
	}
	PG_END_TRY();
	return topics;
}
