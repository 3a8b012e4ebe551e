/// The clock on the wall of a time zone: between moments and local times, by the zone's rules.
///
/// Local times are counted like moments, in seconds from 1970-01-01T00:00:00 on that clock.
public struct WallClock: Hashable, Sendable {
  /// The rules that it was made from.
  public let rules: TimeZoneRules
  /// Starts of the segments with a constant offset, ascending; the first is the beginning of time.
  private let starts: [Int64]
  /// The local times from which on a segment is read, ascending.
  private let localStarts: [Int64]
  private let offsets: [Int64]

  /// A clock from rules.
  public init(_ rules: TimeZoneRules) {
    self.rules = rules
    var starts = [Int64.min]
    var localStarts = [Int64.min]
    var offsets = [rules.initialOffsetSeconds]
    for transition in rules.transitions {
      // The later of what the clock shows before and after: so times that it skips are counted on with the offset before,
      // and of two equal times the first is meant.
      let shown = transition.atSeconds + max(offsets[offsets.count - 1], transition.offsetSeconds)
      localStarts.append(max(shown, localStarts[localStarts.count - 1]))
      starts.append(transition.atSeconds)
      offsets.append(transition.offsetSeconds)
    }
    self.starts = starts
    self.localStarts = localStarts
    self.offsets = offsets
  }

  /// Local time minus UTC at a moment, in seconds.
  func offset(at seconds: Int64) -> Int64 { offsets[Self.last(starts, notAfter: seconds)] }

  /// The moment of a local time. A time that the clock skips is as long after the change as it is after what the clock
  /// showed before it (02:30 means 03:30 where 02:00 becomes 03:00); of a time that it shows twice the first is meant.
  func moment(ofLocal seconds: Int64) -> Int64 {
    seconds - offsets[Self.last(localStarts, notAfter: seconds)]
  }

  /// The same of a time as UTC's clock would show it. What no clock shows is left as it is.
  public func moment(ofLocal time: EventTime) -> EventTime {
    guard time.isInRange else { return time }
    let (seconds, rest) = time.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    let isBefore = rest < 0
    let whole = moment(ofLocal: isBefore ? seconds - 1 : seconds)
    return EventTime(microseconds: whole * 1_000_000 + (isBefore ? rest + 1_000_000 : rest))
  }

  @inline(__always)
  private static func last(_ starts: [Int64], notAfter seconds: Int64) -> Int {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= seconds { low = middle } else { high = middle }
    }
    return low
  }
}
