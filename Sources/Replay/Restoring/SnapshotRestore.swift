public import EventLog
public import FeatureCore
import OutputRecords
public import Processor
import SwiftProtobuf

/// Takes the last snapshot before the group's offset of every entity into a store: a transaction held both, so there is
/// nothing to fold. The topic is read twice: whether these are the definitions that it was made by is known before
/// anything is written.
public struct SnapshotRestore {
  private let plan: Plan
  private let tasks: [RestoredTask]
  private let offsets: [TopicPartition: Int64]
  private let admin: TopicAdmin
  private let tell: @Sendable (String) -> Void

  /// Restores these tasks; `tell` hears lines on the progress.
  public init(
    _ plan: Plan, _ tasks: [RestoredTask], _ admin: TopicAdmin, tell: @escaping @Sendable (String) -> Void
  ) {
    self.plan = plan
    self.tasks = tasks
    self.admin = admin
    self.tell = tell
    offsets = Dictionary(uniqueKeysWithValues: tasks.map { ($0.partition, $0.offset) })
  }

  // MARK: What the topic holds

  /// Reads the snapshot topic to its end, without a store. Throws if it was made by other definitions.
  public func survey(_ reader: TopicReader) throws -> SnapshotSurvey {
    var survey = SnapshotSurvey()
    try read(reader, what: "snapshots, looked through") { record, partition in
      survey.add(judge(record), "\(partition)@\(record.offset)")
    }
    if let view = survey.foreignView(of: plan.views.map(\.name)) {
      throw ProcessorError(
        remedy: .stop,
        description:
          "every snapshot of view '\(view)' was made by other definitions of version \(plan.version): give the file that "
          + "the service ran with, or raise version: and fill the new one. Redis was left as it is")
    }
    return survey
  }

  /// What a record is to this restoration. Nobody can take a record out of the topic again, so none that another program
  /// has put there may be what a restoration fails at.
  private func judge(_ record: LogRecord) -> JudgedSnapshot {
    guard let value = record.value else { return .none }
    guard let snapshot = try? Plumbline_Snapshot(serializedBytes: Array(value)) else { return .unusable }
    let place = TopicPartition(snapshot.topic, snapshot.partition)
    guard snapshot.version == Int64(plan.version), let offset = offsets[place], snapshot.offset <= offset
    else { return .leftOut }
    guard let view = plan.view(snapshot.view), view.fingerprint == snapshot.fingerprint else {
      return .foreign(view: snapshot.view)
    }
    let (name, state) = (StateKey.make(view: view.name, snapshot.entityKey), Array(snapshot.state))
    // A worker would stop at a state that it can't read, and read one under another entity's key as that entity's.
    guard record.key?.elementsEqual(name) ?? false,
      (try? state.withUnsafeBytes { try view.decode($0) }) != nil
    else { return .unusable }
    return .state(view: view.name, place, key: name, state)
  }

  private func read(_ reader: TopicReader, what: String, _ take: (LogRecord, TopicPartition) throws -> Void)
    throws
  {
    var ranges = try reader.ranges(of: [Routing(plan).snapshotTopic], from: .beginning)
    // An open transaction of another version hides what comes behind it: it is waited for.
    for (index, end) in try admin.ends(of: ranges.map(\.partition)).enumerated() { ranges[index].to = end }
    try reader.open(ranges)
    let progress = ReplayProgress(what, tell: tell)
    while let poll = try reader.poll(recordsMax: 1_000, timeoutMilliseconds: 500) {
      for record in poll.records { try take(record, poll.partitions[record.partition]) }
      for (range, place) in zip(ranges, reader.positions) {
        progress.report(
          range.partition, position: place.offset, target: range.to ?? place.offset,
          isDone: place.offset >= range.to ?? .max)
      }
    }
  }

  /// Writes the states into a store. Returns how many snapshots were restored.
  public func run(_ reader: TopicReader, into store: some StateStorePort) throws -> Int {
    let restoration = try TaskRestoration(tasks, into: store)
    try read(reader, what: "snapshots") { record, _ in
      guard case .state(_, let place, let key, let state) = judge(record) else { return }
      try restoration.take(state, of: key, place)
    }
    return try restoration.complete()
  }
}

/// What a record of the snapshot topic is to a restoration.
enum JudgedSnapshot {
  /// Nothing: a tombstone.
  case none
  case state(view: String, TopicPartition, key: [UInt8], [UInt8])
  /// Of another version, or not committed.
  case leftOut
  /// Of this version, and of definitions that these are not.
  case foreign(view: String)
  /// No snapshot, or one that nobody could use.
  case unusable
}

/// How many records of which kind a snapshot topic holds.
public struct SnapshotSurvey: Sendable {
  private var matching: [String: Int] = [:]
  /// By view, those that were made by other definitions of this version.
  public private(set) var foreign: [String: Int] = [:]
  /// Those of other versions, or not committed.
  public private(set) var leftOut = 0
  /// Those that nobody could use.
  public private(set) var unusable = 0
  /// Where the first of those stands that this service can't have written.
  public private(set) var first = ""

  mutating func add(_ snapshot: JudgedSnapshot, _ place: @autoclosure () -> String) {
    switch snapshot {
    case .none: return
    case .state(let view, _, _, _): return matching[view, default: 0] += 1
    case .leftOut: return leftOut += 1
    case .foreign(let view): foreign[view, default: 0] += 1
    case .unusable: unusable += 1
    }
    if first.isEmpty { first = place() }
  }

  /// A view that has snapshots of other definitions, and none of these.
  func foreignView(of views: [String]) -> String? {
    views.first { foreign[$0] != nil && matching[$0] == nil }
  }
}
