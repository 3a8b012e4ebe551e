public import FeatureCore

/// Writes rows as RFC 4180 CSV with a header and newlines. Null is an empty field, the empty text is `""`, a list
/// is its JSON array in quotes, a time is RFC 3339 in UTC.
public struct CSVWriter: ~Copyable {
  private let columnsCount: Int
  private var file: OutputFile
  private var listText: [UInt8] = []

  /// Begins a table. The file takes its name at `finish`; without it nothing is left behind. `-` is the standard
  /// output.
  public init(path: String, columns: [String]) throws(TableError) {
    columnsCount = columns.count
    file = try OutputFile(path: path)
    for (index, column) in columns.enumerated() {
      if index > 0 { file.buffer.append(UInt8(ascii: ",")) }
      Self.appendText([UInt8](column.utf8), to: &file.buffer)
    }
    file.buffer.append(0x0A)
  }

  /// Writes a row of one value a column.
  public mutating func write(_ row: [FeatureValue]) throws(TableError) {
    precondition(row.count == columnsCount, "Cannot write \(row.count) values into \(columnsCount) columns")
    for (index, value) in row.enumerated() {
      if index > 0 { file.buffer.append(UInt8(ascii: ",")) }
      append(value)
    }
    file.buffer.append(0x0A)
    try file.rowEnded()
  }

  /// Completes the file.
  public consuming func finish() throws(TableError) { try file.finish() }

  private mutating func append(_ value: FeatureValue) {
    switch value {
    case .string(let text): Self.appendText(text.utf8, to: &file.buffer)
    case .list:
      listText.removeAll(keepingCapacity: true)
      ValueText.appendPlain(value, to: &listText)
      Self.appendText(listText, to: &file.buffer)
    case .null, .int64, .double, .bool, .timestamp: ValueText.appendPlain(value, to: &file.buffer)
    }
  }

  private static func appendText(_ text: [UInt8], to buffer: inout [UInt8]) {
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

/// Writes rows as one JSON object a line, the columns in order. Null is null, a time is RFC 3339 in UTC.
public struct NDJSONWriter: ~Copyable {
  /// What stands before each value: `{"a":`, then `,"b":`.
  private let labels: [[UInt8]]
  private var file: OutputFile

  /// Begins a table. The file takes its name at `finish`; without it nothing is left behind. `-` is the standard
  /// output.
  public init(path: String, columns: [String]) throws(TableError) {
    labels = columns.enumerated().map { index, column in
      var label = [UInt8(ascii: index == 0 ? "{" : ",")]
      ValueText.appendJSONString([UInt8](column.utf8), to: &label)
      label.append(UInt8(ascii: ":"))
      return label
    }
    file = try OutputFile(path: path)
  }

  /// Writes a row of one value a column.
  public mutating func write(_ row: [FeatureValue]) throws(TableError) {
    precondition(row.count == labels.count, "Cannot write \(row.count) values into \(labels.count) columns")
    if labels.isEmpty { file.buffer.append(UInt8(ascii: "{")) }
    for (label, value) in zip(labels, row) {
      file.buffer.append(contentsOf: label)
      ValueText.appendJSON(value, to: &file.buffer)
    }
    file.buffer.append(UInt8(ascii: "}"))
    file.buffer.append(0x0A)
    try file.rowEnded()
  }

  /// Completes the file.
  public consuming func finish() throws(TableError) { try file.finish() }
}
