public import Capture
import EventFiles
public import FeatureCore
import Glibc
import OfflineStore

/// A file of rows, in any form that event files have: CSV, Parquet, NDJSON, a JSON array, told by its content. One thread.
public final class FileTable: ScannedTable {
  private let path: String
  private let table: CapturedTable
  private let schema: EventSchema
  /// Microseconds since 1970.
  private let now: () -> Int64
  /// The file of the latest whole scan.
  private var version: FileVersion?
  private var wasOpened = false

  /// See `ScannedTable`: as many as the file has if the rest of it is like what has been read.
  public private(set) var rowsEstimate: Int?
  /// See `ScannedTable`.
  public var tableName: String { path }

  /// Of one step of the clock that files get their times from.
  private static let tickMicroseconds: Int64 = 20_000

  /// The file at a path, whose columns are written as those of a source's schema. `now` is the wall clock, in microseconds
  /// since 1970.
  public init(path: String, _ schema: EventSchema, as table: CapturedTable, now: @escaping () -> Int64) {
    self.path = path
    self.table = table
    self.now = now
    // A header is known by the first column: the key.
    let names =
      [table.columns[table.key].name]
      + table.columns.map(\.name).filter {
        $0 != table.columns[table.key].name
      }
    var columns = names.compactMap { name in schema.columns.first { $0.name == name } }
    columns.append(
      EventSchema.Column(name: "", type: .timestamp, unit: .milliseconds, origin: .recordTimestamp))
    self.schema = EventSchema(columns: columns, timeColumn: columns.count - 1)
  }

  /// See `ScannedTable`.
  public func mayHaveChanged() -> Bool { version == nil || FileVersion(path) != version }

  /// See `ScannedTable`. A file that is written to meanwhile is no table as of one moment: that is an error which passes.
  public func scan(
    _ begin: (_ time: Int64) -> Void, _ row: (borrowing RowText) throws(CaptureFault) -> Void
  ) throws(CaptureFault) {
    version = nil
    let found = try opened()
    begin(now())
    do throws(CaptureFault) {
      try read(row)
    } catch {
      if case .database = error, FileVersion(path) != found { throw .database(changed) }
      throw error
    }
    guard FileVersion(path) == found else { throw .database(changed) }
    version = found
  }

  /// The file as it is now. Of one that has just been written a change within the same step of the clock wouldn't show: it has to
  /// be older.
  private func opened() throws(CaptureFault) -> FileVersion {
    for _ in 0..<10 {
      guard let found = FileVersion(path) else {
        throw .database(
          CaptureError(
            wasOpened ? .retry : .stop,
            "source '\(table.source)': there is no file '\(path)' that can be read; correct 'file' of its 'capture'"
          ))
      }
      let age = now() - found.modified / 1_000
      if age < 0 || age > Self.tickMicroseconds {
        wasOpened = true
        return found
      }
      usleep(UInt32(Self.tickMicroseconds))
    }
    throw .database(changed)
  }

  private var changed: CaptureError {
    CaptureError(
      .retry,
      "source '\(table.source)': the file '\(path)' changes while it is read; write a new file and rename it to this name"
    )
  }

  private func read(_ row: (borrowing RowText) throws(CaptureFault) -> Void) throws(CaptureFault) {
    do {
      let files = try EventFile.all(path)
      guard files.count == 1 else {
        throw CaptureError(.stop, "source '\(table.source)': '\(path)' is a folder; name one file")
      }
      var reader = try EventFileReader(files[0], schema)
      let decoder = RowDecoder(schema, table, path: path)
      var rows = 0
      while try reader.next({ block in
        rows += block.count
        for line in block {
          try decoder.decode(line)
          try row(decoder.text)
        }
      }) {
        estimate(rows, reader.bytesRead, of: reader.totalBytes)
      }
    } catch let fault as CaptureFault {
      throw fault
    } catch let error as CaptureError {
      throw .database(error)
    } catch {
      throw .database(CaptureError(.stop, "source '\(table.source)': \(error)"))
    }
  }

  private func estimate(_ rows: Int, _ bytes: Int64, of total: Int64?) {
    guard let total, bytes > 0, bytes <= total else { return }
    rowsEstimate = max(rows, Int(Double(rows) * Double(total) / Double(bytes)))
  }
}

/// Makes a row of a line of JSON, as a source declares it. One thread.
private final class RowDecoder {
  private let schema: EventSchema
  private let path: String
  private let table: CapturedTable
  private var decoder: EventDecoder
  private let arena = TextArena()
  private let values: UnsafeMutablePointer<Scalar>
  /// Where the table's columns stand in the decoder's rows.
  private let places: [Int]
  /// The latest row.
  private(set) var text: RowText

  init(_ schema: EventSchema, _ table: CapturedTable, path: String) {
    self.schema = schema
    self.table = table
    self.path = path
    decoder = EventDecoder(schema)
    values = .allocate(capacity: schema.columns.count)
    values.initialize(repeating: .null, count: schema.columns.count)
    places = table.columns.map { column in
      guard let place = schema.columns.firstIndex(where: { $0.name == column.name }) else {
        preconditionFailure("Cannot find the column '\(column.name)' in its own schema")
      }
      return place
    }
    text = RowText(table)
  }

  deinit { values.deallocate() }

  func decode(_ line: Line) throws(CaptureError) {
    arena.reset()
    guard !line.isOversized else {
      throw CaptureError(
        .stop,
        "source '\(table.source)', \(path):\(line.number): longer than \(Limits.recordBytesMax) bytes; look for a quote that is not closed"
      )
    }
    do throws(DecodeFailure) {
      try decoder.decode(
        line.bytes, RecordFields(timestampMilliseconds: 0, key: nil), into: values, arena: arena)
    } catch {
      throw CaptureError(
        .stop,
        "source '\(table.source)', \(path):\(line.number): \(error.message(schema)); correct the row, or declare another type"
      )
    }
    text.begin()
    for (index, column) in table.columns.enumerated() {
      let value = values[places[index]]
      guard value.isValue else {
        text.null(index)
        continue
      }
      switch column.type {
      case .string: text.string(index, value.text)
      case .int64: text.integer(index, value.int64)
      case .double: text.double(index, value.double)
      case .bool: text.bool(index, value.isTrue)
      case .timestamp: text.time(index, EventTime(microseconds: value.int64))
      }
    }
    text.endContent()
  }
}

/// Which file stands under a name, and when it was written last.
private struct FileVersion: Equatable {
  private let device: UInt64
  private let number: UInt64
  private let bytes: Int64
  /// Nanoseconds since 1970.
  let modified: Int64

  /// nil: there is none.
  init?(_ path: String) {
    var found = stat()
    guard stat(path, &found) == 0 else { return nil }
    device = UInt64(found.st_dev)
    number = UInt64(found.st_ino)
    bytes = Int64(found.st_size)
    modified = Int64(found.st_mtim.tv_sec) * 1_000_000_000 + Int64(found.st_mtim.tv_nsec)
  }
}
