import Foundation
import Testing

/// Public data sets are read as they come: files of a few rows in the shape of each, made by hand, give what DuckDB computes from
/// the same file.
@Suite struct DataSetTests {
  private static let folder = Workspace.root.appendingPathComponent("Tests/CLITests/DataSets").path
  private static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"
  private static var hasDuckDB: Bool {
    (try? Workspace().shell("\(python) -c 'import duckdb'").status) == 0
  }

  @Test(
    .enabled(if: hasDuckDB, "needs DuckDB in the Python of PLUMB_PYTHON"))
  func answersEqualSQL() throws {
    let work = try Workspace()
    let files = [
      "movielens.csv", "rees46.csv", "github.ndjson", "ga4.ndjson", "kuairec.csv", "retailrocket.csv",
    ]
    var arguments = ""
    for file in files {
      let name = String(file.prefix { $0 != "." })
      try work.done(
        "replay", "-d", "\(Self.folder)/\(name).yaml", "--events", "\(Self.folder)/\(file)", "--features-at",
        "end", "--out", "\(name).csv", "--dead-letters", "\(name).letters.ndjson")
      arguments += " \(name) \(name).csv"
    }
    // Views without a time are KuaiRec's own.
    let letters = try files.map { try work.read("\($0.prefix { $0 != "." }).letters.ndjson") }.joined()
    #expect(letters.split(separator: "\n").count == 1 && letters.contains("missing_time"), "\(letters)")
    let compared = try work.shell(
      "\(Self.python) -B \(Self.folder)/data_sets.py \(Self.folder)\(arguments)")
    #expect(compared.status == 0, "\(compared.output)\(compared.error)")
  }
}
