/// A value of a table's row, before it is read as its column declares it.
public enum EventCell {
  /// No value.
  case null
  /// A text, which JSON would have in quotes: valid UTF-8.
  case text(UnsafeRawBufferPointer)
  /// A number as it is written, by JSON's grammar.
  case number(UnsafeRawBufferPointer)
  /// An integer.
  case int64(Int64)
  /// A double; one that is no number stands for no value.
  case double(Double)
  /// A bool.
  case bool(Bool)
  /// A time, which would be written in the declared unit.
  case time(EventTime)
  /// Bytes that are no text.
  case broken
}

/// Reads the cells of a table's rows into columns, where they certainly are what the decoder would read of a record with these
/// values in it. Whatever else they are is left to the decoder, and every mistake with it. One owner, one thread.
public final class CellReader {
  private let cells: UnsafeMutableBufferPointer<(column: Int, reader: ValueReader)>
  private let clocks: UnsafeMutableBufferPointer<WallClock>
  /// Bytes of a record without its texts and written numbers, at most.
  private let bytesMax: Int

  /// A reader of rows whose cells are some columns of a schema, each a member of the record.
  public init(_ schema: EventSchema, columns: [Int]) {
    var distinct: [WallClock] = []
    for clock in schema.columns.compactMap(\.clock) where !distinct.contains(clock) { distinct.append(clock) }
    // One that nothing reads, so that there always is an address.
    clocks = .copy(distinct.isEmpty ? [WallClock(.utc)] : distinct)
    cells = .copy(
      columns.map { column in
        let clock = schema.columns[column].clock.flatMap(distinct.firstIndex).map(Int16.init)
        return (column, ValueReader(schema.columns[column], clock: clock ?? -1))
      })
    bytesMax = columns.reduce(2) { bytes, column in
      guard case .json(let path) = schema.columns[column].origin, path.steps.count == 1 else {
        preconditionFailure("Cannot read column '\(schema.columns[column].name)' from a table's cell")
      }
      return bytes + Self.numberBytesMax + Self.escapeBytesMax * "\(path)".utf8.count
    }
  }

  deinit {
    clocks.deinitialize().deallocate()
    cells.deallocate()
  }

  /// More than a number or a time may be written with, and what stands around a value; and an escaped byte of a text.
  private static let (numberBytesMax, escapeBytesMax) = (400, 6)

  /// Reads a row; false: it is left to the decoder. Texts are not copied.
  func read(_ row: UnsafeBufferPointer<EventCell>, into scalars: UnsafeMutablePointer<Scalar>) -> Bool {
    precondition(row.count == cells.count, "Cannot read \(row.count) cells as \(cells.count)")
    var bytes = bytesMax
    for (index, cell) in row.enumerated() {
      switch cell {
      case .text(let text): bytes += Self.escapeBytesMax * text.count
      case .number(let text): bytes += text.count
      case .null, .int64, .double, .bool, .time, .broken: break
      }
      let (column, reader) = cells[index]
      guard reader.read(cell, UnsafePointer(clocks.baseAddress!), &scalars[column]) else { return false }
    }
    return bytes <= Limits.recordBytesMax
  }
}

extension UnsafeMutableBufferPointer {
  fileprivate static func copy(_ elements: [Element]) -> Self {
    let memory = allocate(capacity: elements.count)
    _ = memory.initialize(from: elements)
    return memory
  }
}

extension Double {
  /// From here on the integers are further apart than doubles are: several become one.
  public static var integersEnd: Double { 0x1p53 }
}

extension ValueReader {
  /// Reads a cell; false if the decoder has to say what it is.
  @inline(__always)
  fileprivate func read(
    _ cell: EventCell, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar
  ) -> Bool {
    switch cell {
    case .null: return true
    case .text(let text):
      if kind == .string {
        scalar = .text(text)
        return true
      }
      return isText || kind == .text || kind == .rfc3339 ? read(certain: text, clocks, &scalar) : false
    case .number(let text):
      switch kind {
      case .int64, .double, .seconds, .milliseconds, .microseconds, .nanoseconds:
        return read(certain: text, clocks, &scalar)
      case .skip, .string, .bool, .rfc3339, .text: return false
      }
    case .int64(let value): return read(value, &scalar)
    case .double(let value): return read(value, &scalar)
    case .bool(let value):
      scalar = .bool(value)
      return kind == .bool
    case .time(let time): return read(time, &scalar)
    case .broken: return false
    }
  }

  private func read(
    certain text: UnsafeRawBufferPointer, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar
  ) -> Bool {
    do throws(DecodeFailure) {
      try read(whole: text, clocks, &scalar)
      return true
    } catch {
      return false
    }
  }

  private func read(_ value: Int64, _ scalar: inout Scalar) -> Bool {
    let unit: TimeUnit
    switch kind {
    case .int64:
      scalar = .int64(value)
      return true
    case .double:
      // Rounded once, as its digits are.
      scalar = .double(Double(value))
      return true
    case .seconds: unit = .seconds
    case .milliseconds: unit = .milliseconds
    case .microseconds: unit = .microseconds
    case .nanoseconds: unit = .nanoseconds
    case .skip, .string, .bool, .rfc3339, .text: return false
    }
    guard let time = EventTime(value, unit) else { return false }
    scalar = .int64(time.microseconds)
    return true
  }

  private func read(_ value: Double, _ scalar: inout Scalar) -> Bool {
    if value.isNaN { return true }
    switch kind {
    case .double where value.isNormal || value.bitPattern == 0:
      scalar = .double(value)
      return true
    case .int64 where value.magnitude < Double.integersEnd && value.rounded() == value:
      scalar = .int64(Int64(value))
      return true
    default: return false
    }
  }

  private func read(_ time: EventTime, _ scalar: inout Scalar) -> Bool {
    guard time.isInRange else { return false }
    switch kind {
    case .seconds, .milliseconds, .microseconds, .rfc3339, .text: break
    case .nanoseconds:
      // 64 bits of nanoseconds end in 2262.
      guard !time.microseconds.multipliedReportingOverflow(by: 1_000).overflow else { return false }
    case .skip, .string, .int64, .double, .bool: return false
    }
    scalar = .int64(time.microseconds)
    return true
  }
}
