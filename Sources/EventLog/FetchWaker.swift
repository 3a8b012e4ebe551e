import CRDKafka
import Processor

/// Wakes librdkafka's fetching when half of what was fetched ahead has been used up.
///
/// Once enough is fetched ahead, librdkafka 2.0 sees only up to a second later that there is room again, unless its
/// connection to the broker has something else to do: whoever reads faster than a full queue a second would wait. So
/// each partition's broker is asked for an offset; the answer is of no interest and is not waited for.
struct FetchWaker {
  /// The most messages that the queue has held since the last waking.
  private var peak: Int32 = 0

  /// Looks at the queue of all partitions that are fetched.
  mutating func look(_ queue: OpaquePointer, _ handle: borrowing KafkaHandle, _ partitions: [TopicPartition])
  {
    let length = Int32(clamping: rd_kafka_queue_length(queue))
    peak = max(peak, length)
    guard length < peak / 2, peak >= KafkaDefaults.wakingMessagesMin else { return }
    peak = length
    _ = try? handle.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeout: KafkaDefaults.wakingTimeoutMilliseconds)
  }
}
