import Foundation
import Simulation
import Testing
import TestSupport

/// The loop in production under simulated faults: whatever happens, everything ends as one fold of the log makes it.
@Suite struct SimulationTests {
  /// Seeds that find what the simulator once found, were it there again. `Tests/Mutations/run` puts it there and prints
  /// them: they change with what a seed draws.
  static let found: [UInt64] = [
    // A position that was set back behind the removal of a key.
    7_309_646_871_206_729_078,
    // A topic that was created anew while ids are read again.
    8_316_959_236_859_532_181,
    // An abort without an answer is taken for one.
    47,
    // Restored states seem to be older than they are.
    1782,
    // A join's clock leaves out a partition that was added.
    101,
    // Two versions forward to one repartition topic.
    3,
    // An offset that is out of range stops for good.
    11,
    // A cursor that fails goes on behind the head.
    2560,
    // A claim that is over stops for good.
    37,
    // A snapshot that a topic refuses is sent again for ever.
    133,
    // Seeds that failed while the simulator was made.
    4572, 592, 740, 8, 10, 951, 955, 1006, 1426, 2002, 3004, 4038, 5927, 6048, 10775, 30080, 31275,
  ]

  /// A binary that is optimised makes thirty runs while this process, which has every check of a debug build, makes one.
  private static let binary = ProcessInfo.processInfo.environment["PLUMB_BINARY"]
  private static let freshRuns: UInt64 = binary == nil ? 2_000 : 200
  private static let freshRunsOfBinary: UInt64 = 4_000
  private static let shares: UInt64 = 4
  /// Another one each time; the runs' seeds follow it.
  private static let base: UInt64 = {
    let base = UInt64.random(in: 0...(.max >> 1))
    print("simulation: \(binary == nil ? freshRuns : freshRunsOfBinary) runs from seed \(base)")
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

  /// The binary's runs are as many others. They are of the same sources: it says how often each fault was met, too.
  @Test(.enabled(if: binary != nil, "PLUMB_BINARY names no binary"), arguments: [0..<300, nil])
  func runsOfTheBinary(seeds: Range<UInt64>?) async throws {
    let folder = try TemporaryFolder()
    let first = Self.base + Self.freshRuns
    let runs = seeds ?? first..<(first + Self.freshRunsOfBinary)
    let process = try ChildProcess(
      #require(Self.binary),
      ["simulate", "--coverage", "--seed", "\(runs.lowerBound)", "--runs", "\(runs.count)"],
      log: folder.url.appendingPathComponent("simulate.log"))
    // Other tests wait for a thread.
    while process.isRunning { try await Task.sleep(for: .milliseconds(50)) }
    #expect(try process.status(within: 1) == 0, "\(process.text)")
    #expect(process.text.contains("every invariant held"))
    let never = process.text.split(separator: "\n").filter {
      $0.drop { $0 == " " }.hasPrefix("0  ")
    }
    // As many branches as there are, and each was reached.
    let lines = process.text.split(separator: "\n").count { $0.hasPrefix("  ") }
    #expect(lines == FaultKind.allCases.count + RecoveryBranch.allCases.count)
    #expect(never.isEmpty, "never met: \(never)")
  }

  @Test(arguments: found) func seedsThatFoundSomething(_ seed: UInt64) { expectHolds(seed) }

  private func expectHolds(_ seed: UInt64) {
    let outcome = Simulation(seed: seed).run()
    #expect(outcome.violation == nil, "repeat it: plumb simulate --seed \(seed) --trace")
  }

  /// Every kind of fault really happens, and every branch of recovery is reached; with a binary, `runsOfTheBinary` sees to that.
  @Test(.enabled(if: binary == nil, "the binary makes these runs")) func everyFaultAndBranchIsMet() async {
    var total = Coverage()
    for seed in UInt64(0)..<300 {
      total.add(Simulation(seed: seed).run().coverage)
      await Task.yield()
    }
    #expect(total.missing.isEmpty, "never met: \(total.missing)\n\(total.report)")
  }

  /// Runs leave nothing behind: a night of them fits into memory.
  /// In a process of its own, where nothing else takes memory.
  @Test func runsLeaveNothingBehind() async {
    await #expect(processExitsWith: .success) {
      func resident() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4_096
      }
      for seed in UInt64(0)..<60 { _ = Simulation(seed: seed).run() }
      let before = resident()
      for seed in UInt64(60)..<260 { _ = Simulation(seed: seed).run() }
      // Kept, a run's world is 130 KB.
      try #require(resident() - before < 10 << 20, "grew by \(resident() - before) bytes")
    }
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
    arguments: [AdapterFaults.noFence, .tornCommit, .offsetsOutsideTransaction, .joinsRestored])
  func brokenAdaptersAreFound(_ faults: AdapterFaults) {
    let seed = (UInt64(1)..<1_000).first {
      Simulation(seed: $0, adapterFaults: faults).run().violation != nil
    }
    #expect(seed != nil)
  }
}
