import Testing

/// `plumb replay --triggers` over files, and what `plumb triggers` and `plumb on-trigger` refuse before they reach anything.
@Suite struct TriggerReplayTests {
  let work: Workspace

  private static let definitions = """
    name: shop
    sources:
      requests:
        key: model
        timestamp: { field: ts, unit: s }
        fields: { model: string, failed: bool }
    views:
      quality:
        source: requests
        entity: model
        features:
          n: { aggregate: count, windows: 1h }
          errors: { aggregate: count, where: failed, windows: 1h }
          rate: { derive: "errors_1h / nullif(n_1h, 0)" }
        triggers:
          worse: { when: rate > 0.5 and n_1h >= 3, for: 2 }
      plain:
        source: requests
        entity: model
        features: { n: { aggregate: count, windows: 1h } }
    """

  init() throws {
    work = try Workspace()
    try work.write(Self.definitions, to: "d.yaml")
    // Of one model every request fails, of the other none; an event each ten minutes.
    let events = (0..<8).flatMap { index in
      ["a", "b"].map { "{\"ts\":\(1_700_000_000 + index * 600),\"model\":\"\($0)\",\"failed\":\($0 == "a")}" }
    }
    try work.write((events + ["broken"]).joined(separator: "\n") + "\n", to: "e.ndjson")
  }

  private func plumb(_ arguments: String...) throws -> Workspace.Result {
    try work.run(Workspace.binary, arguments)
  }

  @Test func whatWouldHaveFired() throws {
    let result = try plumb(
      "replay", "-d", "d.yaml", "--triggers", "--events", "e.ndjson", "--dead-letters", "letters.ndjson")
    #expect(result.status == 0, "\(result.error)")
    // Three events of 22:13 to 22:33; the boundaries after them are 22:35 and 22:40.
    let expected =
      #""app":"shop","version":1,"view":"quality","trigger":"worse","entity":{"model":"a"},"at":"2023-11-14T22:40:00Z","#
      + #""values":{"n_1h":3,"rate":1.0},"data":{"from":"2023-11-14T21:40:00Z","until":"2023-11-14T22:40:00Z"},"#
      + #""as_of":"2023-11-14T22:33:20Z","fingerprint":""#
    #expect(result.output.split(separator: "\n").count == 1)
    #expect(
      result.output.contains(expected) && result.output.hasSuffix("\"position\":null}\n"), "\(result.output)")
    #expect(result.error.contains("17 events, 1 trigger fired; 1 dead letter"), "\(result.error)")
    // In a file, and of a stream.
    let piped = try work.shell(
      "cat e.ndjson | \(Workspace.binary) replay -d d.yaml --triggers --events - --view quality --out o.ndjson"
    )
    #expect(piped.status == 3, "\(piped.error)")
    #expect(try work.read("o.ndjson") == result.output)
  }

  @Test(
    arguments: [
      ("replay -d d.yaml --triggers --events e.ndjson --view plain", "No trigger is declared in plain"),
      ("replay -d d.yaml --triggers --events e.ndjson --view qualty", "did you mean 'quality'?"),
      ("replay -d d.yaml --triggers --events e.ndjson --features-at end", "leave --into, --features-at"),
      ("replay -d d.yaml --triggers --events e.ndjson --from end", "go with --into, or with --triggers"),
      ("replay -d d.yaml --triggers --from store", "--from store go with --into redis"),
      ("replay -d d.yaml --triggers --dead-letters l", "--dead-letters goes with --events"),
      ("replay -d d.yaml --triggers --events e.ndjson --out e.ndjson", "e.ndjson"),
      ("triggers tail -d d.yaml --trigger wors", "did you mean 'worse'?"),
      ("triggers tail -d plain.yaml", "No view of plain.yaml has 'triggers'"),
      ("on-trigger -d d.yaml", "Say which command is to be run: -- COMMAND."),
      ("on-trigger -d d.yaml --view plain -- true", "There is no view 'plain' with triggers"),
      ("on-trigger -d d.yaml --trigger bad -- true", "There is no trigger 'bad'"),
      ("on-trigger -d d.yaml --retries 101 -- true", "--retries is 101; use 0 to 100."),
      ("on-trigger -d d.yaml --timeout 0s -- true", "--timeout is 0s"),
      ("on-trigger -d plain.yaml -- true", "so nothing can fire"),
    ])
  func whatIsRefused(_ line: String, _ message: String) throws {
    let plain = Self.definitions.split(separator: "\n").filter {
      !$0.contains("triggers:") && !$0.contains("worse:")
    }
    try work.write(plain.joined(separator: "\n"), to: "plain.yaml")
    let result = try work.run(Workspace.binary, line.split(separator: " ").map(String.init))
    #expect(result.status == 64, "\(line): \(result.status)")
    #expect(result.error.contains(message), "\(line): \(result.error)")
  }

  @Test func checkShowsThem() throws {
    let text = try plumb("check", "-d", "d.yaml").output
    #expect(
      text.contains("worse    every 5m, 2 in a row, once an entity  rate > 0.5 and n_1h >= 3"), "\(text)")
    let json = try plumb("check", "-d", "d.yaml", "--json").output
    #expect(
      json.contains(
        #""triggers":[{"name":"worse","when":"rate > 0.5 and n_1h >= 3","for":2,"every":"5m","again_after":null}]"#
      ))
  }
}
