import EventFiles
import FeatureCore

/// The rows of a CSV file with a header, as events. Between fields stand commas, or tabs or semicolons, if the header has
/// the column that it is known by only so.
final class CSVEvents {
  private static let delimiters = [",", "\t", ";"].map { UInt8(ascii: $0) }

  private struct Field {
    var index: Int
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

  init(_ source: consuming ByteSource, delimiter: UInt8, _ columns: TableColumns) throws(TableError) {
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
      columns.declared[name].map { Field(index: index, label: LineBuffer.label(name), form: Form($0)) }
    }
  }

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

  private func appendRow() {
    var isFirst = true
    for field in fields.indices where !reader.isNull(fields[field].index) {
      buffer.appendName(fields[field].label, isFirst: isFirst)
      isFirst = false
      reader.withBytes(fields[field].index) { Self.append($0, fields[field].form, to: &buffer) }
    }
    if isFirst { buffer.append(literal: "{") }
    buffer.append(literal: "}")
    buffer.endEvent(number: reader.line)
  }

  private static func append(
    _ text: UnsafeRawBufferPointer, _ form: Form, to buffer: inout LineBuffer
  ) {
    switch form {
    case .text: return buffer.append(text: text)
    case .timeText: return buffer.append(text: trimmed(text))
    case .bool:
      guard let bool = bool(trimmed(text)) else { break }
      return bool ? buffer.append(literal: "true") : buffer.append(literal: "false")
    case .number:
      let number = trimmed(text)
      // One that the type can't hold is refused as such.
      guard isShortInteger(number) || NumberText.isNumber(number) else { break }
      return buffer.bytes.append(contentsOf: number)
    }
    buffer.append(text: text)
  }

  private static func trimmed(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let start = text.firstIndex { $0 != 0x20 } ?? text.endIndex
    let end = text.lastIndex { $0 != 0x20 }.map { $0 + 1 } ?? start
    return UnsafeRawBufferPointer(rebasing: text[start..<end])
  }

  private static func isShortInteger(_ text: UnsafeRawBufferPointer) -> Bool {
    guard let first = text.first, text.count < 19, first != UInt8(ascii: "0") else { return false }
    return text.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
  }

  /// As databases and data frames write them: `true`, `True`, `TRUE`, `t`, `1`.
  private static func bool(_ text: UnsafeRawBufferPointer) -> Bool? {
    guard text.count <= 5 else { return nil }
    switch String(decoding: text, as: UTF8.self).lowercased() {
    case "true", "t", "1": return true
    case "false", "f", "0": return false
    default: return nil
    }
  }
}
