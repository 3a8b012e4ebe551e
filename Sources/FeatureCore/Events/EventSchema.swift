/// What the decoder needs to know of a source. Column i of a row is `columns[i]`.
public struct EventSchema: Sendable {
  /// One value of every row.
  public struct Column: Sendable, Hashable {
    /// The JSON field.
    public var name: String
    /// The type of the column.
    public var type: ValueType
    /// How a timestamp is written; nil for every other type.
    public var unit: TimeUnit?
  }

  /// The declared fields in declared order; the event-time field comes last if it isn't among them.
  public let columns: [Column]
  /// The column of the event time.
  public let timeColumn: Int
  /// The column that the topic is partitioned by; nil if it is by nothing.
  public let keyColumn: Int?

  /// The schema of a valid source: names are unique, the key is a column, a declared time field is a
  /// timestamp.
  public init(_ source: Source) {
    let time = source.timestamp
    var columns = source.fields.map { field in
      Column(
        name: field.name, type: field.type, unit: field.type == .timestamp ? field.unit ?? time.unit : nil)
    }
    if let declared = columns.firstIndex(where: { $0.name == time.field }) {
      precondition(
        columns[declared].type == .timestamp, "Cannot read event time from a \(columns[declared].type)")
      timeColumn = declared
    } else {
      timeColumn = columns.count
      columns.append(Column(name: time.field, type: .timestamp, unit: time.unit))
    }
    keyColumn = source.key.map { key in
      guard let index = columns.firstIndex(where: { $0.name == key }) else {
        preconditionFailure("Cannot partition by '\(key)', which source '\(source.name)' doesn't declare")
      }
      return index
    }
    self.columns = columns
  }

  /// The columns as expressions see them.
  public var expressionColumns: [ExpressionColumn] { columns.map { ExpressionColumn($0.name, $0.type) } }
}
