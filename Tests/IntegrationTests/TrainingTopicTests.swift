import EventFiles
import Foundation
import Testing
import TestSupport

extension Journeys {
  /// `plumb training-set --as happened` reads topics, and an archive that goes on in them, as the service folds them.
  @Suite struct TrainingTopicTests {}
}

extension Journeys.TrainingTopicTests {
  private static let users = (0..<60).map { "u\($0)" }

  @Test func archiveAndTopicsAreOneLog() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      for _ in 0..<20 { try events.produce(30) }
      _ = try Audit(site, seconds: 120)
      let archive = Archive(site)
      try archive.complete(["--segment-bytes", "20000"])
      for _ in 0..<20 { try events.produce(30) }
      _ = try Audit(site, seconds: 120)
      // After everything: what happened is what is served.
      let rows = Self.users.map { "{\"user\":\"\($0)\",\"ts\":4102444800000}\n" }
      try rows.joined().write(toFile: site.path("s.ndjson"), atomically: true, encoding: .utf8)
      let whole = try Self.rows(site, [])
      // The topic keeps a part of what is archived, then nothing of it.
      try archive.cutTopics(before: { $0.first + ($0.next - $0.first) / 2 })
      let overlapping = try Self.rows(site, ["--archive", archive.path])
      try archive.cutTopics(before: \.next)
      let joined = try Self.rows(site, ["--archive", archive.path])
      let refused = try site.command(
        [
          "training-set", "--as", "happened", "--spine", site.path("s.ndjson"), "--view", "users", "--out",
          site.path("t.ndjson"),
        ])
      let isRefused =
        try refused.status(within: 60) == 1
        && refused.text.contains("of 60 rows, the latest of 2100-01-01T00:00:00Z, need events")
        && refused.text.contains("read them from an archive (--archive)")
      let without = try Self.rows(site, ["--allow-missing"])
      var problems = try Self.differences(site, whole)
      if overlapping != whole { problems.append("an archive that overlaps its topics gives other rows") }
      if joined != whole { problems.append("an archive that goes on in its topics gives other rows") }
      if !isRefused { problems.append("rows of events that are gone: \(refused.text)") }
      if without == whole { problems.append("without the archive nothing is missing") }
      return problems.map { "seed \(seed): \($0)" }
    }
  }

  private static func rows(_ site: Site, _ arguments: [String]) throws -> String {
    let out = site.path("t.ndjson")
    _ = try site.output(
      of: [
        "training-set", "--as", "happened", "--spine", site.path("s.ndjson"), "--view", "users", "--out", out,
      ] + arguments)
    return try String(contentsOfFile: out, encoding: .utf8)
  }

  /// Compares lifetime features with what is served.
  private static func differences(_ site: Site, _ text: String) throws -> [String] {
    var problems: [String] = []
    var counted = 0
    for (line, user) in zip(text.split(separator: "\n"), users) {
      let row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      let served = try site.answer(["get", "users", "user=\(user)"])
      let answer = try JSONSerialization.jsonObject(with: Data(served.utf8)) as? [String: Any] ?? [:]
      for name in ["events_lifetime", "total_lifetime", "as_of"]
      where "\(row[name] ?? "")" != "\(answer[name] ?? "")" {
        problems.append("\(user): \(name): \(line) instead of \(served)")
      }
      counted += row["events_lifetime"] as? Int ?? 0
    }
    return problems + (counted > 50 ? [] : ["only \(counted) events were counted"])
  }
}
