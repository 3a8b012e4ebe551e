import Testing

@testable import FeatureCore

@Suite struct StateTableTests {
  private let layout = StateLayout(levels: [], bucketTables: [], calendars: [])

  private func insert(_ key: String, _ number: Int64, hash: UInt64? = nil, into table: inout StateTable) {
    var bytes = Array(key.utf8)
    bytes.withUnsafeBytes { key in
      _ = table.insert(key, hash: hash ?? table.hasher.hash(key), State(asOf: number, layout: layout))
    }
    // The table has keys of its own.
    bytes = []
  }

  @Test func growth() {
    var table = StateTable()
    let count: Int64 = 100_000
    for number in 0..<count { insert("user \(number)", number, into: &table) }
    #expect(table.count == Int(count))
    var wrong = 0
    for number in 0..<count {
      let state = Array("user \(number)".utf8).withUnsafeBytes { table.state($0) }
      if state?.asOf.microseconds != number { wrong += 1 }
      let missing = Array("nobody \(number)".utf8).withUnsafeBytes { table.state($0) }
      if missing != nil { wrong += 1 }
    }
    #expect(wrong == 0)
  }

  /// Equal hashes, and hashes that differ only where the index doesn't look: keys decide.
  @Test func collisions() {
    var table = StateTable()
    let hashes: [UInt64] = [0, 1, 1023, 1024, .max, 0xFFFF_FFFF, 1 << 32]
    for (group, hash) in hashes.enumerated() {
      for number in 0..<20 { insert("\(group) \(number)", Int64(number), hash: hash, into: &table) }
    }
    for (group, hash) in hashes.enumerated() {
      for number in 0..<20 {
        let slot = Array("\(group) \(number)".utf8).withUnsafeBytes { table.find($0, hash: hash) }
        #expect(slot == group * 20 + number)
      }
      let missing = Array("\(group) 20".utf8).withUnsafeBytes { table.find($0, hash: hash) }
      #expect(missing == -1)
    }
  }

  @Test func sortedByBytes() {
    var table = StateTable()
    let keys = ["b", "", "a", "aa", "é", "Z", "\u{0}", "ab"]
    for (number, key) in keys.enumerated() { insert(key, Int64(number), into: &table) }
    var visited: [String] = []
    table.forEachSorted { key, state in
      visited.append(String(decoding: key, as: UTF8.self))
      #expect(keys[Int(state.asOf.microseconds)] == visited.last)
    }
    #expect(visited == ["", "\u{0}", "Z", "a", "aa", "ab", "b", "é"])
  }
}
