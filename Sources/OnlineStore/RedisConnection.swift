import CHiredis
import Glibc
import TLSClient

/// Why a connection can't be used any more.
struct ConnectionLoss: Error {
  var reason: String
}

/// One connection: the owner of hiredis' context, which connects and parses. The bytes pass through our own hands,
/// since this hiredis knows no TLS. After a loss it must be dropped.
struct RedisConnection: ~Copyable {
  private let context: UnsafeMutablePointer<redisContext>
  private let buffer: UnsafeMutableRawBufferPointer
  private let stream: TLSStream?

  /// Connects. `endpoint` is a server's address; the options say how to talk to it.
  init(_ endpoint: RedisOptions.Endpoint, _ options: RedisOptions) throws(ConnectionLoss) {
    let context = try Self.connect(endpoint, options)
    let stream = try Self.protect(context, endpoint, options)
    self.context = context
    self.stream = stream
    buffer = .allocate(byteCount: 1 << 14, alignment: 16)
  }

  deinit {
    buffer.deallocate()
    redisFree(context)
  }

  private static func connect(
    _ endpoint: RedisOptions.Endpoint, _ options: RedisOptions
  ) throws(ConnectionLoss) -> UnsafeMutablePointer<redisContext> {
    let timeout = interval(options.connectTimeoutMilliseconds)
    let made =
      switch endpoint {
      case .tcp(let host, let port): redisConnectWithTimeout(host, port, timeout)
      case .unix(let path): redisConnectUnixWithTimeout(path, timeout)
      case .sentinel: preconditionFailure("Cannot connect to \(endpoint): it has to be asked for the primary")
      }
    guard let made else { throw ConnectionLoss(reason: "out of memory") }
    if made.pointee.err == REDIS_OK { redisSetTimeout(made, timeout) }
    guard made.pointee.err == REDIS_OK else {
      defer { redisFree(made) }
      throw ConnectionLoss(reason: reason(made))
    }
    if case .tcp = endpoint { redisEnableKeepAlive(made) }
    return made
  }

  /// Shakes hands if the options say so. The context is freed if that fails.
  private static func protect(
    _ context: UnsafeMutablePointer<redisContext>, _ endpoint: RedisOptions.Endpoint, _ options: RedisOptions
  ) throws(ConnectionLoss) -> TLSStream? {
    do throws(TLSError) {
      // Set at the end: the handshake is still a part of connecting.
      defer { redisSetTimeout(context, interval(options.commandTimeoutMilliseconds)) }
      guard let tls = options.tls, case .tcp(let host, _) = endpoint else { return nil }
      return try TLSStream(tls, over: context.pointee.fd, host: host)
    } catch {
      redisFree(context)
      throw ConnectionLoss(reason: error.description)
    }
  }

  /// Sends commands. The server answers each with one reply.
  func send(_ commands: borrowing CommandBuffer) throws(ConnectionLoss) {
    try commands.bytes.withUnsafeBufferPointer { buffer throws(ConnectionLoss) in
      let bytes = UnsafeRawBufferPointer(buffer)
      var offset = 0
      while offset < bytes.count {
        offset += try send(some: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
      }
    }
  }

  private func send(some bytes: UnsafeRawBufferPointer) throws(ConnectionLoss) -> Int {
    if let stream {
      do throws(TLSError) { return try stream.send(bytes) } catch {
        throw ConnectionLoss(reason: error.description)
      }
    }
    // A server that is gone must not kill the process.
    let sent = Glibc.send(context.pointee.fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    if sent >= 0 { return sent }
    if errno == EINTR { return 0 }
    throw ConnectionLoss(reason: errno == EAGAIN ? "timed out while sending" : Self.systemReason())
  }

  /// Whether something comes within some milliseconds: a reply, or the end.
  func hasReply(withinMilliseconds limit: Int32) -> Bool {
    var entry = pollfd(fd: context.pointee.fd, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, limit) > 0
  }

  /// Waits for the next reply.
  func receive() throws(ConnectionLoss) -> RedisReply {
    while true {
      var raw: UnsafeMutableRawPointer?
      guard redisReaderGetReply(context.pointee.reader, &raw) == REDIS_OK else {
        throw ConnectionLoss(reason: Self.text(context.pointee.reader.pointee.errstr))
      }
      if let raw { return RedisReply(owning: raw) }
      let count = try receive(into: buffer)
      if count == 0 { throw ConnectionLoss(reason: "the server closed the connection") }
      redisReaderFeed(context.pointee.reader, buffer.baseAddress, count)
    }
  }

  /// The number of bytes that came, 0 at the connection's end.
  private func receive(into buffer: UnsafeMutableRawBufferPointer) throws(ConnectionLoss) -> Int {
    if let stream {
      do throws(TLSError) { return try stream.receive(into: buffer) } catch {
        throw ConnectionLoss(reason: error.description)
      }
    }
    while true {
      let count = recv(context.pointee.fd, buffer.baseAddress, buffer.count, 0)
      if count >= 0 { return count }
      if errno != EINTR { throw ConnectionLoss(reason: errno == EAGAIN ? "timed out" : Self.systemReason()) }
    }
  }

  private static func reason(_ context: UnsafeMutablePointer<redisContext>) -> String {
    if context.pointee.err == REDIS_ERR_IO && errno == EAGAIN { return "timed out" }
    return text(context.pointee.errstr)
  }

  private static func systemReason() -> String { String(cString: strerror(errno)) }

  /// A C array of characters that a zero ends.
  private static func text<Characters>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  private static func interval(_ milliseconds: Int) -> timeval {
    timeval(tv_sec: milliseconds / 1_000, tv_usec: milliseconds % 1_000 * 1_000)
  }
}
