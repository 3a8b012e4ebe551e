import Foundation
import Testing
import TestSupport

extension Journeys {
  /// A Feast repository over an export, with the real Feast.
  @Suite(
    .enabled(
      if: (try? Python.run(["-c", "import feast"], with: Python.feast).status) == 0,
      "the Python of PLUMB_FEAST_PYTHON lacks feast"))
  struct FeastTests {}
}

extension Journeys.FeastTests {
  /// The shop's, with what people are told, and a service over two views.
  private static let definitions =
    ShopEvents.definitions.replacing(
      "    entity: user\n",
      with: """
            entity: user
            owner: data-team
            description: "Users \\"as they are\\"\\n\\\\"
            tags: { tier: gold }

        """
    ).replacing(
      "events: { aggregate: count, windows: [1h, lifetime] }",
      with: "events: { aggregate: count, windows: [1h, lifetime], description: Events of any kind. }")
      + """

      services:
        ranker:
          owner: search-team
          description: Ranks items.
          features: [users.events_1h, users.last_24h, items.*]
          inputs: { price: double }
          derive: { twice: "users__events_1h * 2 + price" }
      """

  @Test func aRepositoryIsAppliedAndReadsTheExport() async throws {
    try await Integration.expectNone(Self.applied)
  }

  private static func applied() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(definitions)
    let events = try ShopEvents(site, seed: seed)
    try site.start(Site.Instance("a"))
    try events.produce(milliseconds: 1_500)
    _ = try Audit(site, seconds: 60)
    _ = try site.output(of: ["export", "--out", site.path("export"), "--until", "end"])
    let export = try ChildProcess(
      Site.binary,
      [
        "feast", "export", "-d", site.definitions, "--out", site.path("repository"), "--parquet",
        "../export",
      ],
      log: URL(fileURLWithPath: site.path("feast.log")))
    guard try export.status(within: 30) == 0 else { return [export.text] }
    let result = try Python.run(
      ["\(Python.scripts)/feast_repository_check.py", site.path("repository"), site.path("export")],
      with: Python.feast)
    print(result.output.split(separator: "\n").first { $0.hasPrefix("feast: ") } ?? "")
    return Integration.report(result.status == 0 ? [] : [result.output], seed, site)
  }
}
