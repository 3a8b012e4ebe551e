import EventFiles
public import FeatureCore
import Parquet

/// What the columns of a training set hold, and how good its scores are. One column is in memory at a time.
public struct TrainingSurvey: Sendable {
  /// Rows of the file.
  public let rows: Int64
  /// The columns that can be compared with, in the file's order; the label is none.
  public private(set) var columns: [(name: String, baseline: Baseline)] = []
  /// The others, and why.
  public private(set) var leftOut: [(name: String, reason: String)] = []
  /// The measures of the scores against the labels, by name.
  public private(set) var measures: [String: Double] = [:]

  private let path: String

  /// Reads a Parquet file. `label` and `score` name columns that are held against each other: bools, 0 and 1 or other
  /// numbers, and what was predicted of them.
  public init(path: String, predictions: (label: String, score: String)?) throws(TableError) {
    self.path = path
    try Self.checkForm(path)
    let contents = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader.contents(ParquetInput(path: path))
    }
    rows = try Self.reader(path, []).rowCount
    guard rows > 0 else {
      throw TableError(
        path: path, problem: "has no rows", remedy: "write the rows that the model is trained on")
    }
    if let (label, score) = predictions { try measure(label, score, among: contents.map(\.name)) }
    for (name, problem) in contents where name != predictions?.label {
      if let problem { leftOut.append((name, problem)) } else { try survey(name) }
    }
    guard !columns.isEmpty else {
      throw TableError(
        path: path, problem: "has no column of numbers, texts or bools", remedy: "write the features as such")
    }
  }

  private static func checkForm(_ path: String) throws(TableError) {
    let content: FileContent
    do throws(EventFileError) {
      var source = try ByteSource(path: path, inputBytes: 1 << 16)
      content = try FileContent.of(&source).content
    } catch {
      throw TableError(error)
    }
    guard content == .parquet else {
      throw TableError(
        path: path, problem: "is no Parquet file",
        remedy:
          "write the training set as Parquet, for example with 'plumb training-set --out training.parquet'")
    }
  }

  private static func reader(_ path: String, _ columns: [String]) throws(TableError) -> ParquetReader {
    try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader(ParquetInput(path: path), columns: columns)
    }
  }

  /// Reads one column, batch by batch.
  private func read(_ name: String, _ body: (ParquetVector) throws(TableError) -> Void) throws(TableError) {
    var reader = try Self.reader(path, [name])
    while let batch = try TableError.ofParquet({ () throws(ParquetError) in try reader.next() }) {
      try body(batch.columns[0])
    }
  }

  private func type(of name: String) throws(TableError) -> FeatureType {
    try Self.reader(path, [name]).columns[0].type
  }

  // MARK: Columns

  private mutating func survey(_ name: String) throws(TableError) {
    let baseline: Baseline?
    switch try type(of: name) {
    case .scalar(let type) where type == .int64 || type == .double:
      let (values, nulls) = try numbers(name)
      baseline = .ofNumbers(values, nulls: nulls, isWhole: type == .int64)
    case .scalar(let type) where type == .string || type == .bool:
      let (counts, nulls) = try texts(name)
      baseline = .ofTexts(counts, nulls: nulls)
    case let other:
      leftOut.append((name, "it holds \(other), which no measure of drift takes"))
      return
    }
    if let baseline { columns.append((name, baseline)) } else { leftOut.append((name, "it has no value")) }
  }

  private func numbers(_ name: String) throws(TableError) -> (values: [Double], nulls: Int64) {
    var values: [Double] = []
    var nulls: Int64 = 0
    values.reserveCapacity(Int(clamping: min(rows, 1 << 24)))
    try read(name) { vector in
      for row in 0..<vector.rowCount {
        if vector.isNull(row) { nulls += 1 } else { values.append(vector.number(row)) }
      }
    }
    return (values, nulls)
  }

  private func texts(_ name: String) throws(TableError) -> (counts: [Text: Int64], nulls: Int64) {
    var counts: [Text: Int64] = [:]
    var nulls: Int64 = 0
    try read(name) { vector in
      for row in 0..<vector.rowCount {
        switch vector.value(row) {
        case .string(let text): counts[text, default: 0] += 1
        case .bool(let value): counts[value ? "true" : "false", default: 0] += 1
        default: nulls += 1
        }
      }
    }
    return (counts, nulls)
  }

  // MARK: Measures

  private mutating func measure(_ label: String, _ score: String, among names: [String]) throws(TableError) {
    let labels = try predictionColumn(label, "label", [.bool, .int64, .double], among: names)
    let scores = try predictionColumn(score, "score", [.int64, .double], among: names)
    var pairs: (labels: [Double], scores: [Double], rows: [Int]) = ([], [], [])
    for (row, (label, score)) in zip(labels, scores).enumerated() where label.isFinite && score.isFinite {
      pairs.labels.append(label)
      pairs.scores.append(score)
      pairs.rows.append(row)
    }
    guard !pairs.labels.isEmpty else {
      throw TableError(
        path: path, problem: "no row has both a '\(label)' and a '\(score)'",
        remedy: "name columns that have values")
    }
    guard pairs.labels.allSatisfy({ $0 == 0 || $0 == 1 }) else {
      measures = ReferenceMeasures.ofNumbers(pairs.scores, pairs.labels)
      return
    }
    if let index = pairs.scores.firstIndex(where: { !(0...1 ~= $0) }) {
      throw TableError(
        path: path,
        problem:
          "column '\(score)', row \(pairs.rows[index] + 1): \(pairs.scores[index]) is not from 0 to 1, and the labels are true or false",
        remedy: "write probabilities")
    }
    measures = ReferenceMeasures.ofScores(pairs.scores, pairs.labels.map { $0 == 1 })
  }

  /// A column as numbers, of a true bool 1; NaN for null.
  private func predictionColumn(
    _ name: String, _ what: String, _ types: [ValueType], among names: [String]
  ) throws(TableError) -> [Double] {
    guard names.contains(name) else {
      throw TableError(
        path: path, problem: "has no column '\(name)', which is to be the \(what)",
        remedy: Suggestion.didYouMean(name, among: names)
          ?? (names.isEmpty ? "there are no columns" : "the columns are \(names.joined(separator: ", "))"))
    }
    let type = try type(of: name)
    guard case .scalar(let scalar) = type, types.contains(scalar) else {
      throw TableError(
        path: path, problem: "the \(what) '\(name)' is \(type)",
        remedy: what == "label" ? "write a bool or a number" : "write a number")
    }
    var values: [Double] = []
    try read(name) { vector in
      for row in 0..<vector.rowCount { values.append(vector.isNull(row) ? .nan : vector.number(row)) }
    }
    return values
  }
}

extension ParquetVector {
  /// A row that is not null of a column of numbers or bools.
  fileprivate func number(_ row: Int) -> Double {
    switch column.valueType {
    case .double: Double(bitPattern: bits(row))
    case .bool: bits(row) == 1 ? 1 : 0
    default: Double(Int64(bitPattern: bits(row)))
    }
  }
}
