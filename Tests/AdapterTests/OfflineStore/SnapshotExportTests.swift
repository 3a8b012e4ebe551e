import FeatureCore
import Foundation
import OutputRecords
import Parquet
import SwiftProtobuf
import Testing
import TestSupport

@testable import OfflineStore

/// Exports of a random topic: the same files whatever interrupts them, and in them what the records say.
@Suite struct SnapshotExportTests {
  private struct Sent {
    var time: Int64
    var value: [UInt8]?
    var snapshot: Plumbline_Snapshot?
    var isRow = false
  }

  private static func plan() throws -> Plan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .init("user", .string), .init("n", .int64), .init("at", .timestamp), .init("x", .double),
        .init("ok", .bool),
      ])
    func feature(_ name: String, _ aggregate: Aggregate) -> Feature { Feature(name, .aggregate(aggregate)) }
    let users = View(
      "users", source: "clicks", entity: ["user", "n"],
      features: [
        feature("a", .init(.count, windows: [.lifetime])),
        feature("b", .init(.sum, value: "x", windows: [.last("1h"), .lifetime])),
        feature("c", .init(.lastK, value: "at", windows: [.lifetime], k: 3)),
        feature("d", .init(.last, value: "ok", windows: [.lifetime])),
        feature("e", .init(.lastK, value: "user", windows: [.lifetime], k: 3)),
        feature("f", .init(.max, value: "at", windows: [.lifetime])),
      ])
    let others = View(
      "others", source: "clicks", entity: ["user"],
      features: [feature("a", .init(.count, windows: [.lifetime]))])
    return try Plan(Definitions(name: "shop", version: 2, sources: [source], views: [users, others]))
  }

  @Test func interruptionsChangeNothing() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let plan = try Self.plan()
    let records = Self.draw(plan.views[0], &random)
    var limits = ExportLimits()
    limits.segmentBytes = 3_000
    limits.segmentMilliseconds = 60_000
    limits.bufferBytes = 1
    let (straight, broken) = (try TemporaryFolder(), try TemporaryFolder())
    let counts = try Self.run(records, plan, straight.path("x"), limits) { false }
    #expect(counts.rows == records.count(where: \.isRow), "seed \(seed)")
    let versions = counts.versions.values.reduce(0, +)
    #expect(
      counts.repeats + counts.tombstones + counts.unreadable + counts.others + versions + counts.rows
        == records.count)
    #expect(counts.versions.keys.sorted() == [0, 1, 3])
    #expect(counts.repeats > 0 && counts.tombstones > 0 && counts.unreadable > 0 && counts.others > 0)
    var interruptions = 0
    _ = try Self.run(records, plan, broken.path("x"), limits) {
      interruptions += 1
      return random.next() % 100 == 0
    }
    let (expected, found) = (try Self.contents(straight.path("x")), try Self.contents(broken.path("x")))
    #expect(expected.keys.sorted() == found.keys.sorted(), "seed \(seed)")
    for (name, bytes) in expected where found[name] != bytes { Issue.record("seed \(seed): \(name) differs") }
    #expect(expected.count > 10)
    try Self.checkRows(expected.keys.sorted(), straight.path("x"), records, plan.views[0], seed)
  }

  /// What a crash can leave: files in the making, and whole ones of a segment that is not listed.
  @Test func leftoversAreRemoved() throws {
    var random = SplitMix64(seed: 7)
    let plan = try Self.plan()
    let records = Self.draw(plan.views[0], &random)
    let folder = try TemporaryFolder()
    _ = try Self.run(records, plan, folder.path("x"), ExportLimits()) { false }
    let before = try Self.contents(folder.path("x"))
    let place =
      try #require(before.keys.first { $0.hasSuffix(".parquet") }).prefix { $0 != "/" } + "/date=2023-11-14/"
    let end = "0000000000009000-0000000000009999.parquet"
    for name in ["shop.snapshots-0-\(end)", "shop.snapshots-5-\(end)", ".shop.snapshots-0-\(end).7.partial"] {
      try folder.write([1], to: "x/\(place)\(name)")
    }
    // Other topics' files, and what is no file of an export.
    for name in ["shop.snapshots-2-0-\(end)", "notes.txt"] { try folder.write([1], to: "x/\(place)\(name)") }
    let export = try TopicExport(
      folder: folder.path("x"), topic: "shop.snapshots", version: 2, views: [plan.views[0]], hasStates: true)
    #expect(export.leftovers == 3)
    let after = try Self.contents(folder.path("x"))
    #expect(Set(after.keys) == Set(before.keys).union(["\(place)shop.snapshots-2-0-\(end)"]))
  }

  /// Rows from less than all of an export, or from other than what was written, are never made without a word.
  @Test func damagesAreTold() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let plan = try Self.plan()
    let records = Self.draw(plan.views[0], &random)
    var limits = ExportLimits()
    limits.segmentBytes = 20_000
    let folder = try TemporaryFolder()
    _ = try Self.run(records, plan, folder.path("x"), limits) { false }
    func rows() throws -> Int {
      var count = 0
      try ExportedSnapshots(folder: folder.path("x"), version: 2).read(plan.views[0]) { _, _ in count += 1 }
      return count
    }
    #expect(try rows() == records.count(where: \.isRow))
    let contents = try Self.contents(folder.path("x"))
    let manifest = try Data(contentsOf: URL(fileURLWithPath: folder.path("x/_manifest.ndjson")))
    let lines = manifest.split(separator: 0x0A).map { Array($0) + [0x0A] }
    func expectError(_ damage: String) {
      #expect(throws: TableError.self, "seed \(seed): \(damage)") { try rows() }
    }
    for (name, bytes) in contents where name.hasSuffix(".parquet") {
      try FileManager.default.removeItem(atPath: folder.path("x/\(name)"))
      expectError("\(name) is lost")
      for _ in 0..<20 {
        var other = [UInt8](bytes)
        if random.next() % 2 == 0 {
          other[Int(random.next() % UInt64(other.count))] ^= UInt8(1 << (random.next() % 8))
        } else {
          other.removeLast(Int(1 + random.next() % UInt64(other.count)))
        }
        try folder.write(other, to: "x/\(name)")
        expectError("\(name) is changed")
      }
      try folder.write([UInt8](bytes), to: "x/\(name)")
    }
    #expect(lines.count > 3)
    for lost in lines.indices.dropFirst() {
      try folder.write(
        lines.enumerated().filter { $0.0 != lost }.flatMap(\.1), to: "x/_manifest.ndjson")
      expectError("line \(lost + 1) of the manifest is lost")
    }
    try folder.write([UInt8](manifest.dropLast(5)), to: "x/_manifest.ndjson")
    expectError("the manifest's last line is cut")
    // From before checksums, and of an export that goes on: no difference.
    let old = String(decoding: manifest, as: UTF8.self).replacing(/,"checksum":"[0-9a-f]*"/, with: "")
    try folder.write(Array(old.utf8), to: "x/_manifest.ndjson")
    #expect(try rows() == records.count(where: \.isRow))
    try folder.write([UInt8](manifest), to: "x/_manifest.ndjson")
    let next = contents.keys.filter { $0.hasSuffix(".parquet") }.sorted().last!.replacing(
      /-0-[0-9]{16}-[0-9]{16}/, with: "-0-0000000000009000-0000000000009999")
    try folder.write([1], to: "x/\(next)")
    expectError("a file is not listed")
    try Self.whileExporting(folder.path("x")) {
      let count = try rows()
      #expect(count == records.count(where: \.isRow))
    }
  }

  /// Holds the lock that an export holds.
  private static func whileExporting(_ folder: String, _ body: () throws -> Void) throws {
    let descriptor = open("\(folder)/_manifest.ndjson", O_RDWR)
    defer { _ = close(descriptor) }
    #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    try body()
  }

  /// Files of a folder have one schema, and are of one version.
  @Test func exportsAreNotMixed() throws {
    let plan = try Self.plan()
    let folder = try TemporaryFolder()
    func open(_ topic: String = "shop.snapshots", _ version: Int = 2, states: Bool = false) throws {
      _ = try TopicExport(
        folder: folder.path("x"), topic: topic, version: version, views: plan.views, hasStates: states)
    }
    try open()
    try open()
    for (word, attempt) in [
      ("'shop.snapshots' and not of 'b'", { try open("b") }),
      ("version 2, and the definitions are version 3", { try open("shop.snapshots", 3) }),
      ("without states", { try open(states: true) }),
    ] {
      let error = #expect(throws: TableError.self) { try attempt() }
      #expect(error?.problem.contains(word) == true, "\(error as Any)")
    }
    // A crash in the first line.
    let manifest = Array("{\"export\":1,\"topic\":\"sh".utf8)
    try folder.write(manifest, to: "x/_manifest.ndjson")
    try open(states: true)
    try open(states: true)
    let error = #expect(throws: TableError.self) { try open() }
    #expect(error?.problem.contains("with states") == true, "\(error as Any)")
    try folder.write(
      Array("{\"export\":2,\"topic\":\"shop.snapshots\",\"version\":2}\n".utf8), to: "x/_manifest.ndjson")
    #expect(throws: TableError.self) { try open() }
  }

  /// Exports all records, beginning anew after each one for which `isInterrupted` says so.
  private static func run(
    _ records: [Sent], _ plan: Plan, _ folder: String, _ limits: ExportLimits, isInterrupted: () -> Bool
  ) throws -> TopicExport.Counts {
    var offset: Int64 = 0
    while true {
      let export = try TopicExport(
        folder: folder, topic: "shop.snapshots", version: plan.version, views: [plan.views[0]],
        others: [plan.views[1]], hasStates: true, limits: limits)
      offset = try export.begin(0, low: 0, high: Int64(records.count)).first
      var isCut = false
      while offset < records.count, !isCut {
        let record = records[Int(offset)]
        try (record.value ?? []).withUnsafeBytes {
          try export.add(
            0, offset: offset, timestampMilliseconds: record.time, value: record.value == nil ? nil : $0)
        }
        offset += 1
        isCut = isInterrupted()
      }
      if isCut { continue }
      try export.finish([(0, Int64(records.count))])
      return export.counts
    }
  }

  private static func draw(_ view: ViewPlan, _ random: inout SplitMix64) -> [Sent] {
    var records: [Sent] = []
    var time: Int64 = 1_700_000_000_000
    var position: Int64 = 0
    for index in 0..<3_000 {
      // Clocks of writers differ.
      time += Int64(random.next() % 900)
      let stamp = time - Int64(random.next() % 2_000)
      switch random.next() % 40 {
      case 0: records.append(Sent(time: stamp, value: nil))
      case 1: records.append(Sent(time: stamp, value: Array("garbage".utf8)))
      case 2 where index > 20 && Set(records.suffix(4).map { $0.time / 60_000 }).count == 1:
        // The same record once more, as after a crash of an at-least-once writer. Two segments are remembered: not around a
        // minute's end, where the second may be over as soon as it has begun.
        var again = records[index - 1 - Int(random.next() % 4)]
        again.isRow = false
        records.append(again)
      default:
        position += 1
        var snapshot = snapshot(view, position, &random)
        let isOther = random.next() % 20 == 0
        let isForeign = random.next() % 20 == 0
        if isForeign { snapshot.fingerprint ^= 1 }
        if isOther { snapshot.view = "others" }
        snapshot.version = 2
        // What another version made stands at positions of its own, also behind ours. The first versions had no number.
        let isOld = random.next() % 8 == 0
        if isOld {
          snapshot.version = [0, 1, 3][Int(random.next() % 3)]
          snapshot.offset += Int64(random.next() % 100)
        }
        let value: [UInt8] = (try? snapshot.serializedBytes()) ?? []
        records.append(
          Sent(time: stamp, value: value, snapshot: snapshot, isRow: !isOther && !isForeign && !isOld))
      }
    }
    return records
  }

  private static func snapshot(
    _ view: ViewPlan, _ position: Int64, _ random: inout SplitMix64
  ) -> Plumbline_Snapshot {
    var snapshot = Plumbline_Snapshot()
    snapshot.view = view.name
    snapshot.entityKey = Data("ü\(random.next() % 50)|\(Int64(random.next() % 3) - 1)".utf8)
    snapshot.topic = "clicks"
    snapshot.partition = 3
    snapshot.offset = position
    snapshot.asOf = 1_600_000_000_000_000 + Int64(random.next() % 1_000_000_000)
    snapshot.fingerprint = view.fingerprint
    snapshot.state = Data((0..<(random.next() % 90)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    snapshot.sortedValues = view.featuresByName.map { value(view.features[$0].type, &random) }
    return snapshot
  }

  private static func value(_ type: FeatureType, _ random: inout SplitMix64) -> Plumbline_Value {
    var value = Plumbline_Value()
    if random.next() % 5 == 0 { return value }
    switch type {
    case .scalar(.int64): value.int64 = Int64(bitPattern: random.next())
    case .scalar(.double): value.double = Double(Int64(bitPattern: random.next())) / 7
    case .scalar(.bool): value.bool = random.next() % 2 == 0
    case .scalar(.timestamp): value.timestamp = Int64(random.next() % 1_000_000)
    case .scalar(.string): value.string = "text \(random.next() % 9) ✓"
    case .list(let element):
      value.list = Plumbline_ValueList()
      for _ in 0..<(random.next() % 4) {
        var inner = self.value(.scalar(element), &random)
        while inner.kind == nil { inner = self.value(.scalar(element), &random) }
        value.list.values.append(inner)
      }
    }
    return value
  }

  // MARK: Reading

  private static func contents(_ folder: String) throws -> [String: Data] {
    let names = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
    var contents: [String: Data] = [:]
    for name in names where name.hasSuffix("json") || name.contains(".parquet") {
      contents[name] = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    return contents
  }

  private static func checkRows(
    _ files: [String], _ folder: String, _ records: [Sent], _ view: ViewPlan, _ seed: UInt64
  ) throws {
    let table = try SnapshotTable(view, hasStates: true, folder: "")
    var rows: [[FeatureValue]] = []
    for file in files where file.hasSuffix(".parquet") {
      var reader = try ParquetReader(ParquetInput(path: "\(folder)/\(file)"))
      let columns = reader.columns
      #expect(columns == table.columns)
      let state = try #require(columns.firstIndex { $0.isBinary })
      while let batch = try reader.next() {
        rows += (0..<batch.rowCount).map { row in
          batch.columns.indices.map { index in
            index == state
              ? batch.columns[index].withBytes(row) { .string(Text($0)) } : batch.columns[index].value(row)
          }
        }
      }
    }
    let expected = records.filter(\.isRow).compactMap { record in
      record.snapshot.map { row($0, record.time, view) }
    }
    // Names in order are offsets in order.
    let first = zip(rows, expected).first { $0 != $1 }
    let isEqual = rows == expected
    #expect(
      isEqual, "seed \(seed): \(rows.count) rows, expected \(expected.count); \(String(describing: first))")
  }

  private static func row(_ snapshot: Plumbline_Snapshot, _ time: Int64, _ view: ViewPlan) -> [FeatureValue] {
    let key = String(decoding: snapshot.entityKey, as: UTF8.self).split(separator: "|")
    return [
      .string(Text(String(key[0]))), Int64(key[1]).map(FeatureValue.int64) ?? .null,
      .timestamp(EventTime(microseconds: snapshot.asOf)), .timestamp(EventTime(microseconds: time * 1_000)),
      .string(Text("clicks")), .int64(3),
      .int64(snapshot.offset), .string(Text(fingerprintText(snapshot.fingerprint))),
      .int64(2), .string(Text(utf8: [UInt8](snapshot.state))),
    ]
      + view.features.indices.map { feature in
        plain(snapshot.sortedValues[view.featuresByName.firstIndex(of: feature)!])
      }
  }

  private static func plain(_ value: Plumbline_Value) -> FeatureValue {
    switch value.kind {
    case nil: .null
    case .int64(let number): .int64(number)
    case .double(let number): .double(number)
    case .bool(let flag): .bool(flag)
    case .string(let text): .string(Text(text))
    case .timestamp(let time): .timestamp(EventTime(microseconds: time))
    case .list(let list): .list(list.values.map(plain))
    }
  }
}
