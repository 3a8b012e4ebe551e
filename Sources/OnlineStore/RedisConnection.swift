import CHiredis
import Glibc

/// Why a connection can't be used any more.
struct ConnectionLoss: Error {
  var reason: String
}

/// One connection: the owner of hiredis' context. After a loss it must be dropped.
struct RedisConnection: ~Copyable {
  private let context: UnsafeMutablePointer<redisContext>

  init(_ options: RedisOptions) throws(ConnectionLoss) {
    let timeout = Self.interval(options.connectTimeoutMilliseconds)
    let made =
      switch options.endpoint {
      case .tcp(let host, let port): redisConnectWithTimeout(host, port, timeout)
      case .unix(let path): redisConnectUnixWithTimeout(path, timeout)
      }
    guard let made else { throw ConnectionLoss(reason: "out of memory") }
    if made.pointee.err == REDIS_OK {
      redisSetTimeout(made, Self.interval(options.commandTimeoutMilliseconds))
    }
    guard made.pointee.err == REDIS_OK else {
      defer { redisFree(made) }
      throw ConnectionLoss(reason: Self.reason(made))
    }
    if case .tcp = options.endpoint { redisEnableKeepAlive(made) }
    context = made
  }

  deinit { redisFree(context) }

  /// Sends commands. The server answers each with one reply.
  func send(_ commands: borrowing CommandBuffer) throws(ConnectionLoss) {
    try commands.bytes.withUnsafeBufferPointer { bytes throws(ConnectionLoss) in
      var offset = 0
      while offset < bytes.count {
        // A server that is gone must not kill the process.
        let sent = Glibc.send(
          context.pointee.fd, bytes.baseAddress! + offset, bytes.count - offset, Int32(MSG_NOSIGNAL))
        if sent >= 0 {
          offset += sent
        } else if errno == EAGAIN {
          throw ConnectionLoss(reason: "timed out while sending")
        } else if errno != EINTR {
          throw ConnectionLoss(reason: String(cString: strerror(errno)))
        }
      }
    }
  }

  /// Waits for the next reply.
  func receive() throws(ConnectionLoss) -> RedisReply {
    var raw: UnsafeMutableRawPointer?
    guard redisGetReply(context, &raw) == REDIS_OK, let raw else {
      throw ConnectionLoss(reason: Self.reason(context))
    }
    return RedisReply(owning: raw)
  }

  private static func reason(_ context: UnsafeMutablePointer<redisContext>) -> String {
    if context.pointee.err == REDIS_ERR_IO && errno == EAGAIN { return "timed out" }
    return withUnsafeBytes(of: context.pointee.errstr) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private static func interval(_ milliseconds: Int) -> timeval {
    timeval(tv_sec: milliseconds / 1_000, tv_usec: milliseconds % 1_000 * 1_000)
  }
}
