/*-------------------------------------------------------------------------
 *
 * mock_broker.c
 *	  librdkafka's mock cluster as a process, for fault injection.
 *
 *	mock_broker PORT BROKERS [TOPIC:PARTITIONS ...]
 *
 * listens on loopback ports PORT (broker 1), PORT + 1 (broker 2), ..., writes
 * "ready 127.0.0.1:PORT,..." and then obeys commands on standard input, each
 * answered by one line, "ok" or "error: REASON".  It ends at "quit" or at the
 * end of its input, so it never outlives the test that holds the pipe.
 *
 *	topic TOPIC PARTITIONS			create a topic
 *	topic-error TOPIC ERROR			metadata answers ERROR for it; 0 clears
 *	error REQUEST COUNT ERROR		the next COUNT such requests fail so
 *	clear REQUEST					forget what "error" left
 *	error-rtt BROKER REQUEST COUNT ERROR MS		the same on one broker, after MS
 *	down BROKER						close its listener and connections
 *	up BROKER						open it again, on the same port
 *	rtt BROKER MS					answer everything after MS; 0 = at once
 *	leader TOPIC PARTITION BROKER	move a partition; -1 = no leader
 *
 * ERROR is a number or a name of librdkafka's without its prefix, such as
 * NOT_LEADER_FOR_PARTITION or _TRANSPORT; REQUEST an API key or its name, such
 * as Fetch.
 *
 * What it is not: all data is in memory, and a partition keeps at most 5 MiB
 * (as stored) or 100,000 message sets, the oldest go first and a read of them
 * is OFFSET_OUT_OF_RANGE.  A fetch with nothing to return waits the whole
 * fetch.wait.max.ms.  ListOffsets by time answers -1, LogAppendTime is a
 * constant, aborted transactions are visible, and an unknown topic is created
 * with 4 partitions when its metadata are asked for.
 *
 * There is no setting for the port.  This program defines bind() itself and
 * exports it (-rdynamic), so that librdkafka's request for any port on
 * loopback gets the next of ours.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define MAX_WORDS 8
#define MAX_ERRORS 1000

typedef struct Words
{
	int			n;
	char	   *word[MAX_WORDS];
} Words;

typedef struct Command
{
	const char *name;
	int			nargs;
	const char *(*run) (char **args);	/* NULL, or why not */
} Command;

typedef struct Request
{
	const char *name;
	int			key;
} Request;

static const Request requests[] = {
	{"Produce", 0},
	{"Fetch", 1},
	{"ListOffsets", 2},
	{"Metadata", 3},
	{"FindCoordinator", 10},
	{"ApiVersions", 18},
	{"InitProducerId", 22},
	{NULL, 0}
};

static int	next_port = 0;
static int	brokers;
static rd_kafka_mock_cluster_t *cluster;

static bool
wants_any_loopback_port(const struct sockaddr *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *) address;

	return address->sa_family == AF_INET && in->sin_port == 0 &&
		in->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

/* Stands before libc's; see the head of this file. */
int
bind(int fd, const struct sockaddr *address, socklen_t len)
{
	static int	(*libc_bind) (int, const struct sockaddr *, socklen_t);
	struct sockaddr_in in;
	int			on = 1;

	if (libc_bind == NULL)
		*(void **) &libc_bind = dlsym(RTLD_NEXT, "bind");
	if (next_port == 0 || !wants_any_loopback_port(address))
		return libc_bind(fd, address, len);
	memcpy(&in, address, sizeof(in));
	in.sin_port = htons(next_port++);
	/* The last test's connections may still be in TIME_WAIT. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return libc_bind(fd, (struct sockaddr *) &in, sizeof(in));
}

/* librdkafka aborts when it cannot have its port, so look first. */
static void
check_port_free(int port)
{
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = {0};
	int			on = 1;

	in.sin_family = AF_INET;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *) &in, sizeof(in)) != 0 ||
		listen(fd, 1) != 0)
	{
		fprintf(stderr, "mock_broker: port %d: %s\n", port, strerror(errno));
		exit(1);
	}
	close(fd);
}

static bool
parse_int(const char *arg, int *result)
{
	char	   *end;
	long		value = strtol(arg, &end, 10);

	*result = (int) value;
	return *arg != '\0' && *end == '\0' && value == *result;
}

static bool
parse_error(const char *arg, rd_kafka_resp_err_t *err)
{
	const struct rd_kafka_err_desc *descs;
	size_t		n;
	int			number;

	if (parse_int(arg, &number))
	{
		*err = (rd_kafka_resp_err_t) number;
		return true;
	}
	rd_kafka_get_err_descs(&descs, &n);
	for (size_t i = 0; i < n; i++)
	{
		if (descs[i].name && strcasecmp(descs[i].name, arg) == 0)
		{
			*err = descs[i].code;
			return true;
		}
	}
	return false;
}

static bool
parse_request(const char *arg, int *key)
{
	for (const Request *r = requests; r->name; r++)
	{
		if (strcasecmp(r->name, arg) == 0)
		{
			*key = r->key;
			return true;
		}
	}
	return parse_int(arg, key) && *key >= 0;
}

static bool
parse_broker(const char *arg, int *broker)
{
	return parse_int(arg, broker) && *broker >= 1 && *broker <= brokers;
}

/* What a call of librdkafka's came to. */
static const char *
outcome(rd_kafka_resp_err_t err)
{
	return err ? rd_kafka_err2str(err) : NULL;
}

static const char *
run_topic(char **args)
{
	int			partitions;

	if (!parse_int(args[1], &partitions) || partitions < 1)
		return "partitions must be a positive number";
	return outcome(rd_kafka_mock_topic_create(cluster, args[0], partitions,
											  1));
}

static const char *
run_topic_error(char **args)
{
	rd_kafka_resp_err_t err;

	if (!parse_error(args[1], &err))
		return "no such error";
	rd_kafka_mock_topic_set_error(cluster, args[0], err);
	return NULL;
}

/* Leave errors for a kind of request, on one broker if broker > 0. */
static const char *
push_errors(int broker, char **args, int rtt)
{
	rd_kafka_resp_err_t err;
	rd_kafka_resp_err_t errors[MAX_ERRORS];
	int			key;
	int			count;

	if (!parse_request(args[0], &key))
		return "no such request";
	if (!parse_int(args[1], &count) || count < 1 || count > MAX_ERRORS)
		return "the count must be from 1 to 1000";
	if (!parse_error(args[2], &err))
		return "no such error";
	for (int i = 0; i < count; i++)
		errors[i] = err;
	if (broker == 0)
		rd_kafka_mock_push_request_errors_array(cluster, key, count, errors);
	for (int i = 0; broker > 0 && i < count; i++)
	{
		rd_kafka_resp_err_t failed;

		failed = rd_kafka_mock_broker_push_request_error_rtts(cluster, broker,
															  key, 1, err,
															  rtt);
		if (failed)
			return outcome(failed);
	}
	return NULL;
}

static const char *
run_error(char **args)
{
	return push_errors(0, args, 0);
}

static const char *
run_error_rtt(char **args)
{
	int			broker;
	int			rtt;

	if (!parse_broker(args[0], &broker))
		return "no such broker";
	if (!parse_int(args[4], &rtt) || rtt < 0)
		return "the time must be in milliseconds";
	return push_errors(broker, args + 1, rtt);
}

static const char *
run_clear(char **args)
{
	int			key;

	if (!parse_request(args[0], &key))
		return "no such request";
	rd_kafka_mock_clear_request_errors(cluster, key);
	return NULL;
}

static const char *
run_down(char **args)
{
	int			broker;

	if (!parse_broker(args[0], &broker))
		return "no such broker";
	return outcome(rd_kafka_mock_broker_set_down(cluster, broker));
}

static const char *
run_up(char **args)
{
	int			broker;

	if (!parse_broker(args[0], &broker))
		return "no such broker";
	return outcome(rd_kafka_mock_broker_set_up(cluster, broker));
}

static const char *
run_rtt(char **args)
{
	int			broker;
	int			rtt;

	if (!parse_broker(args[0], &broker))
		return "no such broker";
	if (!parse_int(args[1], &rtt) || rtt < 0)
		return "the time must be in milliseconds";
	return outcome(rd_kafka_mock_broker_set_rtt(cluster, broker, rtt));
}

static const char *
run_leader(char **args)
{
	int			partition;
	int			broker = -1;

	if (!parse_int(args[1], &partition))
		return "no such partition";
	if (strcmp(args[2], "-1") != 0 && !parse_broker(args[2], &broker))
		return "no such broker";
	return outcome(rd_kafka_mock_partition_set_leader(cluster, args[0],
													  partition, broker));
}

static const Command commands[] = {
	{"topic", 2, run_topic},
	{"topic-error", 2, run_topic_error},
	{"error", 3, run_error},
	{"error-rtt", 5, run_error_rtt},
	{"clear", 1, run_clear},
	{"down", 1, run_down},
	{"up", 1, run_up},
	{"rtt", 2, run_rtt},
	{"leader", 3, run_leader},
	{NULL, 0, NULL}
};

static Words
split(char *line)
{
	Words		words = {0};
	char	   *word;

	while (words.n < MAX_WORDS && (word = strsep(&line, " \t\n")) != NULL)
		if (*word)
			words.word[words.n++] = word;
	return words;
}

static const char *
run_command(Words *words)
{
	for (const Command *c = commands; c->name; c++)
	{
		if (words->n == 0 || strcmp(c->name, words->word[0]) != 0)
			continue;
		if (words->n != c->nargs + 1)
			return "wrong number of arguments";
		return c->run(words->word + 1);
	}
	return "no such command";
}

static void
obey(void)
{
	char	   *line = NULL;
	size_t		size = 0;

	while (getline(&line, &size, stdin) > 0)
	{
		Words		words = split(line);
		const char *reason;

		if (words.n == 1 && strcmp(words.word[0], "quit") == 0)
			break;
		reason = run_command(&words);
		if (reason)
			printf("error: %s\n", reason);
		else
			puts("ok");
		fflush(stdout);
	}
	free(line);
}

/* A topic given as NAME:PARTITIONS on the command line. */
static void
create_topic(char *argument)
{
	char	   *args[2];
	const char *reason;

	args[0] = argument;
	args[1] = strrchr(argument, ':');
	if (args[1])
		*args[1]++ = '\0';
	reason = args[1] ? run_topic(args) : "expected TOPIC:PARTITIONS";
	if (reason)
	{
		fprintf(stderr, "mock_broker: \"%s\": %s\n", argument, reason);
		exit(1);
	}
}

static rd_kafka_t *
start_cluster(int port)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char		reason[256];

	for (int i = 0; i < brokers; i++)
		check_port_free(port + i);
	/* Errors only: this client of our own has no broker to connect to. */
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (rk == NULL)
	{
		fprintf(stderr, "mock_broker: %s\n", reason);
		exit(1);
	}
	next_port = port;
	cluster = rd_kafka_mock_cluster_new(rk, brokers);
	return rk;
}

int
main(int argc, char **argv)
{
	rd_kafka_t *rk;
	int			port;

	if (argc < 3 || !parse_int(argv[1], &port) || port < 1 ||
		!parse_int(argv[2], &brokers) || brokers < 1)
	{
		fputs("usage: mock_broker PORT BROKERS [TOPIC:PARTITIONS ...]\n",
			  stderr);
		return 2;
	}
	rk = start_cluster(port);
	for (int i = 3; i < argc; i++)
		create_topic(argv[i]);
	printf("ready %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	obey();
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return 0;
}
