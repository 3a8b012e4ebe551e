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
    help: "What all records together may take in memory, in MiB; producers get POLICY_VIOLATION beyond.")
  var memoryLimit = 4_096

  @Option(help: "The shortest session timeout a group member may ask for, in milliseconds.")
  var minSessionTimeout: Int32 = 6_000

  func run() async throws {
    var settings = LocalBrokerConfiguration()
    settings.host = host
    settings.port = port
    settings.advertisedHost = advertisedHost
    settings.dataDirectory = dataDir
    settings.topics = topics?.topics ?? []
    settings.autoCreateTopics = autoCreateTopics
    settings.limits.memoryBytes = memoryLimit << 20
    settings.limits.sessionTimeoutMin = minSessionTimeout
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
