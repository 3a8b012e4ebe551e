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
    /// What they were evaluated at: the later of the time asked for and `asOf`.
    public let at: EventTime
    let view: ViewPlan

    /// The value of a feature, which must be one of the view.
    public subscript(name: String) -> FeatureValue {
      guard let index = view.features.firstIndex(where: { $0.name == name }) else {
        preconditionFailure("Cannot find a feature '\(name)' in view '\(view.name)'")
      }
      return values[index]
    }
  }

  private let plan: Plan
  private let routing: Routing
  private let reader: OnlineReader

  /// A reader of the features that some definitions declare. It connects when it is first used.
  public init(_ plan: Plan, _ options: RedisOptions) {
    self.plan = plan
    routing = Routing(plan)
    reader = OnlineReader(options, keys: StoreKeys(name: plan.name, version: plan.version))
  }

  /// The features of some entities of a view, in their order, in one round trip. An entity is given by a value for each of
  /// the view's entity columns. Throws if there is no such view, or if a value doesn't fit its column.
  public func read(
    view name: String, entities: [[FeatureValue]], at time: EventTime
  ) throws(StoreError) -> [Row] {
    guard let view = plan.view(name) else {
      throw StoreError(.fatal, "there is no view '\(name)', only \(plan.views.map(\.name))")
    }
    var keys: [[UInt8]] = []
    for entity in entities {
      guard let key = EntityKey.make(entity, view.entity) else {
        let columns = view.entity.map { "\($0.name) (\($0.type.rawValue))" }.joined(separator: ", ")
        throw StoreError(.fatal, "\(entity) is no entity of view '\(name)', which is keyed by \(columns)")
      }
      keys.append(key)
    }
    var states = [Result<State?, StateError>](repeating: .success(nil), count: keys.count)
    try reader.read(source: routing.input(of: view, plan), view: name, entityKeys: keys) { index, bytes in
      guard let bytes else { return }
      states[index] = Result { () throws(StateError) in try view.decode(bytes) }
    }
    var rows: [Row] = []
    for (index, state) in states.enumerated() {
      do throws(StateError) {
        let state = try state.get()
        let moment = max(time, state?.asOf ?? time)
        rows.append(
          Row(values: view.evaluate(state, at: moment), asOf: state?.asOf, at: moment, view: view))
      } catch {
        let key = String(decoding: keys[index], as: UTF8.self)
        throw StoreError(.fatal, "the state of '\(key)' in view '\(name)': \(error)")
      }
    }
    return rows
  }
}
