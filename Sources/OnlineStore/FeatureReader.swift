public import FeatureCore
public import Processor

/// Reads features for serving: states from Redis, evaluated as the definitions say. For services; one connection, used
/// from one thread at a time.
public final class FeatureReader {
  /// The features of one entity.
  public struct Row: Sendable {
    /// The features, in the order of the view's.
    public let values: [FeatureValue]
    /// The largest event time that they know of; nil if nothing of the entity has been seen.
    public let asOf: EventTime?
    /// The time that was asked for: training rows of this time have these features, those of `at` may see a later state.
    public let requestedAt: EventTime
    /// What they were evaluated at: the later of the time asked for and `asOf`.
    public let at: EventTime
    /// The version of the definitions that they are of.
    public let version: Int
    let view: ViewPlan

    /// The value of a feature, which must be one of the view.
    public subscript(name: String) -> FeatureValue {
      guard let index = view.features.firstIndex(where: { $0.name == name }) else {
        preconditionFailure("Cannot find a feature '\(name)' in view '\(view.name)'")
      }
      return values[index]
    }
  }

  private let versions: [Int: (plan: Plan, routing: Routing)]
  private let reader: LiveReader

  /// A reader of the features that some definitions declare. It connects when it is first used, and fails once another
  /// version is promoted.
  public convenience init(_ plan: Plan, _ options: RedisOptions) { self.init([plan], options) }

  /// A reader of whichever of some versions of one name is live: a promotion is seen by the next read.
  public init(_ plans: [Plan], _ options: RedisOptions) {
    guard let name = plans.first?.name, plans.allSatisfy({ $0.name == name }) else {
      preconditionFailure("Cannot read definitions of different names")
    }
    versions = Dictionary(plans.map { ($0.version, ($0, Routing($0))) }) { first, _ in first }
    reader = LiveReader(options, name: name, versions: plans.map(\.version))
  }

  /// The features of some entities of a view, in their order, in one round trip. An entity is given by a value for each of
  /// the view's entity columns. Throws if there is no such view, or if a value doesn't fit its column.
  public func read(
    view name: String, entities: [[FeatureValue]], at time: EventTime
  ) throws(StoreError) -> [Row] {
    // What was found, in terms of the version that was read last: a promotion in between begins anew.
    var view: ViewPlan?
    var keys: [[UInt8]] = []
    var states: [Result<State?, StateError>] = []
    let version = try reader.read({ version throws(StoreError) in
      let found = try self.view(name, version)
      keys = try Self.keys(entities, of: found)
      states = [Result<State?, StateError>](repeating: .success(nil), count: keys.count)
      view = found
      return LiveReader.Request(source: source(of: found, version), view: name, entityKeys: keys)
    }) { index, bytes in
      guard let bytes, let view else { return }
      states[index] = Result { () throws(StateError) in try view.decode(bytes) }
    }
    guard let view else { preconditionFailure("Cannot have read without a request") }
    var rows: [Row] = []
    for (index, state) in states.enumerated() {
      do throws(StateError) {
        let state = try state.get()
        let moment = max(time, state?.asOf ?? time)
        rows.append(
          Row(
            values: view.evaluate(state, at: moment), asOf: state?.asOf, requestedAt: time, at: moment,
            version: version, view: view))
      } catch {
        let key = String(decoding: keys[index], as: UTF8.self)
        throw StoreError(.fatal, "the state of '\(key)' in view '\(name)': \(error)")
      }
    }
    return rows
  }

  private func view(_ name: String, _ version: Int) throws(StoreError) -> ViewPlan {
    guard let plan = versions[version]?.plan else { preconditionFailure("Cannot read an unknown version") }
    guard let view = plan.view(name) else {
      throw StoreError(
        .fatal, "there is no view '\(name)' in version \(version), only \(plan.views.map(\.name))")
    }
    return view
  }

  private func source(of view: ViewPlan, _ version: Int) -> String {
    guard let (plan, routing) = versions[version] else {
      preconditionFailure("Cannot read an unknown version")
    }
    return routing.input(of: view, plan)
  }

  private static func keys(_ entities: [[FeatureValue]], of view: ViewPlan) throws(StoreError) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    for entity in entities {
      guard let key = EntityKey.make(entity, view.entity) else {
        let columns = view.entity.map { "\($0.name) (\($0.type.rawValue))" }.joined(separator: ", ")
        throw StoreError(
          .fatal, "\(entity) is no entity of view '\(view.name)', which is keyed by \(columns)")
      }
      keys.append(key)
    }
    return keys
  }
}
