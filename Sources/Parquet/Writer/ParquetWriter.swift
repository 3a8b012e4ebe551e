public import FeatureCore

/// How a file is laid out. The defaults suit files that are scanned as a whole.
public struct ParquetOptions: Sendable {
  /// A row group ends after the row that makes it this large in memory, in bytes: the writer's memory is this and one row.
  public var rowGroupBytes = 64 << 20
  /// A row group has at most this many rows.
  public var rowGroupRowsMax = 1 << 20
  /// A page ends after the row that makes it this large, in bytes before compression; pages are what readers decode at a time.
  public var pageBytes = 1 << 20
  /// A column chunk whose distinct values take more bytes is written without a dictionary.
  public var dictionaryBytesMax = 1 << 20
  /// zstd's level, 1 to 22.
  public var compressionLevel = 3
  /// What the file says of itself, in this order: versions, positions.
  public var metadata: [(key: String, value: String)] = []
  /// The program that wrote the file, in the form `<name> version <version>`.
  public var createdBy = "plumbline version 1"

  /// The defaults.
  public init() {}
}

/// Encodes rows as a Parquet file (https://github.com/apache/parquet-format): zstd, dictionaries where they pay, data
/// pages of version 1, statistics and checksums. The bytes are a function of the rows, the options and libzstd's version.
///
/// A row is one value, null or list in every column, in any order of the columns, then `endRow`. When that says so,
/// `writeRowGroup` must be called before the next row:
///
///     writer.append(7, to: 0)
///     writer.append(.string("a"), to: 1)
///     if writer.endRow() { try writer.writeRowGroup { bytes in try file.write(bytes) } }
///
/// The writer does no I/O: its bytes go to a closure, piece by piece. After an error of the closure what has been
/// written is no Parquet file.
public struct ParquetWriter: ~Copyable {
  /// Bytes of one text or list: larger ones would not fit the format's 32-bit page sizes.
  public static let cellBytesMax = 1 << 28

  private let options: ParquetOptions
  private let footer: FooterWriter
  private var columns: [ColumnBuffer]
  private var rowCount = 0
  private var isGroupFull = false
  private var groups: [RowGroupSummary] = []
  private var encoder: ChunkEncoder
  private var output = ByteBuffer()
  /// Bytes that have been written.
  private var offset: Int64 = 0

  /// Begins a file of at least one column; names are unique.
  public init(columns: [ParquetColumn], options: ParquetOptions = ParquetOptions()) {
    precondition(!columns.isEmpty, "Cannot write a Parquet file without columns")
    precondition(Set(columns.map(\.name)).count == columns.count, "Cannot write two columns of one name")
    self.options = options
    footer = FooterWriter(columns: columns, metadata: options.metadata, createdBy: options.createdBy)
    self.columns = columns.map(ColumnBuffer.init)
    encoder = ChunkEncoder(
      pageBytes: options.pageBytes, dictionaryBytesMax: options.dictionaryBytesMax,
      level: Int32(options.compressionLevel))
  }

  /// Appends an int64 to a column, or to the list that is open in it.
  public mutating func append(_ value: Int64, to column: Int) {
    expect(.int64, column)
    columns[column].append(word: UInt64(bitPattern: value))
  }

  /// Appends a double, of whatever kind: NaN and infinities are kept, with their bits.
  public mutating func append(_ value: Double, to column: Int) {
    expect(.double, column)
    columns[column].append(word: value.bitPattern)
  }

  /// Appends a bool.
  public mutating func append(_ value: Bool, to column: Int) {
    expect(.bool, column)
    columns[column].append(word: value ? 1 : 0)
  }

  /// Appends a time.
  public mutating func append(_ value: EventTime, to column: Int) {
    expect(.timestamp, column)
    columns[column].append(word: UInt64(bitPattern: value.microseconds))
  }

  /// Appends text, which must be valid UTF-8 of at most `cellBytesMax` bytes.
  public mutating func append(utf8 bytes: UnsafeRawBufferPointer, to column: Int) {
    expect(.string, column)
    columns[column].append(text: bytes)
  }

  /// Appends bytes of any kind, at most `cellBytesMax`.
  public mutating func append(bytes: UnsafeRawBufferPointer, to column: Int) {
    expect(.string, column, isBinary: true)
    columns[column].append(text: bytes)
  }

  /// Appends a null row, or a null element to the list that is open.
  public mutating func appendNull(to column: Int) { columns[column].appendNull() }

  /// Begins a list: what is appended to the column from now on are its elements.
  public mutating func beginList(in column: Int) { columns[column].beginList() }

  /// Ends the list that is open.
  public mutating func endList(in column: Int) { columns[column].endList() }

  /// Appends a value of the column's type, or null.
  public mutating func append(_ value: FeatureValue, to column: Int) {
    switch value {
    case .null: appendNull(to: column)
    case .int64(let value): append(value, to: column)
    case .double(let value): append(value, to: column)
    case .bool(let value): append(value, to: column)
    case .timestamp(let value): append(value, to: column)
    case .string(let text): text.utf8.withUnsafeBytes { append(utf8: $0, to: column) }
    case .list(let elements):
      beginList(in: column)
      for element in elements { append(element, to: column) }
      endList(in: column)
    }
  }

  /// Ends a row, which must have a value for every column. True when the row group is full and must be written.
  public mutating func endRow() -> Bool {
    precondition(!isGroupFull, "Cannot end a row before the full row group has been written")
    rowCount += 1
    var byteCount = 0
    for index in columns.indices {
      precondition(
        columns[index].rowCount == rowCount && !columns[index].isRowOpen,
        "Cannot end a row: column \(columns[index].column.name) has not exactly one value for it")
      byteCount += columns[index].byteCount
    }
    isGroupFull = byteCount >= options.rowGroupBytes || rowCount >= options.rowGroupRowsMax
    return isGroupFull
  }

  /// Encodes the rows since the last time as a row group and hands its bytes over, a column at a time. Without rows
  /// nothing is written. Row groups are a part of the file's bytes: call this when `endRow` says so, and only then.
  public mutating func writeRowGroup<Failure: Error>(
    to write: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    if offset == 0 {
      Magic.bytes.withUnsafeBytes { output.append($0) }
      try flush(to: write)
    }
    guard rowCount > 0 else { return }
    var group = RowGroupSummary(rowCount: rowCount, offset: offset, chunks: [])
    for index in columns.indices {
      group.chunks.append(encoder.encode(columns[index], to: &output))
      columns[index].removeAll()
      try flush(to: write)
    }
    groups.append(group)
    rowCount = 0
    isGroupFull = false
  }

  /// Writes what is left and the footer: the file is complete.
  public consuming func finish<Failure: Error>(
    to write: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try writeRowGroup(to: write)
    let bytes = footer.bytes(groups)
    bytes.withUnsafeBytes { output.append($0) }
    output.append(word: UInt32(bytes.count))
    Magic.bytes.withUnsafeBytes { output.append($0) }
    try flush(to: write)
  }

  private mutating func flush<Failure: Error>(
    to write: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try write(output.bytes)
    offset += Int64(output.count)
    output.removeAll()
  }

  @inline(__always)
  private func expect(_ type: ValueType, _ column: Int, isBinary: Bool = false) {
    precondition(
      columns[column].column.valueType == type && columns[column].column.isBinary == isBinary,
      "Cannot append a \(isBinary ? "text of bytes" : type.rawValue) to column \(columns[column].column.name)"
    )
  }
}
