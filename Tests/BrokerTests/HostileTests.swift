import BrokerCore
import NIOCore
import Testing

@testable import LocalBroker

/// What clients may send that no client means.
@Suite struct HostileTests {
  private func handler(_ limits: BrokerLimits = BrokerLimits()) -> RequestHandler {
    let broker = Broker(limits: limits)
    broker.start(now: 0)
    return RequestHandler(broker: broker, configuration: LocalBrokerConfiguration()) { 1 }
  }

  /// A request of a version without compact encodings.
  private func request(_ api: API, _ version: Int16, client: String = "c", _ body: (inout ByteBuffer) -> Void)
    -> ByteBuffer
  {
    var buffer = ByteBuffer()
    buffer.writeInteger(api.rawValue)
    buffer.writeInteger(version)
    buffer.writeInteger(Int32(7))
    buffer.put(client)
    body(&buffer)
    return buffer
  }

  private func reply(_ handler: RequestHandler, _ request: ByteBuffer) throws -> ByteBuffer {
    guard case .reply(let writer) = try handler.handle(request, from: FakePeer()) else {
      throw Subprocess.Failed(reason: "there is no reply")
    }
    return try writer.finish()
  }

  /// Repaired, each byte would become three, and the name longer than any reply can hold.
  @Test(arguments: [1, 10_923, 32_767])
  func namesThatAreNotUTF8AreRefused(count: Int) {
    let request = request(.metadata, 1) { buffer in
      buffer.writeInteger(Int32(1))
      buffer.writeInteger(Int16(count))
      buffer.writeRepeatingByte(0xFF, count: count)
    }
    let error = #expect(throws: Malformed.self) { try reply(handler(), request) }
    #expect(error?.reason == "a string is not UTF-8")
  }

  @Test func aTopicIsDescribedOnceHoweverOftenItIsAskedFor() throws {
    let handler = handler()
    try handler.broker.createTopic("t", partitions: 20_000)
    let request = request(.metadata, 1) { buffer in
      buffer.writeInteger(Int32(4_200))
      for _ in 0..<4_200 { buffer.put("t") }
    }
    // 2 GiB, which no frame's length can say.
    #expect(try reply(handler, request).readableBytes < 1 << 20)
  }

  @Test func repliesAreBounded() throws {
    let handler = handler()
    try handler.broker.createTopic("t", partitions: 1)
    let offset = CommittedOffset(offset: 1, metadata: String(repeating: "m", count: 4_096))
    try handler.broker.commitOffsets("g", member: GroupMember(), [TopicPartition("t", 0): offset], now: 0)
    let request = request(.offsetFetch, 1) { buffer in
      buffer.put("g")
      buffer.writeInteger(Int32(1))
      buffer.put("t")
      buffer.writeInteger(Int32(600_000))
      buffer.writeRepeatingByte(0, count: 4 * 600_000)
    }
    let error = #expect(throws: Malformed.self) { try reply(handler, request) }
    #expect(error?.reason == "the reply to it has more than 100 MiB")
  }

  @Test func elementsOfARequestAreBounded() {
    let request = request(.metadata, 1) { buffer in
      buffer.writeInteger(Int32(1_000_001))
      buffer.writeRepeatingByte(0, count: 2 * 1_000_001)
    }
    let error = #expect(throws: Malformed.self) { try reply(handler(), request) }
    #expect(error?.reason == "its arrays have more than 1000000 elements")
  }

  @Test(arguments: API.joinGroup.range.versions.filter { $0 < 6 })
  func aMembersIdFitsWhateverItsClientIsCalled(version: Int16) throws {
    let handler = handler()
    let peer = FakePeer()
    for client in [String(repeating: "c", count: 32_767), String(repeating: "\u{1F600}", count: 8_000)] {
      let request = request(.joinGroup, version, client: client) { buffer in
        buffer.put("g")
        buffer.writeInteger(Int32(6_000))
        if version >= 1 { buffer.writeInteger(Int32(6_000)) }
        buffer.put("")
        if version >= 5 { buffer.writeInteger(Int16(-1)) }
        buffer.put("consumer")
        buffer.writeInteger(Int32(1))
        buffer.put("range")
        buffer.writeInteger(Int32(0))
      }
      guard case .later = try handler.handle(request, from: peer) else {
        throw Subprocess.Failed(reason: "there is a reply")
      }
    }
    // The first waits for the second, which may have to come again with its id, or for the end of its time.
    handler.broker.advance(now: 100_000)
    handler.settle()
    #expect(peer.completed == 2)
  }

  @Test func theLogGivesOutOffsetsWhateverAProducerWrites() throws {
    let broker = Broker()
    broker.start(now: 0)
    try broker.createTopic("t", partitions: 1)
    for offset in [Int64.max, .min, -1, .max - 1] {
      var bytes = batch("a", "b")
      for (index, byte) in withUnsafeBytes(of: offset.bigEndian, Array.init).enumerated() {
        bytes[index] = byte
      }
      let next = try #require(broker.partition(TopicPartition("t", 0))).nextOffset
      #expect(try broker.produce(TopicPartition("t", 0), batch: bytes, now: 1).baseOffset == next)
    }
    #expect(
      try consume(#require(broker.partition(TopicPartition("t", 0))), .readUncommitted).map(\.offset)
        == Array(0..<8))
  }

  @Test func noSessionIsLongEnoughWhereTheShortestIsLongerThanTheLongest() {
    var limits = BrokerLimits()
    limits.sessionTimeoutMin = limits.sessionTimeoutMax + 1
    let broker = Broker(limits: limits)
    broker.start(now: 0)
    let join = JoinRequest(
      group: "g", memberId: "", clientId: "c", sessionTimeout: 10_000, rebalanceTimeout: 10_000,
      protocols: [GroupProtocol(name: "range", metadata: [])])
    broker.joinGroup(join, token: 1, now: 0)
    guard case .join(1, let reply)? = broker.takeReplies().first else {
      Issue.record("there is no reply")
      return
    }
    #expect(reply.error == .invalidSessionTimeout)
  }

  /// What is remembered of clients has an end, like their records.
  @Test func whatIsRememberedIsBounded() throws {
    var limits = BrokerLimits()
    (limits.groupsMax, limits.transactionalIdsMax, limits.offsetsMax) = (3, 3, 5)
    (limits.membersMax, limits.groupBytesMax) = (10, 6_000)
    let broker = Broker(limits: limits)
    broker.start(now: 0)
    try broker.createTopic("t", partitions: 4)
    func commit(_ group: String, _ partitions: Range<Int32>) -> KafkaError {
      let offsets = partitions.map { (TopicPartition("t", $0), CommittedOffset(offset: 1)) }
      return failure { () throws(KafkaError) in
        try broker.commitOffsets(
          group, member: GroupMember(), Dictionary(uniqueKeysWithValues: offsets), now: 0)
      }
    }
    #expect(
      commit("a", 0..<4) == .none && commit("b", 0..<2) == .policyViolation && commit("b", 0..<1) == .none)
    #expect(commit(String(repeating: "g", count: 2_000), 0..<1) == .invalidGroupId)
    let ids = (0..<5).map { id in
      failure { () throws(KafkaError) in
        _ = try broker.initProducer(transactionalId: "x\(id)", timeout: 1_000, expected: nil, now: 0)
      }
    }
    #expect(ids == [.none, .none, .none, .policyViolation, .policyViolation])
    // Members, each in a group of its own or not, by number and by what they say.
    func join(_ group: String, _ bytes: Int, _ token: UInt64) -> KafkaError? {
      broker.joinGroup(
        JoinRequest(
          group: group, memberId: "", requiresKnownMember: false, clientId: "c", sessionTimeout: 10_000,
          rebalanceTimeout: 10_000,
          protocols: [GroupProtocol(name: "range", metadata: [UInt8](repeating: 1, count: bytes))]),
        token: token, now: 0)
      guard case .join(_, let reply)? = broker.takeReplies().last else { return nil }
      return reply.error
    }
    #expect(join("a", 10_000, 1) == .groupMaxSizeReached)
    #expect(join("a", 3_000, 2) == KafkaError.none)
    #expect(join("b", 3_000, 3) == .groupMaxSizeReached)
    #expect(join("b", 10, 4) == KafkaError.none)
    #expect(join("c", 10, 5) == KafkaError.none)
    #expect(join("d", 10, 6) == .policyViolation)
  }
}

extension ByteBuffer {
  fileprivate mutating func put(_ string: String) {
    writeInteger(Int16(string.utf8.count))
    writeString(string)
  }
}
