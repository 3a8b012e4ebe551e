import BrokerCore

/// Reads a partition as a consumer does: batch by batch, leaving out markers and, if it reads committed records only,
/// those of aborted transactions.
func consume(_ partition: Partition, _ isolation: Isolation) throws -> [(offset: Int64, value: String)] {
  var found: [(offset: Int64, value: String)] = []
  var next = partition.logStartOffset
  while true {
    let fetched = try partition.read(from: next, maxBytes: 300, isolation: isolation, firstWhole: true)
    guard let last = fetched.batches.last else { return found }
    var aborting: Set<Int64> = []
    var aborted = fetched.aborted.sorted { $0.firstOffset < $1.firstOffset }[...]
    for batch in fetched.batches {
      let header = try batch.bytes.withUnsafeBytes { try BatchHeader(checking: $0) }
      while let transaction = aborted.first, transaction.firstOffset <= header.lastOffset {
        aborting.insert(transaction.producerId)
        aborted.removeFirst()
      }
      if header.isControl {
        aborting.remove(header.producerId)
      } else if !(header.isTransactional && aborting.contains(header.producerId)) {
        for (offset, record) in try RecordBatch.records(in: batch.bytes) where offset >= next {
          found.append((offset, String(decoding: record.value ?? [], as: UTF8.self)))
        }
      }
    }
    next = last.lastOffset + 1
  }
}

/// The error a call ends with.
func failure(_ body: () throws(KafkaError) -> Void) -> KafkaError {
  do throws(KafkaError) {
    try body()
    return .none
  } catch {
    return error
  }
}

/// A batch of records with the given values.
func batch(
  _ values: String..., producer: ProducerIdentity? = nil, sequence: Int32 = 0, transactional: Bool = false,
  timestamp: Int64 = 1_000
) -> [UInt8] {
  RecordBatch.encode(
    values.map { Record(value: Array($0.utf8), timestamp: timestamp) },
    producer: producer.map { BatchProducer(id: $0.id, epoch: $0.epoch, baseSequence: sequence) },
    transactional: transactional)
}
