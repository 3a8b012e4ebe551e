import FeatureCore
import Parquet

/// A Parquet file in the making, which appears whole or not at all.
final class ExportFile {
  private var output: OutputFile
  private var writer: ParquetWriter?
  private var column = 0
  private(set) var rowCount = 0
  private(set) var byteCount = 0
  /// Of the bytes so far.
  private(set) var checksum = FileChecksum()

  init(path: String, columns: [ParquetColumn], options: ParquetOptions = ParquetOptions()) throws(TableError)
  {
    output = try OutputFile(path: path)
    writer = ParquetWriter(columns: columns, options: options)
  }

  /// Appends the row's next value.
  func append(_ value: FeatureValue) {
    writer?.append(value, to: column)
    column += 1
  }

  /// Appends the row's next value to a column of bytes.
  func append(bytes: UnsafeRawBufferPointer) {
    writer?.append(bytes: bytes, to: column)
    column += 1
  }

  func endRow() throws(TableError) {
    column = 0
    rowCount += 1
    if writer?.endRow() == true {
      try writer?.writeRowGroup { (bytes) throws(TableError) in try write(bytes) }
    }
  }

  /// Completes the file, once, under its own name or another one in the same folder.
  func finish(as name: String? = nil) throws(TableError) {
    guard let writer = writer.take() else { preconditionFailure("Cannot finish a file twice") }
    try writer.finish { (bytes) throws(TableError) in try write(bytes) }
    try output.finish(as: name)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws(TableError) {
    byteCount += bytes.count
    checksum.add(bytes)
    output.buffer.append(contentsOf: bytes)
    try output.rowEnded()
  }
}
