import Foundation
import OnlineStore
import Processor
import Synchronization
import Testing
import TestSupport

/// Every byte of a commit's conversation, in both directions, is a place where something happens.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct LostReplyTests {
  private func through(_ proxy: FaultyProxy) -> RedisStateStore {
    RedisStateStore(RedisOptions(.unix(path: proxy.path)), keys: storeKeys)
  }

  /// The bytes that one commit sends and gets.
  private func conversation(_ server: RedisServer) throws -> (sent: Int, got: Int) {
    let proxy = try FaultyProxy(to: server, .init(direction: .toServer, bytes: Int.max, fault: .cut))
    defer { proxy.stop() }
    let epoch = try RedisStateStore(server.options, keys: storeKeys).claim("measure.000").epoch
    try commit(through(proxy), "measure.000", epoch)
    let passed = proxy.bytesPassed
    return (passed.toServer, passed.toClient)
  }

  private func commit(
    _ store: RedisStateStore, _ task: String, _ epoch: Int64, value: String = "new",
    to position: Int64 = 2
  ) throws {
    try store.commit(
      task, epoch: epoch, from: 1, to: position, states: states(["a": value, "b": value]))
  }

  /// A task of the same length of name for each place, with a first commit.
  private func prepare(_ direct: RedisStateStore, _ place: Int) throws -> (task: String, epoch: Int64) {
    let task = "clicks." + String(1_000 + place)
    let epoch = try direct.claim(task).epoch
    try direct.commit(
      task, epoch: epoch, from: nil, to: 1, states: states(["a": "old", "b": "old"]))
    return (task, epoch)
  }

  private func contents(_ server: RedisServer, _ task: String) throws -> [String?] {
    // Behind their envelopes.
    let states = try ["a", "b"].flatMap {
      try server.ask("GETRANGE", ["shop:1:{\(task)}:s:v:\($0)", "13", "-1"])
    }
    return try server.ask("GET", ["shop:1:{\(task)}:p"]) + states
  }

  private let before: [String?] = ["1", "old", "old"]
  private let after: [String?] = ["2", "new", "new"]

  @Test(arguments: [FaultyProxy.Direction.toServer, .toClient])
  func aCommitCutAnywhereIsWholeOrNothingAndCanBeRepeated(_ direction: FaultyProxy.Direction) throws {
    let server = try RedisServer()
    let direct = RedisStateStore(server.options, keys: storeKeys)
    try server.ask("SET", ["shop:1:{measure.000}:p", "1"])
    let length = try conversation(server)
    let places = direction == .toServer ? length.sent : length.got
    var lost = 0
    for place in 0..<places {
      let (task, epoch) = try prepare(direct, place)
      let proxy = try FaultyProxy(to: server, .init(direction: direction, bytes: place, fault: .cut))
      defer { proxy.stop() }
      let store = through(proxy)
      if let error = failure({ try commit(store, task, epoch) }) {
        lost += 1
        #expect(error.remedy == .retry, "\(direction) \(place): \(error)")
      }
      let found = try contents(server, task)
      #expect(found == before || found == after, "\(direction) \(place): \(found)")
      try commit(store, task, epoch)
      #expect(try contents(server, task) == after, "\(direction) \(place)")
    }
    #expect(lost >= places - 1)
  }

  @Test
  func aRivalThatClaimsAnywhereSeesTheCommitWholeOrFencesIt() throws {
    let server = try RedisServer()
    let direct = RedisStateStore(server.options, keys: storeKeys)
    try server.ask("SET", ["shop:1:{measure.000}:p", "1"])
    let places = try conversation(server).sent
    var outcomes = (done: 0, fenced: 0)
    for place in 0...places {
      let (task, epoch) = try prepare(direct, place)
      let claim = Mutex<TaskClaim?>(nil)
      let options = server.options
      let proxy = try FaultyProxy(
        to: server,
        .init(
          direction: .toServer, bytes: place,
          fault: .call {
            let found = try? RedisStateStore(options, keys: storeKeys).claim(task)
            claim.withLock { $0 = found }
          }))
      defer { proxy.stop() }
      let error = failure { try commit(through(proxy), task, epoch) }
      try waitUntil("the rival has claimed") { claim.withLock { $0 != nil } }
      let position = claim.withLock { $0?.position }
      if let error {
        outcomes.fenced += 1
        #expect(error.remedy == .fenced, "\(place): \(error)")
        #expect(position == 1, "\(place)")
        #expect(try contents(server, task) == before, "\(place)")
      } else {
        outcomes.done += 1
        #expect(position == 2, "\(place)")
        #expect(try contents(server, task) == after, "\(place)")
      }
    }
    #expect(outcomes.done > 0 && outcomes.fenced > places / 2)
  }

  /// A twin has the same epoch, which a Redis that lost its tail can give out twice.
  @Test(arguments: [Int64(2), 3])
  func aTwinThatCommitsAnywhereLeavesOneWhole(_ position: Int64) throws {
    let server = try RedisServer()
    let direct = RedisStateStore(server.options, keys: storeKeys)
    try server.ask("SET", ["shop:1:{measure.000}:p", "1"])
    let places = try conversation(server).sent
    for place in 0..<places {
      let (task, epoch) = try prepare(direct, place)
      let twin = Mutex((isDone: false, error: StoreError?.none))
      let options = server.options
      let proxy = try FaultyProxy(
        to: server,
        .init(
          direction: .toServer, bytes: place,
          fault: .call {
            let store = RedisStateStore(options, keys: storeKeys)
            let error = failure { try commit(store, task, epoch, value: "twin", to: position) }
            twin.withLock { $0 = (true, error) }
          }))
      defer { proxy.stop() }
      let error = failure { try commit(through(proxy), task, epoch) }
      try waitUntil("the twin is done") { twin.withLock { $0.isDone } }
      #expect(twin.withLock { $0.error?.message } == nil, "\(place)")
      #expect(error?.remedy == (position == 2 ? nil : .moved), "\(place)")
      #expect(try contents(server, task) == [String(position), "twin", "twin"], "\(place)")
    }
  }

  @Test func aClaimWhoseReplyIsLostIsClaimedAgain() throws {
    let server = try RedisServer()
    for place in [0, 10, 60] {
      let proxy = try FaultyProxy(to: server, .init(direction: .toClient, bytes: place, fault: .cut))
      defer { proxy.stop() }
      let store = through(proxy)
      #expect(failure { _ = try store.claim(task) }?.remedy == .retry)
      let claim = try store.claim(task)
      #expect(try server.ask("GET", ["shop:1:{clicks.3}:e"]) == [String(claim.epoch)])
    }
  }

  @Test func aKilledRedisHoldsACommitWholeOrNotAtAll() throws {
    let durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    let server = try RedisServer(durable)
    let direct = RedisStateStore(server.options, keys: storeKeys)
    try server.ask("SET", ["shop:1:{measure.000}:p", "1"])
    let places = try conversation(server).sent
    // The last bytes are those of EXEC: kill more often there.
    for place in Set(stride(from: 0, to: places, by: places / 6)).union((places - 2)...places).sorted() {
      let (task, epoch) = try prepare(direct, place)
      let box = Unchecked(server)
      let isDead = Mutex(false)
      let proxy = try FaultyProxy(
        to: server,
        .init(
          direction: .toServer, bytes: place,
          fault: .call {
            box.value.kill()
            isDead.withLock { $0 = true }
          }))
      defer { proxy.stop() }
      let error = failure { try commit(through(proxy), task, epoch) }
      try waitUntil("the server is dead") { isDead.withLock { $0 } }
      try server.start(durable)
      let found = try contents(server, task)
      #expect(found == before || found == after, "\(place): \(found)")
      if error == nil { #expect(found == after, "\(place): acknowledged and lost") }
      // The old connection is gone: a first call may say so.
      if failure({ try commit(direct, task, epoch) }) != nil { try commit(direct, task, epoch) }
      #expect(try contents(server, task) == after)
    }
  }
}

/// Carries the server to the proxy's thread. The test waits there, so that one thread at a time uses it.
struct Unchecked<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
