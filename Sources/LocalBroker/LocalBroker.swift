public import BrokerCore
import NIOCore
import NIOPosix

/// How a local broker is run.
public struct LocalBrokerConfiguration: Sendable {
  /// The address to listen on.
  public var host = "127.0.0.1"
  /// The port to listen on; 0 takes a free one.
  public var port = 0
  /// The host name clients are told to connect to; nil tells each the address it reached us at.
  public var advertisedHost: String?
  /// Where records are kept; nil keeps them in memory alone.
  public var dataDirectory: String?
  /// Topics to create at start if they don't exist, with their partitions.
  public var topics: [(name: String, partitions: Int32)] = []
  /// Whether asking for a topic creates it, with one partition.
  public var autoCreateTopics = false
  /// The limits.
  public var limits = BrokerLimits()
  /// Told of anything worth knowing, a line at a time.
  public var log: @Sendable (String) -> Void = { _ in }

  /// A broker on a free port of the loopback address, in memory.
  public init() {}
}

/// Why a local broker doesn't start, or stopped.
public struct LocalBrokerError: Error, CustomStringConvertible {
  /// What happened, where, and what to do.
  public var description: String

  init(_ description: String) { self.description = description }
}

/// A Kafka broker for tests, demos and development: one process, one node, real semantics.
public final class LocalBroker: Sendable {
  /// The port it listens on.
  public let port: Int
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel
  private let server: NIOLoopBound<ServerState>
  private let failure: EventLoopPromise<Void>

  private init(
    _ group: MultiThreadedEventLoopGroup, _ channel: any Channel, _ server: NIOLoopBound<ServerState>,
    _ failure: EventLoopPromise<Void>
  ) {
    self.group = group
    self.channel = channel
    self.server = server
    self.failure = failure
    port = channel.localAddress?.port ?? 0
  }

  /// Recovers what the data directory holds and begins to listen.
  public static func start(_ configuration: LocalBrokerConfiguration) async throws -> LocalBroker {
    // One thread: the broker's state belongs to it and needs no lock.
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let failure = loop.makePromise(of: Void.self)
    do {
      let server = try await loop.submit {
        NIOLoopBound(try ServerState(configuration, loop: loop, failure: failure), eventLoop: loop)
      }.get()
      let channel = try await listen(configuration, on: group, server)
      return LocalBroker(group, channel, server, failure)
    } catch {
      failure.succeed()
      try? await group.shutdownGracefully()
      throw error
    }
  }

  /// Returns when ``stop()`` was called; throws when the broker can't go on.
  public func run() async throws {
    try await failure.futureResult.get()
  }

  /// Closes all connections, and the files after their last sync.
  public func stop() async throws {
    try? await channel.close()
    try await server.eventLoop.submit { [server] in
      server.value.stop()
    }.get()
    failure.succeed()
    try await group.shutdownGracefully()
  }

  private static func listen(
    _ configuration: LocalBrokerConfiguration, on group: MultiThreadedEventLoopGroup,
    _ server: NIOLoopBound<ServerState>
  ) async throws -> any Channel {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 4_096, initial: 65_536, maximum: 1 << 20)
      )
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 4 << 20))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = Connection(server.value, eventLoop: channel.eventLoop)
          try channel.pipeline.syncOperations.addHandler(connection)
          server.value.add(channel)
        }
      }
    do {
      return try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
    } catch {
      throw LocalBrokerError("Cannot listen on \(configuration.host):\(configuration.port): \(error)")
    }
  }
}

/// Everything that lives on the event loop.
final class ServerState {
  /// How often timeouts are looked at; Kafka's own are no finer.
  private static let tick = TimeAmount.milliseconds(20)

  let configuration: LocalBrokerConfiguration
  let handler: RequestHandler
  private let storage: Storage?
  private let failure: EventLoopPromise<Void>
  private let loop: any EventLoop
  private var nextTick: Scheduled<Void>?
  private var channels: [ObjectIdentifier: any Channel] = [:]
  /// False once the disk has refused a write: nothing may be acknowledged any more.
  var isHealthy: Bool { storage?.failure == nil }

  init(
    _ configuration: LocalBrokerConfiguration, loop: any EventLoop, failure: EventLoopPromise<Void>
  ) throws {
    self.configuration = configuration
    self.failure = failure
    let clock = WallClock()
    let broker = Broker(limits: configuration.limits)
    storage = try configuration.dataDirectory.map {
      try Storage(
        directory: $0, broker: broker, loop: loop, now: clock.now(), log: configuration.log)
    }
    broker.start(now: clock.now())
    for topic in configuration.topics where broker.topics[topic.name] == nil {
      do { try broker.createTopic(topic.name, partitions: topic.partitions) } catch {
        throw LocalBrokerError("Cannot create the topic '\(topic.name)' (\(topic.partitions)): \(error)")
      }
    }
    handler = RequestHandler(broker: broker, configuration: configuration, clock: clock.now)
    self.loop = loop
    scheduleTick()
  }

  func add(_ channel: any Channel) {
    let id = ObjectIdentifier(channel)
    channels[id] = channel
    channel.closeFuture.assumeIsolated().whenComplete { [weak self] _ in self?.channels[id] = nil }
  }

  func stop() {
    nextTick?.cancel()
    for channel in channels.values { channel.close(promise: nil) }
    storage?.close()
  }

  private func scheduleTick() {
    nextTick = loop.assumeIsolated().scheduleTask(in: Self.tick) { [weak self] () -> Void in self?.onTick() }
  }

  private func onTick() {
    scheduleTick()
    handler.advance()
    storage?.syncIfDue(now: handler.clock())
    guard let error = storage?.failure else { return }
    for channel in channels.values { channel.close(promise: nil) }
    failure.fail(error)
  }
}

/// Milliseconds since the epoch that never go back: the wall clock at start plus what has passed since.
private struct WallClock {
  private let start: Int64
  private let origin = NIODeadline.now()

  init() {
    start = Storage.wallClockMilliseconds()
  }

  @Sendable func now() -> Int64 { start + (NIODeadline.now() - origin).nanoseconds / 1_000_000 }
}
