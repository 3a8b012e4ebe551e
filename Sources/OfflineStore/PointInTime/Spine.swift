public import FeatureCore

/// The rows that training data is made for: entity keys, a time, and columns that are kept as they are.
///
/// All rows are in memory: their kept columns, and what the join needs of them.
public struct Spine: ~Copyable {
  /// The columns, in the file's order.
  public private(set) var columns: [String]
  /// The schema of the entity columns and the time.
  let schema: EventSchema
  /// What is kept of each row, `columns.count` fields a row.
  private(set) var fields: [Field] = []
  /// The time of each row, in microseconds.
  private(set) var times: [Int64] = []

  /// A kept field.
  enum Field {
    case null
    case text(Text)
    /// JSON that is no string: a number, a bool, an array, an object.
    case literal(Text)
  }

  let path: String
  private var decoder: EventDecoder
  private let arena = TextArena()
  private let row: UnsafeMutablePointer<Scalar>
  private var views: [SpineKeys]

  /// Rows.
  public var count: Int { times.count }

  /// An empty spine for joining views of one source. `timeColumn` holds the rows' time, in the source's unit.
  public init(
    path: String, columns: [String], timeColumn: String, source: SourcePlan, views: [ViewPlan]
  ) throws(TableError) {
    self.path = path
    self.columns = columns
    try Self.check(columns, path, timeColumn, views)
    var entities: [Source.Field] = []
    for column in views.flatMap(\.entity) where !entities.contains(where: { $0.name == column.name }) {
      let unit = source.schema.columns[column.column].unit
      // A time column that is also part of an entity is declared by the timestamp.
      if column.name != timeColumn { entities.append(Source.Field(column.name, column.type, unit: unit)) }
    }
    schema = EventSchema(
      Source(
        "spine", topic: "spine",
        timestamp: Source.Timestamp(field: timeColumn, unit: source.source.timestamp.unit), fields: entities))
    decoder = EventDecoder(schema)
    row = .allocate(capacity: schema.columns.count)
    let schema = schema
    self.views = views.map { SpineKeys($0, schema) }
  }

  deinit { row.deallocate() }

  /// Adds the current row of a CSV table, whose columns must be the spine's.
  public mutating func append(_ reader: borrowing CSVReader) throws(TableError) {
    arena.reset()
    for index in schema.columns.indices { row[index] = .null }
    for (index, name) in columns.enumerated() {
      let declared = schema.columns.firstIndex { $0.name == name }
      fields.append(Self.field(reader, index, declared.map { schema.columns[$0].type }))
      guard let declared, let text = reader.text(index) else { continue }
      row[declared] = try scalar(text, schema.columns[declared], line: reader.line)
    }
    guard row[schema.timeColumn].isValue else {
      throw TableError(
        path: path, line: reader.line, problem: "column '\(schema.columns[schema.timeColumn].name)' is empty",
        remedy: "give every row a time")
    }
    noteKeys()
  }

  /// Adds a JSON object. Columns that it lacks are null; it may have none that the first row has not.
  public mutating func append(json line: UnsafeRawBufferPointer, number: Int64) throws(TableError) {
    // First, since it proves that the line is JSON.
    arena.reset()
    try appendKeys(line, line: number)
    var found = [Field](repeating: .null, count: columns.count)
    var isFound = [Bool](repeating: false, count: columns.count)
    for (name, value) in JSONObjectFields(line) {
      guard let index = columns.firstIndex(of: name) else {
        throw TableError(
          path: path, line: number, problem: "column '\(name)' is not in the first row",
          remedy: "give every row the same columns; use null where there is no value")
      }
      if isFound[index] { throw Self.twice(name, path, line: number) }
      isFound[index] = true
      found[index] = value
    }
    fields += found
  }

  private static func twice(_ name: String, _ path: String, line: Int64) -> TableError {
    TableError(
      path: path, line: line, problem: "column '\(name)' stands twice", remedy: "remove or rename one of them"
    )
  }

  /// The columns of the first row of a file of JSON objects.
  public static func columns(ofFirst line: UnsafeRawBufferPointer, path: String) throws(TableError)
    -> [String]
  {
    // No object has this field: only the grammar matters here, the time is checked when the row is added.
    let time = Source.Timestamp(field: "\u{0}", unit: .milliseconds)
    let schema = EventSchema(Source("spine", topic: "spine", timestamp: time, fields: []))
    var decoder = EventDecoder(schema)
    var row = Scalar.null
    do {
      try decoder.decode(line, into: &row, arena: TextArena())
    } catch {
      guard error.reason == .missingTime else {
        throw TableError(
          path: path, line: 1, problem: error.message(schema), remedy: "write one JSON object a line")
      }
    }
    let names = JSONObjectFields(line).map(\.name)
    var seen = Set<String>()
    for name in names where !seen.insert(name).inserted { throw twice(name, path, line: 1) }
    return names
  }

  /// What is kept, and the rows of each view's entities, once every row has been added.
  consuming func split() -> (rows: SpineRows, keys: [SpineKeys]) {
    let types = columns.map { name in schema.columns.first { $0.name == name }?.type }
    let time = columns.firstIndex(of: schema.columns[schema.timeColumn].name)
    return (
      SpineRows(
        path: path, columns: columns, declared: types, timeColumn: time, fields: fields, times: times),
      views
    )
  }

  /// A field as it is kept. CSV has no types: a column that the definitions declare has its declared one, and
  /// elsewhere what looks like a JSON number or bool, without quotes, is one.
  private static func field(_ reader: borrowing CSVReader, _ index: Int, _ declared: ValueType?) -> Field {
    guard let text = reader.text(index) else { return .null }
    if reader.isQuoted(index) || declared == .string { return .text(text) }
    let isLiteral =
      text == "true" || text == "false" || text.utf8.withUnsafeBytes { NumberText.double($0) != nil }
    return isLiteral ? .literal(text) : .text(text)
  }

  /// A field of CSV as the definitions declare its column. Its text lives in the arena.
  private func scalar(
    _ text: Text, _ column: EventSchema.Column, line: Int64
  ) throws(TableError) -> Scalar {
    let bytes = arena.allocate(text.utf8.count)
    bytes.copyBytes(from: text.utf8)
    let value = UnsafeRawBufferPointer(bytes)
    let scalar: Scalar? =
      switch column.type {
      case .string: .text(value)
      case .int64: NumberText.int64(value).map(Scalar.int64)
      case .double: NumberText.double(value).map(Scalar.double)
      case .bool: text == "true" ? .bool(true) : text == "false" ? .bool(false) : nil
      case .timestamp:
        column.unit.flatMap { EventTime.parse(value, unit: $0) }.map { .int64($0.microseconds) }
      }
    if let scalar { return scalar }
    let form = column.type == .timestamp ? "time" : column.type.rawValue
    throw TableError(
      path: path, line: line,
      problem: "column '\(column.name)': '\(clipped(text.description))' is no \(form)",
      remedy: column.unit.map { "write \($0.textForms)" } ?? "write it as the definitions declare it")
  }

  private mutating func appendKeys(_ payload: UnsafeRawBufferPointer, line: Int64) throws(TableError) {
    do {
      try decoder.decode(payload, into: row, arena: arena)
    } catch {
      throw TableError(
        path: path, line: line, problem: error.message(schema),
        remedy: "write the time in the source's unit and the entity columns in their declared types")
    }
    noteKeys()
  }

  private mutating func noteKeys() {
    times.append(row[schema.timeColumn].int64)
    for view in views { view.append(row, row: times.count - 1, arena: arena) }
  }

  private static func check(
    _ columns: [String], _ path: String, _ timeColumn: String, _ views: [ViewPlan]
  ) throws(TableError) {
    guard columns.contains(timeColumn) else {
      let meant = Suggestion.didYouMean(timeColumn, among: columns).map { "; \($0)" } ?? ""
      throw TableError(
        path: path, line: 1, problem: "there is no time column '\(timeColumn)'\(meant)",
        remedy: "name the column of the rows' time with --spine-time")
    }
    for view in views {
      for column in view.entity where !columns.contains(column.name) {
        let meant = Suggestion.didYouMean(column.name, among: columns).map { "; \($0)" } ?? ""
        throw TableError(
          path: path, line: 1, problem: "view '\(view.name)' needs the column '\(column.name)'\(meant)",
          remedy: "add the column, or choose other views with --view")
      }
    }
  }
}

/// What a join keeps of a spine.
public struct SpineRows {
  let path: String
  let columns: [String]
  /// The types that the definitions declare.
  let declared: [ValueType?]
  let timeColumn: Int?
  /// `columns.count` fields a row.
  let fields: [Spine.Field]
  let times: [Int64]

  /// Rows.
  public var count: Int { times.count }

  /// Refuses columns that a join adds under a name that the spine has.
  func check(_ added: [String]) throws(TableError) {
    guard let taken = added.first(where: columns.contains) else { return }
    throw TableError(
      path: path, line: 1, problem: "the column '\(taken)' has the name of a feature",
      remedy: "rename the column")
  }
}

/// The beginning of a text, for a message.
private func clipped(_ text: String) -> String { text.count > 80 ? "\(text.prefix(80))…" : text }

/// The rows of a spine by the entities of one view.
final class SpineKeys {
  let view: ViewPlan
  /// The slot of each key.
  private(set) var slots: [Text: Int] = [:]
  /// The rows of each slot, in the spine's order until `sortByTime`.
  private(set) var rows: [[Int]] = []

  private let entity: [EntityColumn]

  init(_ view: ViewPlan, _ schema: EventSchema) {
    self.view = view
    entity = view.entity.map { column in
      guard let index = schema.columns.firstIndex(where: { $0.name == column.name }) else {
        preconditionFailure("Cannot find the entity column '\(column.name)' in the spine")
      }
      return EntityColumn(name: column.name, type: column.type, column: index)
    }
  }

  /// Notes a row. One whose entity has a null in it (or no key that a state could have) belongs to no entity.
  func append(_ scalars: UnsafePointer<Scalar>, row: Int, arena: TextArena) {
    guard let bytes = try? EntityKey.make(scalars, entity, arena: arena) else { return }
    let key = Text(bytes)
    let slot = slots[key] ?? rows.count
    if slot == rows.count {
      slots[key] = slot
      rows.append([])
    }
    rows[slot].append(row)
  }
}
