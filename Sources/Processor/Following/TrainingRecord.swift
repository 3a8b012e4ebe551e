import FeatureCore

/// The records of the training topic: JSON objects, as Topics/schemas/training.schema.json declares them.
struct TrainingRecord {
  /// What became of an attempt.
  enum Outcome: String {
    /// Exit status 0.
    case succeeded
    /// It failed, and is tried again.
    case retrying
    /// It failed for the last time.
    case failed
    /// The follower was told to stop, or lost its place: another attempt follows under the same id.
    case interrupted
  }

  let trigger: TriggerRecord
  let attempt: Int
  let instance: String

  /// Of a command that is about to begin.
  func began(_ command: [String], at time: EventTime) -> [UInt8] {
    var json = head("begin", time)
    json.add("command", .list(command.map { .string(Text($0)) }))
    return json.end()
  }

  /// Of one that has ended.
  func ended(
    _ end: CommandEnd, _ outcome: Outcome, hasTimedOut: Bool, milliseconds: Int64, at time: EventTime
  ) -> [UInt8] {
    var json = head("end", time)
    json.add("outcome", text: outcome.rawValue)
    json.add("exit_status", end.exitStatus.map { .int64(Int64($0)) } ?? .null)
    json.add("signal", end.signal.map { .int64(Int64($0)) } ?? .null)
    json.add("problem", end.problem.map { .string(Text($0)) } ?? .null)
    json.add("timed_out", .bool(hasTimedOut))
    json.add("seconds", .double(Double(milliseconds) / 1_000))
    json.add("last_line", text: end.lastLine)
    return json.end()
  }

  private func head(_ event: String, _ time: EventTime) -> JSONObject {
    var bytes: [UInt8] = []
    var json = JSONObject(&bytes)
    json.add("id", text: trigger.id)
    json.add("event", text: event)
    json.add("attempt", .int64(Int64(attempt)))
    json.add("time", .timestamp(time))
    json.add("app", text: trigger.app)
    json.add("version", .int64(trigger.version))
    json.add("view", text: trigger.view)
    json.add("trigger", text: trigger.trigger)
    json.add("instance", text: instance)
    return json
  }
}
