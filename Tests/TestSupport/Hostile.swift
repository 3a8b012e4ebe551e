import Foundation

/// How many hostile inputs a test makes, and which.
public enum Hostile {
  /// The seeds of a run: `count` from 0 on, or as many as PLUMB_TEST_HOSTILE says from PLUMB_TEST_SEED on, so that another run can
  /// take up where one has ended.
  public static func seeds(count: UInt64) -> Range<UInt64> {
    func number(_ name: String) -> UInt64? {
      ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }
    let first = number("PLUMB_TEST_SEED") ?? 0
    return first..<(first + (number("PLUMB_TEST_HOSTILE") ?? count))
  }
}
