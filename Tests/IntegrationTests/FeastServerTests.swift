import Foundation
import Testing
import TestSupport

extension Journeys {
  /// The repository that `plumb feast export` writes, with the real Feast, over `plumb serve`.
  @Suite(
    .enabled(
      if: (try? Python.run(["-c", "import feast"], with: Python.feast).status) == 0,
      "the Python of PLUMB_FEAST_PYTHON lacks feast"))
  struct FeastServerTests {}
}

extension Journeys.FeastServerTests {
  /// Every type, alone and in lists, with keys of one column and of two.
  private static let definitions = """
    name: kinds
    version: 1
    sources:
      clicks:
        topic: kinds
        key: user
        timestamp: { field: ts, unit: ms }
        fields:
          user: string
          item: int64
          n: int64
          price: double
          good: bool
          at: timestamp
          word: string
    views:
      users:
        source: clicks
        entity: user
        features:
          n: { aggregate: count, windows: lifetime }
          total: { aggregate: sum, value: n, windows: lifetime }
          spend: { aggregate: sum, value: price, windows: lifetime }
          good: { aggregate: last, value: good, windows: lifetime }
          at: { aggregate: last, value: at, windows: lifetime }
          word: { aggregate: last, value: word, windows: lifetime }
          usual: { aggregate: mean, value: price, windows: lifetime, default: 1.5 }
          numbers: { aggregate: last_k, k: 3, value: n, windows: lifetime }
          prices: { aggregate: last_k, k: 3, value: price, windows: lifetime }
          flags: { aggregate: last_k, k: 3, value: good, windows: lifetime }
          times: { aggregate: last_k, k: 3, value: at, windows: lifetime }
          words: { aggregate: last_k, k: 3, value: word, windows: [1h, lifetime] }
      items:
        source: clicks
        entity: item
        features:
          n: { aggregate: count, windows: lifetime }
          buyers: { aggregate: last_k, k: 2, value: user, windows: lifetime }
      pairs:
        source: clicks
        entity: [user, item]
        features:
          n: { aggregate: count, windows: lifetime }
          at: { aggregate: last, value: at, windows: lifetime }
    services:
      everything:
        features: [users.*, items.*, pairs.*]
      priced:
        features: [users.n_lifetime]
        inputs: { price: double }
        derive: { share: "price / nullif(users__spend_lifetime, 0)" }

    """

  @Test func theExportedRepositoryReadsTheServer() async throws {
    try await Integration.expectNone(Self.read)
  }

  private static func read() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(definitions)
    try produce(site, seed)
    try site.start(Site.Instance("a"))
    _ = try Audit(site, seconds: 60)
    // Feast looks at its sources' files when a repository is applied.
    _ = try site.output(of: ["export", "--out", site.path("export"), "--until", "end"])
    let server = try Server(site, ["--request-timeout-ms", "500"])
    let tokens = site.path("tokens")
    try "feast-0123456789abc read\n".write(toFile: tokens, atomically: true, encoding: .utf8)
    let guarded = try Server(site, ["--tokens", tokens])
    let repository = site.path("repository")
    let export = try ChildProcess(
      Site.binary,
      [
        "feast", "export", "-d", site.definitions, "--out", repository, "--parquet", "../export", "--server",
        "http://127.0.0.1:\(server.port)",
      ], log: URL(fileURLWithPath: site.path("feast.log")))
    guard try export.status(within: 30) == 0 else { return [export.text] }
    let expected = try expectations(site)
    func check(_ what: String, _ arguments: String...) throws -> [String] {
      let outcome = try Python.run(
        ["\(Python.scripts)/feast_server_check.py", what, repository] + arguments, with: Python.feast)
      print(outcome.output.split(separator: "\n").first { $0.hasPrefix("feast: ") } ?? "")
      return outcome.status == 0 ? [] : ["\(what): \(outcome.output)\n\(server.text)"]
    }
    var problems = try check("values", expected)
    problems += try check("errors", "\(guarded.port)")
    site.redis.freeze(true)
    problems += try check("away")
    site.redis.freeze(false)
    problems += try server.check("ready")
    return Integration.report(problems, seed, site)
  }

  /// Events of which any field but the keys may be missing; and users of whom a list or a value never came.
  private static func produce(_ site: Site, _ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let producer = try EventProducer(site)
    let words = ["plain", "two words", "", "\\\"quoted\\\"", "\u{FC}ml\u{E4}ut", "\u{1F600}"]
    var events: [WrittenEvent] = []
    for number in 0..<200 {
      let user = random.next() % 20
      func maybe(_ name: String, _ value: String) -> String {
        user == 0 || random.next() % 4 == 0 ? "" : ",\"\(name)\":\(value)"
      }
      let time = 1_700_000_000_000 + Int64(number) * 1_000
      let value =
        "{\"ts\":\(time),\"user\":\"u\(user)\",\"item\":\(random.next() % 10)"
        + maybe("n", "\(Int64(random.next() % 2_000_001) - 1_000_000)")
        + maybe("price", "\(Double(random.next() % 10_000) / 4)")
        + maybe("good", random.next() % 2 == 0 ? "true" : "false")
        + maybe("at", "\(time - Int64(random.next() % 1_000_000))")
        + maybe("word", "\"\(words[Int(random.next() % UInt64(words.count))])\"") + "}"
      events.append(WrittenEvent(key: Array("u\(user)".utf8), value: Array(value.utf8)))
    }
    try producer.produce(events)
  }

  /// What `plumb get` says of entities, some of which nobody knows: an object of view, entity and features a line.
  private static func expectations(_ site: Site) throws -> String {
    var lines = ""
    for user in 0..<22 { lines += try site.answer(["get", "users", "user=u\(user)"]) }
    for item in 0..<12 { lines += try site.answer(["get", "items", "item=\(item)"]) }
    for pair in 0..<30 {
      lines += try site.answer(["get", "pairs", "user=u\(pair % 21)", "item=\(pair % 11)"])
    }
    let path = site.path("expected.ndjson")
    try lines.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }
}
