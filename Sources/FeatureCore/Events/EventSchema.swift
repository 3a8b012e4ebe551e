/// What the decoder needs to know of a source. Column i of a row is `columns[i]`.
public struct EventSchema: Sendable {
  /// Where a column's value comes from.
  public enum Origin: Sendable, Hashable {
    /// A place in the JSON record.
    case json(FieldPath)
    /// The record's own timestamp, in the log.
    case recordTimestamp
    /// The record's key, as text.
    case recordKey
    /// The record's last header of a name, as text.
    case header(String)
    /// The `source` block of a change as Debezium writes it, where the time is named like the column.
    case commit
    /// Other columns of the row.
    case computed
  }

  /// One value of every row.
  public struct Column: Sendable, Hashable {
    /// The name in expressions.
    public var name: String
    /// Where its values come from.
    public var origin: Origin
    /// The type of the column.
    public var type: ValueType
    /// How a timestamp is written; nil for every other type.
    public var unit: TimeUnit?
    /// Whose wall times texts without a zone are; nil: they are errors.
    public var clock: WallClock?
    /// Whether a value that is no string may be written as one.
    public var isText = false

    /// A column from its parts.
    public init(
      name: String, type: ValueType, unit: TimeUnit? = nil, clock: WallClock? = nil, isText: Bool = false,
      origin: Origin? = nil
    ) {
      self.name = name
      self.origin = origin ?? .json(FieldPath(member: name))
      self.type = type
      self.unit = unit
      self.clock = clock
      self.isText = isText
    }
  }

  /// The declared fields in declared order; then the event-time field if it isn't among them, and the computed ones.
  public let columns: [Column]
  /// The column of the event time.
  public let timeColumn: Int
  /// The column that the topic is partitioned by; nil if it is by nothing.
  public let keyColumn: Int?
  /// The array of which each element is an event; nil: a record is one event.
  public let each: FieldPath?
  /// How columns are computed, in order.
  let computations: [Computation]
  /// Whether a record is a row, and one without a value deletes the row of its key.
  public let isTable: Bool
  /// How its records are written.
  let format: Source.Format
  /// The names of the headers that columns are read from, each once, in byte order.
  public let headerNames: [Text]
  /// The member of a row that names the columns whose values are those of the row before.
  static let keptField = "_kept"

  /// The schema of rows that no source has, such as those of a table.
  public init(columns: [Column], timeColumn: Int) {
    precondition(
      columns[timeColumn].type == .timestamp, "Cannot read a time from a \(columns[timeColumn].type)")
    self.columns = columns
    self.timeColumn = timeColumn
    keyColumn = nil
    each = nil
    computations = []
    isTable = false
    format = .json
    headerNames = []
  }

  /// The columns of a source that are read, and which of them is the event time.
  static func readColumns(
    _ source: Source, _ zones: [String: TimeZoneRules]
  ) -> (columns: [Column], time: Int) {
    let time = source.timestamp
    func clock(_ zone: String?) -> WallClock? {
      zone.map { name in
        guard let rules = zones[name] else { preconditionFailure("Cannot read times of an unknown zone") }
        return WallClock(rules)
      }
    }
    let timeClock = time.unit == .text ? clock(time.zone) : nil
    var columns = source.fields.filter { $0.compute == nil }.map { field in
      let origin = Origin(field)
      guard field.type == .timestamp else {
        return Column(name: field.name, type: field.type, isText: field.isText, origin: origin)
      }
      // Like the event time, unless it says otherwise.
      let unit = field.unit ?? time.unit
      return Column(
        name: field.name, type: .timestamp, unit: unit,
        clock: unit == .text ? clock(field.zone) ?? timeClock : nil,
        isText: field.isText || (time.isText && (field.unit == nil || field.name == time.field)),
        origin: origin)
    }
    if let declared = columns.firstIndex(where: { $0.name == time.field }) {
      precondition(
        columns[declared].type == .timestamp, "Cannot read event time from a \(columns[declared].type)")
      return (columns, declared)
    }
    columns.append(
      Column(
        name: time.field, type: .timestamp, unit: time.unit, clock: timeClock, isText: time.isText,
        origin: time.isRecord ? .recordTimestamp : source.format == .debezium ? .commit : nil))
    return (columns, columns.count - 1)
  }

  /// The schema of a valid source: names are unique, the key is a column, a declared time field is a
  /// timestamp. `zones` has the zones that it names.
  public init(_ source: Source, zones: [String: TimeZoneRules] = ["UTC": .utc]) {
    let read = Self.readColumns(source, zones)
    timeColumn = read.time
    var computed = ComputedCompiler(read.columns, zones: zones)
    computed.compile(source)
    precondition(computed.mistakes.isEmpty, "Cannot compute the columns of '\(source.name)'")
    let columns = computed.columns
    each = source.each.map { text in
      guard let path = FieldPath(text) else { preconditionFailure("Cannot read the path '\(text)'") }
      return path
    }
    keyColumn = source.key.map { key in
      guard let index = columns.firstIndex(where: { $0.name == key }) else {
        preconditionFailure("Cannot partition by '\(key)', which source '\(source.name)' doesn't declare")
      }
      return index
    }
    self.columns = columns
    computations = computed.computations
    isTable = source.isTable
    format = source.format
    headerNames = Set(source.fields.compactMap(\.header).map(Text.init(_:))).sorted()
  }

  /// Whether the column is of an element of `each`, and not of the whole record.
  func isOfElement(_ column: Int) -> Bool {
    guard let each, case .json(let path) = columns[column].origin else { return false }
    return path.steps(after: each) != nil
  }

  /// Whether columns are read from what a record of a log has besides its value, which lines of files have not.
  public var needsRecord: Bool {
    columns.contains { $0.origin == .recordTimestamp || $0.origin == .recordKey } || !headerNames.isEmpty
  }

  /// Whether a record that is forwarded takes more with it than its value: what columns are read from, which row is deleted, or
  /// what its elements' times are judged by.
  public var forwardsRecord: Bool { needsRecord || isTable || hasElementTimes }

  /// Whether a record is one row, which says nothing of others.
  var isPlain: Bool { each == nil && !isTable && format == .json }

  /// Whether a record has nothing that a table's row of single values has not.
  public var hasCells: Bool {
    isPlain
      && columns.allSatisfy {
        if case .json(let path) = $0.origin { path.steps.count == 1 } else { true }
      }
  }

  /// Whether the elements of a record have times of their own, of which each is judged by the record's.
  public var hasElementTimes: Bool { isOfElement(timeColumn) }

  /// The columns as expressions see them.
  public var expressionColumns: [ExpressionColumn] { columns.map { ExpressionColumn($0.name, $0.type) } }
}

extension EventSchema.Origin {
  /// Where a declared field of a valid source comes from.
  init(_ field: Source.Field) {
    switch field.record {
    case .timestamp:
      self = .recordTimestamp
      return
    case .key:
      self = .recordKey
      return
    case nil: break
    }
    if let header = field.header {
      self = .header(header)
      return
    }
    guard let text = field.path else {
      self = .json(FieldPath(member: field.name))
      return
    }
    guard let path = FieldPath(text) else { preconditionFailure("Cannot read the path '\(text)'") }
    self = .json(path)
  }
}
