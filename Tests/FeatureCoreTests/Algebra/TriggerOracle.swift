import FeatureCore

/// The rule of triggers taken literally: keeps every event, and asks at every hop boundary.
struct TriggerOracle {
  struct Firing: Equatable {
    var trigger: String
    var at: Int64
    var values: [FeatureValue]
    /// The event that closed the hop.
    var event: Int
  }

  /// A condition in a form that both sides can read: comparisons of a feature with a number, all or any of which hold.
  struct Condition {
    var parts: [(feature: String, isLess: Bool, than: Int64)]
    var isAny: Bool

    var text: String {
      parts.map { "\($0.feature) \($0.isLess ? "<" : ">") \($0.than)" }.joined(
        separator: isAny ? " or " : " and ")
    }

    /// SQL's rule for what has no NOT: a comparison with null doesn't hold.
    func holds(_ values: [String: FeatureValue]) -> Bool {
      let answers = parts.map { part -> Bool in
        guard case .int64(let value)? = values[part.feature] else { return false }
        return part.isLess ? value < part.than : value > part.than
      }
      return isAny ? answers.contains(true) : !answers.contains(false)
    }
  }

  struct Watched {
    var trigger: Trigger
    var condition: Condition
    var run = 0
    var fired: Int64?
  }

  private var oracle: WindowOracle
  private let names: [String]
  var watched: [Watched]
  private(set) var firings: [Firing] = []

  init(_ features: [Feature], names: [String], _ watched: [Watched]) {
    oracle = WindowOracle(features)
    self.names = names
    self.watched = watched
  }

  mutating func add(_ event: TestEvent) {
    if !oracle.events.isEmpty, event.time > oracle.asOf {
      for index in watched.indices { close(index, until: event.time) }
    }
    oracle.add(event)
  }

  private mutating func close(_ index: Int, until time: Int64) {
    let every = watched[index].trigger.every!
    var at = oracle.asOf - oracle.asOf % every - every
    while at + every <= time {
      at += every
      if at <= oracle.asOf { continue }
      if let fired = watched[index].fired {
        guard let again = watched[index].trigger.againAfter else { return }
        if at < fired + again { continue }
      }
      let values = values(at: at)
      guard watched[index].condition.holds(values) else {
        watched[index].run = 0
        continue
      }
      watched[index].run += 1
      if watched[index].run < watched[index].trigger.hops { continue }
      let named = Set(watched[index].condition.parts.map(\.feature)).sorted()
      firings.append(
        Firing(
          trigger: watched[index].trigger.name, at: at, values: named.map { values[$0]! },
          event: oracle.events.count))
      watched[index].fired = at
      watched[index].run = 0
      // What remains of the silence is not looked at.
      return
    }
  }

  private func values(at time: Int64) -> [String: FeatureValue] {
    var values: [String: FeatureValue] = [:]
    for (name, answer) in zip(names, oracle.values(at: time)) {
      guard case .exactly(let value) = answer else { preconditionFailure("Cannot compare what is not exact") }
      values[name] = value
    }
    return values
  }
}
