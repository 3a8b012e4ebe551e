public import FeatureCore

/// Which triggers a follower runs its command for.
public struct FollowedTriggers: Sendable {
  /// Of this version of the definitions.
  public var version: Int64
  /// Of these views; all when empty.
  public var views: Set<String>
  /// Of these names; all when empty.
  public var triggers: Set<String>

  /// Triggers from their parts.
  public init(version: Int64, views: Set<String> = [], triggers: Set<String> = []) {
    self.version = version
    self.views = views
    self.triggers = triggers
  }

  func contains(_ record: TriggerRecord) -> Bool {
    record.version == version && (views.isEmpty || views.contains(record.view))
      && (triggers.isEmpty || triggers.contains(record.trigger))
  }
}

/// Runs a command for each trigger of a topic, one at a time, in the topic's order.
///
/// The offset of a trigger is committed in the transaction of the record that tells of its command's end: so a crash at any
/// time leaves either both or none, and then the trigger comes again, under the same id. One thread; time is a parameter.
public final class TriggerFollower<Log: EventLogPort, Command: CommandPort> {
  private struct Waiting {
    var partition: TopicPartition
    var offset: Int64
    var value: [UInt8]
  }

  /// The trigger whose command is due.
  private struct Current {
    var waiting: Waiting
    var record: TriggerRecord
    var attempt = 1
  }

  private enum Phase {
    /// Nothing is due.
    case idle
    /// An attempt is due at a time.
    case due(Current, at: Int64)
    /// It is told in the log, and begins once the command may be started.
    case beginning(Current)
    case running(Current, since: Int64, endingSince: Int64?, hasTimedOut: Bool)
  }

  /// What has to be in the log before anything else happens: a record, if there is one, and offsets that go with it.
  private struct Publication {
    var record: (key: [UInt8], value: [UInt8])?
    var offsets: [(partition: TopicPartition, offset: Int64)]
    var hasBegun = false
    var isSent = false
  }

  private let log: Log
  private let command: Command
  private let followed: FollowedTriggers
  private let trainingTopic: String
  private let arguments: [String]
  private let instance: String
  private let startsAtEnd: Bool
  private let limits: FollowerLimits
  private let report: (String) -> Void
  private let note: (String) -> Void
  private let reader = TriggerReader()

  private var owned: Set<TopicPartition> = []
  private var queue: [Waiting] = []
  private var isPaused = false
  private var phase = Phase.idle
  private var publication: Publication?
  /// Offsets behind records that are of no command, to be committed when nothing else is.
  private var passed: [TopicPartition: Int64] = [:]
  private var lastError: String?
  /// Until when what is to be told is tried to be told, once it is to finish.
  private var finishDeadline: Int64?
  private var hasWaited = false

  /// A follower without partitions. `startsAtEnd`: a group that has no offsets yet begins behind what is there. `report` is told what a
  /// person should know, `note` what is in order.
  public init(
    _ log: Log, _ command: Command, _ followed: FollowedTriggers, trainingTopic: String,
    arguments: [String], instance: String, startsAtEnd: Bool, limits: FollowerLimits,
    report: @escaping (String) -> Void, note: @escaping (String) -> Void
  ) {
    self.log = log
    self.command = command
    self.followed = followed
    self.trainingTopic = trainingTopic
    self.arguments = arguments
    self.instance = instance
    self.startsAtEnd = startsAtEnd
    self.limits = limits
    self.report = report
    self.note = note
  }

  /// One turn: looks after the command, writes what is to be told, polls. `now` is monotonic, in milliseconds; `time` is the wall
  /// clock. Throws when the group has to be joined anew (`.fenced`), or nothing but a person helps (`.fatal`).
  public func step(now: Int64, time: EventTime, pollMilliseconds: Int) throws(LogError) {
    do throws(LogError) {
      try advance(now: now, time: time)
      let poll = try log.poll(recordsMax: 100, timeoutMilliseconds: pollMilliseconds)
      for assignment in poll.assignments { try handle(assignment, now: now, time: time) }
      for record in poll.records where owned.contains(poll.partitions[record.partition]) {
        queue.append(
          Waiting(
            partition: poll.partitions[record.partition], offset: record.offset,
            value: record.value.map(Array.init) ?? []))
      }
      try keepQueueBounded()
      if lastError != nil { note("going on") }
      lastError = nil
    } catch {
      switch error.remedy {
      case .retry: break
      case .abort:
        try log.abort()
        publication?.hasBegun = false
        publication?.isSent = false
      case .outOfRange(let partition): try log.seek(partition, to: try log.watermarks(partition).low)
      case .fenced, .fatal: throw error
      }
      if lastError != error.message { report("\(error.message); trying again until it passes") }
      lastError = error.message
    }
  }

  /// Ends the command, if one runs: its trigger comes again, to whoever follows next. What is to be told is told if the log takes it in
  /// time. Called until it returns true.
  public func finish(now: Int64, time: EventTime) -> Bool {
    if case .running(let current, let since, let endingSince, let hasTimedOut) = phase {
      guard let end = command.poll() else {
        if endingSince == nil { command.terminate() }
        let asked = endingSince ?? now
        if now >= asked + limits.graceMilliseconds { command.kill() }
        phase = .running(current, since: since, endingSince: asked, hasTimedOut: hasTimedOut)
        return false
      }
      note("trigger \(current.record.id) is interrupted, and comes again: the command \(describe(end))")
      let record = TrainingRecord(trigger: current.record, attempt: current.attempt, instance: instance)
      let value = record.ended(
        end, .interrupted, hasTimedOut: hasTimedOut, milliseconds: now - since, at: time)
      publication = Publication(record: (Array(current.record.id.utf8), value), offsets: [])
    }
    phase = .idle
    let deadline = finishDeadline ?? now + limits.finishMilliseconds
    finishDeadline = deadline
    do throws(LogError) {
      return try publish()
    } catch {
      if error.remedy == .retry, now < deadline { return false }
      report("the end could not be told: \(error.message)")
      return true
    }
  }

  // MARK: The command

  private func advance(now: Int64, time: EventTime) throws(LogError) {
    // A command is looked after although the log is away.
    if case .running(let current, let since, let endingSince, let hasTimedOut) = phase {
      lookAfter(current, since, endingSince, hasTimedOut, now: now, time: time)
    }
    guard try publish() else { return }
    switch phase {
    case .idle: try takeNext(now: now)
    case .due(let current, let at) where now >= at:
      let record = TrainingRecord(trigger: current.record, attempt: current.attempt, instance: instance)
      phase = .beginning(current)
      publication = Publication(
        record: (Array(current.record.id.utf8), record.began(arguments, at: time)), offsets: [])
      if try publish() { begin(current, now: now) }
    case .beginning(let current): begin(current, now: now)
    case .due, .running: break
    }
  }

  private func begin(_ current: Current, now: Int64) {
    guard command.isFree() else {
      if !hasWaited { report("the command of an earlier process still runs: waiting for its end") }
      hasWaited = true
      return
    }
    hasWaited = false
    note(
      "trigger '\(current.record.trigger)' of view '\(current.record.view)', fired at \(RFC3339.format(current.record.at)): running the "
        + "command (id \(current.record.id), attempt \(current.attempt))")
    command.start(
      input: current.waiting.value + [UInt8(ascii: "\n")],
      environment: [
        "PLUMB_TRIGGER_ID": current.record.id, "PLUMB_TRIGGER": current.record.trigger,
        "PLUMB_VIEW": current.record.view, "PLUMB_ATTEMPT": "\(current.attempt)",
      ])
    phase = .running(current, since: now, endingSince: nil, hasTimedOut: false)
  }

  private func lookAfter(
    _ current: Current, _ since: Int64, _ endingSince: Int64?, _ hasTimedOut: Bool, now: Int64,
    time: EventTime
  ) {
    if let end = command.poll() {
      return conclude(current, end, hasTimedOut: hasTimedOut, milliseconds: now - since, now: now, time: time)
    }
    guard let timeout = limits.timeoutMilliseconds, now >= since + timeout else { return }
    if let endingSince {
      if now >= endingSince + limits.graceMilliseconds { command.kill() }
      return
    }
    report("the command has run for \(timeout / 1_000) s: ending it (id \(current.record.id))")
    command.terminate()
    phase = .running(current, since: since, endingSince: now, hasTimedOut: true)
  }

  private func conclude(
    _ current: Current, _ end: CommandEnd, hasTimedOut: Bool, milliseconds: Int64, now: Int64, time: EventTime
  ) {
    // What was ended because of its time has not done its work, whatever it returned.
    let isSuccess = end.isSuccess && !hasTimedOut
    let isLast = isSuccess || current.attempt >= limits.attemptsMax
    let outcome: TrainingRecord.Outcome = isSuccess ? .succeeded : isLast ? .failed : .retrying
    let record = TrainingRecord(trigger: current.record, attempt: current.attempt, instance: instance)
    let place = current.waiting
    // Its own offset lies behind them.
    if isLast { passed[place.partition] = nil }
    let value = record.ended(
      end, outcome, hasTimedOut: hasTimedOut, milliseconds: milliseconds, at: time)
    publication = Publication(
      record: (Array(current.record.id.utf8), value),
      offsets: isLast ? [(place.partition, place.offset + 1)] : [])
    let text = "the command \(describe(end)) after \(milliseconds / 1_000) s (id \(current.record.id))"
    if isSuccess {
      note(text)
    } else if isLast {
      report("\(text); that was the last of \(current.attempt) attempts")
    } else {
      report("\(text); attempt \(current.attempt + 1) follows")
    }
    var next = current
    next.attempt += 1
    phase = isLast ? .idle : .due(next, at: now + backoff(before: next.attempt))
  }

  private func backoff(before attempt: Int) -> Int64 {
    let doublings = Int64(min(attempt - 2, 20))
    return min(limits.backoffMilliseconds << doublings, limits.backoffMillisecondsMax)
  }

  private func describe(_ end: CommandEnd) -> String {
    if let problem = end.problem { return "could not be run: \(problem)" }
    if let signal = end.signal { return "was ended by signal \(signal)" }
    return "ended with status \(end.exitStatus ?? -1)"
  }

  // MARK: The log

  private func takeNext(now: Int64) throws(LogError) {
    while !queue.isEmpty {
      let waiting = queue.removeFirst()
      let record = waiting.value.withUnsafeBytes { reader.read($0) }
      if record == nil {
        report("\(waiting.partition)@\(waiting.offset) is no record of a trigger: passed over")
      }
      if let record, followed.contains(record) {
        phase = .due(Current(waiting: waiting, record: record), at: now)
        return
      }
      passed[waiting.partition] = waiting.offset + 1
    }
    guard !passed.isEmpty else { return }
    publication = Publication(record: nil, offsets: passed.map { ($0.key, $0.value) })
    passed.removeAll()
    _ = try publish()
  }

  /// Writes what is to be told. Returns whether nothing is left to.
  private func publish() throws(LogError) -> Bool {
    guard let pending = publication else { return true }
    if !pending.hasBegun { try log.begin() }
    publication?.hasBegun = true
    if !pending.isSent {
      if let record = pending.record {
        try record.key.span.bytes.withUnsafeBytes { (key) throws(LogError) in
          try record.value.span.bytes.withUnsafeBytes { (value) throws(LogError) in
            try log.send(topic: trainingTopic, partition: nil, key: key, value: value)
          }
        }
      }
      publication?.isSent = true
    }
    try log.commit(pending.offsets)
    publication = nil
    return true
  }

  private func keepQueueBounded() throws(LogError) {
    if !isPaused, queue.count >= limits.queueMax {
      try log.pause(Array(owned))
      isPaused = true
    } else if isPaused, queue.count < limits.queueMax / 2 {
      try log.resume(Array(owned))
      isPaused = false
    }
  }

  private func handle(_ assignment: LogAssignment, now: Int64, time: EventTime) throws(LogError) {
    switch assignment {
    case .assigned(let partitions):
      var starts: [(partition: TopicPartition, offset: Int64)] = []
      for (partition, offset) in zip(partitions, try log.committed(partitions)) {
        let marks = try log.watermarks(partition)
        starts.append((partition, offset ?? (startsAtEnd ? marks.high : marks.low)))
      }
      try log.assign(starts)
      owned.formUnion(partitions)
      if starts.isEmpty { return note("standing by: another process follows the triggers") }
      note("following \(starts.map { "\($0.partition)@\($0.offset)" }.joined(separator: ", "))")
    case .revoked(let partitions), .lost(let partitions):
      // Whoever is next begins with the trigger whose command runs here.
      throw LogError(
        .fenced, "another process follows \(partitions.map(\.description).joined(separator: ", ")) now")
    }
  }
}
