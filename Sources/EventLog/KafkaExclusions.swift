public import Processor

extension KafkaOptions {
  /// Two properties, or one and the interval between commits, of which the first has to be larger by a factor.
  private struct Exclusion {
    var larger: (name: String, role: Role)
    var factor: Int
    /// nil: the commit interval.
    var smaller: (name: String, role: Role)?
    var reason: String
    var isOnlyTransactional = false
  }

  private static let exclusions = [
    Exclusion(
      larger: ("transaction.timeout.ms", .producer), factor: 2, smaller: nil,
      reason:
        "a transaction begins up to one interval before its commit, and the brokers abort what lasts longer",
      isOnlyTransactional: true),
    Exclusion(
      larger: ("max.poll.interval.ms", .consumer), factor: 2, smaller: nil,
      reason: "a worker that doesn't poll for longer loses its partitions"),
    Exclusion(
      larger: ("session.timeout.ms", .consumer), factor: 2, smaller: ("heartbeat.interval.ms", .consumer),
      reason: "one lost heartbeat would cost a worker its partitions"),
    Exclusion(
      larger: ("max.poll.interval.ms", .consumer), factor: 1, smaller: ("session.timeout.ms", .consumer),
      reason: "a silent worker is found out by its session first"),
    Exclusion(
      larger: ("transaction.timeout.ms", .producer), factor: 1, smaller: ("message.timeout.ms", .producer),
      reason: "a record is given up before its transaction is", isOnlyTransactional: true),
    Exclusion(
      larger: ("transaction.timeout.ms", .producer), factor: 1, smaller: ("delivery.timeout.ms", .producer),
      reason: "a record is given up before its transaction is", isOnlyTransactional: true),
  ]

  /// librdkafka's own defaults, as far as an exclusion needs them.
  private static let libraryDefaults = ["max.poll.interval.ms": 300_000, "heartbeat.interval.ms": 3_000]

  /// Throws if settings exclude each other, naming all that do, with what each is.
  public func refuseExclusions(commitIntervalMilliseconds: Int) throws(LogError) {
    var problems: [String] = []
    for exclusion in Self.exclusions where delivery == .exactlyOnce || !exclusion.isOnlyTransactional {
      guard let larger = try milliseconds(exclusion.larger) else { continue }
      let name: String
      let smaller: Int
      if let property = exclusion.smaller {
        guard let value = try milliseconds(property) else { continue }
        (name, smaller) = (property.name, value)
      } else {
        (name, smaller) = ("commit_interval_ms", commitIntervalMilliseconds)
      }
      guard larger < smaller * exclusion.factor else { continue }
      let times = exclusion.factor == 1 ? "" : "\(exclusion.factor) times "
      problems.append(
        "\(exclusion.larger.name) is \(larger) and \(name) is \(smaller): the first has to be at least \(times)the second, "
          + "since \(exclusion.reason)")
    }
    if problems.isEmpty { return }
    throw LogError(.fatal, "settings exclude each other: " + problems.joined(separator: "; "))
  }

  private func milliseconds(_ property: (name: String, role: Role)) throws(LogError) -> Int? {
    let chosen = try settings(for: property.role).first { $0.name == property.name }?.value
    return chosen.flatMap(Int.init) ?? Self.libraryDefaults[property.name]
  }
}
