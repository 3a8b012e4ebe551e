import Testing
import TestSupport

@testable import FeatureCore

/// Ids are told from the log alone: a simple program over all of it says the same, wherever one begins.
@Suite struct DuplicateTests {
  private struct Record {
    var time: Int64
    var id: UInt64
    var content: UInt32
  }

  /// Out of order, with gaps, and now and then a clock that is far ahead.
  private static func records(_ seed: UInt64, _ count: Int, ids: [UInt64] = ordinaryIDs) -> [Record] {
    var random = SplitMix64(seed: seed)
    var now: Int64 = 1_700_000_000_000
    return (0..<count).map { _ in
      now += Int64(random.next() % 40)
      if random.next() % 200 == 0 { now += Int64(random.next() % 30_000) }
      let time = now - Int64(random.next() % 3_000)
      return Record(
        time: time, id: ids[Int(random.next() % UInt64(ids.count))],
        content: UInt32(random.next() % 2) << 31)
    }
  }

  private static let ordinaryIDs = (0..<400).map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }

  /// Ids that share their table and its first bucket in a window without a secret.
  private static let collidingIDs: [UInt64] = {
    let placing = KeyHash(secret: 0)
    var ids: [UInt64] = []
    var id: UInt64 = 0
    while ids.count < 80 {
      id += 1
      if placing.hash(id) & 0xFF00_0000_C000_0000 == 0 { ids.append(id) }
    }
    return ids
  }()

  /// The rule as it is written, over everything that came before.
  private static func verdicts(_ records: [Record], within: Int64, idsMax: Int) -> [IDWindow.Verdict] {
    let slice = max(1, (within + 59) / 60)
    var times: [Int64] = []
    var verdicts: [IDWindow.Verdict] = []
    for (index, record) in records.enumerated() {
      let time = max(times.last ?? .min, record.time)
      // The first slice behind which there are not too many records.
      var first = (time - within) / slice
      while times.reversed().prefix(while: { $0 / slice >= first }).count > idsMax { first += 1 }
      let last = (0..<index).last { records[$0].id == record.id }
      if let last, times[last] >= time - within, times[last] >= first * slice {
        verdicts.append(records[last].content == record.content ? .duplicate : .conflict)
      } else {
        verdicts.append(.new)
      }
      times.append(time)
    }
    return verdicts
  }

  /// The first record that is judged otherwise.
  private static func difference(_ found: [IDWindow.Verdict], _ expected: [IDWindow.Verdict]) -> Int? {
    zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset
      ?? (found.count == expected.count ? nil : min(found.count, expected.count))
  }

  private static func fold(
    _ records: ArraySlice<Record>, _ window: IDWindow
  ) -> [IDWindow.Verdict] {
    records.map { record in
      window.advance(to: record.time)
      return window.note(record.id, content: record.content)
    }
  }

  @Test(arguments: [
    (1_000, 100_000), (5_000, 100_000), (60_000, 100_000), (5_000, 60), (60_000, 300), (10, 1),
  ])
  func aSimpleProgramSaysTheSame(_ within: Int64, _ idsMax: Int) {
    let seed = UInt64.random(in: 0...(.max))
    print("duplicates: seed \(seed)")
    let records = Self.records(seed, 2_000)
    let expected = Self.verdicts(records, within: within, idsMax: idsMax)
    let window = IDWindow(within: within, idsMax: idsMax)
    #expect(Self.difference(Self.fold(records[...], window), expected) == nil)
    #expect(window.reach <= within)
    if idsMax > 1_000 { #expect(expected.contains(.duplicate) && expected.contains(.conflict)) }
  }

  /// Ids that go on from full buckets are found as long as they are known, and no longer, over as many slices as marks can
  /// tell and more.
  @Test(arguments: [(1_000, 100_000), (5_000, 100_000), (60_000, 100_000), (5_000, 60)])
  func idsOfOneBucketAreTold(_ within: Int64, _ idsMax: Int) {
    let seed = UInt64.random(in: 0...(.max))
    print("duplicates: seed \(seed)")
    let records = Self.records(seed, 4_000, ids: Self.collidingIDs)
    let window = IDWindow(within: within, idsMax: idsMax)
    let expected = Self.verdicts(records, within: within, idsMax: idsMax)
    #expect(Self.difference(Self.fold(records[...], window), expected) == nil)
    #expect(window.bytes < 64_000)
  }

  /// Where an id stands is nobody's to choose, and decides nothing.
  @Test func aSecretChangesPlacesAlone() {
    let seed = UInt64.random(in: 0...(.max))
    print("duplicates: seed \(seed)")
    let records = Self.records(seed, 2_000, ids: Self.collidingIDs)
    let window = IDWindow(within: 5_000, hashSecret: seed)
    let expected = Self.fold(records[...], IDWindow(within: 5_000))
    #expect(Self.difference(Self.fold(records[...], window), expected) == nil)
    let placing = KeyHash(secret: seed | 1)
    #expect(Set(Self.collidingIDs.map { placing.hash($0) >> 56 }).count > 40)
  }

  /// Nothing is stored: a window that is shown the log from `start(of:)` on goes on as if it had seen all of it.
  @Test(arguments: [(1_000, 100_000), (20_000, 100_000), (20_000, 200)])
  func aWindowThatReadsAgainGoesOn(_ within: Int64, _ idsMax: Int) {
    let seed = UInt64.random(in: 0...(.max))
    print("duplicates: seed \(seed)")
    let records = Self.records(seed, 3_000)
    let whole = Self.fold(records[...], IDWindow(within: within, idsMax: idsMax))
    for position in stride(from: 50, to: records.count, by: 97) {
      // What a task learns from the last records before its position, which need not have the largest time.
      guard let latest = records[max(0, position - 5)..<position].map(\.time).max() else { continue }
      let window = IDWindow(within: within, idsMax: idsMax)
      let start = window.start(of: latest)
      let first = records.firstIndex { $0.time >= start } ?? position
      if position % 2 == 0 { window.reserve(records: position - first) }
      _ = Self.fold(records[first..<position], window)
      let found = Self.fold(records[position...], window)
      #expect(Self.difference(found, Array(whole[position...])) == nil, "from \(position)")
    }
  }

  /// Hostile timestamps neither trap nor keep memory.
  @Test func anyTimestampIsTaken() {
    let window = IDWindow(within: 86_400_000, idsMax: 10_000)
    for records in [Int.min, -1, 0, Int.max] { window.reserve(records: records) }
    for time in [Int64.min, -1, 0, 1 << 41, 1 << 59, .max, .max] {
      window.advance(to: time)
      for id in UInt64(0)..<1_000 { _ = window.note(Hash64.hash(id), content: 0) }
    }
    #expect(window.bytes < 1 << 20)
    #expect(window.note(Hash64.hash(7), content: 0) == .duplicate)
    #expect(window.note(Hash64.hash(7), content: 1 << 31) == .conflict)
  }

  /// Ids are spread over a table, of whatever size it is.
  @Test func idsAreSpread() {
    let placing = KeyHash(secret: 0)
    for capacity in [8, 1_000, 70_001] {
      var counts = [Int](repeating: 0, count: capacity)
      for id in 0..<UInt64(capacity * 20) { counts[IDWindow.home(placing.hash(id), capacity)] += 1 }
      #expect(counts.allSatisfy { $0 < 60 }, "\(capacity)")
    }
  }

  /// What has left the window leaves the memory, too.
  @Test func memoryIsThatOfTheWindow() {
    let window = IDWindow(within: 10_000)
    for step in Int64(0)..<200_000 {
      window.advance(to: step)
      _ = window.note(Hash64.hash(UInt64(step)), content: 0)
    }
    #expect(window.bytes < 10_000 * 2 * IDWindow.bytesPerID)
    // A quiet while, and less than the window's length since the last record.
    for step in Int64(0)..<2_000 {
      window.advance(to: 200_000 + step * 100)
      _ = window.note(Hash64.hash(UInt64(step)), content: 0)
    }
    #expect(window.bytes < 256 * 200)
  }

  // MARK: Definitions

  private func mistakes(_ change: (inout Source) -> Void) -> [String] {
    var source = Source(
      "orders", topic: "orders", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .init("user", .string), .init("order", .string), .init("price", .double),
        .init("sku", .string, path: "items.sku"), .computed("both", "user || order"),
      ])
    source.duplicates = .init(by: "order", within: 3_600_000_000)
    change(&source)
    let view = View(
      "v", source: "orders", entity: ["user"],
      features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    do throws(DefinitionMistakes) {
      _ = try Plan(Definitions(name: "shop", sources: [source], views: [view]))
      return []
    } catch { return error.mistakes.map { "\($0.path): \($0.message)" } }
  }

  @Test func aRuleIsChecked() {
    #expect(mistakes { _ in } == [])
    #expect(mistakes { $0.duplicates?.by = "both" } == [])
    #expect(mistakes { $0.duplicates?.by = "ordr" }.first?.contains("not a declared field") == true)
    #expect(mistakes { $0.duplicates?.by = "price" }.first?.contains("no id") == true)
    #expect(mistakes { $0.duplicates?.within = 10 }.count == 1)
    #expect(mistakes { $0.duplicates?.within = 86_400_000_001 }.count == 1)
    #expect(mistakes { $0.isTable = true }.first?.contains("a table") == true)
    #expect(mistakes { $0.each = "items" } == [])
    for id in ["sku", "both"] {
      let found = mistakes {
        $0.each = "items"
        $0.duplicates?.by = id
      }
      #expect(found.first?.contains("of an element") == true)
    }
  }

  /// The rule changes states, so it changes the fingerprint, and nothing else's.
  @Test func aRuleIsPartOfTheFingerprint() throws {
    func fingerprint(_ rule: Source.Duplicates?) throws -> UInt64 {
      var source = Source(
        "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("user", .string), .init("id", .string)])
      source.duplicates = rule
      let view = View(
        "v", source: "clicks", entity: ["user"],
        features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
      return try Plan(Definitions(name: "shop", sources: [source], views: [view])).views[0].fingerprint
    }
    let found = try [
      nil, Source.Duplicates(by: "id", within: 60_000_000), .init(by: "id", within: 61_000_000),
    ].map(fingerprint)
    #expect(Set(found).count == 3)
  }
}
