import FeatureCore

/// Reads a Parquet file (https://github.com/apache/parquet-format) in batches of rows: one page of each column is in memory
/// at a time.
///
/// It reads what pyarrow, pandas, DuckDB, Polars and Spark write by default and by their common options: scalars and lists of
/// them in every physical type, UTF-8 or any bytes; every encoding but BIT_PACKED; data pages of both versions; no compression,
/// Snappy, gzip, zstd, Brotli and LZ4_RAW. INT32 becomes int64, DECIMAL double, or int64 if it has neither a fraction nor more than
/// 18 digits, UUID text, FLOAT double, DATE a timestamp at midnight; timestamps of any unit become
/// microseconds, rounded down; those without a time zone are taken for UTC, and told as such. What is damaged or not supported is an
/// error that names the column, never a trap.
public struct ParquetReader: ~Copyable {
  /// List elements of a column in a batch, at most.
  public static let batchElementsMax = 1 << 26
  /// Bytes of text of a column in a batch, at most.
  public static let batchTextBytesMax = 1 << 30

  /// The columns that are read.
  public let columns: [ParquetColumn]
  /// The file's rows.
  public let rowCount: Int64
  /// What the file says of itself, in its order.
  public let metadata: [(key: String, value: String)]
  /// The program that wrote it.
  public let createdBy: String?

  private let input: ParquetInput
  private let decompressor = Decompressor()
  private let batchRowsMax: Int
  /// Of the columns that are read, where they are in a row group.
  private let chunkIndices: [Int]
  private let leaves: [SchemaLeaf.Readable]
  private let groups: [RowGroup]
  /// Where pages may be: between the magic number and the footer.
  private let pageBytes: Range<Int>
  private var nextGroup = 0
  private var rowsLeft = 0
  private var chunks: [ChunkReader] = []

  /// Reads the footer. `names` chooses columns and their order; all of them when nil. Behind them come the leaves of
  /// `parts`, by their numbers, which must be readable: slot by slot, with their levels. `integers` are those of them
  /// that hold integers, and are read as such.
  public init(
    _ input: consuming ParquetInput, columns names: [String]? = nil, parts: [Int] = [],
    integers: Set<Int> = [], batchRowsMax: Int = 4096
  ) throws(ParquetError) {
    precondition(batchRowsMax > 0, "Cannot read batches without rows")
    let path = input.path
    let (footer, pageBytes) = try Self.footer(input)
    let chosen: [(Int, SchemaLeaf.Readable)]
    do throws(FormatProblem) {
      let leaves = try SchemaWalk.leaves(footer.schema)
      for group in footer.groups {
        guard group.chunks.count == leaves.count, group.rowCount >= 0, group.rowCount <= Int64(Int.max) else {
          throw FormatProblem("a row group does not have the schema's columns")
        }
      }
      let (sum, overflow) = footer.groups.reduce((Int64(0), false)) { sum, group in
        let (next, overflow) = sum.0.addingReportingOverflow(group.rowCount)
        return (next, sum.1 || overflow)
      }
      guard !overflow, sum == footer.rowCount else {
        throw FormatProblem("the footer's count of rows is not that of its row groups")
      }
      chosen = try Self.choose(names, leaves, path) + Self.leaves(parts, integers, footer.schema)
    } catch {
      throw ParquetError(path: path, problem: error.text, remedy: Self.damaged)
    }
    columns = chosen.map { $0.1.column }
    chunkIndices = chosen.map(\.0)
    leaves = chosen.map(\.1)
    rowCount = footer.rowCount
    metadata = footer.metadata
    createdBy = footer.createdBy
    groups = footer.groups
    self.pageBytes = pageBytes
    self.batchRowsMax = batchRowsMax
    self.input = input
  }

  /// A file's top-level columns, and why each that cannot be read is so.
  public static func contents(
    _ input: consuming ParquetInput
  ) throws(ParquetError) -> [(name: String, problem: String?)] {
    let (footer, _) = try footer(input)
    var contents: [(name: String, problem: String?)] = []
    do throws(FormatProblem) {
      for leaf in try SchemaWalk.leaves(footer.schema) where contents.last?.name != leaf.name {
        switch leaf.column {
        case .success: contents.append((leaf.name, nil))
        case .failure(let why): contents.append((leaf.name, why.reason))
        }
      }
    } catch {
      throw ParquetError(path: input.path, problem: error.text, remedy: damaged)
    }
    return contents
  }

  /// A file's top-level columns with what is inside of them.
  public static func parts(_ input: consuming ParquetInput) throws(ParquetError) -> [ParquetPart] {
    let (footer, _) = try footer(input)
    do throws(FormatProblem) {
      // It checks the tree.
      _ = try SchemaWalk.leaves(footer.schema)
    } catch {
      throw ParquetError(path: input.path, problem: error.text, remedy: damaged)
    }
    return PartWalk.parts(footer.schema).parts
  }

  private static func leaves(
    _ numbers: [Int], _ integers: Set<Int>, _ schema: [SchemaElement]
  ) -> [(Int, SchemaLeaf.Readable)] {
    guard !numbers.isEmpty else { return [] }
    let leaves = PartWalk.parts(schema).leaves
    return numbers.map { number in
      guard case .success(var readable) = leaves[number] else {
        preconditionFailure("Cannot read a leaf that can't be read")
      }
      if integers.contains(number) {
        precondition(
          readable.conversion == .decimal(scale: 0), "Cannot read a leaf as integers that holds none")
        readable.column = ParquetColumn(readable.column.name, .scalar(.int64))
      }
      return (number, readable)
    }
  }

  /// The next rows, at most `batchRowsMax`, all of one row group; nil behind the last.
  public mutating func next() throws(ParquetError) -> ParquetBatch? {
    while rowsLeft == 0 {
      guard nextGroup < groups.count else { return nil }
      let group = groups[nextGroup]
      nextGroup += 1
      // Writers may leave the offsets of an empty group out.
      if group.rowCount > 0 { try beginGroup(group) }
    }
    let count = min(rowsLeft, batchRowsMax)
    rowsLeft -= count
    var vectors: [ParquetVector] = []
    vectors.reserveCapacity(chunks.count)
    for chunk in chunks {
      var vector = ParquetVector(chunk.leaf.column)
      do throws(FormatProblem) {
        try chunk.read(rows: count, to: &vector, input, decompressor)
        guard rowsLeft > 0 || chunk.isAtEnd else {
          throw FormatProblem("it has more rows than its row group")
        }
      } catch {
        throw columnError(chunk.leaf.column, error)
      }
      vectors.append(vector)
    }
    return ParquetBatch(rowCount: count, columns: vectors)
  }

  private mutating func beginGroup(_ group: RowGroup) throws(ParquetError) {
    rowsLeft = Int(group.rowCount)
    chunks = []
    for (index, leaf) in zip(chunkIndices, leaves) {
      do throws(FormatProblem) {
        chunks.append(try ChunkReader(leaf, group.chunks[index], bytes: pageBytes))
      } catch {
        throw columnError(leaf.column, error)
      }
    }
  }

  private static var damaged: String {
    "copy or write the file again, with the defaults of pyarrow, DuckDB or Polars and zstd or Snappy"
  }

  private func columnError(_ column: ParquetColumn, _ problem: FormatProblem) -> ParquetError {
    ParquetError(
      path: input.path, problem: "column \(column.name), row group \(nextGroup): \(problem.text)",
      remedy: problem.remedy ?? Self.damaged)
  }

  private static func choose(
    _ names: [String]?, _ leaves: [SchemaLeaf], _ path: String
  ) throws(FormatProblem) -> [(Int, SchemaLeaf.Readable)] {
    guard !leaves.isEmpty else { throw FormatProblem("it has no columns") }
    var chosen: [(Int, SchemaLeaf.Readable)] = []
    for name in names ?? leaves.map(\.name) {
      let found = leaves.filter { $0.name == name }
      guard let leaf = found.first else {
        let others = Set(leaves.map(\.name)).sorted().joined(separator: ", ")
        throw FormatProblem("it has no column \(name), only \(others)")
      }
      switch leaf.column {
      case .success(let readable) where found.count == 1: chosen.append((leaf.index, readable))
      case .success: throw FormatProblem("it has two columns \(name)")
      case .failure(let why): throw FormatProblem("column \(name) cannot be read: \(why.reason)")
      }
    }
    return chosen
  }

  private static func footer(_ input: borrowing ParquetInput) throws(ParquetError) -> (
    FileMetadata, Range<Int>
  ) {
    let path = input.path
    let frame = Magic.bytes.count
    let notParquet = ParquetError(
      path: path, problem: "is no Parquet file, or is not complete",
      remedy: "check the path, or copy the file again")
    guard input.byteCount >= 2 * frame + 4 else { throw notParquet }
    var tail = ByteBuffer()
    try tail.append(atMost: frame + 4) { (room) throws(ParquetError) in
      try input.read(at: input.byteCount - frame - 4, into: room)
      return frame + 4
    }
    guard !tail.bytes[4...].elementsEqual(Magic.encrypted) else {
      throw ParquetError(path: path, problem: "is encrypted", remedy: "write it without encryption")
    }
    guard tail.bytes[4...].elementsEqual(Magic.bytes) else { throw notParquet }
    let length = Int(UInt32(littleEndian: tail.bytes.loadUnaligned(as: UInt32.self)))
    let end = input.byteCount - frame - 4
    guard length <= end - frame else {
      throw ParquetError(
        path: path, problem: "its footer of \(length) bytes does not fit into it", remedy: damaged)
    }
    var bytes = ByteBuffer()
    try bytes.append(atMost: length) { (room) throws(ParquetError) in
      try input.read(at: end - length, into: room)
      return length
    }
    var thrift = ThriftReader(bytes.bytes)
    do throws(FormatProblem) {
      return (try FileMetadata(&thrift), frame..<(end - length))
    } catch {
      throw ParquetError(path: path, problem: "its footer is damaged: \(error.text)", remedy: damaged)
    }
  }
}
