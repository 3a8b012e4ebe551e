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
  /// Where a time could not be one: the unit that would fit.
  private var refused: TimeUnit?

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
    refused = refused ?? other.refused
  }

  /// Takes into account what could not be decoded: a time that is none in its unit, and would be a usual one in another.
  public mutating func note(_ failure: DecodeFailure, _ schema: EventSchema) {
    guard failure.column == schema.timeColumn, let unit = failure.fittingUnit else { return }
    refused = refused ?? unit
  }

  /// The unit in which all noted times would be usual ones, if they all lie in January and February 1970 or none is a time at
  /// all; nil if there is none, or the declared one may well be meant.
  public var fitting: TimeUnit? { earliest <= latest ? coarser?.unit : refused }

  private var coarser: (unit: TimeUnit, first: Int64)? {
    var (first, last) = (earliest, latest)
    for steps in 1..<Self.units.count {
      guard let coarser = Self.coarser(unit, by: steps) else { return nil }
      let isLarge = [
        first.multipliedReportingOverflow(by: 1_000).overflow,
        last.multipliedReportingOverflow(by: 1_000).overflow,
      ]
      guard !isLarge.contains(true) else { return nil }
      (first, last) = (first * 1_000, last * 1_000)
      if Self.usual.contains(first), Self.usual.contains(last) { return (coarser, first) }
    }
    return nil
  }

  /// What is wrong, for the error of a file whose times are all in the wrong unit.
  public var problem: String? {
    guard earliest <= latest else {
      return refused.map {
        "no time lies in the years 1 to 9999: read in \($0.rawValue) instead of \(unit.rawValue), they are of this century"
      }
    }
    return coarser.map { fitting, first in
      "every time lies between \(RFC3339.format(EventTime(microseconds: earliest))) and "
        + "\(RFC3339.format(EventTime(microseconds: latest))): read in \(fitting.rawValue) instead of \(unit.rawValue), "
        + "the first is \(RFC3339.format(EventTime(microseconds: first)))"
    }
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

  /// The finer unit in which a text that is a number, and no time in its unit, would be a usual time.
  public static func finer(_ text: UnsafeRawBufferPointer, than unit: TimeUnit) -> TimeUnit? {
    guard let json = JSONBytes(text), let number = try? json.number(0), number.end == json.count else {
      return nil
    }
    return finer(number, text, than: unit)
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
