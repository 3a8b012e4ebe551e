public import FeatureCore
public import Processor

/// The comparison of two versions' states. One slice of Redis' keys is in memory.
public final class VersionDifference {
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

  /// What was found of one feature.
  public struct Column: Sendable {
    /// Entities that have the same value in both versions, or none in either.
    public var same = 0
    /// Entities that have other values.
    public var different = 0
    /// Entities that have a value in the old version alone.
    public var onlyOld = 0
    /// Entities that have one in the new version alone.
    public var onlyNew = 0
    /// The largest difference of numbers.
    public var largest = 0.0
  }

  /// What was found of one view.
  public struct Coverage: Sendable {
    /// Entities that both versions have.
    public var both = 0
    /// Entities of the old version alone.
    public var onlyOld = 0
    /// Entities of the new version alone.
    public var onlyNew = 0
    /// By the features that both have.
    public var columns: [String: Column] = [:]
  }

  /// The old version's definitions.
  public var old: Plan { oldSide.plan }
  /// The new version's.
  public var new: Plan { newSide.plan }
  /// By the views that both versions have, of one entity.
  public private(set) var views: [String: Coverage] = [:]
  /// What is not compared, and why.
  public private(set) var notes: [String] = []

  private let oldSide: Side
  private let newSide: Side
  private let redis: RedisOptions
  private let time: EventTime
  private let sample: UInt64

  /// A comparison of the views that both versions have, or of one of them, at a time; of every `sample`th entity, about.
  public init(
    _ old: Plan, _ new: Plan, view only: String?, _ redis: RedisOptions, at time: EventTime, sample: UInt64
  ) {
    oldSide = Side(old, redis)
    newSide = Side(new, redis)
    self.redis = redis
    self.time = time
    self.sample = sample
    choose(only)
  }

  private func choose(_ only: String?) {
    for plan in [old, new] {
      for view in plan.views where only == nil || view.name == only {
        let isOld = plan.version == old.version
        let other = isOld ? new : old
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
  }

  /// Reads and compares everything.
  public func run() throws(StoreError) {
    try scan(oldSide, against: newSide, isOld: true)
    try scan(newSide, against: oldSide, isOld: false)
  }

  private func scan(_ side: Side, against other: Side, isOld: Bool) throws(StoreError) {
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
    guard let oldView = old.view(name), let newView = new.view(name) else { return }
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
