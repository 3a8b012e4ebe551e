import FeatureCore
import HTTPListener

/// `POST /v1/predictions/{source}`: rows for a source's topic, each accepted or refused, answered when the brokers have them.
struct PredictionAPI: Sendable {
  let predictions: Predictions
  let log: PredictionLog
  let limits: RequestLimits
  let metrics: ServerMetrics

  /// What became of a row; nil: it was accepted.
  private typealias Verdict = String?

  func answer(
    _ request: HTTPRequest, _ name: String, _ catalog: Catalog, now: EventTime,
    deadline: ContinuousClock.Instant, _ reply: @escaping @Sendable (HTTPAnswer) -> Void
  ) throws(Problem) {
    let source = try source(name, catalog)
    let rows = try Self.rows(request.body, limits)
    var records: [Predictions.Record] = []
    var verdicts: [Verdict] = []
    for row in rows {
      do throws(PredictionSource.Refusal) {
        records.append(try source.record(row, now: now))
        verdicts.append(nil)
      } catch {
        verdicts.append(error.message)
      }
    }
    let (accepted, refused) = (records.count, rows.count - records.count)
    guard accepted > 0 else {
      metrics.predicted(name, refused: refused)
      return reply(Self.answer(verdicts))
    }
    let job = PredictionLog.Job(records: records, deadline: deadline) { [verdicts, metrics] failure in
      guard let failure else {
        metrics.predicted(name, accepted: accepted, refused: refused)
        return reply(Self.answer(verdicts))
      }
      metrics.predicted(name, refused: refused, failed: accepted)
      let problem = Problem(
        .unavailable,
        "not all rows were acknowledged, and some may have been written: send them again; \(failure)")
      reply(problem.answer)
    }
    guard log.add(job) else {
      metrics.predicted(name, refused: refused, failed: accepted)
      throw Problem(
        .unavailable, "\(predictions.rowsMax) rows wait for the brokers already: Kafka is slow or away")
    }
  }

  private func source(_ name: String, _ catalog: Catalog) throws(Problem) -> PredictionSource {
    let sources = predictions.sources(of: catalog)
    if let source = sources.first(where: { $0.name == name }) { return source }
    let names = sources.map(\.name)
    let meant =
      Suggestion.didYouMean(name, among: names)
      ?? (names.isEmpty ? "none does" : "there are \(names.joined(separator: ", "))")
    throw Problem(.notFound, "no source '\(name)' takes predictions; \(meant)")
  }

  private static func rows(_ body: [UInt8], _ limits: RequestLimits) throws(Problem) -> [JSONValue] {
    let root = try RequestBody.object(body)
    guard case .object(let members) = root, members.allSatisfy({ $0.name == "rows" }),
      case .array(let rows)? = root["rows"], !rows.isEmpty
    else { throw Problem(.badRequest, "the body has to be {\"rows\": [...]}, with an object for each row") }
    try limits.check(rows: rows.count)
    return rows
  }

  private static func answer(_ verdicts: [Verdict]) -> HTTPAnswer {
    let refused = verdicts.count { $0 != nil }
    var text = JSONText(capacity: 64 + verdicts.count * 24)
    text.raw("{\"accepted\":")
    text.number(verdicts.count - refused)
    text.raw(",\"refused\":")
    text.number(refused)
    text.raw(",\"rows\":")
    text.list(verdicts) { text, verdict in
      guard let verdict else { return text.raw("{\"status\":\"accepted\"}") }
      text.raw("{\"status\":\"refused\",\"detail\":")
      text.string(verdict)
      text.raw("}")
    }
    text.raw("}\n")
    return HTTPAnswer(200, "application/json", text.bytes)
  }
}

extension JSONText {
  /// A value as it came.
  mutating func value(_ value: JSONValue) {
    switch value {
    case .null: raw("null")
    case .bool(let value): raw(value ? "true" : "false")
    case .int64(let value): number(value)
    case .double(let value): raw(Array(value.description.utf8))
    case .string(let value): string(value)
    case .array(let values): list(values) { $0.value($1) }
    case .object(let members):
      raw("{")
      for (index, member) in members.enumerated() {
        if index > 0 { raw(",") }
        string(member.name)
        raw(":")
        self.value(member.value)
      }
      raw("}")
    }
  }
}
