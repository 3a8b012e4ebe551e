import FeatureCore

/// Says for each row of a spine whether one of some events follows it soon enough: with a later time, by at most
/// `within`, and the same key. Rows without one are the negatives.
final class LabelJoin {
  /// By row of the spine.
  private(set) var labels: [Bool]

  private let fold: ViewFold
  private let slots: [Text: Int]
  /// The rows of each slot, in order of time.
  private let rows: [[Int]]
  private let times: [Int64]
  private let within: Int64

  init(_ keys: SpineKeys, times: [Int64], within: Int64) {
    fold = ViewFold(keys.view)
    slots = keys.slots
    rows = keys.rows.map { $0.sorted { (times[$0], $0) < (times[$1], $1) } }
    self.times = times
    self.within = within
    labels = Array(repeating: false, count: times.count)
  }

  /// Takes an event, in any order of times.
  func add(_ event: UnsafePointer<Scalar>, time: Int64) throws(ViewFailure) {
    guard try fold.takes(event), let slot = slots[Text(try fold.key(of: event))] else { return }
    let candidates = rows[slot]
    // The first row that is not too early.
    var (low, high) = (0, candidates.count)
    while low < high {
      let middle = (low + high) / 2
      if times[candidates[middle]] < time.subtractingSaturated(within) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    while low < candidates.count, times[candidates[low]] < time {
      labels[candidates[low]] = true
      low += 1
    }
  }
}

extension Int64 {
  fileprivate func subtractingSaturated(_ other: Int64) -> Int64 {
    let (difference, isTooSmall) = subtractingReportingOverflow(other)
    return isTooSmall ? .min : difference
  }
}
