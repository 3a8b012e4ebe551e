public import FeatureCore
public import ModelMonitor
import Processor

/// A model's states in Redis, evaluated.
public struct ModelStates {
  /// Those of one version, and of one value of a further column.
  public struct Version {
    /// The version, and the value of the further column.
    public let entity: [FeatureValue]
    /// What was predicted.
    public fileprivate(set) var inputs: ModelReport.Stage?
    /// What came of it.
    public fileprivate(set) var quality: ModelReport.Stage?
  }

  /// Those whose predictions came last are first.
  public let versions: [Version]

  /// Reads the states of a model's views, as of a time or their own if that is later.
  public init(
    _ plan: Plan, _ views: (inputs: ViewPlan, quality: ViewPlan?), _ redis: RedisOptions, at time: EventTime
  ) throws {
    var found: [[UInt8]: Version] = [:]
    let all = [views.inputs] + (views.quality.map { [$0] } ?? [])
    let keys = StoreKeys(name: plan.name, version: plan.version)
    try StateScan(redis, keys: keys).forEachSlice(of: Set(all.map(\.name))) { states throws(StoreError) in
      for (stateKey, bytes) in states {
        guard let view = all.first(where: { $0.name == StateKey.view(of: stateKey) }) else { continue }
        let key = Array(stateKey.dropFirst(view.name.utf8.count + 1))
        guard let entity = key.withUnsafeBytes({ EntityKey.values(of: $0, view.entity) }) else { continue }
        let stage = try Self.stage(bytes, of: view, at: time)
        var version = found[key] ?? Version(entity: entity)
        if view.name == views.inputs.name { version.inputs = stage } else { version.quality = stage }
        found[key] = version
      }
    }
    versions = found.sorted { left, right in
      let (one, other) = (left.value.latest, right.value.latest)
      return one != other ? one > other : left.key.lexicographicallyPrecedes(right.key)
    }.map(\.value)
  }

  private static func stage(
    _ bytes: [UInt8], of view: ViewPlan, at time: EventTime
  ) throws(StoreError) -> ModelReport.Stage {
    do throws(StateError) {
      let state = try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
        try view.decode(bytes)
      }
      let columns = view.numbers(view.evaluate(state, at: max(time, state.asOf)))
      return ModelReport.Stage(asOf: state.asOf, columns: columns)
    } catch {
      throw StoreError(
        .fatal,
        "a state of the view '\(view.name)' can't be read: \(error); are these the definitions of 'plumb run'?"
      )
    }
  }
}

extension ModelStates.Version {
  fileprivate var latest: EventTime {
    max(inputs?.asOf ?? EventTime(microseconds: .min), quality?.asOf ?? EventTime(microseconds: .min))
  }
}
