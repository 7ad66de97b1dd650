/*-------------------------------------------------------------------------
 *
 * kafka.h
 *	  Kafka, through librdkafka; only kafka*.c include rdkafka.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_KAFKA_H
#define WEIR_KAFKA_H

#include "base/compat.h"
#include "source/source.h"

/*
 * Options of the user mapping that userid has for a server: its own, else
 * the one for PUBLIC, else NIL.  Needs a transaction.
 */
extern List *weir_kafka_mapping(Oid serverid, Oid userid);

/* A consumer of a topic; see weir_stream_open(). */
extern WeirSource *weir_kafka_open(const char *topic, List *server_options,
								   List *mapping_options);

typedef struct WeirKafkaProducer WeirKafkaProducer;

/*
 * An idempotent producer, acks=all, for a topic.  Lives until
 * weir_kafka_producer_close(), the reset of the current memory context, or
 * process exit; what is not delivered by then is not sent any more.
 */
extern WeirKafkaProducer *weir_kafka_producer_open(const char *topic,
												   List *server_options,
												   List *mapping_options,
												   int max_message_bytes);

/*
 * Queue one message; partition -1 = by key hash, as Java's default does it.
 * Waits (on latch and event fd) while the queue is full.  Raises 08xxx or
 * 22xxx when a message before it could not be delivered, 54000 when this one
 * is too long.
 */
extern void weir_kafka_produce(WeirKafkaProducer *producer, int32 partition,
							   TimestampTz timestamp,
							   const char *key, int32 key_len,
							   const char *value, int32 value_len);

/* Wait until everything queued is delivered; raises if something was not. */
extern void weir_kafka_producer_flush(WeirKafkaProducer *producer);

/* The same for at most a second.  Is it all delivered? */
extern bool weir_kafka_producer_wait(WeirKafkaProducer *producer);

/* Why no broker can be reached at present, or NULL. */
extern const char *weir_kafka_producer_trouble(const WeirKafkaProducer *producer);

extern void weir_kafka_producer_close(WeirKafkaProducer *producer);

typedef struct WeirTopic
{
	char	   *name;
	int			partitions;
	bool		internal;		/* Kafka's own: the name begins with __ */
} WeirTopic;

/*
 * List of WeirTopic of a server as the current user, who needs USAGE on it.
 * Raises 08006 when no broker has answered after 10 s.  Needs a transaction.
 */
extern List *weir_kafka_topics(Oid serverid);

#endif							/* WEIR_KAFKA_H */
