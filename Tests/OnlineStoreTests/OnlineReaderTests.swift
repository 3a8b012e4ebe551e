import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing

@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct OnlineReaderTests {
  let server: RedisServer
  let reader: OnlineReader
  let metadata = StoreMetadata(fingerprint: .max, partitions: ["clicks": 6, "shop.by-item": 1])

  init() throws {
    server = try RedisServer()
    reader = OnlineReader(server.options, keys: storeKeys)
  }

  private func read(_ source: String, _ entities: [String]) throws -> [String?] {
    var texts: [String?] = []
    try reader.read(source: source, view: "v", entityKeys: entities.map { Array($0.utf8) }) { index, bytes in
      #expect(index == texts.count)
      texts.append(bytes.map { String(decoding: $0, as: UTF8.self) })
    }
    return texts
  }

  @Test func statesAreFoundInTheTaskOfTheirKey() throws {
    let store = RedisStateStore(server.options, keys: storeKeys, metadata: metadata)
    let entities = (0..<2_500).map { "u\($0)" }
    let byPartition = Dictionary(grouping: entities) { entity in
      Array(entity.utf8).withUnsafeBytes { Murmur2.partition($0, count: 6) }
    }
    #expect(byPartition.count == 6)
    for (partition, members) in byPartition {
      let task = StoreKeys.task(source: "clicks", partition: partition)
      let epoch = try store.claim(task).epoch
      try store.commit(
        task, epoch: epoch, from: nil, to: 1,
        states: KeyedStates(members.map { (key($0), Array("state of \($0)".utf8)) }))
    }
    #expect(try read("clicks", entities) == entities.map { "state of \($0)" })
    #expect(try read("clicks", ["none", "u7"]) == [nil, "state of u7"])
    #expect(try read("shop.by-item", ["u7"]) == [nil])
    #expect(try read("clicks", []) == [])
  }

  @Test func statesAreCarriedOnUnderTheirMetadataOnly() throws {
    #expect(metadata.conflict(with: metadata) == nil)
    var other = metadata
    other.fingerprint = 1
    #expect(metadata.conflict(with: other)?.contains("raise 'version:'") == true)
    var grown = metadata
    grown.partitions["clicks"] = 7
    #expect(metadata.conflict(with: grown)?.contains("'clicks' had 6 partitions") == true)
    let reader = OnlineReader(server.options, keys: StoreKeys(name: "nobody", version: 3))
    #expect(try reader.stored() == nil)
  }

  @Test func metadataSurviveTheJourney() throws {
    let writer = RedisStateStore(server.options, keys: storeKeys)
    try writer.publish(metadata)
    #expect(try reader.refresh() == metadata)
    #expect(
      try server.ask("GET", ["shop:1:m"])
        == ["plumbline 1\nfingerprint 18446744073709551615\npartitions clicks 6\npartitions shop.by-item 1\n"]
    )
    var grown = metadata
    grown.partitions["clicks"] = 12
    try writer.publish(grown)
    #expect(try reader.refresh() == grown)
  }

  @Test func whatIsMissingIsNamed() throws {
    let missing = failure { _ = try read("clicks", ["u1"]) }
    #expect(missing?.remedy == .fatal && missing?.message.contains("shop:1:m is missing") ?? false)
    try RedisStateStore(server.options, keys: storeKeys).publish(metadata)
    let source = failure { _ = try read("orders", ["u1"]) }
    #expect(source?.message.contains("no source 'orders'") ?? false)
    for text in [
      "plumbline 2\n", "", "plumbline 1\npartitions clicks 6\n", "plumbline 1\nfingerprint 1\nnew 1\n",
    ] {
      try server.ask("SET", ["shop:1:m", text])
      #expect(failure { try reader.refresh() }?.message.contains("format") ?? false, "\(text)")
    }
  }

  @Test func aKeyOfAnotherTypeIsAnError() throws {
    try RedisStateStore(server.options, keys: storeKeys)
      .publish(StoreMetadata(fingerprint: 1, partitions: ["clicks": 1]))
    try server.ask("RPUSH", ["shop:1:{clicks.0}:s:v:u1", "x"])
    #expect(failure { _ = try read("clicks", ["u1"]) }?.message.contains("WRONGTYPE") ?? false)
    // The connection is dropped, and made anew.
    #expect(try read("clicks", ["u2"]) == [nil])
  }
}
