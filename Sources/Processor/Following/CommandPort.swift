/// How a command ended.
public struct CommandEnd: Hashable, Sendable {
  /// What it returned; nil if a signal ended it, or it could not be started.
  public var exitStatus: Int32?
  /// The signal that ended it.
  public var signal: Int32?
  /// Why it could not be started.
  public var problem: String?
  /// The last line that it printed, cut to `CommandEnd.lineBytesMax`; empty if none.
  public var lastLine: String

  /// Bytes of a last line that are kept.
  public static let lineBytesMax = 1_024

  /// An end from its parts.
  public init(
    exitStatus: Int32? = nil, signal: Int32? = nil, problem: String? = nil, lastLine: String = ""
  ) {
    self.exitStatus = exitStatus
    self.signal = signal
    self.problem = problem
    self.lastLine = lastLine
  }

  /// Whether it did what it was asked for.
  public var isSuccess: Bool { exitStatus == 0 }
}

/// Runs the command of `plumb on-trigger`, one at a time. One thread.
public protocol CommandPort: AnyObject {
  /// Whether it may be started: false while the command of an owner that was killed still runs.
  func isFree() -> Bool
  /// Starts it with bytes on its standard input and additions to its environment.
  func start(input: [UInt8], environment: [String: String])
  /// Looks after it; its end once it has ended, and nothing of it is left.
  func poll() -> CommandEnd?
  /// Asks it and what it has started to end (SIGTERM).
  func terminate()
  /// Ends it and what it has started (SIGKILL).
  func kill()
}

/// Bounds of what follows triggers.
public struct FollowerLimits: Sendable {
  /// Milliseconds that a command may take; nil: any.
  public var timeoutMilliseconds: Int64?
  /// Milliseconds between asking a command to end and ending it.
  public var graceMilliseconds: Int64 = 10_000
  /// Milliseconds that a follower that is to stop tries to tell of its command's end.
  public var finishMilliseconds: Int64 = 5_000
  /// Attempts at one trigger.
  public var attemptsMax = 4
  /// Milliseconds before the second attempt; doubled before each further one.
  public var backoffMilliseconds: Int64 = 1_000
  /// The longest pause between two attempts.
  public var backoffMillisecondsMax: Int64 = 300_000
  /// Records that wait in memory; more of them wait in the topic.
  public var queueMax = 1_000

  /// The defaults.
  public init() {}
}
