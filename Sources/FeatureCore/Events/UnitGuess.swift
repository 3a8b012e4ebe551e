/// Notices times that were written in another unit than the declared one.
///
/// A unit that is too large by a factor of 1,000 makes years beyond 9999, which are refused anyway; one that is too small
/// makes January 1970, which looks like a time.
public struct UnitGuess: Sendable {
  /// From the finest on: each is 1,000 of the one before.
  private static let units: [TimeUnit] = [.nanoseconds, .microseconds, .milliseconds, .seconds]
  /// What people have times of: the years 2000 to 2099.
  private static let usual: Range<Int64> = 946_684_800_000_000..<4_102_444_800_000_000
  /// How far an event's time may lie from its record's for another unit to be the likelier reading: 10 years.
  private static let nearRecord: Int64 = 10 * 365 * 86_400_000_000

  private let unit: TimeUnit
  private var earliest = Int64.max
  private var latest = Int64.min

  /// A guess about times in a unit.
  public init(_ unit: TimeUnit) { self.unit = unit }

  /// Takes a time into account.
  @inline(__always)
  public mutating func note(_ time: Int64) {
    earliest = min(earliest, time)
    latest = max(latest, time)
  }

  /// Takes the times of another guess into account.
  public mutating func note(_ other: UnitGuess) {
    earliest = min(earliest, other.earliest)
    latest = max(latest, other.latest)
  }

  /// The unit in which all noted times would be usual ones, if they all lie in January and February 1970; nil if there is
  /// none, or the declared one may well be meant.
  public var fitting: TimeUnit? {
    guard earliest <= latest, let coarser = Self.coarser(unit, by: 1) else { return nil }
    let (first, isLarge) = earliest.multipliedReportingOverflow(by: 1_000)
    let (last, isLarger) = latest.multipliedReportingOverflow(by: 1_000)
    return !isLarge && !isLarger && Self.usual.contains(first) && Self.usual.contains(last) ? coarser : nil
  }

  /// What is wrong, for the error of a file whose times are all in the wrong unit.
  public var problem: String? {
    guard let fitting else { return nil }
    return "every time lies between \(RFC3339.format(EventTime(microseconds: earliest))) and "
      + "\(RFC3339.format(EventTime(microseconds: latest))): read in \(fitting.rawValue) instead of \(unit.rawValue), "
      + "the first is \(RFC3339.format(EventTime(microseconds: earliest * 1_000)))"
  }

  /// The unit in which a time of January 1970 would be near the record that it came in, when it is years away.
  public static func fitting(_ time: Int64, _ unit: TimeUnit, recordTime: Int64) -> (
    unit: TimeUnit, time: Int64
  )? {
    // No other unit makes a time of today out of a later one.
    guard time > 0, time < 60 * 86_400_000_000, recordTime > Self.usual.lowerBound else { return nil }
    var read = time
    for steps in 1...3 {
      let (next, overflow) = read.multipliedReportingOverflow(by: 1_000)
      guard !overflow, let coarser = coarser(unit, by: steps) else { return nil }
      read = next
      if (read.subtractingReportingOverflow(recordTime).partialValue).magnitude <= nearRecord.magnitude {
        return (coarser, read)
      }
    }
    return nil
  }

  /// The finer unit in which a number that is no time in its unit would be a usual one.
  static func finer(_ number: JSONNumber, _ text: UnsafeRawBufferPointer, than unit: TimeUnit) -> TimeUnit? {
    guard let index = units.firstIndex(of: unit) else { return nil }
    return units[..<index].last {
      EventTime(number, text, $0).map { usual.contains($0.microseconds) } ?? false
    }
  }

  private static func coarser(_ unit: TimeUnit, by steps: Int) -> TimeUnit? {
    guard let index = units.firstIndex(of: unit), index + steps < units.count else { return nil }
    return units[index + steps]
  }
}
