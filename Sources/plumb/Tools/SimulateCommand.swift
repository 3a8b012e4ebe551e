import ArgumentParser
import Simulation

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run the service's loop over a simulated log and store, under faults that a seed draws.",
    discussion: """
      Each run is checked against one fold without faults. The same seed gives the same run, step for step. See
      docs/simulation.md.

      Examples:
        plumb simulate --runs 10000
        plumb simulate --seed 42 --trace
      """)

  @Option(help: "The seed of the first run; random without it.")
  var seed: UInt64?
  @Option(help: "Runs: one a seed, from the first seed on.")
  var runs = 1
  @Flag(help: "Print every step.")
  var trace = false
  @Flag(help: "Print how often each fault and each branch of recovery was met.")
  var coverage = false

  func validate() throws {
    if runs < 1 { throw ValidationError("There are \(runs) runs; use 1 or more.") }
  }

  func run() throws {
    let first = seed ?? UInt64.random(in: 0 ... .max >> 1)
    var total = Coverage()
    var turns = 0
    for index in 0..<UInt64(runs) {
      let outcome = Simulation(seed: first &+ index, trace: trace ? { print($0) } : nil).run()
      total.add(outcome.coverage)
      turns += outcome.turns
      guard let violation = outcome.violation else { continue }
      print("seed \(outcome.seed) fails after \(index + 1) runs: \(violation)")
      print("repeat it: plumb simulate --seed \(outcome.seed) --trace")
      throw ExitCode.failure
    }
    if coverage { print(total.report) }
    print("\(runs) runs from seed \(first), \(turns) turns: every invariant held")
  }
}
