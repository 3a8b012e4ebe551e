import BrokerCore
import Glibc
import LocalBroker
import Testing

/// The broker under test: the one named in PLUMB_TEST_BROKERS, or one of our own in this process.
enum TestBroker {
  private static let own = Task<LocalBroker, any Error> {
    try await LocalBroker.start(LocalBrokerConfiguration())
  }

  static func address() async throws -> String {
    if let named = environment("PLUMB_TEST_BROKERS") { return named }
    return "127.0.0.1:\(try await own.value.port)"
  }

  /// A name that no other test and no other run uses.
  static func unique(_ prefix: String) -> String {
    "\(prefix)-\(getpid())-\(UInt64.random(in: 0..<1 << 40))"
  }
}

private let conformancePath: String = {
  #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/Conformance/conformance.py"
}()

private let python = environment("PLUMB_PYTHON")

/// What confluent-kafka's checks are called, or none if the interpreter has no confluent-kafka.
private let checks: [String] = {
  guard let python, let process = try? Subprocess(python, [conformancePath, "--list"]) else { return [] }
  let (output, status) = process.finish()
  return status == 0 ? output.split(separator: "\n").map(String.init) : []
}()

@Suite(.serialized) struct ConformanceTests {
  @Test(
    .enabled(
      if: !checks.isEmpty, "PLUMB_PYTHON names no Python that has confluent_kafka: set it to run these checks"
    ),
    .timeLimit(.minutes(10)), arguments: checks)
  func confluentKafka(check: String) async throws {
    let process = try Subprocess(
      try #require(python), [conformancePath, await TestBroker.address(), check], joinError: true)
    let (output, status) = process.finish()
    #expect(status == 0, "\(output)")
  }
}

@Suite(.serialized) struct KcatTests {
  private static let isInstalled = access("/usr/bin/kcat", X_OK) == 0

  private func kcat(_ arguments: [String], input: String? = nil) async throws -> String {
    let process = try Subprocess(
      "/usr/bin/kcat", ["-b", await TestBroker.address()] + arguments, input: input)
    let (output, status) = process.finish()
    try #require(status == 0, "kcat \(arguments) ended with \(status): \(output)")
    return output
  }

  private func newTopic(_ partitions: Int32 = 1) async throws -> String {
    let topic = TestBroker.unique("kcat")
    try Rdkafka.createTopic(topic, partitions, await TestBroker.address())
    return topic
  }

  @Test(.enabled(if: isInstalled, "kcat is not installed"))
  func keysHeadersAndTombstones() async throws {
    let topic = try await newTopic()
    let produce = ["-P", "-t", topic, "-K", ":", "-Z", "-H", "h=1"]
    _ = try await kcat(produce, input: "k:v\nk:\n:w\n")
    let found = try await kcat(["-C", "-t", topic, "-e", "-q", "-f", "%o %K[%k] %S[%s] %h\n"])
    #expect(
      found == "0 1[k] 1[v] h=1\n1 1[k] -1[] h=1\n2 -1[] 1[w] h=1\n"
        || found == "0 1[k] 1[v] h=1\n1 1[k] -1[NULL] h=1\n2 -1[NULL] 1[w] h=1\n", "\(found)")
  }

  @Test(
    .enabled(if: isInstalled, "kcat is not installed"), arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
  func codecs(codec: String) async throws {
    let topic = try await newTopic()
    let lines = (0..<2_000).map { "line \($0) of many that look alike\n" }.joined()
    _ = try await kcat(["-P", "-t", topic, "-z", codec], input: lines)
    #expect(try await kcat(["-C", "-t", topic, "-e", "-q"]) == lines)
  }

  @Test(.enabled(if: isInstalled, "kcat is not installed"))
  func offsetsFromBothEndsAndByTime() async throws {
    let topic = try await newTopic()
    _ = try await kcat(["-P", "-t", topic], input: "a\nb\nc\nd\n")
    #expect(try await kcat(["-C", "-t", topic, "-o", "2", "-e", "-q"]) == "c\nd\n")
    #expect(try await kcat(["-C", "-t", topic, "-o", "-1", "-e", "-q"]) == "d\n")
    #expect(try await kcat(["-C", "-t", topic, "-o", "beginning", "-c", "2", "-q"]) == "a\nb\n")
    #expect(try await kcat(["-Q", "-t", "\(topic):0:1"]).contains("offset 0"))
    let metadata = try await kcat(["-L", "-t", topic])
    #expect(metadata.contains("topic \"\(topic)\" with 1 partitions"), "\(metadata)")
  }

  @Test(.enabled(if: isInstalled, "kcat is not installed"))
  func groupsShareATopic() async throws {
    let topic = try await newTopic(3)
    let group = TestBroker.unique("group")
    _ = try await kcat(["-P", "-t", topic, "-p", "2"], input: "a\nb\n")
    let read = ["-X", "auto.offset.reset=earliest", "-q", "-c"]
    #expect(try await kcat(read + ["2", "-G", group, topic]) == "a\nb\n")
    _ = try await kcat(["-P", "-t", topic, "-p", "2"], input: "c\n")
    // The next one goes on from what was committed.
    #expect(try await kcat(read + ["1", "-G", group, topic]) == "c\n")
  }
}
