/// A line of PostgreSQL's `COPY ... TO STDOUT` in text format: values between tabs, `\N` for null, `\` before what would be a
/// separator (https://www.postgresql.org/docs/15/sql-copy.html).
public struct CopyText {
  private let writer: PgValueWriter
  private var scratch: [UInt8] = []

  /// For the lines of a table that have its columns in their order.
  public init(_ table: CapturedTable) { writer = PgValueWriter(table: table) }

  /// Writes a line's values as a row.
  public mutating func write(
    _ line: UnsafeRawBufferPointer, into row: inout RowText
  ) throws(CaptureError) {
    var start = 0
    row.begin()
    for column in writer.types.indices {
      var end = start
      var hasEscapes = false
      while end < line.count, line[end] != UInt8(ascii: "\t"), line[end] != UInt8(ascii: "\n") {
        if line[end] == UInt8(ascii: "\\") {
          hasEscapes = true
          end += 1
        }
        end += 1
      }
      guard start <= line.count, end <= line.count else {
        throw CaptureError(.stop, "PostgreSQL's copy has a line with fewer columns than were asked for")
      }
      let text = UnsafeRawBufferPointer(rebasing: line[start..<end])
      start = end + 1
      if !hasEscapes {
        try writer.write(text, column, into: &row)
      } else if text.count == 2, text[1] == UInt8(ascii: "N") {
        row.null(column)
      } else {
        unescape(text)
        try scratch.span.bytes.withUnsafeBytes {
          (bytes: UnsafeRawBufferPointer) throws(CaptureError) -> Void in
          try writer.write(bytes, column, into: &row)
        }
      }
    }
    row.endContent()
  }

  private mutating func unescape(_ text: UnsafeRawBufferPointer) {
    scratch.removeAll(keepingCapacity: true)
    var isEscaped = false
    for byte in text {
      if isEscaped {
        isEscaped = false
        switch byte {
        case UInt8(ascii: "b"): scratch.append(8)
        case UInt8(ascii: "f"): scratch.append(12)
        case UInt8(ascii: "n"): scratch.append(10)
        case UInt8(ascii: "r"): scratch.append(13)
        case UInt8(ascii: "t"): scratch.append(9)
        case UInt8(ascii: "v"): scratch.append(11)
        default: scratch.append(byte)
        }
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        scratch.append(byte)
      }
    }
  }
}
