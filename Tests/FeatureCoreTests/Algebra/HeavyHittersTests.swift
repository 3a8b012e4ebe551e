import Foundation
import Testing
import TestSupport

@testable import FeatureCore

/// `top_k` with declared counters: each knows how wrong it may be, and the result how far it can be trusted.
@Suite struct HeavyHittersTests {
  private typealias Laws = AccumulatorLawTests

  private static func accumulator(_ type: ValueType, counters: Int) -> Accumulator {
    var accumulator = Accumulator(kind: .heavyHitters, type: type, value: 0)
    accumulator.counters = counters
    return accumulator
  }

  private static func value(_ rank: Int64, _ type: ValueType) -> FeatureValue {
    type == .int64 ? .int64(rank) : .string(Text("item \(rank)"))
  }

  /// Counts with their errors hold what has occurred, whatever is folded and merged, and what is called certain is so.
  @Test(arguments: seeds(5)) func countsAreWithinTheirErrors(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for (type, exponent) in [(ValueType.int64, -2.0), (.string, -2), (.int64, -0.4), (.string, -3)] {
      let accumulator = Self.accumulator(type, counters: 40)
      let values = (0..<3000).map { _ in
        Self.value(Int64(pow(Double.random(in: 1e-5...1, using: &random), exponent) * 3), type)
      }
      let many = stride(from: 0, to: 3000, by: 100).map { Array(values[$0..<($0 + 100)]) }
      var continued = Laws.merged(accumulator, Array(many[..<20]))
      for value in values[2000...] { continued.fold(accumulator, value, time: 3000) }
      for held in [
        Laws.held(accumulator, values), continued, Laws.merged(accumulator, many),
        Laws.merged(accumulator, [Array(values[..<700]), Array(values[700..<720]), Array(values[720...])]),
      ] {
        expectTrue(held.cell, values, type, seed)
        expectSameAfterCoding(held, accumulator)
      }
    }
  }

  private func expectTrue(_ cell: Cell, _ values: [FeatureValue], _ type: ValueType, _ seed: UInt64) {
    let exact = Dictionary(grouping: values, by: \.self).mapValues(\.count)
    var missing = exact
    var total: UInt64 = 0
    var count = 0
    HeavyHitters.forEach(cell, type) { scalar, most, error in
      let occurred = UInt64(missing.removeValue(forKey: FeatureValue(scalar, type)) ?? 0)
      #expect(most - error...most ~= occurred, "\(most) less \(error) of \(occurred), seed \(seed)")
      #expect(error <= values.count / 40, "seed \(seed)")
      total += most
      count += 1
    }
    #expect(count == min(40, exact.count) && total <= values.count, "seed \(seed)")
    #expect((missing.values.max() ?? 0) <= values.count / 40, "seed \(seed)")
    let ranked = HeavyHitters.ranked(cell, type).map(\.value)
    for place in 0..<HeavyHitters.certain(cell, type, k: 10, counters: 40) {
      let own = exact[ranked[place]] ?? 0
      let behind = exact.filter { !ranked[...place].contains($0.key) }.values.max() ?? 0
      #expect(own >= behind, "place \(place): \(own) before \(behind), seed \(seed)")
    }
  }

  private func expectSameAfterCoding(_ held: AccumulatorLawTests.Held, _ accumulator: Accumulator) {
    held.bytes(accumulator).withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      #expect((try? accumulator.decodeCell(asOf: 1 << 40, &reader)) == held.cell)
    }
  }

  /// What a long tail has inherited doesn't stand before what has earned its count: the counts of top_k without errors are
  /// noise here.
  @Test(arguments: seeds(3)) func earnedCountsStandBeforeInheritedOnes(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let frequent = (0..<5).flatMap { rank in (0..<(30 + 8 * rank)).map { _ in Int64(rank) } }
    let tail = (0..<4_000).map { _ in Int64.random(in: 1_000...9_000, using: &random) }
    let values = (frequent + tail).shuffled(using: &random).map { FeatureValue.int64($0) }
    let accumulator = Self.accumulator(.int64, counters: 400)
    let tiles = stride(from: 0, to: values.count, by: 180).map {
      Array(values[$0..<min($0 + 180, values.count)])
    }
    let held = Laws.merged(accumulator, tiles)
    let ranked = HeavyHitters.ranked(held.cell, .int64)
    #expect(
      ranked.prefix(5).map(\.value) == (0..<5).reversed().map { .int64($0) },
      "\(ranked.prefix(8)), seed \(seed)")
    // Far too few counters: nothing is certain, and the result says so.
    let few = Self.accumulator(.int64, counters: 16)
    #expect(HeavyHitters.certain(Laws.merged(few, tiles).cell, .int64, k: 5, counters: 16) == 0)
  }

  @Test func exactCountsAreCertain() {
    let accumulator = Self.accumulator(.string, counters: 8)
    let values = ["a", "b", "b", "c", "c"].map { FeatureValue.string(Text($0)) }
    let cell = Laws.held(accumulator, values).cell
    #expect(HeavyHitters.certain(cell, .string, k: 2, counters: 8) == 2)
    #expect(HeavyHitters.certain(cell, .string, k: 9, counters: 8) == 3)
    #expect(HeavyHitters.ranked(cell, .string).map(\.certain) == [2, 2, 1])
  }

  /// The most frequent first; names are JSON texts whatever the type, and beyond the bound a count is never too high.
  @Test func countsAsAnObject() throws {
    let texts = ["b", "a\"", "b", "\u{1}", "b", "a\""].map { FeatureValue.string(Text($0)) }
    let cell = Laws.held(Self.accumulator(.string, counters: 8), texts).cell
    #expect(HeavyHitters.object(cell, .string, k: 8) == #"{"b":3,"a\"":2,"\u0001":1}"#)
    #expect(HeavyHitters.object(cell, .string, k: 1) == #"{"b":3}"#)
    let numbers = Laws.held(
      Self.accumulator(.int64, counters: 8), [-7, 5, -7].map { FeatureValue.int64($0) }
    ).cell
    #expect(HeavyHitters.object(numbers, .int64, k: 8) == #"{"-7":2,"5":1}"#)
    let moment = FeatureValue.timestamp(EventTime(microseconds: 0))
    let times = Laws.held(Self.accumulator(.timestamp, counters: 8), [moment]).cell
    #expect(HeavyHitters.object(times, .timestamp, k: 8) == #"{"1970-01-01T00:00:00Z":1}"#)
    let many = (0..<100).flatMap { [FeatureValue.int64(1), .int64(100 + $0)] }
    let full = Laws.held(Self.accumulator(.int64, counters: 4), many).cell
    #expect(HeavyHitters.object(full, .int64, k: 1) == #"{"1":100}"#)
  }

  /// `k` is how many are counted, unless `counters` says so, and it may be more than of a top_k; the values of a snapshot
  /// stay bounded.
  @Test func countByDeclared() throws {
    func plan(_ value: String, k: Int?, counters: Int? = nil) throws -> ViewPlan {
      let feature = Feature(
        "c", .aggregate(Aggregate(.countBy, value: value, windows: [.lifetime], k: k, counters: counters)))
      return try Plan(TestSource.definitions([feature])).views[0]
    }
    #expect(try plan("i", k: 300).layout.columns[0].accumulator.counters == 300)
    #expect(try plan("s", k: 3, counters: 20).layout.columns[0].accumulator.counters == 20)
    #expect(try plan("s", k: 3).outputs[0].type == .scalar(.string))
    for (value, k, counters) in [
      ("i", 1_001, nil), ("i", nil, 9), ("d", 3, nil), ("i", 30, 20), ("s", 1_000, nil),
    ] {
      #expect(throws: DefinitionMistakes.self, "\(value) \(String(describing: k))") {
        try plan(value, k: k, counters: counters)
      }
    }
  }

  /// Of values that all occur once, small ones are not those that stay.
  @Test(arguments: [ValueType.int64, .string]) func tiesFavourNobody(_ type: ValueType) {
    let accumulator = Self.accumulator(type, counters: 50)
    let names = (0..<1_000).map { FeatureValue.int64($0) }
    let values = names.map { value -> FeatureValue in
      guard type == .string, case .int64(let number) = value else { return value }
      return .string(Text("\(number + 1_000)"))
    }
    func share(_ cell: Cell) -> Double {
      var small = 0
      HeavyHitters.forEach(cell, type) { scalar, _, _ in
        if values[..<500].contains(FeatureValue(scalar, type)) { small += 1 }
      }
      return Double(small) / 50
    }
    var random = SplitMix64(seed: 7)
    let folded = Laws.held(accumulator, values.shuffled(using: &random))
    #expect(0.2...0.8 ~= share(folded.cell), "\(share(folded.cell))")
    // Not in the order of the values: what comes later stays, as in a single fold.
    let shuffled = values.shuffled(using: &random)
    let merged = Laws.merged(
      accumulator, stride(from: 0, to: 1_000, by: 25).map { Array(shuffled[$0..<($0 + 25)]) })
    #expect(0.2...0.8 ~= share(merged.cell), "\(share(merged.cell))")
    let top = HeavyHitters.ranked(Laws.held(accumulator, Array(values[..<50])).cell, type).prefix(10)
    #expect(top.map(\.value) != Array(values[..<10]))
  }

  /// Functions that ask one top_k share its column, and a definition without counters is what it was.
  @Test func functionsShareAColumn() throws {
    func feature(_ name: String, _ function: Aggregate.Function, k: Int, counters: Int?) -> Feature {
      Feature(
        name, .aggregate(Aggregate(function, value: "i", windows: [.lifetime], k: k, counters: counters)))
    }
    let alone = try Plan(TestSource.definitions([feature("a", .topK, k: 3, counters: 20)])).views[0]
    let all = try Plan(
      TestSource.definitions([
        feature("a", .topK, k: 3, counters: 20), feature("b", .topKCounts, k: 3, counters: 20),
        feature("c", .topKErrors, k: 2, counters: 20), feature("d", .topKCertain, k: 3, counters: 20),
      ])
    ).views[0]
    #expect(all.layout.columns.count == 1 && alone.layout.columns.count == 1)
    let old = try Plan(TestSource.definitions([feature("a", .topK, k: 3, counters: nil)])).views[0]
    #expect(old.layout.columns[0].accumulator.kind == .topCounts && old.fingerprint != alone.fingerprint)
    #expect(throws: DefinitionMistakes.self) {
      try Plan(TestSource.definitions([feature("a", .topKCounts, k: 3, counters: nil)]))
    }
    #expect(throws: DefinitionMistakes.self) {
      try Plan(TestSource.definitions([feature("a", .topK, k: 30, counters: 20)]))
    }
    #expect(throws: DefinitionMistakes.self) {
      try Plan(TestSource.definitions([feature("a", .lastK, k: 3, counters: 20)]))
    }
  }
}
