/*-------------------------------------------------------------------------
 *
 * raw_consumer.c
 *	  Reads a topic from its beginning to its end with librdkafka, and does
 *	  nothing with it: the yardstick of test/bench/throughput.
 *
 *		raw_consumer BOOTSTRAP TOPIC PARTITIONS
 *
 * It reads as a reader does (source/kafka.c, source/kafka_client.c,
 * worker/reader.c): the same properties, the same malloc settings, the same
 * call that takes messages in batches, the same pause when there are none.
 * Prints: messages, bytes, wall seconds, CPU seconds (user and system, all
 * threads).
 *
 *-------------------------------------------------------------------------
 */
#include <librdkafka/rdkafka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define POLL_MESSAGES	10000	/* as in reader.c */
#define DRAIN_MS		50		/* as in reader.c */

/* As in kafka_client.c and kafka.c */
static const char *const properties[][2] = {
	{"client.id", "pg_weir"},
	{"socket.keepalive.enable", "true"},
	{"topic.metadata.refresh.interval.ms", "60000"},
	{"group.id", "pg_weir"},
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "error"},
	{"isolation.level", "read_committed"},
	{"enable.partition.eof", "true"},
	{"check.crcs", "true"},
	{"queued.min.messages", "1000000"},
	{"queued.max.messages.kbytes", "262144"},
	{"fetch.message.max.bytes", "4194304"},
};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "raw_consumer: %s: %s\n", what, why);
	exit(1);
}

static rd_kafka_t *
connect_to(const char *bootstrap)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		reason[512];
	rd_kafka_t *rk;

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
	{
		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1],
							  reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			die(properties[i][0], reason);
	}
	if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, reason,
						  sizeof(reason)) != RD_KAFKA_CONF_OK)
		die("bootstrap.servers", reason);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (rk == NULL)
		die("rd_kafka_new", reason);
	return rk;
}

static void
assign(rd_kafka_t *rk, const char *topic, int partitions)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	list = rd_kafka_topic_partition_list_new(partitions);
	for (int p = 0; p < partitions; p++)
		rd_kafka_topic_partition_list_add(list, topic, p)->offset = 0;
	err = rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		die("rd_kafka_assign", rd_kafka_err2str(err));
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double
cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	static rd_kafka_message_t *batch[POLL_MESSAGES];
	const struct timespec pause = {.tv_nsec = DRAIN_MS * 1000000L};
	double		began = now();
	long		messages = 0;
	long		bytes = 0;
	int			left;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;

	if (argc != 4)
		die("usage", "raw_consumer BOOTSTRAP TOPIC PARTITIONS");
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	mallopt(M_TOP_PAD, 64 << 20);
	mallopt(M_ARENA_MAX, 2);

	left = atoi(argv[3]);
	rk = connect_to(argv[1]);
	queue = rd_kafka_queue_get_consumer(rk);
	assign(rk, argv[2], left);
	while (left > 0)
	{
		ssize_t		got = rd_kafka_consume_batch_queue(queue, 0, batch,
													   POLL_MESSAGES);

		for (ssize_t i = 0; i < got; i++)
		{
			if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
				left--;
			else if (batch[i]->err)
				die(argv[2], rd_kafka_message_errstr(batch[i]));
			else
			{
				messages++;
				bytes += batch[i]->len + batch[i]->key_len;
			}
			rd_kafka_message_destroy(batch[i]);
		}
		if (got <= 0 && left > 0)
			nanosleep(&pause, NULL);
	}
	printf("%ld %ld %.3f %.3f\n", messages, bytes, now() - began, cpu());
	fflush(stdout);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return 0;
}
