import EventFiles
import FeatureCore
import Foundation
import OfflineStore
import Parquet
import Processor
import TestSupport
import Testing

/// Rows of tables are read without JSON in between, and are what the decoder reads of the same rows as JSON: states, dead letters
/// with their messages and records, duplicates and computed columns.
@Suite struct EventCellTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  // MARK: What is declared

  private static func plan(_ random: inout SplitMix64) throws -> Plan {
    func isText(_ unit: TimeUnit? = nil) -> Bool { random.next() % 3 == 0 && unit?.isText != true }
    func unit() -> TimeUnit {
      [.seconds, .milliseconds, .microseconds, .nanoseconds, .rfc3339, .text].randomElement(using: &random)!
    }
    func zone(_ unit: TimeUnit) -> String? { unit == .text && random.next() % 2 == 0 ? "UTC" : nil }
    let (own, other) = (unit(), unit())
    var source = Source(
      "rows", topic: "rows", key: random.next() % 3 == 0 ? "s" : nil,
      timestamp: .init(field: "ts", unit: own, zone: zone(own), isText: isText(own)),
      fields: [
        .init("s", .string), .init("n", .int64, isText: isText()), .init("x", .double, isText: isText()),
        .init("b", .bool, isText: isText()),
        .init("at", .timestamp, unit: other, zone: zone(other), isText: isText(other)),
        .computed("c", "n * 4000000000"), .computed("low", "lower(s)"),
      ])
    if random.next() % 2 == 0 { source.duplicates = .init(by: "s", within: 3_600_000_000) }
    source.timestamp.isAny = true
    let features = [
      Feature("rows", .aggregate(.init(.count, windows: [.lifetime]))),
      Feature("x", .aggregate(.init(.sum, value: "x", windows: [.last("1h"), .lifetime]))),
      Feature("c", .aggregate(.init(.max, value: "c / n", windows: [.lifetime]))),
      Feature("low", .aggregate(.init(.last, value: "low", windows: [.lifetime]))),
      Feature("at", .aggregate(.init(.min, value: "at", windows: [.lifetime]))),
    ]
    return try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [
          View("by_s", source: "rows", entity: ["s"], features: features),
          View("by_n", source: "rows", entity: ["n"], where: "b", features: features),
        ]))
  }

  // MARK: What is written

  private static let texts = [
    "", " ", "a", "B", "7", " 7 ", "007", "-0", "1.5", "12.0", "1e3", "1e400", "9223372036854775808", "NaN",
    "null", "true", "T", "False", "2019-10-01", "2019-10-01 00:00:00", "2019-10-01T00:00:00.5Z", "1569888000",
    "\"", "\\", "\n", ",", "\u{1}", "é日", "\u{2028}", "a\r\n\"b\"",
  ]

  private static func text(_ random: inout SplitMix64) -> String {
    // As JSON, about as long as a record may be.
    if random.next() % 4_000 == 0 {
      return String(repeating: "\u{1}", count: Limits.recordBytesMax / 6 - 150 + Int(random.next() % 200))
    }
    return texts.randomElement(using: &random)!
  }

  /// Mostly some moments of one day.
  private static func time(_ unit: TimeUnit, _ random: inout SplitMix64) -> Int64 {
    let micros = 1_569_888_000_000_000 + Int64(random.next() % 200) * 333_333_000
    let hostile: [Int64] = [0, -1, 1, .max, .min, 253_402_300_800_000_000, -62_135_596_800_000_001]
    if random.next() % 8 == 0 { return hostile.randomElement(using: &random)! }
    switch unit {
    case .seconds: return micros / 1_000_000
    case .milliseconds: return micros / 1_000
    case .nanoseconds: return micros * 1_000
    case .microseconds, .rfc3339, .text: return micros
    }
  }

  /// A file's column for a declared one, and what makes its values.
  private static func column(
    _ column: EventSchema.Column, _ random: inout SplitMix64
  ) -> (type: ValueType, value: (inout SplitMix64) -> FeatureValue) {
    let isTime = column.type == .timestamp
    let unit = column.unit ?? .microseconds
    var types: [ValueType] = [column.type]
    if column.type == .int64 || column.type == .double || (isTime && !unit.isText) {
      types = [.int64, .double] + (isTime ? [.timestamp] : [])
    }
    if column.isText || unit.isText && isTime { types.append(.string) }
    let type = types.randomElement(using: &random)!
    return (
      type,
      { random in
        if random.next() % 10 == 0 { return .null }
        switch type {
        case .string where isTime && random.next() % 4 != 0:
          let time = EventTime(microseconds: time(.microseconds, &random))
          guard unit.isText, time.isInRange else { return .string(Text("\(time.microseconds)")) }
          return .string(Text(RFC3339.format(time)))
        case .string: return .string(Text(text(&random)))
        case .bool: return .bool(random.next() % 2 == 0)
        case .timestamp: return .timestamp(EventTime(microseconds: time(.microseconds, &random)))
        case .int64 where isTime: return .int64(time(unit, &random))
        case .double where isTime: return .double(Double(time(unit, &random)) / 3)
        case .int64:
          return .int64([0, 1, 2, 3, -4, 1 << 53 + 1, .max, .min].randomElement(using: &random)!)
        case .double:
          return .double(
            [
              0, 1, 2, 0.1, -3.5, -0.0, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, 1e300, 0x1p53,
              0x1p62, 1e23,
            ].randomElement(using: &random)!)
        }
      }
    )
  }

  private func parquet(_ schema: EventSchema, _ random: inout SplitMix64) throws -> String {
    let declared = schema.columns.filter { if case .json = $0.origin { true } else { false } }
    let made = declared.map { Self.column($0, &random) }
    var table = zip(declared, made).map { ParquetColumn($0.name, .scalar($1.type)) }
    table.append(ParquetColumn("more", .scalar(.string)))
    var options = ParquetOptions()
    options.rowGroupRowsMax = 700
    var writer = ParquetWriter(columns: table, options: options)
    var bytes: [UInt8] = []
    for _ in 0..<Int(random.next() % 1_500) {
      for (index, column) in made.enumerated() { writer.append(column.value(&random), to: index) }
      writer.append(FeatureValue.string(Text("m")), to: made.count)
      if writer.endRow() { writer.writeRowGroup { bytes.append(contentsOf: $0) } }
    }
    writer.finish { bytes.append(contentsOf: $0) }
    return try folder.write(bytes, to: "events.parquet")
  }

  private func csv(_ schema: EventSchema, _ random: inout SplitMix64) throws -> String {
    let declared = schema.columns.filter { if case .json = $0.origin { true } else { false } }
    let made = declared.map { Self.column($0, &random) }
    let end = ["\n", "\r\n"].randomElement(using: &random)!
    var text = (declared.map(\.name) + ["more"]).joined(separator: ",") + end
    for _ in 0..<Int(random.next() % 1_500) {
      for column in made {
        let cell: String
        switch random.next() % 4 == 0 ? .string(Text(Self.text(&random))) : column.value(&random) {
        case .null, .list: cell = ""
        case .string(let value): cell = value.description
        case .int64(let value): cell = "\(value)"
        case .double(let value): cell = "\(value)"
        case .bool(let value): cell = value ? "true" : "F"
        case .timestamp(let value): cell = value.isInRange ? RFC3339.format(value) : "\(value.microseconds)"
        }
        let isPlain = !cell.utf8.contains { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }
        text += isPlain ? cell : "\"" + cell.replacing("\"", with: "\"\"") + "\""
        text += ","
      }
      text += "m" + end
    }
    return try folder.write(Array(text.utf8), to: "events.csv")
  }

  // MARK: What is read

  private struct Outcome: Equatable {
    var states: [[UInt8]] = []
    var letters: [String] = []
    var counts = RunCounts()
  }

  /// Letters in the order of their lines, as they are written.
  private final class Letters {
    private var letters: [(sequence: Int64, text: String)] = []

    func add(_ letter: DeadLetter) {
      let record = String(decoding: letter.payload, as: UTF8.self)
      letters.append(
        (letter.sequence, "\(letter.reason) \(letter.view ?? "-") \(letter.message) \(record)"))
    }

    func texts(isNumbered: Bool) -> [String] {
      letters.enumerated().sorted { ($0.element.sequence, $0.offset) < ($1.element.sequence, $1.offset) }
        .map { isNumbered ? "\($0.element.sequence) \($0.element.text)" : $0.element.text }
    }
  }

  private func outcome(
    _ plan: Plan, isNumbered: Bool, _ fold: (BatchProcessor) throws -> Void
  ) rethrows -> Outcome {
    let letters = Letters()
    let processor = BatchProcessor(plan.sources[0], views: plan.views, deadLetter: letters.add)
    try fold(processor)
    var outcome = Outcome()
    for (index, view) in plan.views.enumerated() {
      processor.forEachState(index) { outcome.states.append(Array($0) + view.encode($1)) }
    }
    (outcome.letters, outcome.counts) = (letters.texts(isNumbered: isNumbered), processor.counts)
    return outcome
  }

  /// Reads a file as decoded events.
  private func cells(_ path: String, _ plan: Plan, isNumbered: Bool = true) throws -> Outcome {
    var reader = try EventFileReader(EventFile.all(path)[0], plan.sources[0].schema)
    let events = DecodedEvents(plan.sources[0].schema)
    return try outcome(plan, isNumbered: isNumbered) { processor in
      while try reader.next(
        take: { events },
        give: {
          processor.fold($0.batch, records: $0.count, failures: $0.failures, payload: $0.payload)
        })
      {}
    }
  }

  /// Reads a file as lines of JSON, and keeps these; nil of one that has longer ones than may be.
  private func lines(
    _ path: String, _ plan: Plan, isNumbered: Bool = true
  ) throws -> (outcome: Outcome, lines: [UInt8]?) {
    var reader = try EventFileReader(EventFile.all(path)[0], plan.sources[0].schema)
    var kept: [UInt8]? = []
    let outcome = try outcome(plan, isNumbered: isNumbered) { processor in
      let records = SingleRecords(processor)
      while try reader.next({ lines in
        for line in lines {
          if line.isOversized {
            kept = nil
            let none = EventBatch(plan.sources[0].schema, capacity: 1)
            processor.fold(none, records: 1, failures: [(line.number, .oversized)]) { _ in line.bytes }
          } else {
            kept?.append(contentsOf: line.bytes)
            kept?.append(UInt8(ascii: "\n"))
            records.fold(line.bytes, sequence: line.number)
          }
        }
      }) {}
    }
    return (outcome, kept)
  }

  /// Of files, which cost a hundred times as much as the cases of the other suites.
  private static let cases: UInt64 =
    ProcessInfo.processInfo.environment["PLUMB_TEST_HOSTILE"].flatMap { UInt64($0) }.map { $0 / 100 } ?? 12

  @Test(arguments: 0..<cases)
  func cellsAreWhatTheirJSONIs(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let plan = try Self.plan(&random)
    for isParquet in [true, false] {
      let path =
        try isParquet ? parquet(plan.sources[0].schema, &random) : csv(plan.sources[0].schema, &random)
      let (expected, text) = try lines(path, plan, isNumbered: isParquet)
      let found = try cells(path, plan, isNumbered: isParquet)
      #expect(found.counts == expected.counts, "seed \(seed), \(path)")
      #expect(found.states == expected.states, "seed \(seed), \(path)")
      let difference = zip(found.letters, expected.letters).first { $0 != $1 }
      #expect(difference == nil && found.letters.count == expected.letters.count, "seed \(seed), \(path)")
      guard let text, !text.isEmpty else { continue }
      // Line 1 is a CSV file's header.
      let same = try cells(folder.write(text, to: "events.ndjson"), plan, isNumbered: isParquet)
      #expect(same == found, "seed \(seed), \(path)")
    }
  }

  /// What most cells are needs no decoder.
  @Test func plainCellsAreTaken() throws {
    let schema = EventSchema(
      Source(
        "rows", topic: "rows", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("s", .string), .init("n", .int64), .init("x", .double), .init("b", .bool)]))
    let batch = EventBatch(schema, capacity: 9)
    let reader = CellReader(schema, columns: [0, 1, 2, 3, 4])
    func append(_ cells: [EventCell]) -> Bool {
      cells.withUnsafeBufferPointer { batch.append($0, by: reader, sequence: 1) }
    }
    let text = Array("12".utf8)
    try text.withUnsafeBytes { text in
      #expect(append([.text(text), .int64(3), .double(0.5), .bool(true), .int64(1_569_888_000_000)]))
      #expect(append([.null, .double(3), .int64(5), .null, .time(EventTime(microseconds: 7))]))
      #expect(append([.text(text), .number(text), .number(text), .bool(false), .number(text)]))
      #expect(!append([.number(text), .null, .null, .null, .number(text)]))
      #expect(!append([.null, .text(text), .null, .null, .number(text)]))
      #expect(!append([.null, .double(0.5), .null, .null, .number(text)]))
      #expect(!append([.null, .null, .null, .null, .null]), "an event has a time")
      try #require(batch.count == 3)
      #expect(
        batch.row(0)[0].text.elementsEqual(text) && batch.row(0)[1].int64 == 3 && batch.row(0)[3].isTrue)
      #expect(!batch.row(1)[0].isValue && batch.row(1)[1].int64 == 3 && batch.row(1)[2].double == 5)
      #expect(batch.row(2)[1].int64 == 12 && batch.row(2)[2].double == 12 && batch.time(2) == 12_000)
    }
  }
}
