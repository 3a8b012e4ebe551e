import Foundation
import Testing

@testable import FeatureCore

/// How the columns of a training set are binned.
@Suite struct BaselineBinsTests {
  private func numbers(_ values: [Double], isWhole: Bool = false) -> Baseline? {
    .ofNumbers(values, nulls: 0, isWhole: isWhole)
  }

  private func edges(_ baseline: Baseline?) -> [Double]? {
    if case .edges(let edges)? = baseline?.bins { edges } else { nil }
  }

  @Test func equallyFull() {
    let baseline = numbers((0..<1_000).reversed().map(Double.init))
    #expect(edges(baseline) == (1..<20).map { Double($0) * 50 })
    #expect(baseline?.counts == Array(repeating: 50, count: 20))
  }

  /// 60 % zeros: a bin of their own, with nothing below it.
  @Test func valuesThatFillBinsStandAlone() {
    let values =
      Array(repeating: 0.0, count: 300) + Array(repeating: -0.0, count: 300) + (1...400).map(Double.init)
    let baseline = numbers(values)
    #expect(edges(baseline)?.prefix(4) == [0, 0.0.nextUp, 1, 51])
    #expect(baseline?.counts.prefix(4) == [0, 600, 0, 50])
    #expect(baseline?.counts.reduce(0, +) == 1_000)
    #expect(edges(numbers(values, isWhole: true))?.prefix(3) == [0, 1, 51])
  }

  @Test func constantsAndFewValues() {
    #expect(numbers([7, 7, 7], isWhole: true) == Baseline(.edges([7, 8]), counts: [0, 3, 0]))
    #expect(numbers([7.5]) == Baseline(.edges([7.5, 7.5.nextUp]), counts: [0, 1, 0]))
    #expect(
      numbers([0, 1, 1, 0, 1], isWhole: true) == Baseline(.edges([0, 1, 2]), counts: [0, 2, 3, 0]))
    let largest = Double.greatestFiniteMagnitude
    #expect(numbers([largest, largest]) == Baseline(.edges([largest]), counts: [0, 2]))
  }

  @Test func whatIsNotFiniteIsNull() {
    #expect(
      Baseline.ofNumbers([.nan, 1, .infinity, -.infinity], nulls: 2, isWhole: true)
        == Baseline(.edges([1, 2]), counts: [0, 1, 0], nulls: 5))
    #expect(numbers([.nan]) == nil)
    #expect(numbers([]) == nil)
  }

  /// Whatever is drawn: every value is in the bin that a feature would count it in, and the definitions take it.
  @Test(arguments: seeds(6)) func binsAreThoseOfFeatures(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    for _ in 0..<200 {
      let kinds = 1 + streams.pick([1, 2, 3, 5, 10, 30, 1_000])
      let isWhole = streams.chance(2)
      let values = (0..<streams.pick([1, 2, 19, 20, 21, 400])).map { _ in
        let value = Double(Int.random(in: 0..<kinds, using: &streams.random)) - 3
        return isWhole ? value : value * 1e-3
      }
      let baseline = try #require(numbers(values, isWhole: isWhole))
      var counts = [Int64](repeating: 0, count: baseline.counts.count)
      for value in values { counts[baseline.bucketTable.bucket(of: Scalar(bits: value.bitPattern))] += 1 }
      #expect(baseline.counts == counts, "seed \(seed), \(values)")
      let ascending = try #require(edges(baseline))
      #expect(baseline.mistakes.isEmpty && ascending.count <= 21, "seed \(seed), \(values)")
    }
  }

  @Test func mostFrequentTexts() {
    var rows: [Text: Int64] = ["b": 9, "a": 9, "": 12]
    #expect(
      Baseline.ofTexts(rows, nulls: 3)
        == Baseline(.categories(["", "a", "b"]), counts: [12, 9, 9, 0], nulls: 3))
    for number in 0..<60 { rows[Text("t\(100 + number)")] = 2 }
    let baseline = Baseline.ofTexts(rows, nulls: 0)
    guard case .categories(let categories)? = baseline?.bins else { return #expect(Bool(false)) }
    #expect(categories.count == 50 && categories[3] == "t100" && categories.last == "t146")
    #expect(baseline?.counts.last == 26)
    #expect(Baseline.ofTexts([:], nulls: 5) == nil)
  }
}
