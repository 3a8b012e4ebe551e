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

  private let path: String
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
    var payload: [UInt8] = [UInt8(ascii: "{")]
    for (index, column) in columns.enumerated() {
      let declared = schema.columns.first { $0.name == column }
      fields.append(Self.field(reader, index, declared?.type))
      guard let declared, let text = reader.text(index) else { continue }
      if payload.count > 1 { payload.append(UInt8(ascii: ",")) }
      ValueText.appendJSONString([UInt8](column.utf8), to: &payload)
      payload.append(UInt8(ascii: ":"))
      if declared.type == .string || declared.unit == .rfc3339 {
        ValueText.appendJSONString(text.utf8, to: &payload)
      } else {
        payload.append(contentsOf: text.utf8)
      }
    }
    payload.append(UInt8(ascii: "}"))
    arena.reset()
    let bytes = arena.allocate(payload.count)
    bytes.copyBytes(from: payload)
    try appendKeys(UnsafeRawBufferPointer(bytes), line: reader.line)
  }

  /// Adds a JSON object. Columns that it lacks are null; it may have none that the first row has not.
  public mutating func append(json line: UnsafeRawBufferPointer, number: Int64) throws(TableError) {
    // First, since it proves that the line is JSON.
    arena.reset()
    try appendKeys(line, line: number)
    var found = [Field](repeating: .null, count: columns.count)
    for (name, value) in JSONObjectFields(line) {
      guard let index = columns.firstIndex(of: name) else {
        throw TableError(
          path: path, line: number, problem: "column '\(name)' is not in the first row",
          remedy: "give every row the same columns; use null where there is no value")
      }
      found[index] = value
    }
    fields += found
  }

  /// The columns of the first row of a file of JSON objects.
  public static func columns(ofFirst line: UnsafeRawBufferPointer, path: String) throws(TableError)
    -> [String]
  {
    let schema = EventSchema(
      Source("spine", topic: "spine", timestamp: Source.Timestamp(field: "", unit: .milliseconds), fields: [])
    )
    var decoder = EventDecoder(schema)
    var row = Scalar.null
    do {
      try decoder.decode(line, into: &row, arena: TextArena())
    } catch {
      // Only the grammar matters here; the time is checked when the row is added.
      guard error.reason == .missingTime else {
        throw TableError(
          path: path, line: 1, problem: error.message(schema), remedy: "write one JSON object a line")
      }
    }
    return JSONObjectFields(line).map(\.name)
  }

  /// The rows of each view's entities, once every row has been added.
  consuming func keys() -> [SpineKeys] { views }

  /// A field as it is kept. CSV has no types: a column that the definitions declare has its declared one, and
  /// elsewhere what looks like a JSON number or bool, without quotes, is one.
  private static func field(_ reader: borrowing CSVReader, _ index: Int, _ declared: ValueType?) -> Field {
    guard let text = reader.text(index) else { return .null }
    if reader.isQuoted(index) || declared == .string { return .text(text) }
    let isLiteral =
      text == "true" || text == "false" || text.utf8.withUnsafeBytes { NumberText.double($0) != nil }
    return isLiteral ? .literal(text) : .text(text)
  }

  private mutating func appendKeys(_ payload: UnsafeRawBufferPointer, line: Int64) throws(TableError) {
    do {
      try decoder.decode(payload, into: row, arena: arena)
    } catch {
      throw TableError(
        path: path, line: line, problem: error.message(schema),
        remedy: "write the time in the source's unit and the entity columns in their declared types")
    }
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
