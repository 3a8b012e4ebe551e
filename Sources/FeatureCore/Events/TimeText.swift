/// Times as people and databases write them (ISO 8601 and its relatives).
///
/// A date, then nothing or a time of day behind `T` or a space: `hh:mm`, `hh:mm:ss`, with a fraction behind a point or a
/// comma. Then nothing, or a zone, with or without a space before it: `Z`, `UTC`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`,
/// `+hh:mm:ss`. A fraction is rounded down to a microsecond; second 60 is refused.
enum TimeText {
  /// What a text is.
  enum Reading {
    /// A moment, which may lie outside the range of event times.
    case time(EventTime)
    /// A local time, of which nobody has said where.
    case withoutZone
    /// No time.
    case invalid
  }

  /// Reads a whole text. `clock` is that of times without a zone.
  static func read(_ bytes: UnsafeRawBufferPointer, clock: WallClock?) -> Reading {
    guard let text = JSONBytes(bytes), let days = RFC3339.date(text) else { return .invalid }
    var local = days * 86_400
    var fraction: Int64 = 0
    var at = 10
    if at < text.count {
      guard text[at] | 0x20 == UInt8(ascii: "t") || text[at] == Byte.space,
        let time = timeOfDay(text, at + 1)
      else { return .invalid }
      local += time.seconds
      fraction = time.microseconds
      at = time.end
    }
    if at == text.count {
      guard let clock else { return .withoutZone }
      return moment(clock.moment(ofLocal: local), fraction)
    }
    // A date has no zone.
    guard at > 10, let offset = zone(text, text[at] == Byte.space ? at + 1 : at) else { return .invalid }
    return moment(local - offset, fraction)
  }

  private static func moment(_ seconds: Int64, _ microseconds: Int64) -> Reading {
    .time(EventTime(microseconds: seconds * 1_000_000 + microseconds))
  }

  /// Seconds of the day of `hh:mm[:ss[.f]]`, the microseconds of its fraction, and where it ends.
  private static func timeOfDay(
    _ text: JSONBytes, _ at: Int
  ) -> (seconds: Int64, microseconds: Int64, end: Int)? {
    guard let hour = RFC3339.twoDigits(text, at), hour < 24, text[at + 2] == Byte.colon,
      let minute = RFC3339.twoDigits(text, at + 3), minute < 60
    else { return nil }
    let seconds = hour * 3600 + minute * 60
    guard text[at + 5] == Byte.colon else { return (seconds, 0, at + 5) }
    guard let second = RFC3339.twoDigits(text, at + 6), second < 60 else { return nil }
    let hasFraction = text[at + 8] == Byte.point || text[at + 8] == Byte.comma
    guard hasFraction else { return (seconds + second, 0, at + 8) }
    guard let fraction = RFC3339.fractionDigits(text, at + 9) else { return nil }
    return (seconds + second, fraction.microseconds, fraction.end)
  }

  /// Seconds of the zone that ends the text.
  private static func zone(_ text: JSONBytes, _ at: Int) -> Int64? {
    let rest = text.count - at
    if rest == 1 { return text[at] | 0x20 == UInt8(ascii: "z") ? 0 : nil }
    if rest == 3, text[at] != Byte.plus, text[at] != Byte.minus {
      let name = text.word(at) & 0xFF_FFFF
      return name == 0x43_5455 || name == 0x54_4D47 ? 0 : nil
    }
    guard text[at] == Byte.plus || text[at] == Byte.minus, let hours = RFC3339.twoDigits(text, at + 1),
      hours < 24
    else { return nil }
    var seconds = hours * 3600
    var next = at + 3
    for unit: Int64 in [60, 1] where next < text.count {
      // Without colons there are no seconds.
      if text[next] == Byte.colon { next += 1 } else if unit == 1 { return nil }
      guard let count = RFC3339.twoDigits(text, next), count < 60 else { return nil }
      seconds += count * unit
      next += 2
    }
    guard next == text.count else { return nil }
    return text[at] == Byte.minus ? -seconds : seconds
  }
}

extension EventTime {
  /// A time that is a whole text, as people write it: with a zone or, if `clock` says whose it is, without; or, unless texts
  /// are the unit, a number in the unit. nil for anything else, and outside the range of event times.
  public static func parse(
    _ text: UnsafeRawBufferPointer, unit: TimeUnit, clock: WallClock? = nil
  ) -> EventTime? {
    if case .time(let time) = TimeText.read(text, clock: clock) { return time.isInRange ? time : nil }
    return NumberText.time(text, unit)
  }
}

extension TimeUnit {
  /// What `EventTime.parse` takes, for messages.
  public var textForms: String {
    let form = "a time with its zone (2026-01-02T03:04:05Z)"
    return isText ? form : "\(form) or a number in the source's unit (\(rawValue))"
  }

  /// Whether times are texts, and not numbers.
  public var isText: Bool { self == .rfc3339 || self == .text }
}
