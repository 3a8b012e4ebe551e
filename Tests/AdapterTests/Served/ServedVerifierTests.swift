import FeatureCore
import Foundation
import OutputRecords
import SwiftProtobuf
import Testing
import Verification

/// Answers are what the log says, bit for bit, or are found.
@Suite struct ServedVerifierTests {
  private typealias Shop = ServedShop
  private let shop: ServedShop
  private let user = ServedShop.user(in: 1)

  init() throws { shop = try ServedShop() }

  /// Three clicks of one user, of which the first two are of item 7.
  private func log() -> MemoryLog {
    let log = MemoryLog()
    for topic in [shop.usersTopic, shop.itemsTopic, "shop.served"] { log.open(topic, partitions: 2) }
    let clicks = [(7, 1.5, 100), (7, 0.25, 130), (8, 4.0, 170)] as [(Int64, Double, Int64)]
    for (item, price, time) in clicks {
      let click = Shop.click(user, item, price: price, at: time)
      log.append(shop.usersTopic, 1, key: user, click)
      log.append(shop.itemsTopic, Shop.partition(of: "\(item)"), key: "\(item)", click)
    }
    return log
  }

  /// A row after two clicks of the user and both of item 7, 75 seconds after the first.
  private func row() -> [Plumbline_ServedRecord] {
    let base = shop.record("r1", at: 175)
    return [
      shop.answer(
        base, "users", user, [Shop.int(1), Shop.int(2), Shop.list([7, 7])], partition: 1, offset: 2, asOf: 130
      ),
      shop.answer(
        base, "items", "7", [Shop.double(1.75)], partition: Shop.partition(of: "7"), offset: 2, asOf: 130),
      shop.computed(base, bid: 0.5, worth: 2.75),
    ]
  }

  private func verify(_ records: [Plumbline_ServedRecord], _ log: MemoryLog? = nil) throws -> ServedReport {
    let log = log ?? self.log()
    for record in records {
      log.append("shop.served", 0, key: record.requestID, try record.serializedBytes())
    }
    return try ServedVerifier(shop.plan, log: log) { _ in }.run()
  }

  private func difference(_ records: [Plumbline_ServedRecord]) throws -> String {
    let report = try verify(records)
    #expect(report.failures == 1, "\(report.findings)")
    return report.findings.first?.description ?? "nothing"
  }

  @Test func answersThatTheLogSays() throws {
    let late = shop.record("r2", at: 5_000)
    let unknown = shop.record("r3", at: 175)
    let report = try verify(
      row()
        + [
          // Windows have moved on, and item 8 has been silent for longer than max_age.
          shop.answer(
            late, "users", user, [Shop.int(0), Shop.int(3), Shop.list([7, 8])], partition: 1, offset: 3,
            asOf: 170),
          shop.answer(
            late, "items", "8", [Shop.null], partition: Shop.partition(of: "8"), offset: 3, asOf: 170),
          shop.computed(late, bid: 1, worth: 3),
          // Nobody knows this user, and the row has no item.
          shop.answer(unknown, "users", "nobody", [Shop.int(0), Shop.int(0), Shop.null], offset: nil),
          shop.computed(unknown, bid: nil, worth: nil),
        ].map { record in
          var record = record
          if record.requestID == "r3" { record.rowRecords = 2 }
          return record
        })
    #expect(report.findings.isEmpty)
    #expect(report.answers == 5 && report.derived == 3)
  }

  @Test func valuesThatTheLogDoesNotSay() throws {
    var records = row()
    records[0].values[2] = Shop.int(3)
    let found = try difference(Array(records[..<2]))
    #expect(found.contains("request r1, row 0: feature 'n_lifetime' is 3, but 2 by folding the log"))
    #expect(found.contains("answer of view 'users', entity '\(user)' at clicks-1@2"))
    records = row()
    records[1].values[0] = Shop.double(1.75.nextUp)
    #expect(try difference(Array(records[..<2])).contains("feature 'spend_lifetime'"))
    records = row()
    records[1].asOf += 1
    #expect(try difference(Array(records[..<2])).contains("as_of is 130000001 us, but 130000000 us"))
    records = row()
    records[0].offset = 1
    #expect(try difference([records[0]]).contains("as_of"))
    records = row()
    records[0].offset = 9
    #expect(try difference([records[0]]).contains("the log ends at 3"))
    records = row()
    records[0].topic = "elsewhere"
    #expect(try difference([records[0]]).contains("no view folds from elsewhere-1"))
    records = row()
    records[0].fingerprint += 1
    #expect(try difference([records[0]]).contains("another definition"))
    // As if there had been no state.
    records = row()
    records[0].values[1] = Shop.int(1)
    (records[0].topic, records[0].partition, records[0].offset, records[0].asOf) = ("", 0, 0, 0)
    #expect(try difference([records[0]]).contains("but 0 by folding"))
  }

  @Test func derivedColumnsThatTheRowDoesNotSay() throws {
    var records = row()
    records[2].values[0] = Shop.double(2.75.nextDown)
    #expect(try difference(records).contains("'worth' is 2.7499999999999996, but 2.75 by computing it again"))
    // Without all records of the row nothing is computed.
    #expect(try verify([records[0], records[2]]).derived == 0)
    // The same id came once more, at another time.
    let again = row().map { record in
      var record = record
      record.requestedAt += 1
      record.evaluatedAt += record.view.isEmpty ? 0 : 1
      return record
    }
    #expect(try verify(row() + again).derived == 2)
  }

  /// Numbers that no server writes trap nobody.
  @Test func numbersThatCannotBe() throws {
    for number in [Int64.min, -1, .max] {
      var records = row()
      records[0].offset = number
      records[1].partition = -1
      for index in records.indices { records[index].row = Int32(clamping: number) }
      #expect(try verify(records).failures == 2)
      for path in [\Plumbline_ServedRecord.asOf, \.evaluatedAt, \.requestedAt] where number != -1 {
        var record = row()[0]
        record[keyPath: path] = number
        #expect(try difference([record]).contains("no answer"))
      }
    }
  }

  @Test func whatIsNoAnswerOfThisVersion() throws {
    let log = log()
    log.append("shop.served", 1, key: "r9", [0xFF])
    var other = row()[0]
    other.version = 1
    let report = try verify([other], log)
    #expect(report.failures == 1 && report.findings[0].difference.contains("no answer"))
    #expect(report.otherVersions == [1: 1] && report.answers == 0)
  }
}
