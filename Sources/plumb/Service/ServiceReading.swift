import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import OnlineStore
import Processor

/// `plumb get --service`: one row of a service, as its requests are answered.
struct ServiceReading {
  private let plans: [Int: Plan]
  private let redis: RedisOptions
  private let notLive: Bool

  init(_ definitions: [String], _ redis: RedisOptions, notLive: Bool) throws {
    var plans: [Int: Plan] = [:]
    for path in definitions {
      let plan = try DefinitionFile.compile(path: path)
      if plans.updateValue(plan, forKey: plan.version) != nil {
        throw ValidationError("Two of the definitions files are of version \(plan.version).")
      }
    }
    self.plans = plans
    self.redis = redis
    self.notLive = notLive
  }

  /// Prints the columns of a service for `column=value` arguments, at a time or now.
  func print(_ name: String, _ arguments: [String], at time: EventTime?) throws {
    let names = Set(plans.values.map(\.name)).sorted()
    guard let appName = names.first, names.count == 1 else {
      throw ValidationError("The definitions files are of different names: \(names).")
    }
    let reader = BatchReader(redis, name: appName)
    let live = try notLive ? nil : reader.live()
    guard let version = live ?? (plans.count == 1 ? plans.keys.first : nil), let plan = plans[version] else {
      throw ValidationError(
        live.map { "Version \($0) is live: name its definitions with -d." }
          ?? "No version is live, and there are several to choose from: plumb promote one of them.")
    }
    let service = try TrainingSelection.service(name, plan)
    var values = try Self.values(arguments, service)
    let inputs = service.service.inputs.map { values.removeValue(forKey: $0.name) ?? .null }
    let entity = service.entity.map { values[$0.name] ?? .null }
    guard let metadata = try reader.metadata(version: version) else {
      throw StoreError(.fatal, "the store has nothing of '\(appName)', version \(version): start plumb run")
    }
    let features = try features(of: entity, service, plan, metadata, reader, at: time ?? .now)
    var row = try TableWriter(
      path: "-", format: .ndjson,
      columns: ["service", "version", "at"] + service.entity.map(\.name) + service.columns.map(\.name))
    row.append(.string(Text(name)))
    row.append(.int64(Int64(version)))
    row.append(.timestamp(features.at))
    for value in entity { row.append(value) }
    for value in service.values(features: features.values, inputs: inputs, at: features.at) {
      row.append(value)
    }
    try row.endRow()
    try row.finish()
  }

  private func features(
    of entity: [FeatureValue], _ service: ServicePlan, _ plan: Plan, _ metadata: StoreMetadata,
    _ reader: BatchReader, at time: EventTime
  ) throws -> (values: [[FeatureValue]], at: EventTime) {
    let routing = Routing(plan)
    let lookups = try service.reads.map { read in
      let view = plan.views[read.view]
      let input = routing.input(of: view, plan)
      guard let key = EntityKey.make(read.key.map { entity[$0] }, view.entity),
        let count = metadata.partitions[input]
      else { throw ValidationError("The entity of view '\(view.name)' is too long, or nothing folds it.") }
      let partition = key.withUnsafeBytes { Murmur2.partition($0, count: count) }
      return BatchReader.Lookup(
        task: StoreKeys.task(source: input, partition: partition), view: view.name, key: key)
    }
    let found = try reader.read(version: plan.version, lookups).found
    if let failure = found.compactMap(\.failure).first { throw failure }
    var latest = time
    var values: [[FeatureValue]] = []
    for (read, found) in zip(service.reads, found) {
      let view = plan.views[read.view]
      let state = try found.state.map { bytes throws(StateError) in
        try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
          try view.decode(bytes)
        }
      }
      let moment = max(time, state?.asOf ?? time)
      latest = max(latest, moment)
      if read.isSilent(since: state?.asOf, at: moment) {
        values.append([FeatureValue](repeating: .null, count: view.features.count))
      } else {
        values.append(view.evaluate(state, at: moment))
      }
    }
    return (values, latest)
  }

  /// The arguments by name, in the types of the service's entity columns and inputs.
  private static func values(_ arguments: [String], _ service: ServicePlan) throws -> [String: FeatureValue] {
    var wanted = Dictionary(
      service.service.inputs.map { ($0.name, $0.type) }, uniquingKeysWith: { first, _ in first })
    for column in service.entity {
      if case .scalar(let type) = column.type { wanted[column.name] = type }
    }
    var values: [String: FeatureValue] = [:]
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
        String.init)
      guard parts.count == 2 else { throw ValidationError("'\(argument)' is no column=value.") }
      guard let type = wanted[parts[0]] else {
        let meant = Suggestion.didYouMean(parts[0], among: wanted.keys.sorted()).map { " (\($0))" } ?? ""
        throw ValidationError(
          "'\(parts[0])' is neither an entity column nor an input of '\(service.name)'\(meant).")
      }
      guard let value = value(parts[1], type) else {
        throw ValidationError("'\(parts[1])' is no \(type.rawValue) for '\(parts[0])'.")
      }
      guard values.updateValue(value, forKey: parts[0]) == nil else {
        throw ValidationError("'\(parts[0])' is given twice.")
      }
    }
    for name in service.entity.map(\.name) + service.service.inputs.map(\.name) where values[name] == nil {
      throw ValidationError("'\(name)' is missing: add \(name)=VALUE.")
    }
    return values
  }

  private static func value(_ text: String, _ type: ValueType) -> FeatureValue? {
    switch type {
    case .string: .string(Text(text))
    case .int64: Int64(text).map(FeatureValue.int64)
    case .double: Double(text).flatMap { $0.isFinite ? .double($0) : nil }
    case .bool: text == "true" ? .bool(true) : text == "false" ? .bool(false) : nil
    case .timestamp: (try? EventTime(option: text)).map(FeatureValue.timestamp)
    }
  }
}
