import Foundation
import Testing

@testable import FeatureCore

/// The files of Topics/golden/state-v1: what a published format must go on giving, bit for bit.
///
/// Files are never edited. `PLUMB_WRITE_GOLDEN=1 swift test` writes those that don't exist.
@Suite struct GoldenVectorTests {
  static let folder = URL(filePath: #filePath).appending(path: "../../../../Topics/golden/state-v1")
    .standardized

  @Test(arguments: GoldenVector.all) func vector(vector: GoldenVector) throws {
    let file = Self.folder.appending(path: "\(vector.name).json")
    let text = try vector.text
    if ProcessInfo.processInfo.environment["PLUMB_WRITE_GOLDEN"] == "1",
      !FileManager.default.fileExists(atPath: file.path)
    {
      try Data(text.utf8).write(to: file)
    }
    let found = try String(contentsOf: file, encoding: .utf8)
    for (line, (found, expected)) in zip(lines(found), lines(text)).enumerated() where found != expected {
      Issue.record(
        "\(vector.name).json:\(line + 1) is \(found.prefix(300)), now it would be \(expected.prefix(300))")
      return
    }
    #expect(lines(found).count == lines(text).count)
  }

  /// The bytes of a file are read, not only written: they give the file's values.
  @Test(arguments: GoldenVector.all) func reading(vector: GoldenVector) throws {
    struct File: Decodable { var state: String }
    let data = try Data(contentsOf: Self.folder.appending(path: "\(vector.name).json"))
    let digits = Array(try JSONDecoder().decode(File.self, from: data).state.utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { index in
      UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16)
    }
    let view = try vector.view
    let state = try view.decode(bytes)
    #expect(view.encode(state) == bytes)
    let text = String(decoding: data, as: UTF8.self)
    for moment in vector.moments(state) { #expect(text.contains(vector.values(view, state, at: moment))) }
  }

  @Test func filesAndVectorsAreTheSame() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).sorted()
    #expect(files == GoldenVector.all.map { "\($0.name).json" }.sorted())
  }

  /// The worked example of the format's page is a vector.
  @Test func documentedExample() throws {
    let page = Self.folder.appending(path: "../../../docs/state-format.md").standardized
    let late = try #require(GoldenVector.all.first { $0.name == "late" })
    #expect(
      try String(contentsOf: page, encoding: .utf8).contains(hex(TestFold.bytes(late.view, late.events))))
  }

  /// Every accumulator and every kind of level stands in some vector.
  @Test func everyKindIsCovered() throws {
    let layouts = try GoldenVector.all.map { try $0.view.layout }
    let kinds = Set(layouts.flatMap { $0.columns.map(\.accumulator.kind) })
    for raw in 0...UInt8.max {
      guard let kind = Accumulator.Kind(rawValue: raw) else { break }
      #expect(kinds.contains(kind), "\(kind)")
    }
    let levels = Set(layouts.flatMap { $0.levels.map { GoldenVector.text($0.tiling).prefix(18) } })
    #expect(levels.count == 4)
  }

  private func lines(_ text: String) -> [Substring] {
    text.split(separator: "\n", omittingEmptySubsequences: false)
  }
}

/// The text of a file, written by hand so that no library decides how a number looks.
extension GoldenVector {
  var text: String {
    get throws {
      let view = try view
      var fold = TestFold(view)
      for event in events { try fold.add(event) }
      guard let state = fold.state else { preconditionFailure("Cannot write a vector without events") }
      let fields = TestSource.fields.map { "\(quoted($0.name)):\(quoted($0.type.rawValue))" }
      let parts = [
        "\"name\":\(quoted(name))", "\"about\":\(quoted(about))",
        "\"fingerprint\":\(quoted(fingerprintText(view.fingerprint)))",
        "\"fields\":{\(fields.joined(separator: ","))}", "\"event_time\":\"ts, in microseconds\"",
        isTable ? "\"table\":true" : nil,
        list("features", features.map(Self.text)),
        watched.isEmpty ? nil : list("triggers", view.triggers.map(Self.text)), list("levels", levels(view)),
        list("events", events.map(\.json)),
        "\"as_of\":\(state.asOf.microseconds)", "\"state\":\(quoted(hex(view.encode(state))))",
        list("values", moments(state).map { values(view, state, at: $0) }),
      ]
      return "{\n" + parts.compactMap(\.self).joined(separator: ",\n") + "\n}\n"
    }
  }

  func moments(_ state: State) -> [EventTime] {
    later.map { EventTime(microseconds: state.asOf.microseconds + $0) }
  }

  func values(_ view: ViewPlan, _ state: State, at time: EventTime) -> String {
    let columns = zip(view.features, view.evaluate(state, at: time)).map { column, value in
      "\(quoted(column.name)):\(TestEvent.text(value) ?? "")"
    }
    return "{\"at\":\(time.microseconds),\"columns\":{\(columns.joined(separator: ","))}}"
  }

  private func quoted(_ text: String) -> String { TestEvent.quoted(text) }

  private func list(_ name: String, _ lines: [String]) -> String {
    "\"\(name)\":[\n" + lines.joined(separator: ",\n") + "\n]"
  }

  /// The levels of the states and the columns of their tiles, in the order of the bytes.
  private func levels(_ view: ViewPlan) -> [String] {
    view.layout.levels.map { level in
      let columns = view.layout.columns(of: level).map { column in
        let accumulator = column.accumulator
        var text = "{\"kind\":\"\(accumulator.kind)\",\"type\":\"\(accumulator.type.rawValue)\""
        if accumulator.k > 0 { text += ",\"k\":\(accumulator.k)" }
        if accumulator.counters > 0 { text += ",\"counters\":\(accumulator.counters)" }
        if accumulator.bucketCount > 0 { text += ",\"buckets\":\(accumulator.bucketCount)" }
        return text + "}"
      }
      return "{\(Self.text(level.tiling)),\"columns\":[\(columns.joined(separator: ","))]}"
    }
  }

  static func text(_ tiling: Tiling) -> String {
    switch tiling {
    case .hops(let hop, let retention): "\"tiling\":\"hops\",\"hop\":\(hop),\"retention\":\(retention)"
    case .lifetime: "\"tiling\":\"lifetime\""
    case .days(_, let units): "\"tiling\":\"days\",\"units\":\(units.rawValue)"
    case .session(let gap): "\"tiling\":\"session\",\"gap\":\(gap)"
    }
  }

  private static func text(_ feature: Feature) -> String {
    var parts = ["\"name\":\(TestEvent.quoted(feature.name))"]
    if let fallback = feature.fallback { parts.append("\"default\":\(text(fallback))") }
    switch feature.computation {
    case .derive(let expression): parts.append("\"derive\":\(TestEvent.quoted(expression))")
    case .column(let column): parts.append("\"column\":\(TestEvent.quoted(column))")
    case .aggregate(let aggregate):
      parts.append("\"aggregate\":\"\(aggregate.function.rawValue)\"")
      if let value = aggregate.value { parts.append("\"value\":\(TestEvent.quoted(value))") }
      if let label = aggregate.label { parts.append("\"label\":\(TestEvent.quoted(label))") }
      if let filter = aggregate.filter { parts.append("\"where\":\(TestEvent.quoted(filter))") }
      if let k = aggregate.k { parts.append("\"k\":\(k)") }
      if let q = aggregate.q { parts.append("\"q\":\(q)") }
      if let counters = aggregate.counters { parts.append("\"counters\":\(counters)") }
      if let halfLife = aggregate.halfLife { parts.append("\"half_life\":\(halfLife)") }
      if let baseline = aggregate.baseline {
        let bins =
          switch baseline.bins {
          case .edges(let edges): "\"edges\":[\(edges.map { text(.double($0)) }.joined(separator: ","))]"
          case .categories(let categories):
            "\"categories\":[\(categories.map { text(.string($0)) }.joined(separator: ","))]"
          }
        let counts = baseline.counts.map(String.init).joined(separator: ",")
        parts.append("\"baseline\":{\(bins),\"counts\":[\(counts)],\"nulls\":\(baseline.nulls)}")
      }
      if let buckets = aggregate.buckets {
        parts.append("\"buckets\":[\(buckets.map(text).joined(separator: ","))]")
      }
      parts.append("\"windows\":[\(aggregate.windows.map(text).joined(separator: ","))]")
    }
    return "{\(parts.joined(separator: ","))}"
  }

  /// In the order of the bytes, with the hop that is meant.
  private static func text(_ plan: TriggerPlan) -> String {
    let again = plan.clock.againAfter.map { ",\"again_after\":\($0)" } ?? ""
    return "{\"name\":\(TestEvent.quoted(plan.name)),\"when\":\(TestEvent.quoted(plan.trigger.condition)),"
      + "\"for\":\(plan.clock.hops),\"every\":\(plan.clock.every)\(again)}"
  }

  private static func text(_ window: Window) -> String {
    let span =
      switch window.span {
      case .lifetime: "\"lifetime\":true"
      case .sliding(let length, let hop): "\"length\":\(length),\"hop\":\(hop ?? Tiling.defaultHop(length))"
      case .shifted(let length, let hop, let offset):
        "\"length\":\(length),\"hop\":\(hop ?? Tiling.defaultHop(length)),\"offset\":\(offset)"
      case .session(let gap): "\"session\":\(gap)"
      case .calendar(let unit, let zone): "\"calendar\":\"\(unit.rawValue)\",\"time_zone\":\"\(zone)\""
      }
    return "{\"name\":\"\(window.name)\",\(span)}"
  }

  private static func text(_ literal: Literal) -> String {
    switch literal {
    case .int64(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): TestEvent.quoted(value)
    }
  }
}
