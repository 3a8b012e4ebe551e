import DefinitionFiles
import EventLog
import FeatureCore
import Foundation
import OnlineStore
import Processor
import TestSupport

/// A broker, a Redis, topics, and the service's processes, all of one test and gone with it.
final class Site {
  static let partitions: Int32 = 3

  /// The binary under test.
  static let binary =
    ProcessInfo.processInfo.environment["PLUMB_BINARY"]
    ?? URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent(".build/debug/plumb").path

  /// A topic takes larger records than a record may be, so that oversized ones can come.
  static let sourceBytesMax = 2 << 20

  /// A partition of an input, and the name of its task.
  struct Input {
    var partition: TopicPartition
    var input: Routing.Input
    var task: String
  }

  let plan: Plan
  let routing: Routing
  let keys: StoreKeys
  let redis: Redis
  let broker: Broker
  let inputs: [Input]
  var brokers: String { broker.address }
  var group: String { "\(plan.name).\(plan.version)" }
  var sourceTopic: String { plan.sources[0].source.topic }
  var snapshotPartitions: [TopicPartition] {
    (0..<Self.partitions).map { TopicPartition(routing.snapshotTopic, $0) }
  }

  /// Of every topic that is written for the definitions.
  var writtenPartitions: [TopicPartition] {
    let sources = plan.declaredSources.map { ($0.source.topic, Int(Self.partitions)) }
    return routing.specs(plan, partitions: Dictionary(uniqueKeysWithValues: sources)).flatMap { spec in
      (0..<Int32(spec.partitions)).map { TopicPartition(spec.name, $0) }
    }
  }

  private let folder: URL
  /// What makes the names of this site its own.
  private let ending = String(UInt32.random(in: .min ... .max), radix: 36)
  var definitions: String { folder.appendingPathComponent("definitions.yaml").path }
  /// Those that run, by instance.
  private(set) var services: [String: ChildProcess] = [:]
  private var past: [ChildProcess] = []

  /// The name and the topics of `definitions` get an ending of their own: a broker may have served others.
  init(_ definitions: String = ShopEvents.definitions, redis kind: Redis.Kind = .memory) throws {
    guard FileManager.default.isExecutableFile(atPath: Self.binary) else {
      throw Failure("There is no binary at \(Self.binary): build it, or set PLUMB_BINARY.")
    }
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-site-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    let file = folder.appendingPathComponent("definitions.yaml")
    try Data(Self.unique(definitions, ending).utf8).write(to: file)
    plan = try Self.compile(file.path)
    let routing = Routing(plan)
    self.routing = routing
    keys = StoreKeys(name: plan.name, version: plan.version)
    inputs = routing.inputs.flatMap { input in
      (0..<Self.partitions).map {
        Input(partition: TopicPartition(input.topic, $0), input: input, task: "\(input.name).\($0)")
      }
    }
    redis = try Redis(kind, in: folder)
    broker = try Broker(in: folder)
    try createTopics()
  }

  deinit {
    for service in services.values { service.kill() }
    broker.kill()
    redis.kill()
    try? FileManager.default.removeItem(at: folder)
  }

  private static func unique(_ definitions: String, _ ending: String) -> String {
    definitions.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("name: ") || line.hasPrefix("    topic: ") || line.hasPrefix("      topic: ")
        ? "\(line)-\(ending)" : "\(line)"
    }.joined(separator: "\n")
  }

  /// Another version of the definitions, in a file of its own.
  func addVersion(_ definitions: String) throws -> (path: String, plan: Plan) {
    let file = folder.appendingPathComponent("version-\(UUID().uuidString).yaml")
    try Data(Self.unique(definitions, ending).utf8).write(to: file)
    return (file.path, try Self.compile(file.path))
  }

  private func createTopics() throws {
    let admin = try TopicAdmin(
      KafkaOptions(brokers: brokers, group: group, transactionalID: "admin")
    ) { _, _ in }
    let sources = plan.declaredSources.map { source in
      TopicDescription(
        name: source.source.topic, partitions: Int(Self.partitions), replication: 1,
        configuration: ["max.message.bytes": "\(Self.sourceBytesMax)"])
    }
    guard try admin.create(sources).allSatisfy({ $0 == .created }) else {
      throw Failure("cannot create \(sources.map(\.name))")
    }
    let topics = try ChildProcess(
      Self.binary, ["topics", "apply", "-d", definitions, "--brokers", brokers],
      log: folder.appendingPathComponent("topics.log"))
    guard try topics.status(within: 60) == 0 else { throw Failure("topics apply: \(topics.text)") }
  }

  private static func compile(_ path: String) throws -> Plan {
    var plan: Plan?
    _ = try DefinitionFile.load(path: path) { definitions, zones in
      do throws(DefinitionMistakes) {
        plan = try Plan(definitions, zones: zones)
        return []
      } catch {
        return error.mistakes
      }
    }
    guard let plan else { throw Failure("no plan") }
    return plan
  }

  // MARK: The service

  /// A process of the service.
  struct Instance {
    var name: String
    var workers: Int

    init(_ name: String, workers: Int = 1) {
      self.name = name
      self.workers = workers
    }
  }

  /// `descriptors` is how many it may have open, whatever it would like.
  func start(
    _ instance: Instance, definitions other: String? = nil, more: [String] = [], descriptors: Int? = nil
  ) throws {
    precondition(services[instance.name] == nil, "Cannot start '\(instance.name)' twice")
    let session = Broker.sessionMilliseconds
    var arguments = [
      "run", "-d", other ?? definitions, "--brokers", brokers, "--redis", redis.url, "--instance",
      instance.name,
      "--workers", "\(instance.workers)", "--commit-interval", "50",
      "-X", "consumer.session.timeout.ms=\(session)", "-X", "consumer.heartbeat.interval.ms=\(session / 4)",
    ]
    arguments += more
    let log = folder.appendingPathComponent("\(instance.name)-\(past.count).log")
    services[instance.name] =
      if let descriptors {
        try ChildProcess(
          "/bin/sh", ["-c", "ulimit -n \(descriptors) && exec \"$0\" \"$@\"", Self.binary] + arguments,
          log: log)
      } else {
        try ChildProcess(Self.binary, arguments, log: log)
      }
  }

  /// Waits until all processes of the service are at work: without Redis they don't start.
  func awaitStarts() throws {
    try waitUntil("the service has started: \(logs)", seconds: 60) {
      services.values.allSatisfy { $0.text.contains(" running ") }
    }
  }

  /// Waits until the service has committed all of the sources' topics, in which there are at least so many records: the end of a
  /// transaction is seen a while after it was committed.
  func awaitFolded(records: Int) throws {
    let sources = plan.declaredSources.flatMap { source in
      (0..<Self.partitions).map { TopicPartition(source.source.topic, $0) }
    }
    let members = try KafkaAuditor(brokers: brokers, group: group)
    try waitUntil("\(records) records are folded: \(logs)", seconds: 240) {
      let ends = try members.ends(sources)
      return try ends.reduce(0, +) >= Int64(records)
        && zip(members.committed(sources), ends).allSatisfy { $0 ?? 0 >= $1 }
    }
  }

  /// Another command on the same definitions, or on others, and the same brokers; its arguments before those.
  func command(_ arguments: [String], definitions other: String? = nil) throws -> ChildProcess {
    try ChildProcess(
      Self.binary, arguments + ["-d", other ?? definitions, "--brokers", brokers],
      log: folder.appendingPathComponent("command-\(UUID().uuidString).log"))
  }

  /// What such a command prints; it must succeed. `|` and what follows it is the shell's.
  func output(of arguments: [String], piped pipe: String = "") throws -> String {
    let line = ([Self.binary] + arguments + reachingArguments).map { "'\($0)'" }.joined(separator: " ")
    let process = try ChildProcess(
      "/bin/bash", ["-o", "pipefail", "-c", "\(line) \(pipe)"],
      log: folder.appendingPathComponent("command-\(UUID().uuidString).log"))
    let status = try process.status(within: 60)
    guard status == 0 else { throw Failure("\(line) \(pipe): exit status \(status): \(process.text)") }
    return process.text
  }

  /// What a command that reads Redis prints; it must succeed.
  func answer(_ arguments: [String], definitions other: String? = nil) throws -> String {
    let process = try ChildProcess(
      Self.binary, arguments + ["-d", other ?? definitions, "--redis", redis.url],
      log: folder.appendingPathComponent("command-\(UUID().uuidString).log"))
    let status = try process.status(within: 60)
    guard status == 0 else { throw Failure("\(arguments): exit status \(status): \(process.text)") }
    return process.text
  }

  private var reachingArguments: [String] {
    ["-d", definitions, "--brokers", brokers]
  }

  /// A file or folder that goes away with the site.
  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  /// Whether a process of the service has ended by itself, and with which status.
  func ended(_ instance: String) throws -> Int32? {
    guard let service = services[instance], !service.isRunning else { return nil }
    services[instance] = nil
    past.append(service)
    return try service.status(within: 30)
  }

  func kill(_ instance: String) {
    guard let service = services.removeValue(forKey: instance) else { return }
    service.kill()
    past.append(service)
  }

  /// SIGTERM; returns the exit status.
  func terminate(_ instance: String) throws -> Int32 {
    guard let service = services.removeValue(forKey: instance) else { throw Failure("no '\(instance)'") }
    past.append(service)
    service.signal(SIGTERM)
    return try service.status(within: 30)
  }

  /// What the service said that it must not say, and processes that ended by themselves.
  func complaints() -> [String] {
    let runs = past + services.values
    return runs.flatMap { run in
      // Only what ends a process is said in plumb's own name.
      run.text.split(separator: "\n").filter { $0.hasPrefix("plumb: ") || $0.contains("Fatal error") }
        .map { "\(run.log.lastPathComponent): \($0)" }
    }
      + services.filter { !$0.value.isRunning }.map {
        "\($0.key) ended by itself: \($0.value.text.suffix(500))"
      }
  }

  /// Everything the processes said, for a failure's report: those that run, then the others, the latest first.
  var logs: String {
    (services.values + past.reversed()).map { "== \($0.log.lastPathComponent)\n\($0.text)" }.joined(
      separator: "\n")
  }
}
