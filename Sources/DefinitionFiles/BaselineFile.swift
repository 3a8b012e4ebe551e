public import FeatureCore
import Foundation

/// What `plumb baseline` writes and definitions read: the columns of a training set as baselines, and the measures of its scores.
///
/// One line a column, in the order of their names, so that files of the same rows are the same and differences can be read.
public struct BaselineFile: Sendable, Hashable {
  /// Rows of the training set.
  public var rows: Int64
  /// By the column's name.
  public var columns: [String: Baseline]
  /// By the measure's name, such as `auc`.
  public var measures: [String: Double]

  /// A file from its parts.
  public init(rows: Int64, columns: [String: Baseline], measures: [String: Double] = [:]) {
    self.rows = rows
    self.columns = columns
    self.measures = measures
  }

  /// Bytes of a file: a thousand columns of long categories.
  static let bytesMax = 16 << 20
  private static let format = 1

  /// The file's text.
  public var text: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    func json(_ value: some Encodable) -> String {
      guard let data = try? encoder.encode(value) else { preconditionFailure("Cannot encode finite numbers") }
      return String(decoding: data, as: UTF8.self)
    }
    let lines = columns.sorted { Text($0.key) < Text($1.key) }.map { name, baseline in
      "    \(json(name)): \(json(Column(baseline)))"
    }
    return """
      {
        "plumb_baseline": \(Self.format),
        "rows": \(rows),
        "measures": \(json(measures)),
        "columns": {
      \(lines.joined(separator: ",\n"))
        }
      }

      """
  }

  /// Reads a file; the error says what is wrong with it and what to do, without its name.
  public static func read(path: String) throws(BaselineFileError) -> BaselineFile {
    guard let handle = FileHandle(forReadingAtPath: path),
      let data = try? handle.read(upToCount: bytesMax + 1) ?? Data()
    else { throw BaselineFileError("it cannot be read", "write it with 'plumb baseline', or name another") }
    guard data.count <= bytesMax else {
      throw BaselineFileError("it has more than \(bytesMax) bytes", "leave out columns that no feature names")
    }
    let written = "write it with 'plumb baseline'"
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: data)
    } catch let error as DecodingError {
      throw BaselineFileError("it is no baseline: \(problem(error))", written)
    } catch {
      throw BaselineFileError("it is no baseline", written)
    }
    guard file.plumb_baseline == format else {
      throw BaselineFileError("it is of format \(file.plumb_baseline), not \(format)", written)
    }
    var columns: [String: Baseline] = [:]
    for (name, column) in file.columns {
      guard let baseline = column.baseline else {
        throw BaselineFileError("column '\(name)' needs either 'edges' or 'categories'", written)
      }
      columns[name] = baseline
    }
    return BaselineFile(rows: file.rows, columns: columns, measures: file.measures ?? [:])
  }

  private static func problem(_ error: DecodingError) -> String {
    func at(_ context: DecodingError.Context, _ last: String? = nil) -> String {
      (context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue } + [last].compactMap(\.self))
        .joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context): return "'\(at(context, key.stringValue))' is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return "'\(at(context))' is not of the right type"
    case .dataCorrupted(let context) where !context.codingPath.isEmpty:
      return "'\(at(context))' is out of range"
    default: return "it is not JSON"
    }
  }

  /// As it is written.
  private struct File: Decodable {
    var plumb_baseline: Int
    var rows: Int64
    var measures: [String: Double]?
    var columns: [String: Column]
  }

  private struct Column: Codable {
    var edges: [Double]?
    var categories: [String]?
    var counts: [Int64]
    var nulls: Int64?

    init(_ baseline: Baseline) {
      switch baseline.bins {
      case .edges(let edges): self.edges = edges
      case .categories(let categories): self.categories = categories
      }
      counts = baseline.counts
      nulls = baseline.nulls
    }

    var baseline: Baseline? {
      switch (edges, categories) {
      case (let edges?, nil): Baseline(.edges(edges), counts: counts, nulls: nulls ?? 0)
      case (nil, let categories?): Baseline(.categories(categories), counts: counts, nulls: nulls ?? 0)
      default: nil
      }
    }
  }
}

/// Why a baseline can't be had from a file.
public struct BaselineFileError: Error, Sendable {
  /// What is wrong.
  public let problem: String
  /// What to do.
  public let remedy: String

  init(_ problem: String, _ remedy: String) {
    self.problem = problem
    self.remedy = remedy
  }
}
