import Testing

@testable import FeatureCore

/// Events of a source that an expression chooses, for labels and rows.
@Suite struct EventChoiceTests {
  private func choice(_ expression: String, key: [String]) throws -> ViewPlan {
    let plan = try Plan(
      TestSource.definitions([Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))]))
    return try plan.sources[0].events(where: expression, key: key, name: "label")
  }

  @Test func takesTheEventsAndKeysThemByWhatIsAsked() throws {
    let view = try choice("i > 2", key: ["user", "small"])
    #expect(view.features.isEmpty)
    let fold = ViewFold(view)
    let row = TestRow()
    for (i, isTaken) in [(Int64(2), false), (3, true)] {
      let event = TestEvent(
        time: 5, values: ["user": .string("u"), "i": .int64(i), "small": .int64(7)])
      #expect(try fold.takes(row.set(event)) == isTaken)
      let key = try fold.key(of: row.set(event))
      #expect(EntityKey.values(of: key, view.entity) == [.string("u"), .int64(7)])
    }
  }

  @Test(arguments: [
    ("nothing > 2", ["user"], "nothing"), ("i > 2", ["item"], "item"), ("i", ["user"], "bool"),
    ("i > 2", [], "entity"),
  ])
  func namesMistakes(_ expression: String, _ key: [String], _ word: String) {
    let error = #expect(throws: DefinitionMistakes.self) { try choice(expression, key: key) }
    #expect(error?.description.contains(word) ?? false, "\(error?.description ?? "")")
  }
}
