import FeatureCore
import OfflineStore
import Processor
import Verification

/// The events of topics as a join takes them, from an archive as far as that reaches: those that the service folds.
struct TopicFeed {
  private let plan: Plan
  private let log: ArchivedLog

  init(_ plan: Plan, _ log: ArchivedLog) {
    self.plan = plan
    self.log = log
  }

  /// Adds every event of some sources up to where the topics end now; returns how many there were.
  func add(_ sources: [Int], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
    let feed = join.feed()
    var records = 0
    for input in Routing(plan).inputs where sources.contains(input.source) && !input.isRepartitioned {
      let ends = try log.ends(of: input.topic)
      let part = TopicPart(plan, input, partitions: Int32(ends.count))
      for (partition, end) in ends {
        let first = try log.firstOffset(partition)
        guard first < end else { continue }
        try log.read(partition, first..<end) { block in
          records += block.count
          try part.add(block, of: partition, to: feed, letters)
        }
      }
    }
    return records
  }
}

/// The records of one source's topic, judged as the service judges them.
private final class TopicPart {
  private let input: Routing.Input
  private let partitions: Int32
  private let judge: RecordJudge
  private let batch: EventBatch
  /// The views that fold straight from the topic, whose entities have their partition.
  private let folds: [ViewFold]

  /// Offsets of one partition; there are fewer partitions than 2^15.
  private static let offsetBits: Int64 = 48

  init(_ plan: Plan, _ input: Routing.Input, partitions: Int32) {
    self.input = input
    self.partitions = partitions
    judge = RecordJudge(plan, input)
    batch = EventBatch(plan.sources[input.source].schema, capacity: 512)
    folds = input.views.map { ViewFold(plan.views[$0]) }
  }

  func add(
    _ records: UnsafeBufferPointer<LogRecord>, of partition: TopicPartition, to feed: JoinFeed,
    _ letters: DeadLetterFile
  ) throws(TableError) {
    var start = 0
    while start < records.count {
      let end = min(records.count, start + batch.capacity)
      try add(batchOf: UnsafeBufferPointer(rebasing: records[start..<end]), partition, feed, letters)
      start = end
    }
  }

  private func add(
    batchOf records: UnsafeBufferPointer<LogRecord>, _ partition: TopicPartition, _ feed: JoinFeed,
    _ letters: DeadLetterFile
  ) throws(TableError) {
    var refused = judge.decode(records, into: batch)
    let misplaced = judge.misplaced(batch, records, in: partition, of: partitions, folds)
    if !misplaced.isEmpty {
      refused = misplaced + judge.decode(records, into: batch, leavingOut: Set(misplaced.map(\.record)))
    }
    for (record, letter) in refused {
      try letters.append(letter, path: "\(partition)", line: records[record].offset, isInLog: true)
    }
    let base = Int64(partition.partition) << Self.offsetBits
    for index in 0..<batch.count {
      let record = records[Int(batch.sequence(index))]
      var failures: [DeadLetter] = []
      try feed.add(batch, row: index, source: input.source, order: base | record.offset) {
        failures.append(DeadLetter($0, batch.schema, record.payload, sequence: record.offset))
      }
      for failure in failures {
        try letters.append(failure, path: "\(partition)", line: record.offset, isInLog: true)
      }
    }
  }
}
