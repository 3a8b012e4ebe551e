import FeatureCore
import OnlineStore
import Processor

/// What a request wants, whichever way it was put.
struct FeatureQuery: Sendable {
  /// What names the features.
  enum Target: Sendable {
    case service(String)
    /// `view:feature`.
    case features([String])
  }

  /// A column of entities or inputs.
  struct Column: Sendable {
    var name: String
    var values: [JSONScalar]
  }

  var target: Target
  var columns: [Column]
  var rowCount: Int
  /// Names the answer; nil: the server makes a name.
  var requestID: String?
  /// The time of the evaluation; nil: now.
  var at: EventTime?
  /// Whether a column that nothing wants is a mistake.
  var refusesStrangers = false
}

/// A value that a request gives.
enum JSONScalar: Sendable, Equatable {
  case null
  case bool(Bool)
  case int64(Int64)
  case double(Double)
  case string(String)

  init?(_ value: JSONValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int64(let value): self = .int64(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array, .object: return nil
    }
  }

  /// The value in a type; nil if it is of another one. Integers may be written as strings, timestamps in RFC 3339 or in
  /// whole seconds.
  func value(as type: ValueType) -> FeatureValue? {
    switch (self, type) {
    case (.null, _): return .null
    case (.string(let text), .string): return .string(Text(text))
    case (.int64(let number), .int64): return .int64(number)
    case (.string(let text), .int64): return Int64(text).map(FeatureValue.int64)
    case (.double(let number), .int64): return Int64(exactly: number).map(FeatureValue.int64)
    case (.int64(let number), .double): return .double(Double(number))
    case (.double(let number), .double): return .double(number)
    case (.bool(let value), .bool): return .bool(value)
    case (.string(let text), .timestamp):
      var text = text
      return text.withUTF8 { RFC3339.parse(UnsafeRawBufferPointer($0)) }.map(FeatureValue.timestamp)
    case (.int64(let seconds), .timestamp):
      let (microseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
      guard !overflow, Limits.eventTimeMin...Limits.eventTimeMax ~= microseconds else { return nil }
      return .timestamp(EventTime(microseconds: microseconds))
    default: return nil
    }
  }
}

/// A query in the terms of one version: what has to be read for it.
struct CompiledQuery: Sendable {
  let catalog: Catalog
  let service: ServicePlan
  /// Of a service that has a name; else empty.
  let serviceName: String
  /// The states to read, each once: candidates of one request share their user's.
  private(set) var lookups: [Lookup] = []
  /// For each row, the lookup of each read of the service; -1 where the entity has a null in it.
  private(set) var rows: [[Int]] = []
  /// For each row, the values of the service's inputs.
  private(set) var inputs: [[FeatureValue]] = []
  /// For each row, the values of the service's entity columns.
  private(set) var entities: [[FeatureValue]] = []

  struct Lookup: Sendable {
    /// Index of the read of the service.
    var read: Int
    var key: [UInt8]
  }

  private struct Place: Hashable {
    var read: Int
    var key: [UInt8]
  }

  init(_ query: FeatureQuery, _ catalog: Catalog) throws(Problem) {
    self.catalog = catalog
    switch query.target {
    case .service(let name):
      service = try catalog.service(name)
      serviceName = name
    case .features(let references):
      service = try catalog.features(references)
      serviceName = ""
    }
    let keys = try Self.columns(
      service.entity.map { ($0.name, $0.type) }, of: query, .missingEntity, "the entity column")
    let given = try Self.columns(
      service.service.inputs.map { ($0.name, FeatureType.scalar($0.type)) }, of: query, .missingInput,
      "the input")
    if query.refusesStrangers { try Self.refuseStrangers(query, service) }
    var known: [Place: Int] = [:]
    rows.reserveCapacity(query.rowCount)
    for row in 0..<query.rowCount {
      let entity = keys.map { $0[row] }
      entities.append(entity)
      inputs.append(given.map { $0[row] })
      var places: [Int] = []
      for (index, read) in service.reads.enumerated() {
        let values = read.key.map { entity[$0] }
        guard !values.contains(.null) else {
          places.append(-1)
          continue
        }
        guard let key = EntityKey.make(values, catalog.plan.views[read.view].entity) else {
          throw Problem(
            .invalidValue, "row \(row): the entity is longer than \(Limits.entityKeyBytesMax) bytes")
        }
        let place = Place(read: index, key: key)
        if let lookup = known[place] {
          places.append(lookup)
        } else {
          known[place] = lookups.count
          places.append(lookups.count)
          lookups.append(Lookup(read: index, key: key))
        }
      }
      rows.append(places)
    }
  }

  private static func refuseStrangers(_ query: FeatureQuery, _ service: ServicePlan) throws(Problem) {
    let wanted = service.entity.map(\.name) + service.service.inputs.map(\.name)
    guard let stranger = query.columns.first(where: { !wanted.contains($0.name) }) else { return }
    let meant =
      Suggestion.didYouMean(stranger.name, among: wanted) ?? "there are \(wanted.joined(separator: ", "))"
    throw Problem(
      .badRequest, "'\(stranger.name)' is neither an entity column nor an input of the service; \(meant)")
  }

  private static func columns(
    _ wanted: [(name: String, type: FeatureType)], of query: FeatureQuery, _ missing: Problem.Kind,
    _ what: String
  ) throws(Problem) -> [[FeatureValue]] {
    var columns: [[FeatureValue]] = []
    for (name, type) in wanted {
      guard let column = query.columns.first(where: { $0.name == name }) else {
        let meant = Suggestion.didYouMean(name, among: query.columns.map(\.name))
        throw Problem(missing, "\(what) '\(name)' (\(type)) is missing" + (meant.map { "; \($0)" } ?? ""))
      }
      guard case .scalar(let scalar) = type else { continue }
      var values: [FeatureValue] = []
      values.reserveCapacity(column.values.count)
      for (row, value) in column.values.enumerated() {
        guard let value = value.value(as: scalar) else {
          throw Problem(.invalidValue, "row \(row): \(what) '\(name)' is no \(scalar.rawValue)")
        }
        values.append(value)
      }
      columns.append(values)
    }
    return columns
  }

  /// The same as lookups of the store, given how many partitions each input has.
  func storeLookups(_ partitions: [String: Int32]) throws(StoreError) -> [BatchReader.Lookup] {
    var found: [BatchReader.Lookup] = []
    found.reserveCapacity(lookups.count)
    for lookup in lookups {
      let view = service.reads[lookup.read].view
      let partition = try partition(of: lookup, partitions)
      let task = StoreKeys.task(source: catalog.places[view].input, partition: partition)
      found.append(BatchReader.Lookup(task: task, view: catalog.plan.views[view].name, key: lookup.key))
    }
    return found
  }

  /// The partition that holds a lookup's entity.
  func partition(of lookup: Lookup, _ partitions: [String: Int32]) throws(StoreError) -> Int32 {
    let input = catalog.places[service.reads[lookup.read].view].input
    guard let count = partitions[input] else {
      throw StoreError(.fatal, "the store's metadata names no input '\(input)'")
    }
    return lookup.key.withUnsafeBytes { Murmur2.partition($0, count: count) }
  }
}
