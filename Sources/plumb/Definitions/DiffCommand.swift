import ArgumentParser
import DefinitionFiles
import FeatureCore
import Foundation
import OnlineStore
import Processor
import ServiceConfiguration

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the features of two versions in Redis, entity by entity, at one time.",
    discussion: """
      Both versions may be running; where one is ahead of the other, the events between them are differences too. Features \
      are compared by name.

      Examples:
        plumb diff -d shop-v3.yaml -d shop-v4.yaml
        plumb diff -d shop-v3.yaml -d shop-v4.yaml --view user_activity --sample 1/100
      """)

  @Option(name: [.customShort("d"), .long], help: "A definitions file; give two, the old version first.")
  var definitions: [String]
  @OptionGroup var store: StoreOptions
  @Option(help: "The two versions, as a check that the files are those: 3,4.")
  var versions: String?
  @Option(help: "Only this view.")
  var view: String?
  @Option(help: "Only so many of the entities, as 1/N: always the same ones.")
  var sample = SampleShare(divisor: 1)
  @Option(help: "The time of the evaluation, in RFC 3339; without it, now.")
  var at: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if definitions.count != 2 {
      throw ValidationError("Give two definitions files: -d old.yaml -d new.yaml.")
    }
  }

  func run() throws {
    try reportingService {
      let plans = try definitions.map { try DefinitionFile.compile(path: $0) }
      let found = plans.map { "\($0.version)" }.joined(separator: ",")
      if let versions, versions != found {
        throw ValidationError("The definitions files are of the versions \(found), not \(versions).")
      }
      guard plans[0].name == plans[1].name, plans[0].version != plans[1].version else {
        throw ValidationError("The definitions files must be two versions of one name.")
      }
      let time = try at.map(EventTime.init(option:)) ?? .now
      let difference = VersionDifference(
        plans[0], plans[1], try store.settings().redisOptions(), at: time, sample: UInt64(sample.divisor))
      try difference.run(view: view)
      if json { difference.printJSON() } else { for line in difference.report() { print(line) } }
    }
  }
}

/// The comparison of two versions' states. One slice of Redis' keys is in memory.
final class VersionDifference {
  private struct Side {
    let plan: Plan
    let routing: Routing
    let keys: StoreKeys
    let reader: OnlineReader

    init(_ plan: Plan, _ redis: RedisOptions) {
      self.plan = plan
      routing = Routing(plan)
      keys = StoreKeys(name: plan.name, version: plan.version)
      reader = OnlineReader(redis, keys: keys)
    }
  }

  fileprivate struct Column {
    var same = 0
    var different = 0
    var onlyOld = 0
    var onlyNew = 0
    var largest = 0.0
  }

  private struct Coverage {
    var both = 0
    var onlyOld = 0
    var onlyNew = 0
    var columns: [String: Column] = [:]
  }

  private let old: Side
  private let new: Side
  private let redis: RedisOptions
  private let time: EventTime
  private let sample: UInt64
  private var views: [String: Coverage] = [:]
  private var notes: [String] = []

  init(_ old: Plan, _ new: Plan, _ redis: RedisOptions, at time: EventTime, sample: UInt64) {
    self.old = Side(old, redis)
    self.new = Side(new, redis)
    self.redis = redis
    self.time = time
    self.sample = sample
  }

  func run(view only: String?) throws {
    for plan in [old.plan, new.plan] {
      for view in plan.views where only == nil || view.name == only {
        let isOld = plan.version == old.plan.version
        let other = (isOld ? new : old).plan
        guard let match = other.view(view.name) else {
          notes.append("view \(view.name) is only in version \(plan.version)")
          continue
        }
        if match.entity.map(\.name) != view.entity.map(\.name) {
          if isOld { notes.append("view \(view.name) is of another entity in each version") }
          continue
        }
        let others = Set(match.features.map(\.name))
        let alone = view.features.map(\.name).filter { !others.contains($0) }
        if !alone.isEmpty {
          notes.append("view \(view.name): only version \(plan.version) has \(alone.joined(separator: ", "))")
        }
        views[view.name] = Coverage()
      }
    }
    if views.isEmpty { throw ValidationError("There is no view that both versions have.") }
    try scan(old, against: new, isOld: true)
    try scan(new, against: old, isOld: false)
  }

  private func scan(_ side: Side, against other: Side, isOld: Bool) throws {
    try StateScan(redis, keys: side.keys).forEachSlice { states throws(StoreError) in
      var byView: [String: [(key: [UInt8], state: [UInt8])]] = [:]
      for (stateKey, state) in states where isSampled(stateKey) {
        let parts = stateKey.split(
          separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(decoding: parts[0], as: UTF8.self)
        if views[name] != nil, parts.count == 2 { byView[name, default: []].append((Array(parts[1]), state)) }
      }
      for (name, states) in byView.sorted(by: { $0.key < $1.key }) {
        try compare(name, states, other, isOld: isOld)
      }
    }
  }

  /// FNV-1a: of entities, not of partitions.
  private func isSampled(_ key: [UInt8]) -> Bool {
    sample == 1
      || key.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 } % sample == 0
  }

  private func compare(
    _ name: String, _ states: [(key: [UInt8], state: [UInt8])], _ other: Side, isOld: Bool
  ) throws(StoreError) {
    guard let view = other.plan.view(name) else { return }
    var found = [[UInt8]?](repeating: nil, count: states.count)
    try other.reader.read(
      source: other.routing.input(of: view, other.plan), view: name, entityKeys: states.map(\.key)
    ) { index, bytes in found[index] = bytes.map(Array.init) }
    for (one, two) in zip(states, found) {
      guard let two else {
        if isOld { views[name]?.onlyOld += 1 } else { views[name]?.onlyNew += 1 }
        continue
      }
      // The second scan only looks for what the first could not see.
      if isOld { try compare(name, one.state, two) }
    }
  }

  private func compare(_ name: String, _ one: [UInt8], _ two: [UInt8]) throws(StoreError) {
    guard let oldView = old.plan.view(name), let newView = new.plan.view(name) else { return }
    let states: (State, State)
    do throws(StateError) {
      states = (try Self.decode(oldView, one), try Self.decode(newView, two))
    } catch {
      throw StoreError(
        .fatal, "a state of view '\(name)': \(error); give the files that the services run with")
    }
    let moment = max(time, max(states.0.asOf, states.1.asOf))
    let before = Dictionary(
      uniqueKeysWithValues: zip(oldView.features.map(\.name), oldView.evaluate(states.0, at: moment)))
    views[name]?.both += 1
    for (feature, after) in zip(newView.features.map(\.name), newView.evaluate(states.1, at: moment)) {
      guard let before = before[feature] else { continue }
      views[name]?.columns[feature, default: Column()].add(before, after)
    }
  }

  private static func decode(_ view: ViewPlan, _ bytes: [UInt8]) throws(StateError) -> State {
    try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
      try view.decode(bytes)
    }
  }

  func printJSON() {
    JSONLine.print { line in
      line.add("versions", .list([old.plan.version, new.plan.version].map { .int64(Int64($0)) }))
      line.add("notes", texts: notes)
      line.add("views", each: views.sorted { $0.key < $1.key }) { line, view in
        line.add("name", view.key)
        line.add("both", view.value.both)
        line.add("only_old", view.value.onlyOld)
        line.add("only_new", view.value.onlyNew)
        line.add("features", each: view.value.columns.sorted { $0.key < $1.key }) { line, feature in
          line.add("name", feature.key)
          line.add("same", feature.value.same)
          line.add("differ", feature.value.different)
          line.add("null_only_in_new", feature.value.onlyOld)
          line.add("null_only_in_old", feature.value.onlyNew)
          line.add("largest_difference", .double(feature.value.largest))
        }
      }
    }
  }

  /// A table for each view.
  func report() -> [String] {
    let (a, b) = ("\(old.plan.version)", "\(new.plan.version)")
    var lines = notes
    for (name, coverage) in views.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "view \(name): \(counted(coverage.both, "entity", "entities")) in both versions, \(coverage.onlyOld) only in \(a), "
          + "\(coverage.onlyNew) only in \(b)")
      var rows = [
        ["feature", "same", "differ", "null only in \(b)", "null only in \(a)", "largest difference"]
      ]
      for (feature, column) in coverage.columns.sorted(by: { $0.key < $1.key }) {
        rows.append([
          feature, "\(column.same)", "\(column.different)", "\(column.onlyOld)", "\(column.onlyNew)",
          column.largest > 0 ? "\(column.largest)" : "",
        ])
      }
      lines += textTable(rows).map { "  \($0)" }
    }
    return lines
  }
}

extension VersionDifference.Column {
  fileprivate mutating func add(_ before: FeatureValue, _ after: FeatureValue) {
    switch (before, after) {
    case (.null, .null): same += 1
    case (.null, _): onlyNew += 1
    case (_, .null): onlyOld += 1
    default:
      if before == after {
        same += 1
        return
      }
      different += 1
      if let one = Self.number(before), let two = Self.number(after) {
        largest = max(largest, abs(one - two))
      }
    }
  }

  private static func number(_ value: FeatureValue) -> Double? {
    switch value {
    case .int64(let number): Double(number)
    case .double(let number): number
    default: nil
    }
  }
}

extension EventTime {
  /// Now, by the wall clock.
  static var now: EventTime { EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }

  /// A time as a command is told it.
  init(option text: String) throws(ValidationError) {
    var copy = text
    guard let time = copy.withUTF8({ RFC3339.parse(UnsafeRawBufferPointer($0)) }) else {
      throw ValidationError("'\(text)' is no time: write RFC 3339, such as 2026-01-02T03:04:05Z.")
    }
    self = time
  }
}
