import Foundation
import Testing
import TestSupport

@testable import FeatureCore

/// How merging agrees with folding: each kind says it, so that a new one can't be forgotten.
enum MergeLaw: Equatable {
  /// To the bit, for values of these types.
  case exact([ValueType])
  /// To the bit as long as every value has a counter.
  case exactOfFew
  /// But for the rounding of sums of doubles.
  case rounded
  /// Within bounds that a test of its own states.
  case bounded
}

extension Accumulator.Kind {
  var law: MergeLaw {
    switch self {
    case .count, .sumInt64, .meanInt64, .minInt64, .maxInt64, .first, .last, .latestTime, .histogram,
      .rowValue:
      .exact([.int64])
    case .minDouble, .maxDouble: .exact([.double])
    case .minText, .maxText, .rowText: .exact([.string])
    case .firstList, .lastList, .lastDistinct: .exact([.int64, .string])
    case .quantiles: .exact([.int64, .double])
    case .distinct: .exact([.int64, .double, .string])
    case .topCounts: .exactOfFew
    case .sumDouble, .product, .meanDouble, .moments, .decayed: .rounded
    case .heavyHitters, .scores: .bounded
    }
  }
}

/// merge(a, b) is folding a, then b; sketches keep the bounds that they state.
@Suite struct AccumulatorLawTests {
  /// What one accumulator holds outside a state.
  struct Held: Equatable {
    var words: [UInt64]
    var cell = Cell()
    var isFresh = true

    init(_ accumulator: Accumulator) { words = Array(repeating: 0, count: max(1, accumulator.wordCount)) }

    mutating func fold(_ accumulator: Accumulator, _ value: FeatureValue, time: Int64) {
      let arena = TextArena()
      let scalar = Scalar(value, in: arena)
      if accumulator.usesCell {
        accumulator.fold(scalar, time: time, fresh: isFresh, into: &cell)
      } else {
        let buckets = [BucketTable.int64([-10, 0, 10])]
        words.withUnsafeMutableBufferPointer {
          accumulator.fold(scalar, time: time, fresh: isFresh, bucketTables: buckets, into: $0.baseAddress!)
        }
      }
      isFresh = false
    }

    mutating func merge(_ accumulator: Accumulator, _ other: Held) {
      if other.isFresh { return }
      if accumulator.usesCell {
        accumulator.merge(other.cell, fresh: isFresh, into: &cell)
      } else {
        words.withUnsafeMutableBufferPointer { words in
          other.words.withUnsafeBufferPointer {
            accumulator.merge($0.baseAddress!, fresh: isFresh, into: words.baseAddress!)
          }
        }
      }
      isFresh = false
    }

    func bytes(_ accumulator: Accumulator) -> [UInt8] {
      var writer = ByteWriter(bytes: [])
      if accumulator.usesCell {
        accumulator.encode(cell, asOf: 1 << 40, into: &writer)
      } else {
        words.withUnsafeBufferPointer { accumulator.encode($0.baseAddress!, asOf: 1 << 40, into: &writer) }
      }
      return writer.bytes
    }
  }

  static func held(_ accumulator: Accumulator, _ values: [FeatureValue], from time: Int64 = 0) -> Held {
    var held = Held(accumulator)
    for (index, value) in values.enumerated() { held.fold(accumulator, value, time: time + Int64(index / 2)) }
    return held
  }

  static func merged(_ accumulator: Accumulator, _ parts: [[FeatureValue]]) -> Held {
    var result = Held(accumulator)
    var time: Int64 = 0
    for part in parts {
      result.merge(accumulator, held(accumulator, part, from: time))
      time += Int64(part.count)
    }
    return result
  }

  static func folded(_ accumulator: Accumulator, _ parts: [[FeatureValue]]) -> Held {
    var result = Held(accumulator)
    var time: Int64 = 0
    for part in parts {
      for (index, value) in part.enumerated() {
        result.fold(accumulator, value, time: time + Int64(index / 2))
      }
      time += Int64(part.count)
    }
    return result
  }

  static func accumulator(_ kind: Accumulator.Kind, _ type: ValueType = .int64, k: Int = 0) -> Accumulator {
    var accumulator = Accumulator(kind: kind, type: type, value: 0)
    accumulator.k = k
    accumulator.halfLife = 1000
    accumulator.buckets = 0
    accumulator.bucketCount = kind == .histogram ? 4 : 0
    return accumulator
  }

  static func parts(_ random: inout SplitMix64, _ make: (inout SplitMix64) -> FeatureValue)
    -> [[FeatureValue]]
  {
    (0..<3).map { _ in (0..<Int.random(in: 0...40, using: &random)).map { _ in make(&random) } }
  }

  private static func integer(_ random: inout SplitMix64) -> FeatureValue {
    Bool.random(using: &random)
      ? .int64(.random(in: -20...20, using: &random)) : .int64(Int64(bitPattern: random.next()))
  }

  private static func text(_ random: inout SplitMix64) -> FeatureValue {
    .string(Text(["", "a", "b", "é", String(repeating: "ü", count: 140)].randomElement(using: &random)!))
  }

  /// Values of a type, in parts that are merged.
  private static func values(_ type: ValueType, _ random: inout SplitMix64) -> [[FeatureValue]] {
    switch type {
    case .int64, .timestamp: parts(&random, integer)
    case .double: parts(&random) { .double(.random(in: -5...5, using: &$0)) }
    case .string: parts(&random, text)
    case .bool: parts(&random) { .bool(.random(using: &$0)) }
    }
  }

  @Test(arguments: seeds(20)) func exactKinds(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for kind in Accumulator.Kind.allCases {
      switch kind.law {
      case .exact(let types):
        for type in types {
          expectSame(Self.accumulator(kind, type, k: 5), Self.values(type, &random), seed)
        }
      case .exactOfFew:
        // Few enough values for every one to have a counter.
        let few = Self.parts(&random) { .int64(.random(in: -20...20, using: &$0)) }
        expectSame(Self.accumulator(kind, k: 3), few, seed)
        expectSame(Self.accumulator(kind, .string, k: 3), Self.values(.string, &random), seed)
      case .rounded, .bounded: break
      }
    }
  }

  private func expectSame(_ accumulator: Accumulator, _ parts: [[FeatureValue]], _ seed: UInt64) {
    let merged = Self.merged(accumulator, parts)
    #expect(merged == Self.folded(accumulator, parts), "\(accumulator.kind), seed \(seed)")
    guard !merged.isFresh else { return }
    // Merging nothing changes nothing, from either side.
    #expect(Self.merged(accumulator, [[]] + parts + [[]]) == merged, "\(accumulator.kind), seed \(seed)")
  }

  /// Rounding is the only difference.
  @Test(arguments: seeds(20)) func roundedKinds(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let doubles = Self.parts(&random) { .double(.random(in: 1...100, using: &$0)) }
    for kind in Accumulator.Kind.allCases where kind.law == .rounded {
      let accumulator = Self.accumulator(kind, .double)
      let merged = Self.merged(accumulator, doubles)
      let folded = Self.folded(accumulator, doubles)
      let last = accumulator.wordCount - 1
      #expect(
        merged.words.dropLast(kind == .moments ? 2 : 1) == folded.words.dropLast(kind == .moments ? 2 : 1))
      let (a, b) = (Double(bitPattern: merged.words[last]), Double(bitPattern: folded.words[last]))
      #expect(abs(a - b) <= 1e-12 * max(abs(a), abs(b)), "\(kind): \(a), \(b), seed \(seed)")
    }
  }

  /// Bins and counts depend on nothing but the scores; their sums are rounded.
  @Test(arguments: seeds(10)) func scoresMerge(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let accumulator = Self.accumulator(.scores, .double)
    let parts = Self.parts(&random) { .double(.random(in: -1...1, using: &$0)) }
    let merged = Self.merged(accumulator, parts).cell.words
    expectNear(merged, Self.folded(accumulator, parts).cell.words, seed)
    let shuffled = parts.flatMap(\.self).shuffled(using: &random)
    expectNear(merged, Self.held(accumulator, shuffled).cell.words, seed)
  }

  private func expectNear(_ first: ContiguousArray<UInt64>, _ second: ContiguousArray<UInt64>, _ seed: UInt64)
  {
    #expect(first.count == second.count, "seed \(seed)")
    for (index, (a, b)) in zip(first, second).enumerated() {
      // Sums are the header, and the last word of each bin.
      if index < ScoreSketch.headerWords || (index - ScoreSketch.headerWords) % ScoreSketch.binWords == 3 {
        #expect(abs(Double(bitPattern: a) - Double(bitPattern: b)) <= 1e-12, "seed \(seed)")
      } else {
        #expect(a == b, "seed \(seed)")
      }
    }
  }

  /// Welford and Chan against two passes over all values, with a mean that is large beside the deviations.
  @Test(arguments: seeds(5)) func varianceIsAccurate(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let values = (0..<3000).map { _ in 1e6 + Double.random(in: -1...1, using: &random) }
    let parts = [values[..<1000], values[1000..<1001], values[1001...]].map {
      $0.map { FeatureValue.double($0) }
    }
    let held = Self.merged(Self.accumulator(.moments, .double), parts)
    let mean = values.reduce(0, +) / 3000
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    #expect(abs(Double(bitPattern: held.words[2]) - squares) <= 1e-7 * squares, "seed \(seed)")
  }

  // MARK: Sketches

  /// Neither order nor repetition nor merging changes a bit, in either form and across the change.
  @Test(arguments: seeds(4)) func distinctIsAFunctionOfTheSet(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let accumulator = Self.accumulator(.distinct)
    for count in [1, 127, 128, 129, 1000] {
      let values = (0..<count).map { _ in FeatureValue.int64(Int64(bitPattern: random.next())) }
      let once = Self.held(accumulator, values)
      let again = (values + values.prefix(50)).shuffled(using: &random)
      #expect(Self.held(accumulator, again).cell == once.cell, "\(count) values, seed \(seed)")
      let overlapping = [Array(values.prefix(count * 2 / 3 + 1)), Array(values.suffix(count * 2 / 3 + 1))]
      #expect(Self.merged(accumulator, overlapping).cell == once.cell, "\(count) values, seed \(seed)")
      #expect(once.cell.bytes.isEmpty == (count <= 128))
    }
  }

  @Test(arguments: seeds(2)) func distinctCountsWithinFiveSigma(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let sigma = 1.04 / 64
    var cell = Cell()
    var count = 0
    for target in [100, 1000, 3000, 10_000, 100_000] {
      while count < target {
        DistinctSketch.insert(Hash64.hash(random.next()), into: &cell)
        count += 1
      }
      let estimate = Double(DistinctSketch.estimate(cell))
      let bound = target <= Limits.distinctExactMax ? 0 : 5 * sigma * Double(target)
      #expect(abs(estimate - Double(target)) <= bound, "\(estimate) of \(target), seed \(seed)")
    }
  }

  static let distributions: [(String, @Sendable (inout SplitMix64) -> Double)] = [
    ("uniform", { .random(in: 0...1000, using: &$0) }),
    ("narrow", { .random(in: 100...101, using: &$0) }),
    (
      "lognormal",
      { random in exp((0..<12).reduce(-6) { sum, _ in sum + .random(in: 0..<1, using: &random) }) }
    ),
    ("heavy-tailed", { pow(.random(in: 1e-12...1, using: &$0), -1.5) }),
    ("negative", { -.random(in: 0...1e6, using: &$0) }),
    ("both signs", { .random(in: -50...50, using: &$0) }),
    (
      "all magnitudes",
      { random in
        let value = Double(bitPattern: random.next())
        return value.isFinite ? value : 0
      }
    ),
  ]

  /// Within the stated error: 0.4 %, twice that for each time that neighbours were joined.
  @Test(arguments: seeds(2)) func quantilesWithinTheirError(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let accumulator = Self.accumulator(.quantiles, .double)
    for (name, make) in Self.distributions {
      let values = (0..<4000).map { _ in make(&random) }
      let held = Self.held(accumulator, values.map { .double($0) })
      let halves = [values[..<1500], values[1500...]].map { $0.map { FeatureValue.double($0) } }
      #expect(Self.merged(accumulator, halves).cell == held.cell, "\(name), seed \(seed)")
      let shuffled = values.shuffled(using: &random).map { FeatureValue.double($0) }
      #expect(Self.held(accumulator, shuffled).cell == held.cell, "\(name), seed \(seed)")
      if name == "narrow" || name == "lognormal" { #expect(held.cell.words[0] <= 1, "\(name)") }
      let error = 1.0 / Double(1 << (8 - Int(held.cell.words[0])))
      let sorted = values.sorted()
      for q in [0, 0.01, 0.25, 0.5, 0.9, 0.99, 1] where held.cell.words[0] < 8 {
        let exact = sorted[Int(q * 3999)]
        let found = QuantileSketch.quantile(q, held.cell)
        #expect(
          abs(found - exact) <= abs(exact) * error * (1 + 1e-9),
          "\(name) \(q): \(found), \(exact), seed \(seed)")
      }
    }
  }

  /// As the documentation says: nothing of the values is kept but the bucket that they fall into.
  @Test func aQuantileIsTheMiddleOfItsBucket() {
    let accumulator = Self.accumulator(.quantiles, .double)
    let middles: [(Double, Double)] = [(4, 4.015625), (-4, -4.015625), (0, 0), (.leastNonzeroMagnitude, 0)]
    for (value, middle) in middles {
      let held = Self.held(accumulator, [.double(value), .double(value)])
      for q in [0, 0.5, 1] { #expect(QuantileSketch.quantile(q, held.cell) == middle) }
    }
  }

  /// No counter is low, none is high by more than events / counters, and nothing more frequent is lost.
  @Test(arguments: seeds(5)) func topCountsWithinTheirBound(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for (type, exponent) in [(ValueType.int64, -2.0), (.string, -2), (.int64, -3), (.string, -3)] {
      let accumulator = Self.accumulator(.topCounts, type, k: 3)
      let values = (0..<3000).map { _ in
        let rank = Int64(pow(Double.random(in: 1e-5...1, using: &random), exponent))
        return type == .int64 ? FeatureValue.int64(rank) : .string(Text("item \(rank)"))
      }
      let parts = [Array(values[..<700]), Array(values[700..<720]), Array(values[720...])]
      let many = stride(from: 0, to: 3000, by: 100).map { Array(values[$0..<($0 + 100)]) }
      var continued = Self.merged(accumulator, Array(many[..<20]))
      for value in values[2000...] { continued.fold(accumulator, value, time: 3000) }
      for held in [
        Self.held(accumulator, values), Self.merged(accumulator, parts), Self.merged(accumulator, many),
        continued,
      ] {
        expectBounded(held.cell, values, type, seed)
      }
    }
  }

  private func expectBounded(_ cell: Cell, _ values: [FeatureValue], _ type: ValueType, _ seed: UInt64) {
    let counters = TopCounts.capacity(k: 3)
    let bound = values.count / counters
    var missing = Dictionary(grouping: values, by: \.self).mapValues(\.count)
    #expect(missing.count > counters, "the bound is not at stake; seed \(seed)")
    var total: UInt64 = 0
    TopCounts.forEach(cell, type) { scalar, count in
      let exact = missing.removeValue(forKey: FeatureValue(scalar, type)) ?? 0
      #expect(exact > 0, "a value that never occurred; seed \(seed)")
      #expect(exact...exact + bound ~= Int(count), "\(count) of \(exact), seed \(seed)")
      total += count
    }
    #expect((missing.values.max() ?? 0) <= bound, "seed \(seed)")
    #expect(total <= values.count, "seed \(seed)")
    #expect(cell.words.count / 2 == counters, "seed \(seed)")
  }

  /// A first tile with large counters must not win against what all others are full of.
  @Test func topCountsOfManySmallTiles() {
    let accumulator = Self.accumulator(.topCounts, k: 3)
    let first = (0..<6400).map { FeatureValue.int64($0 % 64) }
    let others = Array(repeating: Array(repeating: FeatureValue.int64(1000), count: 99), count: 50)
    let held = Self.merged(accumulator, [first] + others)
    #expect(TopCounts.top(held.cell, .int64, k: 3) == [.int64(1000), .int64(0), .int64(1)])
  }

  /// The largest of equally frequent values give way, and the others stay as they came.
  @Test func topCountsPreferSmallerValues() {
    for type in [ValueType.int64, .string] {
      func value(_ number: Int) -> FeatureValue {
        type == .int64 ? .int64(Int64(number)) : .string(Text(String(repeating: "x", count: number)))
      }
      let accumulator = Self.accumulator(.topCounts, type, k: 3)
      let few = (100..<164).map(value)
      let below = Self.held(accumulator, few + [value(7)])
      #expect(TopCounts.top(below.cell, type, k: 64) == [value(7)] + (100..<163).map(value))
      let above = Self.held(accumulator, few + [value(200)])
      #expect(TopCounts.top(above.cell, type, k: 64) == [value(200)] + (100..<163).map(value))
      let merged = Self.merged(accumulator, [few, (50..<114).map(value)])
      // Both are full, so the 14 in common and the 100 others have a count of 2 each: only values decide.
      #expect(TopCounts.top(merged.cell, type, k: 64) == (50..<114).map(value))
    }
  }
}
