/// A moment of event time: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
public struct EventTime: Hashable, Comparable, Sendable {
  /// The microseconds; negative before 1970.
  public var microseconds: Int64

  /// A moment from its microseconds.
  @inlinable
  public init(microseconds: Int64) { self.microseconds = microseconds }

  /// Earlier than.
  @inlinable
  public static func < (lhs: EventTime, rhs: EventTime) -> Bool { lhs.microseconds < rhs.microseconds }
}

/// The unit in which a source writes a time.
public enum TimeUnit: String, Sendable, Hashable, CaseIterable {
  /// Seconds since the epoch; like all numbers of time with a fraction or without, rounded down to a microsecond.
  case seconds = "s"
  /// Milliseconds since the epoch.
  case milliseconds = "ms"
  /// Microseconds since the epoch.
  case microseconds = "us"
  /// Nanoseconds since the epoch.
  case nanoseconds = "ns"
  /// An RFC 3339 string with an offset, rounded down to a microsecond.
  case rfc3339
  /// A string as people and databases write times (ISO 8601, `T` or a space, any offset), rounded down to a microsecond.
  case text
}

/// Division that rounds towards negative infinity, so that hops before 1970 are as long as those after.
@inlinable
func floorDivide(_ dividend: Int64, _ divisor: Int64) -> Int64 {
  let (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? quotient - 1 : quotient
}
