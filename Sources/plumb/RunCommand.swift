import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Foundation
import OnlineStore
import Processor
import Synchronization

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Fold topics into features in Redis and snapshots in the log, exactly once.",
    discussion: """
      Any number of processes may run; they share the partitions. SIGTERM or SIGINT completes the last commit and leaves
      the group. The topics must exist: see plumb topics apply.

      Examples:
        plumb run -d shop.yaml --brokers 127.0.0.1:9092 --redis redis://127.0.0.1:6379 --workers 2
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @OptionGroup var store: StoreOptions
  @Option(help: "Workers in this process: threads, each with a consumer, a producer and a Redis connection.")
  var workers = 1
  @Option(help: "Names this process among those that run; a restart with the same name takes over at once.")
  var instance = ProcessInfo.processInfo.hostName
  @Option(help: "Milliseconds between two commits.")
  var commitInterval: Int64 = 100

  func validate() throws {
    if workers < 1 { throw ValidationError("There are \(workers) workers; use 1 or more.") }
    if commitInterval < 1 {
      throw ValidationError("The commit interval is \(commitInterval) ms; use 1 or more.")
    }
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let redis = try store.options()
      let keys = StoreKeys(name: plan.name, version: plan.version)
      let survey = try TopicSurvey(plan, log)
      let missing = try survey.missing()
      guard missing.isEmpty else {
        throw ProcessorError(remedy: .stop, description: missing.joined(separator: "\n"))
      }
      try OnlineReader(redis, keys: keys).publish(
        StoreMetadata(fingerprint: plan.fingerprint, partitions: try survey.inputPartitions()))
      let group = WorkerGroup()
      for index in 0..<workers {
        let options = log.options(plan, transactionalID: "\(plan.name).\(plan.version).\(instance).\(index)")
        group.start { (isStopping) throws(ProcessorError) in
          let start = ContinuousClock.now
          var limits = WorkerLimits()
          limits.commitIntervalMilliseconds = commitInterval
          let runner = WorkerRunner(
            plan, store: RedisStateStore(redis, keys: keys), limits: limits,
            now: { Int64(start.duration(to: .now) / .milliseconds(1)) }, isStopping: isStopping,
            report: { StandardError.print("worker \(index): \($0)") }
          ) { () throws(LogError) in
            try KafkaLog(options, topics: Routing(plan).inputs.map(\.topic), report: LogOptions.report)
          }
          return try runner.run()
        }
      }
      StandardError.print("plumb: running \(plan.name), version \(plan.version), with \(workers) workers")
      StandardError.print("plumb: \(try group.wait())")
    }
  }
}

/// Threads that run until a signal comes or one of them fails. Blocking C calls stay off the cooperative pool.
final class WorkerGroup: Sendable {
  private let isStopping = Atomic(false)
  private let outcomes = Mutex<[Result<LoopCounts, ProcessorError>]>([])
  private let finished = DispatchGroup()

  init() {
    for number in [SIGTERM, SIGINT] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The handler keeps its source alive: it is needed as long as the process.
      source.setEventHandler { [self] in
        isStopping.store(true, ordering: .relaxed)
        withExtendedLifetime(source) {}
      }
      source.resume()
    }
  }

  func start(
    _ body: @escaping @Sendable (@escaping () -> Bool) throws(ProcessorError) -> LoopCounts
  ) {
    finished.enter()
    Thread.detachNewThread { [self] in
      let outcome: Result<LoopCounts, ProcessorError>
      do throws(ProcessorError) {
        outcome = .success(try body { self.isStopping.load(ordering: .relaxed) })
      } catch {
        outcome = .failure(error)
        // The others could go on, but half a service is found later than none.
        isStopping.store(true, ordering: .relaxed)
      }
      outcomes.withLock { $0.append(outcome) }
      finished.leave()
    }
  }

  /// Waits for every thread; throws the first failure.
  func wait() throws(ProcessorError) -> String {
    finished.wait()
    var records = 0
    var snapshots = 0
    for outcome in outcomes.withLock({ $0 }) {
      let counts = try outcome.get()
      records += counts.records
      snapshots += counts.snapshots
    }
    return "stopped after \(records) records and \(snapshots) snapshots"
  }
}
