public import FeatureCore

/// Some rows of a file, column by column.
public struct ParquetBatch: Sendable {
  /// The rows.
  public let rowCount: Int
  /// The columns that were asked for, in that order.
  public let columns: [ParquetVector]

  /// Calls with the memory of the columns, which must be scalars.
  public func withCells<Result>(_ body: ([ParquetCells]) throws -> Result) rethrows -> Result {
    try Self.withCells(columns[...], [], body)
  }

  private static func withCells<Result>(
    _ rest: ArraySlice<ParquetVector>, _ cells: [ParquetCells], _ body: ([ParquetCells]) throws -> Result
  ) rethrows -> Result {
    guard let vector = rest.first else { return try body(cells) }
    return try vector.withCells { try withCells(rest.dropFirst(), cells + [$0], body) }
  }
}

/// The memory of a column of scalars of a batch, row by row, or slot by slot with its levels. It is borrowed.
public struct ParquetCells {
  /// Their type.
  public let type: ValueType
  /// Rows, or slots.
  public let count: Int
  /// Of leaves whose levels are kept, those of every slot.
  public let definitions: UnsafeBufferPointer<UInt8>
  /// See `definitions`: 0 where a row of the file begins.
  public let repetitions: UnsafeBufferPointer<UInt8>
  private let nulls: UnsafeBufferPointer<Bool>
  private let words: UnsafeBufferPointer<UInt64>
  private let text: UnsafeRawBufferPointer

  fileprivate init(
    _ type: ValueType, _ nulls: UnsafeBufferPointer<Bool>, _ words: UnsafeBufferPointer<UInt64>,
    _ text: UnsafeRawBufferPointer, _ definitions: UnsafeBufferPointer<UInt8>,
    _ repetitions: UnsafeBufferPointer<UInt8>
  ) {
    (self.type, count, self.nulls, self.words, self.text) = (type, nulls.count, nulls, words, text)
    (self.definitions, self.repetitions) = (definitions, repetitions)
  }

  /// Whether a row is null.
  public func isNull(_ row: Int) -> Bool { nulls[row] }

  /// The bits of a row that is not null and no text, like `Scalar.bits`.
  public func bits(_ row: Int) -> UInt64 { words[row] }

  /// The text of a row that is not null: valid UTF-8 unless the column is binary.
  public func bytes(_ row: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: text[(row == 0 ? 0 : Int(words[row - 1]))..<Int(words[row])])
  }
}

/// One column of a batch. Rows count from 0.
public struct ParquetVector: Sendable {
  /// Name and type.
  public let column: ParquetColumn
  /// Rows of lists: where the elements of each end, and whether it is null. Not used for scalars.
  private var listEnds: [Int] = []
  private var listIsNull: [Bool] = []
  /// Elements: list elements, or the rows themselves.
  private var isNull: [Bool] = []
  /// Bits; for text, where each element's bytes end.
  private var words: [UInt64] = []
  private var text: [UInt8] = []
  /// Of leaves whose levels are kept, those of every slot; then the rows are slots.
  public private(set) var definitions: [UInt8] = []
  /// See `definitions`: 0 where a row of the file begins.
  public private(set) var repetitions: [UInt8] = []

  init(_ column: ParquetColumn) { self.column = column }

  /// The rows.
  public var rowCount: Int { column.isList ? listEnds.count : isNull.count }

  /// Whether a row is null. A list of nulls and an empty list are not.
  public func isNull(_ row: Int) -> Bool { column.isList ? listIsNull[row] : isNull[row] }

  /// The bits of a row that is not null in a column of int64, double, bool or timestamp, like `Scalar.bits`.
  public func bits(_ row: Int) -> UInt64 {
    precondition(!column.isList && column.valueType != .string, "Cannot take the bits of \(column.type)")
    return words[row]
  }

  /// The text of a row that is not null in a column of strings, for as long as `body` runs: valid UTF-8 unless the
  /// column is binary.
  public func withBytes<Result>(_ row: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    precondition(column.type == .scalar(.string), "Cannot take the text of \(column.type)")
    return text.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[textRange(row)])) }
  }

  /// A row's value. Lists may have null elements. In a binary column, what is no UTF-8 is replaced by U+FFFD.
  public func value(_ row: Int) -> FeatureValue {
    guard column.isList else { return element(row) }
    guard !listIsNull[row] else { return .null }
    return .list(((row == 0 ? 0 : listEnds[row - 1])..<listEnds[row]).map(element))
  }

  private func element(_ index: Int) -> FeatureValue {
    guard !isNull[index] else { return .null }
    switch column.valueType {
    case .int64: return .int64(Int64(bitPattern: words[index]))
    case .double: return .double(Double(bitPattern: words[index]))
    case .bool: return .bool(words[index] == 1)
    case .timestamp: return .timestamp(EventTime(microseconds: Int64(bitPattern: words[index])))
    case .string where column.isBinary:
      return .string(Text(String(decoding: text[textRange(index)], as: UTF8.self)))
    case .string: return .string(Text(utf8: [UInt8](text[textRange(index)])))
    }
  }

  private func textRange(_ index: Int) -> Range<Int> {
    (index == 0 ? 0 : Int(words[index - 1]))..<Int(words[index])
  }

  var elementCount: Int { isNull.count }
  var textBytes: Int { text.count }

  mutating func append(word: UInt64) {
    isNull.append(false)
    words.append(word)
  }

  mutating func append(text bytes: UnsafeRawBufferPointer) {
    isNull.append(false)
    text.append(contentsOf: bytes)
    words.append(UInt64(text.count))
  }

  /// Rows without nulls.
  mutating func append(words rows: ArraySlice<UInt64>) {
    isNull.append(contentsOf: repeatElement(false, count: rows.count))
    words.append(contentsOf: rows)
  }

  /// The same of texts.
  mutating func append(texts rows: ArraySlice<UnsafeRawBufferPointer>) {
    isNull.append(contentsOf: repeatElement(false, count: rows.count))
    var end = text.count
    text.append(contentsOf: repeatElement(0, count: rows.reduce(0) { $0 + $1.count }))
    text.withUnsafeMutableBytes { room in
      for row in rows {
        UnsafeMutableRawBufferPointer(rebasing: room[end..<(end + row.count)]).copyMemory(from: row)
        end += row.count
        words.append(UInt64(end))
      }
    }
  }

  fileprivate func withCells<Result>(_ body: (ParquetCells) throws -> Result) rethrows -> Result {
    precondition(!column.isList, "Cannot take the cells of \(column.type)")
    return try isNull.withUnsafeBufferPointer { nulls in
      try words.withUnsafeBufferPointer { words in
        try text.withUnsafeBytes { text in
          try definitions.withUnsafeBufferPointer { definitions in
            try repetitions.withUnsafeBufferPointer { repetitions in
              try body(ParquetCells(column.valueType, nulls, words, text, definitions, repetitions))
            }
          }
        }
      }
    }
  }

  mutating func append(definition: UInt8, repetition: UInt8) {
    definitions.append(definition)
    repetitions.append(repetition)
  }

  mutating func appendNull() {
    isNull.append(true)
    words.append(column.valueType == .string ? UInt64(text.count) : 0)
  }

  mutating func beginList(isNull: Bool) {
    listIsNull.append(isNull)
    listEnds.append(elementCount)
  }

  /// Takes the latest element into the latest list.
  mutating func extendList() { listEnds[listEnds.count - 1] = elementCount }
}
