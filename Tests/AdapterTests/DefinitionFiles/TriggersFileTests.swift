import DefinitionFiles
import FeatureCore
import Testing

/// Triggers as files write them.
@Suite struct TriggersFileTests {
  private static let head = """
    name: n
    sources:
      s: { key: a, timestamp: { field: ts, unit: ms }, fields: { a: string } }
    views:
      v:
        source: s
        entity: a
        features: { n: { aggregate: count, windows: 1h } }

    """

  private func compile(_ text: String) throws(DefinitionFileError) -> Plan {
    let file = try DefinitionFile.parse(Self.head + text, file: "f.yaml") { definitions, zones in
      do throws(DefinitionMistakes) {
        _ = try Plan(definitions, zones: zones)
        return []
      } catch {
        return error.mistakes
      }
    }
    guard let plan = try? Plan(file.definitions, zones: file.zones) else {
      preconditionFailure("Cannot compile what was compiled")
    }
    return plan
  }

  @Test func everythingIsRead() throws {
    let plan = try compile(
      """
          triggers:
            worse: { when: "n_1h > 5", for: 3, every: 1m, again_after: 7d }
            low: { when: n_1h < 1 }
      """)
    #expect(
      plan.definitions.views[0].triggers == [
        Trigger("worse", when: "n_1h > 5", for: 3, every: 60_000_000, againAfter: 7 * 86_400_000_000),
        Trigger("low", when: "n_1h < 1"),
      ])
    #expect(plan.views[0].triggers.map(\.name) == ["low", "worse"])
    #expect(plan.views[0].triggers.map(\.clock.every) == [300_000_000, 60_000_000])
  }

  @Test(
    arguments: [
      ("{ t: n_1h > 5 }", "9:20: expected a trigger", "write { when: \"n_1h > 5\" }"),
      ("{ t: { for: 3 } }", "when", "when: \"errors_1h > 100\""),
      (
        "{ t: { when: n_1h > 5, again_aftr: 3d } }", "unknown key 'again_aftr'", "did you mean 'again_after'?"
      ),
      ("{ t: { when: n_2h > 5 } }", "9:28: ", "did you mean 'n_1h'?"),
      ("{ t: { when: n_1h > 5, for: 0 } }", "'for' is 0", "from 1 to 8000"),
      ("{ t: { when: n_1h > 5, for: 1h } }", "9:43: expected a whole number", ""),
    ])
  func mistakesAreToldWhereTheyAre(_ text: String, _ message: String, _ suggestion: String) {
    let error = #expect(throws: DefinitionFileError.self) { try compile("    triggers: \(text)\n") }
    let problems = error!.problems.map { "\($0.line):\($0.column): \($0.message) [\($0.suggestion ?? "")]" }
    #expect(problems.contains { $0.contains(message) && $0.contains(suggestion) }, "\(problems)")
  }
}
