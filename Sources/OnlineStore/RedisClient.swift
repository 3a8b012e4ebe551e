import Glibc
import Processor

/// Connects when needed, sends commands, and turns losses and error replies into errors.
///
/// Nothing is ever sent twice: after a loss the caller is told, and decides anew.
final class RedisClient {
  let options: RedisOptions
  private let nowMilliseconds: () -> Int64
  private var connection: RedisConnection?
  /// The server that is or was last connected to: with sentinels it is the primary that they named.
  private var server: RedisOptions.Endpoint
  private let sentinels: Sentinels?
  /// Where the latest MOVED pointed to.
  private var redirection: RedisOptions.Endpoint?
  private var failures = 0
  private var nextAttemptMilliseconds = Int64.min

  init(_ options: RedisOptions, nowMilliseconds: @escaping () -> Int64) {
    self.options = options
    self.nowMilliseconds = nowMilliseconds
    server = options.endpoint
    sentinels = Sentinels(options)
  }

  /// The server's address, for messages.
  var place: String { options.place(server) }

  /// Milliseconds of the system's steady clock.
  static func steadyMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Makes sure that there is a connection. Fails at once while a wait after failed attempts is not over.
  func connect() throws(StoreError) {
    if connection != nil { return }
    let now = nowMilliseconds()
    guard now >= nextAttemptMilliseconds else {
      let wait = nextAttemptMilliseconds - now
      throw StoreError(
        .retry, "connect to \(place): waiting \(wait) ms after \(failures) failures")
    }
    do throws(StoreError) {
      if let sentinels { server = try sentinels.primary() }
      do throws(ConnectionLoss) {
        connection = try RedisConnection(server, options)
      } catch {
        throw StoreError(.retry, "connect to \(place): \(error.reason)")
      }
      try greet()
      if sentinels != nil { try refuseReplica() }
      failures = 0
    } catch {
      drop()
      let delay = options.reconnectDelayMilliseconds << Int64(min(failures, 20))
      failures += 1
      nextAttemptMilliseconds = nowMilliseconds() + min(delay, options.reconnectDelayMillisecondsMax)
      throw error
    }
  }

  /// Forgets the connection, and with it whatever the server holds for it: watched keys, an open transaction.
  func drop() { connection = nil }

  /// Sends commands over the connection that `connect` made and hands their replies over in order. The first error
  /// among the replies is thrown after the last reply, and the connection dropped: what it has in the server is
  /// unknown then.
  func exchange(
    _ commands: borrowing CommandBuffer, doing: @autoclosure () -> String,
    _ body: (_ index: Int, _ reply: RedisValue) throws(StoreError) -> Void
  ) throws(StoreError) {
    try send(commands, doing: doing())
    try receive(commands.count, doing: doing(), body)
  }

  /// The first half of `exchange`.
  func send(_ commands: borrowing CommandBuffer, doing: @autoclosure () -> String) throws(StoreError) {
    redirection = nil
    do throws(ConnectionLoss) {
      guard connection != nil else { throw ConnectionLoss(reason: "not connected") }
      try connection!.send(commands)
    } catch {
      drop()
      throw StoreError(.retry, "\(doing()) at \(place): \(error.reason)")
    }
  }

  /// The second half, of so many commands.
  func receive(
    _ count: Int, doing: @autoclosure () -> String,
    _ body: (_ index: Int, _ reply: RedisValue) throws(StoreError) -> Void
  ) throws(StoreError) {
    var failure: StoreError?
    do throws(ConnectionLoss) {
      guard connection != nil else { throw ConnectionLoss(reason: "not connected") }
      for index in 0..<count {
        let reply = try connection!.receive()
        if failure != nil { continue }
        do throws(StoreError) {
          try reply.read { value throws(StoreError) in
            if let reply = Self.firstError(value) {
              redirection = RedisFailure.redirection(reply: reply, from: server)
              throw RedisFailure.error(reply: reply, doing: doing(), at: place)
            }
            try body(index, value)
          }
        } catch {
          failure = error
        }
      }
    } catch {
      drop()
      // An error reply says more than the loss that follows it.
      throw failure ?? StoreError(.retry, "\(doing()) at \(place): \(error.reason)")
    }
    if let failure {
      drop()
      throw failure
    }
  }

  var isConnected: Bool { connection != nil }

  /// Whether something comes within some milliseconds: a reply, or the connection's end.
  func hasReply(withinMilliseconds limit: Int32) -> Bool {
    connection?.hasReply(withinMilliseconds: limit) ?? true
  }

  /// Where the failed exchange was sent on to; nil if it failed for another reason.
  func takeRedirection() -> RedisOptions.Endpoint? {
    defer { redirection = nil }
    return redirection
  }

  /// The text of the error that a value is or, being an array, has.
  private static func firstError(_ value: RedisValue) -> String? {
    if let reply = value.error { return reply }
    for index in 0..<value.count {
      if let reply = firstError(value[index]) { return reply }
    }
    return nil
  }

  /// Sentinels are told of a failover before the servers are, and may name one that is no primary any more, or not yet.
  private func refuseReplica() throws(StoreError) {
    var commands = CommandBuffer()
    commands.begin("ROLE", arguments: 1)
    var role = ""
    try exchange(commands, doing: "ask for the role") { _, reply in
      role = reply.count > 0 ? reply[0].text : ""
    }
    guard role == "master" else {
      throw StoreError(
        .retry, "connect to \(place): \(options.endpoint) names it as the primary, but it is a \(role): wait")
    }
  }

  /// Authenticates and chooses the database.
  private func greet() throws(StoreError) {
    if let password = options.password {
      var commands = CommandBuffer()
      commands.authenticate(options.user, password)
      do throws(StoreError) {
        try exchange(commands, doing: "authenticate") { _, _ in }
      } catch {
        throw StoreError(error.remedy, password.masked(in: error.message))
      }
    }
    let database = options.database
    if database != 0 {
      var commands = CommandBuffer()
      commands.begin("SELECT", arguments: 2)
      commands.append(Int64(database))
      try exchange(commands, doing: "select database \(database)") { _, _ in }
    }
  }
}
