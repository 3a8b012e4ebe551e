import Foundation
import Testing
import TestSupport

extension Journeys {
  /// `plumb export` of a service at work, killed again and again: every snapshot becomes one row.
  @Suite(
    .enabled(
      if: Python.has("pyarrow", "duckdb", "polars"),
      "the Python of PLUMB_PYTHON lacks pyarrow, duckdb or polars"))
  struct ExportTests {}
}

extension Journeys.ExportTests {
  @Test func killsLoseAndRepeatNothing() async throws {
    try await Integration.expectNone {
      try Self.underKills()
      return []
    }
  }

  private static func underKills() throws {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(site, seed: seed &+ 1)
    try site.start(Site.Instance("a"))
    let folder = site.path("export")
    // Small, so that kills meet files in all their stages.
    let export = [
      "export", "--with-state", "--out", folder, "--segment-bytes", "4000", "--segment-time", "1m",
    ]
    var left = 0
    for _ in 0..<25 {
      let exporter = try site.command(export)
      let end = ContinuousClock.now + .milliseconds(Int64(100 + random.next() % 400))
      while ContinuousClock.now < end {
        try events.produce(1 + Int(random.next() % 60))
        usleep(UInt32(random.next() % 20_000))
      }
      exporter.kill()
      left += try hiddenFiles(in: folder)
    }
    let logs = site.logs
    _ = try Audit(site, seconds: 60)
    let last = try site.output(of: export + ["--until", "end"])
    let again = try site.output(of: export + ["--until", "end"])
    guard again == "0 rows in 0 files\n" else { throw Failure("seed \(seed): \(last)then \(again)") }
    let lean = site.path("lean")
    _ = try site.output(of: ["export", "--out", lean, "--until", "end"])
    try compare(site, folder, lean: lean, "seed \(seed), \(logs)")
    // The kills really meet files in the making.
    if left == 0 { throw Failure("seed \(seed): no kill left an incomplete file") }
    try expectOne(site, export)
  }

  /// Of two exports to one folder one is refused.
  private static func expectOne(_ site: Site, _ export: [String]) throws {
    let both = [try site.command(export), try site.command(export)]
    try waitUntil("one is refused") { both.contains { !$0.isRunning } }
    let refused = both.filter { $0.text.contains("another export is writing to this folder") }
    guard refused.count == 1, both.contains(where: \.isRunning) else {
      throw Failure("two exports to one folder: \(both.map(\.text))")
    }
  }

  private static func compare(_ site: Site, _ folder: String, lean: String, _ context: String) throws {
    let tail = site.path("tail.ndjson")
    try site.output(of: ["snapshots", "tail"]).write(toFile: tail, atomically: true, encoding: .utf8)
    for arguments in [[folder, tail, "--with-state"], [lean, tail]] {
      let result = try Python.run(["\(Python.scripts)/export_check.py"] + arguments)
      print(result.output, terminator: "")
      if result.status != 0 { throw Failure("\(context): \(result.output)") }
    }
    guard try Python.run(["-c", "import feast"], with: Python.feast).status == 0 else {
      print("Feast was not compared: the Python of PLUMB_FEAST_PYTHON or PLUMB_PYTHON lacks it")
      return
    }
    let historical = try Python.run(["\(Python.scripts)/feast_check.py", folder, tail], with: Python.feast)
    if historical.status != 0 { throw Failure("\(context): \(historical.output)") }
    print(historical.output.split(separator: "\n").first { $0.hasPrefix("feast: ") } ?? "")
  }

  private static func hiddenFiles(in folder: String) throws -> Int {
    let names = FileManager.default.enumerator(atPath: folder)
    return (names?.allObjects as? [String] ?? []).count { $0.hasSuffix(".partial") }
  }
}
