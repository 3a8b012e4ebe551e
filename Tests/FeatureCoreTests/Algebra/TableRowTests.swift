import Testing

@testable import FeatureCore

/// `column` features of tables, against a dictionary that rows are written into.
@Suite struct TableRowTests {
  private static let columns = ["s", "i", "d", "b", "t", "user", "ts"]

  private static func definitions(_ change: (inout Source, inout View) -> Void = { _, _ in }) -> Definitions {
    var source = TestSource.source
    source.isTable = true
    var features = columns.map { Feature("row_\($0)", .column($0)) }
    features.append(Feature("tier", .column("i"), default: .int64(-7)))
    features.append(Feature("changes", .aggregate(Aggregate(.count, windows: [.last("1h"), .lifetime]))))
    features.append(
      Feature("largest", .aggregate(Aggregate(.max, value: "i", where: "f", windows: [.lifetime]))))
    features.append(Feature("double", .derive("row_i * 2")))
    var view = View("view", source: "events", entity: ["user"], features: features)
    change(&source, &view)
    return Definitions(name: "test", sources: [source], views: [view])
  }

  private static let rowOnly = definitions { _, view in
    view.features = view.features.filter { if case .column = $0.computation { true } else { false } }
  }

  /// What was folded, three ways: at once, through the bytes of each state, and through what a join keeps of events.
  private final class Folds {
    let view: ViewPlan
    let fold: ViewFold
    let batch: EventBatch
    var state: State?
    var decoded: State?
    var joined: State?

    init(_ definitions: Definitions) throws {
      let plan = try Plan(definitions, zones: TestZones.all)
      view = plan.views[0]
      fold = ViewFold(view)
      batch = EventBatch(plan.sources[0].schema, capacity: 1)
    }

    /// `time` is that of the record, which matters for deletions alone.
    func add(_ json: String, key: String, time: Int64) throws {
      try Array(json.utf8).withUnsafeBytes { payload in
        try Array(key.utf8).withUnsafeBytes { key in
          batch.removeAll()
          try batch.append(
            payload, sequence: 0, record: RecordFields(timestampMilliseconds: time / 1_000, key: key))
          try fold.fold(batch.row(0), time: batch.time(0), into: &state)
          try fold.fold(batch.row(0), time: batch.time(0), into: &decoded)
          guard try fold.takes(batch.row(0)) else { return }
          let room = UnsafeMutableRawBufferPointer.allocate(byteCount: fold.inputBytesMax, alignment: 8)
          defer { room.deallocate() }
          let count = fold.writeInputs(to: room.baseAddress!)
          fold.fold(
            inputs: UnsafeRawBufferPointer(rebasing: room[..<count]), time: batch.time(0), into: &joined)
        }
      }
      decoded = try view.decode(view.encode(decoded!))
    }

    func value(_ feature: String) -> FeatureValue? {
      let values = view.evaluate(state, at: state?.asOf ?? EventTime(microseconds: 0))
      return view.features.firstIndex { $0.name == feature }.map { values[$0] }
    }
  }

  @Test(arguments: seeds(30)) func columnsAreTheLastRow(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let folds = try Folds(streams.chance(2) ? Self.definitions() : Self.rowOnly)
    var row: [String: FeatureValue] = [:]
    for event in streams.events(40) {
      var event = event
      event.values["user"] = .string(Text("u"))
      // Deletions have the millisecond of their record.
      event.time = event.time / 1_000 * 1_000
      if streams.chance(4) {
        try folds.add("", key: "u", time: event.time)
        row = ["user": .string(Text("u")), "ts": .timestamp(EventTime(microseconds: event.time))]
      } else {
        let kept = ["s", "i", "d", "b", "t"].filter { _ in streams.chance(4) }
        for name in kept { event.values[name] = .null }
        let list = kept.map { "\"\($0)\"" }.joined(separator: ", ")
        try folds.add(
          event.json.dropLast() + (kept.isEmpty ? "}" : ",\"_kept\": [\(list)]}"), key: "u", time: event.time)
        for name in Self.columns where !kept.contains(name) { row[name] = event[name] }
      }
      for name in Self.columns {
        var expected = row[name] ?? .null
        if case .string(let text) = expected { expected = .string(Text(utf8: cut(text.utf8))) }
        #expect(folds.value("row_\(name)") == expected, "seed \(seed): \(name)")
      }
      #expect(
        folds.value("tier") == (row["i"].flatMap { $0 == .null ? nil : $0 } ?? .int64(-7)), "seed \(seed)")
      let bytes = folds.view.encode(folds.state!)
      #expect(folds.view.encode(folds.decoded!) == bytes, "seed \(seed)")
      #expect(folds.view.encode(folds.joined!) == bytes, "seed \(seed)")
    }
  }

  private func cut(_ bytes: [UInt8]) -> [UInt8] {
    bytes.withUnsafeBytes { Array(stateText($0)) }
  }

  /// To the share of nulls, a value that an update has left alone is none at all, also where it comes as an input.
  @Test func keptValuesAreNoNulls() throws {
    let folds = try Folds(
      Self.definitions { _, view in
        let share = Aggregate(.nullShare, value: "s", windows: [.lifetime])
        view.features = [Feature("missing", .aggregate(share))]
      })
    for (index, row) in [#""s": "gold""#, #""s": null"#, #""_kept": ["s"]"#, #""s": "tin""#, "\"i\": 1"]
      .enumerated()
    {
      let time = Int64(index + 1) * 1_000_000
      try folds.add("{\"user\": \"u\", \"ts\": \(time), \(row)}", key: "u", time: time)
    }
    #expect(folds.value("missing_lifetime") == .double(0.5))
    #expect(folds.view.encode(folds.joined!) == folds.view.encode(folds.state!))
  }

  /// A deleted row leaves nothing of its values, and its changes stay.
  @Test func deletionsForgetTheRowAlone() throws {
    let folds = try Folds(Self.definitions())
    try folds.add(#"{"user": "u", "ts": 1000000, "i": 5, "s": "gold"}"#, key: "u", time: 1_000_000)
    #expect(folds.value("row_s") == .string(Text("gold")))
    #expect(folds.value("double") == .int64(10))
    try folds.add("", key: "u", time: 2_000_000)
    #expect(folds.value("row_s") == .null)
    #expect(folds.value("double") == .null)
    #expect(folds.value("changes_lifetime") == .int64(2))
    #expect(folds.value("row_ts") == .timestamp(EventTime(microseconds: 2_000_000)))
  }

  /// The key of a deletion is read as the column's type; without a key or a time nothing tells what is deleted.
  @Test func deletionsNeedTheirRecord() throws {
    let folds = try Folds(
      Self.definitions { source, view in
        source.key = "i"
        view.entity = ["i"]
        view.features = [Feature("name", .column("s"))]
      })
    try folds.add("", key: "42", time: 1_000_000)
    #expect(throws: DecodeFailure.self) { try folds.add("", key: "forty-two", time: 1_000_000) }
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    folds.batch.removeAll()
    #expect(throws: DecodeFailure.self) { try folds.batch.append(empty, sequence: 0) }
  }

  @Test func keptNamesAreTexts() throws {
    let folds = try Folds(Self.definitions())
    for list in ["[1]", "\"s\"", "{}", "[\"s\", null]"] {
      #expect(throws: DecodeFailure.self, "\(list)") {
        try folds.add(#"{"user": "u", "ts": 1, "_kept": \#(list)}"#, key: "u", time: 1)
      }
    }
    try folds.add(#"{"user": "u", "ts": 1, "_kept": null}"#, key: "u", time: 1)
    try folds.add(#"{"_kept": ["\u0073", "unknown"], "user": "u", "ts": 1, "s": "x"}"#, key: "u", time: 1)
    #expect(folds.value("row_s") == .null)
  }

  @Test func mistakes() {
    expect("is no table") { source, _ in source.isTable = false }
    expect("takes every row") { _, view in view.filter = "i > 0" }
    expect("are by 'user'") { _, view in view.entity = ["s"] }
    expect("is not a field") { _, view in view.features = [Feature("x", .column("nothing"))] }
    expect("the default is not of type") { _, view in
      view.features = [Feature("x", .column("i"), default: .bool(true))]
    }
    expect("'_kept' names the values") { source, _ in source.fields.append(.init("_kept", .string)) }
    expect("one row") { source, _ in source.each = "rows" }
  }

  private func expect(_ message: String, _ change: (inout Source, inout View) -> Void) {
    do {
      _ = try Plan(Self.definitions(change), zones: TestZones.all)
      Issue.record("nothing was said about: \(message)")
    } catch {
      #expect(error.description.contains(message), "\(error.description)")
    }
  }
}
