import FeatureCore

/// The values of one column of the row group in the making.
struct ColumnBuffer {
  let column: ParquetColumn
  let levels: Levels
  private(set) var rowCount = 0
  /// Rows, list elements, empty lists and nulls: what has levels.
  private(set) var slotCount = 0
  /// A level a slot; nothing where the highest level is 0.
  private(set) var definitions: [UInt8] = []
  private(set) var repetitions: [UInt8] = []
  /// Bits of values that are not null; for texts, where in `text` each ends.
  private(set) var words: [UInt64] = []
  private(set) var text: [UInt8] = []
  /// What is buffered, in bytes.
  private(set) var byteCount = 0

  private var isListOpen = false
  /// The list that is open, or was last.
  private var listSlots = 0
  private var listStartBytes = 0

  init(_ column: ParquetColumn) {
    self.column = column
    levels = Levels(column)
  }

  var isText: Bool { column.valueType == .string }
  var nullCount: Int { slotCount - words.count }
  var isRowOpen: Bool { isListOpen }

  mutating func append(word: UInt64) {
    beginSlot(isNull: false)
    words.append(word)
    byteCount += 8
  }

  mutating func append(text bytes: UnsafeRawBufferPointer) {
    precondition(
      bytes.count <= ParquetWriter.cellBytesMax,
      "Cannot write a text of \(bytes.count) bytes to column \(column.name)")
    beginSlot(isNull: false)
    text.append(contentsOf: bytes)
    words.append(UInt64(text.count))
    byteCount += 8 + bytes.count
  }

  mutating func appendNull() { beginSlot(isNull: true) }

  mutating func beginList() {
    precondition(column.isList && !isListOpen, "Cannot begin a list in column \(column.name)")
    isListOpen = true
    listSlots = 0
    listStartBytes = byteCount
  }

  mutating func endList() {
    precondition(isListOpen, "Cannot end a list in column \(column.name): none has begun")
    precondition(
      byteCount - listStartBytes <= ParquetWriter.cellBytesMax,
      "Cannot write a list of \(byteCount - listStartBytes) bytes to column \(column.name)")
    if listSlots == 0 { appendLevels(definition: levels.emptyList, repetition: 0) }
    isListOpen = false
    rowCount += 1
  }

  @inline(__always)
  private mutating func beginSlot(isNull: Bool) {
    if isListOpen {
      appendLevels(
        definition: isNull ? levels.definitionMax - 1 : levels.definitionMax,
        repetition: listSlots == 0 ? 0 : 1)
      listSlots += 1
      return
    }
    precondition(isNull || !column.isList, "Cannot append a scalar to column \(column.name) of lists")
    precondition(!isNull || !column.isRequired, "Cannot append null to column \(column.name): it is required")
    appendLevels(definition: isNull ? 0 : levels.definitionMax, repetition: 0)
    rowCount += 1
  }

  @inline(__always)
  private mutating func appendLevels(definition: UInt8, repetition: UInt8) {
    slotCount += 1
    byteCount += 1
    if levels.definitionMax > 0 { definitions.append(definition) }
    if levels.repetitionMax > 0 { repetitions.append(repetition) }
  }

  mutating func removeAll() {
    rowCount = 0
    slotCount = 0
    byteCount = 0
    definitions.removeAll(keepingCapacity: true)
    repetitions.removeAll(keepingCapacity: true)
    words.removeAll(keepingCapacity: true)
    text.removeAll(keepingCapacity: true)
  }
}

/// The values of a column that are not null, for reading.
struct ColumnValues {
  let words: UnsafeBufferPointer<UInt64>
  let text: UnsafeRawBufferPointer
  let type: ValueType
  let isBinary: Bool

  var count: Int { words.count }

  @inline(__always)
  func text(_ index: Int) -> UnsafeRawBufferPointer {
    let start = index == 0 ? 0 : Int(words[index - 1])
    return UnsafeRawBufferPointer(rebasing: text[start..<Int(words[index])])
  }

  /// Bytes of a value in PLAIN encoding; a bool's bit counts as a byte.
  @inline(__always)
  func plainBytes(_ index: Int) -> Int {
    switch type {
    case .string: 4 + Int(words[index]) - (index == 0 ? 0 : Int(words[index - 1]))
    case .bool: 1
    case .int64, .double, .timestamp: 8
    }
  }

  /// Appends a value that is not a bool in PLAIN encoding.
  @inline(__always)
  func appendPlain(_ index: Int, to output: inout ByteBuffer) {
    guard type == .string else {
      output.append(word: words[index])
      return
    }
    let bytes = text(index)
    output.append(word: UInt32(bytes.count))
    output.append(bytes)
  }

  /// Appends some values in PLAIN encoding.
  func appendPlain(_ range: Range<Int>, to output: inout ByteBuffer) {
    guard type == .bool else {
      for index in range { appendPlain(index, to: &output) }
      return
    }
    var start = range.lowerBound
    while start < range.upperBound {
      let end = min(start + 8, range.upperBound)
      output.append((start..<end).reduce(0) { $0 | UInt8(words[$1]) << ($1 - start) })
      start = end
    }
  }
}

extension ColumnBuffer {
  func withValues<Result>(_ body: (ColumnValues) -> Result) -> Result {
    words.withUnsafeBufferPointer { words in
      text.withUnsafeBytes {
        body(
          ColumnValues(words: words, text: $0, type: column.valueType, isBinary: column.isBinary))
      }
    }
  }
}
