#include <librdkafka/rdkafka.h>

// Copies the key and the value; a null pointer is Kafka's null. The error is read here, where no other call of the
// library can come between.
static inline rd_kafka_resp_err_t plumb_produce(
    rd_kafka_topic_t *topic, int32_t partition, const void *key, size_t key_size, const void *value,
    size_t value_size, void *opaque) {
  int failed = rd_kafka_produce(
      topic, partition, RD_KAFKA_MSG_F_COPY, (void *)value, value_size, key, key_size, opaque);
  return failed ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
}

// The same with a timestamp of its own, in milliseconds since the epoch.
static inline rd_kafka_resp_err_t plumb_produce_at(
    rd_kafka_t *client, rd_kafka_topic_t *topic, int64_t timestamp, const void *key, size_t key_size, const void *value,
    size_t value_size) {
  return rd_kafka_producev(
      client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(timestamp),
      RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE((void *)value, value_size), RD_KAFKA_V_END);
}
