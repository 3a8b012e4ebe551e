import FeatureCore
import HTTPListener
import OutputRecords
import SwiftProtobuf
import FoundationEssentials

/// `POST /v1/services/{name}`: rows in, rows out.
enum NativeAPI {
  private static let keys = ["request_id", "at", "rows", "inputs"]
  /// Bytes of a request's id: it is a record's key.
  private static let requestIDBytesMax = 256

  static func parse(_ service: String, _ body: [UInt8], _ limits: RequestLimits) throws(Problem)
    -> FeatureQuery
  {
    let root = try RequestBody.object(body)
    guard case .object(let members) = root else { throw Problem(.badRequest, "the body has to be an object") }
    for (name, _) in members where !keys.contains(name) {
      let meant =
        Suggestion.didYouMean(name, among: keys) ?? "there are \(keys.joined(separator: ", "))"
      throw Problem(.badRequest, "there is no '\(name)' in a request; \(meant)")
    }
    guard case .array(let rows)? = root["rows"], !rows.isEmpty else {
      throw Problem(.badRequest, "'rows' has to be a list of objects, such as [{\"user_id\": \"u1\"}]")
    }
    try limits.check(rows: rows.count)
    var columns = try columns(rows)
    try add(root["inputs"] ?? .null, to: &columns, rows: rows.count)
    var query = FeatureQuery(target: .service(service), columns: columns, rowCount: rows.count)
    query.refusesStrangers = true
    query.requestID = try requestID(root)
    query.at = try time(root)
    return query
  }

  private static func columns(_ rows: [JSONValue]) throws(Problem) -> [FeatureQuery.Column] {
    var columns: [FeatureQuery.Column] = []
    for (index, row) in rows.enumerated() {
      guard case .object(let members) = row else {
        throw Problem(.badRequest, "row \(index): an object was expected, found \(row.kind)")
      }
      if index == 0 { columns = members.map { FeatureQuery.Column(name: $0.name, values: []) } }
      guard members.count == columns.count else {
        throw Problem(.badRequest, "row \(index): the names are not those of row 0")
      }
      for (place, member) in members.enumerated() {
        guard let scalar = JSONScalar(member.value) else {
          throw Problem(
            .invalidValue, "row \(index): '\(member.name)' has to be one value, found \(member.value.kind)")
        }
        // Rows of one program have their names in one order.
        let column =
          columns[place].name == member.name ? place : columns.firstIndex { $0.name == member.name }
        guard let column else {
          throw Problem(.badRequest, "row \(index): row 0 has no '\(member.name)'")
        }
        columns[column].values.append(scalar)
      }
    }
    return columns
  }

  /// What is given once for all rows.
  private static func add(
    _ inputs: JSONValue, to columns: inout [FeatureQuery.Column], rows: Int
  ) throws(Problem) {
    if case .null = inputs { return }
    guard case .object(let members) = inputs else {
      throw Problem(.badRequest, "'inputs' has to be an object, found \(inputs.kind)")
    }
    for (name, value) in members {
      guard let scalar = JSONScalar(value) else {
        throw Problem(.invalidValue, "'inputs.\(name)' has to be one value, found \(value.kind)")
      }
      guard !columns.contains(where: { $0.name == name }) else {
        throw Problem(.badRequest, "'\(name)' is given in 'inputs' and in the rows")
      }
      columns.append(
        FeatureQuery.Column(name: name, values: [JSONScalar](repeating: scalar, count: rows)))
    }
  }

  private static func requestID(_ root: JSONValue) throws(Problem) -> String? {
    switch root["request_id"] ?? .null {
    case .null: return nil
    case .string(let id) where (1...requestIDBytesMax).contains(id.utf8.count): return id
    default: throw Problem(.badRequest, "'request_id' has to be a string of 1 to \(requestIDBytesMax) bytes")
    }
  }

  private static func time(_ root: JSONValue) throws(Problem) -> EventTime? {
    guard let value = root["at"], value != .null else { return nil }
    if case .string(var text) = value,
      let time = text.withUTF8({ RFC3339.parse(UnsafeRawBufferPointer($0)) })
    {
      return time
    }
    throw Problem(.badRequest, "'at' has to be a time in RFC 3339, such as 2026-01-02T03:04:05Z")
  }

  static func answer(_ evaluation: Evaluation) -> HTTPAnswer {
    let service = evaluation.query.service
    var text = JSONText(capacity: 512 + evaluation.query.rows.count * service.columns.count * 16)
    text.raw("{\"request_id\":")
    text.string(evaluation.requestID)
    text.raw(",\"at\":")
    text.string(RFC3339.format(evaluation.requestedAt))
    text.raw(",\"version\":")
    text.number(evaluation.version)
    text.raw(",\"names\":")
    text.list(service.columns) { $0.string($1.name) }
    text.raw(",\"views\":")
    text.list(service.reads.indices) { $0.string(evaluation.view($1).name) }
    text.raw(",\"rows\":")
    text.list(evaluation.query.rows.indices) { text, row in
      text.raw("{\"values\":")
      text.list(evaluation.values(row: row)) { $0.value($1, .native) }
      text.raw(",\"views\":")
      text.list(service.reads.indices) { write(&$0, evaluation, evaluation.state(row: row, read: $1), $1) }
      text.raw("}")
    }
    text.raw("}\n")
    return HTTPAnswer(200, "application/json", text.bytes, headers: headers(evaluation))
  }

  private static func write(
    _ text: inout JSONText, _ evaluation: Evaluation, _ state: EvaluatedState?, _ read: Int
  ) {
    text.raw("{\"status\":")
    text.string((state?.status ?? .invalid).rawValue)
    text.raw(",\"as_of\":")
    if let asOf = state?.asOf { text.string(RFC3339.format(asOf)) } else { text.raw("null") }
    text.raw(",\"position\":")
    if let state, let offset = state.offset {
      text.raw("{\"topic\":")
      text.string(evaluation.query.catalog.places[evaluation.query.service.reads[read].view].topic)
      text.raw(",\"partition\":")
      text.number(state.partition)
      text.raw(",\"offset\":")
      text.number(offset)
      text.raw("}")
    } else {
      text.raw("null")
    }
    text.raw(",\"lag_ms\":")
    if let lag = state?.lag { text.number(lag / 1_000) } else { text.raw("null") }
    text.raw("}")
  }

  /// Records one after the other, each behind its length.
  static func protobufAnswer(_ evaluation: Evaluation) throws(Problem) -> HTTPAnswer {
    var bytes: [UInt8] = []
    for record in ServedRecords.make(evaluation) {
      guard let encoded: [UInt8] = try? record.serializedBytes() else {
        throw Problem(.internalError, "an answer could not be written as protobuf")
      }
      var length = encoded.count
      while length >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: length) | 0x80)
        length >>= 7
      }
      bytes.append(UInt8(length))
      bytes += encoded
    }
    return HTTPAnswer(
      200, "application/x-protobuf; delimited=true; messageType=plumbline.ServedRecord", bytes,
      headers: headers(evaluation))
  }

  private static func headers(_ evaluation: Evaluation) -> [(name: String, value: String)] {
    var headers = [("plumb-version", "\(evaluation.version)")]
    if let lag = evaluation.lag { headers.append(("plumb-lag-ms", "\(lag / 1_000)")) }
    return headers
  }
}

/// Answers as records.
enum ServedRecords {
  /// How many records `make` makes.
  static func count(_ evaluation: Evaluation) -> Int {
    let computed = evaluation.query.service.computes ? 1 : 0
    return evaluation.query.rows.reduce(0) { $0 + $1.count { $0 >= 0 } + computed }
  }

  /// For each row a record of each view, but for entities with a null in them, and one of the row's inputs and derived
  /// columns, if the service has any. Each says how many its row has.
  static func make(_ evaluation: Evaluation) -> [Plumbline_ServedRecord] {
    let service = evaluation.query.service
    let derived = service.columns.indices.filter {
      if case .derived = service.columns[$0].origin { true } else { false }
    }
    var records: [Plumbline_ServedRecord] = []
    for (row, lookups) in evaluation.query.rows.enumerated() {
      let hasComputed = service.computes
      let count = lookups.count { $0 >= 0 } + (hasComputed ? 1 : 0)
      for (read, lookup) in lookups.enumerated() where lookup >= 0 {
        records.append(record(evaluation, row, of: count, read, lookup))
      }
      guard hasComputed else { continue }
      var record = base(evaluation, row, of: count)
      let values = evaluation.values(row: row)
      record.values = derived.map { Plumbline_Value(values[$0]) }
      record.inputs = evaluation.query.inputs[row].map(Plumbline_Value.init)
      records.append(record)
    }
    return records
  }

  private static func record(
    _ evaluation: Evaluation, _ row: Int, of count: Int, _ read: Int, _ lookup: Int
  ) -> Plumbline_ServedRecord {
    let state = evaluation.states[lookup]
    let view = evaluation.view(read)
    var record = base(evaluation, row, of: count)
    record.view = view.name
    record.entityKey = Data(evaluation.query.lookups[lookup].key)
    record.fingerprint = view.fingerprint
    record.evaluatedAt = state.evaluatedAt.microseconds
    record.values = view.featuresByName.map { Plumbline_Value(state.values[$0]) }
    if let asOf = state.asOf {
      record.topic = evaluation.query.catalog.places[evaluation.query.service.reads[read].view].topic
      record.partition = state.partition
      record.offset = state.offset ?? 0
      record.asOf = asOf.microseconds
    }
    return record
  }

  private static func base(_ evaluation: Evaluation, _ row: Int, of count: Int) -> Plumbline_ServedRecord {
    var record = Plumbline_ServedRecord()
    record.rowRecords = Int32(count)
    record.requestID = evaluation.requestID
    record.service = evaluation.query.serviceName
    record.row = Int32(row)
    record.version = Int64(evaluation.version)
    record.requestedAt = evaluation.requestedAt.microseconds
    return record
  }
}

extension Plumbline_Value {
  init(_ value: FeatureValue) {
    self.init()
    switch value {
    case .null: break
    case .int64(let value): int64 = value
    case .double(let value): double = value
    case .bool(let value): bool = value
    case .string(let value): string = value.description
    case .timestamp(let time): timestamp = time.microseconds
    case .list(let values):
      var list = Plumbline_ValueList()
      list.values = values.map(Plumbline_Value.init)
      self.list = list
    }
  }
}
