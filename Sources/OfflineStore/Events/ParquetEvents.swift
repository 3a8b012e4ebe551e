import EventFiles
import FeatureCore
import Parquet

/// The rows of a Parquet file, as events. Only what is declared is read, of columns with parts inside too.
final class ParquetEvents {
  private var reader: ParquetReader
  private let shape: ParquetShape
  private let path: String
  private let totalBytes: Int64
  private let rowCount: Int64
  /// nil if a record has more than the cells of a row.
  private let cells: CellReader?
  /// By vector, of the cells of a row.
  private let forms: [CellForm]
  private let clocks: [WallClock]
  // One owner, one thread.
  @exclusivity(unchecked) private var row: Int64 = 0
  @exclusivity(unchecked) private var buffer = LineBuffer()

  init(path: String, _ schema: EventSchema, bytes: Int64) throws(TableError) {
    let parts = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader.parts(ParquetInput(path: path))
    }
    let shape = try ParquetShape(parts, schema, path: path)
    let reader = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader(ParquetInput(path: path), columns: [], parts: shape.leaves, integers: shape.integers)
    }
    let columns = reader.columns
    self.path = path
    self.shape = shape
    totalBytes = bytes
    rowCount = reader.rowCount
    self.reader = reader
    cells = shape.cells.map { CellReader(schema, columns: $0) }
    var clocks: [WallClock] = []
    forms =
      shape.cells == nil
      ? []
      : shape.columns.map { column in
        guard case .value(let vector, let time) = column.part else {
          preconditionFailure("Cannot read a part as a cell")
        }
        if let clock = time.clock {
          clocks.append(clock)
          return .local(clocks.count - 1)
        }
        return columns[vector].isBinary ? .bytes : .plain
      }
    self.clocks = clocks
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
    try batch.withCells { cells in
      var rows = RowAssembly(cells)
      for _ in 0..<batch.rowCount {
        for position in shape.columns.indices {
          buffer.appendName(shape.columns[position].label, isFirst: position == 0)
          guard rows.append(shape.columns[position].part, to: &buffer, Self.append) else {
            throw disagreement(batch)
          }
        }
        buffer.append(literal: "}")
        row += 1
        buffer.endEvent(number: row)
      }
      guard rows.isAtEnd else { throw disagreement(batch) }
    }
    try buffer.withLines(body)
    return true
  }

  // MARK: Cells

  var hasCells: Bool { cells != nil }

  /// As `EventFileReader` has it, without JSON in between.
  func next(take: () -> DecodedEvents?, give: (DecodedEvents) -> Void) throws -> Bool {
    guard let cells else { preconditionFailure("Cannot read cells of a record with parts") }
    guard let batch = try TableError.ofParquet({ () throws(ParquetError) in try reader.next() }) else {
      return false
    }
    var start = 0
    while start < batch.rowCount {
      guard let events = take() else { return false }
      let end = min(batch.rowCount, start + events.recordsMax)
      let (first, shape) = (start, shape)
      events.begin { Self.write(batch, shape, row: first + $0, to: &$1) }
      batch.withCells { vectors in
        withUnsafeTemporaryAllocation(of: EventCell.self, capacity: vectors.count) { cell in
          for index in start..<end {
            for (column, vector) in vectors.enumerated() {
              (cell.baseAddress! + column).initialize(
                to: self.cell(vector, index, forms[column], events.arena))
            }
            row += 1
            events.add(UnsafeBufferPointer(cell), by: cells, number: row)
          }
        }
      }
      give(events)
      start = end
    }
    return true
  }

  /// What values have to become before they are cells.
  private enum CellForm {
    case plain
    /// Texts that need not be UTF-8.
    case bytes
    /// Times on a clock.
    case local(Int)
  }

  @inline(__always)
  private func cell(
    _ vector: ParquetCells, _ index: Int, _ form: CellForm, _ arena: TextArena
  ) -> EventCell {
    if vector.isNull(index) { return .null }
    switch vector.type {
    case .string:
      let text = vector.bytes(index)
      let copy = arena.allocate(text.count)
      copy.copyMemory(from: text)
      if case .bytes = form, String(validating: copy, as: UTF8.self) == nil { return .broken }
      return .text(UnsafeRawBufferPointer(copy))
    case .int64: return .int64(Int64(bitPattern: vector.bits(index)))
    case .double: return .double(Double(bitPattern: vector.bits(index)))
    case .bool: return .bool(vector.bits(index) == 1)
    case .timestamp:
      let time = EventTime(microseconds: Int64(bitPattern: vector.bits(index)))
      if case .local(let clock) = form { return .time(clocks[clock].moment(ofLocal: time)) }
      return .time(time)
    }
  }

  /// Writes a row of single values as JSON.
  private static func write(
    _ batch: ParquetBatch, _ shape: ParquetShape, row: Int, to buffer: inout LineBuffer
  ) {
    batch.withCells { vectors in
      for (position, column) in shape.columns.enumerated() {
        buffer.appendName(column.label, isFirst: position == 0)
        guard case .value(let vector, let form) = column.part else {
          preconditionFailure("Cannot write a part as a value")
        }
        if vectors[vector].isNull(row) {
          buffer.append(literal: "null")
        } else {
          append(vectors[vector], row, form, to: &buffer)
        }
      }
    }
    buffer.append(literal: "}")
  }

  // MARK: JSON

  private func disagreement(_ batch: ParquetBatch) -> TableError {
    TableError(
      path: path,
      problem: "row \(row + 1) is damaged: its columns disagree about where lists and structures are",
      remedy: "copy or write the file again, with pyarrow, DuckDB or Polars")
  }

  private static func append(
    _ vector: ParquetCells, _ index: Int, _ form: ParquetShape.ValueForm, to buffer: inout LineBuffer
  ) {
    switch vector.type {
    case .string: buffer.append(text: vector.bytes(index))
    case .int64: ValueText.appendInteger(Int64(bitPattern: vector.bits(index)), to: &buffer.bytes)
    case .double: append(Double(bitPattern: vector.bits(index)), asInteger: form.isInteger, to: &buffer)
    case .bool: append(vector.bits(index) == 1, to: &buffer)
    case .timestamp:
      let time = form.moment(EventTime(microseconds: Int64(bitPattern: vector.bits(index))))
      append(time, form.unit, to: &buffer)
    }
  }

  private static func append(_ flag: Bool, to buffer: inout LineBuffer) {
    flag ? buffer.append(literal: "true") : buffer.append(literal: "false")
  }

  /// What is no number is what programs without nulls write for one. An integer that another may have become as well is a text
  /// that says so, which no integer is read from.
  private static func append(_ number: Double, asInteger: Bool, to buffer: inout LineBuffer) {
    if number.isNaN { return buffer.append(literal: "null") }
    guard number.isFinite else {
      return number < 0 ? buffer.append(literal: "-Infinity") : buffer.append(literal: "Infinity")
    }
    guard asInteger, number.magnitude >= Double.integersEnd else {
      return buffer.bytes.append(contentsOf: number.description.utf8)
    }
    buffer.append(literal: "\"")
    buffer.bytes.append(contentsOf: number.description.utf8)
    buffer.append(literal: ": several integers are this double; write the column as integers or as text\"")
  }

  /// A time in the declared unit, exactly.
  private static func append(_ time: EventTime, _ unit: TimeUnit?, to buffer: inout LineBuffer) {
    let microseconds = time.microseconds
    switch unit {
    case .seconds?: append(microseconds, decimals: 6, to: &buffer)
    case .milliseconds?: append(microseconds, decimals: 3, to: &buffer)
    case .microseconds?: append(microseconds, decimals: 0, to: &buffer)
    case .nanoseconds?:
      append(microseconds, decimals: 0, to: &buffer)
      if microseconds != 0 { buffer.append(literal: "000") }
    case .rfc3339?, .text?, nil:
      guard time.isInRange else { return buffer.append(literal: "\"out of range\"") }
      buffer.append(literal: "\"")
      buffer.bytes.append(contentsOf: RFC3339.format(time).utf8)
      buffer.append(literal: "\"")
    }
  }

  private static func append(_ value: Int64, decimals: Int, to buffer: inout LineBuffer) {
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
