import CallThread
public import Processor

/// Writes to a topic as far as the brokers take it: whoever writes doesn't wait for them, and what they don't take is lost, and
/// told. One thread at a time.
public final class BestEffortWriter: @unchecked Sendable {
  private let make: () throws(LogError) -> TopicWriter
  private var writer: TopicWriter?
  private var failure: String?
  private var nextAttempt = ContinuousClock.now

  /// Between two attempts to reach the brokers.
  private static let retrySeconds = 5

  /// A writer that is made with the first record, and again after a while if that fails.
  public init(make: @escaping () throws(LogError) -> TopicWriter) { self.make = make }

  /// Why the record could not be taken; nil if it was.
  public func write(_ key: [UInt8], _ value: [UInt8]) -> String? {
    if writer == nil, let failure, ContinuousClock.now < nextAttempt { return failure }
    do throws(LogError) {
      let writer = if let writer { writer } else { try make() }
      self.writer = writer
      try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(LogError) in
        try value.span.bytes.withUnsafeBytes { (value: UnsafeRawBufferPointer) throws(LogError) in
          try writer.send(key: key, value: value)
        }
      }
      return nil
    } catch {
      nextAttempt = .now + .seconds(Self.retrySeconds)
      failure = writer == nil ? "\(error.message); plumb topics apply creates the topic" : error.message
      return failure
    }
  }

  /// Waits until what was taken is delivered, so long at most; whether it is. Nothing may be written any more.
  public func finish(milliseconds: Int) -> Bool {
    guard let writer else { return true }
    // Unless it ends in time it is never let go of: that would wait for the brokers once more.
    let kept = Unmanaged.passRetained(writer)
    let job = Flushing(writer: writer)
    let isOver = Deadline.run(milliseconds: milliseconds) { try? job.writer.flush() }
    if isOver { kept.release() }
    return isOver
  }

  /// The writer on its way to the thread that flushes it; no other uses it any more.
  private struct Flushing: @unchecked Sendable {
    let writer: TopicWriter
  }
}
