import CPipeline
import FeatureCore
import Foundation

/// The whole service against a baseline that moves the same bytes and computes nothing: `plumb run` and the baseline take
/// turns at catching up on the same topic. Then the time from producing an event to reading its state.
struct ServiceBenchmark {
  /// What is caught up on: a topic of its name with the events, and how the service is to write of them.
  struct Workload {
    var name: String
    var events: EventBytes
    var snapshotsHaveValues = true
  }

  private let repetitions: Int
  private let workload: Workload
  private let site: Site
  private var topic: String { workload.name }
  private var events: EventBytes { workload.events }

  /// A catch-up, from a fifth of the topic on: the group has been joined and the memory has grown by then.
  private struct CatchUp {
    var events = 0
    var seconds = 0.0
    var process = ProcessTimes()
    var broker = 0.0
    var redis = 0.0
    var rate: Double { Double(events) / seconds }
    /// Microseconds of all processes for an event.
    var cpu: Double { (process.total + broker + redis) * 1e6 / Double(events) }
  }

  /// Measures catching up on each workload, and the latencies with the first.
  static func run(_ options: Options, _ workloads: [Workload]) throws {
    let site = try Site(options, topics: workloads.map(\.name))
    defer { site.stop() }
    for workload in workloads {
      try ServiceBenchmark(repetitions: options.repetitions, workload: workload, site: site).measureCatchUp()
    }
    print("")
    for rate in [2_000, 20_000] {
      for interval in [100, 10] {
        try LatencyBenchmark(site, workloads[0].events, rate: rate, commitInterval: interval).run()
      }
    }
  }

  private func measureCatchUp() throws {
    fill()
    // The first run warms up the broker, and tells what the baseline has to write.
    _ = try service("\(topic)0")
    let load = try observed("\(topic)0")
    print(
      "\nCatching up on \(events.count) events (\(topic), \(events.bytes.count / events.count) bytes), "
        + "\(Site.partitions) partitions, 12 features: \(decimals(load.writesPerEvent, 2)) states an event of "
        + "\(load.stateBytes) bytes, snapshots of \(load.snapshotBytes) bytes, commits of \(load.eventsPerCommit) events"
    )
    var pairs: [(service: CatchUp, baseline: CatchUp)] = []
    for pair in 1...repetitions {
      pairs.append((try service("\(topic)\(pair)"), try baseline("\(topic)-raw\(pair)", load)))
    }
    printRates(pairs)
    let two = try (1...repetitions).map { try service("\(topic)-two\($0)", workers: 2) }
    let rate = median(two, \.rate) / median(pairs.map(\.service), \.rate)
    let cpu = median(two, \.cpu) / median(pairs.map(\.service), \.cpu)
    print(
      "Two workers / one, medians of \(two.count): events/s \(decimals(rate, 2)), CPU \(decimals(cpu, 2))")
  }

  private func fill() {
    let producer = pipeline_producer(site.brokers, "20")
    events.forEachLine { line, number in
      let user = events.users[number]
      let key = UnsafeRawBufferPointer(rebasing: line[user])
      pipeline_send(producer, topic, key.baseAddress, key.count, line.baseAddress, line.count)
    }
    pipeline_flush(producer)
    pipeline_producer_free(producer)
  }

  // MARK: One run

  private func service(_ application: String, workers: Int = 1) throws -> CatchUp {
    let definitions = try site.prepare(
      application, topic: topic, snapshotsHaveValues: workload.snapshotsHaveValues)
    return try measure(application) { try site.run(definitions, workers: workers) }
  }

  private func baseline(_ application: String, _ load: RawPipeline.Load) throws -> CatchUp {
    _ = try site.prepare(
      application, topic: topic, snapshotsHaveValues: workload.snapshotsHaveValues)
    return try measure(application) {
      try RawPipeline.start(site, application, topic: topic, events: events.count, load)
    }
  }

  private func measure(_ application: String, _ start: () throws -> Process) throws -> CatchUp {
    pipeline_redis_flushall(site.connection)
    let process = try start()
    defer {
      process.terminate()
      process.waitUntilExit()
    }
    func sample() -> (time: Double, ProcessTimes, broker: Double, redis: Double) {
      (
        steadySeconds(), ProcessTimes(of: process.processIdentifier),
        ProcessTimes(of: site.broker.processIdentifier).total,
        ProcessTimes(of: site.redis.processIdentifier).total
      )
    }
    let first = try wait(application, process, for: events.count / 5)
    let before = sample()
    let last = try wait(application, process, for: events.count * 99 / 100)
    let after = sample()
    return CatchUp(
      events: last - first, seconds: after.time - before.time, process: after.1 - before.1,
      broker: after.broker - before.broker, redis: after.redis - before.redis)
  }

  private func wait(_ application: String, _ process: Process, for count: Int) throws -> Int {
    let deadline = steadySeconds() + 120
    while true {
      let progress = site.progress(application)
      if progress >= count { return progress }
      guard steadySeconds() < deadline, process.isRunning else {
        throw Site.Failure(description: "\(application) stood still at \(progress) of \(count) records")
      }
      usleep(3_000)
    }
  }

  /// What the service wrote in a run.
  private func observed(_ application: String) throws -> RawPipeline.Load {
    let sizes = pipeline_sizes(site.brokers, "\(application).snapshots", Int32(Site.partitions), .max)
    return RawPipeline.Load(
      writesPerEvent: Double(sizes.records) / Double(events.count),
      eventsPerCommit: events.count / sizes.commits, stateBytes: Int(sizes.state_bytes),
      snapshotBytes: Int(sizes.value_bytes))
  }

  // MARK: The tables

  private func median(_ runs: [CatchUp], _ value: (CatchUp) -> Double) -> Double {
    runs.map(value).sorted()[runs.count / 2]
  }

  private func printRates(_ pairs: [(service: CatchUp, baseline: CatchUp)]) {
    print(
      "\n| CPU in µs an event | events/s | all processes | own thread | librdkafka | broker | Redis |\n"
        + "|---|---:|---:|---:|---:|---:|---:|")
    printRow("service", pairs.map(\.service))
    printRow("baseline", pairs.map(\.baseline))
    let rates = pairs.map { $0.service.rate / $0.baseline.rate }.sorted()
    let cpus = pairs.map { $0.service.cpu / $0.baseline.cpu }.sorted()
    print(
      "\nService / baseline, medians of \(pairs.count) pairs: events/s \(decimals(rates[rates.count / 2], 2)) "
        + "(\(decimals(rates[0], 2)) to \(decimals(rates[rates.count - 1], 2))), CPU of all processes "
        + "\(decimals(cpus[cpus.count / 2], 2)) (\(decimals(cpus[0], 2)) to \(decimals(cpus[cpus.count - 1], 2)))"
    )
  }

  private func printRow(_ name: String, _ runs: [CatchUp]) {
    let parts: [(CatchUp) -> Double] = [\.process.own, \.process.library, \.broker, \.redis]
    let cells = parts.map { part in decimals(median(runs) { part($0) * 1e6 / Double($0.events) }, 2) }
    print(
      "| \(name) | \(decimals(median(runs, \.rate), 0)) | \(decimals(median(runs, \.cpu), 2)) | \(cells.joined(separator: " | ")) |"
    )
  }
}
