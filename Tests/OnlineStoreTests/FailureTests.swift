import Foundation
import Processor
import Testing
import TestSupport

@testable import OnlineStore

/// What Redis refuses, and how the store says so.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct FailureTests {
  let server: RedisServer

  init() throws { server = try RedisServer() }

  private func store(_ change: (inout RedisOptions) -> Void = { _ in }) -> RedisStateStore {
    var options = server.options
    options.reconnectDelayMilliseconds = 0
    change(&options)
    return RedisStateStore(options, keys: storeKeys)
  }

  private func expect(
    _ error: StoreError?, _ remedy: StoreError.Remedy, _ words: String...,
    location: SourceLocation = #_sourceLocation
  ) {
    #expect(error?.remedy == remedy, "\(String(describing: error))", sourceLocation: location)
    for word in words {
      #expect(
        error?.message.contains(word) ?? false, "\(word): \(error?.message ?? "")", sourceLocation: location)
    }
  }

  @Test func passwordsAndUsers() throws {
    let setUp = [
      "app", "on", ">s3cret", "~shop:*", "+@read", "+@write", "+@transaction", "+@connection", "-@dangerous",
    ]
    try server.ask("ACL", ["SETUSER"] + setUp)
    try server.ask("ACL", ["SETUSER", "nomulti", "on", ">s3cret", "~*", "+@all", "-multi"])
    let app = store { ($0.user, $0.password, $0.database) = ("app", Secret("s3cret"), 3) }
    let claim = try app.claim(task)
    try app.commit(
      task, epoch: claim.epoch, from: nil, to: 1, states: states(["a": "1"]))
    #expect(try app.loadTexts(task, ["a", "b"], at: 1) == ["1", nil])

    let wrong = store { ($0.user, $0.password) = ("app", Secret("wr0ng")) }
    let refused = failure { _ = try wrong.claim(task) }
    expect(refused, .fatal, "authenticate", "WRONGPASS", "check user and password")
    #expect(!(refused?.message.contains("wr0ng") ?? true))

    let other = RedisStateStore(
      app.testOptions(server), keys: StoreKeys(name: "other", version: 1))
    expect(failure { _ = try other.claim(task) }, .fatal, "NOPERM", "operations.md")

    try server.ask("SET", ["shop:1:{clicks.3}:e", "7"])
    let unfenced = store { ($0.user, $0.password) = ("nomulti", Secret("s3cret")) }
    let error = failure {
      try unfenced.commit(
        task, epoch: 7, from: nil, to: 1, states: states(["a": "1"]))
    }
    expect(error, .fatal, "NOPERM")
    #expect(
      try server.ask("KEYS", ["*"]) == ["shop:1:{clicks.3}:e"], "nothing was written without a transaction")
  }

  @Test func aServerThatWantsAPassword() throws {
    try server.ask("CONFIG", ["SET", "requirepass", "pw"])
    expect(failure { _ = try store().claim(task) }, .fatal, "NOAUTH", "user:password@")
    #expect(try store { $0.password = Secret("pw") }.claim(task).epoch == 1)
  }

  @Test func noSuchDatabase() {
    expect(failure { _ = try store { $0.database = 99 }.claim(task) }, .fatal, "select database 99")
  }

  @Test func keysOfAnotherType() throws {
    let store = store()
    _ = try store.claim(task)
    try server.ask("RPUSH", ["shop:1:{clicks.3}:s:v:list", "1"])
    expect(
      failure { _ = try store.loadTexts(task, ["list"], at: nil) }, .fatal, "WRONGTYPE", "another program")
    try server.ask("RPUSH", ["shop:1:{clicks.3}:p", "1"])
    let commit = failure {
      try store.commit(
        task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
    }
    expect(commit, .fatal, "WRONGTYPE", "commit task clicks.3")
    expect(failure { _ = try store.claim(task) }, .fatal, "WRONGTYPE")
    try server.ask("SET", ["shop:1:{clicks.3}:p", "not a number"])
    expect(failure { _ = try store.claim(task) }, .fatal, "position of task clicks.3", "is no number")
    #expect(try server.ask("EXISTS", ["shop:1:{clicks.3}:s:v:a"]) == ["0"])
  }

  @Test func fullMemory() throws {
    let store = store()
    _ = try store.claim(task)
    let commit = {
      try store.commit(
        task, epoch: 1, from: nil, to: 1, states: states(["a": "1", "b": "2"]))
    }
    try server.ask("CONFIG", ["SET", "maxmemory", "1"])
    expect(failure(commit), .retry, "OOM", "raise maxmemory")
    expect(failure { _ = try store.claim(task) }, .retry, "OOM")
    #expect(try server.ask("KEYS", ["*"]) == ["shop:1:{clicks.3}:e"])
    try server.ask("CONFIG", ["SET", "maxmemory", "0"])
    try commit()
    #expect(try store.loadTexts(task, ["a", "b"], at: 1) == ["1", "2"])
  }

  @Test func aPolicyThatEvictsIsRefused() throws {
    try server.ask("CONFIG", ["SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-ttl"])
    expect(failure { _ = try store().claim(task) }, .fatal, "volatile-ttl", "noeviction")
    try server.ask("CONFIG", ["SET", "maxmemory-policy", "noeviction"])
    #expect(try store().claim(task).epoch == 1)
  }

  @Test func aReplicaIsRefusedUntilItIsPromoted() throws {
    let store = store()
    _ = try store.claim(task)
    try server.ask("REPLICAOF", ["127.0.0.1", "1"])
    expect(failure { _ = try store.claim(task) }, .retry, "READONLY", "primary")
    let commit = failure {
      try store.commit(task, epoch: 1, from: nil, to: 1, states: [])
    }
    expect(commit, .retry, "READONLY")
    try server.ask("REPLICAOF", ["NO", "ONE"])
    #expect(try store.claim(task) == TaskClaim(epoch: 2, position: nil))
  }

  @Test func aServerThatLoadsIsWaitedFor() throws {
    let store = store()
    let batch = KeyedStates(
      (0..<2_000).map { (key("u\($0)"), Array(repeating: UInt8(ascii: "x"), count: 1_000)) })
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 1, states: batch)
    try server.ask("SAVE")
    server.kill()
    // Slow enough to be seen; the test ends it.
    let slow = ["--save", "", "--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    try server.start(slow) { $0.contains("LOADING") }
    let lost = failure { _ = try store.claim(task) }
    #expect(lost?.remedy == .retry)
    expect(failure { _ = try store.claim(task) }, .retry, "LOADING", "wait")
    expect(failure { _ = try store.loadTexts(task, ["u1"], at: 1) }, .retry, "LOADING")
    try server.ask("CONFIG", ["SET", "key-load-delay", "0"])
    try waitUntil("the server has loaded") { failure { _ = try store.claim(task) } == nil }
    #expect(try store.claim(task).position == 1)
  }

  @Test func aServerThatHangsTimesOut() throws {
    let store = store { $0.commandTimeoutMilliseconds = 50 }
    _ = try store.claim(task)
    server.pause(true)
    let error = failure {
      try store.commit(
        task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
    }
    server.pause(false)
    expect(error, .retry, "timed out")
    try waitUntil("the server is back") {
      failure {
        try store.commit(
          task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
      } == nil
    }
  }

  @Test func aServerThatDiesCostsOneErrorAndNoSignal() throws {
    let store = store()
    _ = try store.claim(task)
    server.kill()
    expect(failure { _ = try store.claim(task) }, .retry)
    expect(failure { _ = try store.claim(task) }, .retry, "connect to unix://")
    try server.start(["--save", ""])
    #expect(try store.claim(task).epoch == 1)
  }

  @Test func attemptsToConnectAreSpaced() throws {
    let clock = Clock()
    server.kill()
    var options = server.options
    (options.reconnectDelayMilliseconds, options.reconnectDelayMillisecondsMax) = (10, 35)
    let store = RedisStateStore(options, keys: storeKeys, nowMilliseconds: { clock.now })
    for delay in [10, 20, 35, 35] as [Int64] {
      expect(failure { _ = try store.claim(task) }, .retry, "connect to unix://")
      clock.now += delay - 1
      expect(failure { _ = try store.claim(task) }, .retry, "waiting 1 ms")
      clock.now += 1
    }
    try server.start(["--save", ""])
    #expect(try store.claim(task).epoch == 1)
    // A connection that worked ends the waiting.
    server.kill()
    expect(failure { _ = try store.claim(task) }, .retry, "read INFO memory")
    try server.start(["--save", ""])
    #expect(try store.claim(task).epoch == 1)
  }

  @Test(arguments: [
    ("MOVED 3999 nonsense", StoreError.Remedy.retry, "CLUSTER NODES"),
    ("ASK 3999 127.0.0.1:6381", .retry, "wait"),
    ("CLUSTERDOWN The cluster is down", .retry, "CLUSTER INFO"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", .retry, "wait"),
    ("MASTERDOWN Link with MASTER is down", .retry, "promote"),
    ("BUSY Redis is busy running a script.", .retry, "SCRIPT KILL"),
    ("MISCONF Errors writing to the AOF file: No space left on device", .retry, "free space"),
    ("NOREPLICAS Not enough good replicas to write.", .retry, "replicas"),
    ("EXECABORT Transaction discarded because of: OOM command not allowed", .retry, "maxmemory"),
    ("ERR max number of clients reached", .retry, "maxclients"),
    ("ERR something new", .fatal, "ERR something new"),
  ])
  func repliesThatAreHardToProvoke(_ reply: String, _ remedy: StoreError.Remedy, _ advice: String) {
    let error = RedisFailure.error(reply: reply, doing: "commit", at: "redis://[::1]:6379")
    expect(error, remedy, advice, "commit at redis://[::1]:6379: \(reply)")
  }
}

/// A clock that stands until it is set.
final class Clock {
  var now: Int64 = 1_000_000
}

extension RedisStateStore {
  /// The options of the user `app`.
  fileprivate func testOptions(_ server: RedisServer) -> RedisOptions {
    var options = server.options
    (options.user, options.password) = ("app", Secret("s3cret"))
    return options
  }
}
