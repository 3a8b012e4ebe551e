/// Why a feature as served is not what it is as happened. Between the two are states that see more and more of what the
/// served one has seen; the step at which the value changes is the cause.
public enum DifferenceCause: String, CaseIterable, Sendable {
  /// The row's events that came into the log when the row's time was over: nobody could have served them.
  case lateData = "late_data"
  /// Those that were in the log, and not yet in the snapshot that was committed last: a faster service had served them.
  case freshnessLag = "freshness_lag"
  /// The same events, evaluated at the state's as_of instead of the row's time, which is earlier: windows have moved on.
  case windowTail = "window_tail"
  /// Events that were folded before the row's time, and say that they happened at it or later.
  case aheadOfTime = "ahead_of_time"
  /// The same events at the same time, folded as they came instead of as they happened: sessions that closed before a
  /// late event, sums of doubles, sketches, lists that were full.
  case arrivalOrder = "arrival_order"

  /// For people.
  public var text: String { rawValue.split(separator: "_").joined(separator: " ") }
}
