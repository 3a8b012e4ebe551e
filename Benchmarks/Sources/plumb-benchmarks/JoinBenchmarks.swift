import FeatureCore
import Processor

/// Outcomes beside a view of the same events, from records in memory: what a join's task costs without a broker and a store.
enum JoinBenchmarks {
  static func run(_ harness: Harness, _ events: EventBytes) {
    let plan = self.plan
    let routing = Routing(plan)
    guard let source = routing.inputs.first(where: { !$0.isRepartitioned }),
      let view = routing.inputs.first(where: { $0.isRepartitioned && $0.join == nil }),
      let join = routing.inputs.first(where: { $0.join != nil })
    else { fatalError("Cannot find the tasks of a join and of a view") }
    let topics = forward(events, plan, source, sides: join.topic)
    guard let repartitioned = topics[view.topic], let sides = topics[join.topic] else {
      fatalError("Nothing was forwarded")
    }
    Harness.printHeading("Outcomes of impressions within 30 minutes, \(events.count) events")
    let viewTime = harness.measure("a count by the same key", count: repartitioned.count) { stopwatch in
      let fold = TaskFold(plan, view, 0, of: 1, from: 0)
      repartitioned.fold(fold, &stopwatch)
    }
    var outcomes = 0
    var bytes: [Int] = []
    let joinTime = harness.measure("an outcome", count: sides.lefts) { stopwatch in
      outcomes = 0
      let fold = TaskFold(plan, join, 0, of: 1, from: 0)
      fold.onDue = { due in if due.topic == plan.sources[1].source.topic { outcomes += 1 } }
      sides.fold(fold, &stopwatch)
      bytes = fold.joinKeys.compactMap { fold.joinBytes($0)?.count }
    }
    print(
      "\n\(outcomes) outcomes of \(sides.count) records, \(decimals(joinTime - viewTime, 0)) ns each above a count; "
        + "\(bytes.count) keys keep \(bytes.reduce(0, +) / max(1, bytes.count)) bytes on average")
    drift(harness)
  }

  private static var plan: Plan {
    var definitions = Definitions(
      name: "bench", sources: [Shop.source],
      views: [
        View(
          "pairs", source: "clicks", entity: ["user_id", "item_id"],
          where: "event_type in ('impression', 'click')",
          features: [Feature("events", .aggregate(Aggregate(.count, windows: [.last("24h")])))])
      ])
    definitions.joins = [
      Join(
        "outcomes", left: Join.Side("clicks", where: "event_type = 'impression'"),
        right: Join.Side("clicks", where: "event_type = 'click'"), on: ["user_id", "item_id"],
        kind: .outcome(within: 1_800_000_000, wait: 120_000_000, lateness: 0))
    ]
    do { return try Plan(definitions) } catch {
      fatalError("Cannot compile the benchmark's definitions: \(error)")
    }
  }

  /// What the source's task sends, by topic, with marks of both sides in the join's log after every thousand events.
  private static func forward(
    _ events: EventBytes, _ plan: Plan, _ input: Routing.Input, sides: String
  ) -> [String: RecordBytes] {
    var topics = [sides: RecordBytes()]
    let fold = TaskFold(plan, input, 0, of: 1, from: 0)
    var latest = Int64.min
    fold.onEvent = { latest = max(latest, $1) }
    fold.onDue = { due in
      topics[due.topic, default: RecordBytes()].append(
        due.key.map(Array.init), due.value.map(Array.init) ?? [])
    }
    events.forEachLine { line, number in
      let record = LogRecord(
        partition: 0, offset: Int64(number), timestampMilliseconds: 1_798_761_600_000, key: nil, value: line)
      withUnsafePointer(to: record) { fold.fold(UnsafeBufferPointer(start: $0, count: 1)) }
      guard number % 1_000 == 999 || number == events.count - 1 else { return }
      let last = number == events.count - 1
      for side: UInt64 in [1, 2] {
        topics[sides]?.append(nil, mark(side, last ? latest + 86_400_000_000 : latest, number))
      }
    }
    return topics
  }

  /// A mark as Topics/schemas describes the records of a join's log.
  private static func mark(_ side: UInt64, _ time: Int64, _ offset: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for (field, value) in [(4, side), (5, 0), (6, 1), (7, UInt64(bitPattern: time)), (9, UInt64(offset + 1))]
      as [(UInt64, UInt64)]
    {
      for var rest in [field << 3, value] {
        while rest >= 0x80 {
          bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
          rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
      }
    }
    return bytes
  }

  /// Drift of many features of one model over a day: the answer to one look at it. A state has room for some of them, so they
  /// are in several views, as those of a model are.
  private static func drift(_ harness: Harness) {
    let (views, each) = (20, 10)
    let baseline = Baseline(.edges((1..<20).map(Double.init)), counts: Array(repeating: 500, count: 20))
    let names = (0..<views * each).map { "f\($0)" }
    let source = Source(
      "predictions", topic: "predictions", key: "model",
      timestamp: Source.Timestamp(field: "ts", unit: .milliseconds),
      fields: [Source.Field("model", .string)] + names.map { Source.Field($0, .double) })
    let states = (0..<views).map { number -> (ViewPlan, State) in
      let features = names[number * each..<(number + 1) * each].map { name in
        var aggregate = Aggregate(.psiExcess, value: name, windows: [.last("24h")])
        aggregate.baseline = baseline
        return Feature("\(name)_drift", .aggregate(aggregate))
      }
      let view = View("inputs", source: "predictions", entity: ["model"], features: features)
      return state(Shop.plan(view, source: source), names)
    }
    let bytes = states.reduce(0) { $0 + $1.0.encode($1.1).count }
    Harness.printHeading(
      "Drift of \(names.count) features over 24 hours, from \(views) states of \(bytes) bytes in all")
    harness.measure("psi_excess of a feature", count: 20 * names.count) { stopwatch in
      stopwatch.start()
      for _ in 0..<20 {
        for (view, state) in states { consume(view.evaluate(state, at: state.asOf)) }
      }
      stopwatch.stop()
    }
  }

  /// The state of the one model after a day of predictions.
  private static func state(_ plan: Plan, _ names: [String]) -> (ViewPlan, State) {
    let batch = EventBatch(plan.sources[0].schema, capacity: 256)
    let fold = ViewFold(plan.views[0])
    var table = StateTable()
    var random: UInt64 = 1
    let rows = 5_000
    for row in 0..<rows {
      var text = "{\"model\":\"7\",\"ts\":\(1_767_225_600_000 + row * 86_400_000 / rows)"
      for name in names {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += ",\"\(name)\":\((random >> 33) % 20)"
      }
      Array((text + "}").utf8).withUnsafeBytes { line in
        append(line, row, to: batch)
        fold.fold(batch, into: &table) { row, failure in fatalError("Cannot fold row \(row): \(failure)") }
        batch.removeAll()
      }
    }
    var states: [State] = []
    table.forEachSorted { _, state in states.append(state) }
    return (plan.views[0], states[0])
  }
}

/// Records of a topic in memory.
private struct RecordBytes {
  private var bytes: [UInt8] = []
  private var places: [(key: Range<Int>?, value: Range<Int>)] = []
  /// Those of left events.
  private(set) var lefts = 0

  var count: Int { places.count }

  mutating func append(_ key: [UInt8]?, _ value: [UInt8]) {
    let start = bytes.count
    if let key { bytes += key }
    let middle = bytes.count
    bytes += value
    places.append((key == nil ? nil : start..<middle, middle..<bytes.count))
    // A side is the last field of an event's record.
    if key != nil, value.suffix(2) == [4 << 3, 1] { lefts += 1 }
  }

  /// Folds them as polls of a thousand.
  func fold(_ fold: TaskFold, _ stopwatch: inout Stopwatch) {
    bytes.withUnsafeBytes { bytes in
      func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range])
      }
      var records: [LogRecord] = []
      for (offset, place) in places.enumerated() {
        records.append(
          LogRecord(
            partition: 0, offset: Int64(offset), timestampMilliseconds: 1_767_225_600_000,
            key: place.key.map(part),
            value: part(place.value)))
        guard records.count == 1_000 || offset == places.count - 1 else { continue }
        stopwatch.start()
        records.withUnsafeBufferPointer { fold.fold($0) }
        stopwatch.stop()
        records.removeAll(keepingCapacity: true)
      }
    }
  }
}
