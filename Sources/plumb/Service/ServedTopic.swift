import EventLog
import Foundation
import Logging
import Processor

/// The topic of answers, written by the server's one thread for that. Answers don't wait for Kafka: without it nothing is
/// logged.
final class ServedTopic: @unchecked Sendable {
  private let make: () throws(LogError) -> TopicWriter
  private let logger: Logger
  private var writer: TopicWriter?
  private var failure: String?
  private var nextAttempt = ContinuousClock.now

  /// Between two attempts to reach Kafka.
  private static let retrySeconds = 5

  init(_ logger: Logger, make: @escaping () throws(LogError) -> TopicWriter) {
    self.logger = logger
    self.make = make
  }

  /// Why the record could not be taken; nil if it was.
  func write(_ key: [UInt8], _ value: [UInt8]) -> String? {
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

  /// Waits until what was taken is delivered, but not for ever.
  func finish(milliseconds: Int) {
    guard let writer else { return }
    // Never let go of: that would wait for the brokers once more.
    let kept = Unmanaged.passRetained(writer)
    let done = DispatchSemaphore(value: 0)
    let job = Flushing(writer: writer)
    Thread.detachNewThread {
      try? job.writer.flush()
      done.signal()
    }
    if done.wait(timeout: .now() + .milliseconds(milliseconds)) == .success {
      kept.release()
    } else {
      logger.error("the last answers could not be logged in time")
    }
  }

  /// The writer on its way to the thread that flushes it; no other uses it any more.
  private struct Flushing: @unchecked Sendable {
    let writer: TopicWriter
  }
}
