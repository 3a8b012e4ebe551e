public import FeatureCore

/// Writes the record of a row: a JSON object of the captured columns, the names of those that kept a value which the
/// database didn't send (`_kept`), and at its end the time of the change.
///
/// One row has one spelling, so that rows are compared by their bytes.
public struct RowText {
  /// Names the columns whose value is that of the row before.
  static let keptField = "_kept"

  /// What has been written of the record.
  public private(set) var bytes: [UInt8] = []
  /// The key as the record's key has it; empty until its column is written.
  public private(set) var key: [UInt8] = []
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
    timeLabel = [UInt8(ascii: ",")] + Self.quoted(table.timeField) + [UInt8(ascii: ":")]
  }

  /// Forgets the row before.
  public mutating func begin() {
    bytes.removeAll(keepingCapacity: true)
    key.removeAll(keepingCapacity: true)
    kept.removeAll(keepingCapacity: true)
    bytes.append(UInt8(ascii: "{"))
  }

  /// A column's null. Columns are written in their order.
  public mutating func null(_ column: Int) {
    bytes += labels[column]
    bytes += "null".utf8
  }

  mutating func kept(_ column: Int) {
    null(column)
    kept.append(column)
  }

  /// A text in UTF-8.
  public mutating func string(_ column: Int, _ text: UnsafeRawBufferPointer) {
    bytes += labels[column]
    Self.appendQuoted(text, to: &bytes)
    if column == keyColumn { key.append(contentsOf: text) }
  }

  /// A number or a bool as JSON writes it.
  mutating func plain(_ column: Int, _ text: some Sequence<UInt8>) {
    bytes += labels[column]
    let start = bytes.count
    bytes.append(contentsOf: text)
    if column == keyColumn { key.append(contentsOf: bytes[start...]) }
  }

  /// A whole number.
  public mutating func integer(_ column: Int, _ value: Int64) {
    bytes += labels[column]
    let start = bytes.count
    ValueText.appendInteger(value, to: &bytes)
    if column == keyColumn { key.append(contentsOf: bytes[start...]) }
  }

  /// A finite number: the shortest digits that read back as the same.
  public mutating func double(_ column: Int, _ value: Double) {
    precondition(value.isFinite, "Cannot write \(value) as a number")
    plain(column, value.description.utf8)
  }

  /// True or false.
  public mutating func bool(_ column: Int, _ value: Bool) {
    plain(column, value ? "true".utf8 : "false".utf8)
  }

  /// A time in the column's unit, rounded down to it.
  public mutating func time(_ column: Int, _ time: EventTime) {
    let microseconds = time.microseconds
    switch units[column] {
    case .seconds: integer(column, Self.floorDivided(microseconds, 1_000_000))
    case .milliseconds: integer(column, Self.floorDivided(microseconds, 1_000))
    case .microseconds: integer(column, microseconds)
    case .nanoseconds:
      // Beyond what 64 bits of nanoseconds hold no event time lies either.
      plain(column, (String(microseconds) + "000").utf8)
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
    bytes += ",\"\(Self.keptField)\":[".utf8
    for (index, column) in kept.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += names[column]
    }
    bytes.append(UInt8(ascii: "]"))
  }

  /// Adds the time, in microseconds.
  mutating func end(at time: Int64) {
    bytes += timeLabel
    bytes += String(time).utf8
    bytes.append(UInt8(ascii: "}"))
  }

  private static func quoted(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var text = text
    text.withUTF8 { appendQuoted(UnsafeRawBufferPointer($0), to: &bytes) }
    return bytes
  }

  private static let digits = Array("0123456789abcdef".utf8)

  static func appendQuoted(_ text: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    var start = 0
    for (index, byte) in text.enumerated() {
      guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
      bytes.append(contentsOf: text[start..<index])
      start = index + 1
      bytes.append(UInt8(ascii: "\\"))
      if byte >= 0x20 {
        bytes.append(byte)
      } else {
        bytes += "u00".utf8
        bytes.append(digits[Int(byte >> 4)])
        bytes.append(digits[Int(byte & 15)])
      }
    }
    bytes.append(contentsOf: text[start...])
    bytes.append(UInt8(ascii: "\""))
  }
}
