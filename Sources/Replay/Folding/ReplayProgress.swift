public import Processor
import Synchronization

/// Tells every few seconds how far a replay is in each partition: workers report, and one of them tells. Any thread.
public final class ReplayProgress: Sendable {
  private struct Partition {
    var first: Int64
    var position: Int64
    var target: Int64
    var isDone = false
  }

  private let partitions = Mutex<[TopicPartition: Partition]>([:])
  private let lastPrint: Mutex<ContinuousClock.Instant>
  private let start = ContinuousClock.now
  private let what: String
  private let tell: @Sendable (String) -> Void

  /// Between two reports: on a terminal or in a log, neither is flooded.
  private static let interval = Duration.seconds(2)
  /// Lines of one report: of more partitions those are shown that have the most left.
  private static let linesMax = 16

  /// `what` are the things that offsets count, such as `records`; `tell` hears each line.
  public init(_ what: String, tell: @escaping @Sendable (String) -> Void) {
    self.what = what
    self.tell = tell
    lastPrint = Mutex(start)
  }

  /// Takes over where a partition is.
  public func report(_ partition: TopicPartition, position: Int64, target: Int64, isDone: Bool) {
    partitions.withLock { all in
      var known = all[partition] ?? Partition(first: position, position: position, target: target)
      known.position = position
      known.isDone = isDone
      all[partition] = known
    }
    let now = ContinuousClock.now
    let isDue = lastPrint.withLock { last in
      guard now - last >= Self.interval else { return false }
      last = now
      return true
    }
    if isDue { for line in lines(after: (now - start) / .seconds(1)) { tell(line) } }
  }

  private func lines(after seconds: Double) -> [String] {
    let all = partitions.withLock { $0 }
    let open = all.filter { !$0.value.isDone && $0.value.position < $0.value.target }
    let most = open.sorted { left($0.value) > left($1.value) }
    let lines = most.prefix(Self.linesMax).map { "\($0.key): \(text($0.value, seconds))" }
    return most.count > lines.count ? lines + ["and \(most.count - lines.count) more partitions"] : lines
  }

  private func left(_ partition: Partition) -> Int64 { partition.target - partition.position }

  private func text(_ partition: Partition, _ seconds: Double) -> String {
    let done = Double(partition.position - partition.first)
    let whole = Double(partition.target - partition.first)
    let rate = done / max(seconds, 0.001)
    let time = rate > 0 ? "\(Int((Double(left(partition)) / rate).rounded(.up))) s left" : "not begun"
    return "\(Int(100 * done / max(whole, 1))) % of \(Int64(whole)) \(what), \(Int(rate)) a second, \(time)"
  }
}
