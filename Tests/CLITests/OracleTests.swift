import Foundation
import Testing

/// The features of real events equal what DuckDB computes from the same events in plain SQL.
///
/// `Oracle/*.yaml` are the definitions; the SQL is in `Oracle/*.py`, which print what they compared.
@Suite struct OracleTests {
  /// What the tests need beside the binary.
  enum Needs {
    static let data =
      ProcessInfo.processInfo.environment["PLUMB_TEST_DATA"]
      ?? Workspace.root.deletingLastPathComponent().appendingPathComponent("shared/data").path
    static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"

    static let areMet: Bool = {
      guard FileManager.default.fileExists(atPath: "\(data)/jd/events.ndjson.zst") else { return false }
      return (try? Workspace().shell("\(python) -c 'import duckdb' && command -v zstd").status) == 0
    }()

    static let comment: Comment =
      "needs PLUMB_TEST_DATA, zstd, and DuckDB in the Python of PLUMB_PYTHON"
  }

  private let work: Workspace
  private let oracle = Workspace.root.appendingPathComponent("Tests/CLITests/Oracle").path

  init() throws { work = try Workspace() }

  private func compare(_ script: String, _ arguments: String) throws {
    let result = try work.shell("\(Needs.python) -B \(oracle)/\(script) '\(Needs.data)' \(arguments)")
    print(result.output, terminator: "")
    #expect(result.status == 0, "\(result.output)\(result.error)")
  }

  /// Features of users, items and pairs at a time, and training rows for every request.
  @Test(.enabled(if: Needs.areMet, Needs.comment)) func shopFeaturesEqualSQL() throws {
    // Not only the end: the mid time is exactly that of an event, which counts.
    let tables = ["by_user@end", "by_item@end", "by_user_category@end", "by_item@1457877888000"]
    let events = "\(Needs.data)/jd/events.ndjson.zst"
    for table in tables {
      let parts = table.split(separator: "@").map(String.init)
      try work.done(
        "replay", "-d", "\(oracle)/jd.yaml", "--events", events, "--view", parts[0], "--features-at",
        parts[1], "--out", "\(table).ndjson")
    }
    try work.done(
      "training-set", "-d", "\(oracle)/jd.yaml", "--as", "happened", "--events", events, "--view", "by_user",
      "--view", "by_item", "--spine", "\(Needs.data)/jd/requests.csv.zst", "--spine-time", "time", "--label",
      "event_type = 'order'", "--within", "7d", "--on", "user_id,sku_id", "--out", "training.ndjson")
    try compare("jd_oracle.py", ". \(tables.joined(separator: " "))")
  }

  /// Rows of tables as they were at a row's time, beside features of events.
  @Test(.enabled(if: Needs.areMet, Needs.comment)) func tablesEqualAsofJoin() throws {
    try compare("table_oracle.py", "make")
    try work.done(
      "training-set", "-d", "\(oracle)/tables.yaml", "--as", "happened", "--events",
      "actions=\(Needs.data)/jd/events.ndjson.zst", "users=users.ndjson", "products=products.ndjson",
      "--view", "activity", "--view", "profile", "--view", "product", "--spine",
      "\(Needs.data)/jd/requests.csv.zst", "--source", "actions", "--spine-time", "time", "--out",
      "training.ndjson")
    try compare("table_oracle.py", "compare")
  }

  /// The labelled impressions are events too, and none sees itself or its own click.
  @Test(.enabled(if: Needs.areMet, Needs.comment)) func labelledEventsDoNotSeeThemselves() throws {
    let events = "\(Needs.data)/obd/impressions.ndjson.zst"
    // Every sixth: a row costs much and proves little more.
    #expect(try work.shell("zstd -dc '\(events)' | sed -n '1~6p' > spine.ndjson").status == 0)
    try work.done(
      "training-set", "-d", "\(oracle)/obd.yaml", "--as", "happened", "--events", events, "--spine",
      "spine.ndjson", "--out", "training.ndjson")
    try compare("obd_oracle.py", "training.ndjson")
  }
}
