public import FeatureCore

/// A database table as a source sees it: which of its columns are captured, as what, and which is the key.
public struct CapturedTable: Sendable {
  /// A column of the table and the source's field of the same name.
  public struct Column: Sendable, Hashable {
    /// The name, in both.
    public var name: String
    /// The field's type.
    public var type: ValueType
    /// How a timestamp is written.
    public var unit: TimeUnit

    /// A column from its parts.
    public init(name: String, type: ValueType, unit: TimeUnit = .microseconds) {
      self.name = name
      self.type = type
      self.unit = unit
    }
  }

  /// The source's name.
  public let source: String
  /// The topic of its rows.
  public let topic: String
  /// What is captured, in the order of the declaration.
  public let columns: [Column]
  /// The index of the key's column.
  public let key: Int
  /// The field that takes the time of a change, in microseconds.
  public let timeField: String

  /// What a table source captures: every declared field but the time. Throws what keeps the source from being captured.
  public init(_ source: Source) throws(CaptureError) {
    guard source.timestamp.unit == .microseconds else {
      throw CaptureError(
        .stop,
        "source '\(source.name)': a captured row's time is written in microseconds; write \"timestamp: { field: "
          + "\(source.timestamp.field), unit: us }\"")
    }
    let declared = source.fields.filter { $0.name != source.timestamp.field && $0.compute == nil }
    if let field = declared.first(where: { $0.path != nil || $0.record != nil }) {
      throw CaptureError(
        .stop,
        "source '\(source.name)', field '\(field.name)': a captured row has its columns' names; remove 'path' and 'record', and name the "
          + "field like the column")
    }
    columns =
      declared
      .map { Column(name: $0.name, type: $0.type, unit: $0.unit ?? source.timestamp.unit) }
    guard let key = columns.firstIndex(where: { $0.name == source.key }) else {
      throw CaptureError(.stop, "source '\(source.name)': a captured table needs 'key', one of its fields")
    }
    self.key = key
    self.source = source.name
    topic = source.topic
    timeField = source.timestamp.field
  }
}
