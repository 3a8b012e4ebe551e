import FeatureCore

/// Events that are made as lines of JSON, whatever file they come from, one behind the other in one buffer.
public struct LineBuffer {
  /// Of a block: as large as those of `LineReader`.
  public static let blockBytes = 1 << 20

  private struct Event {
    var end: Int
    var number: Int64
    var isOversized: Bool
  }

  /// The events' bytes; what stands behind the last `endEvent` is the next one's beginning.
  public var bytes: [UInt8] = []
  private var events: [Event] = []
  private var lines: [Line] = []
  /// Where the event begins that is not complete.
  private var start: Int { events.last?.end ?? 0 }

  /// No events.
  public init() {}

  /// Whether there is no complete event.
  public var isEmpty: Bool { events.isEmpty }
  /// Whether there is enough for a block.
  public var isFull: Bool { start >= Self.blockBytes || events.count >= 1 << 14 }
  /// Bytes of the event that is not complete.
  var openBytes: Int { bytes.count - start }

  /// Forgets the complete events, and keeps the beginning of one.
  public mutating func removeAll() {
    bytes.removeSubrange(..<start)
    events.removeAll(keepingCapacity: true)
  }

  /// Ends an event, which has a number in its file. One that is longer than a record may be keeps its beginning.
  public mutating func endEvent(number: Int64) {
    let isOversized = openBytes > Limits.recordBytesMax
    if isOversized { bytes.removeSubrange((start + Limits.oversizedBytesKept)...) }
    events.append(Event(end: bytes.count, number: number, isOversized: isOversized))
  }

  /// Forgets the beginning of an event, if there is one.
  mutating func dropOpen() { bytes.removeSubrange(start...) }

  /// Calls with the complete events, at least one; without any it throws what stands behind them, or returns false.
  public mutating func deliver(
    before error: (any Error)?, _ body: (LineBlock) throws -> Void
  ) throws -> Bool {
    guard !isEmpty else {
      if let error { throw error }
      return false
    }
    try withLines(body)
    return true
  }

  /// Calls with the complete events, which are borrowed.
  public mutating func withLines<Result>(_ body: (LineBlock) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBytes { bytes in
      lines.removeAll(keepingCapacity: true)
      var start = 0
      for event in events {
        lines.append(
          Line(
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<event.end]), number: event.number,
            isOversized: event.isOversized))
        start = event.end
      }
      return try lines.withUnsafeBufferPointer { try body($0) }
    }
  }
}
