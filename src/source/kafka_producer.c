/*-------------------------------------------------------------------------
 *
 * kafka_producer.c
 *	  Messages into a topic: idempotent, acknowledged by all replicas, every
 *	  delivery counted.
 *
 * Delivery reports are events that the main thread takes while it produces
 * and while it waits.  The first message that could not be delivered is
 * remembered and raised at the next call.  message.timeout.ms bounds the time
 * until each message has its report, and so every wait here.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <sys/eventfd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "source/kafka.h"
#include "source/kafka_client.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SERVE_EVERY		1024	/* messages */
#define WAIT_MS			1000
#define FIRST_CONTACT_MS 30000	/* without any delivery, an error is raised */

struct WeirKafkaProducer
{
	WeirKafkaClient *client;	/* NULL: closed */
	rd_kafka_topic_t *handle;
	char	   *topic;
	MemoryContextCallback callback;
	int64		queued;
	int64		delivered;
	int64		failed;
	TimestampTz waiting_since;	/* without a delivery, or 0 */
	rd_kafka_resp_err_t error;	/* of the first that failed */
};

static const WeirKafkaProperty producer_properties[] = {
	{"enable.idempotence", "true"},
	{"partitioner", "murmur2_random"},
	{"message.timeout.ms", "60000"},
	{"queue.buffering.max.messages", "200000"},
	{"queue.buffering.max.kbytes", "65536"},
	{"linger.ms", "5"},
	{NULL}
};

static void
count_reports(void *owner, rd_kafka_event_t *event)
{
	WeirKafkaProducer *producer = owner;
	const rd_kafka_message_t *message;

	if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_DR)
		return;
	while ((message = rd_kafka_event_message_next(event)) != NULL)
	{
		if (!message->err)
		{
			producer->delivered++;
			continue;
		}
		producer->failed++;
		if (producer->error)
			continue;
		producer->error = message->err;

		/*
		 * A time-out has a better reason: the last error of a broker.  Of a
		 * record that was sent, rd_kafka_message_errstr() gives the payload.
		 */
		if (message->err != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
			producer->client->reason[0] == '\0')
			weir_kafka_note(producer->client, message->err,
							rd_kafka_err2str(message->err));
	}
}

/*
 * Can the brokers be reached at all?  A producer that has delivered waits for
 * them to come back; one that has not says at once what is wrong.
 */
static bool
hopeless(const WeirKafkaProducer *producer)
{
	rd_kafka_resp_err_t failure = producer->client->failure;

	if (failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		return producer->delivered == 0;
	return failure != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Take what has come, and raise what went wrong. */
static void
serve(WeirKafkaProducer *producer)
{
	int64		delivered = producer->delivered;
	eventfd_t	count;

	(void) eventfd_read(producer->client->fd, &count);
	weir_kafka_client_serve(producer->client, count_reports);
	if (producer->delivered > delivered &&
		producer->client->failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		producer->client->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
	if (producer->error)
		weir_kafka_raise(producer->client, producer->error, "write to",
						 producer->topic);
	if (hopeless(producer))
		weir_kafka_raise(producer->client, producer->client->failure,
						 "write to", producer->topic);
}

/* Wait for a report, an interrupt, or a second. */
static void
wait_for_reports(WeirKafkaProducer *producer)
{
	int			events;

	events = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE |
							   WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   producer->client->fd, WAIT_MS,
							   PG_WAIT_EXTENSION);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	serve(producer);
	if (producer->delivered == 0 && producer->queued > 0 &&
		TimestampDifferenceExceeds(producer->waiting_since,
								   GetCurrentTimestamp(), FIRST_CONTACT_MS))
		weir_kafka_raise(producer->client, RD_KAFKA_RESP_ERR__TIMED_OUT,
						 "write to", producer->topic);
}

/* Milliseconds of the Unix epoch; 0 lets librdkafka take the present. */
static int64
record_milliseconds(TimestampTz timestamp)
{
	int64		us;

	if (timestamp == WEIR_NO_TIMESTAMP)
		return 0;
	us = timestamp +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	if (us < 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a record's timestamp cannot lie before 1970")));
	return us / 1000;
}

static rd_kafka_resp_err_t
enqueue(WeirKafkaProducer *producer, int32 partition, int64 timestamp,
		const char *key, int32 key_len, const char *value, int32 value_len)
{
	return rd_kafka_producev(producer->client->rk,
							 RD_KAFKA_V_RKT(producer->handle),
							 RD_KAFKA_V_PARTITION(partition),
							 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							 RD_KAFKA_V_TIMESTAMP(timestamp),
							 RD_KAFKA_V_KEY((void *) key, key_len),
							 RD_KAFKA_V_VALUE((void *) value, value_len),
							 RD_KAFKA_V_END);
}

void
weir_kafka_produce(WeirKafkaProducer *producer, int32 partition,
				   TimestampTz timestamp, const char *key, int32 key_len,
				   const char *value, int32 value_len)
{
	int64		ms = record_milliseconds(timestamp);
	rd_kafka_resp_err_t err;

	if (producer->queued == 0)
		producer->waiting_since = GetCurrentTimestamp();
	if (producer->queued % SERVE_EVERY == 0)
		serve(producer);
	while ((err = enqueue(producer, partition, ms, key, key_len,
						  value, value_len)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		wait_for_reports(producer);
	if (err)
	{
		weir_kafka_note(producer->client, err, rd_kafka_err2str(err));
		weir_kafka_raise(producer->client, err, "write to", producer->topic);
	}
	producer->queued++;
}

void
weir_kafka_producer_flush(WeirKafkaProducer *producer)
{
	while (!weir_kafka_producer_wait(producer))
		;
}

bool
weir_kafka_producer_wait(WeirKafkaProducer *producer)
{
	serve(producer);
	if (producer->delivered + producer->failed < producer->queued)
		wait_for_reports(producer);
	return producer->delivered + producer->failed >= producer->queued;
}

const char *
weir_kafka_producer_trouble(const WeirKafkaProducer *producer)
{
	return producer->client->failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ?
		producer->client->reason : NULL;
}

/* What is still queued shall not be waited for. */
static void
purge(void *owner)
{
	WeirKafkaProducer *producer = owner;

	(void) rd_kafka_purge(producer->client->rk, RD_KAFKA_PURGE_F_QUEUE |
						  RD_KAFKA_PURGE_F_INFLIGHT |
						  RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (producer->handle)
		rd_kafka_topic_destroy(producer->handle);
	producer->handle = NULL;
	producer->client = NULL;
}

void
weir_kafka_producer_close(WeirKafkaProducer *producer)
{
	if (producer->client)
		weir_kafka_client_close(producer->client);
}

static void
close_callback(void *arg)
{
	weir_kafka_producer_close(arg);
}

/* The longest message; the stream's limit is librdkafka's. */
static WeirKafkaProperty *
properties_with_limit(int max_message_bytes)
{
	int			n = lengthof(producer_properties);
	WeirKafkaProperty *properties = palloc0(sizeof(WeirKafkaProperty) *
											(n + 1));

	memcpy(properties, producer_properties, sizeof(producer_properties));
	properties[n - 1].name = "message.max.bytes";
	properties[n - 1].value = psprintf("%d", Max(max_message_bytes, 1000));
	return properties;
}

WeirKafkaProducer *
weir_kafka_producer_open(const char *topic, List *server_options,
						 List *mapping_options, int max_message_bytes)
{
	WeirKafkaProducer *producer = palloc0(sizeof(WeirKafkaProducer));
	WeirKafkaProperty *properties = properties_with_limit(max_message_bytes);

	producer->topic = pstrdup(topic);
	producer->callback.func = close_callback;
	producer->callback.arg = producer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &producer->callback);
	producer->client = weir_kafka_client_open(RD_KAFKA_PRODUCER, properties,
											  server_options, mapping_options,
											  purge, producer);
	producer->handle = rd_kafka_topic_new(producer->client->rk, topic, NULL);
	if (producer->handle == NULL)
		weir_kafka_raise(producer->client, rd_kafka_last_error(), "write to",
						 topic);
	pfree(properties);
	return producer;
}
