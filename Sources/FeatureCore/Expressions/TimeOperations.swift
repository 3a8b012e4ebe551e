/// A stretch of the calendar that times are rounded down to and counted in.
enum TimeStep: String, CaseIterable {
  case microsecond, millisecond, second, minute, hour, day, week, month, quarter, year

  /// Microseconds of the steps that are all of one length.
  fileprivate var length: Int64? {
    switch self {
    case .microsecond: 1
    case .millisecond: 1_000
    case .second: 1_000_000
    case .minute: 60_000_000
    case .hour: 3_600_000_000
    case .day: 86_400_000_000
    case .week, .month, .quarter, .year: nil
    }
  }

  /// Months of the steps that are made of them.
  fileprivate var months: Int64 {
    switch self {
    case .quarter: 3
    case .year: 12
    default: 1
    }
  }
}

/// What instructions do to times.
enum TimeOperations {
  private static let dayLength: Int64 = 86_400_000_000

  /// The step that a local time belongs to, counted from 1970.
  static func index(_ step: TimeStep, _ time: Int64) -> Int64 {
    if let length = step.length { return floorDivide(time, length) }
    let days = floorDivide(time, dayLength)
    // Day 0 was a Thursday; weeks begin on Monday (ISO 8601).
    if step == .week { return floorDivide(days + 3, 7) }
    let date = CivilDate(days: days)
    return floorDivide((date.year - 1970) * 12 + date.month - 1, step.months)
  }

  /// When a step begins, as a local time; nil beyond Int64.
  private static func begin(_ step: TimeStep, _ index: Int64) -> Int64? {
    let (unit, count): (Int64, Int64)
    if let length = step.length {
      (unit, count) = (length, index)
    } else if step == .week {
      (unit, count) = (dayLength, index * 7 - 3)
    } else {
      let months = index * step.months
      let date = CivilDate(
        year: 1970 + floorDivide(months, 12), month: months - floorDivide(months, 12) * 12 + 1, day: 1)
      guard let days = date.days else { return nil }
      (unit, count) = (dayLength, days)
    }
    let (begin, overflow) = count.multipliedReportingOverflow(by: unit)
    return overflow ? nil : begin
  }

  /// The beginning of the step that a time belongs to, on a clock (nil: UTC).
  static func truncate(_ step: TimeStep, _ time: Int64, _ clock: WallClock?) -> Scalar {
    guard let clock else {
      return begin(step, index(step, time)).map { .int64($0) } ?? .failed(.integerOverflow)
    }
    let (local, overflow) = time.addingReportingOverflow(
      clock.offset(at: floorDivide(time, 1_000_000)) * 1_000_000)
    guard !overflow, let begin = begin(step, index(step, local)) else { return .failed(.integerOverflow) }
    // What is shorter than a day is not moved by a change of the clock inside of it.
    if let length = step.length, length < dayLength { return .int64(time - (local - begin)) }
    let seconds = floorDivide(begin, 1_000_000)
    let (moment, isTooFar) = clock.moment(ofLocal: seconds).multipliedReportingOverflow(by: 1_000_000)
    return isTooFar ? .failed(.integerOverflow) : .int64(moment)
  }

  /// How many beginnings of a step lie behind one time and not behind another, in UTC.
  static func difference(_ step: TimeStep, _ from: Int64, _ to: Int64) -> Scalar {
    NumericOperations.checked(index(step, to).subtractingReportingOverflow(index(step, from)))
  }

  /// A part of a time, on a clock.
  static func extract(_ part: TimePart, _ time: Int64, _ clock: WallClock) -> Int64 {
    // The moment is the same everywhere.
    if part == .epoch { return NumericOperations.extract(part, time) }
    let offset = clock.offset(at: floorDivide(time, 1_000_000)) * 1_000_000
    return NumericOperations.extract(part, time.addingClamped(offset))
  }
}

/// What programs refer to besides texts: clocks and patterns, made once. Programs own them, and read them through their
/// addresses, which constants hold.
final class ProgramObjects: Sendable {
  nonisolated(unsafe) private var clocks: [TimeZoneRules: UnsafeMutablePointer<WallClock>] = [:]
  nonisolated(unsafe) private var patterns: [String: RegexPattern] = [:]

  init() {}

  deinit {
    for clock in clocks.values { clock.deinitialize(count: 1).deallocate() }
  }

  /// A constant that names a clock.
  func clock(_ rules: TimeZoneRules) -> Scalar {
    let clock =
      clocks[rules]
      ?? {
        let memory = UnsafeMutablePointer<WallClock>.allocate(capacity: 1)
        memory.initialize(to: WallClock(rules))
        clocks[rules] = memory
        return memory
      }()
    return Scalar(bits: UInt64(UInt(bitPattern: clock)))
  }

  /// A constant that names a pattern, and how many groups it has.
  func pattern(_ text: String) throws(RegexPattern.Mistake) -> (scalar: Scalar, groups: Int) {
    let pattern: RegexPattern
    if let known = patterns[text] { pattern = known } else { pattern = try RegexPattern(text) }
    patterns[text] = pattern
    let address = UInt(bitPattern: Unmanaged.passUnretained(pattern).toOpaque())
    return (Scalar(bits: UInt64(address)), pattern.groupCount)
  }

  /// What a constant of `clock` names.
  @inline(__always)
  static func clock(_ scalar: Scalar) -> WallClock {
    guard let clock = UnsafePointer<WallClock>(bitPattern: UInt(scalar.bits)) else {
      preconditionFailure("Cannot read a clock at no address")
    }
    return clock.pointee
  }

  /// What a constant of `pattern` names.
  @inline(__always)
  static func pattern(_ scalar: Scalar) -> RegexPattern {
    guard let address = UnsafeRawPointer(bitPattern: UInt(scalar.bits)) else {
      preconditionFailure("Cannot read a pattern at no address")
    }
    return Unmanaged<RegexPattern>.fromOpaque(address).takeUnretainedValue()
  }
}
