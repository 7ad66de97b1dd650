/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  What the tests ask of a Kafka broker besides reading it.
 *
 * A client of some milliseconds in place of Kafka's own tools, which start a
 * JVM each time.  Run by the script "kafka" beside it, as
 *
 *	admin topic PORT NAME PARTITIONS [config=value ...]
 *	admin partitions PORT NAME PARTITIONS
 *	admin delete-topic PORT NAME
 *	admin delete-records PORT NAME PARTITION OFFSET
 *	admin end-offsets PORT NAME
 *	admin group-offsets PORT GROUP
 *	admin produce PORT NAME
 *	admin produce-committed PORT NAME
 *	admin produce-aborted PORT NAME
 *
 * "topic", "partitions" and "delete-topic" return when the broker's metadata
 * show the change.  "produce" reads records from standard input, one a line, as
 *
 *	partition <TAB> timestamp in ms, or -1 for now <TAB> key <TAB> value
 *
 * with key and value in hexadecimal, or \N for NULL, and returns when all are
 * acknowledged; the others do so in a transaction, which leaves a control record
 * behind them in each partition.  Everything is bounded by TIMEOUT_MS; errors go to standard
 * error and end the program with status 1.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define TIMEOUT_MS 30000

static long delivery_failures = 0;

static void
fail(const char *format,...)
{
	va_list		args;

	fputs("kafka: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void
delivery_report(rd_kafka_t *rk, const rd_kafka_message_t *message,
				void *opaque)
{
	(void) rk;
	(void) opaque;
	if (message->err && delivery_failures++ == 0)
		fprintf(stderr, "kafka: could not produce: %s\n",
				rd_kafka_err2str(message->err));
}

static void
set_conf(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		reason[256];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) !=
		RD_KAFKA_CONF_OK)
		fail("%s", reason);
}

static rd_kafka_t *
connect_to(const char *port, const char *idempotence, const char *transactional)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char		reason[256];
	char		bootstrap[300];

	snprintf(bootstrap, sizeof(bootstrap), "%s%s",
			 strchr(port, ':') ? "" : "127.0.0.1:", port);
	set_conf(conf, "bootstrap.servers", bootstrap);
	set_conf(conf, "log_level", "3");
	set_conf(conf, "enable.idempotence", idempotence);
	if (transactional)
		set_conf(conf, "transactional.id", transactional);
	set_conf(conf, "linger.ms", "5");
	set_conf(conf, "message.max.bytes", "100000000");
	rd_kafka_conf_set_dr_msg_cb(conf, delivery_report);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (rk == NULL)
		fail("%s", reason);
	return rk;
}

/* The topic's partitions that have a leader; 0 when there is no such topic. */
static int
count_partitions(rd_kafka_t *rk, const char *name)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	int			found = 0;

	err = rd_kafka_metadata(rk, 0, topic, &metadata, TIMEOUT_MS);
	if (err)
		fail("could not read metadata: %s", rd_kafka_err2str(err));
	if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
	{
		for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
			if (metadata->topics[0].partitions[i].leader >= 0)
				found++;
	}
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
	return found;
}

static void
wait_partitions(rd_kafka_t *rk, const char *name, int partitions)
{
	struct timespec pause = {0, 20 * 1000 * 1000};

	for (int i = 0; count_partitions(rk, name) != partitions; i++)
	{
		if (i * 20 > TIMEOUT_MS)
			fail("topic \"%s\" does not come to %d partitions", name,
				 partitions);
		nanosleep(&pause, NULL);
	}
}

/* Wait for the answer to an admin request, and fail if it is an error. */
static rd_kafka_event_t *
admin_answer(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);

	if (event == NULL)
		fail("no answer");
	if (rd_kafka_event_error(event))
		fail("%s", rd_kafka_event_error_string(event));
	return event;
}

static void
check_topic_results(const rd_kafka_topic_result_t **results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_topic_result_error(results[i]))
			fail("topic \"%s\": %s", rd_kafka_topic_result_name(results[i]),
				 rd_kafka_topic_result_error_string(results[i]) ?
				 rd_kafka_topic_result_error_string(results[i]) :
				 rd_kafka_err2str(rd_kafka_topic_result_error(results[i])));
}

static void
set_topic_config(rd_kafka_NewTopic_t *topic, char *setting)
{
	char	   *equals = strchr(setting, '=');

	if (equals == NULL)
		fail("\"%s\" is not of the form config=value", setting);
	*equals = '\0';
	rd_kafka_NewTopic_set_config(topic, setting, equals + 1);
}

static void
create_topic(rd_kafka_t *rk, const char *name, int partitions,
			 int nsettings, char **settings)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	rd_kafka_NewTopic_t *topic;
	const rd_kafka_topic_result_t **results;
	char		reason[256];
	size_t		n;

	topic = rd_kafka_NewTopic_new(name, partitions, 1, reason, sizeof(reason));
	if (topic == NULL)
		fail("%s", reason);
	for (int i = 0; i < nsettings; i++)
		set_topic_config(topic, settings[i]);
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	event = admin_answer(queue);
	results = rd_kafka_CreateTopics_result_topics
		(rd_kafka_event_CreateTopics_result(event), &n);
	check_topic_results(results, n);
	wait_partitions(rk, name, partitions);
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
}

static void
add_partitions(rd_kafka_t *rk, const char *name, int partitions)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	rd_kafka_NewPartitions_t *request;
	const rd_kafka_topic_result_t **results;
	char		reason[256];
	size_t		n;

	request = rd_kafka_NewPartitions_new(name, partitions, reason,
										 sizeof(reason));
	if (request == NULL)
		fail("%s", reason);
	rd_kafka_CreatePartitions(rk, &request, 1, NULL, queue);
	event = admin_answer(queue);
	results = rd_kafka_CreatePartitions_result_topics
		(rd_kafka_event_CreatePartitions_result(event), &n);
	check_topic_results(results, n);
	wait_partitions(rk, name, partitions);
	rd_kafka_event_destroy(event);
	rd_kafka_NewPartitions_destroy(request);
	rd_kafka_queue_destroy(queue);
}

static void
delete_topic(rd_kafka_t *rk, const char *name)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
	const rd_kafka_topic_result_t **results;
	size_t		n;

	rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
	event = admin_answer(queue);
	results = rd_kafka_DeleteTopics_result_topics
		(rd_kafka_event_DeleteTopics_result(event), &n);
	check_topic_results(results, n);
	wait_partitions(rk, name, 0);
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
}

static void
delete_records(rd_kafka_t *rk, const char *name, int partition,
			   int64_t offset)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_t *list;
	const rd_kafka_topic_partition_list_t *answers;
	rd_kafka_DeleteRecords_t *request;
	rd_kafka_event_t *event;

	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, name, partition)->offset = offset;
	request = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
	event = admin_answer(queue);
	answers = rd_kafka_DeleteRecords_result_offsets
		(rd_kafka_event_DeleteRecords_result(event));
	for (int i = 0; i < answers->cnt; i++)
		if (answers->elems[i].err)
			fail("could not delete records: %s",
				 rd_kafka_err2str(answers->elems[i].err));
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
}

static void
print_end_offsets(rd_kafka_t *rk, const char *name)
{
	int			partitions = count_partitions(rk, name);

	if (partitions == 0)
		fail("no topic \"%s\"", name);
	for (int i = 0; i < partitions; i++)
	{
		int64_t		low;
		int64_t		high;
		rd_kafka_resp_err_t err;

		err = rd_kafka_query_watermark_offsets(rk, name, i, &low, &high,
											   TIMEOUT_MS);
		if (err)
			fail("could not read offsets: %s", rd_kafka_err2str(err));
		printf("%d\t%lld\n", i, (long long) high);
	}
}

/* All that a consumer group has committed. */
static void
print_group_offsets(rd_kafka_t *rk, const char *group)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_ListConsumerGroupOffsets_t *request;
	const rd_kafka_group_result_t **groups;
	const rd_kafka_topic_partition_list_t *list;
	rd_kafka_event_t *event;
	size_t		n;

	request = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
	rd_kafka_ListConsumerGroupOffsets(rk, &request, 1, NULL, queue);
	event = admin_answer(queue);
	groups = rd_kafka_ListConsumerGroupOffsets_result_groups
		(rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
	if (n != 1 || rd_kafka_group_result_error(groups[0]))
		fail("could not read the offsets of group \"%s\"", group);
	list = rd_kafka_group_result_partitions(groups[0]);
	for (int i = 0; list != NULL && i < list->cnt; i++)
		printf("%s\t%d\t%lld\n", list->elems[i].topic,
			   list->elems[i].partition, (long long) list->elems[i].offset);
	rd_kafka_event_destroy(event);
	rd_kafka_ListConsumerGroupOffsets_destroy(request);
	rd_kafka_queue_destroy(queue);
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c) : NULL;

	if (found == NULL)
		fail("a key or value is not hexadecimal");
	return (int) (found - digits);
}

/* Decode hexadecimal text in place; NULL for \N. */
static char *
decode_hex(char *hex, size_t *len)
{
	*len = 0;
	if (strcmp(hex, "\\N") == 0)
		return NULL;
	for (const char *p = hex; *p; p += 2)
		hex[(*len)++] = (char) (hex_digit(p[0]) << 4 | hex_digit(p[1]));
	return hex;
}

static void
produce_line(rd_kafka_t *rk, const char *name, char *line)
{
	char	   *fields[4];
	size_t		key_len;
	size_t		value_len;
	char	   *key;
	char	   *value;
	rd_kafka_resp_err_t err;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < 4; i++)
		if ((fields[i] = strsep(&line, "\t")) == NULL)
			fail("a record needs partition, timestamp, key and value");
	key = decode_hex(fields[2], &key_len);
	value = decode_hex(fields[3], &value_len);
	while ((err = rd_kafka_producev(rk,
									RD_KAFKA_V_TOPIC(name),
									RD_KAFKA_V_PARTITION(atoi(fields[0])),
									RD_KAFKA_V_TIMESTAMP(fields[1][0] == '-' ?
														 0 : atoll(fields[1])),
									RD_KAFKA_V_KEY(key, key_len),
									RD_KAFKA_V_VALUE(value, value_len),
									RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
									RD_KAFKA_V_END)) ==
		   RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(rk, 100);
	if (err)
		fail("could not produce: %s", rd_kafka_err2str(err));
	rd_kafka_poll(rk, 0);
}

static void
produce(rd_kafka_t *rk, const char *name)
{
	char	   *line = NULL;
	size_t		size = 0;

	while (getline(&line, &size, stdin) > 0)
		produce_line(rk, name, line);
	free(line);
	if (rd_kafka_flush(rk, TIMEOUT_MS) || delivery_failures > 0)
		fail("not all records were acknowledged");
}

static void
check_transaction(rd_kafka_error_t *error)
{
	if (error)
		fail("%s", rd_kafka_error_string(error));
}

/* Records that are there to stay, or that no reader of committed ones sees. */
static void
produce_transaction(rd_kafka_t *rk, const char *name, bool commit)
{
	check_transaction(rd_kafka_init_transactions(rk, TIMEOUT_MS));
	check_transaction(rd_kafka_begin_transaction(rk));
	produce(rk, name);
	check_transaction(commit ? rd_kafka_commit_transaction(rk, TIMEOUT_MS) :
					  rd_kafka_abort_transaction(rk, TIMEOUT_MS));
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	rd_kafka_t *rk;

	if (argc < 4)
		fail("expected a verb, a port and a name");
	rk = connect_to(argv[2],
					strncmp(verb, "produce", 7) == 0 ? "true" : "false",
					strncmp(verb, "produce-", 8) == 0 ? argv[3] : NULL);
	if (strcmp(verb, "topic") == 0 && argc >= 5)
		create_topic(rk, argv[3], atoi(argv[4]), argc - 5, argv + 5);
	else if (strcmp(verb, "partitions") == 0 && argc == 5)
		add_partitions(rk, argv[3], atoi(argv[4]));
	else if (strcmp(verb, "delete-topic") == 0 && argc == 4)
		delete_topic(rk, argv[3]);
	else if (strcmp(verb, "delete-records") == 0 && argc == 6)
		delete_records(rk, argv[3], atoi(argv[4]), atoll(argv[5]));
	else if (strcmp(verb, "end-offsets") == 0 && argc == 4)
		print_end_offsets(rk, argv[3]);
	else if (strcmp(verb, "group-offsets") == 0 && argc == 4)
		print_group_offsets(rk, argv[3]);
	else if (strcmp(verb, "produce") == 0 && argc == 4)
		produce(rk, argv[3]);
	else if (strcmp(verb, "produce-committed") == 0 && argc == 4)
		produce_transaction(rk, argv[3], true);
	else if (strcmp(verb, "produce-aborted") == 0 && argc == 4)
		produce_transaction(rk, argv[3], false);
	else
		fail("wrong arguments for \"%s\"", verb);
	if (fflush(stdout) != 0)
		fail("could not write");
	rd_kafka_destroy(rk);
	return 0;
}
