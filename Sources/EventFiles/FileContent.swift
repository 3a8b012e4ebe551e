/// What the uncompressed bytes of a file are, told from their beginning and not from a name.
public enum FileContent: Hashable, Sendable {
  /// JSON objects, one a line.
  case lines
  /// One JSON array of objects.
  case array
  /// Parquet.
  case parquet
  /// Some other text, such as CSV. `hasObjects`: a line of it begins like a JSON object.
  case text(hasObjects: Bool)
  /// Nothing, or nothing but white space.
  case empty

  /// What programs begin files with that hold events and cannot be read, and what to do with each.
  private static let others: [(magic: [UInt8], offset: Int, name: String, remedy: String)] = {
    let parquet = "write it as Parquet, CSV or NDJSON"
    let unpack = "unpack it, or pack it with gzip, zstd or xz"
    return [
      (
        [0x50, 0x4B, 0x03, 0x04], 0, "a zip archive, or a spreadsheet in one",
        "unpack it, or export it as CSV"
      ),
      ([0xD0, 0xCF, 0x11, 0xE0], 0, "an old Excel or Office file", "export it as CSV"),
      (Array("BZh".utf8), 0, "bzip2", unpack),
      ([0x04, 0x22, 0x4D, 0x18], 0, "an LZ4 frame", unpack),
      ([0xFF, 0x06, 0x00, 0x00, 0x73, 0x4E, 0x61, 0x50, 0x70, 0x59], 0, "framed Snappy", unpack),
      ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, "a 7z archive", unpack),
      (Array("Rar!".utf8), 0, "a RAR archive", unpack),
      (Array("ustar".utf8), 257, "a tar archive", "unpack it and name the files in it"),
      (Array("Obj\u{1}".utf8), 0, "an Avro file", parquet),
      (Array("ORC".utf8), 0, "an ORC file", parquet),
      (Array("ARROW1".utf8), 0, "an Arrow or Feather file", parquet),
      (Array("FEA1".utf8), 0, "a Feather file", parquet),
      (Array("PARE".utf8), 0, "an encrypted Parquet file", "write it without encryption"),
      (Array("SQLite format 3".utf8), 0, "a SQLite database", "export the table as CSV or NDJSON"),
      (Array("DUCK".utf8), 8, "a DuckDB database", "export the table with COPY ... TO 'x.parquet'"),
      ([0x89, 0x48, 0x44, 0x46], 0, "an HDF5 file", parquet),
      (Array("%PDF".utf8), 0, "a PDF", "export the table as CSV"),
      ([0xFF, 0xFE], 0, "UTF-16 text", "convert it to UTF-8"),
      ([0xFE, 0xFF], 0, "UTF-16 text", "convert it to UTF-8"),
      (Array("<".utf8), 0, "XML or HTML", "write it as NDJSON, CSV or Parquet"),
    ]
  }()

  /// What an opened file is, and its first bytes. What cannot be read is an error that names it.
  public static func of(
    _ source: inout ByteSource
  ) throws(EventFileError) -> (content: FileContent, beginning: [UInt8]) {
    let beginning = try source.peek()
    let content = try FileContent(beginning, path: source.path)
    guard content != .parquet || !source.isCompressed && source.path != "-" else {
      throw EventFileError(
        path: source.path, problem: "is Parquet, which is read from its end",
        remedy: "unpack it into a file: Parquet is compressed inside")
    }
    return (content, beginning)
  }

  /// What a file is whose first bytes these are.
  init(_ beginning: [UInt8], path: String) throws(EventFileError) {
    // A header of CSV may begin like some of these: PARENT_ID is no encrypted Parquet. Text has no such bytes.
    let isBinary = beginning.contains { $0 < 0x09 }
    if isBinary, beginning.starts(with: Array("PAR1".utf8)) {
      self = .parquet
      return
    }
    for other in Self.others
    where (isBinary || !other.magic.allSatisfy(Self.standsInNames))
      && beginning.dropFirst(other.offset).starts(with: other.magic)
    {
      throw EventFileError(path: path, problem: "is \(other.name), which is not read", remedy: other.remedy)
    }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let text = beginning.starts(with: mark) ? beginning.dropFirst(mark.count) : beginning[...]
    guard let first = text.first(where: { !Self.isSpace($0) }) else {
      self = .empty
      return
    }
    switch first {
    case UInt8(ascii: "{"):
      guard !Self.goesOverLines(text) else {
        throw EventFileError(
          path: path, problem: "has JSON objects that go over several lines, which are not read",
          remedy: "write one object a line (jq -c . FILE), or one array of them")
      }
      self = .lines
    case UInt8(ascii: "["): self = .array
    default:
      let hasObjects = text.split(separator: 0x0A).contains {
        $0.first { !Self.isSpace($0) } == UInt8(ascii: "{")
      }
      guard hasObjects || !text.contains(0) else {
        throw EventFileError(
          path: path, problem: "is no text and in no known form (its first bytes: \(Self.hex(text)))",
          remedy: "write it as NDJSON, CSV or Parquet")
      }
      self = .text(hasObjects: hasObjects)
    }
  }

  /// White space of JSON.
  static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }

  /// Whether text that begins with an object is written for people: the first line opens it, and the second goes on. (A line
  /// that was cut is followed by an object.)
  private static func goesOverLines(_ text: ArraySlice<UInt8>) -> Bool {
    let lines = text.split(separator: 0x0A, maxSplits: 2).prefix(2).map { line in line.filter { !isSpace($0) }
    }
    guard lines.count == 2, let last = lines[0].last, let next = lines[1].first else { return false }
    let opens = last == UInt8(ascii: "[") || last == UInt8(ascii: "{") || last == UInt8(ascii: ",")
    let goesOn = next == UInt8(ascii: "\"") || next == UInt8(ascii: "}") || last == UInt8(ascii: "[")
    return opens && goesOn
  }

  private static func standsInNames(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
  }

  private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}
