import DefinitionFiles
import FeatureCore
import Foundation
import Testing
import TestSupport

/// Baselines in definitions files, in place and in files of their own.
@Suite struct BaselineFileTests {
  private static let price = Baseline(.edges([-0.0, 2.5, 1e300]), counts: [3, 0, 12, 1], nulls: 4)
  private static let country = Baseline(.categories(["de", "a \"b\"\n/é"]), counts: [7, 5, 2], nulls: 0)
  private static let file = BaselineFile(
    rows: 20, columns: ["price": price, "view__country": country], measures: ["log_loss": 0.25, "auc": 1 / 3])

  private static func definitions(_ feature: String) -> String {
    """
    name: n
    sources: { s: { topic: s, timestamp: { field: ts, unit: ms }, fields: { user: string, price: double, country: string } } }
    views: { v: { source: s, entity: [user], features: { f: \(feature) } } }
    """
  }

  /// What is said of a file with this feature, or nothing.
  private static func problems(_ feature: String, in folder: TemporaryFolder) throws -> [String] {
    let path = try folder.write(Array(definitions(feature).utf8), to: "features.yaml")
    do {
      _ = try DefinitionFile.compile(path: path)
      return []
    } catch {
      return error.problems.map {
        "\($0.line):\($0.column): \($0.message)" + ($0.suggestion.map { "; \($0)" } ?? "")
      }
    }
  }

  private static func baseline(_ value: String, of feature: String, in folder: TemporaryFolder) throws
    -> Baseline?
  {
    let text = definitions("{ aggregate: psi, value: \(value), windows: 1h, baseline: \(feature) }")
    let path = try folder.write(Array(text.utf8), to: "features.yaml")
    let file = try DefinitionFile.load(path: path) { _, _ in [] }
    guard case .aggregate(let aggregate)? = file.definitions.views[0].features.first?.computation else {
      return nil
    }
    return aggregate.baseline
  }

  @Test func readsWhatItWrites() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Array(Self.file.text.utf8), to: "b.json")
    let read = try BaselineFile.read(path: path)
    #expect(read == Self.file)
    #expect(read.text == Self.file.text)
    #expect(
      Self.file.text == #"""
        {
          "plumb_baseline": 1,
          "rows": 20,
          "measures": {"auc":0.3333333333333333,"log_loss":0.25},
          "columns": {
            "price": {"counts":[3,0,12,1],"edges":[-0,2.5,1e+300],"nulls":4},
            "view__country": {"categories":["de","a \"b\"\n/é"],"counts":[7,5,2],"nulls":0}
          }
        }

        """#)
  }

  /// Files are looked for beside the definitions, whatever the working directory is.
  @Test func definitionsReadThem() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      at: folder.url.appending(path: "models"), withIntermediateDirectories: true)
    try folder.write(Array(Self.file.text.utf8), to: "models/m.json")
    #expect(try Self.baseline("price", of: "models/m.json", in: folder) == Self.price)
    #expect(try Self.baseline("price", of: "{ file: models/m.json }", in: folder) == Self.price)
    let named = "{ file: models/m.json, column: view__country }"
    #expect(try Self.baseline("lower(country)", of: named, in: folder) == Self.country)
    let absolute = folder.path("models/m.json")
    #expect(try Self.baseline("price", of: absolute, in: folder) == Self.price)
    let edges = "{ edges: [0, 2.5], counts: [3, 4, 12], nulls: 1 }"
    #expect(
      try Self.baseline("price", of: edges, in: folder)
        == Baseline(.edges([0, 2.5]), counts: [3, 4, 12], nulls: 1))
    let categories = "{ categories: [de, '1'], counts: [3, 4, 12] }"
    #expect(
      try Self.baseline("country", of: categories, in: folder)
        == Baseline(.categories(["de", "1"]), counts: [3, 4, 12]))
  }

  /// What a file holds is part of what definitions mean.
  @Test func fingerprintsCoverTheContent() throws {
    let folder = try TemporaryFolder()
    let text = Self.definitions("{ aggregate: psi, value: price, windows: 1h, baseline: m.json }")
    let path = try folder.write(Array(text.utf8), to: "features.yaml")
    func fingerprint(_ file: BaselineFile) throws -> UInt64 {
      try folder.write(Array(file.text.utf8), to: "m.json")
      return try DefinitionFile.compile(path: path).fingerprint
    }
    let before = try fingerprint(Self.file)
    var other = Self.file
    other.columns["view__country"]?.counts[0] += 1
    other.measures = [:]
    #expect(try fingerprint(other) == before, "another column")
    other.columns["price"]?.counts[0] += 1
    #expect(try fingerprint(other) != before)
  }

  private static let broken: [(feature: String, expected: [String])] = [
    (
      "nothing.json",
      [
        "3:112: the baseline 'nothing.json': it cannot be read; write it with 'plumb baseline', or name another"
      ]
    ),
    (
      "text.json",
      ["3:112: the baseline 'text.json': it is no baseline: it is not JSON; write it with 'plumb baseline'"]
    ),
    (
      "future.json",
      ["3:112: the baseline 'future.json': it is of format 2, not 1; write it with 'plumb baseline'"]
    ),
    (
      "untyped.json",
      [
        "3:112: the baseline 'untyped.json': it is no baseline: 'columns.price.counts.1' is not of the right type; write it with 'plumb baseline'"
      ]
    ),
    (
      "bare.json",
      [
        "3:112: the baseline 'bare.json': it is no baseline: 'columns.price.counts' is missing; write it with 'plumb baseline'"
      ]
    ),
    (
      "both.json",
      [
        "3:112: the baseline 'both.json': column 'price' needs either 'edges' or 'categories'; write it with 'plumb baseline'"
      ]
    ),
    ("other.json", ["3:112: the baseline 'other.json' has no column 'price'; did you mean 'prices'?"]),
    (
      "strange.json",
      [
        "3:112: the baseline 'strange.json' has no column 'price'; name one with { file: strange.json, column: ... }"
      ]
    ),
    ("short.json", ["3:112: the baseline has 1 edges and 1 counts; write 2 counts: one more than edges"]),
    (
      "{ file: strange.json, column: x, counts: [1] }",
      ["3:153: 'counts' does not go with 'file'; keep one of them"]
    ),
    (
      "{ file: nothing.json }",
      [
        "3:120: the baseline 'nothing.json': it cannot be read; write it with 'plumb baseline', or name another"
      ]
    ),
    (
      "{ counts: [1] }",
      [
        "3:112: a baseline needs 'edges', 'categories' or 'file'; for example { edges: [1, 10], counts: [120, 80, 40] }"
      ]
    ),
    ("{ edges: [1] }", ["3:102: a baseline needs 'counts'; for example counts: [120, 80, 40]"]),
    (
      "{ edges: [1], categories: [a], counts: [1, 2] }",
      ["3:112: 'categories' does not go with 'edges'; keep one of them"]
    ),
    (
      "{ edges: [1], counts: [1, 2], column: a }",
      ["3:150: 'column' goes with 'file'; add the file, or remove it"]
    ),
    (
      "{ edges: [2, 1], counts: [1, 2, 3] }",
      ["3:114: the baseline's edges do not ascend; sort them and remove doubles"]
    ),
    ("[1]", ["3:112: expected the name of a file, or a mapping, found a list"]),
  ]

  @Test(arguments: broken) func whatIsWrongIsSaid(feature: String, expected: [String]) throws {
    let folder = try TemporaryFolder()
    let files = [
      "text.json": "edges: [1]", "future.json": #"{"plumb_baseline": 2, "rows": 1, "columns": {}}"#,
      "untyped.json": Self.json(#""price": {"edges": [1], "counts": [1, "2"]}"#),
      "bare.json": Self.json(#""price": {"edges": [1]}"#),
      "both.json": Self.json(#""price": {"edges": [1], "categories": ["a"], "counts": [1, 2]}"#),
      "other.json": Self.json(#""prices": {"edges": [1], "counts": [1, 2]}"#),
      "strange.json": Self.json(#""x": {"edges": [1], "counts": [1, 2]}"#),
      "short.json": Self.json(#""price": {"edges": [1], "counts": [1]}"#),
    ]
    for (name, text) in files { try folder.write(Array(text.utf8), to: name) }
    let text = "{ aggregate: psi, value: price, windows: 1h, baseline: \(feature) }"
    let found = try Self.problems(text, in: folder)
    #expect(found == expected)
  }

  private static func json(_ columns: String) -> String {
    #"{"plumb_baseline": 1, "rows": 3, "columns": {\#(columns)}}"#
  }
}
