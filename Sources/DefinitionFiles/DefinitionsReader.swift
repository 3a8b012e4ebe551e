import FeatureCore
import Yams

/// Turns the tree of a definitions file into `Definitions`. What cannot be read is reported and left out, so
/// that the rest can be checked in the same run.
struct DefinitionsReader {
  let reader: ShapeReader
  let database: ZoneDatabase
  /// The zone of calendar windows that name none.
  var defaultZone = "UTC"
  /// Every zone that was looked up.
  var zones: [String: TimeZoneRules] = [:]
  /// Names that no zone has.
  private var unknownZones: Set<String> = []
  /// The zones of calendar windows.
  var usedZones: Set<String> = []
  /// What features are compared with.
  var baselineFiles: BaselineFiles
  /// What `models` says, and the file with what it stands for.
  var models: [Model] = []
  var sections: FileSections?

  init(_ reader: ShapeReader, file: String, database: ZoneDatabase) {
    self.reader = reader
    self.database = database
    baselineFiles = BaselineFiles(besides: file)
  }

  /// The definitions of a file whose models are expanded; nil if the root is no mapping.
  mutating func read(_ root: Node) -> Definitions? {
    let place = Place(node: root, path: DefinitionPath(), keyPosition: root.position)
    let keys = ["name", "version", "time_zone", "sources", "joins", "views", "services", "models"]
    guard let fields = reader.fields(place, "a definitions file", keys: keys) else { return nil }
    if let zone = fields["time_zone"], let name = reader.text(zone, expected: "the name of a time zone") {
      defaultZone = name
      look(up: name, at: zone)
    }
    let name = reader.required("name", of: fields, example: "name: shop")
      .flatMap { reader.text($0, expected: "a name") }
    let sources = section("sources", of: fields, example: "sources: { clicks: ... }")
      .flatMap { reader.entries($0, expected: "a mapping of sources by name") }
    let views = section("views", of: fields, example: "views: { user_activity: ... }")
      .flatMap { reader.entries($0, expected: "a mapping of views by name") }
    let joins = fields["joins"].flatMap { reader.entries($0, expected: "a mapping of joins by name") }
    let services =
      fields["services"].flatMap { reader.entries($0, expected: "a mapping of services by name") }
    var definitions = Definitions(
      name: name ?? "", version: fields["version"].flatMap(version) ?? 1,
      sources: (sources ?? []).compactMap { source($0.name, $0.value) },
      views: (views ?? []).compactMap { view($0.name, $0.value) },
      services: (services ?? []).compactMap { service($0.name, $0.value) })
    definitions.joins = (joins ?? []).compactMap { join($0.name, $0.value) }
    definitions.models = models
    return definitions
  }

  /// What models may stand for is needed of a file without models alone.
  private func section(_ key: String, of fields: Fields, example: String) -> Place? {
    sections == nil ? reader.required(key, of: fields, example: example) : fields[key]
  }

  private func version(_ place: Place) -> Int? {
    guard let version = reader.integer(place) else { return nil }
    guard version >= 1 else {
      reader.report(place, "a version is a whole number from 1, found \(version)")
      return nil
    }
    return version
  }

  /// Notes the rules of a zone, or reports that nobody knows it.
  mutating func look(up name: String, at place: Place) {
    guard zones[name] == nil || unknownZones.contains(name) else { return }
    if let rules = database.rules(name) {
      zones[name] = rules
      return
    }
    reader.report(
      place, database.isPresent ? "unknown time zone '\(name)'" : ZoneDatabase.missing(name),
      suggestion: database.isPresent ? database.suggestion(for: name) : ZoneDatabase.remedy)
    // A stand-in, so that what follows is not reported once more for lack of a zone.
    unknownZones.insert(name)
    zones[name] = TimeZoneRules(name: name, initialOffsetSeconds: 0, transitions: [])
  }
}

// MARK: - Sources

extension DefinitionsReader {
  private static let typeSynonyms: [String: ValueType] = [
    "str": .string, "text": .string, "varchar": .string, "uuid": .string,
    "int": .int64, "int32": .int64, "integer": .int64, "long": .int64, "bigint": .int64,
    "float": .double, "float64": .double, "float32": .double, "number": .double, "decimal": .double,
    "real": .double, "boolean": .bool, "datetime": .timestamp, "date": .timestamp, "time": .timestamp,
  ]
  private static let unitSynonyms: [String: TimeUnit] = [
    "sec": .seconds, "second": .seconds, "seconds": .seconds,
    "milli": .milliseconds, "millis": .milliseconds, "millisecond": .milliseconds,
    "milliseconds": .milliseconds,
    "micro": .microseconds, "micros": .microseconds, "microseconds": .microseconds, "µs": .microseconds,
    "nano": .nanoseconds, "nanos": .nanoseconds, "nanoseconds": .nanoseconds,
    "iso": .text, "iso8601": .text, "iso-8601": .text, "string": .text, "datetime": .text,
  ]
  private static let partitionerSynonyms: [String: Source.Partitioner] = [
    "java": .murmur2, "default": .murmur2, "murmur": .murmur2, "murmur2_random": .murmur2,
    "random": .unknown, "consistent": .unknown, "consistent_random": .unknown, "fnv1a": .unknown,
    "fnv1a_random": .unknown, "crc32": .unknown, "none": .unknown, "custom": .unknown,
  ]

  private mutating func source(_ name: String, _ place: Place) -> Source? {
    guard let fields = reader.fields(place, "a source", keys: Self.sourceKeys + Self.annotationKeys) else {
      return nil
    }
    let timestamp = reader.required("timestamp", of: fields, example: "timestamp: { field: ts, unit: ms }")
      .flatMap { self.timestamp($0) }
    let declared = reader.required("fields", of: fields, example: "fields: { user_id: string }")
      .flatMap { reader.entries($0, expected: "a mapping of field names to types") }
    let format: Source.Format = fields["format"].flatMap { reader.choice($0, "format") } ?? .json
    var source = Source(
      name, topic: fields["topic"].flatMap { reader.text($0, expected: "the name of a topic") } ?? name,
      key: fields["key"].flatMap { reader.text($0, expected: "the name of a field") },
      timestamp: timestamp ?? Source.Timestamp(field: "", unit: .milliseconds),
      fields: (declared ?? []).compactMap { field($0.name, $0.value) },
      each: fields["each"].flatMap { reader.text($0, expected: "the path of an array") },
      partitioner: fields["partitioner"].flatMap {
        reader.choice($0, "partitioner", synonyms: Self.partitionerSynonyms)
        // Keys are objects in JSON, which no reader of features would place alike.
      } ?? (format == .json ? .murmur2 : .unknown),
      maxAhead: fields["max_ahead"].flatMap(reader.duration) ?? Source.defaultMaxAhead)
    source.annotations = annotations(fields)
    source.duplicates = fields["duplicates"].flatMap(duplicates)
    source.isTable = fields["table"].flatMap(reader.bool) ?? false
    source.format = format
    source.capture = fields["capture"].flatMap { capture($0, source: name) }
    return source
  }

  private func duplicates(_ place: Place) -> Source.Duplicates? {
    var suggestion: String?
    if case .scalar(let scalar) = place.node, !scalar.string.isEmpty {
      suggestion = "write { by: \(scalar.string), within: 1h }"
    }
    guard
      let fields = reader.fields(
        place, "a rule for duplicates", keys: ["by", "within"], suggestion: suggestion)
    else { return nil }
    let by = reader.required("by", of: fields, example: "by: order_id")
      .flatMap { reader.text($0, expected: "the name of a field") }
    let within = reader.required("within", of: fields, example: "within: 1h").flatMap(reader.duration)
    guard let by, let within else { return nil }
    return Source.Duplicates(by: by, within: within)
  }

  private mutating func timestamp(_ place: Place) -> Source.Timestamp? {
    var suggestion: String?
    if case .scalar(let scalar) = place.node, !scalar.string.isEmpty {
      suggestion = "write { field: \(scalar.string), unit: ms }"
    }
    let keys = ["field", "unit", "time_zone", "text", "any_time", "record"]
    let strange = [
      "path":
        "where it is inside of the record is said of the field: fields: { ts: { path: meta.ts, type: timestamp } }"
    ]
    guard
      let fields = reader.fields(place, "a timestamp", keys: keys, suggestion: suggestion, strange: strange)
    else { return nil }
    if let record = fields["record"] {
      for (key, stranger) in fields.values.sorted(by: { $0.key < $1.key }) where key != "record" {
        reader.report(
          stranger, "'\(key)' does not go with 'record'; the record's timestamp needs nothing else")
      }
      guard let isRecord = reader.bool(record) else { return nil }
      if !isRecord {
        reader.report(
          record, "'record' is true or left out", suggestion: "name the field: { field: ts, unit: ms }")
      }
      return .ofRecord
    }
    let field = reader.required("field", of: fields, example: "field: ts")
      .flatMap { reader.text($0, expected: "the name of a field") }
    let unit = reader.required("unit", of: fields, example: "unit: ms (s, ms, us, ns, text or rfc3339)")
      .flatMap(timeUnit)
    let zone = fields["time_zone"].flatMap { usedZone($0) }
    let isText = fields["text"].flatMap(reader.bool) ?? false
    guard let field else { return nil }
    // The field is known although its unit is not: only that is told of.
    var timestamp = Source.Timestamp(field: field, unit: unit ?? .milliseconds, zone: zone, isText: isText)
    timestamp.isAny = fields["any_time"].flatMap(reader.bool) ?? false
    return timestamp
  }

  /// The name of a zone, whose rules are noted.
  mutating func usedZone(_ place: Place) -> String? {
    guard let name = reader.text(place, expected: "the name of a time zone") else { return nil }
    look(up: name, at: place)
    usedZones.insert(name)
    return name
  }

  private func timeUnit(_ place: Place) -> TimeUnit? {
    reader.choice(place, "time unit", synonyms: Self.unitSynonyms)
  }

  private mutating func field(_ name: String, _ place: Place) -> Source.Field? {
    guard case .mapping = place.node else { return valueType(place).map { Source.Field(name, $0) } }
    let keys = ["type", "path", "unit", "time_zone", "text", "record", "header", "compute"]
    guard let fields = reader.fields(place, "a field", keys: keys) else { return nil }
    if let compute = fields["compute"] {
      for key in keys where key != "compute" {
        guard let stranger = fields[key] else { continue }
        reader.report(
          stranger, "'\(key)' does not go with 'compute': the expression has a type of its own",
          suggestion: key == "type" ? "convert it in the expression: CAST(... AS string)" : "remove it")
      }
      return expression(compute).map { Source.Field.computed(name, $0) }
    }
    let record: Source.RecordPart? = fields["record"].flatMap { reader.choice($0, "part of a record") }
    guard let type = reader.required("type", of: fields, example: "type: timestamp").flatMap(valueType)
    else { return nil }
    var field = Source.Field(name, type, path: fields["path"].flatMap { reader.text($0, expected: "a path") })
    field.record = record
    field.header = fields["header"].flatMap { reader.text($0, expected: "the name of a header") }
    field.isText = fields["text"].flatMap(reader.bool) ?? false
    for key in ["unit", "time_zone"] where type != .timestamp {
      guard let stranger = fields[key] else { continue }
      let what = key == "unit" ? "a unit" : "a time zone"
      reader.report(stranger, "only a timestamp has \(what), and this is of type \(type.rawValue)")
      return field
    }
    field.unit = fields["unit"].flatMap(timeUnit)
    field.zone = fields["time_zone"].flatMap { usedZone($0) }
    return field
  }

  func valueType(_ place: Place) -> ValueType? {
    reader.choice(place, "type", synonyms: Self.typeSynonyms)
  }
}
