import FeatureCore
import HTTPListener

/// `POST /get-online-features` as Feast 0.67 sends and reads it.
enum FeastAPI {
  /// What a request wants besides the features.
  struct Options: Sendable {
    /// `<view>__<feature>` instead of `<feature>`.
    var fullNames = false
    var namesViews = false
  }

  static func parse(_ body: [UInt8], _ limits: RequestLimits) throws(Problem) -> (FeatureQuery, Options) {
    let root = try RequestBody.object(body)
    var columns: [FeatureQuery.Column] = []
    guard case .object(let entities)? = root["entities"] else {
      throw Problem(.badRequest, "'entities' has to be an object of lists, such as {\"user_id\": [1, 2]}")
    }
    for (name, value) in entities {
      guard case .array(let list) = value else {
        throw Problem(.badRequest, "'entities.\(name)' has to be a list, found \(value.kind)")
      }
      try limits.check(rows: list.count)
      var values: [JSONScalar] = []
      for (row, value) in list.enumerated() {
        guard let scalar = JSONScalar(value) else {
          throw Problem(.invalidValue, "row \(row): '\(name)' has to be one value, found \(value.kind)")
        }
        values.append(scalar)
      }
      columns.append(FeatureQuery.Column(name: name, values: values))
    }
    guard let count = columns.first?.values.count else {
      throw Problem(.missingEntity, "'entities' names no column")
    }
    if let other = columns.first(where: { $0.values.count != count }) {
      throw Problem(
        .badRequest,
        "'entities.\(columns[0].name)' has \(count) values and 'entities.\(other.name)' \(other.values.count)"
      )
    }
    var options = Options()
    options.fullNames = try RequestBody.bool("full_feature_names", of: root)
    options.namesViews = try RequestBody.bool("include_feature_view_version_metadata", of: root)
    return (
      FeatureQuery(target: try target(root, limits), columns: columns, rowCount: count), options
    )
  }

  private static func target(_ root: JSONValue, _ limits: RequestLimits) throws(Problem)
    -> FeatureQuery.Target
  {
    switch (root["feature_service"] ?? .null, root["features"] ?? .null) {
    case (.string(let name), .null): return .service(name)
    case (.null, .array(let list)):
      guard !list.isEmpty else { throw Problem(.badRequest, "'features' is empty") }
      guard list.count <= limits.featuresMax else {
        throw Problem(.tooLarge, "there are more than \(limits.featuresMax) features")
      }
      var names: [String] = []
      for value in list {
        guard case .string(let name) = value else {
          throw Problem(
            .badRequest, "'features' has to hold strings such as view:feature, found \(value.kind)")
        }
        names.append(name)
      }
      return .features(names)
    case (.string, .array): throw Problem(.badRequest, "ask for 'features' or for a 'feature_service'")
    default:
      throw Problem(.badRequest, "'features' has to be a list, or 'feature_service' a name")
    }
  }

  static func answer(_ evaluation: Evaluation, _ options: Options) throws(Problem) -> HTTPAnswer {
    let service = evaluation.query.service
    let names = try names(of: evaluation, options)
    let rows = evaluation.query.rows.indices
    let values = rows.map { evaluation.values(row: $0) }
    var text = JSONText(capacity: 256 + rows.count * (names.count + service.entity.count) * 40)
    text.raw("{\"metadata\":{\"feature_names\":")
    text.list(service.entity.map(\.name) + names) { $0.string($1) }
    if options.namesViews {
      text.raw(",\"feature_view_metadata\":")
      text.list(service.reads.indices) { text, read in
        text.raw("{\"name\":")
        text.string(evaluation.view(read).name)
        text.raw("}")
      }
    }
    text.raw("},\"results\":[")
    for index in service.entity.indices {
      if index > 0 { text.raw(",") }
      result(&text, rows) { ($0, evaluation.query.entities[$0][index], "PRESENT", nil) }
    }
    for (index, column) in service.columns.enumerated() {
      text.raw(",")
      result(&text, rows) { row in
        let value = values[row][index]
        guard case .feature(let read, _) = column.origin else {
          return (row, value, value == .null ? "NULL_VALUE" : "PRESENT", nil)
        }
        let state = evaluation.state(row: row, read: read)
        let status = state?.status ?? .invalid
        let isNull = value == .null && status == .present
        return (row, value, isNull ? "NULL_VALUE" : status.rawValue, state?.asOf)
      }
    }
    text.raw("]}\n")
    return HTTPAnswer(200, "application/json", text.bytes)
  }

  private static func names(of evaluation: Evaluation, _ options: Options) throws(Problem) -> [String] {
    let service = evaluation.query.service
    guard !options.fullNames else { return service.columns.map(\.name) }
    let names = service.columns.map { column in
      guard case .feature(let read, let feature) = column.origin else { return column.name }
      return evaluation.view(read).features[feature].name
    }
    var seen = Set(service.entity.map(\.name))
    for name in names where !seen.insert(name).inserted {
      throw Problem(
        .nameCollision, "two columns are named '\(name)': ask with full_feature_names, or for one of them")
    }
    return names
  }

  private static func result(
    _ text: inout JSONText, _ rows: Range<Int>,
    _ cell: (Int) -> (row: Int, value: FeatureValue, status: String, time: EventTime?)
  ) {
    let cells = rows.map(cell)
    text.raw("{\"values\":")
    text.list(cells) { $0.value($1.value, .feast) }
    text.raw(",\"statuses\":")
    text.list(cells) { text, cell in
      // An empty list is sent as null.
      let isEmpty = cell.value == .list([]) && cell.status == "PRESENT"
      text.string(isEmpty ? "NULL_VALUE" : cell.status)
    }
    text.raw(",\"event_timestamps\":")
    text.list(cells) { text, cell in
      text.string(cell.time.map(RFC3339.format) ?? "1970-01-01T00:00:00Z")
    }
    text.raw("}")
  }
}

/// What one request may ask for.
struct RequestLimits: Sendable {
  var rowsMax: Int
  /// More than any definitions of a person have.
  var featuresMax = 10_000

  func check(rows: Int) throws(Problem) {
    guard rows <= rowsMax else {
      throw Problem(.tooLarge, "the request has \(rows) rows, more than \(rowsMax): ask for less at a time")
    }
  }
}

/// Parts of a request's body.
enum RequestBody {
  static func object(_ body: [UInt8]) throws(Problem) -> JSONValue {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(body)
    } catch {
      throw Problem(.badRequest, "the body is no JSON: byte \(error.offset): \(error.message)")
    }
    guard case .object = value else {
      throw Problem(.badRequest, "the body has to be a JSON object, found \(value.kind)")
    }
    return value
  }

  static func bool(_ name: String, of object: JSONValue) throws(Problem) -> Bool {
    switch object[name] ?? .null {
    case .null: return false
    case .bool(let value): return value
    case let other: throw Problem(.badRequest, "'\(name)' has to be true or false, found \(other.kind)")
    }
  }
}
