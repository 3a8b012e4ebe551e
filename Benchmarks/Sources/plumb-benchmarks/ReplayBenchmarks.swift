import EventFiles
import FeatureCore
import Glibc
import OfflineStore
import Processor

/// From bytes to states: what `plumb replay` does for each event, on one thread.
enum ReplayBenchmarks {
  static func run(_ harness: Harness, _ name: String, _ events: EventBytes) {
    let plan = Shop.plan(Shop.twelve)
    Harness.printHeading(
      "Replay of \(events.count) events into \(Shop.plan(Shop.twelve).views[0].features.count) features, \(name)"
    )
    harness.measure("from memory", count: events.count) { stopwatch in
      stopwatch.start()
      let processor = replay(plan, events)
      stopwatch.stop()
      consume(processor)
    }
    let path = "/tmp/plumb-benchmarks-\(getpid()).ndjson"
    write(events, to: path)
    defer { unlink(path) }
    harness.measure("from a plain file", count: events.count) { stopwatch in
      stopwatch.start()
      let processor = replayFile(plan, path)
      stopwatch.stop()
      consume(processor)
    }
    let twenty = Shop.plan(Shop.twenty)
    var result: BatchProcessor?
    harness.measure("from memory, 20 features with sketches", count: events.count) { stopwatch in
      stopwatch.start()
      result = replay(twenty, events)
      stopwatch.stop()
    }
    if let result {
      print("\nDigest of its \(result.entityCount(0)) states: \(digest(result, twenty.views[0]))")
    }
  }

  /// A hash of every key and state: the same before and after a change that is only to make it faster, and on
  /// every machine.
  private static func digest(_ processor: BatchProcessor, _ view: ViewPlan) -> String {
    var digest: UInt64 = 0
    processor.forEachState(0) { key, state in
      digest = Hash64.hash(key, seed: digest)
      view.encode(state).withUnsafeBytes { digest = Hash64.hash($0, seed: digest) }
    }
    return fingerprintText(digest)
  }

  private static func replayFile(_ plan: Plan, _ path: String) -> BatchProcessor {
    let processor = makeProcessor(plan)
    let decoded = DecodedEvents(plan.sources[0].schema)
    do {
      var reader = try EventFileReader(EventFile.all(path)[0], plan.sources[0].schema)
      while try reader.next(
        take: { decoded },
        give: { events in
          processor.fold(
            events.batch, records: events.count, failures: events.failures, payload: events.payload)
        })
      {}
    } catch {
      fatalError("Cannot read \(path): \(error)")
    }
    return processor
  }

  private static func write(_ events: EventBytes, to path: String) {
    guard let file = fopen(path, "w") else { fatalError("Cannot write \(path)") }
    let written = events.bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    guard fclose(file) == 0, written == events.bytes.count else { fatalError("Cannot write \(path)") }
  }
}

/// Folds events in memory.
func replay(_ plan: Plan, _ events: EventBytes) -> BatchProcessor {
  let processor = makeProcessor(plan)
  let batch = EventBatch(plan.sources[0].schema, capacity: 1_024)
  func fold() {
    processor.fold(batch, records: batch.count, failures: []) { number in
      fatalError("Cannot fold record \(number)")
    }
    batch.removeAll()
  }
  events.forEachLine { line, number in
    do throws(DecodeFailure) {
      try batch.append(line, sequence: Int64(number))
    } catch {
      fatalError("Cannot use record \(number): \(error)")
    }
    if batch.count == batch.capacity { fold() }
  }
  fold()
  return processor
}

private func makeProcessor(_ plan: Plan) -> BatchProcessor {
  BatchProcessor(plan.sources[0], views: plan.views) { letter in
    fatalError("Cannot use record \(letter.sequence): \(letter.message)")
  }
}
