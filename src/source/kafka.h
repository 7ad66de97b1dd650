/*-------------------------------------------------------------------------
 *
 * kafka.h
 *	  Kafka, through librdkafka; kafka.c is the only file that includes
 *	  rdkafka.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_KAFKA_H
#define WEIR_KAFKA_H

#include "base/compat.h"
#include "source/stream.h"

/* A consumer of the stream's topic; see weir_stream_open(). */
extern WeirSource *weir_kafka_open(WeirStream *stream, List *mapping_options);

typedef struct WeirKafkaProducer WeirKafkaProducer;

/*
 * An idempotent producer, acks=all, for the stream's topic.  Lives until
 * weir_kafka_producer_close(), the reset of the current memory context, or
 * process exit.
 */
extern WeirKafkaProducer *weir_kafka_producer_open(WeirStream *stream,
												   List *mapping_options);

/*
 * Queue one message; partition -1 = by key hash.  Waits (on latch and event
 * fd) while the queue is full.  Raises 08xxx or 22xxx when a message before
 * it could not be delivered.
 */
extern void weir_kafka_produce(WeirKafkaProducer *producer, int32 partition,
							   TimestampTz timestamp,
							   const char *key, int32 key_len,
							   const char *value, int32 value_len);

/* Wait until everything queued is delivered; raises if something was not. */
extern void weir_kafka_producer_flush(WeirKafkaProducer *producer);

/* Messages delivered so far. */
extern int64 weir_kafka_producer_delivered(WeirKafkaProducer *producer);
extern void weir_kafka_producer_close(WeirKafkaProducer *producer);

typedef struct WeirTopic
{
	char	   *name;
	int			partitions;
} WeirTopic;

/* List of WeirTopic of a server as the current user.  At most 10 s. */
extern List *weir_kafka_topics(Oid serverid);

#endif							/* WEIR_KAFKA_H */
