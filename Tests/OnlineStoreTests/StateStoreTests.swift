import Foundation
@testable import OnlineStore
import Processor
import Testing

@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct StateStoreTests {
  let server: RedisServer
  let store: RedisStateStore

  init() throws {
    server = try RedisServer()
    store = RedisStateStore(server.options, keys: storeKeys)
  }

  @Test func claimsCountUpAndTellThePosition() throws {
    #expect(try store.claim(task) == TaskClaim(epoch: 1, position: nil))
    #expect(try store.claim(task) == TaskClaim(epoch: 2, position: nil))
    #expect(try store.claim("clicks.4") == TaskClaim(epoch: 1, position: nil))
    try store.commit(task, epoch: 2, from: nil, to: 17, states: [])
    #expect(try store.claim(task) == TaskClaim(epoch: 3, position: 17))
  }

  @Test func statesAreUnderTheDocumentedKeys() throws {
    _ = try store.claim(task)
    try store.commit(
      task, epoch: 1, from: nil, to: 5, states: states(["u1": "one"]))
    let state = "shop:1:{clicks.3}:s:v:u1"
    #expect(try server.ask("GETRANGE", [state, "13", "-1"]) == ["one"])
    #expect(try server.ask("MGET", ["shop:1:{clicks.3}:p", "shop:1:{clicks.3}:e"]) == ["5", "1"])
    #expect(try server.ask("DBSIZE") == ["3"])
  }

  @Test func loadKeepsOrderAndAnyBytes() throws {
    _ = try store.claim(task)
    let odd: [UInt8] = [0, 13, 10, 255, 36, 42]
    try store.commit(
      task, epoch: 1, from: nil, to: 5,
      states: [(key("b") + odd, odd), (key("a"), [0]), (key("c"), Array("3".utf8))])
    var found: [[UInt8]?] = []
    try store.load(task, epoch: 1, position: 5, [key("a"), key("none"), key("b") + odd, key("a")]) {
      index, state in
      #expect(index == found.count)
      found.append(state.bytes.map { [UInt8]($0) })
    }
    #expect(found == [[0], nil, odd, [0]])
    try store.load(task, epoch: 1, position: 5, []) { _, _ in Issue.record("called for no key") }
    // A task is checked without a key as well.
    let moved = failure { try store.load(task, epoch: 1, position: 6, []) { _, _ in } }
    #expect(moved?.remedy == .moved)
    let fenced = failure { try store.load(task, epoch: 2, position: 5, []) { _, _ in } }
    #expect(fenced?.remedy == .fenced)
  }

  /// An idle loop asks this way whether its task is still its own.
  @Test func loadingNothingChecksTheOwner() throws {
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 5, states: [])
    #expect(failure { try store.load(task, epoch: 1, position: 4, []) { _, _ in } }?.remedy == .moved)
    _ = try store.claim(task)
    #expect(failure { try store.load(task, epoch: 1, position: 5, []) { _, _ in } }?.remedy == .fenced)
  }

  /// What a restoration writes is of a later position than the one that it writes under.
  @Test func statesSayWhatTheyHaveFolded() throws {
    _ = try store.claim(task)
    var restored = states(["u1": "a"])
    restored.position = 9
    try store.commit(task, epoch: 1, from: nil, to: 5, states: restored)
    try store.commit(task, epoch: 1, from: 5, to: 7, states: states(["u2": "b"]))
    var found: [Int64] = []
    try store.load(task, epoch: 1, position: 7, [key("u1"), key("u2")]) { _, stored in
      if case .state(_, let position) = stored { found.append(position) }
    }
    #expect(found == [9, 7])
  }

  /// A state without bytes is none: its key goes with the commit, and only if that is taken.
  @Test func whatHasNoBytesIsRemoved() throws {
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 5, states: states(["u1": "a", "u2": "b", "u3": "c"]))
    let refused = failure {
      try store.commit(task, epoch: 1, from: 4, to: 6, states: states(["u1": "", "u2": "x"]))
    }
    #expect(refused?.remedy == .moved)
    #expect(try store.loadTexts(task, ["u1", "u2", "u3"], at: 5) == ["a", "b", "c"])
    try store.commit(task, epoch: 1, from: 5, to: 6, states: states(["u1": "", "u2": "x", "u4": ""]))
    #expect(try store.loadTexts(task, ["u1", "u2", "u3", "u4"], at: 6) == [nil, "x", "c", nil])
    #expect(try server.ask("EXISTS", ["shop:1:{clicks.3}:s:v:u1"]) == ["0"])
    // Nothing else than that.
    try store.commit(task, epoch: 1, from: 6, to: 7, states: states(["u2": "", "u3": ""]))
    #expect(try server.ask("DBSIZE") == ["2"])
  }

  @Test func manyStatesTravelInOneCommitAndSeveralReads() throws {
    _ = try store.claim(task)
    let entities = (0..<20_500).map { "u\($0)" }
    let batch = KeyedStates(
      entities.map { (key($0), Array("\($0)-\(String(repeating: "x", count: 300))".utf8)) })
    try store.commit(task, epoch: 1, from: nil, to: 1, states: batch)
    try store.commit(task, epoch: 1, from: 1, to: 2, states: batch)
    let texts = try store.loadTexts(task, entities, at: 2)
    #expect(zip(entities, texts).allSatisfy { $1?.hasPrefix("\($0)-") ?? false })
  }

  @Test func anOldEpochIsRefusedWhole() throws {
    let rival = RedisStateStore(server.options, keys: storeKeys)
    let old = try store.claim(task)
    let new = try rival.claim(task)
    let error = failure {
      try store.commit(
        task, epoch: old.epoch, from: nil, to: 5, states: states(["u1": "old"]))
    }
    #expect(error?.remedy == .fenced)
    #expect(try server.ask("KEYS", ["*"]) == ["shop:1:{clicks.3}:e"])
    // The refused transaction is over: the same connection goes on.
    try rival.commit(
      task, epoch: new.epoch, from: nil, to: 5, states: states(["u1": "new"]))
    #expect(try store.loadTexts(task, ["u1"], epoch: 2, at: 5) == ["new"])
    #expect(try store.claim(task) == TaskClaim(epoch: 3, position: 5))
  }

  @Test func anotherPositionIsRefusedAndTheOwnIsDone() throws {
    _ = try store.claim(task)
    try store.commit(
      task, epoch: 1, from: nil, to: 5, states: states(["u1": "a"]))
    for from in [nil, 3, 6] as [Int64?] {
      let error = failure {
        try store.commit(
          task, epoch: 1, from: from, to: 9, states: states(["u1": "b"]))
      }
      #expect(error?.remedy == .moved, "from \(String(describing: from))")
    }
    try store.commit(
      task, epoch: 1, from: nil, to: 5, states: states(["u1": "again"]))
    #expect(try store.loadTexts(task, ["u1"], at: 5) == ["a"])
    try store.commit(
      task, epoch: 1, from: 5, to: 9, states: states(["u1": "c"]))
    #expect(try store.loadTexts(task, ["u1"], at: 9) == ["c"])
  }

  @Test func aStoreThatLostItsTailIsNoticed() throws {
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 5, states: [])
    try server.ask("SET", ["shop:1:{clicks.3}:p", "3"])
    let lost = failure {
      try store.commit(task, epoch: 1, from: 5, to: 6, states: [])
    }
    #expect(lost?.remedy == .moved)
    try server.ask("FLUSHALL")
    let empty = failure {
      try store.commit(task, epoch: 1, from: 5, to: 6, states: [])
    }
    #expect(empty?.remedy == .fenced)
    #expect(try store.claim(task) == TaskClaim(epoch: 1, position: nil))
  }

  @Test func statesOfAnotherEpochOrPositionAreNotHandedOver() throws {
    _ = try store.claim(task)
    try store.commit(
      task, epoch: 1, from: nil, to: 5, states: states(["u1": "a"]))
    let attempt = { (epoch: Int64, position: Int64?) in
      failure {
        try store.load(task, epoch: epoch, position: position, [key("u1")]) { _, _ in
          Issue.record("handed over at epoch \(epoch), position \(String(describing: position))")
        }
      }?.remedy
    }
    #expect(attempt(1, 4) == .moved)
    #expect(attempt(1, nil) == .moved)
    #expect(attempt(2, 5) == .fenced)
    #expect(try store.claim(task).epoch == 2)
    #expect(attempt(1, 5) == .fenced)
    #expect(try store.loadTexts(task, ["u1"], epoch: 2, at: 5) == ["a"])
    try server.ask("FLUSHALL")
    #expect(attempt(2, 5) == .fenced)
  }

  /// Every bit of what stands in Redis is checked, its key included; and a state tells the position that it was written with.
  @Test func aChangedBitIsNoticed() throws {
    var value: [UInt8] = []
    let state = Array("some state".utf8)
    state.withUnsafeBytes { state in
      key("u1").withUnsafeBytes { StateEnvelope.append(state, key: $0, position: 5, to: &value) }
    }
    let open = { (value: [UInt8], name: String) in
      value.withUnsafeBytes { value in
        key(name).withUnsafeBytes { key in
          switch StateEnvelope.open(value, key: key) {
          case .none: return "none"
          case .state(let bytes, let position):
            return "\(String(decoding: bytes, as: UTF8.self)) at \(position)"
          case .damaged: return "damaged"
          }
        }
      }
    }
    #expect(open(value, "u1") == "some state at 5")
    #expect(open(value, "u2") == "damaged")
    for bit in 0..<(8 * value.count) {
      var changed = value
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(open(changed, "u1") == "damaged", "bit \(bit)")
    }
    for count in 0..<value.count {
      #expect(open(Array(value.prefix(count)), "u1") == "damaged", "\(count) bytes")
    }
  }

  @Test func aDamagedStateIsOneEntitys() throws {
    _ = try store.claim(task)
    try store.commit(task, epoch: 1, from: nil, to: 5, states: states(["u1": "one", "u2": "two"]))
    try server.ask("SETRANGE", ["shop:1:{clicks.3}:s:v:u1", "14", "N"])
    var found: [String] = []
    try store.load(task, epoch: 1, position: 5, [key("u1"), key("u2")]) { _, state in
      if case .damaged = state { found.append("damaged") } else { found.append("whole") }
    }
    #expect(found == ["damaged", "whole"])
  }
}
