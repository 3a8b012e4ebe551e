import EventFiles
import FeatureCore
import Parquet

/// The rows of a Parquet file, as events. Only the declared columns are read.
final class ParquetEvents {
  private var reader: ParquetReader
  private let columns: [EventSchema.Column]
  private let labels: [[UInt8]]
  private let totalBytes: Int64
  private let rowCount: Int64
  private var row: Int64 = 0
  private var buffer = LineBuffer()

  init(path: String, _ schema: EventSchema, bytes: Int64) throws(TableError) {
    let table = TableColumns(schema)
    let contents = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader.contents(ParquetInput(path: path))
    }
    try table.check(contents.map(\.name), path: path)
    let used = contents.filter { table.declared[$0.name] != nil }
    for (name, problem) in used {
      guard let problem else { continue }
      throw TableError(
        path: path, problem: "column '\(name)' cannot be read: \(problem)",
        remedy: "write what the source declares of it as columns of their own, or the file as NDJSON")
    }
    let chosen = used.map(\.name)
    let reader = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader(ParquetInput(path: path), columns: chosen)
    }
    var columns: [EventSchema.Column] = []
    for column in reader.columns {
      guard let declared = table.declared[column.name] else { continue }
      try Self.check(column, declared, isNested: table.nested.contains(column.name), path: path)
      columns.append(declared)
    }
    totalBytes = bytes
    rowCount = reader.rowCount
    self.reader = reader
    self.columns = columns
    labels = chosen.map(LineBuffer.label)
  }

  /// Refuses a column whose every value would be refused.
  private static func check(
    _ file: ParquetColumn, _ wanted: EventSchema.Column, isNested: Bool, path: String
  ) throws(TableError) {
    if isNested, file.isList { return }
    let fits =
      switch file.type {
      case .scalar(let type): !isNested && fits(type, wanted)
      default: false
      }
    guard !fits else { return }
    throw TableError(
      path: path,
      problem: "column '\(file.name)' is \(file.type), and the definitions declare "
        + (isNested ? "values inside of it" : wanted.type.rawValue),
      remedy: wanted.type == .timestamp
        ? "write timestamps, or \(wanted.unit?.textForms ?? "texts")"
        : "declare it as it is, or cast it when the file is written")
  }

  private static func fits(_ type: ValueType, _ wanted: EventSchema.Column) -> Bool {
    switch (type, wanted.type) {
    case (.int64, .double), (.double, .int64): true
    case (.int64, .timestamp), (.double, .timestamp): wanted.unit.map { !$0.isText } ?? false
    case (.string, .timestamp): wanted.unit?.isText == true || wanted.isText
    case (.string, _) where wanted.isText: true
    default: type == wanted.type
    }
  }

  /// By the rows: pages of all columns are read side by side.
  var bytesRead: Int64 {
    rowCount == 0 ? totalBytes : Int64(Double(totalBytes) * Double(row) / Double(rowCount))
  }

  func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    guard let batch = try TableError.ofParquet({ () throws(ParquetError) in try reader.next() }) else {
      return false
    }
    buffer.removeAll()
    for index in 0..<batch.rowCount {
      var isFirst = true
      for (position, vector) in batch.columns.enumerated() where !vector.isNull(index) {
        buffer.appendName(labels[position], isFirst: isFirst)
        isFirst = false
        append(vector, index, columns[position])
      }
      if isFirst { buffer.append(literal: "{") }
      buffer.append(literal: "}")
      row += 1
      buffer.endEvent(number: row)
    }
    try buffer.withLines(body)
    return true
  }

  private func append(_ vector: ParquetVector, _ index: Int, _ column: EventSchema.Column) {
    guard !vector.column.isList else {
      guard case .list(let values) = vector.value(index) else { return buffer.append(literal: "null") }
      buffer.append(literal: "[")
      for (index, value) in values.enumerated() {
        if index > 0 { buffer.append(literal: ",") }
        append(value, column)
      }
      return buffer.append(literal: "]")
    }
    switch vector.column.valueType {
    case .string: vector.withBytes(index) { buffer.append(text: $0) }
    case .int64: ValueText.appendInteger(Int64(bitPattern: vector.bits(index)), to: &buffer.bytes)
    case .double: append(Double(bitPattern: vector.bits(index)))
    case .bool: append(vector.bits(index) == 1)
    case .timestamp: append(EventTime(microseconds: Int64(bitPattern: vector.bits(index))), column)
    }
  }

  private func append(_ value: FeatureValue, _ column: EventSchema.Column) {
    switch value {
    case .null, .list: buffer.append(literal: "null")
    case .string(let text): text.utf8.withUnsafeBytes { buffer.append(text: $0) }
    case .int64(let number): ValueText.appendInteger(number, to: &buffer.bytes)
    case .double(let number): append(number)
    case .bool(let flag): append(flag)
    case .timestamp(let time): append(time, column)
    }
  }

  private func append(_ flag: Bool) {
    flag ? buffer.append(literal: "true") : buffer.append(literal: "false")
  }

  /// What is no number is what programs without nulls write for one.
  private func append(_ number: Double) {
    if number.isNaN { return buffer.append(literal: "null") }
    guard number.isFinite else {
      return number < 0 ? buffer.append(literal: "-Infinity") : buffer.append(literal: "Infinity")
    }
    buffer.bytes.append(contentsOf: number.description.utf8)
  }

  /// A time in the declared unit, exactly.
  private func append(_ time: EventTime, _ column: EventSchema.Column) {
    let microseconds = time.microseconds
    switch column.unit {
    case .seconds?: append(microseconds, decimals: 6)
    case .milliseconds?: append(microseconds, decimals: 3)
    case .microseconds?: append(microseconds, decimals: 0)
    case .nanoseconds?:
      append(microseconds, decimals: 0)
      if microseconds != 0 { buffer.append(literal: "000") }
    case .rfc3339?, .text?, nil:
      guard time.isInRange else { return buffer.append(literal: "\"out of range\"") }
      buffer.append(literal: "\"")
      buffer.bytes.append(contentsOf: RFC3339.format(time).utf8)
      buffer.append(literal: "\"")
    }
  }

  private func append(_ value: Int64, decimals: Int) {
    let scale: UInt64 = decimals == 6 ? 1_000_000 : decimals == 3 ? 1_000 : 1
    let (whole, rest) = value.magnitude.quotientAndRemainder(dividingBy: scale)
    if value < 0 { buffer.append(literal: "-") }
    // At most 2^63, which only the microseconds reach.
    buffer.bytes.append(contentsOf: String(whole).utf8)
    guard rest > 0 else { return }
    let digits = String(rest)
    buffer.append(literal: ".")
    for _ in digits.utf8.count..<decimals { buffer.append(literal: "0") }
    buffer.bytes.append(contentsOf: digits.utf8)
  }
}
