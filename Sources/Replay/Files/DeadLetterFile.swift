import FeatureCore
public import OfflineStore
public import Processor

/// Counts dead letters by reason and, if there is a file, keeps them in it: file, line, reason, view, message, record.
public final class DeadLetterFile {
  /// Where they are kept; nil: nowhere.
  public let path: String?
  /// By reason.
  public private(set) var counts: [String: Int] = [:]
  /// Of records that nothing but their file holds.
  public private(set) var lost = 0
  /// Letters that are not written yet.
  private var writer: TableWriter?

  /// Keeps letters in a file, if there is one.
  public init(path: String?) throws(TableError) {
    self.path = path
    guard let path else {
      writer = nil
      return
    }
    writer = try TableWriter(
      path: path, format: .ndjson, columns: ["file", "line", "reason", "view", "message", "record"])
  }

  /// Adds a letter of a file's line. `isInLog`: it is a record of a topic, which the service keeps as a dead letter.
  public func append(
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

  /// Ends the file.
  public func finish() throws(TableError) {
    guard let writer = writer.take() else { return }
    try writer.finish()
  }

  /// Whether there are letters that nothing keeps.
  public var areLost: Bool { lost > 0 }
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
public final class DeadLetterSink {
  private var letters: [DeadLetter] = []

  /// A sink without letters.
  public init() {}

  /// Takes a letter.
  public func collect(_ letter: DeadLetter) { letters.append(letter) }

  /// Writes the letters in the order of their lines; the lines that they borrow must still be valid.
  public func drain(into file: DeadLetterFile, path: String) throws(TableError) {
    // A stable order: a line may have several.
    let ordered = letters.enumerated().sorted {
      ($0.element.sequence, $0.offset) < ($1.element.sequence, $1.offset)
    }
    for (_, letter) in ordered { try file.append(letter, path: path) }
    letters.removeAll(keepingCapacity: true)
  }
}
