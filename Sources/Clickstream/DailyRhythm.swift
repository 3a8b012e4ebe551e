/// How busy the shop is over a day of UTC, in thousandths of the mean, between the full hours by straight lines.
enum DailyRhythm {
  private static let thousandths: [UInt64] = [
    460, 310, 210, 160, 160, 230, 420, 700, 960, 1120, 1220, 1290, 1350, 1330, 1290, 1270, 1300, 1390, 1550,
    1740, 1900, 1790, 1290, 560,
  ]

  /// The thousandths at a time.
  static func busyness(milliseconds: Int64) -> UInt64 {
    let ofDay = Int(milliseconds % 86_400_000)
    let (hour, rest) = ofDay.quotientAndRemainder(dividingBy: 3_600_000)
    let share = UInt64(rest)
    return (thousandths[hour] * (3_600_000 - share) + thousandths[(hour + 1) % 24] * share) / 3_600_000
  }
}
