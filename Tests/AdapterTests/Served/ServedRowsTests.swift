import FeatureCore
import Foundation
import OfflineStore
import OutputRecords
import SwiftProtobuf
import Testing
import TestSupport

/// Rows of what was answered.
@Suite struct ServedRowsTests {
  private typealias Shop = ServedShop
  private let shop: ServedShop
  private let folder: TemporaryFolder

  init() throws {
    shop = try ServedShop()
    folder = try TemporaryFolder()
  }

  private func row(_ request: String, _ number: Int32, at seconds: Int64, item: String = "7")
    -> [Plumbline_ServedRecord]
  {
    let base = shop.record(request, row: number, at: seconds)
    return [
      shop.answer(
        base, "users", "u|1", [Shop.int(9), Shop.int(2), Shop.list([7, 7])], offset: 2, asOf: 130),
      shop.answer(base, "items", item, [Shop.double(0.1)], offset: 2, asOf: seconds - 1),
      shop.computed(base, bid: 0.5, worth: 1.1),
    ]
  }

  private func add(_ records: [Plumbline_ServedRecord], to rows: ServedRows) throws {
    for record in records {
      let bytes: [UInt8] = try record.serializedBytes()
      try bytes.withUnsafeBytes { bytes in try rows.add(try #require(ServedRecord(bytes))) }
    }
  }

  private func lines(_ join: TrainingJoin) throws -> [String] {
    try TrainingTable(try join.rows()).write(path: folder.path("out.ndjson"), format: .ndjson)
    return String(decoding: try folder.read("out.ndjson"), as: UTF8.self).split(separator: "\n").map(
      String.init)
  }

  private func join(_ label: JoinedLabel? = nil) -> TrainingJoin {
    TrainingJoin([], version: shop.plan.version, label: label, time: ServedRows.time)
  }

  @Test func rowsAreTheAnswers() throws {
    let join = join()
    let rows = try ServedRows(shop.plan, shop.service, join: join)
    let (first, second) = (row("r1", 0, at: 200), row("r1", 1, at: 200, item: "8"))
    // Records of other rows may lie between, of other servers and of other services.
    var foreign = first[0]
    foreign.service = "other"
    var older = first[0]
    older.version = 1
    try add([first[0], second[2], foreign, first[2], older, second[1], first[1], second[0]], to: rows)
    // An item that has been silent for longer than max_age, and one that is null.
    let silent = shop.record("r2", at: 9_000)
    try add(
      [
        shop.answer(silent, "users", "u", [Shop.int(0), Shop.int(2), Shop.list([])], offset: 2, asOf: 130),
        shop.answer(silent, "items", "8", [Shop.null], offset: 2, asOf: 130),
        shop.computed(silent, bid: nil, worth: nil),
      ], to: rows)
    let without = shop.record("r3", at: 200, of: 2)
    try add(
      [
        shop.answer(without, "users", "u", [Shop.int(0), Shop.int(2), Shop.list([1])], offset: 2, asOf: 130),
        shop.computed(without, bid: 2, worth: nil),
      ], to: rows)
    // The end of this one was never written.
    try add(Array(row("r4", 0, at: 200)[..<2]), to: rows)
    let time = "\"requested_at\":\"1970-01-01T00:03:20Z\""
    let found = try lines(join)
    #expect(
      found == [
        "{\"request_id\":\"r1\",\"row\":0,\(time),\"user\":\"u|1\",\"item\":7,\"bid\":0.5,"
          + "\"users__n_lifetime\":2,\"users__last_lifetime\":[7,7],\"items__spend_lifetime\":0.1,\"worth\":1.1}",
        "{\"request_id\":\"r1\",\"row\":1,\(time),\"user\":\"u|1\",\"item\":8,\"bid\":0.5,"
          + "\"users__n_lifetime\":2,\"users__last_lifetime\":[7,7],\"items__spend_lifetime\":0.1,\"worth\":1.1}",
        "{\"request_id\":\"r2\",\"row\":0,\"requested_at\":\"1970-01-01T02:30:00Z\",\"user\":\"u\",\"item\":8,"
          + "\"bid\":null,\"users__n_lifetime\":2,\"users__last_lifetime\":[],\"items__spend_lifetime\":null,"
          + "\"worth\":null}",
        "{\"request_id\":\"r3\",\"row\":0,\(time),\"user\":\"u\",\"item\":null,\"bid\":2.0,"
          + "\"users__n_lifetime\":2,\"users__last_lifetime\":[1],\"items__spend_lifetime\":null,\"worth\":null}",
      ])
    #expect(rows.incomplete == 1 && rows.foreign == 0 && rows.otherVersions == [1: 1])
  }

  @Test func labelsAreJoined() throws {
    let source = shop.plan.sources[0]
    let buys = View(
      "buys", source: "clicks", entity: ["user", "item"], where: "price > 1",
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    let label = try Plan(Definitions(name: "label", sources: [source.source], views: [buys])).views[0]
    let join = join(JoinedLabel(label, source: source, index: 0, within: 60_000_000))
    let rows = try ServedRows(shop.plan, shop.service, join: join)
    for (number, item) in ["7", "8", "9", "7"].enumerated() {
      try add(row("r\(number)", 0, at: number == 3 ? 100 : 200, item: item), to: rows)
    }
    let feed = join.feed()
    let batch = EventBatch(source.schema, capacity: 4)
    // Item 7 is bought a minute after, item 8 too late, item 9 too cheaply.
    let clicks =
      [("u|1", 7, 2.0, 260), ("u|1", 8, 2.0, 261), ("u|1", 9, 1.0, 230)] as [(String, Int64, Double, Int64)]
    for (index, (user, item, price, time)) in clicks.enumerated() {
      // The batch borrows the texts.
      try Shop.click(user, item, price: price, at: time).withUnsafeBytes { event in
        batch.removeAll()
        try batch.append(event, sequence: Int64(index))
        try feed.add(
          batch, source: 0, order: { $0 }, place: { LogPlace(offset: $0, timestampMilliseconds: nil) }
        ) { _, _ in }
      }
    }
    let found = try lines(join).map { $0.suffix(10) }
    #expect(
      found == [
        "\"label\":1}", "\"label\":0}", "\"label\":0}", "\"label\":0}",
      ])
  }

  @Test func namesThatAreTakenAreRefused() throws {
    let source = shop.plan.sources[0].source
    let view = View(
      "users", source: "clicks", entity: ["user"],
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source], views: [view],
        services: [Service("s", features: ["users.*"], inputs: [.init("row", .int64)])]))
    let error = #expect(throws: TableError.self) {
      try ServedRows(plan, plan.services[0], join: TrainingJoin([], version: 1, time: ServedRows.time))
    }
    #expect(error?.problem.contains("named 'row'") == true)
  }

  @Test func bytesThatAreNoAnswer() throws {
    let bytes: [UInt8] = try row("r", 0, at: 200)[0].serializedBytes()
    for end in 0..<bytes.count {
      bytes[..<end].withUnsafeBytes { part in
        _ = ServedRecord(part)?.values(shop.plan.views[0].features.map(\.type))
      }
    }
    // A text where a number has to be.
    #expect([0x2A, 0x01, 0x41].withUnsafeBytes { ServedRecord($0) } == nil)
  }
}
