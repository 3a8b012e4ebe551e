import FeatureCore
import Foundation
import Processor
import Testing
import Yams

/// What the topics are like, as code and as files.
@Suite struct TopicSpecTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Topics")

  @Test(arguments: TopicKind.allCases) func filesSayWhatTheCodeSays(_ kind: TopicKind) throws {
    let file = Self.folder.appendingPathComponent("\(kind.rawValue).yaml")
    let root = try #require(try Yams.compose(yaml: String(contentsOf: file, encoding: .utf8))?.mapping)
    var texts: [String: String] = [:]
    for (name, value) in root where value.scalar != nil { texts[name.string ?? ""] = value.scalar?.string }
    #expect(
      texts == [
        "topic": kind.topic, "holds": kind.holds, "key": kind.key, "partitions": kind.partitions.rawValue,
        "why": kind.why,
      ])
    let configuration = try #require(root["configuration"]?.mapping)
    let pairs = configuration.map { ($0.key.string ?? "", $0.value.scalar?.string ?? "") }
    #expect(Dictionary(uniqueKeysWithValues: pairs) == kind.configuration)
    #expect(root.count == texts.count + 1)
  }

  @Test func everyFileHasItsKind() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    let files = Set(names.filter { $0.hasSuffix(".yaml") })
    #expect(files == Set(TopicKind.allCases.map { "\($0.rawValue).yaml" }))
  }

  /// A join's log is kept until the last place has passed it: for a week, or for as long as that takes and a day.
  @Test(arguments: [(3, 604_800_000), (4, 777_600_000), (400, 69_206_400_000)])
  func aJoinsLogIsKeptForAsLongAsItIsRead(_ days: Int64, _ milliseconds: Int64) throws {
    let sources = ["shown", "clicks"].map {
      Source(
        $0, topic: $0, key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("user", .string)])
    }
    let view = View(
      "users", source: "outcomes", entity: ["user"],
      features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    var definitions = Definitions(name: "shop", sources: sources, views: [view])
    let day: Int64 = 86_400_000_000
    definitions.joins = [
      Join(
        "outcomes", left: .init("shown"), right: .init("clicks"), on: ["user"],
        kind: .outcome(within: days * day - 2_000_000, wait: 1_000_000, lateness: 1_000_000))
    ]
    let plan = try Plan(definitions)
    let specs = Routing(plan).specs(plan, partitions: ["shown": 1, "clicks": 1])
    let sides = try #require(specs.first { $0.kind == .sides })
    #expect(sides.configuration["retention.ms"] == "\(milliseconds)")
    #expect(specs.filter { $0.kind != .sides }.allSatisfy { $0.configuration == $0.kind.configuration })
  }

  /// Only who logs answers needs a topic for them.
  @Test(arguments: [nil, 0, 0.1]) func answersHaveATopicIfTheyAreLogged(_ share: Double?) throws {
    let source = Source(
      "clicks", topic: "clicks", key: "user",
      timestamp: Source.Timestamp(field: "ts", unit: .milliseconds), fields: [Source.Field("user", .string)])
    let view = View(
      "users", source: "clicks", entity: ["user"],
      features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source], views: [view],
        services: [Service("ranker", features: ["users.*"], servedShare: share)]))
    let specs = Routing(plan).specs(plan, partitions: ["clicks": 3])
    let served = specs.filter { $0.kind == .served }.map { "\($0.name) \($0.partitions)" }
    #expect(served == (share == 0.1 ? ["shop.served 3"] : []))
  }
}
