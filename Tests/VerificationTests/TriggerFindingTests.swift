import FeatureCore
import Processor
import Testing

@testable import Verification

/// What a verification says of triggers that did not fire, or not so.
@Suite struct TriggerFindingTests {
  private let shop: Shop

  init() throws {
    shop = try Shop(isWatched: true)
    shop.produce(90)
    try shop.process()
    shop.produce(25, from: 90)
    try shop.process()
  }

  private func expectOne(_ words: String) throws {
    let findings = try shop.verify().findings
    #expect(findings.count == 1, "\(findings)")
    #expect(findings.allSatisfy { $0.subject == .trigger && "\($0)".contains(words) }, "\(findings)")
  }

  private var place: (partition: Int, record: Int) {
    let partition = shop.log.topics[Shop.triggers]!.firstIndex { !$0.isEmpty }!
    return (partition, shop.log.topics[Shop.triggers]![partition].count / 2)
  }

  private func change(_ from: String, _ to: String) {
    shop.change(Shop.triggers, place.partition, place.record) { record in
      record.value = Array(String(decoding: record.value!, as: UTF8.self).replacing(from, with: to).utf8)
    }
  }

  @Test func whatFiredIsThere() throws {
    let texts = shop.log.topics[Shop.triggers]!.joined().map { String(decoding: $0.value!, as: UTF8.self) }
    // Each user once; each item again and again.
    #expect(texts.filter { $0.contains("\"trigger\":\"often\"") }.count == 4)
    #expect(texts.filter { $0.contains("\"trigger\":\"seen\"") }.count > 6)
    #expect(try shop.verify().findings == [])
  }

  @Test func aMissingOne() throws {
    shop.log.topics[Shop.triggers]![place.partition].remove(at: place.record)
    try expectOne("the record makes a trigger fire, but shop.triggers has no record of that")
    // What retention has taken is not missed.
    shop.log.topics[Shop.triggers]![place.partition].insert(.init(key: nil, value: []), at: 0)
    shop.log.firsts[TopicPartition(Shop.triggers, Int32(place.partition))] = 1
    #expect(try shop.verify().findings == [])
  }

  @Test func aDoubledOne() throws {
    let record = shop.log.topics[Shop.triggers]![place.partition][place.record]
    shop.log.topics[Shop.triggers]![place.partition].append(record)
    try expectOne("there are more records of a trigger than times that it fired (1)")
    // A crash may send it again without transactions.
    #expect(try shop.verify(expectsEverySnapshot: false).findings == [])
  }

  @Test func aForgedOne() throws {
    let record = shop.log.topics[Shop.triggers]![place.partition][place.record]
    change("\"values\":{\"n_", "\"values\":{\"m_")
    let findings = try shop.verify().findings
    #expect(findings.count == 2 && findings.allSatisfy { $0.subject == .trigger }, "\(findings)")
    #expect("\(findings)".contains("no trigger fires with these values"))
    shop.change(Shop.triggers, place.partition, place.record) { $0 = record }
    shop.log.topics[Shop.triggers]![0].append(.init(key: nil, value: Array("garbage".utf8)))
    try expectOne("the record is of no trigger")
  }

  /// For that version to judge.
  @Test func anotherVersions() throws {
    let record = shop.log.topics[Shop.triggers]![place.partition][place.record]
    shop.log.topics[Shop.triggers]![place.partition].append(record)
    shop.change(
      Shop.triggers, place.partition, shop.log.topics[Shop.triggers]![place.partition].count - 1
    ) { record in
      record.value = Array(
        String(decoding: record.value!, as: UTF8.self).replacing("\"version\":1", with: "\"version\":2").utf8)
    }
    #expect(try shop.verify().findings == [])
  }

  /// What is behind the store's position may have been sent, and is judged by what was before it.
  @Test func aheadOfTheStore() throws {
    let tasks = shop.store.tasks
    shop.produce(60, from: 115)
    try shop.process()
    let snapshots = shop.log.topics[Shop.snapshots]!
    shop.store.tasks = tasks
    #expect(try shop.verify(expectsEverySnapshot: false).findings == [], "\(snapshots.count)")
    shop.log.topics[Shop.triggers]![place.partition].remove(
      at: shop.log.topics[Shop.triggers]![place.partition].count - 1)
    #expect(try shop.verify(expectsEverySnapshot: false).findings == [])
  }
}
