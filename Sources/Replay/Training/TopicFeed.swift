public import FeatureCore
public import OfflineStore
import Processor
import Verification

/// The events of topics as a join takes them, from an archive as far as that reaches: those that the service folds.
public struct TopicFeed {
  private let plan: Plan
  private let log: ArchivedLog

  /// The topics of a plan's sources.
  public init(_ plan: Plan, _ log: ArchivedLog) {
    self.plan = plan
    self.log = log
  }

  /// Adds every event of some sources up to where the topics end now; returns how many there were.
  public func add(_ sources: [Int], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
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

  /// Adds the records of the logs that some views fold from, where those are not their source's.
  public func addForwarded(_ views: [ViewPlan], to join: TrainingJoin) throws {
    let feed = join.feed()
    for input in Routing(plan).inputs where input.isRepartitioned {
      let folded = input.views.map { plan.views[$0] }.filter { view in views.contains { $0 === view } }
      guard !folded.isEmpty else { continue }
      let ends = try log.ends(of: input.topic)
      let part = TopicPart(plan, input, partitions: Int32(ends.count))
      for (partition, end) in ends {
        let first = try log.firstOffset(partition)
        guard first < end else { continue }
        try log.read(partition, first..<end) { block in
          try part.addForwarded(block, of: partition, to: feed, folded)
        }
      }
    }
  }

  /// The log that a view folds from, if that is not its source's.
  public func forwardedLog(_ view: ViewPlan) throws -> ForwardedLog? {
    let input = Routing(plan).inputs.first { input in
      input.isRepartitioned && input.views.contains { plan.views[$0] === view }
    }
    guard let input else { return nil }
    let begins = try log.ends(of: input.topic).map { partition, end in
      let first = try log.firstOffset(partition)
      return first == 0 ? .min : try begin(partition, first..<max(first, end))
    }
    return ForwardedLog(begins: begins)
  }

  /// When the first record of a partition was written, in microseconds.
  private func begin(_ partition: TopicPartition, _ offsets: Range<Int64>) throws -> Int64 {
    struct Found: Error { var time: Int64 }
    do {
      guard !offsets.isEmpty else { return .max }
      try log.read(partition, offsets) { records in
        if let time = records.first?.timestampMilliseconds { throw Found(time: time * 1_000) }
      }
    } catch let found as Found {
      return found.time
    }
    return .max
  }

  /// Tells a join which events of some sources the logs have lost.
  public func noteLost(_ sources: [Int], to join: TrainingJoin) throws {
    for input in Routing(plan).inputs where sources.contains(input.source) && !input.isRepartitioned {
      let source = plan.sources[input.source].source
      let log = try begins(of: input.topic)
      join.note(lostEventsOf: input.source) { entity in
        let isKey = source.partitioner == .murmur2 && entity.map(\.name) == [source.key]
        return log.lost(maxAhead: source.maxAhead, key: isKey ? .entity : .other)
      }
    }
  }

  private func begins(of topic: String) throws -> LogBegins {
    LogBegins(
      try log.ends(of: topic).map { partition, end in
        let first = try log.firstOffset(partition)
        let time = first == 0 ? .min : try begin(partition, first..<max(first, end))
        return LogBegins.Partition(name: "\(partition)", first: first, time: time)
      })
  }
}

/// Where the partitions of a topic begin.
struct LogBegins {
  struct Partition {
    var name: String
    /// The first offset.
    var first: Int64
    /// When its record was written, in microseconds since the epoch.
    var time: Int64
  }

  private let partitions: [Partition]

  init(_ partitions: [Partition]) { self.partitions = partitions }

  /// What is lost; nil if every partition begins at offset 0. An event isn't later than its record by more than
  /// `maxAhead`.
  func lost(maxAhead: Int64, key: LostRecords.Key) -> LostRecords? {
    let cut = partitions.filter { $0.first > 0 }
    guard let example = cut.max(by: { $0.time < $1.time }) else { return nil }
    let begin =
      example.time == .max
      ? "has lost all its \(example.first) records"
      : "begins at offset \(example.first), of \(RFC3339.format(EventTime(microseconds: example.time)))"
    return LostRecords(
      until: partitions.map { partition in
        guard partition.first > 0 else { return .min }
        return partition.time.addingReportingOverflow(maxAhead).overflow ? .max : partition.time + maxAhead
      }, key: key,
      description:
        "\(example.name) \(begin)\(cut.count > 1 ? " (\(cut.count) partitions don't begin at 0)" : "")")
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
  private let source: SourcePlan
  /// Of the partition that is read.
  private var filter: (partition: TopicPartition, filter: DuplicateFilter?)?

  /// Offsets of one partition; there are fewer partitions than 2^15.
  private static let offsetBits: Int64 = 48

  init(_ plan: Plan, _ input: Routing.Input, partitions: Int32) {
    self.input = input
    self.partitions = partitions
    source = plan.sources[input.source]
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
      let end = min(records.count, start + batch.recordsMax)
      try add(batchOf: UnsafeBufferPointer(rebasing: records[start..<end]), partition, feed, letters)
      start = end
    }
  }

  /// The records of a log that views of a comparison fold from: their source's task has judged them.
  func addForwarded(
    _ records: UnsafeBufferPointer<LogRecord>, of partition: TopicPartition, to feed: JoinFeed,
    _ views: [ViewPlan]
  ) throws(TableError) {
    let base = Int64(partition.partition) << Self.offsetBits
    var start = 0
    while start < records.count {
      let end = min(records.count, start + batch.recordsMax)
      let part = UnsafeBufferPointer(rebasing: records[start..<end])
      _ = judge.decode(part, into: batch)
      for index in 0..<batch.count {
        let offset = part[Int(batch.sequence(index))].offset
        for view in views {
          try feed.addForwarded(batch, row: index, to: view, order: base | offset, offset: offset)
        }
      }
      start = end
    }
  }

  private func add(
    batchOf records: UnsafeBufferPointer<LogRecord>, _ partition: TopicPartition, _ feed: JoinFeed,
    _ letters: DeadLetterFile
  ) throws(TableError) {
    if filter?.partition != partition {
      filter = (partition, DuplicateFilter(source, from: records.first?.offset ?? 0))
    }
    let filter = filter?.filter
    var refused = judge.decode(records, into: batch)
    refused += filter?.sift(records, batch) ?? []
    let misplaced = judge.misplaced(batch, records, in: partition, of: partitions, folds)
    if !misplaced.isEmpty {
      refused = misplaced + judge.decode(records, into: batch, leavingOut: Set(misplaced.map(\.record)))
      refused += filter?.sift(records, batch) ?? []
    }
    for (record, letter) in refused {
      try letters.append(letter, path: "\(partition)", line: records[record].offset, isInLog: true)
    }
    let base = Int64(partition.partition) << Self.offsetBits
    var failures: [(record: Int, failure: EventFailure)] = []
    try feed.add(
      batch, source: input.source, order: { base | records[Int($0)].offset },
      place: { sequence in
        let record = records[Int(sequence)]
        return LogPlace(offset: record.offset, timestampMilliseconds: record.timestampMilliseconds)
      }
    ) { failures.append((Int($0), $1)) }
    for (record, failure) in failures {
      let (payload, offset) = (records[record].payload, records[record].offset)
      try letters.append(
        DeadLetter(failure, batch.schema, payload, sequence: offset), path: "\(partition)", isInLog: true)
    }
  }
}
