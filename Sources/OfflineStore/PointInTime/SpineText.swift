import EventFiles
import FeatureCore

// Spines without types: CSV and NDJSON.

extension SpineTable {
  // MARK: CSV

  /// Adds the current row of a CSV table, whose columns are the spine's.
  func append(_ reader: borrowing CSVReader) throws(TableError) {
    beginRow()
    for index in columns.indices {
      let column = declared[index] < 0 ? nil : schema.columns[declared[index]]
      append(reader, index, column?.type)
      guard let column, let text = reader.text(index) else { continue }
      row[declared[index]] = try scalar(text, column, line: reader.line)
    }
    guard row[schema.timeColumn].isValue else {
      throw TableError(
        path: path, line: reader.line, problem: "column '\(schema.columns[schema.timeColumn].name)' is empty",
        remedy: "give every row a time")
    }
    try endRow()
  }

  /// CSV has no types: a column that the definitions declare has its declared one, and elsewhere what looks like a JSON
  /// number or bool, without quotes, is one.
  private func append(_ reader: borrowing CSVReader, _ index: Int, _ declared: ValueType?) {
    if reader.isNull(index) { return append(.null) }
    let isText = reader.isQuoted(index) || declared == .string
    reader.withBytes(index) { bytes in
      let isLiteral =
        !isText
        && (bytes.elementsEqual("true".utf8) || bytes.elementsEqual("false".utf8)
          || NumberText.double(bytes) != nil)
      if isLiteral { append(literal: bytes) } else { append(text: bytes) }
    }
  }

  func inexact(_ text: String, _ column: EventSchema.Column, line: Int64? = nil, row: String = "")
    -> TableError
  {
    TableError(
      path: path, line: line,
      problem:
        "column '\(column.name)'\(row): \(text) was a double, and of that size several integers are one double",
      remedy: "write the column as integers, in pandas as Int64, or as text")
  }

  /// An integer, also as programs write it that hold integers as doubles: `56706.0`.
  private func integer(
    _ text: UnsafeRawBufferPointer, _ column: EventSchema.Column, line: Int64
  ) throws(TableError) -> Int64? {
    if let number = NumberText.int64(text) { return number }
    guard let double = NumberText.double(text) else { return nil }
    guard double.magnitude < Double.integersEnd else {
      throw inexact(Self.clipped(String(decoding: text, as: UTF8.self)), column, line: line)
    }
    return NumberText.wholeNumber(text)
  }

  /// A field as the definitions declare its column. Its text lives in the arena.
  func scalar(_ text: Text, _ column: EventSchema.Column, line: Int64) throws(TableError) -> Scalar {
    let bytes = arena.allocate(text.utf8.count)
    bytes.copyBytes(from: text.utf8)
    let value = CSVText.trimmed(UnsafeRawBufferPointer(bytes))
    let scalar: Scalar? =
      switch column.type {
      case .string: .text(UnsafeRawBufferPointer(bytes))
      case .int64: try integer(value, column, line: line).map(Scalar.int64)
      case .double: NumberText.double(value).map(Scalar.double)
      case .bool: CSVText.bool(value).map(Scalar.bool)
      case .timestamp:
        column.unit.flatMap { EventTime.parse(value, unit: $0, clock: column.clock) }.map {
          .int64($0.microseconds)
        }
      }
    if let scalar { return scalar }
    throw TableError(
      path: path, line: line,
      problem:
        "column '\(column.name)': '\(Self.clipped(text.description))' is no \(Self.form(column, value))",
      remedy: column.unit.map { "write \($0.textForms)" } ?? "write it as the definitions declare it")
  }

  /// What a value had to be, for a message.
  static func form(_ column: EventSchema.Column, _ text: UnsafeRawBufferPointer) -> String {
    guard column.type == .timestamp, let unit = column.unit else { return column.type.rawValue }
    let finer = UnitGuess.finer(text, than: unit)
    return finer.map { "time in \(unit.rawValue), and would be one of this century in \($0.rawValue)" }
      ?? "time"
  }

  /// The beginning of a text, for a message.
  static func clipped(_ text: String) -> String { text.count > 80 ? "\(text.prefix(80))…" : text }

  // MARK: NDJSON

  /// Adds a JSON object. Columns that it lacks are null; it may have none that the first row has not.
  func append(json line: UnsafeRawBufferPointer, number: Int64, _ decoder: inout EventDecoder)
    throws(TableError)
  {
    beginRow()
    do {
      // First, since it proves that the line is JSON.
      try decoder.decode(line, into: row, arena: arena)
    } catch {
      throw TableError(
        path: path, line: number, problem: error.message(schema),
        remedy: "write the time in the source's unit and the entity columns in their declared types")
    }
    var found = [JSONObjectFields.Value?](repeating: nil, count: columns.count)
    for (name, value) in JSONObjectFields(line) {
      guard let index = columns.firstIndex(of: name) else {
        throw TableError(
          path: path, line: number, problem: "column '\(name)' is not in the first row",
          remedy: "give every row the same columns; use null where there is no value")
      }
      if found[index] != nil { throw Self.twice(name, path, line: number) }
      found[index] = value
    }
    for value in found {
      switch value {
      case .text(let text): text.utf8.withUnsafeBytes { append(text: $0) }
      case .literal(let text): text.utf8.withUnsafeBytes { append(literal: $0) }
      case .null, nil: append(.null)
      }
    }
    try endRow()
  }

  static func twice(_ name: String, _ path: String, line: Int64) -> TableError {
    TableError(
      path: path, line: line, problem: "column '\(name)' stands twice", remedy: "remove or rename one of them"
    )
  }

  /// The columns of the first row of a file of JSON objects.
  static func columns(ofFirst line: UnsafeRawBufferPointer, path: String) throws(TableError) -> [String] {
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
}
