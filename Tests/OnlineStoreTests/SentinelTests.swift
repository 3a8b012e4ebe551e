import Foundation
import Processor
import Testing
import TestSupport

@testable import OnlineStore

/// A primary, a replica, and a real sentinel that makes them change places when a test says so.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct SentinelTests {
  let ports: [Int32]
  let servers: [RedisServer]
  let sentinel: RedisServer
  /// Nobody listens there.
  let nowhere: Int32

  private static let positionKey = "shop:1:{clicks.3}:p"

  init() throws {
    ports = try FreePorts.find(4)
    nowhere = ports[3]
    let common = ["--save", "", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
    servers = [
      try RedisServer(common + ["--port", "\(ports[0])"]),
      try RedisServer(common + ["--port", "\(ports[1])", "--replicaof", "127.0.0.1", "\(ports[0])"]),
    ]
    sentinel = try RedisServer(
      ["--sentinel", "--port", "\(ports[2])", "--bind", "127.0.0.1"],
      configuration: """
        sentinel monitor shop 127.0.0.1 \(ports[0]) 1
        sentinel down-after-milliseconds shop 60000
        """)
    try waitUntil("the replica is up to date and known") {
      try servers[1].ask("INFO", ["replication"])[0]?.contains("master_link_status:up") == true
        && sentinel.ask("SENTINEL", ["REPLICAS", "shop"]).count == 1
    }
  }

  private func options(_ places: [Int32], _ name: String = "shop", _ parameters: String = "") throws
    -> RedisOptions
  {
    let sentinels = places.map { "127.0.0.1:\($0)" }.joined(separator: ",")
    var options = try RedisOptions(url: "redis+sentinel://\(sentinels)/\(name)\(parameters)")
    options.reconnectDelayMilliseconds = 0
    return options
  }

  private func store(_ places: [Int32]? = nil, _ name: String = "shop", _ parameters: String = "") throws
    -> RedisStateStore
  {
    RedisStateStore(try options(places ?? [ports[2]], name, parameters), keys: storeKeys)
  }

  private func failOver() throws {
    try waitUntil("the sentinel takes the order") {
      failure { try sentinel.ask("SENTINEL", ["FAILOVER", "shop"]) } == nil
    }
    try waitUntil("they have changed places") {
      // Whoever is connected to the old primary is thrown out, the asking test included.
      (try? servers[0].ask("ROLE")[0]) == "slave" && (try? servers[1].ask("ROLE")[0]) == "master"
    }
  }

  private func awaitReplica(_ position: String?, _ server: RedisServer) throws {
    try waitUntil("the replica is at \(position ?? "none")") {
      try server.ask("GET", [Self.positionKey])[0] == position
    }
  }

  @Test func aFailoverIsFollowedAndTheOldPrimaryRefuses() throws {
    let store = try store()
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
    try awaitReplica("1", servers[1])
    try failOver()
    var failures: [StoreError] = []
    try waitUntil("the store has found the new primary") {
      let error = failure {
        try store.commit(task, epoch: 1, from: 1, to: 2, states: states(["a": "2"]))
      }
      if let error { failures.append(error) }
      return error == nil
    }
    #expect(failures.allSatisfy { $0.remedy == .retry }, "\(failures)")
    #expect(try servers[1].ask("GET", [Self.positionKey]) == ["2"])
    try awaitReplica("2", servers[0])
    let former = RedisStateStore(RedisOptions(.tcp(host: "127.0.0.1", port: ports[0])), keys: storeKeys)
    let error = failure {
      try former.commit(task, epoch: 1, from: 2, to: 3, states: states(["a": "3"]))
    }
    #expect(error?.remedy == .retry)
    #expect(failure { _ = try former.claim(task) }?.message.contains("READONLY") == true)
    #expect(try OnlineReader(try options([ports[2]]), keys: storeKeys).position(of: task) == 2)
  }

  @Test func whatThePromotedReplicaLacksIsSeen() throws {
    let store = try store()
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
    try awaitReplica("1", servers[1])
    // The replica can't come back to its primary, and misses a commit.
    try servers[1].ask("CONFIG", ["SET", "masterauth", "wrong"])
    try servers[0].ask("CLIENT", ["KILL", "TYPE", "replica"])
    try store.commit(task, epoch: 1, from: 1, to: 2, states: states(["a": "2"]))
    try failOver()
    var last: StoreError?
    try waitUntil("the loss is seen") {
      last = failure {
        try store.commit(task, epoch: 1, from: 2, to: 3, states: states(["a": "3"]))
      }
      return last?.remedy != .retry
    }
    #expect(last?.remedy == .moved, "\(String(describing: last))")
    // The connection of the loads may be the old primary's yet: a first call says so.
    try waitUntil("a load answers") {
      last = failure { _ = try store.loadTexts(task, ["a"], at: 2) }
      return last?.remedy != .retry
    }
    #expect(last?.remedy == .moved, "\(String(describing: last))")
    let claim = try store.claim(task)
    #expect(claim.position == 1 && claim.epoch == 2)
    // The old primary forgets what only it had.
    try awaitReplica("1", servers[0])
  }

  @Test func aPrimaryInNameOnlyIsNotUsed() throws {
    let store = try store()
    try servers[0].ask("REPLICAOF", ["127.0.0.1", "\(nowhere)"])
    let error = failure { _ = try store.claim(task) }
    #expect(error?.remedy == .retry)
    #expect(
      error?.message.contains("names it as the primary, but it is a slave") == true, "\(error!.message)")
    try servers[0].ask("REPLICAOF", ["NO", "ONE"])
    #expect(try store.claim(task).epoch == 1)
  }

  @Test func sentinelsThatDoNotAnswerOrDoNotKnow() throws {
    #expect(try store([nowhere, ports[2]]).claim(task).epoch == 1)
    let away = failure { _ = try store([nowhere]).claim(task) }
    #expect(away?.remedy == .retry)
    #expect(away?.message.contains("ask for the primary 'shop' at sentinel 127.0.0.1:\(nowhere)") == true)
    let unknown = failure { _ = try store(nil, "shoes").claim(task) }
    #expect(unknown?.remedy == .fatal)
    #expect(unknown?.message.contains("it knows none of this name") == true)
    #expect(failure { _ = try store([ports[2], nowhere], "shoes").claim(task) }?.remedy == .retry)

    try sentinel.ask("ACL", ["SETUSER", "app", "on", ">s3cret", "+sentinel|get-master-addr-by-name"])
    try sentinel.ask("ACL", ["SETUSER", "default", "off"])
    let anonymous = failure { _ = try store().claim(task) }
    #expect(anonymous?.remedy == .fatal && anonymous!.message.contains("sentinel_password="))
    let wrong = failure {
      _ = try store(nil, "shop", "?sentinel_user=app&sentinel_password=wr0ng").claim(task)
    }
    #expect(wrong?.remedy == .fatal && !wrong!.message.contains("wr0ng"))
    #expect(try store(nil, "shop", "?sentinel_user=app&sentinel_password=s3cret").claim(task).epoch == 2)
  }
}
