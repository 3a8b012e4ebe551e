import Glibc
import TestSupport

extension SplitMix64 {
  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// The seeds to try: PLUMB_SEED's one, to reproduce a failure, or the first few.
  static func seeds(_ count: UInt64) -> [UInt64] {
    if let seed = getenv("PLUMB_SEED").flatMap({ UInt64(String(cString: $0)) }) { return [seed] }
    return Array(1...count)
  }
}
