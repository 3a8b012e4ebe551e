import FeatureCore
import Foundation
import Testing
import TestSupport

extension Journeys {
  /// `plumb training-set --report` finds what a service that was away has not served, and what came late.
  @Suite struct ComparisonTests {}
}

extension Journeys.ComparisonTests {
  @Test func causesAreThoseThatWereMade() async throws {
    try await Integration.expectNone {
      try Self.run()
      return []
    }
  }

  private struct Feature {
    var view: String
    var column: String
    var entities: [String]
    var name: String
    /// The number that an event adds to the feature, by its entity; nil if the view doesn't take it.
    var amount: (WrittenEvent) -> (entity: String, number: Int)?
  }

  private static var features: [Feature] {
    [
      Feature(
        view: "users", column: "user", entities: (0..<300).map { "u\($0)" }, name: "events_lifetime",
        amount: { event in
          guard event.refusals.allSatisfy({ $0.view == "items" }) else { return nil }
          return (String(decoding: event.key, as: UTF8.self), 1)
        }),
      Feature(
        view: "items", column: "item", entities: (0..<200).map { "i\($0)" }, name: "quantity_lifetime",
        amount: { event in
          guard let forward = event.forwards.first, let value = event.value,
            let row = try? JSONSerialization.jsonObject(with: Data(value)) as? [String: Any],
            let number = row["n"] as? Int
          else { return nil }
          return (String(decoding: forward.key, as: UTF8.self), number)
        }),
    ]
  }

  /// Events in three parts: served, in the log while the service is away, and later still. All of them happened years ago,
  /// so a row sees them as happened whenever they were written.
  private static func run() throws {
    let seed = Integration.seed()
    let site = try Site()
    let events = try ShopEvents(site, seed: seed)
    var times = [now()]
    var ends: [Int] = []
    for part in 0..<3 {
      if part == 1 { _ = try site.terminate("a") } else { try site.start(Site.Instance("a")) }
      for _ in 0..<8 { try events.produce(30) }
      if part != 1 { _ = try Audit(site, seconds: 60) }
      usleep(5_000)
      times.append(now())
      ends.append(events.written.count)
      usleep(5_000)
    }
    for feature in features { try compare(site, feature, events.written, ends, times, "seed \(seed)") }
  }

  private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

  private static func compare(
    _ site: Site, _ feature: Feature, _ events: [WrittenEvent], _ ends: [Int], _ times: [Int64],
    _ context: String
  ) throws {
    let spine = site.path("\(feature.view).csv")
    let rows = times.flatMap { time in feature.entities.map { "\($0),\(time)\n" } }
    try ("\(feature.column),ts\n" + rows.joined()).write(toFile: spine, atomically: true, encoding: .utf8)
    let file = site.path("\(feature.view).json")
    let text = try site.output(of: [
      "training-set", "--report", file, "--spine", spine, "--view", feature.view,
    ])
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    let small = try site.output(of: [
      "training-set", "--report", "-", "--spine", spine, "--view", feature.view, "--memory", "200K",
    ])
    guard small.contains(String(decoding: bytes, as: UTF8.self)) else {
      throw Failure("\(context): with less memory \(small)")
    }
    let report = try JSONDecoder().decode(Report.self, from: bytes)
    let (differing, causes, distance) = expected(feature, events, ends)
    guard let view = report.views.first,
      let found = view.features.first(where: { $0.feature == feature.name })
    else {
      throw Failure("\(context): \(text)")
    }
    let count = feature.entities.count
    guard report.rows == 4 * count, view.rows == 3 * count, view.before_first_snapshot == count,
      found.differing == differing, found.share == Double(differing) / Double(3 * count),
      found.causes.filter({ $0.value > 0 }) == causes, found.null_on_one_side == 0 || feature.view == "items",
      found.absolute.map({ abs($0.mean - distance) <= 1e-9 * distance }) ?? false, causes.count == 2,
      text.contains("\(feature.view): of \(3 * count) rows ")
    else {
      throw Failure("\(context): \(found) instead of \(differing), \(causes), \(distance)\n\(text)")
    }
    try compareWithTables(site, feature, spine, view, "\(context): \(text)")
  }

  /// What differs is what differs between the two tables.
  private static func compareWithTables(
    _ site: Site, _ feature: Feature, _ spine: String, _ report: Report.ViewReport, _ context: String
  ) throws {
    let tables = try ["happened", "served"].map { moment in
      let out = site.path("\(feature.view)-\(moment).ndjson")
      _ = try site.output(of: [
        "training-set", "--as", moment, "--spine", spine, "--view", feature.view, "--out", out,
        "--allow-missing",
      ])
      return try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n").map { line in
        NSDictionary(
          dictionary: try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:])
      }
    }
    for found in report.features {
      // Those before the first snapshot come first, and are not compared.
      let rows = zip(tables[0], tables[1]).dropFirst(report.before_first_snapshot)
      let differing = rows.count { row in
        guard let happened = row.0[found.feature] as? NSObject, let served = row.1[found.feature] as? NSObject
        else {
          return true
        }
        return happened != served
      }
      guard tables[0].count == tables[1].count, found.differing == differing else {
        throw Failure("\(context): \(differing) rows differ in \(found.feature)")
      }
    }
  }

  private static func expected(
    _ feature: Feature, _ events: [WrittenEvent], _ ends: [Int]
  ) -> (differing: Int, causes: [String: Int], distance: Double) {
    var sums: [String: [Int]] = [:]
    for (index, event) in events.enumerated() {
      guard let (entity, number) = feature.amount(event) else { continue }
      let part = ends.firstIndex { index < $0 } ?? 2
      sums[entity, default: [0, 0, 0]][part] += number
    }
    var causes: [String: Int] = [:]
    var distances: [Int] = []
    for parts in sums.values {
      let missing = parts[1] + parts[2]
      guard missing > 0 else { continue }
      // When the first part had been served nothing else was in the log.
      causes["late_data", default: 0] += 1
      // When the second was in the log only the first had been served.
      // A sum of nothing is null, and at no distance: what makes it null is the largest change.
      let isNull = feature.view == "items" && parts[0] == 0
      let isLate = isNull ? parts[1] == 0 : parts[2] >= parts[1]
      causes[isLate ? "late_data" : "freshness_lag", default: 0] += 1
      if !isNull { distances += [missing, missing] }
    }
    let differing = causes.values.reduce(0, +)
    return (differing, causes, Double(distances.reduce(0, +)) / Double(distances.count))
  }

  private struct Report: Decodable {
    var rows: Int
    var views: [ViewReport]

    struct ViewReport: Decodable {
      var rows: Int
      var before_first_snapshot: Int
      var features: [FeatureReport]
    }

    struct FeatureReport: Decodable {
      var feature: String
      var differing: Int
      var share: Double
      var null_on_one_side: Int
      var causes: [String: Int]
      var absolute: Distance?
    }

    struct Distance: Decodable {
      var mean: Double
      var max: Double
    }
  }
}
