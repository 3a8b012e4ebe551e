import CRDKafka
import Glibc

// How fast records of 200 bytes go into a broker and come out again, through librdkafka.
//
//   broker-benchmark 127.0.0.1:9092 TOPIC [RECORDS]
//
// The topic has one partition and should be empty. Prints records a second, produced and consumed.

guard CommandLine.arguments.count >= 3 else {
  print("usage: broker-benchmark BROKERS TOPIC [RECORDS]")
  exit(2)
}
let brokers = CommandLine.arguments[1]
let topicName = CommandLine.arguments[2]
let recordCount = CommandLine.arguments.count > 3 ? Int(CommandLine.arguments[3])! : 5_000_000
let recordBytes = 200

func fail(_ reason: String) -> Never {
  print(reason)
  exit(1)
}

func client(_ type: rd_kafka_type_t, _ settings: [String: String]) -> OpaquePointer {
  let configuration = rd_kafka_conf_new()
  var reason = [CChar](repeating: 0, count: 512)
  for (name, value) in settings.merging(["bootstrap.servers": brokers], uniquingKeysWith: { $1 }) {
    guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
      fail("\(name)=\(value) was refused")
    }
  }
  guard let client = rd_kafka_new(type, configuration, &reason, reason.count) else { fail("no client") }
  return client
}

func seconds(_ body: () -> Void) -> Double {
  let clock = ContinuousClock()
  let elapsed = clock.measure(body)
  return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
}

func report(_ what: String, _ seconds: Double) {
  let rate = Int(Double(recordCount) / seconds)
  print("\(what) \(recordCount) records of \(recordBytes) bytes: \(rate)/s")
}

func produceAll() {
  let producer = client(
    RD_KAFKA_PRODUCER,
    [
      "linger.ms": "5", "batch.num.messages": "100000", "batch.size": "1000000",
      "queue.buffering.max.messages": "1000000", "queue.buffering.max.kbytes": "1000000", "acks": "1",
    ])
  let topic = rd_kafka_topic_new(producer, topicName, nil)
  var payload = [UInt8](repeating: 0, count: recordBytes)
  for index in payload.indices { payload[index] = UInt8(truncatingIfNeeded: index &* 131) }
  for _ in 0..<recordCount {
    while rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, &payload, recordBytes, nil, 0, nil) != 0 {
      guard rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL else { fail("producing failed") }
      rd_kafka_poll(producer, 10)
    }
  }
  guard rd_kafka_flush(producer, 60_000) == RD_KAFKA_RESP_ERR_NO_ERROR else { fail("flushing failed") }
  rd_kafka_topic_destroy(topic)
  rd_kafka_destroy(producer)
}

func consumeAll() {
  let consumer = client(
    RD_KAFKA_CONSUMER,
    [
      "queued.min.messages": "500000", "queued.max.messages.kbytes": "1000000",
      "fetch.message.max.bytes": "4000000",
    ])
  let topic = rd_kafka_topic_new(consumer, topicName, nil)
  guard rd_kafka_consume_start(topic, 0, Int64(RD_KAFKA_OFFSET_BEGINNING)) == 0 else { fail("no consumer") }
  var batch = [UnsafeMutablePointer<rd_kafka_message_t>?](repeating: nil, count: 10_000)
  var consumed = 0
  while consumed < recordCount {
    let count = rd_kafka_consume_batch(topic, 0, 1_000, &batch, batch.count)
    guard count >= 0 else { fail("consuming failed") }
    for index in 0..<Int(count) {
      guard let message = batch[index] else { continue }
      if message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR { consumed += 1 }
      rd_kafka_message_destroy(message)
    }
  }
  rd_kafka_consume_stop(topic, 0)
  rd_kafka_topic_destroy(topic)
  rd_kafka_destroy(consumer)
}

report("produced", seconds(produceAll))
report("consumed", seconds(consumeAll))
