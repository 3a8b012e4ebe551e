public import EventFiles
public import FeatureCore
import Parquet

/// The events of a file, whatever form it has: NDJSON, a JSON array of objects, CSV with a header or Parquet, told by its
/// content; or a segment of an archive. All come as JSON, as the source declares it, so that one decoder reads them.
///
/// A row of a table is an object whose members are named like the columns. Of a column that the source declares, a value
/// is written as the declaration has it; others are left out. What is no such value stays a text, which the decoder
/// refuses with the row alone.
public struct EventFileReader: ~Copyable {
  enum Form {
    case lines(Lines)
    case array(ArrayReader)
    case csv(CSVEvents)
    case parquet(ParquetEvents)
  }

  final class Lines {
    var reader: EventReader

    init(_ reader: consuming EventReader) { self.reader = reader }
  }

  let form: Form
  /// The size of the file; nil for pipes and the standard input.
  public let totalBytes: Int64?

  /// Opens a file of events with a schema; the path `-` is the standard input. A file in no form that is read is one error.
  public init(_ file: EventFile, _ schema: EventSchema) throws {
    (form, totalBytes) = try file.isSegment ? Self.segment(file) : Self.open(file.path, schema)
  }

  private static func segment(_ file: EventFile) throws -> (Form, Int64?) {
    let reader = try EventReader(file)
    let totalBytes = reader.totalBytes
    return (.lines(Lines(reader)), totalBytes)
  }

  private static func open(_ path: String, _ schema: EventSchema) throws -> (Form, Int64?) {
    var source = try ByteSource(path: path, inputBytes: 1 << 18)
    let (content, beginning) = try FileContent.of(&source)
    let totalBytes = source.totalBytes
    switch content {
    case .lines, .empty: return (.lines(Lines(EventReader(LineReader(source)))), totalBytes)
    case .array: return (.array(ArrayReader(source)), totalBytes)
    case .parquet:
      return (.parquet(try ParquetEvents(path: path, schema, bytes: totalBytes ?? 0)), totalBytes)
    case .text(let hasObjects):
      let columns = TableColumns(schema)
      if let delimiter = columns.mark.flatMap({ CSVEvents.delimiter(beginning, mark: $0) }) {
        return (.csv(try CSVEvents(source, delimiter: delimiter, columns, schema)), totalBytes)
      }
      guard hasObjects else { throw CSVEvents.unknown(beginning, columns, path: path) }
      return (.lines(Lines(EventReader(LineReader(source)))), totalBytes)
    }
  }

  /// Bytes of the file used up so far (compressed, if it is).
  public var bytesRead: Int64 {
    switch form {
    case .lines(let lines): lines.reader.bytesRead
    case .array(let array): array.bytesRead
    case .csv(let csv): csv.bytesRead
    case .parquet(let parquet): parquet.bytesRead
    }
  }

  /// Calls with the next events, at least one, with the numbers of their lines, elements or rows; false at the end.
  public mutating func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    switch form {
    case .lines(let lines): try lines.reader.next(body)
    case .array(let array): try array.next(body)
    case .csv(let csv): try csv.next(body)
    case .parquet(let parquet): try parquet.next(body)
    }
  }
}

/// What a source reads of a table's columns.
struct TableColumns {
  /// By the name of the table's column. What stands inside of values has the first declared column of those.
  private(set) var declared: [String: EventSchema.Column] = [:]
  /// In the order of declaration.
  private(set) var names: [String] = []
  /// Those with declared values inside.
  private(set) var nested: Set<String> = []
  /// Of the event time; nil if that is no column's.
  let time: String?
  /// The column that a header is known by; nil without any.
  var mark: String? { time ?? names.first }

  init(_ schema: EventSchema) {
    var time: String?
    for (index, column) in schema.columns.enumerated() {
      guard case .json(let path) = column.origin, case .member(let name) = path.steps[0] else { continue }
      if index == schema.timeColumn { time = name }
      if path.steps.count > 1 { nested.insert(name) }
      if declared.updateValue(declared[name] ?? column, forKey: name) == nil { names.append(name) }
    }
    if case .member(let name)? = schema.each?.steps.first { nested.insert(name) }
    self.time = time
  }

  /// Refuses a table that lacks columns: each of its rows would.
  func check(_ columns: [String], path: String) throws(TableError) {
    let missing = names.filter { !columns.contains($0) }
    guard !missing.isEmpty else { return }
    let have =
      columns.isEmpty
      ? "none" : columns.prefix(20).joined(separator: ", ") + (columns.count > 20 ? ", …" : "")
    throw TableError(
      path: path,
      problem:
        "lacks \(missing.count == 1 ? "the column" : "the columns") \(missing.joined(separator: ", ")), which the "
        + "source declares; it has \(have)",
      remedy:
        "correct the name (a field with another name than its column says path:), or leave the field out")
  }
}

/// JSON as it is appended to an event.
extension LineBuffer {
  mutating func appendName(_ label: [UInt8], isFirst: Bool) {
    bytes.append(isFirst ? UInt8(ascii: "{") : UInt8(ascii: ","))
    bytes.append(contentsOf: label)
  }

  mutating func append(text: UnsafeRawBufferPointer) {
    ValueText.appendJSONString(text, to: &bytes)
  }

  mutating func append(literal: StaticString) {
    literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  /// A member's name with its colon.
  static func label(_ name: String) -> [UInt8] {
    var label: [UInt8] = []
    ValueText.appendJSONString([UInt8](name.utf8), to: &label)
    label.append(UInt8(ascii: ":"))
    return label
  }
}
