import FeatureCore
import Foundation
import OfflineStore
import OutputRecords
import Parquet
import SwiftProtobuf
import Testing
import TestSupport

/// Exported answers are the answers.
@Suite struct ServedExportTests {
  private typealias Shop = ServedShop
  private let shop: ServedShop
  private let folder: TemporaryFolder

  init() throws {
    shop = try ServedShop()
    folder = try TemporaryFolder()
  }

  private func export(_ records: [[UInt8]?], cutAfter cut: Int? = nil) throws -> TopicExport.Counts {
    let export = try TopicExport(folder: folder.path("x"), answersOf: shop.plan, topic: "shop.served")
    let start = try export.begin(0, low: 0, high: Int64(records.count))
    for (offset, value) in records.enumerated().dropFirst(Int(start.first)).prefix(cut ?? .max) {
      try (value ?? []).withUnsafeBytes {
        try export.add(
          0, offset: Int64(offset), timestampMilliseconds: 1_700_000_000_000 + Int64(offset),
          value: value == nil ? nil : $0)
      }
    }
    if cut == nil { try export.finish([(0, Int64(records.count))]) }
    return export.counts
  }

  /// The rows of a table, each as its columns' texts.
  private func rows(_ table: String) throws -> [[String: FeatureValue]] {
    let names =
      FileManager.default.enumerator(atPath: folder.path("x/\(table)"))?.allObjects as? [String] ?? []
    var rows: [[String: FeatureValue]] = []
    for name in names.sorted() where name.hasSuffix(".parquet") {
      var reader = try ParquetReader(ParquetInput(path: folder.path("x/\(table)/\(name)")))
      while let batch = try reader.next() {
        for row in 0..<batch.rowCount {
          rows.append(
            Dictionary(uniqueKeysWithValues: batch.columns.map { ($0.column.name, $0.value(row)) }))
        }
      }
    }
    return rows
  }

  @Test func answersBecomeRows() throws {
    let base = shop.record("r1", row: 3, at: 175)
    var other = shop.record("r2", at: 175)
    other.version = 1
    var foreign = shop.answer(base, "users", "u", [], offset: nil)
    foreign.fingerprint += 1
    let records = [
      shop.answer(
        base, "users", "u|1", [Shop.int(1), Shop.int(2), Shop.list([7, 7])], partition: 1, offset: 2,
        asOf: 130),
      shop.answer(base, "items", "7", [Shop.double(-0.0)], offset: nil),
      shop.computed(base, bid: nil, worth: 2.75), other, foreign,
    ]
    var values: [[UInt8]?] = try records.map { try $0.serializedBytes() }
    values += [nil, [0xFF]]
    // What an interrupted export has read is read again.
    _ = try export(values, cutAfter: 2)
    let counts = try export(values)
    #expect(counts.rows == 3 && counts.files == 3 && counts.tombstones == 1 && counts.unreadable == 2)
    #expect(counts.versions == [1: 1])
    #expect(try export(values).rows == 0)

    func time(_ microseconds: Int64) -> FeatureValue { .timestamp(EventTime(microseconds: microseconds)) }
    func naming(_ offset: Int64) -> [String: FeatureValue] {
      [
        "request_id": .string("r1"), "row": .int64(3), "requested_at": time(175_000_000),
        "committed_at": time(1_700_000_000_000_000 + offset * 1_000), "definitions_version": .int64(2),
      ]
    }
    let user: [String: FeatureValue] = [
      "user": .string("u|1"), "asked_of": .string("ranker"), "evaluated_at": time(175_000_000),
      "as_of": time(130_000_000), "position_topic": .string("clicks"), "position_partition": .int64(1),
      "position_offset": .int64(2),
      "fingerprint": .string(Text(fingerprintText(shop.plan.views[0].fingerprint))),
      "n_1m": .int64(1), "n_lifetime": .int64(2), "last_lifetime": .list([.int64(7), .int64(7)]),
    ]
    #expect(try rows("view=users") == [naming(0).merging(user) { $1 }])
    let items = try rows("view=items")
    #expect(items.count == 1 && items[0]["position_topic"] == .null && items[0]["as_of"] == .null)
    #expect(
      items[0]["spend_lifetime"]?.isIdentical(to: .double(-0.0)) == true && items[0]["item"] == .int64(7))
    let computed: [String: FeatureValue] = ["bid": .null, "worth": .double(2.75)]
    #expect(try rows("service=ranker") == [naming(2).merging(computed) { $1 }])
  }

  @Test func namesThatAreTakenAreRefused() throws {
    let view = View(
      "users", source: "clicks", entity: ["user"],
      features: [Feature("as_of", .aggregate(.init(.count, windows: [.lifetime])))])
    let source = shop.plan.sources[0].source
    func problem(_ service: Service) throws -> String {
      let plan = try Plan(Definitions(name: "shop", sources: [source], views: [view], services: [service]))
      let error = #expect(throws: TableError.self) {
        try TopicExport(folder: folder.path("y"), answersOf: plan, topic: "shop.served")
      }
      return error?.problem ?? ""
    }
    let named = try problem(Service("s", features: ["users.*"], inputs: [.init("row", .int64)]))
    #expect(named.contains("'row' of service 's'"))
  }
}
