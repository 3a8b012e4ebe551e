import FeatureCore
import Processor
import Testing

/// Where the records of joins go, said in two ways, and the order in which topics are written.
@Suite struct JoinRoutingTests {
  private static func plan() throws -> Plan {
    func source(_ name: String) -> Source {
      Source(
        name, topic: name, key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("user", .string), .init("item", .string)])
    }
    var table = source("users")
    table.isTable = true
    table.fields.append(.init("country", .string))
    func view(_ name: String, _ source: String, _ entity: String) -> View {
      View(
        name, source: source, entity: [entity],
        features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    }
    var definitions = Definitions(
      name: "shop", sources: [source("shown"), source("clicks"), table],
      views: [view("a", "shown", "item"), view("b", "outcomes", "user"), view("c", "placed", "item")])
    // Written in the other order: what a join is made of may come after it.
    definitions.joins = [
      Join(
        "placed", left: .init("outcomes"), right: .init("users"), on: ["user"], kind: .table,
        fields: ["country"]),
      Join(
        "outcomes", left: .init("shown"), right: .init("clicks"), on: ["user"],
        kind: .outcome(within: 1, wait: 0, lateness: 0)),
    ]
    return try Plan(definitions)
  }

  @Test func topicsInTheOrderInWhichTheyAreWritten() throws {
    let plan = try Self.plan()
    #expect(
      Routing(plan).stages(plan) == [
        ["shown", "clicks", "users"], ["shop.1.shown.by-item", "shop.1.outcomes.sides"], ["shop.1.outcomes"],
        ["shop.1.placed.sides"], ["shop.1.placed"], ["shop.1.placed.by-item"],
      ])
  }

  @Test func bothRoutingsAgree() throws {
    let plan = try Self.plan()
    func text(_ routing: Routing) -> [String] {
      routing.inputs.map { input in
        let forwards = input.forwards.map { forward in
          "\(forward.topic) \(forward.views) \(String(describing: forward.side))"
        }.sorted()
        return "\(input.topic) \(input.name) \(input.source) \(input.views) \(forwards) \(input.join ?? -1)"
      }.sorted()
    }
    #expect(text(Routing(plan)) == text(Routing(plainly: plan)))
  }

  @Test func aJoinsTopicsHaveThePartitionsOfItsLeftSide() throws {
    let plan = try Self.plan()
    let specs = Routing(plan).specs(plan, partitions: ["shown": 3, "clicks": 5, "users": 2])
    for spec in specs where spec.kind == .sides || spec.kind == .joined { #expect(spec.partitions == 3) }
    #expect(specs.filter { $0.kind == .sides || $0.kind == .joined }.count == 4)
  }
}
