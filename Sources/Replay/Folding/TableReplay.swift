import EventLog
public import FeatureCore
public import OfflineStore
import Parquet
import OnlineStore
public import Processor
import Synchronization

/// Folds a range of a view's topic, from nothing, into a file.
public struct TableReplay {
  /// What rows are.
  public enum Rows: Sendable {
    /// One for each entity, at a time; nil is the largest event time folded.
    case features(at: EventTime?)
    /// One for each event, with the features after it.
    case snapshots
  }

  private let plan: Plan
  private let view: ViewPlan
  private let environment: ReplayEnvironment

  /// A replay for a view.
  public init(_ plan: Plan, _ view: ViewPlan, _ environment: ReplayEnvironment) {
    self.plan = plan
    self.view = view
    self.environment = environment
  }

  /// Returns what was folded, and how many rows that made; the file is there if it does.
  public func run(
    _ rows: Rows, from: ReplayPlace, until: ReplayPlace, out: String, format: FeatureTableFormat
  ) throws -> (folded: FoldedRange, rows: Int) {
    let counts = try TopicSurvey(plan, environment.kafka, report: environment.report).inputPartitions()
    let input = try input(counts)
    let topics = try ReplayTopics(environment, [input.topic])
    let (starts, ends) = try range(topics, from, until)
    var workers = ReplayWorkers(plan, environment, counts: counts, ends: ends)
    let names = starts.keys.map { (StoreKeys.task(source: input.name, partition: $0.partition), $0) }
    let partitions = Dictionary(uniqueKeysWithValues: names)
    let positions = partitions.compactMapValues { starts[$0] }
    let table = try TableSink(view, rows, path: out, format: format)
    let states: FoldedStates
    switch rows {
    case .features: states = FoldedStates(starts: positions) { _, _, _ in }
    case .snapshots:
      // A commit an event: rows must not depend on how events came to be in one batch.
      workers.limits.batchRecords = 1
      workers.limits.commitFoldsMax = 1
      states = FoldedStates(starts: positions) { (task, offset, states) throws(StoreError) in
        guard let partition = partitions[task] else { return }
        try table.add(states, at: partition, offset)
      }
    }
    guard let done = try workers.run({ states }) else {
      throw ProcessorError(remedy: .stop, description: "interrupted; nothing was written: begin again")
    }
    if case .features(let time) = rows { try table.add(states.states(of: view), at: time) }
    try table.finish()
    return (done, table.count)
  }

  private func input(_ counts: [String: Int32]) throws -> Routing.Input {
    let name = Routing(plan).input(of: view, plan)
    guard let input = Routing(plan).inputs.first(where: { $0.name == name }) else {
      preconditionFailure("Cannot find the input '\(name)' that a view folds from")
    }
    _ = try counts.partitions(of: input, view)
    return input
  }

  private func range(
    _ topics: ReplayTopics, _ from: ReplayPlace, _ until: ReplayPlace
  ) throws -> (starts: [TopicPartition: Int64], ends: [TopicPartition: Int64]) {
    let (starts, ends) = (try topics.offsets(from), try topics.offsets(until))
    if starts.allSatisfy({ $0.value > ends[$0.key] ?? 0 }) {
      throw ReplayError("--until is before --from, in every partition.")
    }
    return (
      starts, Dictionary(uniqueKeysWithValues: starts.map { ($0.key, max($0.value, ends[$0.key] ?? 0)) })
    )
  }
}

extension [String: Int32] {
  /// How many partitions the input of a view has, of those that exist.
  public func partitions(of input: Routing.Input, _ view: ViewPlan) throws(ProcessorError) -> Int32 {
    if let count = self[input.name] { return count }
    throw ProcessorError(
      remedy: .stop,
      description:
        "the view '\(view.name)' folds from the topic of '\(input.name)', which doesn't exist: its order is made by the "
        + "service; create it with plumb topics apply, and fill it with plumb run --until end")
  }
}

/// A table of a view's states. Any thread.
private final class TableSink: Sendable {
  private let view: ViewPlan
  /// nil once it is complete.
  private let writer: Mutex<FeatureTable?>
  private let rows = Atomic(0)

  init(_ view: ViewPlan, _ rows: TableReplay.Rows, path: String, format: FeatureTableFormat)
    throws(TableError)
  {
    self.view = view
    let place =
      switch rows {
      case .features: [ParquetColumn]()
      case .snapshots:
        [
          ParquetColumn("as_of", .scalar(.timestamp)), ParquetColumn("position_topic", .scalar(.string)),
          ParquetColumn("position_partition", .scalar(.int64)),
          ParquetColumn("position_offset", .scalar(.int64)),
        ]
      }
    writer = Mutex(
      try FeatureTable(path: path, format: format, columns: view.tableColumns(place: place)))
  }

  /// Rows so far.
  var count: Int { rows.load(ordering: .relaxed) }

  func finish() throws { try writer.withLock { try $0.take()?.finish() } }

  /// Each entity's features at a time that none of them is later than.
  func add(_ states: [(entity: [UInt8], state: [UInt8])], at time: EventTime?) throws {
    let decoded = try states.map { (entity: $0.entity, state: try Self.decode($0.state, view)) }
    guard let latest = decoded.map(\.state.asOf).max() else { return }
    if let time, time < latest {
      throw ReplayError(
        "--features-at is before the last event folded (\(latest.microseconds) µs since the epoch): choose a later time, or end earlier with --until."
      )
    }
    for (entity, state) in decoded { try add(entity, [], view.evaluate(state, at: time ?? latest)) }
  }

  /// The changed states of a commit.
  func add(_ states: KeyedStates, at partition: TopicPartition, _ offset: Int64) throws(StoreError) {
    let prefix = StateKey.make(view: view.name, [])
    do {
      for index in 0..<states.count {
        let (key, bytes) = states.withBytes(index) { (Array($0), Array($1)) }
        guard key.starts(with: prefix) else { continue }
        let state = try Self.decode(bytes, view)
        let place: [FeatureValue] = [
          .timestamp(state.asOf), .string(Text(partition.topic)), .int64(Int64(partition.partition)),
          .int64(offset),
        ]
        try add(Array(key.dropFirst(prefix.count)), place, view.evaluate(state, at: state.asOf))
      }
    } catch {
      throw StoreError(.fatal, "\(error)")
    }
  }

  private func add(_ entity: [UInt8], _ place: [FeatureValue], _ values: [FeatureValue]) throws {
    guard let columns = entity.withUnsafeBytes({ EntityKey.values(of: $0, view.entity) }) else {
      preconditionFailure("Cannot read a key that was made by this view")
    }
    try writer.withLock { try $0?.write(columns + place + values) }
    rows.add(1, ordering: .relaxed)
  }

  private static func decode(_ bytes: [UInt8], _ view: ViewPlan) throws(StateError) -> State {
    try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
      try view.decode(bytes)
    }
  }
}
