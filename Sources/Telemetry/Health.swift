public import Processor
import Synchronization

/// What the workers of a process last said of themselves. Any thread.
public final class Health: Sendable {
  /// What is asked.
  public enum Question: Sendable {
    /// Is every worker's loop turning? If not for long, a restart is the only remedy.
    case alive
    /// Is every worker a member of the group, with all its tasks at work and none folding again what the store lacks?
    case ready
  }

  private struct Report {
    var milliseconds: Int64
    var contact: BrokerContact
    var status: LoopStatus
  }

  private let reports: Mutex<[Report?]>
  /// Workers whose silence was told, and since when they are silent.
  private let silent = Mutex<[Int: Int64]>([:])
  private let start: Int64

  /// Without a sign of a worker for so long it is taken for stuck: longer than the longest wait for Kafka, twice.
  public static let patienceMilliseconds: Int64 = 150_000

  /// Without a sign of a worker, or an answer of a broker, for so long nobody knows how old is what is served: longer than
  /// three heartbeats.
  public static let readyPatienceMilliseconds: Int64 = 10_000

  /// Without a sign of a worker for so long the log tells of it: longer than any call of a client library may take.
  public static let toldPatienceMilliseconds: Int64 = 30_000

  /// The health of some workers, none of which has said anything. Times are of one monotonic clock, in milliseconds.
  public init(workers: Int, now: Int64) {
    reports = Mutex([Report?](repeating: nil, count: workers))
    start = now
  }

  /// A worker's sign of life.
  public func report(worker: Int, _ contact: BrokerContact, _ status: LoopStatus, now: Int64) {
    reports.withLock { $0[worker] = Report(milliseconds: now, contact: contact, status: status) }
  }

  /// What the log should say of workers that have fallen silent since the last call, or have spoken again: each once.
  public func news(now: Int64) -> [String] {
    let signs = reports.withLock { $0.map { $0?.milliseconds ?? start } }
    return silent.withLock { silent in
      signs.enumerated().compactMap { index, sign in
        if let since = silent[index] {
          guard sign > since else { return nil }
          silent[index] = nil
          return "worker \(index) gives signs of life again, after \((sign - since) / 1_000) s"
        }
        guard now - sign > Self.toldPatienceMilliseconds else { return nil }
        silent[index] = sign
        return
          "worker \(index) has given no sign of life for \((now - sign) / 1_000) s: its loop stands still, which no outage of "
          + "Kafka or Redis explains; from \(Self.patienceMilliseconds / 1_000) s on /healthz asks for a restart"
      }
    }
  }

  /// What stands against it, a line for each worker that has something; empty if all is well.
  public func objections(_ question: Question, now: Int64) -> [String] {
    reports.withLock { $0 }.enumerated().compactMap { index, report in
      let silence = now - (report?.milliseconds ?? start)
      if silence > Self.patienceMilliseconds {
        return "worker \(index): no sign of life for \(silence / 1000) s"
      }
      if question == .alive { return nil }
      guard let report else { return "worker \(index): starting" }
      if silence > Self.readyPatienceMilliseconds {
        return "worker \(index): waiting for an answer for \(silence / 1000) s"
      }
      if let silent = report.contact.silentMilliseconds, silent + silence > Self.readyPatienceMilliseconds {
        return "worker \(index): no broker has answered for \((silent + silence) / 1000) s"
      }
      if !report.contact.isMember { return "worker \(index): waiting for the consumer group" }
      if report.status.isHeld || report.status.waiting > 0 {
        return "worker \(index): waiting for Kafka or Redis"
      }
      let recovering = report.status.tasks.filter(\.isCatchingUp).map { "\($0.partition)" }
      return recovering.isEmpty ? nil : "worker \(index): recovering \(recovering.joined(separator: ", "))"
    }
  }
}
