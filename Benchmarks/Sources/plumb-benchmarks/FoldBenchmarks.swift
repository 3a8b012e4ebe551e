import FeatureCore

/// Folding alone: decoding happens while the stopwatch stands still.
enum FoldBenchmarks {
  static func run(_ harness: Harness, events: Int, manyUsers: Int) {
    for (title, users) in [("in cache: 1,000 users", 1_000), ("in memory: \(manyUsers) users", manyUsers)] {
      let scattered = ScatteredEvents.bytes(events: events, users: users, gapMilliseconds: 100)
      Harness.printHeading("Folding one aggregate over everything, \(title)")
      for (name, feature) in Shop.aggregates {
        measure(harness, name, Shop.view([feature]), scattered)
      }
    }
  }

  /// The same events again and again: only the warm-up makes new states.
  private static func measure(_ harness: Harness, _ name: String, _ view: View, _ events: EventBytes) {
    let plan = Shop.plan(view)
    let batch = EventBatch(plan.sources[0].schema, capacity: 256)
    let fold = ViewFold(plan.views[0])
    var table = StateTable()
    harness.measure(name, count: events.count) { stopwatch in
      events.forEachLine { line, number in
        append(line, number, to: batch)
        guard batch.count == batch.capacity || number == events.count - 1 else { return }
        stopwatch.start()
        fold.fold(batch, into: &table) { row, failure in fatalError("Cannot fold row \(row): \(failure)") }
        stopwatch.stop()
        batch.removeAll()
      }
    }
  }
}
