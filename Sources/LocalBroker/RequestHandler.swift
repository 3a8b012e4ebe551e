import BrokerCore
import NIOCore

/// Where replies go: one client's connection.
protocol Peer: AnyObject {
  /// The address and port the client reached us at, and where it comes from.
  var localHost: String { get }
  var localPort: Int { get }
  var remoteHost: String { get }
  var allocator: ByteBufferAllocator { get }
  var eventLoop: any EventLoop { get }
  /// Sends the reply that its connection waits for.
  func complete(_ reply: consuming WireWriter)
}

/// One request: who asks, for what, and the rest of its bytes.
struct Call {
  let api: API
  let version: Int16
  let correlationId: Int32
  let clientId: String
  let peer: any Peer
  var reader: WireReader

  func reply(capacity: Int = 256) -> WireWriter {
    WireWriter(
      correlationId: correlationId, isFlexible: version >= api.range.flexibleFrom,
      hasOldHeader: api == .apiVersions, allocator: peer.allocator, capacity: capacity)
  }

  /// A reply that begins with the throttle time, from a version on.
  func reply(throttleFrom first: Int16) -> WireWriter {
    var writer = reply()
    if version >= first { writer.int32(0) }
    return writer
  }

  /// A reply that is an error and no more.
  func answer(_ error: KafkaError, throttleFrom first: Int16) -> Outcome {
    var writer = reply(throttleFrom: first)
    writer.int16(error.rawValue)
    writer.tags()
    return .reply(writer)
  }
}

/// What a request comes to.
enum Outcome {
  case reply(WireWriter)
  /// Produce with acks=0 has no reply.
  case silent
  /// The reply will come through ``Peer/complete(_:)``.
  case later
}

/// Answers requests from the broker's state. Lives on one event loop.
final class RequestHandler {
  /// The id of the one broker of the cluster.
  static let nodeId: Int32 = 1

  let broker: Broker
  let configuration: LocalBrokerConfiguration
  let clock: () -> Int64
  let fetches: WaitingFetches
  /// The bytes of replies that clients haven't taken yet, as connections count them.
  var unsentBytes = 0
  private var waitingJoins: [UInt64: Call] = [:]
  private var waitingSyncs: [UInt64: Call] = [:]
  private var nextToken: UInt64 = 0

  init(broker: Broker, configuration: LocalBrokerConfiguration, clock: @escaping () -> Int64) {
    self.broker = broker
    self.configuration = configuration
    self.clock = clock
    let fetches = WaitingFetches()
    self.fetches = fetches
    broker.onAppend = { [fetches] place in fetches.grew(place) }
  }

  /// Answers one frame, without its length.
  func handle(_ frame: ByteBuffer, from peer: any Peer) throws -> Outcome {
    var reader = WireReader(frame)
    let key = try reader.int16()
    let version = try reader.int16()
    let correlationId = try reader.int32()
    guard let api = API(rawValue: key) else { throw Malformed(reason: "the API key \(key) is not supported") }
    guard api.range.versions.contains(version) else {
      guard api == .apiVersions else {
        throw Malformed(reason: "version \(version) of \(api) is not supported")
      }
      let old = Call(
        api: api, version: 0, correlationId: correlationId, clientId: "", peer: peer, reader: reader)
      return apiVersions(old, error: .unsupportedVersion)
    }
    let clientId = try reader.nullableString() ?? ""
    reader.isFlexible = version >= api.range.flexibleFrom
    try reader.tags()
    var call = Call(
      api: api, version: version, correlationId: correlationId, clientId: clientId, peer: peer, reader: reader
    )
    let outcome = try dispatch(&call)
    settle()
    return outcome
  }

  /// Lets timeouts happen and sends what became ready.
  func advance() {
    let now = clock()
    if let deadline = broker.nextDeadline, deadline <= now { broker.advance(now: now) }
    settle()
  }

  /// The connection is gone: nothing is sent there any more.
  func forget(_ peer: any Peer) {
    fetches.forget(peer)
    waitingJoins = waitingJoins.filter { $0.value.peer !== peer }
    waitingSyncs = waitingSyncs.filter { $0.value.peer !== peer }
  }

  func park(_ call: Call) -> UInt64 {
    nextToken += 1
    if call.api == .joinGroup { waitingJoins[nextToken] = call } else { waitingSyncs[nextToken] = call }
    return nextToken
  }

  /// Sends the replies that others' requests or time made ready.
  func settle() {
    for reply in broker.takeReplies() {
      switch reply {
      case .join(let token, let reply):
        guard let call = waitingJoins.removeValue(forKey: token) else { continue }
        call.peer.complete(Self.encode(reply, call))
      case .sync(let token, let reply):
        guard let call = waitingSyncs.removeValue(forKey: token) else { continue }
        call.peer.complete(Self.encode(reply, call))
      }
    }
    for waiting in fetches.takeGrown() { retry(waiting) }
  }

  private func dispatch(_ call: inout Call) throws -> Outcome {
    switch call.api {
    case .produce: try produce(&call)
    case .fetch: try fetch(&call)
    case .listOffsets: try listOffsets(&call)
    case .metadata: try metadata(&call)
    case .offsetCommit: try offsetCommit(&call)
    case .offsetFetch: try offsetFetch(&call)
    case .findCoordinator: try findCoordinator(&call)
    case .joinGroup: try joinGroup(&call)
    case .heartbeat: try heartbeat(&call)
    case .leaveGroup: try leaveGroup(&call)
    case .syncGroup: try syncGroup(&call)
    case .describeGroups: try describeGroups(&call)
    case .listGroups: try listGroups(&call)
    case .apiVersions: apiVersions(call, error: .none)
    case .createTopics: try createTopics(&call)
    case .deleteTopics: try deleteTopics(&call)
    case .deleteRecords: try deleteRecords(&call)
    case .initProducerId: try initProducerId(&call)
    case .addPartitionsToTxn: try addPartitionsToTxn(&call)
    case .addOffsetsToTxn: try addOffsetsToTxn(&call)
    case .endTxn: try endTxn(&call)
    case .txnOffsetCommit: try txnOffsetCommit(&call)
    case .describeConfigs: try describeConfigs(&call)
    case .createPartitions: try createPartitions(&call)
    case .deleteGroups: try deleteGroups(&call)
    }
  }

  private func apiVersions(_ call: Call, error: KafkaError) -> Outcome {
    var writer = call.reply()
    writer.int16(error.rawValue)
    writer.array(API.allCases) { writer, api in
      writer.int16(api.rawValue)
      writer.int16(api.range.versions.lowerBound)
      writer.int16(api.range.versions.upperBound)
      writer.tags()
    }
    if call.version >= 1 { writer.int32(0) }
    writer.tags()
    return .reply(writer)
  }
}

/// The error a core call ends with.
func outcome(_ body: () throws(KafkaError) -> Void) -> KafkaError {
  do throws(KafkaError) {
    try body()
    return .none
  } catch {
    return error
  }
}
