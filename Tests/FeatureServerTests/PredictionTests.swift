import DefinitionFiles
import FeatureCore
import Foundation
import Synchronization
import Testing

@testable import FeatureServer

/// Rows that clients write: which are taken, what is written of them, and who waits for how long.
@Suite struct PredictionTests {
  private static let source = Source(
    "predictions", topic: "shop.predictions", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: [
      .init("id", .string), .init("user", .int64), .init("score", .double), .init("good", .bool),
      .init("country", .string, path: "context.country"),
    ])
  private static let now = EventTime(microseconds: 1_700_000_000_000_000)

  private func plan(_ sources: [Source] = [source]) throws -> Plan {
    let views = sources.map { source in
      View(
        "of_\(source.name)", source: source.name, entity: ["user"],
        features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    }
    return try Plan(Definitions(name: "shop", sources: sources, views: views))
  }

  private func compiled() throws -> PredictionSource { try PredictionSource(plan().sources[0]) }

  private func row(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

  @Test func rowsAreWrittenAsTheyCameUnderTheirKey() throws {
    let source = try compiled()
    let text =
      "{\"score\":0.25,\"id\":\"\\\"p\\\"\u{FC}\",\"user\":7,\"ts\":1700000000000,\"good\":null,"
      + "\"context\":{\"country\":\"ch\",\"more\":[1,2.5,true]}}"
    let record = try source.record(row(text), now: Self.now)
    #expect(record.topic == "shop.predictions")
    #expect(record.key.map { String(decoding: $0, as: UTF8.self) } == "7")
    #expect(String(decoding: record.value, as: UTF8.self) == text)
  }

  /// The source that a model stands for is one like any other.
  @Test func aModelsPredictionsAreTaken() throws {
    let text = """
      name: shop
      models:
        ranker:
          predictions:
            topic: shop.predictions
            key: user
            id: id
            timestamp: { field: ts, unit: ms }
            fields: { id: string, user: string, model_version: string, score: { path: out.p, type: double } }
      """
    let plan = try Plan(DefinitionFile.parse(text, file: "d.yaml") { _, _ in [] }.definitions)
    let predictions = try Predictions([plan], ["ranker_predictions"], rowsMax: 1) { _ in [] }
    let source = try #require(predictions.sources(of: Catalog(plan)).first)
    let given = try row(
      "{\"id\":\"p1\",\"user\":\"u1\",\"model_version\":\"7\",\"out\":{\"p\":0.5},\"ts\":1700000000000}")
    let record = try source.record(given, now: Self.now)
    #expect(record.topic == "shop.predictions")
    #expect(record.key.map { String(decoding: $0, as: UTF8.self) } == "u1")
  }

  @Test(arguments: [
    ("7", "an object was expected, found an integer"),
    ("{\"user\":7,\"ts\":1700000000000,\"scor\":1}", "the source has no field 'scor'; did you mean 'score'?"),
    ("{\"user\":7,\"ts\":1700000000000,\"zzz\":1}", "there are id, user, score, good, context, ts"),
    ("{\"user\":7}", "field 'ts': the event time is null or absent"),
    ("{\"user\":null,\"ts\":1700000000000}", "field 'user': the partition key is null or absent"),
    (
      "{\"user\":\"7\",\"ts\":1700000000000}",
      "field 'user' at byte 8: expected int64, found a string (if it comes in quotes, declare text: true)"
    ),
    ("{\"user\":7,\"ts\":1700000000000,\"good\":1}", "expected bool"),
    ("{\"user\":7,\"ts\":1700000000000,\"context\":[]}", "expected an object"),
    ("{\"user\":7,\"ts\":1700000301000}", "later than the record's timestamp, more than max_ahead"),
    ("{\"user\":7,\"ts\":1700000000}", "correct the unit of 'ts'"),
  ])
  func whatTheServiceCouldNotUseIsRefused(_ text: String, _ reason: String) throws {
    let source = try compiled()
    let refusal = #expect(throws: PredictionSource.Refusal.self) {
      try source.record(row(text), now: Self.now)
    }
    #expect(refusal?.message.contains(reason) == true, "\(refusal?.message ?? "")")
    // The judge is as before.
    #expect(throws: Never.self) { try source.record(row("{\"user\":7,\"ts\":1700000000000}"), now: Self.now) }
  }

  @Test func sourcesThatCantBeWrittenToAreNamed() throws {
    func failure(_ names: [String], _ sources: [Source] = [Self.source]) throws -> String {
      let plans = [try plan(sources)]
      return
        "\(#expect(throws: Predictions.Failure.self) { try Predictions(plans, names, rowsMax: 1) { _ in [] } }!)"
    }
    #expect(
      try failure(["prediction"])
        == "predictions: there is no source 'prediction'; did you mean 'predictions'?")
    var keyed = Self.source
    keyed.fields[1] = .record("user", .key, .int64)
    #expect(try failure(["predictions"], [keyed]).contains("reads its records' keys"))
    var many = Self.source
    many.each = "lines"
    many.fields[2].path = "lines.score"
    #expect(try failure(["predictions"], [many]).contains("several events"))
  }

  // MARK: Waiting

  /// Writes when it is told to.
  private final class Brokers: Sendable {
    private let entered = DispatchSemaphore(value: 0)
    private let gate = DispatchSemaphore(value: 0)
    let batches = Mutex<[Int]>([])
    let failures = Mutex<[String?]>([])

    func awaitWrite() { entered.wait() }
    func open() { gate.signal() }

    func write(_ records: [Predictions.Record]) -> [String?] {
      entered.signal()
      gate.wait()
      batches.withLock { $0.append(records.count) }
      let failures = failures.withLock { $0 }
      return records.indices.map { $0 < failures.count ? failures[$0] : nil }
    }
  }

  /// What became of requests, by name.
  private final class Outcomes: Sendable {
    let found = Mutex<[String: String]>([:])

    func note(_ name: String) -> @Sendable (String?) -> Void {
      { failure in self.found.withLock { $0[name] = failure ?? "acknowledged" } }
    }
  }

  private func log(_ brokers: Brokers, rowsMax: Int) throws -> PredictionLog {
    PredictionLog(try Predictions([plan()], ["predictions"], rowsMax: rowsMax) { brokers.write($0) })
  }

  private func job(
    _ rows: Int, seconds: Int = 60, _ finish: @escaping @Sendable (String?) -> Void
  ) throws -> PredictionLog.Job {
    let record = try compiled().record(row("{\"user\":7,\"ts\":1700000000000}"), now: Self.now)
    return PredictionLog.Job(
      records: [Predictions.Record](repeating: record, count: rows), deadline: .now + .seconds(seconds),
      finish: finish)
  }

  @Test func whatWaitsIsBoundedAndWrittenTogether() throws {
    let (brokers, outcomes) = (Brokers(), Outcomes())
    let log = try log(brokers, rowsMax: 10)
    #expect(log.add(try job(4, outcomes.note("a"))))
    // What is being written counts, too.
    brokers.awaitWrite()
    #expect(log.add(try job(3, outcomes.note("b"))))
    #expect(!log.add(try job(4, outcomes.note("refused"))))
    #expect(log.add(try job(3, outcomes.note("c"))))
    #expect(!log.add(try job(1, outcomes.note("refused"))))
    for _ in 0..<2 { brokers.open() }
    log.stop()
    #expect(
      outcomes.found.withLock { $0 } == ["a": "acknowledged", "b": "acknowledged", "c": "acknowledged"])
    #expect(brokers.batches.withLock { $0 } == [4, 6])
  }

  @Test func aRequestFailsForItsOwnRecordsAlone() throws {
    let (brokers, outcomes) = (Brokers(), Outcomes())
    let log = try log(brokers, rowsMax: 100)
    #expect(log.add(try job(1, outcomes.note("before"))))
    brokers.awaitWrite()
    #expect(log.add(try job(2, outcomes.note("first"))))
    #expect(log.add(try job(1, seconds: -1, outcomes.note("late"))))
    #expect(log.add(try job(2, outcomes.note("second"))))
    #expect(log.add(try job(2, outcomes.note("third"))))
    brokers.open()
    brokers.awaitWrite()
    brokers.failures.withLock { $0 = [nil, nil, nil, "no leader"] }
    brokers.open()
    log.stop()
    #expect(
      outcomes.found.withLock { $0 } == [
        "before": "acknowledged", "first": "acknowledged", "second": "no leader", "third": "acknowledged",
        "late": "they have waited for too long",
      ])
  }
}
