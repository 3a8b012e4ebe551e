public import FeatureCore
import Metrics
import ModelMonitor
public import Processor
import Synchronization

/// The measures of models as gauges: evaluated when they are asked for, on the states that this process has committed last. Any
/// thread.
///
/// Bounded: a model has so many measures, and the versions that had predictions last are told of, no others. A series ends
/// when the group has given its partition to another process, which begins it with the version's next prediction.
public final class ModelMetrics: Sendable {
  /// A view of a model, and its columns that are measures.
  private struct Watched: Sendable {
    var model: String
    var view: ViewPlan
    var prefix: [UInt8]
    /// The index of each, and its labels besides the model and its version.
    var measures: [(feature: Int, measure: String, window: String)]
    var training: [(feature: Int, measure: String)]
  }

  private struct Place: Hashable {
    var view: Int
    var key: [UInt8]
  }

  private struct Held: Sendable {
    var worker: Int
    var partition: TopicPartition
    var state: [UInt8]
    /// Grows with every commit.
    var turn: Int
  }

  private struct States: Sendable {
    var held: [Place: Held] = [:]
    var turn = 0
  }

  private let registry: PrometheusRegistry
  private let watched: [Watched]
  /// The topics of the inputs that the views fold from, by the inputs' names.
  private let topics: [String: String]
  private let states = Mutex(States())
  private let series = Mutex<[[String]: Meter]>([:])

  /// Versions of a model that are told of.
  static let versionsMax = 5

  /// The models of some definitions, in a registry of `MetricDescription.service`.
  public init(_ plan: Plan, _ registry: PrometheusRegistry) {
    self.registry = registry
    watched = plan.definitions.models.flatMap { Self.watched($0, plan) }
    let views = Set(watched.map(\.view.name))
    let inputs = Routing(plan).inputs.filter { input in
      input.views.contains { views.contains(plan.views[$0].name) }
    }
    topics = Dictionary(inputs.map { ($0.name, $0.topic) }) { first, _ in first }
  }

  private static func watched(_ model: Model, _ plan: Plan) -> [Watched] {
    let shape = ModelShape(model, plan)
    guard let views = shape.views(by: nil, plan) else { return [] }
    return [views.inputs, views.quality].compactMap(\.self).map { view in
      var measures: [(feature: Int, measure: String, window: String)] = []
      for measure in shape.measures + [Model.largestDrift] {
        for window in shape.windows {
          if let index = view.features.firstIndex(where: { $0.name == "\(measure)_\(window)" }) {
            measures.append((index, measure, window))
          }
        }
      }
      let training = shape.measures.compactMap { measure in
        view.features.firstIndex { $0.name == Model.baselinePrefix + measure }.map { ($0, measure) }
      }
      return Watched(
        model: model.name, view: view, prefix: StateKey.make(view: view.name, []), measures: measures,
        training: training)
    }
  }

  /// Takes over what a worker has committed of a task.
  public func take(_ task: String, worker: Int, _ committed: KeyedStates) {
    guard !watched.isEmpty, let dot = task.lastIndex(of: "."), let topic = topics[String(task[..<dot])],
      let number = Int32(task[task.index(after: dot)...])
    else { return }
    states.withLock { states in
      for index in 0..<committed.count {
        committed.withBytes(index) { key, value in
          guard let view = watched.firstIndex(where: { key.starts(with: $0.prefix) }) else { return }
          states.turn += 1
          let place = Place(view: view, key: Array(key.dropFirst(watched[view].prefix.count)))
          states.held[place] = Held(
            worker: worker, partition: TopicPartition(topic, number), state: Array(value), turn: states.turn)
          Self.evict(view, &states)
        }
      }
    }
  }

  private static func evict(_ view: Int, _ states: inout States) {
    let own = states.held.filter { $0.key.view == view }
    guard own.count > versionsMax, let oldest = own.min(by: { $0.value.turn < $1.value.turn }) else { return }
    states.held[oldest.key] = nil
  }

  /// Forgets what a worker no longer owns.
  public func keep(_ owned: [TopicPartition], worker: Int) {
    if watched.isEmpty { return }
    let owned = Set(owned)
    states.withLock { states in
      states.held = states.held.filter { $0.value.worker != worker || owned.contains($0.value.partition) }
    }
  }

  /// Evaluates everything at a time, or at a state's own if that is later.
  public func refresh(at now: EventTime) {
    if watched.isEmpty { return }
    var values: [[String]: Double] = [:]
    for (place, held) in states.withLock({ $0.held }) {
      let watched = watched[place.view]
      guard let version = Self.version(place.key, watched.view),
        let state = try? held.state.withUnsafeBytes({ try watched.view.decode($0) })
      else { continue }
      let features = watched.view.evaluate(state, at: max(now, state.asOf))
      for (index, measure, window) in watched.measures {
        values[[watched.model, version, measure, window]] = features[index].number
      }
      for (index, measure) in watched.training {
        values[[watched.model, version, measure]] = features[index].number
      }
    }
    series.withLock { series in
      for (labels, meter) in series where values[labels] == nil {
        meter.destroy()
        series[labels] = nil
      }
      for (labels, value) in values {
        let meter = series[labels] ?? self.meter(labels)
        meter.set(value)
        series[labels] = meter
      }
    }
  }

  private func meter(_ labels: [String]) -> Meter {
    Meter(
      label: labels.count > 3 ? "plumb_model_measure" : "plumb_model_training_measure",
      dimensions: Array(zip(["model", "model_version", "measure", "window"], labels)), factory: registry)
  }

  private static func version(_ key: [UInt8], _ view: ViewPlan) -> String? {
    guard let value = key.withUnsafeBytes({ EntityKey.values(of: $0, view.entity) })?.first else {
      return nil
    }
    var text: [UInt8] = []
    ValueText.append(anyPlain: value, to: &text)
    return String(decoding: text, as: UTF8.self)
  }
}

extension FeatureValue {
  /// A number; nil if it is none.
  fileprivate var number: Double? {
    switch self {
    case .int64(let number): Double(number)
    case .double(let number): number
    default: nil
    }
  }
}
