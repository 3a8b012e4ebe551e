import FeatureCore
import Foundation
import Processor
import TestSupport
import Testing

extension Journeys {
  /// A model of a real service: what `plumb monitor` and `/metrics` say of it.
  @Suite struct MonitorTests {}
}

extension Journeys.MonitorTests {
  private static let baseline = """
    {"plumb_baseline": 1, "rows": 100, "measures": {"auc": 0.9, "log_loss": 0.3},
     "columns": {"price": {"edges": [10], "counts": [50, 50]}, "score": {"edges": [0.5], "counts": [50, 50]}}}
    """

  private static func definitions(_ baseline: String) -> String {
    """
    name: shop
    version: 1
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string, kind: string }
    models:
      ranker:
        predictions:
          topic: predictions
          key: user
          timestamp: { field: ts, unit: ms }
          id: id
          fields: { id: string, model_version: string, user: string, item: string, country: string, price: double, score: double }
        outcome: { source: clicks, label: "kind = 'click'", on: [user, item], within: 30m, wait: 2m }
        baseline: \(baseline)
        monitor: { by: country, windows: [1h, 24h] }
        triggers:
          drifted: { when: "psi_excess_max_24h > 0.2 and predictions_24h >= 100", every: 1m }
    """
  }

  @Test func aModelIsFollowed() async throws { try await Integration.expectNone(Self.followed) }

  private static func followed() throws -> [String] {
    let file = FileManager.default.temporaryDirectory.appending(path: "baseline-\(UUID().uuidString).json")
    try Data(baseline.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let site = try Site(definitions(file.path))
    var problems: [String] = []
    func expect(_ isSo: Bool, _ what: @autoclosure () -> String) { if !isSo { problems.append(what()) } }
    let before = try site.command(["monitor", "ranker", "--redis", site.redis.url])
    let status = try before.status(within: 60)
    expect(status == 0 && before.text.contains("nothing has been folded yet"), before.text)
    try site.start(Site.Instance("a"), more: ["--http", "127.0.0.1:0"])
    try site.awaitStarts()
    // Ten days ago, so that nothing is ahead of its record. Of 200 predictions 0.9 is said of half, and comes true in four of
    // five of them; of the other half 0.1 is said, and one in ten comes true.
    let start = (Int64(Date().timeIntervalSince1970) - 864_000) * 1_000
    func event(_ user: String, _ json: String) -> WrittenEvent {
      WrittenEvent(key: Array(user.utf8), value: Array(json.utf8))
    }
    func prediction(_ id: String, _ user: String, _ item: String, _ time: Int64, score: Double)
      -> WrittenEvent
    {
      event(
        user,
        """
        {"id":"\(id)","ts":\(time),"model_version":"7","user":"\(user)","item":"\(item)","country":"ch","price":100,"score":\(score)}
        """)
    }
    func click(_ user: String, _ item: String, _ time: Int64) -> WrittenEvent {
      event(user, "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"kind\":\"click\"}")
    }
    var shown: [WrittenEvent] = []
    var clicked: [WrittenEvent] = []
    for index in 0..<200 {
      let (user, item, time) = ("u\(index % 12)", "i\(index)", start + Int64(index) * 1_000)
      let isHigh = index % 2 == 0
      shown.append(prediction("p\(index)", user, item, time, score: isHigh ? 0.9 : 0.1))
      if isHigh ? index % 10 != 0 : index % 20 == 1 { clicked.append(click(user, item, time + 5_000)) }
    }
    // One comes twice, and counts once.
    shown.append(shown[3])
    let predictions = try EventProducer(site, source: "ranker_predictions")
    let clicks = try EventProducer(site)
    try predictions.produce(shown)
    try clicks.produce(clicked)
    // An event of far ahead holds up what comes behind it in a join's log.
    try site.awaitFolded(records: shown.count + clicked.count)
    // Forty minutes on, everything is due.
    let end = start + 2_400_000
    let users = (0..<12).map { "u\($0)" }
    try predictions.produce(users.map { prediction("end-\($0)", $0, "end", end, score: 0.1) })
    try clicks.produce(users.map { click($0, "other", end) })
    let at = RFC3339.format(EventTime(microseconds: end * 1_000))
    func lines(_ more: [String] = []) throws -> [[String: Any]] {
      try site.answer(["monitor", "ranker", "--json", "--at", at] + more).split(separator: "\n").filter {
        $0.first == "{"
      }.map {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:]
      }
    }
    func measure(_ name: String, _ line: [String: Any], _ window: String = "24h") -> Double? {
      let rows = line["measures"] as? [[String: Any]]
      return rows?.first { $0["name"] as? String == name }?[window] as? Double
    }
    try waitUntil("all outcomes are known: \(String(describing: try? lines())), \(site.logs)", seconds: 120) {
      try lines().first.flatMap { measure("labelled", $0) } == 200
    }
    for line in try lines() + lines(["--by", "country"]) {
      expect(line["model_version"] as? String == "7", "\(line)")
      expect(measure("predictions", line) == 212, "\(line)")
      expect(measure("labelled", line, "1h") == 200, "\(line)")
      // 80 of the true labels have 0.9, 10 have 0.1; of the false ones 20 and 90. Ties count half.
      let (won, tied): (Double, Double) = (80 * 90, 80 * 20 + 10 * 90)
      let auc: Double = (won + tied / 2) / Double(90 * 110)
      expect(abs((measure("auc", line) ?? 0) - auc) < 1e-9, "\(line)")
      expect(measure("auc", line, "training") == 0.9, "\(line)")
      // Every price is above the edge, and half of the training set's were: they have drifted more than the scores.
      let drift = line["drift"] as? [[String: Any]]
      expect(drift?.map { $0["name"] as? String } == ["price", "score"], "\(line)")
      expect(drift?.first?["24h"] as? Double ?? 0 > 0.5, "\(line)")
    }
    expect(try lines(["--by", "country"]).first?["country"] as? String == "ch", "by country")
    let table = try site.answer(["monitor", "ranker", "--at", at])
    expect(
      table.contains("version 7: latest prediction ") && table.contains("drift (psi_excess)")
        && table.contains("  labelled            200"), table)
    problems += try plotted(site) + measured(site)
    let verify = try site.command(["verify", "--redis", site.redis.url])
    let isProven = try verify.status(within: 120) == 0
    expect(isProven, verify.text)
    return problems + site.complaints()
  }

  /// The curves are drawn from the snapshots, and the trigger that has fired is marked.
  private static func plotted(_ site: Site) throws -> [String] {
    let path = site.path("ranker.svg")
    let plot = try site.command(["monitor", "ranker", "--redis", site.redis.url, "--plot", path])
    guard try plot.status(within: 60) == 0 else { return [plot.text] }
    let svg = try String(contentsOfFile: path, encoding: .utf8)
    let needed = [
      "<polyline", ">7 auc<", ">7 expected_auc<", ">training 0.9<", "psi_excess_max, 24h", ">drifted (7)<",
    ]
    return needed.filter { !svg.contains($0) }.map { "no \($0) in \(svg)" }
  }

  /// In event time of ten days ago nothing is in the windows now; what the training set has is there all the same.
  private static func measured(_ site: Site) throws -> [String] {
    let lines = Endpoint(site).metrics.filter {
      $0.hasPrefix("plumb_model_") || $0.hasPrefix("plumb_outcome_")
    }
    let needed = [
      "plumb_model_training_measure{model=\"ranker\",model_version=\"7\",measure=\"auc\"} 0.9",
      "plumb_model_measure{model=\"ranker\",model_version=\"7\",measure=\"labelled\",window=\"24h\"} 0",
    ]
    let lags = lines.filter { $0.hasPrefix("plumb_outcome_lag_seconds{join=\"ranker_outcomes\",partition=") }
    return needed.filter { !lines.contains(Substring($0)) }.map { "no \($0) in \(lines)" }
      + (lags.count == 3 && lags.allSatisfy { $0.hasSuffix(" 0") } ? [] : ["lags: \(lags)"])
  }
}
