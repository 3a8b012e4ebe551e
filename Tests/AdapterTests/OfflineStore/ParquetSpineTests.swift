import FeatureCore
import Foundation
import OfflineStore
import Parquet
import Testing
import TestSupport

/// Columns of doubles in spines: ids that pandas made of integers, and what is no number.
@Suite struct ParquetSpineTests {
  private let folder: TemporaryFolder
  private let plan: Plan

  init() throws {
    folder = try TemporaryFolder()
    let source = Source(
      "clicks", topic: "clicks", timestamp: .init(field: "ts", unit: .seconds),
      fields: [.init("id", .int64)])
    let ids = View(
      "ids", source: "clicks", entity: ["id"],
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    plan = try Plan(Definitions(name: "shop", sources: [source], views: [ids]))
  }

  /// Joins rows of `ts`, an entity column and a kept column of doubles.
  private func join(
    _ type: ValueType, _ entities: [FeatureValue], kept: [FeatureValue]? = nil
  ) throws -> TrainingJoin {
    let columns = [
      ParquetColumn("ts", .scalar(.int64)), ParquetColumn("id", .scalar(type)),
      ParquetColumn("kept", .scalar(.double)),
    ]
    var writer = ParquetWriter(columns: columns)
    for (index, entity) in entities.enumerated() {
      writer.append(FeatureValue.int64(100), to: 0)
      writer.append(entity, to: 1)
      writer.append(kept?[index] ?? .null, to: 2)
      _ = writer.endRow()
    }
    var bytes: [UInt8] = []
    writer.finish { bytes.append(contentsOf: $0) }
    let path = try folder.write(bytes, to: "spine.parquet")
    let join = TrainingJoin(
      [JoinedView(plan.views[0], source: plan.sources[0])], version: 1,
      time: SpineTime("ts", unit: .seconds))
    try join.readSpine(path: path)
    return join
  }

  private func counts(_ join: TrainingJoin) throws -> [FeatureValue] {
    var values: [FeatureValue] = []
    try join.rows().forEach { values += $0.features[0].values }
    return values
  }

  private func problem(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func idsThatDoublesHoldAreTaken() throws {
    let largest = 9_007_199_254_740_991.0
    #expect(
      try counts(join(.double, [.double(largest), .double(-largest), .double(.nan), .null]))
        == [.int64(0), .int64(0), .null, .null])
  }

  @Test(arguments: [9_007_199_254_740_992.0, -9_007_199_254_740_992.0, 1e18, 1e300])
  func idsThatDoublesMixUpAreRefused(_ id: Double) throws {
    let problem = problem { _ = try join(.double, [.double(1), .double(id)]) }
    #expect(problem.contains("spine.parquet: column 'id', row 2: \(id) was a double"))
    #expect(problem.contains("in pandas as Int64"))
  }

  @Test func whatIsNoIntegerIsNamed() {
    for (value, text) in [(Double.infinity, "inf"), (0.5, "0.5")] {
      let problem = problem { _ = try join(.double, [.double(value)]) }
      #expect(problem.contains("row 1: '\(text)' is no int64"))
    }
  }

  @Test(arguments: [FeatureTableFormat.csv, .ndjson])
  func keptDoublesAreWrittenAsText(_ format: FeatureTableFormat) throws {
    let path = folder.url.appendingPathComponent("out").path
    let missing = try join(.double, [.double(7), .double(8)], kept: [.double(.nan), .double(1.5)])
    try TrainingTable(try missing.rows()).write(path: path, format: format)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    switch format {
    case .csv: #expect(text.contains("\n100,7.0,,0,") && text.contains("\n100,8.0,1.5,0,"))
    case .ndjson, .parquet: #expect(text.contains("\"kept\":null,") && text.contains("\"kept\":1.5,"))
    }
    let endless = try join(.double, [.double(7)], kept: [.double(-.infinity)])
    let problem = problem { try TrainingTable(try endless.rows()).write(path: path, format: format) }
    #expect(problem.contains("column 'kept', row 1: CSV and NDJSON cannot hold -inf"))
    let kept = try join(.double, [.double(7)], kept: [.double(-.infinity)])
    try TrainingTable(try kept.rows()).writeParquet(path: path + ".parquet")
  }

  @Test func integersWrittenAsDoublesInText() throws {
    func read(_ text: String) throws -> [FeatureValue] {
      let path = try folder.write(Array("ts,id\n100,\(text)\n".utf8), to: "spine.csv")
      let join = TrainingJoin(
        [JoinedView(plan.views[0], source: plan.sources[0])], version: 1,
        time: SpineTime("ts", unit: .seconds))
      try join.readSpine(path: path)
      return try counts(join)
    }
    #expect(try read("56706.0") == [.int64(0)])
    #expect(try read("9007199254740993") == [.int64(0)])
    #expect(
      problem { _ = try read("9007199254740992.0") }.contains(
        "spine.csv:2: column 'id': 9007199254740992.0 was a double"))
    #expect(problem { _ = try read("1.5") }.contains("'1.5' is no int64"))
  }
}
