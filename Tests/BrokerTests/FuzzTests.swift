import BrokerCore
import Glibc
import NIOCore
import NIOEmbedded
import Testing
import TestSupport

@testable import LocalBroker

/// A client that only counts what it is sent.
final class FakePeer: Peer {
  let localHost = "127.0.0.1"
  let localPort = 9092
  let remoteHost = "127.0.0.1"
  let allocator = ByteBufferAllocator()
  let embedded = EmbeddedEventLoop()
  var eventLoop: any EventLoop { embedded }
  var completed = 0

  func complete(_ reply: consuming WireWriter) {
    completed += 1
    _ = try? reply.finish()
  }
}

/// Valid requests of every kind and version, to be damaged.
struct Requests {
  private var buffer = ByteBuffer()
  private var isFlexible = false

  static func make(_ api: API, _ version: Int16, producer: ProducerIdentity, sequence: Int32) -> [UInt8] {
    var request = Requests()
    request.isFlexible = version >= api.range.flexibleFrom
    request.buffer.writeInteger(api.rawValue)
    request.buffer.writeInteger(version)
    request.buffer.writeInteger(Int32(7))
    request.buffer.writeInteger(Int16(1))
    request.buffer.writeString("c")
    request.tags()
    request.body(api, version, producer, sequence)
    return Array(request.buffer.readableBytesView)
  }

  private mutating func body(_ api: API, _ version: Int16, _ producer: ProducerIdentity, _ sequence: Int32) {
    switch api {
    case .produce:
      if version >= 3 { null() }
      int16(-1)
      int32(1_000)
      topic {
        $0.int32(0); $0.bytes(batch("v", producer: producer, sequence: sequence))
      }
    case .fetch:
      for value in [-1, 10, 1, 1_000_000] as [Int32] { int32(value) }
      int8(1)
      if version >= 7 { int32(0); int32(-1) }
      topic {
        $0.int32(0)
        if version >= 9 { $0.int32(0) }
        $0.int64(0)
        if version >= 5 { $0.int64(0) }
        $0.int32(1_000_000)
      }
      if version >= 7 { count(0) }
      if version >= 11 { string("") }
    case .listOffsets:
      int32(-1)
      if version >= 2 { int8(1) }
      topic {
        $0.int32(0)
        if version >= 4 { $0.int32(0) }
        $0.int64(-1)
        $0.tags()
      }
    case .metadata:
      count(1)
      string("t")
      tags()
      if version >= 4 { int8(1) }
      if version >= 8 { int8(0); int8(0) }
    case .offsetCommit:
      string("g")
      member(version >= 7)
      if version <= 4 { int64(-1) }
      topic { $0.offset(version >= 6) }
    case .offsetFetch:
      string("g")
      topic { $0.int32(0) }
      if version >= 7 { int8(1) }
    case .findCoordinator:
      string("g")
      if version >= 1 { int8(0) }
    case .joinGroup:
      string("g")
      int32(6_000)
      if version >= 1 { int32(6_000) }
      string("")
      if version >= 5 { null() }
      string("consumer")
      count(1)
      string("range")
      bytes([1, 2, 3])
      tags()
    case .heartbeat:
      string("g")
      member(version >= 3)
    case .leaveGroup:
      string("g")
      if version >= 3 { count(1) }
      string("m")
      if version >= 3 { null(); tags() }
    case .syncGroup:
      string("g")
      member(version >= 3)
      if version >= 5 { string("consumer"); string("range") }
      count(1)
      string("m")
      bytes([1])
      tags()
    case .describeGroups, .deleteTopics:
      count(1)
      string("g")
      if api == .deleteTopics { int32(1) } else if version >= 3 { int8(0) }
    case .listGroups: if version >= 4 { count(1); string("Stable") }
    case .apiVersions: if version >= 3 { string("a"); string("b") }
    case .createTopics:
      count(1)
      string("new")
      int32(2)
      int16(1)
      count(0)
      count(1)
      string("cleanup.policy")
      string("compact")
      int32(1)
      if version >= 1 { int8(0) }
    case .createPartitions:
      count(1)
      string("t")
      int32(2)
      null32()
      int32(1)
      int8(0)
    case .deleteGroups:
      count(1)
      string("g")
    case .deleteRecords:
      topic {
        $0.int32(0); $0.int64(-1); $0.tags()
      }
      int32(1)
    case .initProducerId:
      string("x")
      int32(1_000)
      if version >= 3 { int64(-1); int16(-1) }
    case .addPartitionsToTxn:
      transaction(producer)
      topic { $0.int32(0) }
    case .addOffsetsToTxn:
      transaction(producer)
      string("g")
    case .endTxn:
      transaction(producer)
      int8(1)
    case .txnOffsetCommit:
      string("x")
      string("g")
      int64(producer.id)
      int16(producer.epoch)
      if version >= 3 { member(true) }
      topic { $0.offset(version >= 2) }
    case .describeConfigs:
      count(1)
      int8(2)
      string("t")
      null32()
      if version >= 1 { int8(0) }
    }
    tags()
  }

  private mutating func int8(_ value: Int8) { buffer.writeInteger(value) }
  private mutating func int16(_ value: Int16) { buffer.writeInteger(value) }
  private mutating func int32(_ value: Int32) { buffer.writeInteger(value) }
  private mutating func int64(_ value: Int64) { buffer.writeInteger(value) }
  private mutating func tags() { if isFlexible { int8(0) } }
  private mutating func null() { if isFlexible { int8(0) } else { int16(-1) } }
  private mutating func null32() { if isFlexible { int8(0) } else { int32(-1) } }

  private mutating func count(_ count: Int) {
    if isFlexible { int8(Int8(count + 1)) } else { int32(Int32(count)) }
  }

  private mutating func string(_ string: String) {
    if isFlexible { int8(Int8(string.utf8.count + 1)) } else { int16(Int16(string.utf8.count)) }
    buffer.writeString(string)
  }

  private mutating func bytes(_ bytes: [UInt8]) {
    if isFlexible { int8(Int8(bytes.count + 1)) } else { int32(Int32(bytes.count)) }
    buffer.writeBytes(bytes)
  }

  private mutating func topic(_ partition: (inout Requests) -> Void) {
    count(1)
    string("t")
    count(1)
    partition(&self)
    tags()
  }

  private mutating func offset(_ hasEpoch: Bool) {
    int32(0)
    int64(3)
    if hasEpoch { int32(0) }
    string("")
    tags()
  }

  private mutating func member(_ hasInstance: Bool) {
    int32(1)
    string("m")
    if hasInstance { null() }
  }

  private mutating func transaction(_ producer: ProducerIdentity) {
    string("x")
    int64(producer.id)
    int16(producer.epoch)
  }
}

@Suite struct FuzzTests {
  private func handler() throws -> (RequestHandler, Broker, FakePeer) {
    var limits = BrokerLimits()
    limits.memoryBytes = 1 << 20
    limits.partitionsMax = 100
    let broker = Broker(limits: limits)
    var now: Int64 = 0
    let handler = RequestHandler(broker: broker, configuration: LocalBrokerConfiguration()) {
      now += 1
      return now
    }
    broker.start(now: 0)
    try broker.createTopic("t", partitions: 2)
    return (handler, broker, FakePeer())
  }

  @Test func everyVersionOfEveryRequestIsAnswered() throws {
    let (handler, broker, peer) = try handler()
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    for api in API.allCases {
      for version in api.range.versions {
        let frame = Requests.make(api, version, producer: producer, sequence: 0)
        let before = peer.completed
        switch try handler.handle(ByteBuffer(bytes: frame), from: peer) {
        case .reply(let writer): #expect(try writer.finish().readableBytes > 8)
        case .silent: Issue.record("\(api) \(version) is silent")
        case .later:
          handler.broker.advance(now: 10_000_000)
          handler.settle()
          peer.embedded.advanceTime(by: .seconds(100))
          #expect(peer.completed == before + 1, "\(api) \(version)")
        }
      }
    }
  }

  @Test(.timeLimit(.minutes(5)), arguments: SplitMix64.seeds(8))
  func damagedRequestsDoNoHarm(seed: UInt64) throws { _ = try hammer(seed: seed) }

  /// In a process of its own, where nothing else takes memory.
  @Test func damagedRequestsTakeNoMemory() async {
    await #expect(processExitsWith: .success) {
      let grown = try FuzzTests().hammer(seed: 1)
      try #require(grown < 50 << 20, "grew by \(grown) bytes")
    }
  }

  /// Sends damaged requests; gives by how many bytes the process grew, but for a first few.
  private func hammer(seed: UInt64) throws -> Int {
    let (handler, broker, peer) = try handler()
    var random = SplitMix64(seed: seed)
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    var refused = 0
    var before = 0
    let rounds = 30_000
    for round in 0..<rounds {
      if round == 5_000 { before = residentBytes() }
      let api = API.allCases[random.below(API.allCases.count)]
      let versions = Array(api.range.versions)
      var frame = Requests.make(
        api, versions[random.below(versions.count)], producer: producer, sequence: Int32(round))
      damage(&frame, &random)
      do { _ = try handler.handle(ByteBuffer(bytes: frame), from: peer) } catch { refused += 1 }
      if round % 100 == 0 {
        handler.advance()
        peer.embedded.advanceTime(by: .milliseconds(100))
        // The connection goes, and what waited for it.
        if round % 1_000 == 0 { handler.forget(peer) }
      }
    }
    #expect(refused > rounds / 10, "seed \(seed)")
    #expect(broker.memoryBytes <= 1 << 20, "seed \(seed)")
    return residentBytes() - before
  }

  private func damage(_ frame: inout [UInt8], _ random: inout SplitMix64) {
    switch random.below(6) {
    case 0: frame = (0..<random.below(200)).map { _ in UInt8(random.below(256)) }
    case 1: frame.removeLast(random.below(frame.count))
    case 2:
      let lies: [[UInt8]] = [
        [0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0, 0xFF, 0xFF, 0xFF],
      ]
      let lie = lies[random.below(lies.count)]
      let at = 8 + random.below(max(1, frame.count - 12))
      for (index, byte) in lie.enumerated() where at + index < frame.count { frame[at + index] = byte }
    case 3: frame.insert(UInt8(random.below(256)), at: 8 + random.below(frame.count - 8))
    default:
      for _ in 0...random.below(4) { frame[random.below(frame.count)] ^= UInt8(1 << random.below(8)) }
    }
  }
}
