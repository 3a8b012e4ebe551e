public import FeatureCore
import Processor
import Synchronization

/// The sources whose records clients send over HTTP, and the way to their topics.
public final class Predictions: Sendable {
  /// A record on its way to its topic.
  public struct Record: Sendable {
    /// The topic.
    public let topic: String
    /// The value of the source's key, as producers write it; nil for a source without one.
    public let key: [UInt8]?
    /// A JSON object.
    public let value: [UInt8]
  }

  /// Writes records, and returns for each why the brokers haven't acknowledged it; nil if they have. Blocks meanwhile.
  public typealias Writer = @Sendable (_ records: [Record]) -> [String?]

  /// Why a source can't be written to over HTTP.
  public struct Failure: Error, CustomStringConvertible {
    /// Which, and what to do.
    public let description: String
  }

  /// Rows that wait for the brokers; more are refused.
  let rowsMax: Int
  let write: Writer
  /// By version of the definitions.
  private let sources: [Int: [PredictionSource]]

  /// The sources of some names, in each version of the definitions that has them.
  public init(_ plans: [Plan], _ names: [String], rowsMax: Int, write: @escaping Writer) throws(Failure) {
    var sources: [Int: [PredictionSource]] = [:]
    for name in names where !plans.contains(where: { $0.sources.contains { $0.source.name == name } }) {
      let known = plans.flatMap { $0.sources.map(\.source.name) }
      let meant = Suggestion.didYouMean(name, among: known) ?? "there are \(known.joined(separator: ", "))"
      throw Failure(description: "predictions: there is no source '\(name)'; \(meant)")
    }
    for plan in plans {
      for source in plan.sources where names.contains(source.source.name) {
        sources[plan.version, default: []].append(try PredictionSource(source))
      }
    }
    self.sources = sources
    self.rowsMax = rowsMax
    self.write = write
  }

  /// Those of a version.
  func sources(of catalog: Catalog) -> [PredictionSource] { sources[catalog.plan.version] ?? [] }
}

/// A source that clients write to. What it takes is what `plumb run` can use: one judge decides both.
final class PredictionSource: Sendable {
  /// Why a row isn't taken.
  struct Refusal: Error {
    var message: String
  }

  private struct Judge {
    let judge: RecordJudge
    let batch: EventBatch
  }

  let plan: SourcePlan
  /// The members of a row, each once.
  let members: [String]
  private let judge: Mutex<Judge>

  var name: String { plan.source.name }

  init(_ plan: SourcePlan) throws(Predictions.Failure) {
    let source = plan.source
    func fail(_ problem: String) -> Predictions.Failure {
      Predictions.Failure(description: "predictions: the source '\(source.name)' \(problem)")
    }
    if source.isTable { throw fail("is a table: its rows come from a capture, or from who owns the topic") }
    if plan.joinFingerprint != nil { throw fail("is what a join makes: write to what it joins") }
    if source.each != nil { throw fail("has several events in a record: name one whose records are events") }
    var members: [String] = []
    for column in plan.schema.columns {
      switch column.origin {
      case .json(let path):
        guard case .member(let member)? = path.steps.first, !members.contains(member) else { continue }
        members.append(member)
      case .recordKey:
        throw fail("reads its records' keys, and rows have none: declare the field in the value")
      case .header:
        throw fail("reads its records' headers, and rows have none: declare the field in the value")
      // Only changes of tables have a commit, and they are refused above.
      case .recordTimestamp, .computed, .commit: continue
      }
    }
    self.plan = plan
    self.members = members
    judge = Mutex(Judge(judge: RecordJudge(plan), batch: EventBatch(plan.schema, capacity: 1)))
  }

  /// The record of a row, at the time when it is written.
  func record(_ row: JSONValue, now: EventTime) throws(Refusal) -> Predictions.Record {
    guard case .object(let values) = row else {
      throw Refusal(message: "an object was expected, found \(row.kind)")
    }
    for (member, _) in values where !members.contains(member) {
      let meant =
        Suggestion.didYouMean(member, among: members) ?? "there are \(members.joined(separator: ", "))"
      throw Refusal(message: "the source has no field '\(member)'; \(meant)")
    }
    var text = JSONText()
    text.value(row)
    let bytes = text.bytes
    let key = try judge.withLock { judge throws(Refusal) -> [UInt8]? in
      try bytes.span.bytes.withUnsafeBytes { (payload: UnsafeRawBufferPointer) throws(Refusal) -> [UInt8]? in
        try self.key(of: payload, judge, now)
      }
    }
    return Predictions.Record(topic: plan.source.topic, key: key, value: bytes)
  }

  private func key(
    of payload: UnsafeRawBufferPointer, _ judge: Judge, _ now: EventTime
  ) throws(Refusal) -> [UInt8]? {
    let record = LogRecord(
      partition: 0, offset: 0, timestampMilliseconds: now.microseconds / 1_000, key: nil, value: payload)
    let letters = withUnsafePointer(to: record) {
      judge.judge.decode(UnsafeBufferPointer(start: $0, count: 1), into: judge.batch)
    }
    if let letter = letters.first?.letter { throw Refusal(message: letter.message) }
    guard let column = plan.schema.keyColumn, judge.batch.count > 0 else { return nil }
    let type = plan.schema.columns[column].type
    let value = FeatureValue(judge.batch.row(0)[column], type)
    let entity = EntityColumn(name: plan.schema.columns[column].name, type: type, column: 0)
    guard let key = EntityKey.make([value], [entity]) else {
      throw Refusal(message: "the key is longer than \(Limits.entityKeyBytesMax) bytes")
    }
    return key
  }
}
