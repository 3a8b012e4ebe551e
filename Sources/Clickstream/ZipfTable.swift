/// Draws ranks from 0 with weights 1 / (rank + 1)^exponent in constant time: Vose's alias table.
struct ZipfTable: Sendable {
  private struct Slot {
    /// Out of 2^32: how much of this slot is its own.
    var threshold: UInt32
    /// Whose the rest is.
    var alias: UInt32
  }
  private let slots: [Slot]

  /// The exponent is in quarters. Only `+ - * /` and square roots: each is correctly rounded everywhere.
  init(count: Int, exponentQuarters: Int) {
    var weights = (1...count).map { rank in
      let root = Double(rank).squareRoot().squareRoot()
      return 1 / (0..<exponentQuarters).reduce(1.0) { power, _ in power * root }
    }
    let scale = Double(count) / weights.reduce(0, +)
    var poor: [Int] = []
    var rich: [Int] = []
    for index in weights.indices {
      weights[index] *= scale
      if weights[index] < 1 { poor.append(index) } else { rich.append(index) }
    }
    var slots = (0..<count).map { Slot(threshold: .max, alias: UInt32($0)) }
    while let giver = rich.last, let taker = poor.popLast() {
      slots[taker] = Slot(threshold: UInt32(weights[taker] * 4_294_967_295), alias: UInt32(giver))
      weights[giver] -= 1 - weights[taker]
      if weights[giver] < 1 {
        rich.removeLast()
        poor.append(giver)
      }
    }
    self.slots = slots
  }

  /// A rank, from 0.
  @inline(__always)
  func draw(_ random: inout Random) -> UInt32 {
    let bits = random.next()
    let index = ((bits &>> 32) &* UInt64(slots.count)) &>> 32
    let slot = slots[Int(index)]
    return UInt32(truncatingIfNeeded: bits) <= slot.threshold ? UInt32(truncatingIfNeeded: index) : slot.alias
  }
}
