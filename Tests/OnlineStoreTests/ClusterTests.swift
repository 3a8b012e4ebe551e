import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

/// Two nodes of a Redis Cluster on loopback, each with half of the slots.
final class RedisCluster {
  let nodes: [RedisServer]
  let ports: [Int32]
  /// The cluster's names of its nodes.
  let identifiers: [String]

  init() throws {
    let ports = try FreePorts.find(4)
    self.ports = Array(ports[..<2])
    nodes = try (0..<2).map { index in
      try RedisServer(Self.arguments(port: ports[index], busPort: ports[2 + index]))
    }
    identifiers = try nodes.map { try $0.ask("CLUSTER", ["MYID"])[0].unwrapped("no name") }
    try nodes[0].ask("CLUSTER", ["ADDSLOTSRANGE", "0", "8191"])
    try nodes[1].ask("CLUSTER", ["ADDSLOTSRANGE", "8192", "16383"])
    try nodes[0].ask("CLUSTER", ["MEET", "127.0.0.1", "\(ports[1])", "\(ports[3])"])
    for node in nodes {
      try waitUntil("the cluster is up") {
        let info = try node.ask("CLUSTER", ["INFO"])[0] ?? ""
        return info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
      }
    }
  }

  func options(_ index: Int) -> RedisOptions { RedisOptions(.tcp(host: "127.0.0.1", port: ports[index])) }

  private static func arguments(port: Int32, busPort: Int32) -> [String] {
    [
      "--save", "", "--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", "\(port)", "--cluster-port",
      "\(busPort)", "--cluster-node-timeout", "5000",
    ]
  }
}

@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct ClusterTests {
  let cluster: RedisCluster

  init() throws { cluster = try RedisCluster() }

  @Test func tasksAreFoundOnTheirNodes() throws {
    let store = RedisStateStore(
      cluster.options(0), keys: storeKeys,
      metadata: StoreMetadata(fingerprint: 1, partitions: ["clicks": 12]))
    let reader = OnlineReader(cluster.options(1), keys: storeKeys)
    let entities = (0..<600).map { "u\($0)" }
    let byPartition = Dictionary(grouping: entities) { entity in
      Array(entity.utf8).withUnsafeBytes { Murmur2.partition($0, count: 12) }
    }
    for (partition, members) in byPartition {
      let task = StoreKeys.task(source: "clicks", partition: partition)
      let claim = try store.claim(task)
      #expect(claim == TaskClaim(epoch: 1, position: nil), "a redirected claim counts once")
      try store.commit(
        task, epoch: 1, from: nil, to: 1,
        states: KeyedStates(members.map { (key($0), Array("of \($0)".utf8)) }))
      #expect(try store.loadTexts(task, members, at: 1) == members.map { "of \($0)" })
    }
    for node in cluster.nodes { #expect(try node.ask("DBSIZE") != ["0"], "both nodes have tasks") }
    var found = [String?](repeating: nil, count: entities.count)
    var calls = 0
    try reader.read(source: "clicks", view: "v", entityKeys: entities.map { Array($0.utf8) }) {
      index, bytes in
      found[index] = bytes.map { String(decoding: $0, as: UTF8.self) }
      calls += 1
    }
    #expect(found == entities.map { "of \($0)" })
    #expect(calls == entities.count)
  }

  @Test func aTaskIsFollowedWhenItsSlotMoves() throws {
    let store = RedisStateStore(cluster.options(0), keys: storeKeys)
    let epoch = try store.claim(task).epoch
    try store.commit(
      task, epoch: epoch, from: nil, to: 1, states: states(["a": "1"]))
    let slot = try cluster.nodes[0].ask("CLUSTER", ["KEYSLOT", "shop:1:{clicks.3}:p"])[0].unwrapped("no slot")
    let from = Int(slot)! < 8192 ? 0 : 1
    let to = 1 - from
    try cluster.nodes[to].ask("CLUSTER", ["SETSLOT", slot, "IMPORTING", cluster.identifiers[from]])
    try cluster.nodes[from].ask("CLUSTER", ["SETSLOT", slot, "MIGRATING", cluster.identifiers[to]])
    // Keys on both sides: no step of the whole task is possible now.
    let migrate = ["127.0.0.1", "\(cluster.ports[to])", "", "0", "5000", "KEYS"]
    try cluster.nodes[from].ask("MIGRATE", migrate + ["shop:1:{clicks.3}:p"])
    let moving = failure {
      try store.commit(
        task, epoch: epoch, from: 1, to: 2, states: states(["a": "2"]))
    }
    #expect(moving?.remedy == .retry, "\(String(describing: moving))")
    try cluster.nodes[from].ask("MIGRATE", migrate + ["shop:1:{clicks.3}:e", "shop:1:{clicks.3}:s:v:a"])
    for node in [to, from] {
      try cluster.nodes[node].ask("CLUSTER", ["SETSLOT", slot, "NODE", cluster.identifiers[to]])
    }
    try store.commit(
      task, epoch: epoch, from: 1, to: 2, states: states(["a": "2"]))
    #expect(try store.loadTexts(task, ["a", "none"], epoch: epoch, at: 2) == ["2", nil])
    #expect(try store.claim(task) == TaskClaim(epoch: epoch + 1, position: 2))
  }

  /// States of many tasks take one round trip a node, the question which version is live included; a node that is gone
  /// fails those alone that it has.
  @Test func manyRequestsTakeOneRoundTripANode() throws {
    let store = RedisStateStore(cluster.options(0), keys: storeKeys)
    let tasks = (0..<12).map { StoreKeys.task(source: "clicks", partition: $0) }
    for task in tasks {
      try store.commit(
        task, epoch: try store.claim(task).epoch, from: nil, to: 1, states: states(["a": "of \(task)"]))
    }
    let slots = try ["shop:live"].map { try slot($0) } + tasks.map { try slot("shop:1:{\($0)}:p") }
    let lost = slots[0] < 8192 ? 1 : 0
    var options = cluster.options(1 - lost)
    options.reconnectDelayMilliseconds = 0
    let reader = BatchReader(options, name: "shop")
    let lookups = tasks.map { BatchReader.Lookup(task: $0, view: "v", key: Array("a".utf8)) }
    func texts(_ found: [BatchReader.Found]) -> [String?] {
      found.map { $0.state.map { String(decoding: $0, as: UTF8.self) } }
    }
    // The first read learns where everything is.
    #expect(texts(try reader.read(version: 1, lookups).found) == tasks.map { "of \($0)" })
    let before = reader.roundTrips
    #expect(
      texts(try reader.read(version: 1, lookups.reversed()).found) == tasks.reversed().map { "of \($0)" })
    #expect(reader.roundTrips - before == 2)
    try cluster.nodes[1 - lost].ask("CONFIG", ["SET", "cluster-require-full-coverage", "no"])
    cluster.nodes[lost].kill()
    let found = try reader.read(version: 1, lookups).found
    for (index, found) in found.enumerated() {
      let isLost = (slots[1 + index] < 8192 ? 0 : 1) == lost
      #expect((found.failure?.remedy == .retry) == isLost)
      #expect((found.state == nil) == isLost)
    }
  }

  private func slot(_ key: String) throws -> Int {
    Int(try cluster.nodes[0].ask("CLUSTER", ["KEYSLOT", key])[0] ?? "") ?? -1
  }

  @Test func anotherNodeIsAskedWhenOneIsGone() throws {
    var options = cluster.options(0)
    options.reconnectDelayMilliseconds = 0
    let store = RedisStateStore(options, keys: storeKeys)
    // Learns both nodes.
    let tasks = (0..<8).map { StoreKeys.task(source: "clicks", partition: $0) }
    for task in tasks { _ = try store.claim(task) }
    let slots = try tasks.map {
      try cluster.nodes[0].ask("CLUSTER", ["KEYSLOT", "shop:1:{\($0)}:p"])[0] ?? ""
    }
    let onSecond = try #require(zip(tasks, slots).first { Int($1)! >= 8192 }).0
    try cluster.nodes[1].ask("CONFIG", ["SET", "cluster-require-full-coverage", "no"])
    cluster.nodes[0].kill()
    try waitUntil("the store has found the other node") { failure { _ = try store.claim(onSecond) } == nil }
    #expect(try store.claim(onSecond).epoch > 1)
  }
}
