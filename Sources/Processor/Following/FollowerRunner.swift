public import FeatureCore

/// What a runner of a follower does to the world but for its log.
public struct FollowerClock {
  /// A monotonic time in milliseconds.
  public var now: () -> Int64
  /// The wall clock.
  public var time: () -> EventTime
  /// Lets some milliseconds pass.
  public var pause: (_ milliseconds: Int64) -> Void
  /// Whether the runner is to end, asked between two steps.
  public var isStopping: () -> Bool

  /// A clock from its parts.
  public init(
    now: @escaping () -> Int64, time: @escaping () -> EventTime,
    pause: @escaping (_ milliseconds: Int64) -> Void, isStopping: @escaping () -> Bool
  ) {
    self.now = now
    self.time = time
    self.pause = pause
    self.isStopping = isStopping
  }
}

/// Runs a follower until it is told to stop, and gives it a new log whenever the group has to be joined anew. One thread.
public final class FollowerRunner<Log: EventLogPort> {
  private let instance: String
  private let clock: FollowerClock
  private let report: (String) -> Void
  private let makeLog: () throws(LogError) -> Log

  /// Between two looks at the command and the topic.
  private static var pollMilliseconds: Int { 100 }
  /// Between two looks at a command that is to end.
  private static var finishMilliseconds: Int64 { 20 }
  /// Between two attempts to join the group.
  private static var joinPauseMilliseconds: Int64 { 1_000 }
  /// How long leaving the group may take.
  private static var leaveMilliseconds: Int { 5_000 }
  /// New logs within half a minute beyond which somebody else answers each with one.
  private static var joinsMax: Int { 4 }
  private static var joinsMilliseconds: Int64 { 30_000 }

  /// A runner of a process of a name. `report` is told what a person should know. `makeLog` may fail as often as the brokers
  /// don't answer.
  public init(
    instance: String, _ clock: FollowerClock, report: @escaping (String) -> Void,
    makeLog: @escaping () throws(LogError) -> Log
  ) {
    self.instance = instance
    self.clock = clock
    self.report = report
    self.makeLog = makeLog
  }

  /// Runs until it is to stop, with a follower for each log; throws what only a person can help with.
  public func run<Command>(
    _ makeFollower: (Log) -> TriggerFollower<Log, Command>
  ) throws(ProcessorError) {
    var joins: [Int64] = []
    while !clock.isStopping() {
      do throws(LogError) {
        try follow(makeFollower)
      } catch { throw ProcessorError(remedy: .stop, description: error.message) }
      let now = clock.now()
      joins = joins.filter { $0 > now - Self.joinsMilliseconds } + [now]
      guard joins.count > Self.joinsMax, !clock.isStopping() else { continue }
      throw ProcessorError(
        remedy: .stop,
        description:
          "taken over \(joins.count) times within \(Self.joinsMilliseconds / 1_000) s: another live process has the same instance "
          + "name, '\(instance)'; give each its own (--instance)")
    }
  }

  /// Waits until there is a log; nil if it is to stop first.
  private func awaitLog() throws(LogError) -> Log? {
    var told: String?
    while !clock.isStopping() {
      do throws(LogError) {
        return try makeLog()
      } catch {
        guard error.remedy != .fatal else { throw error }
        if told != error.message { report("\(error.message); trying again") }
        told = error.message
        pauseBeforeJoining()
      }
    }
    return nil
  }

  /// Joins the group and follows until it is to stop, or the group has to be joined anew.
  private func follow<Command>(_ makeFollower: (Log) -> TriggerFollower<Log, Command>) throws(LogError) {
    guard let log = try awaitLog() else { return }
    defer { log.close(timeoutMilliseconds: Self.leaveMilliseconds) }
    let follower = makeFollower(log)
    do throws(LogError) {
      while !clock.isStopping() {
        try follower.step(now: clock.now(), time: clock.time(), pollMilliseconds: Self.pollMilliseconds)
      }
    } catch {
      finish(follower)
      guard error.remedy == .fenced else { throw error }
      report("joining the group anew: \(error.message)")
      return pauseBeforeJoining()
    }
    finish(follower)
  }

  private func finish<Command>(_ follower: TriggerFollower<Log, Command>) {
    while !follower.finish(now: clock.now(), time: clock.time()) { clock.pause(Self.finishMilliseconds) }
  }

  private func pauseBeforeJoining() {
    if !clock.isStopping() { clock.pause(Self.joinPauseMilliseconds) }
  }
}
