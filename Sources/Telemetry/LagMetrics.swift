import FeatureCore
import Metrics
import Processor
import Synchronization

/// What a worker knows of its brokers.
public struct BrokerContact: Hashable, Sendable {
  /// Whether the group counts it in.
  public var isMember: Bool
  /// Milliseconds since a broker has answered; nil if nobody knows.
  public var silentMilliseconds: Int64?

  /// A contact from its parts.
  public init(isMember: Bool, silentMilliseconds: Int64? = nil) {
    self.isMember = isMember
    self.silentMilliseconds = silentMilliseconds
  }
}

/// How far each partition of a process's workers is behind. Any thread.
///
/// A lag is only as good as the last answer of the brokers: while nothing is confirmed it grows by the clock. A series ends
/// when the group has given its partition to another, not when this process has lost the group.
public final class LagMetrics: Sendable {
  private struct Lag: Sendable {
    /// The worker that read the partition last.
    var worker: ObjectIdentifier
    let records: Meter
    let seconds: Meter
    /// Of a join's log, how far its outcomes are behind.
    var outcomes: Meter?
    /// The age of the latest event folded, while there are records to fold.
    var age = 0.0
    /// When it was last known how much there is to fold.
    var confirmed: EventTime
  }

  private let registry: PrometheusRegistry
  private let lags = Mutex<[TopicPartition: Lag]>([:])

  /// Answers are up to two statistics and a heartbeat old: only what is older is no answer.
  private static let silenceSecondsMin = 6.0

  /// The lags of the workers of one process, in a registry of `MetricDescription.service`.
  public init(_ registry: PrometheusRegistry) { self.registry = registry }

  /// How many partitions all workers of all processes should own together.
  public func expect(partitions: Int) {
    Meter(label: "plumb_partitions_expected", dimensions: [], factory: registry).set(partitions)
  }

  /// Takes over where a worker is; `records` are the offsets of its partitions that are not read yet.
  func update(
    of worker: ObjectIdentifier, _ status: LoopStatus, _ contact: BrokerContact,
    records: [TopicPartition: Int64], now: EventTime
  ) {
    lags.withLock { lags in
      for task in status.tasks {
        var lag = lags[task.partition] ?? make(task.partition, worker, now)
        lag.worker = worker
        if !status.isHeld {
          let heard = EventTime(microseconds: now.microseconds - (contact.silentMilliseconds ?? 0) * 1_000)
          lag.confirmed = max(lag.confirmed, heard)
        }
        if let count = records[task.partition] {
          lag.records.set(count)
          // Without anything to fold, the age of the last event says nothing about the service. The mark of the last
          // transaction stays unread.
          let age = task.latest.map { seconds(from: $0, to: now) } ?? 0
          lag.age = count > 1 ? max(0, age) : 0
        }
        if let outcome = task.outcomeLag {
          let meter = lag.outcomes ?? makeOutcomes(task.partition, outcome.join)
          meter.set(outcome.microseconds.map { Double($0) / 1e6 } ?? .infinity)
          lag.outcomes = meter
        }
        lags[task.partition] = lag
      }
      let owned = Set(status.owned)
      for (partition, lag) in lags where lag.worker == worker {
        if contact.isMember && !owned.contains(partition) {
          lag.records.destroy()
          lag.seconds.destroy()
          lag.outcomes?.destroy()
          lags[partition] = nil
        } else {
          let silence = seconds(from: lag.confirmed, to: now)
          lag.seconds.set(max(lag.age, silence > Self.silenceSecondsMin ? silence : 0))
        }
      }
    }
  }

  private func seconds(from start: EventTime, to end: EventTime) -> Double {
    Double(end.microseconds - start.microseconds) / 1e6
  }

  private func makeOutcomes(_ partition: TopicPartition, _ join: String) -> Meter {
    let labels = [("join", join), ("partition", "\(partition.partition)")]
    return Meter(label: "plumb_outcome_lag_seconds", dimensions: labels, factory: registry)
  }

  private func make(_ partition: TopicPartition, _ worker: ObjectIdentifier, _ now: EventTime) -> Lag {
    let labels = [("topic", partition.topic), ("partition", "\(partition.partition)")]
    return Lag(
      worker: worker,
      records: Meter(label: "plumb_lag_records", dimensions: labels, factory: registry),
      seconds: Meter(label: "plumb_lag_event_time_seconds", dimensions: labels, factory: registry),
      confirmed: now)
  }
}
