import EventFiles
import FeatureCore

/// The rows of a CSV file with a header, as events. Between fields stand commas, or tabs or semicolons, if the header has
/// the column that it is known by only so.
final class CSVEvents {
  private static let delimiters = [",", "\t", ";"].map { UInt8(ascii: $0) }

  private struct Field {
    /// Among the file's columns, and the schema's.
    var index: Int
    var column: Int
    var label: [UInt8]
    var form: Form
  }

  /// How a declared value stands in the row.
  private enum Form {
    case text, timeText, bool, number

    init(_ column: EventSchema.Column) {
      switch column.type {
      case .string: self = .text
      case .timestamp where column.unit?.isText == true: self = .timeText
      case .bool: self = .bool
      case .int64, .double, .timestamp: self = .number
      }
    }
  }

  // One owner, one thread.
  @exclusivity(unchecked) private var reader: CSVReader
  private let fields: [Field]
  @exclusivity(unchecked) private var buffer = LineBuffer()
  /// nil if a record has more than the cells of a row.
  private let cells: CellReader?
  /// A row's.
  private let row: UnsafeMutableBufferPointer<EventCell>
  /// An error that waits until the rows before it have been delivered.
  private var pendingError: TableError?

  /// What stands between the fields of a header with a column; nil if there is no such header.
  static func delimiter(_ beginning: [UInt8], mark: String) -> UInt8? {
    delimiters.first { header(beginning, $0).contains(mark) }
  }

  /// A text that is neither CSV with the source's columns nor JSON.
  static func unknown(_ beginning: [UInt8], _ columns: TableColumns, path: String) -> TableError {
    let names = header(beginning, delimiters.first { header(beginning, $0).count > 1 } ?? delimiters[0])
    let clipped = names.prefix(20).map { SpineTable.clipped($0) }.joined(separator: ", ")
    return TableError(
      path: path, line: 1,
      problem:
        "is neither JSON nor CSV with a header: the first line has no column '\(columns.mark ?? "")'"
        + (columns.time == nil ? "" : " of the event time") + ", but \(clipped)",
      remedy: "begin the file with a row of column names, or correct the source's "
        + (columns.time == nil ? "fields" : "timestamp"))
  }

  private static func header(_ beginning: [UInt8], _ delimiter: UInt8) -> [String] {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let text = beginning.starts(with: mark) ? beginning.dropFirst(mark.count) : beginning[...]
    let line = text.prefix { $0 != 0x0A && $0 != 0x0D }
    return line.split(separator: delimiter, omittingEmptySubsequences: false).map { name in
      let isQuoted = name.count > 1 && name.first == UInt8(ascii: "\"") && name.last == UInt8(ascii: "\"")
      return String(decoding: isQuoted ? name.dropFirst().dropLast() : name, as: UTF8.self)
    }
  }

  init(
    _ source: consuming ByteSource, delimiter: UInt8, _ columns: TableColumns, _ schema: EventSchema
  ) throws(TableError) {
    let path = source.path
    let reader = try CSVReader(
      input: InputBytes(source), delimiter: delimiter, rowBytesMax: Limits.recordBytesMax)
    let names = reader.columns
    try columns.check(names, path: path)
    if let name = columns.names.first(where: columns.nested.contains) ?? columns.nested.first {
      throw TableError(
        path: path, problem: "is CSV, whose fields have nothing inside; the source reads inside of '\(name)'",
        remedy: "write the file as NDJSON, or the values as columns of their own")
    }
    self.reader = reader
    fields = names.enumerated().compactMap { index, name in
      columns.declared[name].map { column in
        Field(
          index: index, column: schema.columns.firstIndex(of: column) ?? -1, label: LineBuffer.label(name),
          form: Form(column))
      }
    }
    cells = schema.hasCells ? CellReader(schema, columns: fields.map(\.column)) : nil
    row = .allocate(capacity: fields.count)
  }

  deinit { row.deallocate() }

  var bytesRead: Int64 { reader.bytesRead }

  func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    buffer.removeAll()
    if pendingError == nil {
      do throws(TableError) {
        while !buffer.isFull, try reader.next() { appendRow() }
      } catch {
        pendingError = error
      }
    }
    return try buffer.deliver(before: pendingError, body)
  }

  // MARK: Cells

  var hasCells: Bool { cells != nil }

  /// As `EventFileReader` has it, without JSON in between.
  func next(take: () -> DecodedEvents?, give: (DecodedEvents) -> Void) throws -> Bool {
    guard let cells else { preconditionFailure("Cannot read cells of a record with parts") }
    if let pendingError { throw pendingError }
    guard let events = take() else { return false }
    let rows = CSVRows(fields.count)
    events.begin { [fields] in Self.write(rows, row: $0, fields, to: &$1) }
    do throws(TableError) {
      while events.count < events.recordsMax, try reader.next() {
        takeRow(rows, events.arena)
        events.add(UnsafeBufferPointer(row), by: cells, number: reader.line)
      }
    } catch {
      guard events.count > 0 else { throw error }
      pendingError = error
    }
    guard events.count > 0 else { return false }
    give(events)
    return true
  }

  private func takeRow(_ rows: CSVRows, _ arena: TextArena) {
    let bytes = reader.copyBytes(to: arena)
    for position in fields.indices {
      let index = fields[position].index
      let text = reader.isNull(index) ? nil : UnsafeRawBufferPointer(rebasing: bytes[reader.range(index)])
      rows.append(text)
      (row.baseAddress! + position).initialize(to: text.map { Self.cell($0, fields[position].form) } ?? .null)
    }
  }

  // MARK: JSON

  private func appendRow() {
    var isFirst = true
    for field in fields.indices where !reader.isNull(fields[field].index) {
      buffer.appendName(fields[field].label, isFirst: isFirst)
      isFirst = false
      reader.withBytes(fields[field].index) { Self.append(Self.cell($0, fields[field].form), to: &buffer) }
    }
    if isFirst { buffer.append(literal: "{") }
    buffer.append(literal: "}")
    buffer.endEvent(number: reader.line)
  }

  /// Writes a row that is kept as JSON.
  private static func write(_ rows: CSVRows, row: Int, _ fields: [Field], to buffer: inout LineBuffer) {
    var isFirst = true
    for (position, field) in fields.enumerated() {
      guard let text = rows[row, position] else { continue }
      buffer.appendName(field.label, isFirst: isFirst)
      isFirst = false
      append(cell(text, field.form), to: &buffer)
    }
    if isFirst { buffer.append(literal: "{") }
    buffer.append(literal: "}")
  }

  private static func append(_ cell: EventCell, to buffer: inout LineBuffer) {
    switch cell {
    case .text(let text): buffer.append(text: text)
    case .number(let text): buffer.bytes.append(contentsOf: text)
    case .bool(let bool): bool ? buffer.append(literal: "true") : buffer.append(literal: "false")
    case .null, .int64, .double, .time, .broken: preconditionFailure("Cannot write what no field is")
    }
  }

  /// What a field is that has a value.
  @inline(__always)
  private static func cell(_ text: UnsafeRawBufferPointer, _ form: Form) -> EventCell {
    switch form {
    case .text: return .text(text)
    case .timeText: return .text(CSVText.trimmed(text))
    case .bool: return CSVText.bool(CSVText.trimmed(text)).map(EventCell.bool) ?? .text(text)
    case .number:
      let number = CSVText.trimmed(text)
      // One that the type can't hold is refused as such.
      return isShortInteger(number) || NumberText.isNumber(number) ? .number(number) : .text(text)
    }
  }

  private static func isShortInteger(_ text: UnsafeRawBufferPointer) -> Bool {
    guard let first = text.first, text.count < 19, first != UInt8(ascii: "0") else { return false }
    return text.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
  }
}

/// The fields of some rows, for whoever asks for a record.
private final class CSVRows {
  private let width: Int
  @exclusivity(unchecked) private var texts: [UnsafeRawBufferPointer?] = []

  init(_ width: Int) { self.width = width }

  func append(_ text: UnsafeRawBufferPointer?) { texts.append(text) }

  subscript(_ row: Int, _ field: Int) -> UnsafeRawBufferPointer? { texts[row * width + field] }
}
