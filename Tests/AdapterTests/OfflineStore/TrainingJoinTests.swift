import EventFiles
import FeatureCore
import Foundation
import OfflineStore
import Testing
import TestSupport

/// Training rows equal what keeping every event gives, and neither memory, threads nor the order of the log change a byte.
@Suite struct TrainingJoinTests {
  private let plan: Plan
  private let label: ViewPlan
  private let folder: TemporaryFolder

  private static let within: Int64 = 60_000_000

  init() throws {
    let source = Source(
      "clicks", topic: "clicks", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .init("user", .string), .init("item", .int64), .init("price", .double), .init("kind", .string),
      ])
    let users = View(
      "users", source: "clicks", entity: ["user"],
      features: [
        Feature("n", .aggregate(.init(.count, windows: [.last("1m"), .lifetime]))),
        Feature(
          "spend", .aggregate(.init(.sum, value: "price", where: "kind = 'buy'", windows: [.lifetime]))),
        Feature("kinds", .aggregate(.init(.lastK, value: "kind", windows: [.lifetime], k: 3))),
        Feature("buys", .aggregate(.init(.last, value: "kind = 'buy'", windows: [.lifetime]))),
      ])
    let pairs = View(
      "pairs", source: "clicks", entity: ["user", "item"], where: "kind <> 'view'",
      features: [Feature("mean", .aggregate(.init(.mean, value: "price * 2", windows: [.lifetime])))])
    plan = try Plan(Definitions(name: "shop", sources: [source], views: [users, pairs]))
    let buys = View(
      "buys", source: "clicks", entity: ["item", "user"], where: "kind = 'buy'",
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    label = try Plan(Definitions(name: "label", sources: [source], views: [buys])).views[0]
    folder = try TemporaryFolder()
  }

  /// A row or an event.
  private struct Record {
    var time: Int64
    var user: String?
    var item: Int64
    var price: Double?
    var kind: String

    func json() -> String {
      let user = user.map { "\"\($0.replacingOccurrences(of: "\\", with: "\\\\"))\"" } ?? "null"
      let price = price.map { "\($0)" } ?? "null"
      return "{\"ts\":\(time),\"user\":\(user),\"item\":\(item),\"price\":\(price),\"kind\":\"\(kind)\"}\n"
    }
  }

  private static func record(_ random: inout SplitMix64, entities: UInt64) -> Record {
    // Few of them have most events, and times are often equal.
    let user = min(random.next() % entities, random.next() % entities, random.next() % entities)
    return Record(
      time: 1_000_000 + Int64(random.next() % 600) * 1_000,
      user: random.next() % 50 == 0 ? nil : random.next() % 20 == 0 ? "|u\\\(user)" : "u\(user)",
      item: Int64(random.next() % 4) - 1,
      price: random.next() % 5 == 0 ? nil : Double(random.next() % 100) / 8,
      kind: ["view", "buy", "click", "größer"][Int(random.next() % 4)])
  }

  private func join(
    _ spine: String, _ events: [Record], memory: Int, workers: Int, rows filter: ViewPlan? = nil
  ) throws -> TrainingJoin {
    var resources = JoinResources()
    resources.memoryBytes = memory
    resources.workers = workers
    resources.folder = folder.url.path
    let source = plan.sources[0]
    let join = TrainingJoin(
      plan.views.map { JoinedView($0, source: source) }, version: 1,
      label: JoinedLabel(label, source: source, index: 0, within: Self.within),
      time: SpineTime("ts", unit: .milliseconds), resources: resources)
    if let filter {
      try join.takeRows(filter, of: source, index: 0)
    } else {
      try join.readSpine(path: spine)
    }
    let path = try folder.write(Array(events.map { $0.json() }.joined().utf8), to: "events.ndjson")
    var reader = try LineReader(path: path)
    let feeds = (0..<workers).map { join.feed(worker: $0, of: workers) }
    var order: Int64 = 0
    while let lines = try reader.next() {
      // Uneven blocks, each to the next feed.
      var rest = lines[...]
      while !rest.isEmpty {
        let block = rest.prefix(1 + Int(order % 97))
        rest = rest.dropFirst(block.count)
        let feed = feeds[Int(order) % workers]
        try join.add(feed.add(LineBlock(rebasing: block), source: 0, order: order) { _, _ in })
        order += Int64(block.count)
      }
    }
    return join
  }

  /// The features of a row, by folding every event before it; nil without an entity.
  private func naive(_ view: ViewPlan, _ row: Record, _ events: [Record]) throws -> JoinedFeatures {
    let batch = EventBatch(plan.sources[0].schema, capacity: 1)
    let fold = ViewFold(view)
    func key(_ record: Record) throws -> Text? {
      batch.removeAll()
      try Array(record.json().utf8).withUnsafeBytes { try batch.append($0, sequence: 0) }
      return try? Text(fold.key(of: batch.row(0)))
    }
    guard let own = try key(row) else {
      return JoinedFeatures(values: view.features.map { _ in .null }, asOf: nil)
    }
    var state: State?
    for event in events.enumerated().sorted(by: {
      ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
    })
    where event.element.time < row.time {
      guard try key(event.element) == own else { continue }
      batch.removeAll()
      let payload = Array(event.element.json().utf8)
      try payload.withUnsafeBytes {
        try batch.append($0, sequence: 0)
        try fold.fold(batch.row(0), time: batch.time(0), into: &state)
      }
    }
    return JoinedFeatures(
      values: view.evaluate(state, at: EventTime(microseconds: row.time * 1_000)), asOf: state?.asOf)
  }

  private struct JoinedFeatures: Equatable {
    var values: [FeatureValue]
    var asOf: EventTime?
  }

  private func isLabelled(_ row: Record, _ events: [Record]) -> Bool {
    events.contains {
      $0.kind == "buy" && row.user != nil && $0.user == row.user && $0.item == row.item && $0.time > row.time
        && ($0.time - row.time) * 1_000 <= Self.within
    }
  }

  @Test(arguments: [UInt64](1...8)) func rowsAreTheOracles(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    // Many entities are more than a small budget lets a join know.
    let entities: UInt64 = seed % 2 == 0 ? 6 : 150
    let events = (0..<800).map { _ in Self.record(&random, entities: entities) }
    let rows = (0..<120).map { _ in Self.record(&random, entities: entities + 2) }
    let spine = try folder.write(Array(rows.map { $0.json() }.joined().utf8), to: "spine.ndjson")
    var expected: [UInt8]?
    for (memory, workers) in [(1 << 26, 1), (1, 1), (1, 4), (9_000, 2), (40_000, 1), (1 << 26, 2)] {
      let context: Comment = "seed \(seed), \(memory) bytes, \(workers) workers"
      let path = folder.path("out.ndjson")
      try TrainingTable(join(spine, events, memory: memory, workers: workers).rows()).write(
        path: path, format: .ndjson)
      let bytes = try folder.read("out.ndjson")
      #expect(bytes == expected ?? bytes, context)
      expected = bytes
      var index = 0
      // Once is enough: the others are the same.
      guard memory == 1, workers == 1 else { continue }
      try join(spine, events, memory: memory, workers: workers).rows().forEach { joined in
        for (view, features) in zip(plan.views, joined.features) {
          let found = JoinedFeatures(values: features.values, asOf: features.asOf)
          let wanted = try? naive(view, rows[index], events)
          #expect(found == wanted, "\(context), row \(index), view \(view.name)")
        }
        #expect(joined.label == isLabelled(rows[index], events), "\(context), row \(index)")
        index += 1
      }
      #expect(index == rows.count)
    }
    #expect(
      folder.names.sorted() == ["events.ndjson", "out.ndjson", "spine.ndjson"],
      "temporary files have no names")
  }

  /// Rows that are events: the same as from a file of these, whatever the memory.
  @Test(arguments: [UInt64](11...14)) func rowsOfEvents(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let events = (0..<800).map { _ in Self.record(&random, entities: 9) }
    let rows = events.filter { $0.kind == "view" }
    let spine = try folder.write(
      Array(("ts,user,item,price,kind\n" + rows.map(Self.csv).joined()).utf8), to: "spine.csv")
    let view = View(
      "views", source: "clicks", entity: ["item"], where: "kind = 'view'",
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    let filter = try Plan(Definitions(name: "rows", sources: [plan.sources[0].source], views: [view])).views[
      0]
    var expected: [[FeatureValue]] = []
    try join(spine, events, memory: 1 << 26, workers: 1).rows().forEach { row in
      expected.append(row.features.flatMap(\.values) + [row.label.map { .bool($0) } ?? .null])
    }
    #expect(expected.count == rows.count && rows.count > 100)
    for (memory, workers) in [(1 << 26, 1), (1, 1), (5_000, 2)] {
      var found: [[FeatureValue]] = []
      try join("", events, memory: memory, workers: workers, rows: filter).rows().forEach { row in
        found.append(row.features.flatMap(\.values) + [row.label.map { .bool($0) } ?? .null])
      }
      #expect(found == expected, "seed \(seed), \(memory) bytes, \(workers) workers")
    }
  }

  private static func csv(_ record: Record) -> String {
    let price = record.price.map { "\($0)" } ?? ""
    return "\(record.time),\(record.user ?? ""),\(record.item),\(price),\(record.kind)\n"
  }

  /// A full disk, or none, is told with what to do.
  @Test func noTemporaryFiles() throws {
    var random = SplitMix64(seed: 1)
    let events = (0..<50).map { _ in Self.record(&random, entities: 3) }
    let spine = try folder.write(Array(events[0].json().utf8), to: "spine.ndjson")
    var resources = JoinResources()
    resources.memoryBytes = 1
    resources.folder = folder.path("none")
    let join = TrainingJoin(
      [JoinedView(plan.views[0], source: plan.sources[0])], version: 1,
      time: SpineTime("ts", unit: .milliseconds), resources: resources)
    #expect {
      try join.readSpine(path: spine)
      _ = try join.rows()
    } throws: {
      "\($0)".contains("none: a temporary file cannot be created there") && "\($0)".contains("set TMPDIR")
    }
  }
}
