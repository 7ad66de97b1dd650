/*-------------------------------------------------------------------------
 *
 * kafka_client.h
 *	  A librdkafka handle and what every user of one must do: for kafka.c and
 *	  kafka_producer.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_KAFKA_CLIENT_H
#define WEIR_KAFKA_CLIENT_H

#include "base/compat.h"

#include <librdkafka/rdkafka.h>

#include "lib/ilist.h"
#include "nodes/pg_list.h"

#define WEIR_KAFKA_TEXT 512

#define WEIR_KAFKA_UNREACHABLE_HINT \
	"Check the server's option bootstrap_servers, and that this host can reach the brokers."

typedef struct WeirKafkaProperty
{
	const char *name;
	const char *value;
	bool		optional;		/* librdkafka may not know it */
} WeirKafkaProperty;

typedef struct WeirKafkaClient
{
	dlist_node	node;			/* in the list of live handles */
	rd_kafka_t *rk;
	rd_kafka_queue_t *events;	/* the main queue: logs, errors, reports */
	rd_kafka_queue_t *messages; /* of a consumer that reads, or NULL */
	int			fd;				/* readable when a queue may have something */
	rd_kafka_resp_err_t failure;	/* an error that is for the caller, or 0 */
	rd_kafka_resp_err_t noted;	/* the last error, */
	char		reason[WEIR_KAFKA_TEXT];	/* and its text, made harmless */
	void		(*before_close) (void *owner);
	void	   *owner;
} WeirKafkaClient;

/* Called with each event that is neither a log line nor an error. */
typedef void (*WeirKafkaEvent) (void *owner, rd_kafka_event_t *event);

/*
 * A new handle with the given properties (ended by a NULL name), then those
 * allowed among the options.  Lives until weir_kafka_client_close() or
 * process exit, which call before_close(owner) first: it must give back
 * every message, topic and queue.  Raises FDW_INVALID_ATTRIBUTE_VALUE for
 * what librdkafka refuses, and 53000.
 */
extern WeirKafkaClient *weir_kafka_client_open(rd_kafka_type_t type,
											   const WeirKafkaProperty *properties,
											   List *server_options,
											   List *mapping_options,
											   void (*before_close) (void *owner),
											   void *owner);

/* End it, waiting at most a second.  Never raises. */
extern void weir_kafka_client_close(WeirKafkaClient *client);

/* Make the client's fd readable when the queue gets something. */
extern void weir_kafka_client_watch(WeirKafkaClient *client,
									rd_kafka_queue_t *queue);

/*
 * Serve what is in the main queue now: log lines go to the server log, errors
 * are noted in failure and reason, the rest goes to handler.  Never waits.
 */
extern void weir_kafka_client_serve(WeirKafkaClient *client,
									WeirKafkaEvent handler);

/* Note an error and its text, for weir_kafka_raise(). */
extern void weir_kafka_note(WeirKafkaClient *client, rd_kafka_resp_err_t err,
							const char *message);

/*
 * Raise an error of librdkafka: "could not <verb> topic <topic>: reason".
 * The reason is the text that was noted for err, or last if err says only
 * that something did not come in time; else librdkafka's own for err.
 */
extern void weir_kafka_raise(WeirKafkaClient *client, rd_kafka_resp_err_t err,
							 const char *verb, const char *topic)
			pg_attribute_noreturn();

/* Milliseconds left until a deadline of GetCurrentTimestamp()'s, at least 0. */
extern int	weir_kafka_remaining(int64 deadline);

#endif							/* WEIR_KAFKA_CLIENT_H */
