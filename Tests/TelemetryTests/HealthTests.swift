import Foundation
import Glibc
import Logging
import Processor
import Synchronization
import Telemetry
import Testing

@Suite struct HealthTests {
  private let working = LoopStatus(
    tasks: [
      LoopStatus.Task(
        partition: TopicPartition("clicks", 0), position: 4, latest: nil, isCatchingUp: false, cachedStates: 0
      )
    ], pending: [], isHeld: false)

  @Test func isReadyWhenEveryWorkerIs() {
    let health = Health(workers: 2, now: 0)
    #expect(health.objections(.alive, now: 10) == [])
    #expect(health.objections(.ready, now: 10).count == 2)
    health.report(worker: 0, BrokerContact(isMember: true), working, now: 10)
    health.report(
      worker: 1, BrokerContact(isMember: false), LoopStatus(tasks: [], pending: [], isHeld: false), now: 10)
    #expect(health.objections(.ready, now: 10) == ["worker 1: waiting for the consumer group"])
    // A member without partitions is ready: there are more workers than partitions.
    health.report(
      worker: 1, BrokerContact(isMember: true), LoopStatus(tasks: [], pending: [], isHeld: false), now: 10)
    #expect(health.objections(.ready, now: 10) == [])
  }

  @Test func saysWhatItWaitsFor() {
    let health = Health(workers: 1, now: 0)
    var status = working
    status.tasks[0].isCatchingUp = true
    health.report(worker: 0, BrokerContact(isMember: true), status, now: 10)
    #expect(health.objections(.ready, now: 10) == ["worker 0: recovering clicks-0"])
    status.isHeld = true
    health.report(worker: 0, BrokerContact(isMember: true), status, now: 10)
    #expect(health.objections(.ready, now: 10) == ["worker 0: waiting for Kafka or Redis"])
  }

  @Test func aStuckWorkerIsNotAlive() {
    let health = Health(workers: 1, now: 0)
    health.report(worker: 0, BrokerContact(isMember: true), working, now: 10)
    let late = 11 + Health.patienceMilliseconds
    #expect(health.objections(.alive, now: late - 1) == [])
    #expect(health.objections(.alive, now: late) == ["worker 0: no sign of life for 150 s"])
    #expect(health.objections(.ready, now: late).count == 1)
  }

  /// A loop that has died, in whatever call, is told of once, and so is its return.
  @Test func theLogTellsOfASilentWorker() {
    let health = Health(workers: 2, now: 0)
    let patience = Health.toldPatienceMilliseconds
    let contact = BrokerContact(isMember: true)
    health.report(worker: 0, contact, working, now: 1_000)
    health.report(worker: 1, contact, working, now: 1_000)
    #expect(health.news(now: 1_000 + patience) == [])
    health.report(worker: 0, contact, working, now: 1_001 + patience)
    let news = health.news(now: 1_001 + patience)
    #expect(news.count == 1 && news[0].hasPrefix("worker 1 has given no sign of life for 30 s"))
    #expect(health.news(now: 9_000 + patience) == [])
    health.report(worker: 1, contact, working, now: 11_000 + patience)
    #expect(health.news(now: 12_000 + patience) == ["worker 1 gives signs of life again, after 40 s"])
    #expect(health.news(now: 13_000 + patience) == [])
  }

  /// What is served is of unknown age while a worker waits in a call, or no broker answers.
  @Test func silenceIsNotReadiness() {
    let health = Health(workers: 1, now: 0)
    let patience = Health.readyPatienceMilliseconds
    health.report(
      worker: 0, BrokerContact(isMember: true, silentMilliseconds: patience - 10), working, now: 50)
    #expect(health.objections(.ready, now: 60) == [])
    #expect(health.objections(.ready, now: 61) == ["worker 0: no broker has answered for 10 s"])
    #expect(health.objections(.alive, now: 61) == [])
    health.report(worker: 0, BrokerContact(isMember: true), working, now: 100)
    #expect(health.objections(.ready, now: 100 + patience) == [])
    #expect(health.objections(.ready, now: 101 + patience) == ["worker 0: waiting for an answer for 10 s"])
    #expect(health.objections(.alive, now: 101 + patience) == [])
  }

  @Test func answersOverHTTP() throws {
    let registry = PrometheusRegistry(MetricDescription.service)
    let health = Health(workers: 1, now: 0)
    let server = try AdminServer(
      host: "127.0.0.1", port: 0, registry, objections: { health.objections($0, now: 0) })
    _ = WorkerMetrics(registry, LagMetrics(registry))
    #expect(try get("/healthz", server.port).hasPrefix("HTTP/1.1 200"))
    #expect(try get("/readyz", server.port).hasPrefix("HTTP/1.1 503"))
    #expect(try get("/metrics", server.port).contains("\nplumb_ready 0\n"))
    health.report(worker: 0, BrokerContact(isMember: true), working, now: 0)
    #expect(try get("/readyz", server.port).hasPrefix("HTTP/1.1 200"))
    #expect(try get("/metrics", server.port).contains("\nplumb_ready 1\n"))
    let metrics = try get("/metrics", server.port)
    #expect(metrics.contains("text/plain; version=0.0.4") && metrics.contains("\nplumb_commits_total 0\n"))
    let head = try get("/metrics", server.port, method: "HEAD")
    #expect(head.hasPrefix("HTTP/1.1 200") && head.hasSuffix("\r\n\r\n"), "\(head)")
    #expect(try get("/else", server.port).hasPrefix("HTTP/1.1 404"))
    // The port is taken.
    #expect(throws: (any Error).self) {
      try AdminServer(
        host: "127.0.0.1", port: server.port, registry, objections: { health.objections($0, now: 0) })
    }
  }

  /// What a server on loopback answers, headers included.
  private func get(_ path: String, _ port: Int, method: String = "GET") throws -> String {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafeBytes(of: &address) {
      connect(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    try #require(status == 0)
    let request = Array("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
    try #require(write(socket, request, request.count) == request.count)
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(socket, &buffer, buffer.count), count > 0 { answer += buffer[..<count] }
    return String(decoding: answer, as: UTF8.self)
  }
}

@Suite struct LogFormatTests {
  private func lines(_ format: LogFormat, _ body: (Logger) -> Void) -> [String] {
    let written = Lines()
    body(Logger(label: "test") { _ in LineLogHandler(format, level: .info, write: { written.add($0) }) })
    return written.all
  }

  private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  @Test func writesText() {
    let lines = lines(.text) { logger in
      var logger = logger
      logger[metadataKey: "worker"] = "1"
      logger.debug("unseen")
      logger.warning("two\nlines", metadata: ["topic": "a b"])
    }
    #expect(lines.count == 1)
    #expect(lines[0].hasSuffix("Z warning  two\\nlines topic=\"a b\" worker=1"), "\(lines)")
  }

  /// Messages name keys, and keys are whatever users send.
  @Test(arguments: LogFormat.allCases) func movesNoCursor(_ format: LogFormat) {
    let lines = lines(format) { $0.warning("key '\u{1B}[2J\r\u{9B}1m\u{7F}'", metadata: ["a": "\u{1B}c"]) }
    let isQuiet = lines[0].unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }
    #expect(lines.count == 1 && isQuiet, "\(lines)")
  }

  @Test func writesJSON() throws {
    let lines = lines(.json) { $0.error("a \"quoted\"\u{1}\nthing", metadata: ["n": "1"]) }
    let object = try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: String]
    #expect(object?["message"] == "a \"quoted\"\u{1}\nthing")
    #expect(object?["level"] == "error")
    #expect(object?["n"] == "1")
    #expect(object?["time"]?.hasSuffix("Z") == true)
  }
}
