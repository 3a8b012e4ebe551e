import ArgumentParser
import BrokerCore
import LocalBroker

/// `plumb broker`: a Kafka broker on this machine.
struct BrokerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "broker",
    abstract: "Run a Kafka broker in this process, for tests, demos and development on one machine.",
    discussion: """
      It speaks Kafka's protocol with Kafka's semantics (idempotent producers, transactions, consumer groups) and \
      needs neither Docker nor a JVM. It is one node, without replication, authentication, retention or \
      compaction: not for production.
      """)

  @Option(help: "The port to listen on; 0 takes a free one and prints it.")
  var port = 9092

  @Option(help: "The address to listen on. Clients are not authenticated: think before you leave loopback.")
  var host = "127.0.0.1"

  @Option(help: "The host name clients are told to connect to; by default the address they reached.")
  var advertisedHost: String?

  @Option(help: "Keep records in this directory; by default they are in memory alone.")
  var dataDir: String?

  @Option(help: "Topics to create at start, with their partitions: a:4,b:4.")
  var topics: TopicList?

  @Flag(help: "Create a topic, with one partition, when a client asks for it.")
  var autoCreateTopics = false

  @Option(
    help: """
      What records, requests, replies and groups may take in memory together, in MiB; producers get POLICY_VIOLATION \
      when there is no room for records.
      """)
  var memoryLimit = 4_096

  @Option(help: "The shortest session timeout a group member may ask for, in milliseconds.")
  var minSessionTimeout: Int32 = 6_000

  @Option(
    help: """
      How long after its end was answered a transaction's markers are written, in milliseconds: as on a cluster, \
      where a transaction begun meanwhile gets CONCURRENT_TRANSACTIONS.
      """)
  var markerDelay: Int64 = 0

  func validate() throws {
    let longest = BrokerLimits().sessionTimeoutMax
    let rules: [(holds: Bool, message: String)] = [
      ((0...65_535).contains(port), "--port \(port): give a port from 0 (a free one) to 65535"),
      (
        (Self.memoryLimits).contains(memoryLimit),
        "--memory-limit \(memoryLimit): give \(Self.memoryLimits.lowerBound) to \(Self.memoryLimits.upperBound) MiB"
      ),
      (
        (1...longest).contains(minSessionTimeout),
        "--min-session-timeout \(minSessionTimeout): give 1 to \(longest) ms"
      ),
      ((0...60_000).contains(markerDelay), "--marker-delay \(markerDelay): give 0 to 60000 ms"),
    ]
    if let broken = rules.first(where: { !$0.holds }) { throw ValidationError(broken.message) }
  }

  /// In MiB. Less has no room for a request beside the records; more is no machine's.
  private static let memoryLimits = 16...(1 << 24)

  func run() async throws {
    var settings = LocalBrokerConfiguration()
    settings.host = host
    settings.port = port
    settings.advertisedHost = advertisedHost
    settings.dataDirectory = dataDir
    settings.topics = topics?.topics ?? []
    settings.autoCreateTopics = autoCreateTopics
    settings.setMemory(bytes: memoryLimit << 20)
    settings.limits.sessionTimeoutMin = minSessionTimeout
    settings.markerDelay = markerDelay
    settings.log = { line in StandardError.print("broker: \(line)") }
    let broker = try await LocalBroker.start(settings)
    StandardError.print(
      "broker: for tests, demos and development on one machine; "
        + (dataDir.map { "records are kept in \($0)" }
          ?? "records are kept in memory and end with this process"))
    // Whoever started us with --port 0 reads the port from here.
    StandardOutput.print("listening on \(host):\(broker.port)")
    try await broker.run()
  }
}

/// `a:4,b:4`: topics with their partitions.
struct TopicList: ExpressibleByArgument {
  var topics: [(name: String, partitions: Int32)]

  init?(argument: String) {
    topics = []
    for item in argument.split(separator: ",") {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      let count = parts.count == 1 ? 1 : Int32(parts[1]) ?? 0
      guard parts.count <= 2, !parts[0].isEmpty, count > 0 else { return nil }
      topics.append((String(parts[0]), count))
    }
  }
}
