/*-------------------------------------------------------------------------
 *
 * kafka_client.c
 *	  A librdkafka handle inside a PostgreSQL process.
 *
 * The rules, each of them learnt from a crash or a hang:
 *
 * - A handle belongs to the process that made it; its threads have all
 *	 signals blocked and call nothing of PostgreSQL's (I7).  Log lines, errors
 *	 and delivery reports come as events of one queue that the main thread
 *	 serves; there is no callback, so nothing can raise inside librdkafka.
 *
 * - No process leaves without rd_kafka_destroy(): exit handlers of the TLS
 *	 library race with librdkafka's threads, and the segmentation fault restarts
 *	 the whole cluster.  But destroying can hang, so it is done in a thread of
 *	 its own.  A process that exits waits for it, bounded, with PGPROC and locks
 *	 already given back; when the time is over it leaves by _exit(), which runs
 *	 no exit handler.  A process that goes on leaves the thread to itself.
 *
 * - A message that is not given back keeps destroy waiting for ever, so the
 *	 owner gives everything back in before_close().
 *
 * - Only properties that weir_option_property() allows come from a user.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "source/kafka_client.h"
#include "source/option.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CLOSE_WAIT_MS	1000	/* for a process that goes on */
#define EXIT_WAIT_MS	1500	/* for all handles of one that exits */
#define LOG_LINES		20		/* of librdkafka's a minute */

/* A thread that destroys a handle. */
typedef struct Departure
{
	dlist_node	node;
	pthread_t	thread;
	rd_kafka_t *rk;
} Departure;

static dlist_head clients = DLIST_STATIC_INIT(clients);
static dlist_head departures = DLIST_STATIC_INIT(departures);
static bool stuck = false;		/* a handle has no thread to destroy it */
static bool registered = false;

/* What every handle is told. */
static const WeirKafkaProperty baseline[] = {
	{"client.id", "pg_weir"},
	{"log.queue", "true"},
	{"log.connection.close", "false"},
	{"socket.keepalive.enable", "true"},
	{"socket.connection.setup.timeout.ms", "10000"},
	{"topic.metadata.refresh.interval.ms", "60000"},
	{"topic.metadata.propagation.max.ms", "5000"},
	{"enable.metrics.push", "false", true},
	{NULL}
};

/* Properties that only one type of handle takes, by how they begin. */
static const char *const consumer_only[] = {
	"fetch.", "queued.m", "isolation.", "check.", NULL
};
static const char *const producer_only[] = {
	"linger.", "batch.", "compression.", "queue.buffering.",
	"message.timeout.", "request.timeout.", "delivery.", NULL
};

int
weir_kafka_remaining(int64 deadline)
{
	int64		us = deadline - GetCurrentTimestamp();

	return us <= 0 ? 0 : (int) ((us + 999) / 1000);
}

/* ---- leaving ---- */

/* Runs in a thread of its own: nothing of PostgreSQL's may be called. */
static void *
destroy_main(void *rk)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

static bool
join_until(Departure *departure, int64 deadline)
{
	struct timespec until;
	int			ms = weir_kafka_remaining(deadline);

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	if (pthread_timedjoin_np(departure->thread, NULL, &until) != 0)
		return false;
	dlist_delete(&departure->node);
	free(departure);
	return true;
}

/* Begin to destroy a handle; NULL if no thread is to be had. */
static Departure *
depart(rd_kafka_t *rk)
{
	Departure  *departure = malloc(sizeof(Departure));
	sigset_t	all;
	sigset_t	saved;
	int			failed = 1;

	if (departure != NULL)
	{
		departure->rk = rk;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &saved);
		failed = pthread_create(&departure->thread, NULL, destroy_main, rk);
		pthread_sigmask(SIG_SETMASK, &saved, NULL);
	}
	if (failed)
	{
		free(departure);
		stuck = true;
		return NULL;
	}
	dlist_push_tail(&departures, &departure->node);
	return departure;
}

/* Give back all that is ours, and begin to destroy the handle. */
static Departure *
dismiss(WeirKafkaClient *client)
{
	rd_kafka_t *rk = client->rk;

	dlist_delete(&client->node);
	if (client->before_close)
		client->before_close(client->owner);
	rd_kafka_queue_io_event_enable(client->events, -1, NULL, 0);
	rd_kafka_queue_destroy(client->events);
	if (client->messages)
	{
		rd_kafka_queue_io_event_enable(client->messages, -1, NULL, 0);
		rd_kafka_queue_destroy(client->messages);
	}
	close(client->fd);
	ReleaseExternalFD();
	pfree(client);
	return depart(rk);
}

/* on_proc_exit: locks and PGPROC are given back already. */
static void
leave_process(int code, Datum arg)
{
	int64		deadline;
	dlist_mutable_iter iter;

	while (!dlist_is_empty(&clients))
		(void) dismiss(dlist_container(WeirKafkaClient, node,
									   dlist_head_node(&clients)));
	deadline = GetCurrentTimestamp() + EXIT_WAIT_MS * INT64CONST(1000);
	dlist_foreach_modify(iter, &departures)
	{
		if (!join_until(dlist_container(Departure, node, iter.cur), deadline))
			stuck = true;
	}
	if (stuck)
	{
		ereport(LOG,
				(errmsg("leaving without waiting for librdkafka's threads any longer")));
		_exit(code);
	}
}

void
weir_kafka_client_close(WeirKafkaClient *client)
{
	Departure  *departure = dismiss(client);

	if (departure)
		(void) join_until(departure, GetCurrentTimestamp() +
						  CLOSE_WAIT_MS * INT64CONST(1000));
}

/* ---- opening ---- */

/*
 * Fetch buffers come and go by the megabyte: without this each of them is
 * mapped, cleared and unmapped by the kernel.  For workers only, whose memory
 * is theirs to plan.
 */
static void
tune_malloc(void)
{
	static bool tuned = false;

	if (tuned || MyBackendType != B_BG_WORKER)
		return;
	(void) mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void) mallopt(M_TRIM_THRESHOLD, 512 << 20);
	(void) mallopt(M_TOP_PAD, 64 << 20);
	(void) mallopt(M_ARENA_MAX, 2);
	tuned = true;
}

static bool
begins_with_any(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
	{
		if (strncmp(name, *prefixes, strlen(*prefixes)) == 0)
			return true;
	}
	return false;
}

/* Refuse what librdkafka refuses; the handle under way is given back. */
static void
refuse_conf(rd_kafka_conf_t *conf, const char *name, const char *reason)
{
	rd_kafka_conf_destroy(conf);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("librdkafka refuses option \"%s\"", name),
			 errdetail_internal("%s", reason)));
}

static void
set_properties(rd_kafka_conf_t *conf, const WeirKafkaProperty *properties)
{
	char		reason[WEIR_KAFKA_TEXT];
	rd_kafka_conf_res_t result;

	for (; properties->name; properties++)
	{
		result = rd_kafka_conf_set(conf, properties->name, properties->value,
								   reason, sizeof(reason));
		if (result != RD_KAFKA_CONF_OK && !properties->optional)
			refuse_conf(conf, properties->name, reason);
	}
}

/*
 * Options of a server or user mapping.  librdkafka's complaint may quote a
 * value, so for those of a mapping it is not shown.
 */
static void
set_options(rd_kafka_conf_t *conf, rd_kafka_type_t type, List *options,
			bool secret)
{
	char		reason[WEIR_KAFKA_TEXT];
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);
		const char *property = weir_option_property(option->defname);

		if (property == NULL ||
			begins_with_any(property, type == RD_KAFKA_PRODUCER ?
							consumer_only : producer_only))
			continue;
		if (rd_kafka_conf_set(conf, property, defGetString(option),
							  reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			refuse_conf(conf, option->defname,
						secret ? "The value is not valid." : reason);
	}
}

/* rd_kafka_new() with all signals blocked, for the threads it makes. */
static rd_kafka_t *
new_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason,
		   size_t reason_size)
{
	sigset_t	all;
	sigset_t	saved;
	rd_kafka_t *rk;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	rk = rd_kafka_new(type, conf, reason, reason_size);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return rk;
}

/* The handle's fd and main queue; all that can fail has been done before. */
static void
init_client(WeirKafkaClient *client, rd_kafka_t *rk)
{
	client->rk = rk;
	client->events = rd_kafka_queue_get_main(rk);
	rd_kafka_set_log_queue(rk, client->events);
	weir_kafka_client_watch(client, client->events);
	dlist_push_tail(&clients, &client->node);
}

static WeirKafkaClient *
allocate_client(void)
{
	WeirKafkaClient *client;

	if (!registered)
	{
		on_proc_exit(leave_process, (Datum) 0);
		registered = true;
	}
	client = MemoryContextAllocZero(TopMemoryContext,
									sizeof(WeirKafkaClient));
	client->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (client->fd < 0)
	{
		pfree(client);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create an event descriptor: %m")));
	}
	ReserveExternalFD();
	return client;
}

WeirKafkaClient *
weir_kafka_client_open(rd_kafka_type_t type,
					   const WeirKafkaProperty *properties,
					   List *server_options, List *mapping_options,
					   void (*before_close) (void *owner), void *owner)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		reason[WEIR_KAFKA_TEXT];
	WeirKafkaClient *client;
	rd_kafka_t *rk;

	tune_malloc();
	set_properties(conf, baseline);
	set_properties(conf, properties);
	set_options(conf, type, server_options, false);
	set_options(conf, type, mapping_options, true);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_ERROR |
							 RD_KAFKA_EVENT_DR);
	client = allocate_client();
	rk = new_handle(type, conf, reason, sizeof(reason));
	if (rk == NULL)
	{
		close(client->fd);
		ReleaseExternalFD();
		pfree(client);
		rd_kafka_conf_destroy(conf);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not start a Kafka client"),
				 errdetail_internal("%s", reason)));
	}
	init_client(client, rk);
	client->before_close = before_close;
	client->owner = owner;
	return client;
}

void
weir_kafka_client_watch(WeirKafkaClient *client, rd_kafka_queue_t *queue)
{
	static const uint64 one = 1;

	rd_kafka_queue_io_event_enable(queue, client->fd, &one, sizeof(one));
}

/* ---- events ---- */

/* Nothing that a broker says may forge a log line or break its encoding. */
static void
make_harmless(char *to, size_t size, const char *from)
{
	size_t		n = 0;

	for (; from[n] && n < size - 1; n++)
		to[n] = from[n] < ' ' || from[n] > '~' ? '?' : from[n];
	to[n] = '\0';
}

/* May one more line be logged?  Says how many were not. */
static bool
may_log(void)
{
	static TimestampTz minute = 0;
	static int	lines = 0;
	static int	dropped = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now - minute >= USECS_PER_MINUTE || now < minute)
	{
		if (dropped > 0)
			ereport(LOG,
					(errmsg("%d more lines of librdkafka were not logged",
							dropped)));
		minute = now;
		lines = dropped = 0;
	}
	if (lines >= LOG_LINES)
	{
		dropped++;
		return false;
	}
	lines++;
	return true;
}

static void
log_line(rd_kafka_event_t *event)
{
	char		shown[WEIR_KAFKA_TEXT];
	const char *facility;
	const char *line;
	int			level;

	if (rd_kafka_event_log(event, &facility, &line, &level) != 0)
		return;
	make_harmless(shown, sizeof(shown), line);
	if (level > 4)
		ereport(DEBUG1, (errmsg_internal("librdkafka: %s", shown)));
	else if (may_log())
		ereport(LOG, (errmsg_internal("librdkafka: %s", shown)));
}

/* Is it for the caller, or will librdkafka mend it by itself? */
static bool
is_failure(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR__FATAL:
			return true;
		default:
			return false;
	}
}

void
weir_kafka_note(WeirKafkaClient *client, rd_kafka_resp_err_t err,
				const char *message)
{
	char		fatal[WEIR_KAFKA_TEXT];

	if (err == RD_KAFKA_RESP_ERR__FATAL)
	{
		(void) rd_kafka_fatal_error(client->rk, fatal, sizeof(fatal));
		message = fatal;
	}
	/* That all brokers are down says less than the error before it. */
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || client->reason[0] == '\0')
	{
		client->noted = err;
		make_harmless(client->reason, sizeof(client->reason), message ? message : "");
	}
	if (is_failure(err) && client->failure != RD_KAFKA_RESP_ERR__FATAL)
		client->failure = err;
}

void
weir_kafka_client_serve(WeirKafkaClient *client, WeirKafkaEvent handler)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(client->events, 0)) != NULL)
	{
		switch (rd_kafka_event_type(event))
		{
			case RD_KAFKA_EVENT_LOG:
				log_line(event);
				break;
			case RD_KAFKA_EVENT_ERROR:
				weir_kafka_note(client, rd_kafka_event_error(event),
								rd_kafka_event_error_string(event));
				break;
			default:
				if (handler)
					handler(client->owner, event);
		}
		rd_kafka_event_destroy(event);
	}
}

/* ---- errors ---- */

static int
sqlstate_of(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
			return ERRCODE_UNDEFINED_TABLE;
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
		case RD_KAFKA_RESP_ERR_INVALID_RECORD:
		case RD_KAFKA_RESP_ERR__INVALID_ARG:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
			return ERRCODE_DATA_CORRUPTED;
		case RD_KAFKA_RESP_ERR__FATAL:
			return ERRCODE_SYSTEM_ERROR;
		default:
			return ERRCODE_CONNECTION_FAILURE;
	}
}

/* Does err say no more than that there was no answer? */
static bool
is_silence(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
		err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
		err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
		err == RD_KAFKA_RESP_ERR__TRANSPORT;
}

void
weir_kafka_raise(WeirKafkaClient *client, rd_kafka_resp_err_t err,
				 const char *verb, const char *topic)
{
	int			sqlerrcode = sqlstate_of(err);
	bool		noted = client->reason[0] != '\0' &&
		(err == client->noted || is_silence(err));

	if (sqlerrcode == ERRCODE_UNDEFINED_TABLE)
		ereport(ERROR,
				(errcode(sqlerrcode),
				 errmsg("topic \"%s\" does not exist", topic),
				 errhint("SELECT * FROM weir.topics(server) lists those of a server.")));
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("could not %s topic \"%s\": %s", verb, topic,
					noted ? client->reason : rd_kafka_err2str(err)),
			 sqlerrcode == ERRCODE_CONNECTION_FAILURE ?
			 errhint(WEIR_KAFKA_UNREACHABLE_HINT) :
			 sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED ?
			 errhint("Both the stream's option max_message_bytes and the topic's max.message.bytes limit a message.") : 0));
	pg_unreachable();
}
