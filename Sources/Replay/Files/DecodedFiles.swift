import Dispatch
import EventFiles
public import FeatureCore
public import OfflineStore
import Synchronization

/// The events of one source's files, in their order: one thread reads and decodes them, and another takes them.
public struct DecodedFiles {
  private let source: SourcePlan
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// Files of a source.
  public init(_ source: SourcePlan, progress: @escaping (_ filesCount: Int) -> any FileProgress) {
    self.source = source
    makeProgress = progress
  }

  /// Calls with the events of files, and of archives; on the thread of the caller.
  public func forEach(_ paths: [String], _ body: (DecodedEvents) throws -> Void) throws {
    let files = try paths.flatMap(EventFile.all)
    let exchange = EventExchange(source.schema)
    let reading = FileReading(files, source.schema, makeProgress(files.count))
    // The caller waits for both.
    try withoutActuallyEscaping(body) { body in
      nonisolated(unsafe) let body = body
      try Threads.run(2) { thread in
        if thread == 0 {
          try exchange.takeAll(body)
        } else {
          try exchange.fill(reading.run)
        }
      }
    }
  }
}

/// Reads files into what an exchange has room for. One thread.
private final class FileReading: @unchecked Sendable {
  private let files: [EventFile]
  private let schema: EventSchema
  private var progress: any FileProgress

  init(_ files: [EventFile], _ schema: EventSchema, _ progress: any FileProgress) {
    (self.files, self.schema, self.progress) = (files, schema, progress)
  }

  func run(_ exchange: EventExchange) throws {
    for (index, file) in files.enumerated() {
      var reader = try EventFileReader(file, schema)
      var count = 0
      while try reader.next(
        take: exchange.room,
        give: { events in
          count += events.count
          events.path = file.path
          exchange.give(events)
        })
      {
        progress.update(
          file: index, records: count, bytesRead: reader.bytesRead, totalBytes: reader.totalBytes)
        count = 0
      }
      if exchange.isStopped { return }
    }
    progress.finish()
  }
}

/// Decoded events on their way from one thread to another, and back to be filled again.
private final class EventExchange: Sendable {
  /// Enough for the one not to wait for each of the other's, few enough for a processor's cache.
  private static let count = 4

  private struct State {
    var free: [DecodedEvents]
    var full: [DecodedEvents] = []
    /// Nobody takes any more.
    var isStopped = false
  }

  private let lock = Mutex(())
  /// Only under its lock. What is in neither list is one thread's.
  nonisolated(unsafe) private var state: State
  private let freeCount = DispatchSemaphore(value: 0)
  private let fullCount = DispatchSemaphore(value: 0)

  init(_ schema: EventSchema) {
    state = State(free: (0..<Self.count).map { _ in DecodedEvents(schema) })
    for _ in 0..<Self.count { freeCount.signal() }
  }

  /// Whether nobody takes any more.
  var isStopped: Bool { lock.withLock { _ in state.isStopped } }

  // MARK: The reading thread

  /// Runs what gives events; afterwards, or when it has failed, there are no more.
  func fill(_ body: (EventExchange) throws -> Void) throws {
    // One more than there are events: nothing more comes.
    defer { fullCount.signal() }
    try body(self)
  }

  /// Room for events; nil if nobody takes any more.
  func room() -> DecodedEvents? {
    freeCount.wait()
    return lock.withLock { _ in state.isStopped ? nil : state.free.removeLast() }
  }

  func give(_ events: DecodedEvents) {
    lock.withLock { _ in state.full.append(events) }
    fullCount.signal()
  }

  // MARK: The taking thread

  /// Calls with everything that is given, in its order.
  func takeAll(_ body: (DecodedEvents) throws -> Void) throws {
    // Whoever waits for room must not wait for ever.
    defer {
      lock.withLock { _ in state.isStopped = true }
      freeCount.signal()
    }
    while true {
      fullCount.wait()
      guard let events = lock.withLock({ _ in state.full.isEmpty ? nil : state.full.removeFirst() }) else {
        return
      }
      try body(events)
      lock.withLock { _ in state.free.append(events) }
      freeCount.signal()
    }
  }
}
