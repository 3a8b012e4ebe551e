import FeatureCore
import Foundation
@testable import OnlineStore
import Processor
import Testing

/// Two versions side by side in one Redis, or in a cluster: which one is read, and how one goes.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct VersionTests {
  private static let entities = (0..<300).map { "u\($0)" }

  private static func keys(_ version: Int) -> StoreKeys { StoreKeys(name: "shop", version: version) }

  /// Fills a version with states that say which it is.
  private static func fill(_ options: RedisOptions, version: Int) throws {
    let store = RedisStateStore(options, keys: keys(version))
    try store.publish(StoreMetadata(fingerprint: UInt64(version), partitions: ["clicks": 3]))
    let byPartition = Dictionary(grouping: entities) { entity in
      Array(entity.utf8).withUnsafeBytes { Murmur2.partition($0, count: 3) }
    }
    for (partition, members) in byPartition {
      let task = StoreKeys.task(source: "clicks", partition: partition)
      let claim = try store.claim(task)
      try store.commit(
        task, epoch: claim.epoch, from: claim.position, to: 7,
        states: KeyedStates(members.map { (key($0), Array("\($0) in \(version)".utf8)) }))
    }
  }

  private static func read(_ reader: LiveReader) throws -> (version: Int, texts: [String?]) {
    var texts = [String?](repeating: nil, count: entities.count)
    let version = try reader.read({ _ in
      LiveReader.Request(source: "clicks", view: "v", entityKeys: entities.map { Array($0.utf8) })
    }) { index, bytes in texts[index] = bytes.map { String(decoding: $0, as: UTF8.self) } }
    return (version, texts)
  }

  private static func expect(_ reader: LiveReader, _ version: Int) throws {
    let found = try read(reader)
    #expect(found.version == version)
    #expect(found.texts == entities.map { "\($0) in \(version)" })
  }

  private static func switches(_ options: RedisOptions) throws {
    try fill(options, version: 3)
    try fill(options, version: 4)
    let live = LiveVersion(options, name: "shop")
    let both = LiveReader(options, name: "shop", versions: [3, 4])
    let old = LiveReader(options, name: "shop", versions: [3])
    #expect(failure { _ = try read(both) }?.message.contains("plumb promote") == true)
    // There is nothing to choose from.
    try expect(old, 3)
    try live.promote(3)
    try expect(both, 3)
    try expect(old, 3)
    try live.promote(4)
    try expect(both, 4)
    #expect(failure { _ = try read(old) }?.message.contains("version 4 of 'shop' is live") == true)
    try live.promote(3)
    try expect(both, 3)
    try live.promote(4)
    let removed = try StoreCleaner(options, keys: keys(3)).removeAll()
    #expect(removed == entities.count)
    try expect(both, 4)
    #expect(throws: StoreError.self) { try OnlineReader(options, keys: keys(3)).refresh() }
    let store = RedisStateStore(options, keys: keys(3))
    #expect(try store.claim("clicks.0") == TaskClaim(epoch: 1, position: nil))
  }

  @Test func readersSwitchAtOnceAndTheOldVersionGoes() throws {
    let server = try RedisServer()
    try Self.switches(server.options)
  }

  @Test func onAClusterToo() throws {
    let cluster = try RedisCluster()
    try Self.switches(cluster.options(0))
  }

  @Test func clearedTasksBeginAnewAndFenceTheirOwner() throws {
    let server = try RedisServer()
    try Self.fill(server.options, version: 3)
    try Self.fill(server.options, version: 33)
    try StoreCleaner(server.options, keys: Self.keys(3)).clear(tasks: ["clicks.0", "clicks.1", "clicks.2"])
    let left = try server.ask("KEYS", ["shop:3:*:s:*"])
    #expect(left.isEmpty)
    let store = RedisStateStore(server.options, keys: Self.keys(3))
    #expect(failure { try store.load("clicks.1", epoch: 1, position: 7, []) { _, _ in } }?.remedy == .fenced)
    #expect(try store.claim("clicks.1") == TaskClaim(epoch: 3, position: nil))
    try Self.expect(LiveReader(server.options, name: "shop", versions: [33]), 33)
  }

  /// Who has claimed a task since keeps it whole.
  @Test func nothingIsRemovedUnderAnotherClaim() throws {
    let server = try RedisServer()
    let store = RedisStateStore(server.options, keys: storeKeys)
    let claim = try store.claim(task)
    try store.commit(task, epoch: claim.epoch, from: nil, to: 5, states: states(["u1": "one"]))
    let rival = try RedisStateStore(server.options, keys: storeKeys).claim(task)
    let name = Array("shop:1:{clicks.3}:s:v:u1".utf8)
    #expect(failure { try store.remove([name], of: task, epoch: claim.epoch) }?.remedy == .fenced)
    #expect(try store.loadTexts(task, ["u1"], epoch: rival.epoch, at: 5) == ["one"])
    try store.remove([name], of: task, epoch: rival.epoch)
    #expect(try store.loadTexts(task, ["u1"], epoch: rival.epoch, at: 5) == [nil])
  }

  @Test func aForeignLiveVersionIsAnError() throws {
    let server = try RedisServer()
    try Self.fill(server.options, version: 3)
    try server.ask("SET", ["shop:live", "three"])
    let reader = LiveReader(server.options, name: "shop", versions: [3])
    #expect(failure { _ = try Self.read(reader) }?.message.contains("another program") == true)
  }
}
