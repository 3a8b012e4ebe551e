import FeatureCore
import Foundation
import Testing
import TestSupport

/// PortableMath against the C library, which is right to about one unit in the last place.
@Suite struct PortableMathTests {
  static let seed: UInt64 = 0x5EED_0001
  static let roundsPerRange = 20_000

  /// Doubles that compare in the order of their values, so that a difference is a count of units.
  static func ordinal(_ value: Double) -> Int64 {
    let bits = Int64(bitPattern: value.bitPattern)
    return bits < 0 ? Int64.min - bits : bits
  }

  static func unitsApart(_ lhs: Double, _ rhs: Double) -> UInt64 {
    if lhs.isNaN || rhs.isNaN { return lhs.isNaN && rhs.isNaN ? 0 : .max }
    let (difference, overflow) = ordinal(lhs).subtractingReportingOverflow(ordinal(rhs))
    return overflow ? .max : difference.magnitude
  }

  static let extremes: [Double] = [
    0, -0.0, 1, -1, 0.5, 2, 10, 1e-300, 0x1p-1074, 0x1p-1022, 1.7976931348623157e308, .infinity,
    -.infinity, .nan, 709.782712893384, 709.7827128933841, -745.1332191019411, -745.1332191019413, 1024,
    1023.9999999999999, -1074, -1075, -1074.5, -1022, -1022.5, 0.9999999999999999, 1.0000000000000002, 1e-17,
    1.4142135623730951, 0.7071067811865476, 0.70710678, 3, -2, -3, 1e15, 9_007_199_254_740_992, 1e18, -1e300,
  ]

  static func check(
    _ name: String, _ mine: (Double) -> Double, _ reference: (Double) -> Double,
    ranges: [ClosedRange<Double>]
  ) {
    var generator = SplitMix64(seed: seed)
    var inputs = extremes
    for range in ranges {
      for _ in 0..<roundsPerRange { inputs.append(Double.random(in: range, using: &generator)) }
    }
    for _ in 0..<roundsPerRange { inputs.append(Double(bitPattern: generator.next())) }
    var worst: (units: UInt64, input: Double) = (0, 0)
    for input in inputs {
      let units = unitsApart(mine(input), reference(input))
      if units > worst.units { worst = (units, input) }
    }
    // One for our rounding and one for the C library's.
    #expect(worst.units <= 2, "\(name)(\(worst.input)) is \(worst.units) units off, seed \(seed)")
  }

  @Test func exponentials() {
    let ranges = [-1.0...1.0, -750.0...710.0, -1e-8...1e-8, -746.0 ... -708.0, 700.0...710.0]
    Self.check("exp", PortableMath.exp, Foundation.exp, ranges: ranges)
    Self.check(
      "exp2", PortableMath.exp2, Foundation.exp2,
      ranges: [-1.0...1.0, -1080.0...1025.0, -1e-8...1e-8, -1076.0 ... -1020.0, 1020.0...1025.0])
  }

  @Test func logarithms() {
    let ranges = [0.5...2.0, 0.999...1.001, 0.0...1e-300, 0.0...0x1p-1030, 1e-5...1e5, 1e300...1.7e308]
    Self.check("ln", PortableMath.ln, Foundation.log, ranges: ranges)
    Self.check("log2", PortableMath.log2, Foundation.log2, ranges: ranges)
    Self.check("log10", PortableMath.log10, Foundation.log10, ranges: ranges)
  }

  @Test func powers() {
    var generator = SplitMix64(seed: Self.seed)
    var pairs: [(Double, Double)] = []
    for x in Self.extremes { for y in Self.extremes { pairs.append((x, y)) } }
    for _ in 0..<Self.roundsPerRange {
      pairs.append((.random(in: 0...100, using: &generator), .random(in: -150...150, using: &generator)))
      pairs.append(
        (.random(in: 0.99...1.01, using: &generator), .random(in: -70_000...70_000, using: &generator)))
      pairs.append(
        (.random(in: -10...10, using: &generator), Double(Int.random(in: -300...300, using: &generator))))
      pairs.append((.random(in: 1...1.000001, using: &generator), .random(in: -7e8...7e8, using: &generator)))
      pairs.append((Double(bitPattern: generator.next()), Double(bitPattern: generator.next())))
    }
    for (x, y) in pairs {
      let mine = PortableMath.pow(x, y)
      let reference = Foundation.pow(x, y)
      let units = Self.unitsApart(mine, reference)
      #expect(units <= 1, "pow(\(x), \(y)) = \(mine), not \(reference); seed \(Self.seed)")
      #expect(mine.isNaN || mine.sign == reference.sign, "pow(\(x), \(y)) = \(mine), not \(reference)")
    }
  }

  @Test func wholeNumbers() {
    var generator = SplitMix64(seed: Self.seed)
    var inputs =
      Self.extremes + [2.5, 3.5, -2.5, 0.49999999999999994, 0x1p51 + 0.5, 0x1p51 + 1.5, -0x1p51 - 0.5]
    for exponent in -2...54 {
      for _ in 0..<200 {
        let limit = Foundation.scalbn(1.0, exponent)
        let value = Double.random(in: -limit...limit, using: &generator)
        inputs += [value, (value * 2).rounded() / 2]
      }
    }
    for x in inputs {
      func same(_ name: String, _ mine: Double, _ reference: Double) {
        let isSame = mine.bitPattern == reference.bitPattern || (mine.isNaN && reference.isNaN)
        #expect(isSame, "\(name)(\(x)) = \(mine), not \(reference)")
      }
      same("truncate", PortableMath.truncate(x), x.rounded(.towardZero))
      same("floor", PortableMath.floor(x), x.rounded(.down))
      same("ceil", PortableMath.ceil(x), x.rounded(.up))
      same("roundHalfAway", PortableMath.roundHalfAway(x), x.rounded(.toNearestOrAwayFromZero))
      same("roundHalfEven", PortableMath.roundHalfEven(x), x.rounded(.toNearestOrEven))
    }
  }

  @Test func exactResultsAreExact() {
    for exponent in -1074...1023 {
      let power = Foundation.scalbn(1.0, exponent)
      #expect(PortableMath.exp2(Double(exponent)) == power)
      #expect(PortableMath.log2(power) == Double(exponent))
    }
    for exponent in 0...22 {
      let power = Double("1e\(exponent)")!
      #expect(PortableMath.log10(power) == Double(exponent))
      #expect(PortableMath.pow(10, Double(exponent)) == power)
    }
    for base in 2...1_000 {
      var power = base
      for exponent in 2...52 {
        let (next, overflow) = power.multipliedReportingOverflow(by: base)
        guard !overflow, next <= 1 << 53 else { break }
        power = next
        #expect(PortableMath.pow(Double(base), Double(exponent)) == Double(power), "\(base)^\(exponent)")
      }
    }
    #expect(PortableMath.exp(0) == 1 && PortableMath.ln(1) == 0)
  }

  /// Golden bits: another machine must give the same ones.
  @Test func bitsStayTheSame() {
    var generator = SplitMix64(seed: 7)
    var hash: UInt64 = 0
    func mix(_ value: Double) { hash = Hash64.hash(hash ^ (value.isNaN ? 1 : value.bitPattern)) }
    for _ in 0..<10_000 {
      let x = Double.random(in: -30...30, using: &generator)
      mix(PortableMath.exp(x))
      mix(PortableMath.exp2(x))
      mix(PortableMath.ln(x.magnitude))
      mix(PortableMath.log2(x.magnitude))
      mix(PortableMath.log10(x.magnitude))
      mix(PortableMath.pow(x.magnitude, x))
    }
    #expect(hash == 0x6EDD_E0A1_456E_A492)
  }
}
