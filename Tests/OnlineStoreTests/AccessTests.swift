import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

/// The rights that docs/operations.md tells to give, on a real server: enough for what each does, and nothing beyond.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct AccessTests {
  /// The rights of the documented lines, by the user that they are for.
  private static func documented() throws -> [String: [String]] {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/operations.md")
    var rights: [String: [String]] = [:]
    for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard words.starts(with: ["ACL", "SETUSER"]), words.count > 3 else { continue }
      rights[words[2]] = Array(words[3...])
    }
    return rights
  }

  private static func options(_ server: RedisServer, _ user: String) throws -> RedisOptions {
    let rights = try documented()[user].unwrapped("there is no ACL line for '\(user)'")
    try server.ask("ACL", ["SETUSER", user] + rights.map { $0.replacing("PASSWORD", with: "p") })
    return try RedisOptions(url: "unix://\(user):p@\(server.socket)")
  }

  private static func plan() throws -> Plan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string)])
    let view = View(
      "v", source: "clicks", entity: ["user"],
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    return try Plan(Definitions(name: "shop", sources: [source], views: [view]))
  }

  /// All that a worker asks of its store.
  private static func work(_ options: RedisOptions, _ plan: Plan) throws {
    let store = RedisStateStore(options, keys: storeKeys)
    #expect(try OnlineReader(options, keys: storeKeys).stored() == nil)
    try store.publish(StoreMetadata(fingerprint: plan.fingerprint, partitions: ["clicks": 1]))
    let claim = try store.claim("clicks.0")
    try store.commit(
      "clicks.0", epoch: claim.epoch, from: claim.position, to: 5, states: states(["u1": "one", "u2": "two"]))
    try store.commit("clicks.0", epoch: claim.epoch, from: 5, to: 6, states: [])
    var found: [[UInt8]?] = []
    try store.load("clicks.0", epoch: claim.epoch, position: 6, [key("u1"), key("u3")]) { _, state in
      if case .state(let bytes, _) = state { found.append([UInt8](bytes)) } else { found.append(nil) }
    }
    #expect(found == [Array("one".utf8), nil])
    try store.load("clicks.0", epoch: claim.epoch, position: 6, []) { _, _ in }
    try store.commit("clicks.0", epoch: claim.epoch, from: 6, to: 7, states: states(["u2": ""]))
    let moved = failure { try store.commit("clicks.0", epoch: claim.epoch, from: 1, to: 8, states: []) }
    #expect(moved?.remedy == .moved)
    let next = try store.claim("clicks.0")
    let fenced = failure { try store.commit("clicks.0", epoch: claim.epoch, from: 7, to: 8, states: []) }
    #expect(fenced?.remedy == .fenced && next.epoch == claim.epoch + 1)
  }

  @Test func theDocumentedRightsAreEnough() throws {
    let server = try RedisServer()
    let plan = try Self.plan()
    try Self.work(Self.options(server, "plumb-worker"), plan)
    // A reader, over what the worker has written; the live version too.
    let admin = try Self.options(server, "plumb-admin")
    try LiveVersion(admin, name: "shop").promote(1)
    let reader = try Self.options(server, "plumb-reader")
    let found = try LiveReader(reader, name: "shop", versions: [1]).read({ _ in
      LiveReader.Request(source: "clicks", view: "v", entityKeys: [Array("u1".utf8)])
    }) { #expect($1.map { [UInt8]($0) } == Array("one".utf8) && $0 == 0) }
    #expect(found == 1)
    // What looks at a whole version: verify, and retire.
    let inspector = StoreInspector(admin, keys: storeKeys)
    #expect(try inspector.position("clicks.0") == 7)
    var keys = 0
    try inspector.scan("clicks.0") { keys += $0.count }
    #expect(keys == 1)
    #expect(try StoreCleaner(admin, keys: storeKeys).removeAll() > 0)
  }

  /// Each right of a worker is needed: without it something that a worker does is refused.
  @Test func everyRightOfAWorkerIsNeeded() throws {
    let plan = try Self.plan()
    let server = try RedisServer()
    // `select` is for another database, a WATCH outside a transaction is what `discard` ends, and without `info`
    // nothing is refused, but an eviction policy that drops states isn't noticed.
    for right in try Self.documented()["plumb-worker", default: []] where right.hasPrefix("+") {
      let command = String(right.dropFirst())
      if ["auth", "select", "discard", "info"].contains(command) { continue }
      try server.ask("FLUSHALL")
      let options = try Self.options(server, "plumb-worker")
      try server.ask("ACL", ["SETUSER", "plumb-worker", "-\(command)"])
      #expect(throws: StoreError.self, "without \(right)") { try Self.work(options, plan) }
    }
  }

  @Test func nothingBeyondIsGranted() throws {
    let server = try RedisServer()
    try server.ask("SET", ["other:1", "x"])
    for user in ["plumb-worker", "plumb-reader", "plumb-admin"] {
      let rights = try #require(try Self.documented()[user])
      _ = try Self.options(server, user)
      for command in [
        ["FLUSHALL"], ["FLUSHDB"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["DEBUG", "SLEEP", "0"],
        ["SHUTDOWN"],
        ["GET", "other:1"], ["SET", "other:1", "y"], ["EVAL", "return 1", "0"], ["ACL", "LIST"],
      ] {
        let answer = try server.ask("ACL", ["DRYRUN", user] + command).first.flatMap { $0 } ?? ""
        #expect(answer != "OK", "\(user) (\(rights)) may \(command)")
      }
    }
    #expect(try server.ask("ACL", ["DRYRUN", "plumb-reader", "SET", "shop:1:m", "x"]).first != "OK")
  }
}
