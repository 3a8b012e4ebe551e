/// What a partition remembers of an idempotent producer.
struct ProducerState {
  /// A batch that was appended: enough to recognise it when it comes again.
  struct Remembered {
    var firstSequence: Int32
    var lastSequence: Int32
    var baseOffset: Int64
    var timestamp: Int64
  }

  /// Kafka remembers five batches, as many as a producer may have in flight.
  static let rememberedMax = 5

  var epoch: Int16 = -1
  var recent: [Remembered] = []
  /// Where the producer's open transaction begins in this partition.
  var transactionStart: Int64?
  var lastUsed: Int64 = 0

  /// The earlier append of this very batch.
  func duplicate(of batch: BatchHeader) -> Remembered? {
    guard batch.producerEpoch == epoch else { return nil }
    return recent.first {
      $0.firstSequence == batch.baseSequence && $0.lastSequence == batch.lastSequence
    }
  }

  /// Checks epoch, sequence and transaction of a batch that is not a duplicate.
  func check(_ batch: BatchHeader) throws(KafkaError) {
    if batch.producerEpoch < epoch { throw .invalidProducerEpoch }
    if batch.producerEpoch != epoch {
      // A producer new to this partition (deleted records, expired state) may start anywhere.
      if batch.baseSequence != 0 && epoch != -1 { throw .outOfOrderSequenceNumber }
    } else {
      let last = recent.last?.lastSequence ?? -1
      guard batch.baseSequence == (last == .max ? 0 : last + 1) else { throw .outOfOrderSequenceNumber }
    }
    if transactionStart != nil && !batch.isTransactional { throw .invalidTransactionState }
  }

  /// Takes in a batch that was appended at its base offset.
  mutating func append(_ batch: BatchHeader, at baseOffset: Int64, timestamp: Int64) {
    begin(epoch: batch.producerEpoch)
    if recent.count == Self.rememberedMax { recent.removeFirst() }
    recent.append(
      Remembered(
        firstSequence: batch.baseSequence, lastSequence: batch.lastSequence, baseOffset: baseOffset,
        timestamp: timestamp))
    if batch.isTransactional && transactionStart == nil { transactionStart = baseOffset }
  }

  /// Moves to an epoch: a new one starts its sequence at 0.
  mutating func begin(epoch: Int16) {
    if epoch != self.epoch { recent = [] }
    self.epoch = epoch
  }
}
