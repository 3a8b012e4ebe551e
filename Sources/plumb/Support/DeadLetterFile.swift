import FeatureCore
import OfflineStore
import Processor

/// Counts dead letters by reason and, if there is a file, keeps them in it: file, line, reason, view, message, record.
final class DeadLetterFile {
  private let path: String?
  private var counts: [String: Int] = [:]
  /// Of records that nothing but their file holds.
  private var lost = 0
  /// Letters that are not written yet.
  private var writer: TableWriter?

  init(path: String?) throws(TableError) {
    self.path = path
    guard let path else {
      writer = nil
      return
    }
    writer = try TableWriter(
      path: path, format: .ndjson, columns: ["file", "line", "reason", "view", "message", "record"])
  }

  /// Adds a letter of a file's line. `isInLog`: it is a record of a topic, which the service keeps as a dead letter.
  func append(
    _ letter: DeadLetter, path: String, line: Int64? = nil, isInLog: Bool = false
  ) throws(TableError) {
    counts[letter.reason, default: 0] += 1
    if !isInLog && self.path == nil { lost += 1 }
    try writer?.write([
      .string(Text(path)), .int64(line ?? letter.sequence), .string(Text(letter.reason)),
      letter.view.map { .string(Text($0)) } ?? .null, .string(Text(letter.message)),
      // The record may be anything, and the file has to be valid JSON: what is no UTF-8 becomes U+FFFD.
      .string(Text(String(decoding: letter.payload, as: UTF8.self))),
    ])
  }

  func finish() throws(TableError) {
    guard let writer = writer.take() else { return }
    try writer.finish()
  }

  /// Whether there are letters that nothing keeps.
  var areLost: Bool { lost > 0 }

  /// The counts, as a sentence.
  var summary: String {
    if counts.isEmpty { return "no dead letters" }
    let reasons = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
    let place =
      path.map { "in \($0)" } ?? (lost > 0 ? "not kept: name a file with --dead-letters" : "of topics")
    return
      "\(counted(counts.values.reduce(0, +), "dead letter")) (\(reasons.joined(separator: ", "))) \(place)"
  }
}

/// A letter that owns what it says.
struct KeptLetter: Sendable {
  private let path: String
  private let sequence: Int64
  private let reason: String
  private let view: String?
  private let message: String
  private let payload: [UInt8]

  /// A letter of a file's line.
  init(_ letter: DeadLetter, path: String) {
    self.path = path
    sequence = letter.sequence
    reason = letter.reason
    view = letter.view
    message = letter.message
    payload = Array(letter.payload)
  }

  func append(to file: DeadLetterFile) throws(TableError) {
    try payload.withBytes { (payload) throws(TableError) in
      try file.append(
        DeadLetter(sequence: sequence, reason: reason, view: view, message: message, payload: payload),
        path: path)
    }
  }
}

extension [UInt8] {
  fileprivate func withBytes<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try withUnsafeBufferPointer { (bytes) throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
  }
}

/// Holds the letters of a block until they can be written: a callback can't throw.
final class DeadLetterSink {
  private var letters: [DeadLetter] = []

  func collect(_ letter: DeadLetter) { letters.append(letter) }

  /// Writes the letters; the lines that they borrow must still be valid.
  func drain(into file: DeadLetterFile, path: String) throws(TableError) {
    for letter in letters { try file.append(letter, path: path) }
    letters.removeAll(keepingCapacity: true)
  }
}
