extension EventTime {
  /// A time that is a whole text, as people write it: RFC 3339 or, unless that is the unit, an integer in the unit.
  /// nil for anything else, and outside the range of event times.
  public static func parse(_ text: UnsafeRawBufferPointer, unit: TimeUnit) -> EventTime? {
    if let time = RFC3339.parse(text) { return time.isInRange ? time : nil }
    guard unit != .rfc3339, let count = NumberText.int64(text) else { return nil }
    return EventTime(count, unit)
  }
}

extension TimeUnit {
  /// What `EventTime.parse` takes, for messages.
  public var textForms: String {
    let form = "RFC 3339 (2026-01-02T03:04:05Z)"
    return self == .rfc3339 ? form : "\(form) or an integer in the source's unit (\(rawValue))"
  }
}
