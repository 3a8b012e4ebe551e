import Testing

@testable import FeatureServer

/// How often a store is looked at, whatever its readers meet.
@Suite struct LookPaceTests {
  private let start = ContinuousClock.now

  /// The looks of ten seconds in which a reader fails each millisecond.
  private func looks(isWell: Bool) -> Int {
    var pace = LookPace(at: start)
    var count = 0
    for millisecond in 0..<10_000 {
      let now = start + .milliseconds(millisecond)
      if pace.next <= now {
        count += 1
        pace.looked(at: now, isWell: isWell)
      }
      pace.doubted()
    }
    return count
  }

  @Test func troubleThatIsKnownIsNoReasonToHurry() { #expect(looks(isWell: false) == 10) }

  @Test func aStoreThatOnlyAnswersLooksIsNotAskedWithoutEnd() { #expect(looks(isWell: true) == 100) }

  @Test func aDoubtIsFollowedSoon() {
    var pace = LookPace(at: start)
    pace.looked(at: start, isWell: true)
    #expect(pace.next == start + LookPace.interval)
    pace.doubted()
    #expect(pace.next == start + LookPace.shortest)
    // Longer ago it is due at once.
    #expect(pace.next < start + .milliseconds(500))
  }
}
