import Testing

@testable import FeatureCore

/// Keys that were chosen to collide cost no more than others, whoever chose them, since nobody knows a process's secret.
/// Measured in places looked at, not in time.
@Suite struct HashFloodingTests {
  private static let count = 400

  /// Keys that share their place in the index of a table without a secret.
  private static let colliding: [[UInt8]] = {
    let hasher = KeyHash(secret: 0)
    var keys: [[UInt8]] = []
    var number = 0
    while keys.count < count {
      let key = Array("user-\(number)".utf8)
      if key.withUnsafeBytes({ hasher.hash($0) }) & 1_023 == 0 { keys.append(key) }
      number += 1
    }
    return keys
  }()

  private static let ordinary = (0..<count).map { Array("user-\($0)".utf8) }

  /// What finding each of some keys costs once all are in a table.
  private static func work(_ keys: [[UInt8]], secret: UInt64) -> Int {
    var table = StateTable(secret: secret)
    for key in keys {
      key.withUnsafeBytes { table.insert($0, State(words: [0], cells: [])) }
    }
    return keys.reduce(0) { sum, key in sum + key.withUnsafeBytes { table.probes($0) } }
  }

  @Test func whoKnowsTheHashMakesItQuadratic() {
    #expect(Self.work(Self.colliding, secret: 0) > 50 * Self.work(Self.ordinary, secret: 0))
  }

  @Test(arguments: [1, 2, 0x5EED, UInt64.max, UInt64.random(in: 1 ... .max)])
  func aSecretMakesThemOrdinary(_ secret: UInt64) {
    let (chosen, others) = (
      Self.work(Self.colliding, secret: secret), Self.work(Self.ordinary, secret: secret)
    )
    #expect(chosen < 3 * others, "secret \(secret): \(chosen) places against \(others)")
  }
}
