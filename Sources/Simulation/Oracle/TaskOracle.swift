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
    /// The side of a join that it is forwarded as.
    var side: Int?
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
  private let forwards: [(topic: String, side: Int?, folds: [ViewFold])]
  /// Of a join's log, the rule, and the fold without faults whose bytes the store must have.
  private let join: (plan: JoinPlan, oracle: JoinOracle, fold: TaskFold, topic: String)?
  /// A key of a join of which the fold keeps something else than the rule says; nil: there is none.
  private(set) var disagreement: String?
  /// The largest event time before each offset of the source's usable records.
  private(set) var times: [(offset: Int64, latest: Int64)] = []
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
  private var fired: [FiredTrigger] = []
  private let watch: TriggerWatch

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
      (forward.topic, forward.side?.side.rawValue, forward.plans(plan).map(ViewFold.init))
    }
    join = input.join.map { index in
      let joined = plan.joins[index]
      return (
        joined, JoinOracle(plan, joined),
        TaskFold(
          plan, input, log.place.partition, of: partitionCount, from: 0, tracksChanges: true),
        plan.sources[joined.source].source.topic
      )
    }
    batch = EventBatch(source.schema, capacity: 1)
    watch = TriggerWatch(plan)
    noteJoin(at: log.first)
  }

  /// Whether it is a join's.
  var isOfJoin: Bool { join != nil }

  private func noteJoin(at offset: Int64) {
    for (key, bytes) in join?.fold.takeChangedOfJoin() ?? [] {
      versions[key, default: []].append(Version(offset: offset, bytes: bytes))
    }
  }

  private func foldJoin(_ visible: VisibleRecord) {
    guard let join else { return }
    for due in join.oracle.fold(visible) {
      switch due {
      case .record(let key, let value):
        forwarded.append(Forwarded(topic: join.topic, key: key, value: value, offset: visible.offset))
      case .letter(let reason, let offset, let key, let payload, let headers):
        letters.append(
          LetterIdentity(
            reason: reason, view: String(input.name.dropLast(".sides".count)), topic: place.topic,
            partition: place.partition, offset: offset, key: Array(key.prefix(4_096)), payload: payload,
            version: version,
            headers: headers))
      }
    }
    (visible.record.key ?? []).withUnsafeBytes { key in
      (visible.record.value ?? []).withUnsafeBytes { value in
        let record = LogRecord(
          partition: 0, offset: visible.offset, timestampMilliseconds: visible.record.timestamp,
          key: visible.record.key == nil ? nil : key, value: value)
        withUnsafePointer(to: record) { join.fold.fold(UnsafeBufferPointer(start: $0, count: 1)) }
      }
    }
    for (key, events) in join.oracle.takeChanged() {
      let bytes = join.fold.joinBytes(StateKey.make(view: join.plan.name, key))
      let found =
        bytes.map { bytes in
          try? bytes.withUnsafeBytes { try RightEvents($0, join.plan) }.events
        } ?? []
      if found != events {
        disagreement =
          "of '\(Text(utf8: key))' \(found ?? []) is kept at \(visible.offset + 1), not \(events)"
      }
    }
    noteJoin(at: visible.offset + 1)
  }

  /// Folds what has come into the log. Returns whether anything has.
  func sync() {
    log.sync()
    while next < log.records.count {
      if isOfJoin { foldJoin(log.records[next]) } else { fold(log.records[next]) }
      next += 1
    }
  }

  func takeDue() -> (letters: [LetterIdentity], forwarded: [Forwarded], fired: [FiredTrigger]) {
    defer { (letters, forwarded, fired) = ([], [], []) }
    return (letters, forwarded, fired)
  }

  /// The bytes of a state at a position; nil before its first event, and where nothing of it is kept any more.
  func bytes(_ key: [UInt8], at position: Int64) -> [UInt8]? {
    versions[key]?.last { $0.offset <= position }.flatMap { $0.bytes.isEmpty ? nil : $0.bytes }
  }

  /// All states at a position.
  func states(at position: Int64) -> [[UInt8]: [UInt8]] {
    versions.keys.reduce(into: [:]) { $0[$1] = bytes($1, at: position) }
  }

  private func fold(_ visible: VisibleRecord) {
    batch.removeAll()
    let record = original(visible)
    let headers = declaredHeaders(record).flatMap { WireWriter.field(1, $0) }
    latest = max(latest, record.timestamp)
    headers.withUnsafeBytes { headers in
      fold(visible, record, RecordHeaders(headers))
    }
  }

  /// The record as its producer sent it, through a repartition topic or not.
  private func original(_ visible: VisibleRecord) -> Record {
    guard input.isRepartitioned, source.schema.forwardsRecord,
      let fields = WireReader.fields(visible.record.value ?? [])
    else { return visible.record }
    var record = Record(value: nil, timestamp: 0)
    for (number, field) in fields {
      switch number {
      case 1: record.timestamp = field.int64
      case 2: record.key = field.bytes
      case 3: record.value = field.bytes
      default:
        for (_, header) in WireReader.fields(field.bytes) ?? [] {
          let parts = WireReader.fields(header.bytes) ?? []
          record.headers.append(.init(parts.first?.field.text ?? "", parts.last?.field.bytes))
        }
      }
    }
    return record
  }

  private func fold(_ visible: VisibleRecord, _ record: Record, _ headers: RecordHeaders) {
    let value = record.value ?? []
    value.withUnsafeBytes { payload in
      (record.key ?? []).withUnsafeBytes { key in
        let fields = RecordFields(
          timestampMilliseconds: record.timestamp, key: record.key == nil ? nil : key, headers: headers)
        var refused: [String] = []
        do throws(DecodeFailure) {
          try batch.append(payload, sequence: 0, record: fields) { refused.append($0.reason.rawValue) }
        } catch {
          return due(error.reason.rawValue, nil, visible)
        }
        if !input.isRepartitioned {
          let rows = (0..<batch.count).filter { !isAhead($0, record) }
          if let rule = source.source.duplicates, let first = rows.first,
            let isConflict = isDuplicate(rows, rule, first)
          {
            for reason in refused { due(reason, nil, visible) }
            for row in 0..<batch.count where isAhead(row, record) { due("ahead_of_record", nil, visible) }
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
          // Of a forwarded record its source's task has told.
          if isAhead(row, record) {
            if !input.isRepartitioned { due("ahead_of_record", nil, visible) }
            continue
          }
          if input.isRepartitioned, source.schema.each != nil, !isOfKey(batch.row(row), visible) { continue }
          times.append((visible.offset, max(batch.time(row), times.last?.latest ?? .min)))
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

  /// Whether the time of an event is too far ahead of its record's. What is forwarded without that was judged as a whole.
  private func isAhead(_ row: Int, _ record: Record) -> Bool {
    if input.isRepartitioned, !source.schema.forwardsRecord { return false }
    return batch.time(row) > record.timestamp * 1000 + source.source.maxAhead
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
      let before = fold.view.triggers.isEmpty ? nil : states[key] ?? nil
      guard try fold.fold(row, time: time, into: &states[key, default: nil]) else { return }
      _ = fold.takeFirings()
      if let before {
        let entity = Array(try fold.key(of: row))
        fired += watch.closed(by: time, before, fold.view, entity, at: (place, visible.offset))
      }
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
    _ row: UnsafePointer<Scalar>, _ forward: (topic: String, side: Int?, folds: [ViewFold]),
    _ visible: VisibleRecord,
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
    guard let key, sent["\(forward.topic) \(forward.side ?? -1)", default: []].insert(key).inserted
    else { return }
    let plain = source.schema.forwardsRecord ? wholeRecord(visible) : visible.record.value ?? []
    let value = forward.side.map { sideRecord(visible, $0) } ?? plain
    forwarded.append(
      Forwarded(topic: forward.topic, key: key, value: value, offset: visible.offset, side: forward.side))
  }

  /// A record as it is forwarded to the log of a join.
  private func sideRecord(_ visible: VisibleRecord, _ side: Int) -> [UInt8] {
    wholeRecord(visible) + [4 << 3, UInt8(side + 1)]
  }

  /// A record as it is forwarded if more is read of it than its value.
  private func wholeRecord(_ visible: VisibleRecord) -> [UInt8] {
    let time = withUnsafeBytes(of: visible.record.timestamp.littleEndian, Array.init)
    let headers = declaredHeaders(visible.record).flatMap { WireWriter.field(1, $0) }
    return [1 << 3 | 1] + time + (visible.record.key.map { WireWriter.field(2, $0) } ?? [])
      + WireWriter.field(3, visible.record.value ?? [])
      + (readsHeaders && !visible.record.headers.isEmpty ? WireWriter.field(10, headers) : [])
  }

  private var readsHeaders: Bool { source.source.fields.contains { $0.header != nil } }

  /// The last header of each name that the source declares.
  private func declaredHeaders(_ record: Record) -> [[UInt8]] {
    Set(source.source.fields.compactMap(\.header)).sorted().compactMap { name in
      guard let value = record.headers.last(where: { $0.name == name })?.value else { return nil }
      return WireWriter.field(1, Array(name.utf8)) + WireWriter.field(2, value)
    }
  }

  /// A letter fits into a record: of a key there is as much as an entity may have, of a record that is too large its beginning.
  private func due(_ reason: String, _ view: String?, _ visible: VisibleRecord) {
    let payload = visible.record.value ?? []
    letters.append(
      LetterIdentity(
        reason: reason, view: view ?? "", topic: place.topic, partition: place.partition,
        offset: visible.offset, key: Array((visible.record.key ?? []).prefix(4_096)),
        payload: reason == "oversized" ? Array(payload.prefix(200)) : payload, version: version,
        headers: declaredHeaders(visible.record)))
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
  /// Those that the source declares, each as it is written.
  var headers: [[UInt8]] = []
}
