public import FeatureCore

/// The forms of a table that is written as text.
public enum TableFormat: String, Sendable, CaseIterable {
  /// One JSON object a line. Null is null, a time is RFC 3339 in UTC.
  case ndjson
  /// RFC 4180 with a header and newlines. Null is an empty field, the empty text is `""`, a list is its JSON array
  /// in quotes, a time is RFC 3339 in UTC.
  case csv
}

/// Writes rows of named columns to a file that appears whole or not at all.
public struct TableWriter: ~Copyable {
  private let format: TableFormat
  /// What stands before each value. NDJSON: `{"a":`, then `,"b":`; CSV: nothing, then commas.
  private let labels: [[UInt8]]
  private var file: OutputFile
  private var column = 0
  private var scratch: [UInt8] = []

  /// Begins a table. The file takes its name at `finish`; without it nothing is left behind. `-` is the standard
  /// output.
  public init(path: String, format: TableFormat, columns: [String]) throws(TableError) {
    self.format = format
    labels = columns.enumerated().map { Self.label(format, $1, isFirst: $0 == 0) }
    file = try OutputFile(path: path)
    guard format == .csv else { return }
    for (index, column) in columns.enumerated() {
      if index > 0 { file.buffer.append(UInt8(ascii: ",")) }
      Self.appendField([UInt8](column.utf8), to: &file.buffer)
    }
    file.buffer.append(0x0A)
  }

  /// Writes a row of one value a column.
  public mutating func write(_ row: [FeatureValue]) throws(TableError) {
    for value in row { append(value) }
    try endRow()
  }

  /// Appends the row's next value.
  public mutating func append(_ value: FeatureValue) {
    beginValue()
    switch (format, value) {
    case (.ndjson, _): ValueText.appendJSON(value, to: &file.buffer)
    case (.csv, .string(let text)): Self.appendField(text.utf8, to: &file.buffer)
    case (.csv, .list):
      scratch.removeAll(keepingCapacity: true)
      ValueText.appendPlain(value, to: &scratch)
      Self.appendField(scratch, to: &file.buffer)
    case (.csv, _): ValueText.appendPlain(value, to: &file.buffer)
    }
  }

  /// Appends the row's next value as JSON text that has been read somewhere: a number, a bool, an array, an object.
  public mutating func append(json literal: Text) {
    beginValue()
    switch format {
    case .ndjson: file.buffer.append(contentsOf: literal.utf8)
    case .csv: Self.appendField(literal.utf8, to: &file.buffer)
    }
  }

  /// Ends a row, which must have a value for every column.
  public mutating func endRow() throws(TableError) {
    precondition(column == labels.count, "Cannot end a row after \(column) of \(labels.count) columns")
    column = 0
    if format == .ndjson {
      if labels.isEmpty { file.buffer.append(UInt8(ascii: "{")) }
      file.buffer.append(UInt8(ascii: "}"))
    }
    file.buffer.append(0x0A)
    try file.rowEnded()
  }

  /// Completes the file.
  public consuming func finish() throws(TableError) { try file.finish() }

  private mutating func beginValue() {
    precondition(column < labels.count, "Cannot append a value behind the last of \(labels.count) columns")
    file.buffer.append(contentsOf: labels[column])
    column += 1
  }

  private static func label(_ format: TableFormat, _ column: String, isFirst: Bool) -> [UInt8] {
    guard format == .ndjson else { return isFirst ? [] : [UInt8(ascii: ",")] }
    var label = [UInt8(ascii: isFirst ? "{" : ",")]
    ValueText.appendJSONString([UInt8](column.utf8), to: &label)
    label.append(UInt8(ascii: ":"))
    return label
  }

  private static func appendField(_ text: [UInt8], to buffer: inout [UInt8]) {
    guard text.isEmpty || text.contains(where: needsQuotes) else {
      buffer.append(contentsOf: text)
      return
    }
    let quote = UInt8(ascii: "\"")
    buffer.append(quote)
    for byte in text {
      if byte == quote { buffer.append(quote) }
      buffer.append(byte)
    }
    buffer.append(quote)
  }

  @inline(__always)
  private static func needsQuotes(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\"") || byte == 0x0A || byte == 0x0D
  }
}
