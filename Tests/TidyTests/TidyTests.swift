import Foundation
import Testing

/// The package keeps its own rules. A failure prints one line for each breach: `file:line: what is wrong`.
@Suite struct TidyTests {
  private func expectNone(_ findings: [Finding], _ location: SourceLocation = #_sourceLocation) {
    #expect(
      findings.isEmpty, "\n\(findings.map(\.description).joined(separator: "\n"))", sourceLocation: location)
  }

  /// The folders of Sources, C libraries apart.
  private func targets() throws -> (swift: Set<String>, c: Set<String>) {
    let sources = SourceFile.root.appendingPathComponent("Sources")
    let names = try FileManager.default.contentsOfDirectory(atPath: sources.path)
    let c = names.filter {
      FileManager.default.fileExists(atPath: sources.appendingPathComponent("\($0)/module.modulemap").path)
    }
    return (Set(names).subtracting(c), Set(c))
  }

  @Test func everyTargetHasALayer() throws {
    let missing = try targets().swift.subtracting(layers.keys).sorted()
    expectNone(
      missing.map {
        Finding(path: "Sources/\($0)", line: 1, message: "add a row to Tests/TidyTests/Layering.swift")
      })
  }

  @Test func everyTargetIsOnOneFloorAndReachesNoneAbove() {
    let all = floors.flatMap(\.targets)
    #expect(all.sorted() == layers.keys.sorted(), "each target of the layering stands on one floor")
    let height = Dictionary(
      floors.enumerated().flatMap { floor, row in row.targets.map { ($0, floor) } }
    ) { first, _ in first }
    for (target, allowed) in layers {
      guard case .only(let modules) = allowed, let own = height[target] else { continue }
      let above = modules.filter { height[$0].map { $0 > own } ?? false }.sorted()
      #expect(above.isEmpty, "\(target) may not import from a floor above its own")
    }
  }

  /// The page's picture and its table of targets.
  @Test func theArchitecturePageShowsTheFloors() throws {
    let page = try String(
      contentsOf: SourceFile.root.appendingPathComponent("docs/architecture.md"), encoding: .utf8)
    let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
    let rows = lines.compactMap { line in
      line.hasPrefix("| `") ? String(line.dropFirst(3).prefix { $0 != "`" }) : nil
    }
    #expect(Set(layers.keys).subtracting(rows).isEmpty, "the table of docs/architecture.md lacks a target")
    let picture = lines.drop { $0 != "```floors" }.dropFirst().prefix { $0 != "```" }
    var shown: [String: Set<String>] = [:]
    var floor = ""
    for line in picture where line.contains("│") {
      let cells = line.split(separator: "│").map { $0.trimmingCharacters(in: .whitespaces) }
      guard cells.count >= 2 else { continue }
      if !cells[0].isEmpty { floor = cells[0] }
      shown[floor, default: []].formUnion(cells[1].split { $0 == " " || $0 == "·" }.map(String.init))
    }
    let expected = Dictionary(uniqueKeysWithValues: floors.map { ($0.name, Set($0.targets)) })
    #expect(shown == expected, "the picture of docs/architecture.md shows other floors than Layering.swift")
  }

  @Test func targetsImportOnlyWhatTheirLayerAllows() throws {
    let cModules = try targets().c
    let files = try SourceFile.all(in: "Sources")
    #expect(files.count > layers.count, "the sources were not found below \(SourceFile.root.path)")
    expectNone(
      files.flatMap { file in
        layers[file.target].map { Rules.imports(file, $0, cModules: cModules) } ?? []
      })
  }

  @Test func cTargetsHoldNothingButMapsAndHeaders() throws {
    for target in try targets().c {
      let folder = SourceFile.root.appendingPathComponent("Sources/\(target)")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      let others = names.filter { $0 != "module.modulemap" && !$0.hasSuffix(".h") }
      expectNone(
        others.map { Finding(path: "Sources/\(target)/\($0)", line: 1, message: "belongs elsewhere") })
    }
  }

  @Test func pureTargetsArePure() throws {
    let files = try SourceFile.all(in: "Sources").filter { pureTargets.contains($0.target) }
    expectNone(files.flatMap(Rules.purity))
  }

  @Test func filesAreShortAndFinished() throws {
    let files = try SourceFile.all(in: "Sources") + SourceFile.all(in: "Tests")
    expectNone(files.flatMap { Rules.length($0) + Rules.unfinished($0) })
  }
}

/// The rules can fail: each is shown a file that breaks it.
@Suite struct RulesTests {
  private func file(_ text: String, target: String = "FeatureCore") -> SourceFile {
    SourceFile(path: "Sources/\(target)/Sub/Bad.swift", text: text)
  }

  @Test(arguments: [
    ("import Foundation", "Foundation"), ("public import Glibc", "Glibc"), ("  @testable import A", "A"),
    ("internal import struct Foundation.Date", "Foundation"), ("import func Glibc.read", "Glibc"),
    ("@preconcurrency public import Dispatch;", "Dispatch"), ("let important = 1", nil), ("importer()", nil),
    ("", nil),
  ])
  func importsAreRecognised(_ line: String, _ module: String?) {
    #expect(Rules.importedModule(line) == module)
  }

  @Test func forbiddenImportIsFoundOnItsLine() {
    let bad = file("// import Glibc\nimport CZlib\npublic import FeatureCore\n", target: "OfflineStore")
    let findings = Rules.imports(bad, .only(["FeatureCore", "Glibc"]), cModules: [])
    #expect(findings.map(\.line) == [2])
    #expect(
      findings.first?.description.hasPrefix("Sources/OfflineStore/Sub/Bad.swift:2: OfflineStore must not")
        == true)
    let root = Rules.imports(bad, .everythingButC, cModules: ["CZlib"])
    #expect(root.map(\.line) == [2])
    #expect(Rules.imports(bad, .everythingButC, cModules: []) == [])
  }

  @Test(arguments: [
    "let now = ContinuousClock.now", "let x = Int.random(in: 0..<3)", "x.hashValue", "var h = Hasher()",
    "await f()", "func f() async {}", "print(1)", "Date()", "usleep(1); sleep(1)", "list.shuffled()",
    "var g = SystemRandomNumberGenerator()", "\"\"; clock_gettime(0, nil)", "/* a */ import Foundation",
    "let s = \"\"\"\n  a \\\"\"\" b\n  \"\"\"; print(s)", "let s = #\"a\\\"#; print(s)",
  ])
  func impureCodeIsFound(_ line: String) {
    #expect(Rules.purity(file("struct A {}\n\(line)\n")).count == 1)
  }

  @Test(arguments: [
    "// await sleep(1) until Date", "/* print(1) /* async */ Hasher() */", "let s = \"print(1) \\\" sleep\"",
    "let s = \"\"\"\n  await sleep(1)\n  \"\"\"", "let s = #\"sleep \" await\"#", "struct CivilDate {}",
    "func fingerprint(_ x: Int) {}", "func hash(into hasher: inout Hasher) {}",
    "let asynchronous = randomness",
  ])
  func pureCodeIsNot(_ line: String) {
    #expect(Rules.purity(file("\(line)\n")) == [])
  }

  @Test func linesKeepTheirNumbersBehindCommentsAndStrings() {
    let text = "/* a\n b\n */\nlet s = \"\"\"\n  x\n  \"\"\"\nsleep(1)\n"
    #expect(Rules.purity(file(text)).map(\.line) == [7])
  }

  @Test func longAndUnfinishedFilesAreFound() {
    #expect(Rules.length(file(String(repeating: "\n", count: 698))) == [])
    #expect(Rules.length(file(String(repeating: "\n", count: 700))).count == 1)
    let mark = "TO" + "DO"
    #expect(Rules.unfinished(file("a\n// \(mark): later\n")).map(\.line) == [2])
    #expect(Rules.unfinished(file("let \(mark)S = 1\n")) == [])
  }
}
