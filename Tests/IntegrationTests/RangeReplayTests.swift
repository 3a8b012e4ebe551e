import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb replay --from --until`: ranges of the topics, compared with a plain fold of their records.
  @Suite struct RangeReplayTests {}
}

extension Journeys.RangeReplayTests {
  @Test func rangesAreFolded() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      for _ in 0..<4 { try events.produce(1_000) }
      _ = try Audit(site, seconds: 120)
      let ranges = try Ranges(site)
      // Into a file while the service runs; into its store not.
      var problems = try ranges.tables()
      problems += try ranges.expect(1, ["--into", "redis"], "the service runs")
      guard try site.terminate("a") == 0 else { throw Failure("no clean end: \(site.logs)") }
      let whole = try site.redis.states()
      problems += try ranges.stores()
      // The service does the rest.
      try site.start(Site.Instance("b"))
      _ = try Audit(site, seconds: 120)
      let epochs = Set(site.inputs.map { site.keys.epoch($0.task) })
      let found = try site.redis.states()
      problems += found.keys.filter { !epochs.contains($0) && found[$0] != whole[$0] }
        .map { "\(Text(utf8: $0)) is not as it was" }
      return Integration.report(problems + site.complaints(), seed, site)
    }
  }

  @Test(arguments: [
    (["--into", "redis", "--from", "2026-01-02T00:00:00Z"], "store or beginning"),
    (["--into", "redis", "--until", "end"], "plumb run"),
    (["--into", "redis", "--from-snapshots", "--until", "offsets"], "folds no events"),
    (["--into", "features", "--from", "store", "--out", "-"], "--into redis"),
    (["--into", "features", "--until", "beginning", "--out", "-"], "a place to end"),
    (["--into", "snapshots", "--features-at", "end", "--out", "-"], "--into features"),
    (["--into", "features"], "--out"),
    (["--until", "end", "--events", "x", "--features-at", "end", "--out", "-"], "go with --into"),
    (["--into", "features", "--from", "clicks-0=", "--out", "-"], "clicks-0="),
  ])
  func combinationsThatMakeNoSenseAreRefused(_ arguments: [String], _ text: String) async throws {
    try await Integration.expectNone {
      let log = FileManager.default.temporaryDirectory.appendingPathComponent("replay-\(UUID()).log")
      defer { try? FileManager.default.removeItem(at: log) }
      let process = try ChildProcess(Site.binary, ["replay", "-d", "none.yaml"] + arguments, log: log)
      let isRefused = try process.status(within: 30) == 64 && process.text.contains(text)
      return isRefused ? [] : ["\(arguments): \(process.text)"]
    }
  }
}

/// A quiet site's records, and ranges of them.
private struct Ranges {
  private let site: Site
  private let records: [TopicPartition: [Record]]
  /// Two offsets within each partition, and the Kafka time of a record.
  private var first: [TopicPartition: Int64] = [:]
  private var second: [TopicPartition: Int64] = [:]
  private let time: Int64
  /// Where the broker says that the time begins: one that doesn't open compressed batches names their first record.
  private var timed: [TopicPartition: Int64] = [:]

  init(_ site: Site) throws {
    self.site = site
    let places = site.inputs.map(\.partition)
    let auditor = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let read = try auditor.read(places)
    records = Dictionary(uniqueKeysWithValues: zip(places, read))
    for (place, records) in records {
      first[place] = records[records.count / 4].offset
      second[place] = records[records.count * 3 / 4].offset + 1
    }
    let source = records[places[0]] ?? []
    time = source[source.count / 2].timestamp
    for (place, offset) in zip(places, try auditor.offsets(places, at: time)) { timed[place] = offset }
  }

  /// As an option's value.
  private var timeText: String {
    // In whole numbers: a fraction of a second as a Double may be cut to the millisecond before.
    let second = ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double(time / 1000)))
    return second.dropLast() + String(format: ".%03dZ", Int(time % 1000))
  }

  private func text(_ offsets: [TopicPartition: Int64], _ topic: String? = nil) -> String {
    offsets.filter { topic == nil || $0.key.topic == topic }.map { "\($0.key)=\($0.value)" }
      .joined(separator: ",")
  }

  private func beforeTime(_ record: Record, _ place: TopicPartition) -> Bool {
    record.offset < timed[place] ?? .max
  }

  private func states(of input: Site.Input, _ isTaken: (Record, TopicPartition) -> Bool) -> PlainFold {
    let taken = (records[input.partition] ?? []).filter { isTaken($0, input.partition) }
    return PlainFold(input, of: site.plan, taken, snapshots: [:])
  }

  func expect(_ status: Int32, _ arguments: [String], _ text: String) throws -> [String] {
    let process = try site.command(["replay", "--redis", site.redis.url] + arguments)
    let isSo = try process.status(within: 60) == status && process.text.contains(text)
    return isSo ? [] : ["\(arguments), expected '\(text)': \(process.text)"]
  }

  // MARK: Redis

  func stores() throws -> [String] {
    var problems: [String] = []
    let target = text(second)
    problems += try expect(1, ["--into", "redis", "--until", target], "--from beginning")
    problems += try expect(
      0, ["--into", "redis", "--from", "beginning", "--until", target], "as was asked for")
    problems += try differences(target) { $0.offset < second[$1] ?? 0 }
    problems += try expect(
      0, ["--into", "redis", "--from", "beginning", "--until", timeText, "--workers", "2"], "as was asked for"
    )
    problems += try differences(timeText, beforeTime)
    // Goes on from there.
    problems += try expect(0, ["--into", "redis"], "at the service's offsets")
    problems += try differences("the end") { _, _ in true }
    // And once more, for the service.
    problems += try expect(
      0, ["--into", "redis", "--from", "beginning", "--until", target], "as was asked for")
    var beyond = second
    beyond[site.inputs[0].partition] = 1 << 40
    return problems + (try expect(64, ["--into", "redis", "--until", text(beyond)], "There is no offset"))
  }

  private func differences(
    _ what: String, _ isTaken: (Record, TopicPartition) -> Bool
  ) throws -> [String] {
    let found = try site.redis.states()
    return site.inputs.flatMap { input in
      let prefix = site.keys.statePrefix(input.task)
      let wanted = states(of: input, isTaken).states
      let stored = found.filter { $0.key.starts(with: prefix) }
      let isSame =
        stored.count == wanted.count && wanted.allSatisfy { stored[prefix + $0.key] == $0.value }
      return isSame ? [] : ["until \(what): \(input.task) is not the fold of its records"]
    }
  }

  // MARK: Files

  func tables() throws -> [String] {
    var problems: [String] = []
    for view in site.plan.views {
      let topic = site.inputs.first { $0.input.name == site.routing.input(of: view, site.plan) }!.partition
        .topic
      for (arguments, isTaken) in [
        ([], { _, _ in true }),
        (["--until", "offsets"], { _, _ in true }),
        (
          ["--from", text(first, topic), "--until", text(second, topic), "--workers", "3"],
          { $0.offset >= first[$1]! && $0.offset < second[$1]! }
        ),
        (["--from", timeText], { !beforeTime($0, $1) }),
      ] as [([String], (Record, TopicPartition) -> Bool)] {
        problems += try table(view, topic, arguments, isTaken)
      }
    }
    problems += try expect(64, ["--into", "features", "--out", "-"], "choose one with --view")
    return problems
  }

  private func table(
    _ view: ViewPlan, _ topic: String, _ arguments: [String], _ isTaken: (Record, TopicPartition) -> Bool
  ) throws -> [String] {
    var states: [[UInt8]: State] = [:]
    let prefix = Array("\(view.name):".utf8)
    for input in site.inputs where input.partition.topic == topic {
      for (key, bytes) in self.states(of: input, isTaken).states where key.starts(with: prefix) {
        states[Array(key.dropFirst(prefix.count))] = try bytes.withUnsafeBytes { try view.decode($0) }
      }
    }
    let end = states.values.map(\.asOf).max()!
    let features = try rows(["--into", "features", "--view", view.name] + arguments)
    var problems: [String] = []
    let wanted = states.map { row(view, $0, $1, at: end) }
    if Set(features) != Set(wanted) || features.count != wanted.count {
      problems.append(
        "\(view.name) \(arguments): \(features.count) rows of features, expected \(wanted.count)")
    }
    let snapshots = try rows(["--into", "snapshots", "--view", view.name] + arguments, "snapshots.csv")
    // The last of each entity, and one for each event.
    let counts = states.values.reduce(0) { $0 + events($1, view) }
    if snapshots.count != counts + 1 {
      problems.append("\(view.name) \(arguments): \(snapshots.count - 1) snapshots of \(counts) events")
    }
    return problems
  }

  private func events(_ state: State, _ view: ViewPlan) -> Int {
    let index = view.features.firstIndex { $0.name == "events_lifetime" }!
    guard case .int64(let count) = view.evaluate(state, at: state.asOf)[index] else { return 0 }
    return Int(count)
  }

  private func rows(_ arguments: [String], _ name: String = "features.ndjson") throws -> [String] {
    let path = site.path(name)
    let problems = try expect(0, arguments + ["--out", path], " a second")
    guard problems.isEmpty else { throw Failure("\(problems)") }
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  /// A row as NDJSON.
  private func row(_ view: ViewPlan, _ key: [UInt8], _ state: State, at time: EventTime) -> String {
    let values =
      [("\(view.entity[0].name)", FeatureValue.string(Text(utf8: key)))]
      + zip(view.features.map(\.name), view.evaluate(state, at: time))
    return "{\(values.map { "\"\($0)\":\(Self.text($1))" }.joined(separator: ","))}"
  }

  private static func text(_ value: FeatureValue) -> String {
    switch value {
    case .int64(let number): "\(number)"
    case .string(let text): "\"\(text)\""
    case .list(let values): "[\(values.map(Self.text).joined(separator: ","))]"
    default: "null"
    }
  }
}
