import BrokerCore
import FeatureCore
import Processor

/// What a single fold without faults makes of one partition of an input, record by record: the states at every
/// offset, and what is due in the output topics.
final class TaskOracle {
  /// A state after the record before `offset`.
  struct Version {
    var offset: Int64
    var bytes: [UInt8]
  }

  /// A record that is due in a repartition topic.
  struct Forwarded {
    var topic: String
    var key: [UInt8]
    var value: [UInt8]
    var offset: Int64
  }

  let input: Routing.Input
  let place: Place
  /// The name of the task in the store.
  let name: String
  private let log: VisibleLog
  private let partitionCount: Int32
  private let source: SourcePlan
  private let version: Int64
  private let folds: [ViewFold]
  private let forwards: [(topic: String, folds: [ViewFold])]
  private let batch: EventBatch
  /// Of every id the last record that had it; and the latest time, in milliseconds.
  private var seen: [String: (time: Int64, content: String)] = [:]
  private var latest = Int64.min
  private var next = 0
  private var states: [[UInt8]: State?] = [:]
  /// By `StateKey`, ascending in offset.
  private(set) var versions: [[UInt8]: [Version]] = [:]
  /// The view of each key.
  private(set) var views: [[UInt8]: ViewPlan] = [:]
  /// What has become due since it was last taken.
  private var letters: [LetterIdentity] = []
  private var forwarded: [Forwarded] = []

  init(_ plan: Plan, _ input: Routing.Input, _ log: VisibleLog, of partitionCount: Int32) {
    self.partitionCount = partitionCount
    self.input = input
    self.log = log
    place = log.place
    name = "\(input.name).\(log.place.partition)"
    source = plan.sources[input.source]
    version = Int64(plan.version)
    folds = input.views.map { ViewFold(plan.views[$0]) }
    forwards = input.forwards.map { forward in
      (forward.topic, forward.views.map { ViewFold(plan.views[$0]) })
    }
    batch = EventBatch(source.schema, capacity: 1)
  }

  /// Folds what has come into the log. Returns whether anything has.
  func sync() {
    log.sync()
    while next < log.records.count {
      fold(log.records[next])
      next += 1
    }
  }

  func takeDue() -> (letters: [LetterIdentity], forwarded: [Forwarded]) {
    defer { (letters, forwarded) = ([], []) }
    return (letters, forwarded)
  }

  /// The bytes of a state at a position; nil before its first event.
  func bytes(_ key: [UInt8], at position: Int64) -> [UInt8]? {
    versions[key]?.last { $0.offset <= position }?.bytes
  }

  /// All states at a position.
  func states(at position: Int64) -> [[UInt8]: [UInt8]] {
    versions.compactMapValues { versions in versions.last { $0.offset <= position }?.bytes }
  }

  private func fold(_ visible: VisibleRecord) {
    batch.removeAll()
    let value = visible.record.value ?? []
    let record = visible.record
    latest = max(latest, record.timestamp)
    value.withUnsafeBytes { payload in
      (record.key ?? []).withUnsafeBytes { key in
        let fields = RecordFields(timestampMilliseconds: record.timestamp, key: record.key == nil ? nil : key)
        var refused: [String] = []
        do throws(DecodeFailure) {
          try batch.append(payload, sequence: 0, record: fields) { refused.append($0.reason.rawValue) }
        } catch {
          return due(error.reason.rawValue, nil, visible)
        }
        if !input.isRepartitioned {
          let rows = (0..<batch.count).filter { !isAhead($0, visible) }
          if let rule = source.source.duplicates, let first = rows.first,
            let isConflict = isDuplicate(rows, rule, first)
          {
            for reason in refused { due(reason, nil, visible) }
            for row in 0..<batch.count where isAhead(row, visible) { due("ahead_of_record", nil, visible) }
            if isConflict { due("conflicting_duplicate", nil, visible) }
            return
          }
          // The whole record is misplaced with one of its elements.
          if rows.contains(where: { isMisplaced(batch.row($0)) }) {
            return due("wrong_partition", nil, visible)
          }
          for reason in refused { due(reason, nil, visible) }
        }
        var forwardedKeys: [String: Set<[UInt8]>] = [:]
        for row in 0..<batch.count {
          if !input.isRepartitioned, isAhead(row, visible) {
            due("ahead_of_record", nil, visible)
            continue
          }
          if input.isRepartitioned, source.schema.each != nil, !isOfKey(batch.row(row), visible) { continue }
          for fold in folds { self.fold(batch.row(row), batch.time(row), fold, visible) }
          for forward in forwards { self.forward(batch.row(row), forward, visible, &forwardedKeys) }
        }
      }
    }
  }

  /// Whether an earlier record had the id of this one's events, and then whether it said something else; nil if none had.
  private func isDuplicate(_ rows: [Int], _ rule: Source.Duplicates, _ first: Int) -> Bool? {
    guard let column = source.schema.columns.firstIndex(where: { $0.name == rule.by }),
      batch.row(first)[column].isValue
    else { return nil }
    let id = text(batch.row(first)[column], source.schema.columns[column].type)
    let content = rows.map { row in
      source.schema.columns.indices.map { text(batch.row(row)[$0], source.schema.columns[$0].type) }
    }
    let last = seen.updateValue((latest, "\(content)"), forKey: id)
    guard let last, latest - last.time <= rule.within / 1_000 else { return nil }
    return last.content != "\(content)"
  }

  private func text(_ scalar: Scalar, _ type: ValueType) -> String {
    guard scalar.isValue else { return "null" }
    return type == .string ? "'\(Text(scalar.text))'" : "\(scalar.bits)"
  }

  private func isAhead(_ row: Int, _ visible: VisibleRecord) -> Bool {
    batch.time(row) > visible.record.timestamp * 1000 + source.source.maxAhead
  }

  /// Whether an element is of the entity that its record was forwarded for.
  private func isOfKey(_ row: UnsafePointer<Scalar>, _ visible: VisibleRecord) -> Bool {
    guard let fold = folds.first, let key = try? fold.key(of: row) else { return false }
    return Array(key) == visible.record.key
  }

  /// Whether a view would fold the record although its entity belongs in another partition.
  private func isMisplaced(_ row: UnsafePointer<Scalar>) -> Bool {
    folds.contains { fold in
      guard (try? fold.takes(row)) == true, let key = try? fold.key(of: row) else { return false }
      return Murmur2.partition(key, count: partitionCount) != place.partition
    }
  }

  private func fold(
    _ row: UnsafePointer<Scalar>, _ time: Int64, _ fold: ViewFold, _ visible: VisibleRecord
  ) {
    do throws(ViewFailure) {
      guard try fold.takes(row) else { return }
      let key = StateKey.make(view: fold.view.name, try fold.key(of: row))
      guard try fold.fold(row, time: time, into: &states[key, default: nil]) else { return }
      guard let state = states[key] ?? nil else { return }
      views[key] = fold.view
      let version = Version(offset: visible.offset + 1, bytes: fold.view.encode(state))
      // The elements of a record have one position.
      if versions[key]?.last?.offset == version.offset { versions[key]?.removeLast() }
      versions[key, default: []].append(version)
    } catch {
      if !input.isRepartitioned || error.isOfState { due(error.code, error.view, visible) }
    }
  }

  private func forward(
    _ row: UnsafePointer<Scalar>, _ forward: (topic: String, folds: [ViewFold]), _ visible: VisibleRecord,
    _ sent: inout [String: Set<[UInt8]>]
  ) {
    var key: [UInt8]?
    for fold in forward.folds {
      do throws(ViewFailure) {
        if try fold.takes(row) { key = Array(try fold.key(of: row)) }
      } catch {
        due(error.code, error.view, visible)
      }
    }
    // A record with elements is sent once to each entity.
    guard let key, sent[forward.topic, default: []].insert(key).inserted else { return }
    forwarded.append(
      Forwarded(topic: forward.topic, key: key, value: visible.record.value ?? [], offset: visible.offset))
  }

  private func due(_ reason: String, _ view: String?, _ visible: VisibleRecord) {
    letters.append(
      LetterIdentity(
        reason: reason, view: view ?? "", topic: place.topic, partition: place.partition,
        offset: visible.offset, key: visible.record.key ?? [], payload: visible.record.value ?? [],
        version: version))
  }
}

/// What makes two dead letters the same.
struct LetterIdentity: Hashable {
  var reason: String
  var view: String
  var topic: String
  var partition: Int32
  var offset: Int64
  var key: [UInt8]
  var payload: [UInt8]
  /// Of the definitions.
  var version: Int64
}
