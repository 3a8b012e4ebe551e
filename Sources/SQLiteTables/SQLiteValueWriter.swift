import Capture
import FeatureCore

/// Writes values as SQLite stores them, each with a type of its own, as a field's.
struct SQLiteValueWriter {
  let table: CapturedTable
  let tableName: String
  private let clock = WallClock(.utc)

  init(table: CapturedTable, tableName: String) {
    self.table = table
    self.tableName = tableName
  }

  /// Adds a column's value to a row, which has a number in its scan. Throws what can't be a value of the field's type.
  func write(
    _ value: SQLiteStatement.Value, _ index: Int, row number: Int, into row: inout RowText
  ) throws(CaptureError) {
    let column = table.columns[index]
    switch (value, column.type) {
    case (.null, _): row.null(index)
    case (.text(let bytes), .string) where Self.isUTF8(bytes): row.string(index, bytes)
    case (.integer(let value), .string):
      let digits = Array(String(value).utf8)
      digits.withUnsafeBytes { row.string(index, $0) }
    case (.integer(let value), .int64): row.integer(index, value)
    case (.real(let value), .int64):
      guard let whole = Int64(exactly: value) else { throw misfit("\(value)", column, number) }
      row.integer(index, whole)
    case (.integer(let value), .double): row.double(index, Double(value))
    case (.real(let value), .double) where value.isFinite: row.double(index, value)
    case (.integer(let value), .bool) where value == 0 || value == 1: row.bool(index, value == 1)
    case (.integer(let value), .timestamp) where !column.unit.isText:
      guard let time = EventTime(value, column.unit) else { throw misfit("\(value)", column, number) }
      row.time(index, time)
    case (.text(let bytes), .timestamp):
      guard let time = EventTime.parse(bytes, unit: .text, clock: clock) else {
        throw misfit(Self.shown(bytes), column, number)
      }
      row.time(index, time)
    case (.integer(let value), _): throw misfit("\(value)", column, number)
    case (.real(let value), _): throw misfit("\(value)", column, number)
    case (.text(let bytes), _): throw misfit(Self.shown(bytes), column, number)
    case (.blob, _): throw misfit("a BLOB", column, number)
    }
  }

  private static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if bytes.allSatisfy({ $0 < 0x80 }) { return true }
    return String(validating: bytes, as: UTF8.self) != nil
  }

  private static func shown(_ bytes: UnsafeRawBufferPointer) -> String {
    "'\(String(decoding: bytes.prefix(40), as: UTF8.self))'"
  }

  private func misfit(_ shown: String, _ column: CapturedTable.Column, _ row: Int) -> CaptureError {
    let name = SQLiteConnection.quoted(column.name)
    let cast =
      switch column.type {
      case .string: "CAST(\(name) AS TEXT)"
      case .int64: "CAST(\(name) AS INTEGER)"
      case .double: "CAST(\(name) AS REAL)"
      case .bool: "\(name) <> 0"
      case .timestamp: "datetime(\(name), 'unixepoch')"
      }
    return CaptureError(
      .stop,
      "source '\(table.source)', column '\(column.name)': row \(row) of \(tableName) has \(shown), which is no \(expected(column)); "
        + "declare another type, or capture a view of the table with \(cast) AS \(name), or what else makes such a value"
    )
  }

  private func expected(_ column: CapturedTable.Column) -> String {
    switch column.type {
    case .string: "text in UTF-8"
    case .int64: "whole number of 64 bits"
    case .double: "finite number"
    case .bool: "0 or 1"
    case .timestamp:
      column.unit.isText
        ? "time as text (2026-01-02 03:04:05)"
        : "time as text (2026-01-02 03:04:05), nor a whole number in the field's unit (\(column.unit.rawValue))"
    }
  }
}
