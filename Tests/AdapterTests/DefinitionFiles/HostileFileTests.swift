import DefinitionFiles
import FeatureCore
import Foundation
import Testing

@Suite struct HostileFileTests {
  /// A compiler that finds fault with everything, so that every path and offset is looked up.
  private static func everything(_ definitions: Definitions) -> [Mistake] {
    var mistakes = [Mistake(DefinitionPath(), "m")]
    for source in definitions.sources {
      for field in source.fields {
        mistakes.append(Mistake(DefinitionPath(["sources", source.name, "fields", field.name]), "m"))
      }
    }
    for view in definitions.views {
      let path = DefinitionPath(["views", view.name])
      mistakes.append(Mistake(path.child("where"), offset: 3, "m"))
      for feature in view.features {
        let path = path.child("features").child(feature.name)
        mistakes += [3, 0, 1000, 1].map { Mistake(path.child("derive"), offset: $0, "m") }
        mistakes += ["value", "where"].map { Mistake(path.child($0), offset: 5, "m") }
        mistakes.append(Mistake(path.child("windows").child("1"), "m"))
      }
    }
    return mistakes
  }

  /// Every problem of a refused text stands inside it.
  private static func check(_ text: String, _ note: Comment) {
    do throws(DefinitionFileError) {
      _ = try DefinitionFile.parse(text, file: "f.yaml") { definitions, _ in everything(definitions) }
      Issue.record(note)
    } catch {
      #expect(!error.problems.isEmpty, note)
      #expect(error.problems.allSatisfy { $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty }, note)
      #expect(error.description.contains("f.yaml:"), note)
    }
    // Without a compiler it may be taken, and is written out.
    _ = try? DefinitionFile.parse(text, file: "f.yaml") { _, _ in [] }
  }

  @Test func mutationsNeverCrash() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix(state: seed)
    let pieces = [
      "\t", "\n", "\r", " ", ":", "- ", "? ", "&x ", "*x", "!!str ", "!", "{", "}", "[", "]", "'", "\"", "|",
      ">",
      "\\", "#", "%", "@", "`", "---\n", "...\n", "<<: ", "~", "\u{0}", "\u{FEFF}", "\u{2028}", "é", "😀",
      "\\u12",
      "windows: ", "aggregate: ", "1_0", ".nan", "name: ", "null", ",",
    ]
    for round in 0..<3000 {
      let text = round % 2 == 0 ? DefinitionFileTests.shop : ModelFileTests.sample
      var scalars = Array(text.unicodeScalars)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let start = Int.random(in: 0..<scalars.count, using: &random)
        let end = min(scalars.count, start + Int.random(in: 0...12, using: &random))
        switch Int.random(in: 0..<4, using: &random) {
        case 0: scalars.removeSubrange(start..<max(end, start + 1))
        case 1:
          scalars.insert(
            contentsOf: scalars[start..<end], at: Int.random(in: 0..<scalars.count, using: &random))
        case 2: scalars.removeSubrange(start...)
        default: scalars.insert(contentsOf: pieces.randomElement(using: &random)!.unicodeScalars, at: start)
        }
        if scalars.isEmpty { scalars = ["x"] }
      }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: scalars)
      Self.check(String(view), "seed \(seed), round \(round)")
    }
  }

  @Test func linesSwappedAndDoubledNeverCrash() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix(state: seed)
    for round in 0..<1000 {
      let text = round % 2 == 0 ? DefinitionFileTests.shop : ModelFileTests.sample
      var lines = text.split(separator: "\n")
      for _ in 0..<3 {
        let line = lines.randomElement(using: &random)!
        lines.insert(line, at: Int.random(in: 0...lines.count, using: &random))
        lines.swapAt(
          Int.random(in: 0..<lines.count, using: &random), Int.random(in: 0..<lines.count, using: &random))
      }
      Self.check(lines.joined(separator: "\n"), "seed \(seed), round \(round)")
    }
  }

  @Test func deepNestingIsRefused() {
    Self.check(String(repeating: "[", count: 100_000), "lists")
    Self.check(String(repeating: "{a: ", count: 100_000), "mappings")
    Self.check(String(repeating: "- ", count: 100_000), "blocks")
  }

  @Test func aliasesOfAliasesAreBounded() {
    var text = "name: n\nsources: {}\nviews:\n  v0: &v0\n    source: s\n    entity: a\n    features: &f\n"
    for index in 0..<1000 { text += "      f\(index): { derive: a }\n" }
    for index in 1..<1000 { text += "  v\(index): { source: s, entity: a, features: *f }\n" }
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml") { _, _ in [] }
    }
    #expect(error?.problems.contains { $0.message.contains("more than 100000 values") } == true)
    var merges = "a0: &a0 { name: n }\n"
    for index in 1..<40 { merges += "a\(index): &a\(index) { <<: [*a\(index - 1), *a\(index - 1)] }\n" }
    Self.check(merges + "<<: *a39\n", "merge keys")
  }

  /// Small files that would take hours or all memory if they were taken by their word.
  @Test func hostileFilesAreRefusedSoon() {
    func check(_ text: String, _ expected: String, problems: Int? = nil) {
      let clock = ContinuousClock()
      var error: DefinitionFileError?
      let time = clock.measure {
        error = #expect(throws: DefinitionFileError.self) {
          try DefinitionFile.parse(text, file: "f.yaml") { definitions, zones in
            do throws(DefinitionMistakes) {
              _ = try Plan(definitions, zones: zones)
              return []
            } catch {
              return error.mistakes
            }
          }
        }
      }
      #expect(error?.description.contains(expected) == true, "\(error?.description.prefix(500) ?? "")")
      if let problems { #expect(error?.problems.count == problems) }
      #expect((error?.description.utf8.count ?? 0) < 200_000)
      // A second in an optimised build; minutes, or never, without bounds.
      #expect(time < .seconds(30), "\(expected): \(time)")
    }
    var keys = "a0: &a0 { n: 1 }\n"
    for index in 1..<30 {
      keys += "a\(index): &a\(index) { ? [*a\(index - 1), *a\(index - 1)] : 1, ? *a\(index - 1) : 2 }\n"
    }
    check(keys, "2:13: error: a key must be text, found an alias of more")
    var nested = ""
    for index in 0..<5 {
      nested += "a\(index): &a\(index) " + String(repeating: "[", count: 300)
      nested += (index == 0 ? "1" : "*a\(index - 1)") + String(repeating: "]", count: 300) + "\n"
    }
    check(nested, "more than 1000 levels once its aliases are expanded")
    // A syntax error behind it doesn't lead around the bound.
    check(keys + "}\n", "not valid YAML")
    let wrong = (0..<12_000).map { "\"key\($0)\":{\"aggregate\":\"count\"}" }.joined(separator: ",")
    check("{\(wrong)}", "more mistakes are not shown", problems: DefinitionFileError.problemsMax)
    let features = (0..<6_000).map { "\"f\($0)\":{\"agregate\":\"cuont\"}" }.joined(separator: ",")
    check(
      "{name: n, sources: {}, views: {v: {source: s, entity: a, features: {\(features)}}}}",
      "more mistakes are not shown", problems: DefinitionFileError.problemsMax)
    check(
      """
      name: n
      sources: { s: { topic: t, timestamp: { field: ts, unit: ms }, fields: { u: string } } }
      views: { v: { source: s, entity: u, features: { n: { aggregate: count, windows: [\(Array(repeating: "1h", count: 8_000).joined(separator: ","))] } } } }
      """, "the feature has 8000 windows; use at most 100")
    check(
      "? \(String(repeating: "x", count: 200_000))\n: 1\n? \(String(repeating: "y", count: 100_000))\n: 2\n",
      "unknown key")
  }

  /// Stars are no aliases inside texts, and one of a name is a key.
  @Test func aliasesOfTextsMayBeKeys() throws {
    let text = """
      name: &n shop
      sources:
        *n : { topic: t, timestamp: { field: ts, unit: ms }, fields: { u: string, a: int64, *n : string } }
      views:
        v: { source: *n , entity: u, features: { x: { aggregate: sum, value: "a *a", windows: [1h] } } }
      """
    let file = try DefinitionFile.parse(text, file: "f.yaml") { _, _ in [] }
    #expect(file.definitions.views[0].source == "shop" && file.definitions.sources[0].name == "shop")
  }

  @Test func manyDuplicatesAreReportedWithoutEnd() {
    var text = "name: n\nsources: {}\nviews: {}\n"
    for _ in 0..<200 { text += "name: n\n" }
    Self.check(text, "duplicates")
  }

  @Test func filesThatCannotBeReadSayWhy() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "definitions-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    func message(_ name: String, _ bytes: Data? = nil) throws -> String? {
      let path = directory.appending(path: name)
      if let bytes { try bytes.write(to: path) }
      let error = #expect(throws: DefinitionFileError.self) {
        try DefinitionFile.load(path: path.path) { _, _ in [] }
      }
      return error?.description.replacing(directory.path + "/", with: "")
    }
    #expect(try message("none.yaml") == "none.yaml: error: there is no such file")
    #expect(try message("")?.hasSuffix("error: this is a directory, not a file") == true)
    #expect(
      try message("latin1.yaml", Data("name: n\n# gr\u{FC}n".unicodeScalars.map { UInt8($0.value) }))
        == "latin1.yaml:2:1: error: the text is not valid UTF-8; save the file as UTF-8")
    #expect(
      try message("big.yaml", Data(repeating: 0x20, count: (1 << 20) + 1))
        == "big.yaml: error: the file has more than 1048576 bytes")
    let good = directory.appending(path: "good.yaml")
    try Data(DefinitionFileTests.shop.utf8).write(to: good)
    #expect(
      try DefinitionFile.load(path: good.path) { _, _ in [] }.definitions
        == DefinitionFileTests.parse(DefinitionFileTests.shop).definitions)
  }

  @Test func withoutAZoneDatabaseTheRemedyIsNamed() {
    let text = """
      name: n
      time_zone: Europe/Berlin
      sources: {}
      views: {}
      """
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml", database: ZoneDatabase(directory: "/nonexistent")) {
        _, _ in
        []
      }
    }
    #expect(
      error?.description == """
        f.yaml:2:12: error: cannot look up time zone 'Europe/Berlin': this machine has no time zone database; \
        install the package tzdata
          time_zone: Europe/Berlin
                     ^
        """)
  }
}
