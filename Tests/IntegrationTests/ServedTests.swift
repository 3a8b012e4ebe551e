import EventLog
import FeatureCore
import Foundation
import OutputRecords
import Processor
import SwiftProtobuf
import Testing
import TestSupport

extension Journeys {
  /// The topic of answers, read again: what was answered is what the log says, and what rows hold.
  @Suite struct ServedTests {}
}

extension Journeys.ServedTests {
  /// The shop's, with a service whose answers are logged.
  private static let definitions =
    ShopEvents.definitions + """

      services:
        ranker:
          features: [users.total_lifetime, users.last_24h]
          served: { share: 1.0 }
      """

  @Test func answersAreVerifiedAndBecomeRows() async throws {
    try await Integration.expectNone(Self.readAgain)
  }

  private static func readAgain() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(definitions)
    let events = try ShopEvents(site, seed: seed)
    try site.start(Site.Instance("a"))
    try events.produce(milliseconds: 2_000)
    // However busy the machine was: after answers come events that make labels.
    for _ in 0..<10 { try events.produce(200) }
    _ = try Audit(site, seconds: 60)
    let answers = try answers(site)
    try write(answers, site)
    var problems = try problems(site, answers)
    // An answer that nobody can have got.
    var forged = answers[answers.count / 2]
    forged.requestID = "forged"
    forged.values[try index(of: "total_lifetime", site)].int64 += 1
    try write([forged], site)
    let (status, text) = try verify(site)
    if status != 1 || !text.contains("request forged, row 0: feature 'total_lifetime' is ") {
      problems.append("the forged answer: \(text)")
    }
    return Integration.report(problems + site.complaints(), seed, site)
  }

  /// What a server would have answered about a user at the moment of a snapshot, for one in three of them.
  private static func answers(_ site: Site) throws -> [Plumbline_ServedRecord] {
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let snapshots = try reader.read(site.snapshotPartitions).joined().compactMap { record in
      try record.value.map { try Plumbline_Snapshot(serializedBytes: $0) }
    }
    return snapshots.filter { $0.view == "users" }.enumerated().filter { $0.offset % 3 == 0 }.map {
      index, snapshot in
      Plumbline_ServedRecord.with {
        ($0.requestID, $0.service, $0.row, $0.rowRecords) = ("r\(index)", "ranker", 0, 1)
        ($0.view, $0.entityKey, $0.fingerprint) = (snapshot.view, snapshot.entityKey, snapshot.fingerprint)
        ($0.topic, $0.partition, $0.offset) = (snapshot.topic, snapshot.partition, snapshot.offset)
        ($0.asOf, $0.evaluatedAt, $0.requestedAt) = (snapshot.asOf, snapshot.asOf, snapshot.asOf)
        ($0.values, $0.version) = (snapshot.sortedValues, snapshot.version)
      }
    }
  }

  /// Where a feature stands in a record: features are in the order of their names.
  private static func index(of feature: String, _ site: Site) throws -> Int {
    let view = try #require(site.plan.view("users"))
    return try #require(view.features.map(\.name).sorted().firstIndex(of: feature))
  }

  private static func write(_ answers: [Plumbline_ServedRecord], _ site: Site) throws {
    let writer = try TopicWriter(
      KafkaOptions(brokers: site.brokers, group: "answers", transactionalID: "answers"),
      topic: site.routing.servedTopic
    ) { _, _ in }
    for answer in answers {
      let value: [UInt8] = try answer.serializedBytes()
      try Array(answer.requestID.utf8).withUnsafeBytes { key in
        try value.withUnsafeBytes { try writer.send(key: key, value: $0) }
      }
    }
    try writer.flush()
  }

  private static func verify(_ site: Site) throws -> (status: Int32, text: String) {
    let process = try site.command(["verify", "--served", "--redis", site.redis.url])
    return (try process.status(within: 120), process.text)
  }

  private static func problems(_ site: Site, _ answers: [Plumbline_ServedRecord]) throws -> [String] {
    var problems: [String] = []
    let (status, text) = try verify(site)
    if status != 0 || !text.contains("\(answers.count) answers of views") || !text.contains("no difference") {
      problems.append("verify: \(text)")
    }
    let path = site.path("rows.ndjson")
    _ = try site.output(of: [
      "training-set", "--from", "served", "--service", "ranker", "--label", "n = 4", "--within", "2m",
      "--on", "user",
      "--out", path,
    ])
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    var rows: [String: [String: Any]] = [:]
    for line in lines {
      let row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      rows[row["request_id"] as? String ?? ""] = row
    }
    if lines.count != answers.count { problems.append("\(lines.count) rows of \(answers.count) answers") }
    let (totals, lasts) = (try index(of: "total_lifetime", site), try index(of: "last_24h", site))
    for answer in answers {
      guard let row = rows[answer.requestID] else {
        problems.append("no row of \(answer.requestID)")
        continue
      }
      let total = row["users__total_lifetime"] as? Int64
      let last = row["users__last_24h"] as? [String]
      let items = answer.values[lasts].kind.map { _ in answer.values[lasts].list.values.map(\.string) }
      if row["user"] as? String != String(decoding: answer.entityKey, as: UTF8.self)
        || total != answer.values[totals].int64 || last != items
      {
        problems.append("row of \(answer.requestID): \(row), but \(answer)")
      }
    }
    let labels = Set(rows.values.compactMap { $0["label"] as? Int })
    if labels != [0, 1] { problems.append("labels: \(labels)") }
    return problems
  }
}
