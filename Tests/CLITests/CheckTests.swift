import Foundation
import Testing

@Suite struct CheckTests {
  let work: Workspace

  init() throws { work = try Workspace() }

  @Test func everyExampleIsDescribed() throws {
    let folder = Workspace.root.appendingPathComponent("examples")
    let examples = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".yaml") }
    #expect(examples.count >= 2)
    for example in examples {
      let text = try work.done("check", "-d", folder.appendingPathComponent(example).path)
      let lines = text.split(separator: "\n")
      let name = example.dropLast(".yaml".count)
      #expect(lines[0].hasPrefix("\(name), version 1, fingerprint "))
      let header = try #require(lines.first { $0.hasPrefix("  feature ") })
      let table = try #require(lines.first { $0.contains("count(*)") })
      // Columns are aligned.
      let width = try #require(header.firstRange(of: "computation")).lowerBound
      #expect(table.dropFirst(header[..<width].count).hasPrefix("count(*)"), "\(table)")
    }
  }

  /// For programs: one object, whether there are mistakes or not.
  @Test func jsonSaysTheSame() throws {
    try work.write(Shop.definitions, to: "d.yaml")
    let text = try work.done("check", "-d", "d.yaml", "--json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let views = try #require(object["views"] as? [[String: Any]])
    let lines = try work.done("check", "-d", "d.yaml")
    #expect(
      views.count == lines.split(separator: "\n").count(where: { $0.hasPrefix("view ") }) && !views.isEmpty)
    for view in views {
      let (name, fingerprint) = (view["name"] as? String ?? "", view["fingerprint"] as? String ?? "")
      #expect(lines.contains("view \(name), fingerprint \(fingerprint)\n"))
      let features = try #require(view["features"] as? [[String: String]])
      #expect(!features.isEmpty && features.allSatisfy { Set($0.keys) == ["name", "type"] })
    }
    #expect((object["mistakes"] as? [Any])?.isEmpty == true && text.last == "\n")
    try work.write(Shop.definitions.replacing("aggregate: last_k", with: "aggregate: lst_k"), to: "d.yaml")
    let result = try work.plumb("check", "-d", "d.yaml", "--json")
    let broken =
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: [[String: Any]]]
    let mistake = try #require(broken?["mistakes"]?.first)
    #expect(result.status == 2 && result.error == "" && mistake["line"] as? Int == 15)
    #expect(
      mistake["file"] as? String == "d.yaml" && (mistake["suggestion"] as? String)?.contains("last_k") == true
    )
  }

  @Test func shellsCompleteNamesOfFiles() throws {
    for shell in ["bash", "zsh", "fish"] {
      let script = try work.done("--generate-completion-script", shell)
      #expect(script.contains("yaml"), "\(shell)")
    }
  }

  /// Everything that a computation depends on stands in its row.
  @Test func computationsAreComplete() throws {
    let oracle = Workspace.root.appendingPathComponent("Tests/CLITests/Oracle/jd.yaml").path
    let text = try work.done("check", "-d", oracle)
    for computation in [
      "last_k(sku_id, k: 5)", "approx_quantile(sqrt(model_id), q: 0.9)",
      "decayed_sum(model_id, half_life: 1d)",
      "histogram(event_type, 3 buckets)",
      "decayed_count(*, half_life: 12h) where event_type in ('cart_add', 'order')",
    ] {
      #expect(text.contains("  \(computation)\n"), "\(computation)")
    }
  }

  @Test func mistakesComeWithTheirPlaceAndASuggestion() throws {
    try work.write(Shop.definitions.replacing("aggregate: last_k", with: "aggregate: lst_k"), to: "d.yaml")
    let result = try work.plumb("check", "-d", "d.yaml")
    #expect(result.status == 2)
    #expect(result.output == "")
    #expect(result.error.hasPrefix("d.yaml:15:28: error: "), "\(result.error)")
    #expect(result.error.contains("did you mean 'last_k'?"))
  }

  @Test(arguments: [
    ("none.yaml", "none.yaml: error: there is no such file"), (".", ".: error: this is a directory"),
    ("/dev/null", "/dev/null:1:1: error: the file is empty"),
  ])
  func noDefinitions(_ path: String, _ message: String) throws {
    let result = try work.plumb("check", "-d", path)
    #expect(result.status == 2)
    #expect(result.error.hasPrefix(message), "\(result.error)")
  }

  /// A message about a huge line is not huge.
  @Test func rubbishIsRefusedBriefly() throws {
    try work.write(Array("x: [".utf8) + Array(repeating: UInt8(ascii: "y"), count: 1_000_000), to: "d.yaml")
    try work.write(Array(repeating: UInt8(ascii: "y"), count: 1_000_000), to: "e.yaml")
    try work.write((0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 3) }, to: "f.yaml")
    for name in ["d.yaml", "e.yaml", "f.yaml"] {
      let result = try work.plumb("check", "-d", name)
      #expect(result.status == 2)
      #expect(result.error.hasPrefix("\(name):"))
      #expect(result.error.utf8.count < 1000, "\(result.error.prefix(2000))")
    }
  }

  @Test func helpShowsExamplesAndStatuses() throws {
    #expect(try work.done("--help").contains("Exit status: 0 done"))
    for command in ["check", "generate", "replay"] {
      let help = try work.done("help", command)
      #expect(help.contains("Examples:\n  plumb \(command) "), "\(help)")
      // The parser wraps lines at 80 columns, which would break a command in two.
      let examples = help.split(separator: "USAGE")[0].split(separator: "Examples:\n")[1]
      for line in examples.split(separator: "\n") { #expect(line.hasPrefix("  ") && line.count < 80) }
    }
  }

  @Test(arguments: [["check"], ["replay"], ["generate", "--late", "2"]])
  func wrongUsage(_ arguments: [String]) throws {
    let result = try work.run(Workspace.binary, arguments)
    #expect(result.status == 64)
    #expect(result.error.contains("Usage: plumb"))
  }
}
