import Foundation
import Testing

@testable import FeatureCore
@testable import Processor

/// A cache is bounded in bytes, and its bytes are those of the process.
@Suite struct StateCacheTests {
  private static func state(words: Int) -> State {
    State(words: ContiguousArray(repeating: 1, count: words), cells: [])
  }

  static func fill(_ cache: StateCache, _ range: Range<Int>, words: Int) {
    for index in range {
      Array("entity-\(index)".utf8).withUnsafeBytes { cache.young.insert($0, state(words: words)) }
    }
  }

  /// However large states are, and although far more of them would be allowed.
  @Test(arguments: [10, 1_000, 20_000]) func itsBytesAreBounded(words: Int) {
    let cache = StateCache(capacity: 1_000_000, secret: 7)
    let bytesMax = 4 << 20
    var largest = 0
    var round = 0
    // Between two commits nothing is dropped.
    for start in stride(from: 0, to: max(2_000, 20_000_000 / words / 8), by: 20) {
      Self.fill(cache, start..<start + 20, words: words)
      cache.seal(bytesMax: bytesMax)
      largest = max(largest, cache.bytes)
      round = 20 * (words * 8 + 200)
    }
    #expect(largest <= bytesMax + 2 * round, "\(largest) bytes of \(bytesMax)")
    #expect(cache.hasEvicted)
  }

  /// In a process of its own, where nothing else takes memory.
  @Test func itsBytesAreThoseOfTheProcess() async {
    await #expect(processExitsWith: .success) {
      func resident() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4_096
      }
      // All are kept: memory that one gave back would be another's.
      var caches: [StateCache] = []
      for words in [4, 100, 3_000] {
        let cache = StateCache(capacity: 1_000_000, secret: 7)
        caches.append(cache)
        let before = resident()
        StateCacheTests.fill(cache, 0..<40_000_000 / (words * 8 + 100), words: words)
        let ratio = Double(resident() - before) / Double(cache.bytes)
        try #require((0.5...2).contains(ratio), "\(words) words: \(ratio) times")
      }
    }
  }
}
