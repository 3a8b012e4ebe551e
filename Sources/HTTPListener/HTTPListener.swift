import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
public import TLSServer

/// Answers HTTP/1.1, hardened: nothing that a client sends or leaves out takes more than `HTTPLimits` say. Any thread.
public final class HTTPListener: Sendable {
  /// Answers a request, on any thread, once: at once or later. Called on an event loop, which it must not block for longer than
  /// a millisecond.
  public typealias Responder =
    @Sendable (_ request: HTTPRequest, _ answer: @escaping @Sendable (HTTPAnswer) -> Void) -> Void

  /// The port that it listens on.
  public let port: Int
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel
  private let connections: HTTPConnections

  /// Listens on every address of a host. Port 0 takes any free one. Throws what the system says if it can't.
  public init(
    host: String, port: Int, threads: Int = 1, tls: TLSIdentity? = nil, _ limits: HTTPLimits,
    responder: @escaping Responder
  ) throws {
    var limits = limits
    limits.connectionsMax = Descriptors.connectionsMax(wanted: limits.connectionsMax)
    let bounds = limits
    let connections = HTTPConnections(bounds)
    group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    self.connections = connections
    do {
      channel = try ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 1024)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.socketOption(.so_keepalive), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try Self.setUp(channel, tls, bounds, connections, responder)
          }
        }.bind(host: host, port: port).wait()
    } catch {
      try? group.syncShutdownGracefully()
      throw error
    }
    self.port = channel.localAddress?.port ?? 0
  }

  private static func setUp(
    _ channel: any Channel, _ tls: TLSIdentity?, _ limits: HTTPLimits, _ connections: HTTPConnections,
    _ responder: @escaping Responder
  ) throws {
    let pipeline = channel.pipeline.syncOperations
    guard connections.enter() else {
      // Over TLS it would take a handshake to say so.
      if tls != nil { throw ChannelError.ioOnClosedChannel }
      return try pipeline.addHandler(Refusal())
    }
    channel.closeFuture.whenComplete { _ in connections.leave() }
    if let tls { try pipeline.addHandler(tls.makeHandler()) }
    var decoder = NIOHTTPDecoderLimitConfiguration()
    decoder.maxHeaderFieldSize = limits.headerBytesMax
    decoder.maxHeaderListSize = limits.headerBytesMax
    decoder.maxHeaderFieldCount = 100
    try pipeline.configureHTTPServerPipeline(
      withPipeliningAssistance: true, withErrorHandling: true, withOutboundHeaderValidation: true,
      withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
    try pipeline.addHandler(HTTPConnection(limits, connections, responder))
  }

  /// How many connections there are.
  public var connectionCount: Int { connections.count }

  /// Takes no more connections, lets requests be answered, for so long at most, and closes everything. Blocks.
  public func stop(milliseconds: Int64) {
    try? channel.close().wait()
    connections.drain()
    let deadline = NIODeadline.now() + .milliseconds(milliseconds)
    while connections.count > 0, NIODeadline.now() < deadline {
      try? group.next().scheduleTask(in: .milliseconds(5)) {}.futureResult.wait()
    }
    connections.closeAll()
    try? group.syncShutdownGracefully()
  }

  /// Tells one client too many so.
  private final class Refusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
      let text = "too many connections\n"
      let answer =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: \(text.utf8.count)\r\n"
        + "retry-after: 1\r\nconnection: close\r\n\r\n\(text)"
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
      context.close(promise: nil)
    }
  }
}

/// All connections of a listener.
final class HTTPConnections: Sendable {
  private struct State {
    var count = 0
    var bodyBytes = 0
    var isDraining = false
    var channels: [ObjectIdentifier: any Channel] = [:]
  }

  private let state = Mutex(State())
  private let limits: HTTPLimits

  init(_ limits: HTTPLimits) { self.limits = limits }

  var count: Int { state.withLock { $0.count } }
  var isDraining: Bool { state.withLock { $0.isDraining } }

  /// Takes a place for a connection; false if there is none.
  func enter() -> Bool {
    state.withLock { state in
      guard state.count < limits.connectionsMax, !state.isDraining else { return false }
      state.count += 1
      return true
    }
  }

  func leave() { state.withLock { $0.count -= 1 } }

  func add(_ channel: any Channel) { state.withLock { $0.channels[ObjectIdentifier(channel)] = channel } }
  func remove(_ channel: any Channel) { state.withLock { $0.channels[ObjectIdentifier(channel)] = nil } }

  /// Takes room for a part of a body; false if there is none.
  func take(_ bytes: Int) -> Bool {
    state.withLock { state in
      guard state.bodyBytes + bytes <= limits.bodiesBytesMax else { return false }
      state.bodyBytes += bytes
      return true
    }
  }

  func giveBack(_ bytes: Int) { state.withLock { $0.bodyBytes -= bytes } }

  /// From now on a connection is closed when it has no request.
  func drain() {
    let channels = state.withLock { state in
      state.isDraining = true
      return Array(state.channels.values)
    }
    for channel in channels { channel.pipeline.fireUserInboundEventTriggered(HTTPConnection.Drain()) }
  }

  func closeAll() {
    for channel in state.withLock({ Array($0.channels.values) }) { channel.close(mode: .all, promise: nil) }
  }
}
