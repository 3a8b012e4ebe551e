import FeatureCore
import Processor

/// One partition of triggers and the topic of trainings in memory, as `EventLogPort` promises them; failures on demand.
final class MemoryTriggerLog: EventLogPort {
  static let partition = TopicPartition("shop.triggers", 0)

  /// The values of the triggers, by offset.
  var triggers: [[UInt8]]
  private(set) var trainings: [(key: [UInt8], value: [UInt8])] = []
  private(set) var committed: Int64?
  /// Asked before every call that may fail.
  var failure: (String) -> LogError? = { _ in nil }
  private(set) var isPaused = false

  private var next: Int64?
  private var isAssigned = false
  private var open: [(key: [UInt8], value: [UInt8])]?
  private var borrowed: [UnsafeMutableRawBufferPointer] = []
  private var records: [LogRecord] = []

  init(_ triggers: [[UInt8]]) { self.triggers = triggers }

  deinit { for buffer in borrowed { buffer.deallocate() } }

  /// What a process leaves behind that dies.
  func crash() { (next, isAssigned, open, isPaused) = (nil, false, nil, false) }

  private func fail(_ call: String) throws(LogError) {
    guard let error = failure(call) else { return }
    if error.remedy == .abort || error.remedy == .fenced { open = nil }
    throw error
  }

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    try fail("poll")
    for buffer in borrowed { buffer.deallocate() }
    (borrowed, records) = ([], [])
    var assignments: [LogAssignment] = []
    if !isAssigned {
      isAssigned = true
      assignments = [.assigned([Self.partition])]
    }
    while !isPaused, let offset = next, offset < triggers.count, records.count < recordsMax {
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: triggers[Int(offset)].count, alignment: 1)
      buffer.copyBytes(from: triggers[Int(offset)])
      borrowed.append(buffer)
      records.append(
        LogRecord(
          partition: 0, offset: offset, timestampMilliseconds: 0, key: nil,
          value: UnsafeRawBufferPointer(buffer)))
      next = offset + 1
    }
    return records.withUnsafeBufferPointer { buffer in
      LogPoll(assignments: assignments, partitions: [Self.partition], records: buffer, ends: [])
    }
  }

  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    throw LogError(.fatal, "Nothing reads triggers twice")
  }

  func firstOffset(of partition: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64? { nil }

  func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) { next = partitions[0].offset }
  func unassign(_ partitions: [TopicPartition]) { next = nil }
  func pause(_ partitions: [TopicPartition]) { isPaused = true }
  func resume(_ partitions: [TopicPartition]) { isPaused = false }
  func seek(_ partition: TopicPartition, to offset: Int64) { next = offset }
  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] { [committed] }
  func watermarks(_ partition: TopicPartition) -> (low: Int64, high: Int64) { (0, Int64(triggers.count)) }

  func begin() throws(LogError) {
    try fail("begin")
    precondition(open == nil, "Cannot begin when a transaction is open")
    open = []
  }

  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    precondition(open != nil && topic == "shop.trainings", "Cannot send when no transaction is open")
    try fail("send")
    open?.append((key.map(Array.init) ?? [], value.map(Array.init) ?? []))
  }

  func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    try fail("commit")
    guard let sent = open else { preconditionFailure("Cannot commit when no transaction is open") }
    open = nil
    trainings += sent
    if let offset = offsets.first?.offset { committed = offset }
    return true
  }
  func finishCommit(waiting: Bool) throws(LogError) -> Bool { true }

  func abort() throws(LogError) { open = nil }
  func close(timeoutMilliseconds: Int) -> Bool { true }
}

/// A command whose course a test decides.
final class ScriptedCommand: CommandPort {
  /// What the next one does: after how many looks it ends, and how.
  var plan: (String) -> (polls: Int, end: CommandEnd) = { _ in (1, CommandEnd(exitStatus: 0)) }
  /// The ids that it was started for.
  private(set) var started: [String] = []
  private(set) var inputs: [[UInt8]] = []
  private(set) var environments: [[String: String]] = []
  private(set) var asked: [String] = []
  var isFreeNow = true
  /// Whether it ends when it is asked to.
  var obeys = true
  private var left: (polls: Int, end: CommandEnd)?

  func isFree() -> Bool { isFreeNow }

  func start(input: [UInt8], environment: [String: String]) {
    precondition(left == nil, "Cannot run two commands at a time")
    let id = environment["PLUMB_TRIGGER_ID"] ?? ""
    started.append(id)
    inputs.append(input)
    environments.append(environment)
    left = plan(id)
  }

  func poll() -> CommandEnd? {
    guard let (polls, end) = left else { preconditionFailure("Cannot look after nothing") }
    if polls > 0 {
      left = (polls - 1, end)
      return nil
    }
    left = nil
    return end
  }

  func terminate() {
    asked.append("terminate")
    if obeys { left = (0, CommandEnd(signal: 15)) }
  }

  func kill() {
    asked.append("kill")
    left = (0, CommandEnd(signal: 9))
  }
}
