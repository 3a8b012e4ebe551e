import BrokerCore
import FeatureCore
import Processor

/// What a join makes of one partition of its log, by the rule as it is written: every event is kept, and every outcome looked
/// for among all of them.
final class JoinOracle {
  /// A record that is due in the join's topic, or a dead letter's reason and payload.
  enum Due {
    case record(key: [UInt8], value: [UInt8])
    case letter(reason: String, offset: Int64, key: [UInt8], payload: [UInt8], headers: [[UInt8]])
  }

  private struct Left {
    var offset: Int64
    var key: [UInt8]
    var fields: [UInt64: [UInt8]]
    var timestamp: Int64
    var passed: Int64
  }

  private let plan: JoinPlan
  private let takes: [ViewFold]
  private let batches: [EventBatch]
  /// Of each side, by how many microseconds an event may be ahead of its record.
  private let maxAhead: [Int64]
  private let rows: TaskRows
  private var known: [Int: [Int: (time: Int64?, seen: Int64?)]] = [:]
  private var counts: [Int: Int] = [:]
  private var passed = Int64.min
  /// The records of the log; nil: none of a left event.
  private var log: [Left?] = []
  /// How many of those before are of left events.
  private var leftCounts = [0]
  private var rights: [[UInt8]: [RightEvents.Event]] = [:]
  /// How many of the log's records each cursor has passed.
  private var taken: [Int]
  /// What the clock says behind each record, and at the slowest cursor.
  private var clock: [Int64] = []
  private var slowest = Int64.min
  /// Of the records of the log that are right events, the key and the latest time; how many there are before each record; and how
  /// many records the last place has passed.
  private var rightTimes: [(key: [UInt8], time: Int64)?] = []
  private var rightCounts = [0]
  private var passedLast = 0
  /// The right events that nobody has forgotten.
  private(set) var kept: [[UInt8]: [RightEvents.Event]] = [:]
  /// The keys whose kept events have changed since somebody asked.
  private var changed: Set<[UInt8]> = []

  /// The states of a table's rows.
  private final class TaskRows { var states: [[UInt8]: State?] = [:] }

  init(_ plan: Plan, _ join: JoinPlan) {
    self.plan = join
    takes = [ViewFold(join.left), ViewFold(join.right)]
    batches = JoinPlan.Side.allCases.map {
      EventBatch(plan.sources[join.source(of: $0)].schema, capacity: 1)
    }
    maxAhead = JoinPlan.Side.allCases.map { plan.sources[join.source(of: $0)].source.maxAhead }
    rows = TaskRows()
    taken = Array(repeating: 0, count: join.cursorCount)
  }

  /// What a record of the log causes.
  func fold(_ visible: VisibleRecord) -> [Due] {
    var fields: [UInt64: [UInt8]] = [:]
    var numbers: [UInt64: UInt64] = [:]
    for (number, field) in WireReader.fields(visible.record.value ?? []) ?? [] {
      switch field {
      case .number(let value): numbers[number] = value
      case .bytes(let bytes): fields[number] = Array(bytes)
      }
    }
    let side = Int(numbers[4] ?? 1) - 1
    var due: [Due] = []
    var waiting: Left?
    var right: (key: [UInt8], time: Int64)?
    if let count = numbers[6] {
      mark(side, numbers, Int(count))
    } else if visible.record.key == nil {
      // Another turn for the cursors.
    } else if side == 0 {
      let left = Left(
        offset: visible.offset, key: visible.record.key ?? [], fields: fields,
        timestamp: Int64(bitPattern: numbers[1] ?? 0), passed: passed)
      if plan.join.kind == .table { due += joined(left) } else { waiting = left }
    } else {
      let time = keep(visible, fields, Int64(bitPattern: numbers[1] ?? 0))
      right = (visible.record.key ?? [], time)
    }
    log.append(waiting)
    leftCounts.append(leftCounts[leftCounts.count - 1] + (waiting == nil ? 0 : 1))
    clock.append(passed)
    rightTimes.append(right)
    rightCounts.append(rightCounts[rightCounts.count - 1] + (right == nil ? 0 : 1))
    for cursor in taken.indices { due += follow(cursor) }
    if !taken.isEmpty { forget() }
    return due
  }

  /// What is kept of the keys whose events have changed, in the order of their times.
  func takeChanged() -> [(key: [UInt8], events: [RightEvents.Event])] {
    defer { changed = [] }
    return changed.map { key in
      (key, (kept[key] ?? []).sorted { ($0.time, $0.offset) < ($1.time, $1.offset) })
    }
  }

  /// Right events are kept until the last place passes them: behind the slowest cursor nothing may need them.
  private func forget() {
    let place = taken[taken.count - 1]
    slowest = place == log.count ? passed : place == 0 ? .min : clock[place - 1]
    var steps = 0
    while steps < plan.followMax, rightCounts[passedLast] < rightCounts[log.count] {
      if let right = rightTimes[passedLast] {
        guard isOver(right.time) else { return }
        forget(right.key)
      }
      passedLast += 1
      steps += 1
    }
    if rightCounts[passedLast] == rightCounts[log.count] { passedLast = log.count }
  }

  private func forget(_ key: [UInt8]) {
    kept[key]?.removeAll { isOver($0.time) }
    changed.insert(key)
  }

  private func isOver(_ time: Int64) -> Bool {
    guard case .outcome(let within, let wait, let lateness) = plan.join.kind else { return false }
    // A record without any event of its key.
    return time == .min || time + within + wait + lateness <= slowest
  }

  private func mark(_ side: Int, _ numbers: [UInt64: UInt64], _ count: Int) {
    counts[side] = max(counts[side] ?? 0, count)
    let partition = Int(numbers[5] ?? 0)
    var (time, seen) = known[side]?[partition] ?? (nil, nil)
    if let told = numbers[7].map({ Int64(bitPattern: $0) }) { time = max(time ?? .min, told) }
    let isIdle = numbers[8] == 1
    if isIdle, let seen { time = max(time ?? .min, seen) }
    if isIdle { seen = known[side, default: [:]].values.compactMap(\.time).max() }
    known[side, default: [:]][partition] = (time, seen)
    guard let left = reached(0), let right = reached(1) else { return }
    passed = max(passed, min(left, right))
  }

  private func reached(_ side: Int) -> Int64? {
    guard let times = known[side]?.values.map(\.time), times.count == counts[side] else { return nil }
    return times.contains { $0 == nil } ? nil : times.compactMap(\.self).min()
  }

  private func forEachRow(
    _ side: Int, _ key: [UInt8], _ fields: [UInt64: [UInt8]], _ timestamp: Int64,
    _ body: (UnsafePointer<Scalar>, Int64) -> Void
  ) {
    let batch = batches[side]
    batch.removeAll()
    (fields[3] ?? []).withUnsafeBytes { payload in
      (fields[2] ?? []).withUnsafeBytes { name in
        let headers = fields[10] ?? []
        let isDecoded = headers.withUnsafeBytes { headers in
          let record = RecordFields(
            timestampMilliseconds: timestamp, key: fields[2] == nil ? nil : name,
            headers: RecordHeaders(headers))
          return (try? batch.append(payload, sequence: 0, record: record)) != nil
        }
        guard isDecoded else { return }
        for row in 0..<batch.count where batch.time(row) <= timestamp * 1000 + maxAhead[side] {
          guard (try? takes[side].takes(batch.row(row))) == true,
            let own = try? takes[side].key(of: batch.row(row)), own.elementsEqual(key)
          else { continue }
          body(batch.row(row), batch.time(row))
        }
      }
    }
  }

  /// Keeps a right event. Returns its time; of several the latest.
  private func keep(_ visible: VisibleRecord, _ fields: [UInt64: [UInt8]], _ timestamp: Int64) -> Int64 {
    let key = visible.record.key ?? []
    var latest = Int64.min
    forEachRow(1, key, fields, timestamp) { row, time in
      if plan.join.kind == .table {
        _ = try? takes[1].fold(row, time: time, into: &rows.states[key, default: nil])
      } else {
        let event = RightEvents.Event(
          time: time, offset: visible.offset, passed: passed, fields: plan.carriedMembers(row))
        rights[key, default: []].append(event)
        forget(key)
        kept[key, default: []].append(event)
        latest = max(latest, time)
      }
    }
    return latest
  }

  private func joined(_ left: Left) -> [Due] {
    var due: [Due] = []
    let state = rows.states[left.key] ?? nil
    forEachRow(0, left.key, left.fields, left.timestamp) { row, time in
      let at = EventTime(microseconds: max(time, state?.asOf.microseconds ?? .min))
      var value: [UInt8] = []
      plan.write(row, to: &value) { $0 += plan.carriedMembers(plan.right.evaluate(state, at: at)) }
      due.append(.record(key: left.key, value: value))
    }
    return due
  }

  private func follow(_ cursor: Int) -> [Due] {
    guard case .outcome(let within, let wait, let lateness) = plan.join.kind else { return [] }
    var due: [Due] = []
    var steps = 0
    while steps < plan.followMax, leftCounts[taken[cursor]] < leftCounts[log.count] {
      guard let left = log[taken[cursor]] else {
        taken[cursor] += 1
        steps += 1
        continue
      }
      var isDue = true
      forEachRow(0, left.key, left.fields, left.timestamp) { _, time in
        if time + within + wait + (cursor > 0 ? lateness : 0) > passed { isDue = false }
      }
      guard isDue else { break }
      taken[cursor] += 1
      steps += 1
      forEachRow(0, left.key, left.fields, left.timestamp) { row, time in
        let end = time + within + wait
        if left.passed >= end + lateness {
          let payload = left.fields[3] ?? []
          if cursor == 0 {
            due.append(
              .letter(
                reason: "late_for_join", offset: left.offset, key: left.key, payload: payload,
                headers: (WireReader.fields(left.fields[10] ?? []) ?? []).map { Array($0.field.bytes) }))
          }
          return
        }
        func first(_ end: Int64) -> RightEvents.Event? {
          (rights[left.key] ?? []).filter {
            $0.time > time && $0.time <= time + within && ($0.passed < end || $0.offset < left.offset)
          }.min { ($0.time, $0.offset) < ($1.time, $1.offset) }
        }
        let told = first(cursor > 0 ? end + lateness : end)
        if cursor > 0, told == first(end) { return }
        var value: [UInt8] = []
        plan.write(row, to: &value) { plan.appendOutcome(told, revision: Int64(cursor), to: &$0) }
        due.append(.record(key: left.key, value: value))
      }
    }
    // With nothing left to wait for it is where the head is.
    if leftCounts[taken[cursor]] == leftCounts[log.count] { taken[cursor] = log.count }
    return due
  }
}
