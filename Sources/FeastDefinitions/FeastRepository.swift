public import FeatureCore

/// The two files of a Feast repository: its settings, and its Python definitions of entities, views, services and sources.
public struct FeastRepository {
  /// Where the features are.
  public struct Places: Sendable {
    /// The folder that `plumb export` writes to, as Feast sees it: absolute, relative to the repository, or a URL.
    public var parquet: String
    /// The address of `plumb serve`.
    public var server: String

    /// Places from their parts.
    public init(parquet: String, server: String) { (self.parquet, self.server) = (parquet, server) }
  }

  private let plan: Plan
  private let places: Places

  /// The repository of a plan.
  public init(_ plan: Plan, _ places: Places) { (self.plan, self.places) = (plan, places) }

  /// The project's name: Feast's have letters, digits and underscores.
  private var project: String { plan.name.replacing("-", with: "_") }

  /// `feature_store.yaml`.
  public var settings: String {
    """
    project: \(project)
    provider: local
    registry: registry.db
    # Training data: the Parquet files that `plumb export` writes.
    offline_store:
      type: dask
    # Serving: `plumb serve`.
    online_store:
      type: remote
      path: \(Python.text(places.server))
    entity_key_serialization_version: 3

    """
  }

  /// `definitions.py`.
  public var definitions: String {
    let parts =
      [header, imports, projectObject] + entities.map(object) + plan.views.map(object)
      + plan.services.map(object)
    return parts.joined(separator: "\n")
  }

  private var header: String {
    let origin = "\(plan.name), version \(plan.version), fingerprint \(fingerprintText(plan.fingerprint))"
    return """
      # Written by `plumb feast export` from the definitions of \(origin).
      # What is changed here is lost when it is written again.

      """
  }

  private var imports: String {
    """
    from datetime import timedelta

    from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, ValueType
    from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

    """
  }

  private var projectObject: String { "project = Project(name=\(Python.text(project)))\n" }

  // MARK: Entities

  /// Feast's entities have one column each; a view of several columns has several of them.
  private struct Entity: Hashable {
    var name: String
    var column: String
    var type: ValueType
  }

  /// An entity a column, and a type where sources declare a column differently.
  private var entities: [Entity] {
    var found: [Entity] = []
    for column in plan.views.flatMap(\.entity)
    where !found.contains(where: { $0.column == column.name && $0.type == column.type }) {
      let isTaken = found.contains { $0.column == column.name }
      let name = isTaken ? "\(column.name)_\(column.type.rawValue)" : column.name
      found.append(Entity(name: name, column: column.name, type: column.type))
    }
    return found
  }

  private func entity(_ column: EntityColumn) -> Entity {
    guard let found = entities.first(where: { $0.column == column.name && $0.type == column.type }) else {
      preconditionFailure("Cannot find the entity of column '\(column.name)'")
    }
    return found
  }

  private func object(_ entity: Entity) -> String {
    Python.call(
      "entity_\(entity.name) = Entity",
      [
        ("name", Python.text(entity.name)), ("join_keys", "[\(Python.text(entity.column))]"),
        ("value_type", "ValueType.\(Self.entityType(entity.type))"),
      ])
  }

  private static func entityType(_ type: ValueType) -> String {
    switch type {
    case .int64: "INT64"
    case .double: "DOUBLE"
    case .bool: "BOOL"
    case .string: "STRING"
    case .timestamp: "UNIX_TIMESTAMP"
    }
  }

  // MARK: Views

  private func object(_ view: ViewPlan) -> String {
    let definition = plan.definitions.views.first { $0.name == view.name }
    // A snapshot is what was served from its commit on: rows are joined as served.
    let source = Python.call(
      "FileSource",
      [
        ("name", Python.text(view.name)), ("path", Python.text("\(places.parquet)/view=\(view.name)")),
        ("timestamp_field", Python.text("committed_at")),
      ], indentation: 1)
    let keys = view.entity.map { ($0.name, FeatureType.scalar($0.type), Annotations()) }
    let features = view.features.map { ($0.name, $0.type, Self.annotations(of: $0.name, definition)) }
    let schema = (keys + features).map { name, type, annotations in
      let field = [("name", Python.text(name)), ("dtype", Self.type(type))]
      return "        Field(\(Python.arguments(field + Self.arguments(annotations, hasOwner: false)))),"
    }
    return Python.call(
      "view_\(view.name) = FeatureView",
      [
        ("name", Python.text(view.name)),
        ("entities", "[\(view.entity.map { "entity_\(entity($0).name)" }.joined(separator: ", "))]"),
        // A state is never too old: windows move when it is evaluated.
        ("ttl", "timedelta(0)"), ("schema", "[\n\(schema.joined(separator: "\n"))\n    ]"),
        ("source", source),
        ("online", "True"),
      ] + Self.arguments(definition?.annotations ?? Annotations()))
  }

  /// What is told of the feature that has a column, alone or as one of several windows.
  private static func annotations(of column: String, _ view: View?) -> Annotations {
    let candidates = view?.features.filter { column == $0.name || column.hasPrefix("\($0.name)_") } ?? []
    return candidates.max { $0.name.utf8.count < $1.name.utf8.count }?.annotations ?? Annotations()
  }

  private static func arguments(_ annotations: Annotations, hasOwner: Bool = true) -> [(String, String)] {
    var arguments: [(String, String)] = []
    if let description = annotations.description {
      arguments.append(("description", Python.text(description)))
    }
    if hasOwner, let owner = annotations.owner { arguments.append(("owner", Python.text(owner))) }
    if !annotations.tags.isEmpty { arguments.append(("tags", Python.dictionary(annotations.tags))) }
    return arguments
  }

  private static func type(_ type: FeatureType) -> String {
    switch type {
    case .scalar(let type): scalar(type)
    case .list(let element): "Array(\(scalar(element)))"
    }
  }

  private static func scalar(_ type: ValueType) -> String {
    switch type {
    case .int64: "Int64"
    case .double: "Float64"
    case .bool: "Bool"
    case .string: "String"
    case .timestamp: "UnixTimestamp"
    }
  }

  // MARK: Services

  private func object(_ service: ServicePlan) -> String {
    var projections: [(view: ViewPlan, names: [String])] = []
    for column in service.columns {
      guard case .feature(let read, let feature) = column.origin else { continue }
      let view = plan.views[service.reads[read].view]
      let name = view.features[feature].name
      if let known = projections.firstIndex(where: { $0.view === view }) {
        projections[known].names.append(name)
      } else {
        projections.append((view, [name]))
      }
    }
    let lines = projections.map { view, names in
      "        view_\(view.name)[[\(names.map(Python.text).joined(separator: ", "))]],"
    }
    let annotations = Self.arguments(service.service.annotations)
    let left = service.columns.filter { if case .derived = $0.origin { true } else { false } }.map(\.name)
    let note =
      left.isEmpty
      ? "" : "# Computed by `plumb serve`, and no feature of a view: \(left.joined(separator: ", ")).\n"
    return note
      + Python.call(
        "service_\(service.name) = FeatureService",
        [("name", Python.text(service.name)), ("features", "[\n\(lines.joined(separator: "\n"))\n    ]")]
          + annotations)
  }
}

/// Python, as text.
enum Python {
  /// A string literal.
  static func text(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        text += "\\x" + String(repeating: "0", count: 2 - digits.utf8.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }

  /// A dictionary of strings, in the order of its keys.
  static func dictionary(_ values: [String: String]) -> String {
    let pairs = values.sorted { $0.key < $1.key }.map { "\(text($0.key)): \(text($0.value))" }
    return "{\(pairs.joined(separator: ", "))}"
  }

  /// Arguments on one line.
  static func arguments(_ arguments: [(String, String)]) -> String {
    arguments.map { "\($0)=\($1)" }.joined(separator: ", ")
  }

  /// A call with an argument a line.
  static func call(_ function: String, _ arguments: [(String, String)], indentation: Int = 0) -> String {
    let indent = String(repeating: "    ", count: indentation)
    let lines = arguments.map { "\(indent)    \($0)=\($1),\n" }.joined()
    return "\(function)(\n\(lines)\(indent))\(indentation == 0 ? "\n" : "")"
  }
}
