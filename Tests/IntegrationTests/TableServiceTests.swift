import Foundation
import OnlineStore
import SQLiteTables
import TestSupport
import Testing

extension Journeys {
  /// Rows of a captured table and aggregates of events in one answer: live, in training rows, in a store that comes back, and in
  /// another version.
  @Suite struct TableServiceTests {}
}

extension Journeys.TableServiceTests {
  private static func definitions(_ version: Int, _ database: String) -> String {
    """
    name: shop
    version: \(version)
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: int64, user: string, item: string, n: int64 }
      profiles:
        table: true
        topic: profiles
        key: user
        timestamp: { field: _at, unit: us }
        fields: { user: string, tier: string, score: double, signup: { type: timestamp, unit: s } }
        capture: { sqlite: "\(database)", table: profiles }
    views:
      activity:
        source: clicks
        entity: user
        features:
          events: { aggregate: count, windows: [1h, lifetime] }
          last: { aggregate: last_k, k: 3, value: item, windows: lifetime }
      profile:
        source: profiles
        entity: user
        features:
          tier: { column: tier, default: none }
          score: { column: score }
          signup: { column: signup }
          changes: { aggregate: count, windows: lifetime }
          days: { derive: "date_diff('day', signup, now())" }
          \(version == 1 ? "" : "is_gold: { derive: \"tier = 'gold'\" }")
    services:
      ranking:
        features: [activity.*, profile.tier, profile.score, profile.changes_lifetime, profile.days]
        inputs: { price: double }
        derive: { offer: "price * case when profile__tier = 'gold' then 0.5 else 1.0 end" }
    """
  }

  @Test func rowsAndEventsAreOneAnswer() async throws {
    try await Integration.expectNone(Self.run)
  }

  private static let users = 40
  /// What the service shows of a deleted row, and of one that never was.
  private struct Profile: Equatable {
    var tier = "none"
    var score: Double?
    var changes = 0
  }

  private static func run() throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let database = "/tmp/plumb-profiles-\(UUID().uuidString).db"
    defer {
      for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: database + ending) }
    }
    let shop = try SQLiteWriter(path: database)
    try shop.execute(
      "PRAGMA journal_mode = WAL; CREATE TABLE profiles (user TEXT PRIMARY KEY, tier TEXT, score REAL, signup INTEGER)"
    )
    let site = try Site(definitions(1, database))
    let events = try ShopEvents(site, seed: seed &+ 1)
    try site.start(Site.Instance("a"))
    func run(_ arguments: [String], _ definitions: String? = nil) throws {
      let process = try site.command(arguments, definitions: definitions)
      let status = try process.status(within: 120)
      guard status == 0 else { throw Failure("\(arguments): exit status \(status): \(process.text)") }
    }
    let redis = ["--redis", site.redis.url]
    var profiles: [Profile] = Array(repeating: Profile(), count: users)
    var reads: [[String: Any]] = []
    var problems: [String] = []
    for round in 0..<4 {
      try events.produce(200)
      try change(&profiles, shop, round, &random)
      try run(["capture", "--once"])
      // Everything that there is has been folded, and nothing is committed while it is read.
      try run(["verify", "--wait", "60s"] + redis)
      for user in 0..<users where round == 3 || Int.random(in: 0..<5, using: &random) == 0 {
        let read = try read(site, user)
        let found = Profile(
          tier: read["profile__tier"] as? String ?? "null", score: read["profile__score"] as? Double,
          changes: read["profile__changes_lifetime"] as? Int ?? -1)
        if found != profiles[user] { problems.append("u\(user): \(read) instead of \(profiles[user])") }
        reads.append(read)
      }
      usleep(5_000)
    }
    if !reads.contains(where: {
      $0["activity__events_lifetime"] as? Int ?? 0 > 0 && $0["profile__score"] is Double
    }) {
      problems.append("no answer has events and a row")
    }
    problems += try trainingRows(site, reads)
    problems += try restored(site, redis, run)
    problems += try promoted(site, database, profiles, redis, run)
    return Integration.report(problems + site.complaints(), seed, site)
  }

  /// Some rows are written, some deleted, in one transaction.
  private static func change(
    _ profiles: inout [Profile], _ shop: SQLiteWriter, _ round: Int, _ random: inout SplitMix64
  ) throws {
    try shop.execute("BEGIN")
    let put = try shop.prepare("INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?)")
    let delete = try shop.prepare("DELETE FROM profiles WHERE user = ?")
    for user in profiles.indices where Int.random(in: 0..<2, using: &random) == 0 {
      if Int.random(in: 0..<4, using: &random) == 0 {
        // A row that isn't there isn't deleted.
        if profiles[user].score != nil { profiles[user].changes += 1 }
        (profiles[user].tier, profiles[user].score) = ("none", nil)
        try delete.run([.text("u\(user)")])
      } else {
        // Each round has scores of its own, so that every row that is written has changed; few digits read back everywhere.
        let score = Double(round) + Double(Int.random(in: 1..<1_024, using: &random)) / 1_024
        let tier = ["gold", "plus"].randomElement(using: &random) ?? "gold"
        (profiles[user].tier, profiles[user].score) = (tier, score)
        profiles[user].changes += 1
        try put.run([
          .text("u\(user)"), .text(tier), .real(score), .integer(1_700_000_000 + Int64(user) * 86_400),
        ])
      }
    }
    try shop.execute("COMMIT")
  }

  private static func read(_ site: Site, _ user: Int) throws -> [String: Any] {
    let milliseconds = Int64(Date().timeIntervalSince1970 * 1_000)
    let date = Date(timeIntervalSince1970: Double(milliseconds / 1_000))
    let seconds = ISO8601DateFormatter().string(from: date).dropLast()
    let fraction = String(String(1_000 + milliseconds % 1_000).dropFirst())
    let text = try site.answer([
      "get", "--service", "ranking", "user=u\(user)", "price=8.0", "--at", "\(seconds).\(fraction)Z",
    ])
    guard var row = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
      throw Failure("get: \(text)")
    }
    for name in ["service", "version", "at"] { row[name] = nil }
    row["ts"] = milliseconds
    return row
  }

  /// The training rows of what was asked, as served, are what was answered.
  private static func trainingRows(_ site: Site, _ reads: [[String: Any]]) throws -> [String] {
    let (spine, out) = (site.path("spine.ndjson"), site.path("rows.ndjson"))
    let lines = reads.map { "{\"user\":\"\($0["user"] ?? "")\",\"price\":8.0,\"ts\":\($0["ts"] ?? "")}\n" }
    try lines.joined().write(toFile: spine, atomically: true, encoding: .utf8)
    _ = try site.output(of: [
      "training-set", "--service", "ranking", "--as", "served", "--source", "clicks", "--spine", spine,
      "--out", out,
    ])
    let made = try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n").map { line in
      var row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      row["price"] = nil
      return row
    }
    guard made.count == reads.count, made.count > 40 else {
      return ["\(made.count) training rows of \(reads.count)"]
    }
    return zip(made, reads).filter { NSDictionary(dictionary: $0) != NSDictionary(dictionary: $1) }
      .map { "trained on \($0), and answered \($1)" }
  }

  /// A lost store comes back byte for byte, by folding again and from snapshots.
  private static func restored(
    _ site: Site, _ redis: [String], _ run: ([String], String?) throws -> Void
  ) throws -> [String] {
    guard try site.terminate("a") == 0 else { throw Failure("no clean end: \(site.logs)") }
    let epochs = Set(site.inputs.map { site.keys.epoch($0.task) })
    let store = try site.redis.states().filter { !epochs.contains($0.key) }
    var problems: [String] = []
    for way in [[], ["--from-snapshots"]] {
      try site.redis.clear()
      try run(["replay", "--into", "redis"] + redis + way, nil)
      let found = try site.redis.states().filter { !epochs.contains($0.key) }
      if found != store { problems.append("replay \(way): \(found.count) keys instead of \(store.count)") }
    }
    return problems
  }

  /// A new version is filled beside the old one from the same topics, and promoted.
  private static func promoted(
    _ site: Site, _ database: String, _ profiles: [Profile], _ redis: [String],
    _ run: ([String], String?) throws -> Void
  ) throws -> [String] {
    try run(["promote", "1"] + redis, nil)
    let next = try site.addVersion(definitions(2, database))
    try run(["topics", "apply"], next.path)
    try run(["run", "--until", "end"] + redis, next.path)
    try run(["promote", "2"] + redis, next.path)
    return try profiles.enumerated().compactMap { user, profile in
      let text = try site.answer(["get", "profile", "user=u\(user)"], definitions: next.path)
      let row = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
      let found = Profile(
        tier: row["tier"] as? String ?? "null", score: row["score"] as? Double,
        changes: row["changes_lifetime"] as? Int ?? -1)
      let isGold = row["is_gold"] as? Bool
      guard found == profile, isGold == (profile.tier == "gold") else {
        return "version 2: u\(user): \(text) instead of \(profile)"
      }
      return row["version"] as? Int == 2 ? nil : "u\(user) is of another version: \(text)"
    }
  }
}
