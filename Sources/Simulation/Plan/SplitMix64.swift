/// A small generator of numbers that look random, the same from the same seed everywhere.
struct SplitMix64: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// From 0 up to `bound`, exclusive.
  mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "Cannot draw below \(bound)")
    return Int(next() % UInt64(bound))
  }

  /// True once in `count` draws.
  mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

  /// A generator that draws independently of this one.
  mutating func fork() -> SplitMix64 { SplitMix64(seed: next()) }
}
