import DefinitionFiles
import FeatureCore
import Foundation
import OnlineStore
import Processor

/// A broker, a Redis, topics, and the service's processes, all of one test and gone with it.
final class Site {
  static let partitions: Int32 = 3

  /// The binary under test.
  static let binary =
    ProcessInfo.processInfo.environment["PLUMB_BINARY"]
    ?? URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent(".build/debug/plumb").path

  let plan: Plan
  let routing: Routing
  let keys: StoreKeys
  let redis: Redis
  let brokers: String
  var group: String { "\(plan.name).\(plan.version)" }
  /// The partitions of the inputs, and the names of their tasks.
  let inputs: [(partition: TopicPartition, input: Routing.Input, task: String)]

  private let folder: URL
  private let broker: ChildProcess
  /// Those that run, by instance.
  private(set) var services: [String: ChildProcess] = [:]
  private var past: [ChildProcess] = []

  init() throws {
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-site-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    let file = folder.appendingPathComponent("shop.yaml")
    try Data(ShopEvents.definitions.utf8).write(to: file)
    plan = try Self.compile(file.path)
    routing = Routing(plan)
    keys = StoreKeys(name: plan.name, version: plan.version)
    inputs = routing.inputs.flatMap { input in
      (0..<Self.partitions).map { (TopicPartition(input.topic, $0), input, "\(input.name).\($0)") }
    }
    redis = try Redis(in: folder)
    guard FileManager.default.isExecutableFile(atPath: Self.binary) else {
      throw Failure("There is no binary at \(Self.binary): build it, or set PLUMB_BINARY.")
    }
    let broker = try ChildProcess(
      Self.binary,
      [
        "broker", "--port", "0", "--data-dir", folder.appendingPathComponent("log").path,
        "--min-session-timeout", "500",
      ], log: folder.appendingPathComponent("broker.log"))
    self.broker = broker
    let mark = "listening on "
    func address() -> Substring? {
      broker.text.split(separator: "\n").first { $0.hasPrefix(mark) }?.dropFirst(mark.count)
    }
    try waitUntil("the broker listens") { address() != nil }
    brokers = String(address() ?? "")
    let topics = try ChildProcess(
      Self.binary,
      ["topics", "apply", "-d", file.path, "--brokers", brokers, "--partitions", "\(Self.partitions)"],
      log: folder.appendingPathComponent("topics.log"))
    guard try topics.status(within: 30) == 0 else { throw Failure("topics apply: \(topics.text)") }
  }

  deinit {
    for service in services.values { service.kill() }
    broker.kill()
    try? FileManager.default.removeItem(at: folder)
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

  func start(_ instance: String) throws {
    precondition(services[instance] == nil, "Cannot start '\(instance)' twice")
    services[instance] = try ChildProcess(
      Self.binary,
      [
        "run", "-d", folder.appendingPathComponent("shop.yaml").path, "--brokers", brokers,
        "--redis", redis.url, "--instance", instance, "--commit-interval", "50",
        "-X", "consumer.session.timeout.ms=1000", "-X", "consumer.heartbeat.interval.ms=300",
      ], log: folder.appendingPathComponent("\(instance)-\(past.count).log"))
  }

  /// Another command on the same definitions and brokers, its arguments before those.
  func command(_ arguments: [String]) throws -> ChildProcess {
    try ChildProcess(
      Self.binary, arguments + reachingArguments,
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

  private var reachingArguments: [String] {
    ["-d", folder.appendingPathComponent("shop.yaml").path, "--brokers", brokers]
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
      let own = run.text.split(separator: "\n").filter { line in
        // Only outcomes are said in plumb's own name.
        line.hasPrefix("plumb: ") && !line.hasPrefix("plumb: running ") && !line.hasPrefix("plumb: stopped ")
          || line.contains("Fatal error")
      }
      return own.map { "\(run.log.lastPathComponent): \($0)" }
    }
      + services.filter { !$0.value.isRunning }.map {
        "\($0.key) ended by itself: \($0.value.text.suffix(500))"
      }
  }

  /// Everything the processes said, for a failure's report.
  var logs: String {
    (past + services.values).map { "== \($0.log.lastPathComponent)\n\($0.text)" }.joined(separator: "\n")
  }
}
