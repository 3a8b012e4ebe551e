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
  /// What requests that are arriving, waiting or being answered may take in memory together. A larger one is
  /// refused; one that finds no room isn't read until there is. (Kafka: `queued.max.request.bytes`.)
  public var requestsBytesMax = 256 << 20
  /// What replies that clients haven't taken may take; beyond it a Fetch is answered with one batch.
  public var repliesBytesMax = 256 << 20
  /// How many clients may be connected at a time; later ones are turned away.
  public var connectionsMax = 1_000
  /// How long after its end was answered a transaction's markers are written, in milliseconds, rounded up to the
  /// broker's next look at its timeouts. See ``Broker/markerDelay``.
  public var markerDelay: Int64 = 0
  /// Told of anything worth knowing, a line at a time.
  public var log: @Sendable (String) -> Void = { _ in }

  /// A broker on a free port of the loopback address, in memory.
  public init() {}

  /// Divides some memory: up to 256 MiB each for requests and replies, a little for groups, the rest for records.
  public mutating func setMemory(bytes: Int) {
    requestsBytesMax = min(256 << 20, bytes / 4)
    repliesBytesMax = requestsBytesMax
    limits.groupBytesMax = requestsBytesMax / 4
    limits.memoryBytes = bytes - requestsBytesMax - repliesBytesMax - limits.groupBytesMax
  }
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
        value: AdaptiveRecvByteBufferAllocator(minimum: 4_096, initial: 65_536, maximum: 256 << 10)
      )
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 4 << 20))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = Connection(server.value, eventLoop: channel.eventLoop)
          guard server.value.add(channel, connection) else { return channel.close(promise: nil) }
          try channel.pipeline.syncOperations.addHandler(connection)
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
  private var clients: [ObjectIdentifier: (channel: any Channel, connection: Connection)] = [:]
  private var requestsBytes = 0
  private var waitingForRoom: [Connection] = []
  private var hasTurnedAway = false
  private var lastArrivalCheck: Int64 = 0
  /// False once the disk has refused a write: nothing may be acknowledged any more.
  var isHealthy: Bool { storage?.failure == nil }

  init(
    _ configuration: LocalBrokerConfiguration, loop: any EventLoop, failure: EventLoopPromise<Void>
  ) throws {
    self.configuration = configuration
    self.failure = failure
    let clock = WallClock()
    let broker = Broker(limits: configuration.limits, markerDelay: configuration.markerDelay)
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

  /// Takes a client; false if there are too many.
  func add(_ channel: any Channel, _ connection: Connection) -> Bool {
    guard clients.count < configuration.connectionsMax else {
      if !hasTurnedAway {
        configuration.log(
          "\(clients.count) clients are connected, the most there may be: others are turned away")
      }
      hasTurnedAway = true
      return false
    }
    hasTurnedAway = false
    let id = ObjectIdentifier(channel)
    clients[id] = (channel, connection)
    channel.closeFuture.assumeIsolated().whenComplete { [weak self] _ in self?.clients[id] = nil }
    return true
  }

  /// Makes room for a request of a client, or remembers that it waits for some. There is always room for one.
  func reserve(_ bytes: Int, for connection: Connection) -> Bool {
    guard requestsBytes == 0 || requestsBytes + bytes <= configuration.requestsBytesMax else {
      waitingForRoom.append(connection)
      return false
    }
    requestsBytes += bytes
    return true
  }

  func release(_ bytes: Int) {
    requestsBytes -= bytes
    guard !waitingForRoom.isEmpty else { return }
    // Not at once: the caller is amid a request.
    loop.assumeIsolated().execute { [self] in
      let waiting = waitingForRoom
      waitingForRoom = []
      for connection in waiting { connection.roomWasMade() }
    }
  }

  func stop() {
    nextTick?.cancel()
    for client in clients.values { client.channel.close(promise: nil) }
    storage?.close()
  }

  private func scheduleTick() {
    nextTick = loop.assumeIsolated().scheduleTask(in: Self.tick) { [weak self] () -> Void in self?.onTick() }
  }

  private func onTick() {
    scheduleTick()
    handler.advance()
    let now = handler.clock()
    storage?.syncIfDue(now: now)
    if now - lastArrivalCheck >= 1_000 {
      lastArrivalCheck = now
      for client in clients.values { client.connection.checkArrival(now: now) }
    }
    guard let error = storage?.failure else { return }
    for client in clients.values { client.channel.close(promise: nil) }
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
