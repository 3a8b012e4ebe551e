import Glibc

/// Sleeps until a moment, or until somebody is to end, which is seen within 20 ms. Returns whether to go on.
@discardableResult
func sleep(until end: ContinuousClock.Instant, unless isEnding: () -> Bool) -> Bool {
  while !isEnding() {
    let ahead = ContinuousClock.now.duration(to: end)
    guard ahead > .zero else { return true }
    usleep(UInt32(min(ahead, .milliseconds(20)) / .microseconds(1)))
  }
  return false
}
