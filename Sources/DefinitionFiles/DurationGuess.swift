import FeatureCore

/// What was probably meant by a text that is no duration: `24 h`, `1w`, `30min`, `1h30m`, `1.5h`.
enum DurationGuess {
  private static let seconds: [String: Double] = [
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86_400, "day": 86_400, "days": 86_400,
    "w": 604_800, "week": 604_800, "weeks": 604_800,
  ]

  /// The same length as definitions write it; nil if the text names none, or one that is no whole second.
  static func canonical(_ text: String) -> String? {
    // In capitals an M may be minutes or months.
    guard !text.hasSuffix("M") else { return nil }
    var rest = text.lowercased().filter { $0 != " " }[...]
    var total = 0.0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { $0.isLetter }
      rest = rest.dropFirst(unit.count)
      guard let count = Double(number), let length = seconds[String(unit)] else {
        return unit.isEmpty && rest.isEmpty && total == 0 && Duration.parse("\(number)s") != nil
          ? "\(number)s" : nil
      }
      if rest.isEmpty, total == 0, let letter = unit.first, letter != "w", Int64(number) != nil {
        // As written but for spaces and long words: the text names the window.
        return Duration.parse("\(number)\(letter)").map { _ in "\(number)\(letter)" }
      }
      total += count * length
    }
    guard total > 0, total < 1e10, total == total.rounded() else { return nil }
    return Duration.text(Int64(total) * 1_000_000)
  }
}
