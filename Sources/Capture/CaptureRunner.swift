public import Processor

/// Captures one table until that is done or to stop, and begins anew after what passes by itself. One thread.
public struct CaptureRunner<Log: CaptureLog> {
  /// What a try at capturing is given.
  public struct Attempt {
    /// A log of its own.
    public var log: Log
    /// What the tries before have done.
    public var status: CaptureStatus
    /// Why the table has to be compared with its topic; nil if what was captured can be carried on.
    public var mustCompare: String?
    /// Is told of each progress.
    public var observe: (CaptureStatus) -> Void
  }

  /// What becomes known while it runs.
  public enum News: Sendable {
    /// How far it is.
    case progress(CaptureStatus)
    /// It waits for something to be over; `isNew`: something else than before.
    case waiting(for: String, isNew: Bool)
    /// That is over, after so many milliseconds.
    case recovered(Int64)
  }

  private let mayDeleteAll: Bool
  private let now: () -> Int64
  private let pause: (_ milliseconds: Int64) -> Void
  private let isStopping: () -> Bool
  private let tell: (News) -> Void

  /// Between two tries, in milliseconds; the pause doubles from the first to the last.
  private static var pauses: (first: Int64, last: Int64) { (200, 10_000) }

  /// A runner. `mayDeleteAll`: a table that was emptied is compared, which deletes its rows from the topic. `now` is a monotonic
  /// time in milliseconds; `pause` may end early when the runner is to stop.
  public init(
    mayDeleteAll: Bool, now: @escaping () -> Int64, pause: @escaping (_ milliseconds: Int64) -> Void,
    isStopping: @escaping () -> Bool, tell: @escaping (News) -> Void
  ) {
    self.mayDeleteAll = mayDeleteAll
    self.now = now
    self.pause = pause
    self.isStopping = isStopping
    self.tell = tell
  }

  /// Tries until one try ends by itself or it is to stop. Returns what was done; throws what only a person can help with.
  public func run(
    makeLog: () throws(LogError) -> Log, attempt: (Attempt) throws(CaptureFault) -> Void
  ) throws(ProcessorError) -> CaptureStatus {
    var status = CaptureStatus()
    var mustCompare: String?
    var outage: (message: String, since: Int64)?
    var wait = Self.pauses.first
    while !isStopping() {
      do throws(CaptureFault) {
        let log: Log
        do throws(LogError) { log = try makeLog() } catch { throw .log(error) }
        let observe = { (progress: CaptureStatus) in
          if progress.phase != .connecting, let past = outage {
            tell(.recovered(now() - past.since))
            outage = nil
            wait = Self.pauses.first
          }
          status = progress
          tell(.progress(progress))
        }
        try attempt(Attempt(log: log, status: status, mustCompare: mustCompare, observe: observe))
        return status
      } catch {
        let message: String
        switch error {
        case .stopping: return status
        case .database(let error):
          guard error.remedy != .stop else { throw stop(error.description) }
          mustCompare = nil
          if error.remedy == .compare {
            guard mayDeleteAll else {
              throw stop("\(error.description): set \"on_truncate: delete\", or capture into a new topic")
            }
            mustCompare = error.description
          }
          message = error.description
        case .log(let error):
          guard error.remedy == .retry || error.remedy == .abort else { throw stop(error.message) }
          message = error.message
        }
        tell(.waiting(for: message, isNew: outage?.message != message))
        if outage?.message != message { outage = (message, outage?.since ?? now()) }
        pause(wait)
        wait = min(2 * wait, Self.pauses.last)
      }
    }
    return status
  }

  private func stop(_ description: String) -> ProcessorError {
    ProcessorError(remedy: .stop, description: description)
  }
}
