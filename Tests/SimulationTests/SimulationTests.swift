import Simulation
import Testing

/// The loop in production under simulated faults: whatever happens, everything ends as one fold of the log makes it.
@Suite struct SimulationTests {
  /// Seeds that found something, kept for as long as the simulator draws the same from them.
  static let found: [UInt64] = [
    // An abort that was not answered, and another transaction begun.
    2002, 3004, 4038, 6048,
    // Two versions that forwarded to one repartition topic.
    3, 8, 10,
    // A suspended instance that came back behind retention, and stopped for nothing.
    30080, 31275, 10775,
  ]

  private static let freshRuns: UInt64 = 2_000
  private static let shares: UInt64 = 4
  /// Another one each time; the runs' seeds follow it.
  private static let base: UInt64 = {
    let base = UInt64.random(in: 0...(.max >> 1))
    print("simulation: \(freshRuns) runs from seed \(base)")
    return base
  }()

  @Test(arguments: 0..<shares) func freshSeeds(_ share: UInt64) async {
    let runs = Self.freshRuns / Self.shares
    let first = Self.base + share * runs
    for seed in first..<(first + runs) {
      expectHolds(seed)
      // Other tests wait for a thread.
      await Task.yield()
    }
  }

  @Test(arguments: found) func seedsThatFoundSomething(_ seed: UInt64) { expectHolds(seed) }

  private func expectHolds(_ seed: UInt64) {
    let outcome = Simulation(seed: seed).run()
    #expect(outcome.violation == nil, "repeat it: plumb simulate --seed \(seed) --trace")
  }

  /// Every kind of fault really happens, and every branch of recovery is reached.
  @Test func everyFaultAndBranchIsMet() async {
    var total = Coverage()
    for seed in UInt64(0)..<300 {
      total.add(Simulation(seed: seed).run().coverage)
      await Task.yield()
    }
    #expect(total.missing.isEmpty, "never met: \(total.missing)\n\(total.report)")
  }

  /// A seed gives one run, step for step.
  @Test(arguments: [1, 7, 1006]) func aSeedIsOneRun(_ seed: UInt64) {
    func trace() -> [String] {
      var lines: [String] = []
      _ = Simulation(seed: seed) { lines.append($0) }.run()
      return lines
    }
    let first = trace()
    #expect(first.count > 50)
    #expect(first == trace())
  }

  /// The simulator can fail: adapters that break the protocol are found.
  @Test(
    arguments: [AdapterFaults.noFence, .tornCommit, .offsetsOutsideTransaction])
  func brokenAdaptersAreFound(_ faults: AdapterFaults) {
    let seed = (UInt64(1)..<1_000).first {
      Simulation(seed: $0, adapterFaults: faults).run().violation != nil
    }
    #expect(seed != nil)
  }
}
