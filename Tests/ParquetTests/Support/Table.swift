import FeatureCore
import Parquet
import TestSupport

/// Rows in memory.
struct Table {
  var columns: [ParquetColumn]
  var rows: [[FeatureValue]]

  /// The file's bytes.
  func written(_ options: ParquetOptions = ParquetOptions()) -> [UInt8] {
    var bytes: [UInt8] = []
    var writer = ParquetWriter(columns: columns, options: options)
    for row in rows {
      for (column, value) in row.enumerated() { Self.append(value, columns[column], column, to: &writer) }
      if writer.endRow() { writer.writeRowGroup { bytes.append(contentsOf: $0) } }
    }
    writer.finish { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Bytes are texts here, valid UTF-8 or not.
  private static func append(
    _ value: FeatureValue, _ column: ParquetColumn, _ index: Int, to writer: inout ParquetWriter
  ) {
    switch value {
    case .string(let text) where column.isBinary:
      text.utf8.withUnsafeBytes { writer.append(bytes: $0, to: index) }
    case .list(let elements) where column.isBinary:
      writer.beginList(in: index)
      for element in elements { append(element, column, index, to: &writer) }
      writer.endList(in: index)
    default: writer.append(value, to: index)
    }
  }

  private static func value(_ vector: ParquetVector, _ row: Int) -> FeatureValue {
    guard vector.column.isBinary, !vector.column.isList, !vector.isNull(row) else { return vector.value(row) }
    return vector.withBytes(row) { .string(Text($0)) }
  }

  static func read(
    _ input: consuming ParquetInput, columns: [String]? = nil, batchRowsMax: Int = 1000
  ) throws(ParquetError) -> Table {
    var reader = try ParquetReader(input, columns: columns, batchRowsMax: batchRowsMax)
    var table = Table(columns: reader.columns, rows: [])
    while let batch = try reader.next() {
      for row in 0..<batch.rowCount { table.rows.append(batch.columns.map { Self.value($0, row) }) }
    }
    return table
  }

  static func read(_ bytes: [UInt8], columns: [String]? = nil, batchRowsMax: Int = 1000) throws(ParquetError)
    -> Table
  {
    try read(ParquetInput(bytes: bytes, name: "bytes"), columns: columns, batchRowsMax: batchRowsMax)
  }

  /// The first row that differs, bit for bit; nil when the tables are the same.
  func difference(from other: Table) -> String? {
    if columns.map(\.type) != other.columns.map(\.type) { return "\(columns) is not \(other.columns)" }
    if rows.count != other.rows.count { return "\(rows.count) rows, not \(other.rows.count)" }
    for (index, (row, wanted)) in zip(rows, other.rows).enumerated()
    where !zip(row, wanted).allSatisfy({ $0.isIdentical(to: $1) }) {
      return "row \(index) is \(row), not \(wanted)"
    }
    return nil
  }

  /// A line a row, in the words of `Python/interop.py`.
  var lines: String {
    rows.map { $0.map(Self.word).joined(separator: "|") + "\n" }.joined()
  }

  private static func word(_ value: FeatureValue) -> String {
    switch value {
    case .null: "null"
    case .int64(let value): "i\(value)"
    case .double(let value): value.isNaN ? "dnan" : "d" + String(value.bitPattern, radix: 16)
    case .bool(let value): value ? "b1" : "b0"
    case .timestamp(let value): "t\(value.microseconds)"
    case .string(let text): "s" + text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    case .list(let elements): "[" + elements.map(word).joined(separator: ",") + "]"
    }
  }
}

/// Random tables: few and many distinct values, runs, extremes, nulls, lists that are empty or null.
struct TableGenerator {
  var random: SplitMix64
  /// Times of years 1 to 9999, which every program knows.
  var keepsCivilTimes = false

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func table(rowCountMax: Int) -> Table {
    let columns = (0..<Int.random(in: 1...8, using: &random)).map { index in
      let type = ValueType.allCases.randomElement(using: &random)!
      return ParquetColumn(
        "c\(index)", Bool.random(using: &random) ? .scalar(type) : .list(type),
        isRequired: Int.random(in: 0..<4, using: &random) == 0,
        isBinary: type == .string && Bool.random(using: &random))
    }
    return table(columns, rowCount: Int.random(in: 0...rowCountMax, using: &random))
  }

  mutating func table(_ columns: [ParquetColumn], rowCount: Int) -> Table {
    let styles = columns.map { _ in Style(&random) }
    let rows = (0..<rowCount).map { _ in
      zip(columns, styles).map { column, style in row(column, style) }
    }
    return Table(columns: columns, rows: rows)
  }

  private struct Style {
    var distinctMax: Int
    /// Out of 8.
    var nulls: Int

    init(_ random: inout SplitMix64) {
      distinctMax = [1, 2, 30, 300, 1 << 40].randomElement(using: &random)!
      nulls = [0, 0, 1, 4, 7, 8].randomElement(using: &random)!
    }
  }

  private mutating func row(_ column: ParquetColumn, _ style: Style) -> FeatureValue {
    let isNull = Int.random(in: 0..<8, using: &random) < style.nulls
    if isNull && !column.isRequired { return .null }
    // Elements of a list come back as text.
    guard column.isList else { return scalar(column.valueType, style, isBinary: column.isBinary) }
    let count = Int.random(in: 0..<4, using: &random)
    return .list(
      (0..<count).map { _ in
        Int.random(in: 0..<8, using: &random) < style.nulls / 2 ? .null : scalar(column.valueType, style)
      })
  }

  private mutating func scalar(_ type: ValueType, _ style: Style, isBinary: Bool = false) -> FeatureValue {
    let number = Int64.random(in: 0..<Int64(style.distinctMax), using: &random)
    let isExtreme = style.distinctMax > 300 && Int.random(in: 0..<16, using: &random) == 0
    switch type {
    case .bool: return .bool(style.distinctMax == 1 ? true : number % 2 == 0)
    case .int64: return .int64(isExtreme ? [.min, .max, -1, 0].randomElement(using: &random)! : number)
    case .timestamp:
      let edges: [Int64] =
        keepsCivilTimes
        ? [-62_135_596_800_000_000, 253_402_300_799_999_999, -1] : [.min, .max, -1]
      return .timestamp(
        EventTime(microseconds: isExtreme ? edges.randomElement(using: &random)! : number * 1_001))
    case .double:
      let edges: [Double] = [
        .nan, .infinity, -.infinity, -0.0, 0, .leastNonzeroMagnitude, .greatestFiniteMagnitude,
      ]
      return .double(isExtreme ? edges.randomElement(using: &random)! : Double(number) / 7)
    case .string where isBinary:
      let edges: [[UInt8]] = [[], [0xFF], [0xC3, 0x28, 0x00], [UInt8](repeating: 0x80, count: 99)]
      return .string(
        Text(
          utf8: isExtreme ? edges.randomElement(using: &random)! : [0xFF, UInt8(truncatingIfNeeded: number)]))
    case .string:
      let edges = ["", "\u{0}", "żółć 🙂 \u{10FFFF}", String(repeating: "long ", count: 99)]
      return .string(Text(isExtreme ? edges.randomElement(using: &random)! : "text-\(number)"))
    }
  }
}
