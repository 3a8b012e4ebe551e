#include "CPipeline.h"

#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("pipeline: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\n", stderr);
  va_end(arguments);
  exit(1);
}

static void check(rd_kafka_resp_err_t code, const char *attempt) {
  if (code) fail("%s: %s", attempt, rd_kafka_err2str(code));
}

static void check_error(rd_kafka_error_t *error, const char *attempt) {
  if (error) fail("%s: %s", attempt, rd_kafka_error_string(error));
}

/// Settings end with a null name.
static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers, const char *const (*settings)[2]) {
  char reason[512];
  rd_kafka_conf_t *configuration = rd_kafka_conf_new();
  if (rd_kafka_conf_set(configuration, "bootstrap.servers", brokers, reason, sizeof reason)) fail("%s", reason);
  for (; (*settings)[0]; settings++)
    if (rd_kafka_conf_set(configuration, (*settings)[0], (*settings)[1], reason, sizeof reason)) fail("%s", reason);
  // Without a callback for deliveries, flushing waits for a signal and not for up to 10 ms.
  rd_kafka_conf_set_events(configuration, RD_KAFKA_EVENT_DR);
  rd_kafka_t *made = rd_kafka_new(type, configuration, reason, sizeof reason);
  if (!made) fail("%s", reason);
  return made;
}

// ---- Producing

void *pipeline_producer(const char *brokers, const char *linger_ms) {
  const char *const settings[][2] = {
      {"partitioner", "murmur2_random"}, {"compression.codec", "lz4"}, {"linger.ms", linger_ms}, {"delivery.report.only.error", "true"},
      {"batch.num.messages", "50000"}, {"queue.buffering.max.messages", "1000000"}, {0}};
  return client(RD_KAFKA_PRODUCER, brokers, settings);
}

static void produce(rd_kafka_t *producer, rd_kafka_topic_t *topic, const void *key, size_t key_size,
                    const void *value, size_t value_size) {
  while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)value, value_size, key,
                          key_size, NULL)) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) check(rd_kafka_last_error(), "produce");
    rd_kafka_poll(producer, 10);
  }
}

void pipeline_send(void *producer, const char *topic, const void *key, size_t key_size, const void *value,
                   size_t value_size) {
  rd_kafka_topic_t *handle = rd_kafka_topic_new(producer, topic, NULL);
  produce(producer, handle, key, key_size, value, value_size);
  rd_kafka_topic_destroy(handle);
  rd_kafka_poll(producer, 0);
}

void pipeline_flush(void *producer) { check(rd_kafka_flush(producer, 60000), "flush"); }

void pipeline_producer_free(void *producer) { rd_kafka_destroy(producer); }

// ---- Redis

void *pipeline_redis(const char *path) {
  redisContext *redis = redisConnectUnix(path);
  if (!redis || redis->err) fail("Redis at %s: %s", path, redis ? redis->errstr : "no memory");
  return redis;
}

void pipeline_redis_free(void *redis) { redisFree(redis); }

static redisReply *reply_of(redisContext *redis) {
  void *reply = NULL;
  if (redisGetReply(redis, &reply) || !reply) fail("Redis: %s", redis->errstr);
  if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) fail("Redis: %s", ((redisReply *)reply)->str);
  return reply;
}

void pipeline_redis_flushall(void *redis) {
  redisAppendCommand(redis, "FLUSHALL SYNC");
  freeReplyObject(reply_of(redis));
}

void pipeline_redis_mget(void *redis, const char *const *keys, int count, void *context,
                         void (*body)(void *context, int index, const char *value, size_t size)) {
  const char *arguments[count + 1];
  arguments[0] = "MGET";
  for (int i = 0; i < count; i++) arguments[i + 1] = keys[i];
  redisAppendCommandArgv(redis, count + 1, arguments, NULL);
  redisReply *reply = reply_of(redis);
  for (int i = 0; i < count; i++) body(context, i, reply->element[i]->str, (size_t)reply->element[i]->len);
  freeReplyObject(reply);
}

// ---- Sizes

static uint64_t varint(const uint8_t **at, const uint8_t *end) {
  uint64_t value = 0;
  for (int shift = 0; *at < end; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("a snapshot ends in the middle");
}

static uint64_t state_size(const uint8_t *at, size_t size) {
  const uint8_t *end = at + size;
  while (at < end) {
    uint64_t tag = varint(&at, end);
    if ((tag & 7) == 0) varint(&at, end);
    else if ((tag & 7) == 1) at += 8;
    else {
      uint64_t length = varint(&at, end);
      if (tag >> 3 == 8) return length;
      at += length;
    }
  }
  fail("a snapshot has no state");
}

struct pipeline_sizes pipeline_sizes(const char *brokers, const char *topic, int partitions, long records_max) {
  const char *const settings[][2] = {{"group.id", "sizes"}, {"enable.auto.commit", "false"}, {0}};
  rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, brokers, settings);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
  check(rd_kafka_assign(consumer, list), "assign");
  struct pipeline_sizes sizes = {0};
  int64_t *last = calloc((size_t)partitions, sizeof *last), marks = 0;
  rd_kafka_message_t *message;
  while (sizes.records < records_max && (message = rd_kafka_consumer_poll(consumer, 2000))) {
    check(message->err, "read snapshots");
    sizes.records++;
    if (message->offset > last[message->partition]) marks += message->offset - last[message->partition] - 1;
    last[message->partition] = message->offset;
    sizes.value_bytes += (double)message->len;
    sizes.state_bytes += (double)state_size(message->payload, message->len);
    rd_kafka_message_destroy(message);
  }
  if (!sizes.records) fail("no snapshots in %s", topic);
  free(last);
  // The last commit's marks have no record behind them.
  sizes.commits = (long)(marks / partitions) + 1;
  sizes.value_bytes /= (double)sizes.records;
  sizes.state_bytes /= (double)sizes.records;
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return sizes;
}

// ---- The baseline

struct buffer {
  char *bytes;
  size_t size, capacity;
  int values;
  int64_t next;
  char position_key[128], state_prefix[128];
};

static char *room(struct buffer *buffer, size_t size) {
  if (buffer->size + size > buffer->capacity) {
    buffer->capacity = 2 * (buffer->size + size);
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
  }
  return buffer->bytes + buffer->size;
}

static void argument(struct buffer *buffer, const void *first, size_t first_size, const void *rest, size_t rest_size) {
  char *start = room(buffer, first_size + rest_size + 32), *at = start;
  at += sprintf(at, "$%zu\r\n", first_size + rest_size);
  memcpy(at, first, first_size);
  memcpy(at + first_size, rest, rest_size);
  at += first_size + rest_size;
  *at++ = '\r';
  *at++ = '\n';
  buffer->size += (size_t)(at - start);
}

static void store(redisContext *redis, struct buffer *buffer) {
  char number[32], head[64];
  argument(buffer, buffer->position_key, strlen(buffer->position_key), "", 0);
  argument(buffer, number, (size_t)sprintf(number, "%lld", (long long)buffer->next), "", 0);
  int size = sprintf(head, "*1\r\n$5\r\nMULTI\r\n*%d\r\n$4\r\nMSET\r\n", 3 + 2 * buffer->values);
  redisAppendFormattedCommand(redis, head, (size_t)size);
  redisAppendFormattedCommand(redis, buffer->bytes, buffer->size);
  redisAppendFormattedCommand(redis, "*1\r\n$4\r\nEXEC\r\n", 14);
  for (int i = 0; i < 3; i++) freeReplyObject(reply_of(redis));
  buffer->size = 0;
  buffer->values = 0;
}

void pipeline_run(const struct pipeline_options *options) {
  const char *const consuming[][2] = {
      {"group.id", options->group}, {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
      {"isolation.level", "read_committed"}, {"auto.offset.reset", "earliest"},
      {"partition.assignment.strategy", "cooperative-sticky"}, {"queued.min.messages", "500000"},
      {"queued.max.messages.kbytes", "131072"}, {"fetch.wait.max.ms", "100"}, {"fetch.error.backoff.ms", "100"},
      {"check.crcs", "true"}, {0}};
  const char *const producing[][2] = {
      {"transactional.id", options->group}, {"enable.idempotence", "true"}, {"partitioner", "murmur2_random"},
      {"compression.codec", "lz4"}, {"batch.num.messages", "50000"}, {"queue.buffering.max.messages", "1000000"},
      {"queue.buffering.max.kbytes", "262144"}, {"linger.ms", "20"},
      {"delivery.report.only.error", "true"}, {0}};
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, options->brokers, producing);
  check_error(rd_kafka_init_transactions(producer, 30000), "init transactions");
  rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, options->brokers, consuming);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, options->topic, RD_KAFKA_PARTITION_UA);
  check(rd_kafka_subscribe(consumer, topics), "subscribe");
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_topic_t *snapshots = rd_kafka_topic_new(producer, options->snapshot_topic, NULL);
  redisContext *redis = pipeline_redis(options->redis_path);

  struct buffer *buffers = calloc((size_t)options->partitions, sizeof *buffers);
  for (int i = 0; i < options->partitions; i++) {
    sprintf(buffers[i].position_key, "%s{clicks.%d}:p", options->prefix, i);
    sprintf(buffers[i].state_prefix, "%s{clicks.%d}:s:user_activity:", options->prefix, i);
  }
  // The bytes of the record, then some that repeat from value to value: about as compressible as snapshots are.
  char *payload = malloc(65536);
  for (int i = 0; i < 65536; i++) payload[i] = (char)rand();
  rd_kafka_message_t *messages[1000];
  long total = 0, uncommitted = 0;
  double due = 0;
  int is_open = 0;
  while (total < options->records) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, 0, messages, 1000);
    if (count <= 0) count = rd_kafka_consume_batch_queue(queue, 100, messages, 1);
    for (ssize_t i = 0; i < count; i++) {
      rd_kafka_message_t *message = messages[i];
      check(message->err, "consume");
      struct buffer *buffer = &buffers[message->partition];
      buffer->next = message->offset + 1;
      total++;
      uncommitted++;
      due += options->writes_per_record;
      if (due >= 1) {
        due -= 1;
        if (!is_open) check_error(rd_kafka_begin_transaction(producer), "begin");
        is_open = 1;
        memcpy(payload, message->payload, message->len < 256 ? message->len : 256);
        produce(producer, snapshots, message->key, message->key_len, payload, (size_t)options->snapshot_bytes);
        argument(buffer, buffer->state_prefix, strlen(buffer->state_prefix), message->key, message->key_len);
        argument(buffer, payload, (size_t)options->state_bytes, "", 0);
        buffer->values++;
      }
      rd_kafka_message_destroy(message);
    }
    if (uncommitted < options->records_per_commit && total < options->records) continue;
    if (!is_open) check_error(rd_kafka_begin_transaction(producer), "begin");
    is_open = 0;
    uncommitted = 0;
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(options->partitions);
    for (int i = 0; i < options->partitions; i++)
      if (buffers[i].next) rd_kafka_topic_partition_list_add(offsets, options->topic, i)->offset = buffers[i].next;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(consumer);
    check_error(rd_kafka_send_offsets_to_transaction(producer, offsets, metadata, 30000), "send offsets");
    check_error(rd_kafka_commit_transaction(producer, -1), "commit");
    rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(offsets);
    for (int i = 0; i < options->partitions; i++)
      if (buffers[i].next) store(redis, &buffers[i]);
  }
  // The process ends; the group notices when it is told.
  rd_kafka_consumer_close(consumer);
}
