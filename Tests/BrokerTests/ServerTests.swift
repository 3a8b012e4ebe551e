import BrokerCore
import CRDKafka
import Glibc
import LocalBroker
import Testing

/// The broker as a process of its own: `plumb broker`, killed and started again.
private final class PlumbBroker {
  private let process: Subprocess
  let address: String

  /// The binary stands beside the tests'.
  static let plumb: String = {
    var path = [CChar](repeating: 0, count: 4_096)
    let length = max(0, readlink("/proc/self/exe", &path, path.count - 1))
    let own = String(decoding: path[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let arguments = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    return ((arguments ?? own).split(separator: "/").dropLast().map { "/" + $0 }.joined()) + "/plumb"
  }()

  init(_ arguments: [String] = []) throws {
    process = try Subprocess(Self.plumb, ["broker", "--port", "0"] + arguments)
    let line = process.readLine() ?? ""
    guard line.hasPrefix("listening on ") else { throw Subprocess.Failed(reason: "the broker said: \(line)") }
    address = String(line.dropFirst("listening on ".count))
  }

  func kill() { process.kill(SIGKILL) }
}

@Suite(.serialized) struct ServerTests {
  private func read(_ brokers: String, _ topic: String, _ isolation: String = "read_committed") throws
    -> [String]
  {
    let reader = try Rdkafka(
      RD_KAFKA_CONSUMER, brokers,
      [
        "group.id": "reader", "isolation.level": isolation, "enable.partition.eof": "true",
        "fetch.wait.max.ms": "50",
      ])
    reader.assign(topic, at: 0)
    return try reader.readToEnd()
  }

  /// Whatever was acknowledged before kill -9 is there after it, in order; what was undecided can be decided.
  @Test func killedBrokersLoseNothingAcknowledged() throws {
    let directory = TemporaryDirectory()
    var acknowledged: [String] = []
    for round in 0..<3 {
      let broker = try PlumbBroker(["--data-dir", directory.path, "--topics", "t:1"])
      #expect(try read(broker.address, "t") == acknowledged)
      let writer = try Rdkafka.transactional(broker.address, "writer")
      for batch in 0..<5 {
        let values = (0..<20).map { "\(round)-\(batch)-\($0)" }
        try writer.begin()
        try writer.produce("t", values)
        try writer.commit()
        acknowledged += values
      }
      try writer.begin()
      try writer.produce("t", ["undecided \(round)"])
      #expect(try read(broker.address, "t", "read_uncommitted").last == "undecided \(round)")
      broker.kill()
    }
  }

  @Test func firstMetadataComesAtOnce() throws {
    let clock = ContinuousClock()
    var best = Duration.seconds(60)
    for _ in 0..<5 {
      let elapsed = try clock.measure {
        let broker = try PlumbBroker(["--topics", "t:4"])
        let client = try Rdkafka(RD_KAFKA_PRODUCER, broker.address)
        var metadata: UnsafePointer<rd_kafka_metadata>?
        #expect(rd_kafka_metadata(client.handle, 1, nil, &metadata, 10_000) == RD_KAFKA_RESP_ERR_NO_ERROR)
        #expect(metadata?.pointee.topic_cnt == 1)
        rd_kafka_metadata_destroy(metadata)
        broker.kill()
      }
      best = min(best, elapsed)
    }
    #expect(best < .milliseconds(100), "took \(best)")
  }

  @Test func producersAreToldOfTheMemoryLimit() async throws {
    var settings = LocalBrokerConfiguration()
    settings.topics = [("t", 1)]
    settings.limits.memoryBytes = 100_000
    let broker = try await LocalBroker.start(settings)
    let writer = try Rdkafka(RD_KAFKA_PRODUCER, "127.0.0.1:\(broker.port)")
    do {
      for _ in 0..<10_000 { try writer.produce("t", [String(repeating: "x", count: 1_000)]) }
      Issue.record("no limit")
    } catch let error as Rdkafka.Failed {
      #expect(error.code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION.rawValue)
    }
    try await broker.stop()
  }

  /// Bytes that are no request end that connection; others go on.
  @Test func malformedFramesEndTheirConnectionAlone() async throws {
    let log = Lines()
    var settings = LocalBrokerConfiguration()
    settings.topics = [("t", 1)]
    settings.log = { log.add($0) }
    let broker = try await LocalBroker.start(settings)
    let client = try Rdkafka(RD_KAFKA_PRODUCER, "127.0.0.1:\(broker.port)")
    try client.produce("t", ["before"])
    let nonsense: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 0, 4, 0, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF],
      [0, 0, 0, 8, 0, 3, 0, 99, 0, 0, 0, 1], [0, 0, 0, 8, 0, 99, 0, 0, 0, 0, 0, 1],
    ]
    for bytes in nonsense {
      let descriptor = try connect(broker.port)
      defer { close(descriptor) }
      _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      var byte: UInt8 = 0
      #expect(recv(descriptor, &byte, 1, 0) <= 0, "\(bytes)")
    }
    try client.produce("t", ["after"])
    #expect(try read("127.0.0.1:\(broker.port)", "t") == ["before", "after"])
    #expect(log.count == nonsense.count)
    try await broker.stop()
  }

  /// Requests that never end where a read ends: what was read is let go.
  /// In a process of its own, where nothing else takes memory.
  @Test func streamsOfRequestsTakeNoMemory() async {
    await #expect(processExitsWith: .success) { try await ServerTests().stream() }
  }

  private func stream() async throws {
    let broker = try await LocalBroker.start(LocalBrokerConfiguration())
    let descriptor = try connect(broker.port)
    defer { close(descriptor) }
    // Metadata of no topics, with bytes behind it that nobody reads.
    let header: [UInt8] = [0, 3, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0]
    let frame = [0, 0, 0x27, 0x10] + header + [UInt8](repeating: 0, count: 10_000 - header.count)
    let frames = 60_000
    let before = residentBytes()
    let stream = Array(repeatElement(frame, count: 7).joined())
    var sent = 0
    while sent < frames * frame.count {
      let start = sent % frame.count
      let count = min(65_537, stream.count - start, frames * frame.count - sent)
      let written = stream.withUnsafeBytes { send(descriptor, $0.baseAddress! + start, count, 0) }
      try #require(written > 0)
      sent += written
    }
    var replies = 0
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let replyBytes = 4 + 4 + 4 + (4 + 2 + 9 + 4 + 2) + 4 + 4
    while replies < frames * replyBytes {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      try #require(count > 0, "\(replies) bytes of replies")
      replies += count
    }
    try #require(replies == frames * replyBytes)
    let grown = residentBytes() - before
    // Some tens of megabytes are the allocator's, whatever was sent.
    try #require(grown < frames * frame.count / 3, "grew by \(grown) bytes")
    try await broker.stop()
  }

  /// Requests that don't come to their end, from many clients: what has no room isn't read.
  /// In a process of its own, where nothing else takes memory.
  @Test func unfinishedRequestsTakeBoundedMemory() async {
    await #expect(processExitsWith: .success) { try await ServerTests().fillRoom() }
  }

  private func fillRoom() async throws {
    var settings = LocalBrokerConfiguration()
    settings.topics = [("t", 1)]
    settings.requestsBytesMax = 32 << 20
    let broker = try await LocalBroker.start(settings)
    let before = residentBytes()
    let length = 10 << 20
    let produce: [UInt8] = withUnsafeBytes(of: Int32(length).bigEndian, Array.init) + [0, 0, 0, 8]
    let chunk = [UInt8](repeating: 0, count: 1 << 20)
    var clients: [Int32] = []
    for _ in 0..<12 {
      let descriptor = try connect(broker.port)
      clients.append(descriptor)
      // Whoever isn't read from can't send for ever.
      var patience = timeval(tv_sec: 0, tv_usec: 300_000)
      setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      _ = produce.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, 0) }
      for _ in 0..<9 where send(descriptor, chunk, chunk.count, 0) != chunk.count { break }
    }
    let grown = residentBytes() - before
    // Three have room; the buffers of what arrives double as they grow.
    try #require(grown < 80 << 20, "grew by \(grown) bytes")
    for descriptor in clients { close(descriptor) }
    // The room is there again.
    let client = try Rdkafka(RD_KAFKA_PRODUCER, "127.0.0.1:\(broker.port)")
    try client.produce("t", ["after"])
    try await broker.stop()
  }

  @Test func connectionsAreBounded() async throws {
    let log = Lines()
    var settings = LocalBrokerConfiguration()
    settings.topics = [("t", 1)]
    settings.connectionsMax = 20
    settings.log = { log.add($0) }
    let broker = try await LocalBroker.start(settings)
    var idle = try (0..<20).map { _ in try connect(broker.port) }
    var byte: UInt8 = 0
    for _ in 0..<5 {
      let descriptor = try connect(broker.port)
      defer { close(descriptor) }
      #expect(recv(descriptor, &byte, 1, 0) <= 0)
    }
    #expect(log.count == 1)
    for descriptor in idle { close(descriptor) }
    idle = []
    let client = try Rdkafka(RD_KAFKA_PRODUCER, "127.0.0.1:\(broker.port)")
    try client.produce("t", ["after"])
    try await broker.stop()
  }

  @Test(arguments: [
    ["--port", "99999"], ["--port", "65536"], ["--memory-limit", "0"],
    ["--memory-limit", "9223372036854775807"],
    ["--min-session-timeout", "1800001"], ["--min-session-timeout", "0"], ["--marker-delay", "60001"],
  ])
  func settingsThatMeanNothingAreRefused(arguments: [String]) throws {
    let process = try Subprocess(PlumbBroker.plumb, ["broker"] + arguments, joinError: true)
    let (text, status) = process.finish()
    #expect(status != 0 && text.contains("\(arguments[0]) \(arguments[1]): give"), "\(text)")
  }

  private func connect(_ port: Int) throws -> Int32 {
    let descriptor = socket(AF_INET, streamSocket, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    return descriptor
  }
}
