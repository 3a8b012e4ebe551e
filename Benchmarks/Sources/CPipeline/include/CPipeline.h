#pragma once
#include <stddef.h>
#include <stdint.h>

// librdkafka and hiredis without any adapter: the baseline of the service's benchmark and its tools. Every function
// prints what went wrong and ends the process: a benchmark has no use for half a result.

/// A producer that partitions by murmur2.
void *pipeline_producer(const char *brokers, const char *linger_ms);
void pipeline_send(void *producer, const char *topic, const void *key, size_t key_size, const void *value,
                   size_t value_size);
void pipeline_flush(void *producer);
void pipeline_producer_free(void *producer);

/// A connection to Redis over a Unix socket.
void *pipeline_redis(const char *path);
void pipeline_redis_free(void *redis);
void pipeline_redis_flushall(void *redis);
/// Reads keys of one slot; calls with the index, the value and its length, or null.
void pipeline_redis_mget(void *redis, const char *const *keys, int count, void *context,
                         void (*body)(void *context, int index, const char *value, size_t size));

/// Averages over the records of a topic, of which field 8 (the state's bytes) of the Protobuf message is looked at. Commits
/// are counted by the marks between the records, which are one a partition that the transaction wrote to.
struct pipeline_sizes {
  long records, commits;
  double value_bytes, state_bytes;
};
struct pipeline_sizes pipeline_sizes(const char *brokers, const char *topic, int partitions, long records_max);

/// What the baseline does: consumes `records` records of the topic in a group, and for a share of them produces a record of
/// `snapshot_bytes` and sets a value of `state_bytes` in Redis, in commits of `records_per_commit` records: the
/// transaction with the offsets, then MULTI, MSET with the position, EXEC for each partition.
struct pipeline_options {
  const char *brokers, *group, *topic, *snapshot_topic, *redis_path, *prefix;
  int partitions, records_per_commit;
  long records;
  double writes_per_record;
  int state_bytes, snapshot_bytes;
};
void pipeline_run(const struct pipeline_options *options);
