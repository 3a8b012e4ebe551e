import CAllocationCount
import FeatureCore
import Processor

/// What happens to states: evaluating, encoding, decoding; and how large they are.
enum StateBenchmarks {
  static func run(_ harness: Harness, _ events: EventBytes) {
    let plan = Shop.plan(Shop.twenty)
    let view = plan.views[0]
    var states: [State] = []
    replay(plan, events).forEachState(0) { _, state in states.append(state) }
    let sample = stride(from: 0, to: states.count, by: max(1, states.count / 500)).map { states[$0] }
    for (title, states) in [("all", states), ("in cache", sample)] {
      let encoded = states.map { view.encode($0) }
      let bytes = encoded.reduce(0) { $0 + $1.count }
      Harness.printHeading(
        "States of \(states.count) users (\(title)), \(view.features.count) features, "
          + "\(bytes / states.count) bytes on average")
      measure(harness, view, states, encoded, rounds: max(1, 30_000 / states.count))
    }
  }

  private static func measure(
    _ harness: Harness, _ view: ViewPlan, _ states: [State], _ encoded: [[UInt8]], rounds: Int
  ) {
    harness.measure("evaluate", count: rounds * states.count) { stopwatch in
      stopwatch.start()
      for _ in 0..<rounds {
        for state in states { consume(view.evaluate(state, at: state.asOf)) }
      }
      stopwatch.stop()
    }
    var buffer: [UInt8] = []
    buffer.reserveCapacity(1 << 20)
    harness.measure("encode", count: rounds * states.count) { stopwatch in
      stopwatch.start()
      for _ in 0..<rounds {
        for state in states {
          buffer.removeAll(keepingCapacity: true)
          view.encode(state, into: &buffer)
        }
      }
      stopwatch.stop()
    }
    harness.measure("decode", count: rounds * states.count) { stopwatch in
      stopwatch.start()
      for _ in 0..<rounds {
        for state in encoded { decode(state, view) }
      }
      stopwatch.stop()
    }
  }

  private static func decode(_ bytes: [UInt8], _ view: ViewPlan) {
    do {
      consume(try bytes.withUnsafeBytes { (bytes) throws(StateError) in try view.decode(bytes) })
    } catch {
      fatalError("Cannot decode a state: \(error)")
    }
  }

  /// Prints the bytes of encoded states and of memory for the twenty features.
  static func footprint(_ name: String, events count: Int, _ next: (inout [UInt8]) -> Void) {
    let plan = Shop.plan(Shop.twenty)
    let view = plan.views[0]
    let batch = EventBatch(plan.sources[0].schema, capacity: 256)
    let fold = ViewFold(view)
    let before = allocated_bytes()
    var table = StateTable()
    // One buffer a row of the batch: texts of a row point into it until the batch is folded.
    var lines = [[UInt8]](repeating: [], count: batch.capacity)
    for number in 0..<count {
      next(&lines[batch.count])
      lines[batch.count].withUnsafeBytes { append($0, number, to: batch) }
      guard batch.count == batch.capacity || number == count - 1 else { continue }
      fold.fold(batch, into: &table) { row, failure in fatalError("Cannot fold row \(row): \(failure)") }
      batch.removeAll()
    }
    let grown = Int(allocated_bytes() - before)
    var sizes: [Int] = []
    var sizesOfTen: [Int] = []
    table.forEachSorted { _, state in
      let size = view.encode(state).count
      sizes.append(size)
      // The last two features are derived, the one before them counts all events of the user.
      if case .int64(8...12) = view.evaluate(state, at: state.asOf)[view.features.count - 3] {
        sizesOfTen.append(size)
      }
    }
    printSizes(name, events: count, sizes, sizesOfTen, memory: grown)
  }

  static func printFootprintHeading() {
    print("\nBytes of a state of twenty features (encoded; with key, index and all in memory)\n")
    print(
      """
      | \(pad("", 28)) | users    | mean | p50  | p99  | max   | 8 to 12 events: mean | p99  | in memory |
      |\(String(repeating: "-", count: 30))|---------:|-----:|-----:|-----:|------:|--------------------:|-----:|----------:|
      """)
  }

  private static func printSizes(
    _ name: String, events: Int, _ sizes: [Int], _ sizesOfTen: [Int], memory: Int
  ) {
    let sizes = sizes.sorted()
    let ten = sizesOfTen.sorted()
    let cells = [
      pad("\(sizes.count)", -8), pad("\(mean(sizes))", -4), pad("\(quantile(sizes, 50))", -4),
      pad("\(quantile(sizes, 99))", -4), pad("\(quantile(sizes, 100))", -5), pad("\(mean(ten))", -20),
      pad("\(quantile(ten, 99))", -4), pad("\(memory / sizes.count)", -9),
    ]
    print("| \(pad(name, 28)) | " + cells.joined(separator: " | ") + " |")
  }

  private static func mean(_ sizes: [Int]) -> Int { sizes.reduce(0, +) / max(1, sizes.count) }

  private static func quantile(_ sorted: [Int], _ percent: Int) -> Int {
    sorted.isEmpty ? 0 : sorted[(sorted.count - 1) * percent / 100]
  }
}
