public import Capture
public import FeatureCore
import Metrics
import Synchronization
public import Telemetry

/// What the captures of a process last said of themselves, as metrics and for probes. Any thread.
public final class CaptureBoard: Sendable {
  private struct Entry: Sendable {
    var status = CaptureStatus()
    /// What the capture waits for to be over; nil if nothing.
    var problem: String?
    let series: Series
  }

  /// The time series of one source.
  private struct Series: Sendable {
    let rowsRead: Counter
    let records: Counter
    let deletions: Counter
    let commits: Counter
    let following: Meter
    let interval: Meter
    let lagBytes: Meter
    let lagSeconds: Meter

    init(_ source: String, _ registry: PrometheusRegistry) {
      let labels = [("source", source)]
      func counter(_ name: String) -> Counter {
        Counter(label: "plumb_capture_\(name)_total", dimensions: labels, factory: registry)
      }
      func meter(_ name: String) -> Meter {
        Meter(label: "plumb_capture_\(name)", dimensions: labels, factory: registry)
      }
      (rowsRead, records) = (counter("rows_read"), counter("records"))
      (deletions, commits) = (counter("deletions"), counter("commits"))
      (following, interval) = (meter("following"), meter("interval_seconds"))
      (lagBytes, lagSeconds) = (meter("lag_bytes"), meter("lag_seconds"))
    }
  }

  private let entries: Mutex<[String: Entry]>
  /// Before a topic was ever known to be complete, its lag counts from here. Microseconds since 1970.
  private let start: Int64

  /// The captures of some sources, of which none has said anything. Times are in microseconds since 1970.
  public init(_ sources: [Source], _ registry: PrometheusRegistry, now: Int64) {
    start = now
    entries = Mutex(
      Dictionary(
        uniqueKeysWithValues: sources.map { source in
          let series = Series(source.name, registry)
          let every = source.capture.flatMap { $0.mode == .diff ? $0.every : nil }
          series.interval.set(Double(every ?? 0) / 1e6)
          return (source.name, Entry(series: series))
        }))
  }

  /// Takes over how far a capture is.
  public func update(_ source: String, _ status: CaptureStatus) {
    change(source) { entry in
      let (old, series) = (entry.status, entry.series)
      series.rowsRead.increment(by: status.rowsRead - old.rowsRead)
      series.records.increment(by: status.changes - old.changes)
      series.deletions.increment(by: status.deletions - old.deletions)
      series.commits.increment(by: status.commits - old.commits)
      if let bytes = status.lagBytes { series.lagBytes.set(Int64(clamping: bytes)) }
      if status.phase != .connecting { entry.problem = nil }
      entry.status = status
    }
  }

  /// A capture has met what has to pass by itself.
  public func waits(_ source: String, for problem: String) { change(source) { $0.problem = problem } }

  /// What stands against it, a line for each source that has something; empty if all is well. A capture that is alive and can't
  /// go on ends its process.
  public func objections(_ question: Health.Question, now: Int64) -> [String] {
    if question == .alive { return [] }
    return entries.withLock { entries in
      entries.sorted { $0.key < $1.key }.compactMap { source, entry in
        let isFollowing = entry.problem == nil && entry.status.phase.isFollowing
        entry.series.following.set(isFollowing ? 1 : 0)
        // Told when it is asked for: it grows while the capture waits in a call.
        let since = now - (entry.status.completeUntil ?? start)
        entry.series.lagSeconds.set(max(0, Double(since) / 1e6))
        if isFollowing { return nil }
        return "source \(source): \(entry.problem ?? entry.status.phase.rawValue)"
      }
    }
  }

  private func change(_ source: String, _ body: (inout Entry) -> Void) {
    entries.withLock { entries in
      guard var entry = entries[source] else { return }
      body(&entry)
      entries[source] = entry
    }
  }
}
