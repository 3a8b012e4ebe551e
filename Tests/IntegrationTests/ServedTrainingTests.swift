import Foundation
import Testing
import TestSupport

extension Journeys {
  /// `plumb training-set --as served` makes what `plumb get` had answered, from the topic and from an export, also when
  /// another version has run beside.
  @Suite struct ServedTrainingTests {}
}

extension Journeys.ServedTrainingTests {
  @Test func rowsAreWhatWasRead() async throws {
    try await Integration.expectNone {
      try Self.run()
      return []
    }
  }

  private static func run() throws {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(site, seed: seed &+ 1)
    try site.start(Site.Instance("a"))
    var reads: [String: [[String: Any]]] = ["users": [], "items": []]
    for _ in 0..<4 {
      for _ in 0..<10 { try events.produce(1 + Int(random.next() % 60)) }
      // Its states are ahead of every request, so they are evaluated later than they are asked for.
      try events.produceAhead(user: "ahead")
      // What is read has been committed before, and nothing is committed while it is read.
      _ = try Audit(site, seconds: 60)
      usleep(5_000)
      for _ in 0..<6 {
        // Some of them have no events.
        try read(site, "users", "user", "u\(random.next() % 320)", into: &reads)
        try read(site, "items", "item", "i\(random.next() % 220)", into: &reads)
        try read(site, "users", "user", "ahead", into: &reads)
      }
      usleep(5_000)
    }
    // Another version of the same views: its snapshots have the same fingerprints, at positions of their own.
    let next = try site.addVersion(
      ShopEvents.definitions.replacingOccurrences(of: "version: 1", with: "version: 2"))
    for arguments in [["topics", "apply"], ["run", "--redis", site.redis.url, "--until", "end"]] {
      let process = try site.command(arguments, definitions: next.path)
      guard try process.status(within: 120) == 0 else { throw Failure("\(arguments): \(process.text)") }
    }
    let exported = try site.output(of: ["export", "--with-state", "--out", site.path("x"), "--until", "end"])
    guard exported.contains(" of version 2\n") else { throw Failure("seed \(seed): export: \(exported)") }
    for (view, column) in [("users", "user"), ("items", "item")] {
      let spine = try spine(site, view, column, (reads[view] ?? []).shuffled(using: &random))
      try compare(site, view, column, spine, "seed \(seed)")
    }
  }

  private static func read(
    _ site: Site, _ view: String, _ column: String, _ entity: String,
    into reads: inout [String: [[String: Any]]]
  ) throws {
    let text = try site.answer(["get", view, "\(column)=\(entity)"])
    guard var row = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
      let at = (row["requested_at"] as? String).flatMap(milliseconds)
    else { throw Failure("get: \(text)") }
    guard row[column] as? String == entity else { throw Failure("get \(entity): \(text)") }
    row["ts"] = at
    reads[view, default: []].append(row)
  }

  private static func milliseconds(_ text: String) -> Int64? {
    // Cut to the millisecond, which is the unit of the spine.
    let digits = text.drop { $0 != "." }.dropFirst().prefix { $0.isNumber }
    let whole = text.prefix { $0 != "." && $0 != "Z" } + "Z"
    guard let seconds = ISO8601DateFormatter().date(from: String(whole))?.timeIntervalSince1970 else {
      return nil
    }
    return Int64(seconds) * 1_000 + (Int64((digits + "000").prefix(3)) ?? 0)
  }

  private struct Spine {
    var path: String
    var reads: [[String: Any]]
  }

  private static func spine(
    _ site: Site, _ view: String, _ column: String, _ reads: [[String: Any]]
  ) throws -> Spine {
    let path = site.path("\(view).ndjson")
    let rows = reads.map { "{\"\(column)\":\"\($0[column] ?? "")\",\"ts\":\($0["ts"] ?? "")}\n" }
    try rows.joined().write(toFile: path, atomically: true, encoding: .utf8)
    return Spine(path: path, reads: reads)
  }

  private static func compare(
    _ site: Site, _ view: String, _ column: String, _ spine: Spine, _ context: String
  ) throws {
    let arguments = ["training-set", "--as", "served", "--spine", spine.path, "--view", view]
    let (out, other) = (site.path("\(view)-training.ndjson"), site.path("\(view)-exported.ndjson"))
    let summary = try site.output(of: arguments + ["--out", out])
    guard summary.contains(" more made by version 2 (") else { throw Failure("\(context): \(summary)") }
    _ = try site.output(of: arguments + ["--snapshots", site.path("x"), "--out", other])
    let text = try String(contentsOfFile: out, encoding: .utf8)
    guard try String(contentsOfFile: other, encoding: .utf8) == text else {
      throw Failure("\(context): the export gives other rows of \(view)")
    }
    let (made, reads) = (text.split(separator: "\n"), spine.reads)
    guard made.count == reads.count, made.count > 0 else { throw Failure("\(context): \(made.count) rows") }
    for (line, read) in zip(made, reads) {
      guard var row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw Failure("\(context): \(line)")
      }
      row["age_seconds"] = nil
      var expected = read
      for name in ["view", "version", "at", "requested_at"] { expected[name] = nil }
      guard NSDictionary(dictionary: row) == NSDictionary(dictionary: expected) else {
        throw Failure("\(context): \(row) instead of \(expected)")
      }
    }
  }
}
