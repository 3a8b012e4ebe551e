/// When a watch looks again: once an interval, and sooner when a reader doubts what was found.
struct LookPace {
  /// When the next look is due.
  private(set) var next: ContinuousClock.Instant
  private var soonest: ContinuousClock.Instant
  private var isWell = false

  /// Between two looks: what a lag may be wrong by.
  static let interval = Duration.seconds(1)
  /// Between two looks whatever readers say: a store that answers looks and no reads isn't asked without end.
  static let shortest = Duration.milliseconds(100)

  /// The first look is due now.
  init(at now: ContinuousClock.Instant) { (next, soonest) = (now, now) }

  /// A look has ended.
  mutating func looked(at now: ContinuousClock.Instant, isWell: Bool) {
    self.isWell = isWell
    soonest = now + Self.shortest
    next = now + Self.interval
  }

  /// A reader has failed. Trouble that is known already is no reason to hurry.
  mutating func doubted() {
    if isWell { next = min(next, soonest) }
  }
}
