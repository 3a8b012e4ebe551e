public import FeatureCore

/// Reads RFC 4180 CSV with a header row: quotes, embedded newlines, CRLF or LF, a byte order mark at the start.
///
/// Memory is bounded: one buffer and one row of at most `rowBytesMax`.
public struct CSVReader: ~Copyable {
  /// Bytes of one row: a spine's row is small, and a quote that is never closed must not swallow the file.
  public static let rowBytesMax = 1 << 20

  private struct Field {
    var start: Int
    var end: Int
    var isQuoted: Bool
  }
  private enum FieldEnd {
    case field, row
  }

  /// The names in the header.
  public private(set) var columns: [String] = []
  /// The line on which the current row begins, from 1.
  public private(set) var line: Int64 = 0
  private var nextLine: Int64 = 1
  private var input: InputBytes
  private let delimiter: UInt8
  private let rowMax: Int
  /// The fields of the row, unquoted, one behind the other; between some stands what was between them.
  private var bytes: [UInt8] = []
  private var fields: [Field] = []

  /// Opens a file and reads its header; `-` is the standard input.
  public init(path: String) throws(TableError) {
    try self.init(input: InputBytes(path: path))
  }

  /// The rows of a file that has been opened. Between fields stands a comma, or what files of tabs or semicolons have.
  init(
    input: consuming InputBytes, delimiter: UInt8 = UInt8(ascii: ","), rowBytesMax: Int = Self.rowBytesMax
  ) throws(TableError) {
    self.input = input
    self.delimiter = delimiter
    rowMax = rowBytesMax
    try skipByteOrderMark()
    guard try readRow() else {
      throw error("the table is empty", "begin it with a row of column names")
    }
    columns = fields.indices.map { text($0)?.description ?? "" }
    var seen = Set<String>()
    for column in columns where !seen.insert(column).inserted {
      throw error("column \(column) stands twice in the header", "rename one of them")
    }
  }

  /// Goes to the next row; false at the end. Blank lines are skipped, unless there is only one column: there a
  /// blank line is a null.
  public mutating func next() throws(TableError) -> Bool {
    repeat {
      guard try readRow() else { return false }
    } while columns.count > 1 && fields.count == 1 && isNull(0)
    guard fields.count == columns.count else {
      throw error(
        "a row of \(fields.count) fields under a header of \(columns.count)", "check its commas and quotes")
    }
    return true
  }

  /// Bytes of the file used up so far (compressed, if it is).
  var bytesRead: Int64 { input.bytesRead }

  /// Whether a field of the current row is empty and without quotes: no value, unlike `""`.
  public func isNull(_ column: Int) -> Bool { range(column).isEmpty && !fields[column].isQuoted }

  /// Whether a field of the current row stands in quotes.
  public func isQuoted(_ column: Int) -> Bool { fields[column].isQuoted }

  /// A field of the current row; nil for null.
  public func text(_ column: Int) -> Text? {
    isNull(column) ? nil : Text(utf8: Array(bytes[range(column)]))
  }

  /// The bytes of a field of the current row, without a copy: valid UTF-8, empty for null too.
  public func withBytes<Result>(_ column: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range(column)])) }
  }

  /// Where a field of the current row stands in a copy of its bytes.
  func range(_ column: Int) -> Range<Int> { fields[column].start..<fields[column].end }

  /// Copies the bytes of the current row.
  func copyBytes(to arena: TextArena) -> UnsafeRawBufferPointer {
    let copy = arena.allocate(bytes.count)
    copy.copyBytes(from: bytes)
    return UnsafeRawBufferPointer(copy)
  }

  private mutating func skipByteOrderMark() throws(TableError) {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    guard try input.hasByte(), input.buffer[input.position...].starts(with: mark) else { return }
    input.position += mark.count
  }

  private mutating func readRow() throws(TableError) -> Bool {
    bytes.removeAll(keepingCapacity: true)
    fields.removeAll(keepingCapacity: true)
    line = nextLine
    guard try input.hasByte() else { return false }
    if let isASCII = takeRow() {
      if !isASCII { try checkText() }
      return true
    }
    var end = FieldEnd.field
    while end == .field {
      let start = bytes.count
      if try input.hasByte(), input.buffer[input.position] == UInt8(ascii: "\"") {
        input.position += 1
        try readQuoted()
        end = try readFieldEnd()
        fields.append(Field(start: start, end: bytes.count, isQuoted: true))
      } else {
        try readUnquoted()
        end = try readFieldEnd()
        fields.append(Field(start: start, end: bytes.count, isQuoted: false))
      }
    }
    try checkText()
    return true
  }

  /// Takes a row without quotes that stands whole in the buffer, and says whether it is all ASCII; nil: there is none.
  private mutating func takeRow() -> Bool? {
    let (delimiter, lineFeed, carriageReturn) = (delimiter, UInt8(0x0A), UInt8(0x0D))
    let count = min(input.end - input.position, rowMax)
    let row = UnsafeRawBufferPointer(rebasing: input.buffer[input.position..<(input.position + count)])
    var (start, at, all) = (0, 0, UInt8(0))
    while at < count {
      let byte = row[at]
      all |= byte
      if byte == delimiter {
        fields.append(Field(start: start, end: at, isQuoted: false))
        start = at + 1
      } else if byte == lineFeed
        || (byte == carriageReturn && at + 1 < count && row[at + 1] == lineFeed)
      {
        fields.append(Field(start: start, end: at, isQuoted: false))
        bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: row[..<at]))
        input.position += at + (byte == lineFeed ? 1 : 2)
        nextLine += 1
        return all < 0x80
      } else if byte == UInt8(ascii: "\"") || byte == carriageReturn {
        break
      }
      at += 1
    }
    fields.removeAll(keepingCapacity: true)
    return nil
  }

  /// Up to the comma or the end of the line.
  private mutating func readUnquoted() throws(TableError) {
    let delimiter = delimiter
    while try input.hasByte() {
      let unread = input.buffer[input.position..<input.end]
      let stop = unread.firstIndex {
        $0 == delimiter || $0 == 0x0A || $0 == 0x0D || $0 == UInt8(ascii: "\"")
      }
      try take(upTo: stop ?? input.end)
      guard let stop else { continue }
      guard input.buffer[stop] == UInt8(ascii: "\"") else { return }
      throw error("a quote inside an unquoted field", "quote the whole field and double the quotes in it")
    }
  }

  /// From behind the opening quote to behind the closing one.
  private mutating func readQuoted() throws(TableError) {
    let quote = UInt8(ascii: "\"")
    while try input.hasByte() {
      let stop = input.buffer[input.position..<input.end].firstIndex(of: quote)
      let taken = input.position..<(stop ?? input.end)
      nextLine += Int64(input.buffer[taken].count { $0 == 0x0A })
      try take(upTo: taken.upperBound)
      guard stop != nil else { continue }
      input.position += 1
      guard try input.hasByte(), input.buffer[input.position] == quote else { return }
      bytes.append(quote)
      input.position += 1
    }
    throw error("a quoted field of this row is not closed", "add the missing quote")
  }

  private mutating func take(upTo end: Int) throws(TableError) {
    bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: input.buffer[input.position..<end]))
    input.position = end
    guard bytes.count <= rowMax else {
      throw error("a row of more than \(rowMax) bytes", "look for a quote that is not closed")
    }
  }

  private mutating func readFieldEnd() throws(TableError) -> FieldEnd {
    guard try input.hasByte() else { return .row }
    let byte = input.buffer[input.position]
    input.position += 1
    switch byte {
    case delimiter: return .field
    case 0x0A: break
    case 0x0D:
      guard try input.hasByte(), input.buffer[input.position] == 0x0A else {
        throw error("a carriage return without a newline", "end lines with LF or CRLF, or quote the field")
      }
      input.position += 1
    default:
      throw error("text behind a closing quote", "double the quotes inside a quoted field")
    }
    nextLine += 1
    return .row
  }

  /// Field by field: the halves of a character in two fields are not one character.
  private func checkText() throws(TableError) {
    if bytes.allSatisfy({ $0 < 0x80 }) { return }
    for column in fields.indices where String(validating: bytes[range(column)], as: UTF8.self) == nil {
      let name = columns.indices.contains(column) ? columns[column] : "\(column + 1)"
      throw error("column \(name) is not valid UTF-8", "convert the file to UTF-8")
    }
  }

  private func error(_ problem: String, _ remedy: String) -> TableError {
    TableError(path: input.path, line: line, problem: problem, remedy: remedy)
  }
}
