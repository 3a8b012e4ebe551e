import Foundation
import Testing

extension Integration {
  /// `plumb training-set --as served` makes what `plumb get` had answered.
  @Suite struct ServedTrainingTests {}
}

extension Integration.ServedTrainingTests {
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
      // What is read has been committed before, and nothing is committed while it is read.
      _ = try Audit(site, seconds: 60)
      usleep(5_000)
      for _ in 0..<6 {
        // Some of them have no events.
        try read(site, "users", "user", "u\(random.next() % 320)", into: &reads)
        try read(site, "items", "item", "i\(random.next() % 220)", into: &reads)
      }
      usleep(5_000)
    }
    for (view, column) in [("users", "user"), ("items", "item")] {
      try compare(site, view, column, (reads[view] ?? []).shuffled(using: &random), "seed \(seed)")
    }
  }

  private static func read(
    _ site: Site, _ view: String, _ column: String, _ entity: String,
    into reads: inout [String: [[String: Any]]]
  ) throws {
    let text = try site.answer(["get", view, "\(column)=\(entity)"])
    guard var row = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
      let at = (row["at"] as? String).flatMap(milliseconds)
    else { throw Failure("get: \(text)") }
    row[column] = entity
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

  private static func compare(
    _ site: Site, _ view: String, _ column: String, _ reads: [[String: Any]], _ context: String
  ) throws {
    let spine = site.path("\(view).ndjson")
    let rows = reads.map { "{\"\(column)\":\"\($0[column] ?? "")\",\"ts\":\($0["ts"] ?? "")}\n" }
    try rows.joined().write(toFile: spine, atomically: true, encoding: .utf8)
    let out = site.path("\(view)-training.ndjson")
    _ = try site.output(of: [
      "training-set", "--as", "served", "--spine", spine, "--view", view, "--out", out,
    ])
    let made = try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n")
    guard made.count == reads.count, made.count > 0 else { throw Failure("\(context): \(made.count) rows") }
    for (line, read) in zip(made, reads) {
      guard var row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw Failure("\(context): \(line)")
      }
      row["age_seconds"] = nil
      var expected = read
      for name in ["view", "version", "at"] { expected[name] = nil }
      guard NSDictionary(dictionary: row) == NSDictionary(dictionary: expected) else {
        throw Failure("\(context): \(row) instead of \(expected)")
      }
    }
  }
}
