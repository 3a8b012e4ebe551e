import Capture
import FeatureCore
import Processor

/// A log in memory, which can break off at any of its steps.
final class MemoryLog: CaptureLog {
  struct Record: Equatable {
    var key: String
    /// nil: a deletion.
    var value: String?
    var timestamp: Int64?
  }

  private(set) var records: [Record] = []
  private(set) var transactions = 0
  private var open: [Record]?
  private var progress: CaptureProgress?
  /// Steps until one fails; nil: none does.
  var stepsLeft: Int?

  /// A new producer: what wasn't committed is gone.
  func fence() { open = nil }

  private func step() throws(LogError) {
    guard let left = stepsLeft else { return }
    stepsLeft = left - 1
    if left <= 0 { throw LogError(.retry, "the broker is away") }
  }

  func progress(of topic: String) -> CaptureProgress? { progress }

  func forEachRecord(
    of topic: String,
    _ body: (_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ sequence: Int64)
      throws(CaptureFault) ->
      Void
  ) throws(CaptureFault) {
    for (offset, record) in records.enumerated() {
      let (key, value) = (Array(record.key.utf8), record.value.map { Array($0.utf8) })
      try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(CaptureFault) in
        guard let value else { return try body(key, nil, Int64(offset)) }
        try value.span.bytes.withUnsafeBytes { (value: UnsafeRawBufferPointer) throws(CaptureFault) in
          try body(key, value, Int64(offset))
        }
      }
    }
  }

  func begin() throws(LogError) {
    try step()
    precondition(open == nil, "Cannot begin a transaction in another")
    open = []
  }

  func send(
    topic: String, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?, timestampMilliseconds: Int64?
  ) throws(LogError) {
    try step()
    open?.append(
      Record(
        key: String(decoding: key, as: UTF8.self), value: value.map { String(decoding: $0, as: UTF8.self) },
        timestamp: timestampMilliseconds))
  }

  /// Half of the commits that fail have happened.
  func commit(_ progress: CaptureProgress, of topic: String) throws(LogError) {
    guard let pending = open else { preconditionFailure("Cannot commit without a transaction") }
    let happens = stepsLeft.map { $0 > 0 || transactions % 2 == 0 } ?? true
    if happens {
      records += pending
      self.progress = progress
      transactions += 1
      open = nil
    }
    try step()
  }

  /// Each key's rows without their times, in order; nil for a deletion.
  var versions: [String: [String?]] {
    var versions: [String: [String?]] = [:]
    for record in records {
      versions[record.key, default: []].append(record.value.map { $0.split(separator: ",\"_at\"")[0] + "}" })
    }
    return versions
  }

  /// What the topic comes to.
  var rows: [String: String] { versions.compactMapValues { $0.last ?? nil } }

  /// Keys with two versions in a row that are the same.
  var repeated: [String] {
    versions.filter {
      $0.value.first == .some(nil) || zip($0.value, $0.value.dropFirst()).contains { $0 == $1 }
    }
    .map(\.key)
  }

  /// The times of rows and deletions, in microseconds.
  var times: [Int64] {
    records.map { record in
      record.timestamp.map { $0 * 1_000 }
        ?? Int64(record.value?.split(separator: ":").last?.dropLast() ?? "") ?? .min
    }
  }
}

extension CapturedTable {
  /// The table of a source with fields.
  static func users(_ fields: [Source.Field]) throws -> CapturedTable {
    try CapturedTable(
      Source(
        "users", topic: "shop.users", key: "id", timestamp: .init(field: "_at", unit: .microseconds),
        fields: fields))
  }
}

/// The lines of a scan, with what it fails of.
func scannedRows(_ table: some ScannedTable, during: (Int) throws -> Void = { _ in }) throws -> [String] {
  var rows: [String] = []
  do {
    try table.scan({ _ in }) { (row) throws(CaptureFault) in
      rows.append(row.text + "}")
      do { try during(rows.count) } catch { throw .database(CaptureError(.stop, "\(error)")) }
    }
  } catch CaptureFault.database(let error) {
    throw error
  }
  return rows
}

extension RowText {
  /// What has been written.
  var text: String { withBytes { String(decoding: $0, as: UTF8.self) } }
  /// The record's key.
  var keyText: String { withKey { String(decoding: $0, as: UTF8.self) } }
}
