/// SplitMix64's mixing: a bijection of 64 bits that looks random.
@inline(__always)
func mix(_ value: UInt64) -> UInt64 {
  var mixed = value &+ 0x9E37_79B9_7F4A_7C15
  mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
  mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
  return mixed ^ (mixed &>> 31)
}

/// xoshiro256** (Blackman and Vigna), seeded through SplitMix64.
struct Random: Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  init(seed: UInt64) {
    let golden: UInt64 = 0x9E37_79B9_7F4A_7C15
    state = (mix(seed), mix(seed &+ golden), mix(seed &+ 2 &* golden), mix(seed &+ 3 &* golden))
  }

  @inline(__always)
  mutating func next() -> UInt64 {
    let result = Self.rotate(state.1 &* 5, 7) &* 9
    let shifted = state.1 &<< 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = Self.rotate(state.3, 45)
    return result
  }

  /// A number below `bound`, with a bias below bound / 2^32.
  @inline(__always)
  mutating func below(_ bound: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: ((next() &>> 32) &* UInt64(bound)) &>> 32)
  }

  /// Whether something of this chance happens.
  @inline(__always)
  mutating func happens(_ chance: Chance) -> Bool { next() &>> 11 < chance.threshold }

  /// An exponentially distributed number with this mean.
  ///
  /// Von Neumann's method: it only compares uniform numbers, where the usual -log(u) would depend on the last
  /// bit of the machine's logarithm.
  mutating func exponential(mean: UInt64) -> UInt64 {
    var whole: UInt64 = 0
    while true {
      let first = next() &>> 32
      var previous = first
      var runIsOdd = true
      while true {
        let number = next() &>> 32
        if number >= previous { break }
        previous = number
        runIsOdd.toggle()
      }
      if runIsOdd {
        let (high, low) = mean.multipliedFullWidth(by: whole &<< 32 | first)
        return high &<< 32 | low &>> 32
      }
      whole += 1
    }
  }

  @inline(__always)
  private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
    (value &<< count) | (value &>> (64 &- count))
  }
}

/// A probability, compared with 53 random bits.
struct Chance: Sendable {
  let threshold: UInt64

  init(_ probability: Double) { threshold = UInt64(probability * 9_007_199_254_740_992) }
}
