public import FeatureCore

/// Writes the record of a row: a JSON object of the captured columns, the names of those that kept a value which the
/// database didn't send (`_kept`), and at its end the time of the change.
///
/// One row has one spelling, so that rows are compared by their bytes.
public struct RowText: ~Copyable {
  /// Names the columns whose value is that of the row before.
  static let keptField = "_kept"

  private var record = RowBytes()
  private var key = RowBytes()
  private let labels: [[UInt8]]
  private let names: [[UInt8]]
  private let units: [TimeUnit]
  private let keyColumn: Int
  private let timeLabel: [UInt8]
  private var kept: [Int] = []

  /// An empty row of a table.
  public init(_ table: CapturedTable) {
    units = table.columns.map(\.unit)
    names = table.columns.map { Self.quoted($0.name) }
    labels = names.enumerated().map { ($0 == 0 ? [] : [UInt8(ascii: ",")]) + $1 + [UInt8(ascii: ":")] }
    keyColumn = table.key
    timeLabel = Self.timeLabel(table)
  }

  /// What stands between a row's content and its time.
  static func timeLabel(_ table: CapturedTable) -> [UInt8] {
    [UInt8(ascii: ",")] + quoted(table.timeField) + [UInt8(ascii: ":")]
  }

  // MARK: Reading

  /// Calls with what has been written of the record.
  public borrowing func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result { try record.withBytes(body) }

  /// Calls with the key as the record's key has it; it is empty until its column is written.
  public borrowing func withKey<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result { try key.withBytes(body) }

  var hasKey: Bool { key.count > 0 }

  // MARK: Writing

  /// Forgets the row before.
  public mutating func begin() {
    record.removeAll()
    key.removeAll()
    if !kept.isEmpty { kept.removeAll(keepingCapacity: true) }
    record.append(UInt8(ascii: "{"))
  }

  /// A column's null. Columns are written in their order.
  public mutating func null(_ column: Int) {
    record.append(labels[column])
    record.append("null")
  }

  mutating func kept(_ column: Int) {
    null(column)
    kept.append(column)
  }

  /// A text in UTF-8.
  public mutating func string(_ column: Int, _ text: UnsafeRawBufferPointer) {
    record.append(labels[column])
    record.append(quoted: text)
    if column == keyColumn { key.append(text) }
  }

  /// A number or a bool as JSON writes it.
  mutating func plain(_ column: Int, _ text: UnsafeRawBufferPointer) {
    record.append(labels[column])
    record.append(text)
    if column == keyColumn { key.append(text) }
  }

  private mutating func plain(_ column: Int, _ text: consuming String) {
    var text = text
    text.withUTF8 { plain(column, UnsafeRawBufferPointer($0)) }
  }

  /// A whole number.
  public mutating func integer(_ column: Int, _ value: Int64) {
    record.append(labels[column])
    record.append(integer: value)
    if column == keyColumn { key.append(integer: value) }
  }

  /// A finite number: the shortest digits that read back as the same.
  public mutating func double(_ column: Int, _ value: Double) {
    precondition(value.isFinite, "Cannot write \(value) as a number")
    plain(column, value.description)
  }

  /// True or false.
  public mutating func bool(_ column: Int, _ value: Bool) { plain(column, value ? "true" : "false") }

  /// A time in the column's unit, rounded down to it.
  public mutating func time(_ column: Int, _ time: EventTime) {
    let microseconds = time.microseconds
    switch units[column] {
    case .seconds: integer(column, Self.floorDivided(microseconds, 1_000_000))
    case .milliseconds: integer(column, Self.floorDivided(microseconds, 1_000))
    case .microseconds: integer(column, microseconds)
    case .nanoseconds:
      // Beyond what 64 bits of nanoseconds hold no event time lies either.
      plain(column, "\(microseconds)000")
    case .rfc3339, .text:
      var text = RFC3339.format(time)
      text.withUTF8 { string(column, UnsafeRawBufferPointer($0)) }
    }
  }

  private static func floorDivided(_ value: Int64, _ divisor: Int64) -> Int64 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// Ends the row without its time: what rows are compared by.
  public mutating func endContent() {
    guard !kept.isEmpty else { return }
    record.append(",\"_kept\":[")
    for (index, column) in kept.enumerated() {
      if index > 0 { record.append(UInt8(ascii: ",")) }
      record.append(names[column])
    }
    record.append(UInt8(ascii: "]"))
  }

  /// Adds the time, in microseconds.
  mutating func end(at time: Int64) {
    record.append(timeLabel)
    record.append(integer: time)
    record.append(UInt8(ascii: "}"))
  }

  private static func quoted(_ text: String) -> [UInt8] {
    var bytes = RowBytes()
    var text = text
    text.withUTF8 { bytes.append(quoted: UnsafeRawBufferPointer($0)) }
    return bytes.withBytes { Array($0) }
  }
}
