import FeatureCore
import Yams

// Joins of `DefinitionsReader`.
extension DefinitionsReader {
  /// A join.
  mutating func join(_ name: String, _ place: Place) -> Join? {
    let keys = ["left", "right", "table", "on", "within", "wait", "allowed_lateness", "fields"]
    guard let fields = reader.fields(place, "a join", keys: keys + Self.annotationKeys) else { return nil }
    let left = reader.required("left", of: fields, example: "left: predictions").flatMap { side($0) }
    let on = reader.required("on", of: fields, example: "on: [user_id, item_id]").map(reader.elements)
    guard let (right, kind) = rightSide(fields) else { return nil }
    var join = Join(
      name, left: left ?? Join.Side(""), right: right,
      on: (on ?? []).compactMap { reader.text($0, expected: "the name of a column of both sources") },
      kind: kind, fields: fields["fields"].map(names) ?? [])
    join.annotations = annotations(fields)
    return left == nil ? nil : join
  }

  private mutating func rightSide(_ fields: Fields) -> (Join.Side, Join.Kind)? {
    let isMisspelt = !fields.misspelt.isDisjoint(with: ["right", "table"])
    switch (fields["right"], fields["table"]) {
    case (nil, nil):
      if !isMisspelt {
        reader.report(
          fields.place, "a join needs 'right' or 'table'",
          suggestion: "for example right: { source: clicks, where: \"event_type = 'click'\" }")
      }
      return nil
    case (.some, .some(let table)):
      reader.report(table, "'table' does not go with 'right'", suggestion: "keep one of them")
      return nil
    case (nil, .some(let table)):
      for key in ["within", "wait", "allowed_lateness"] {
        guard let stranger = fields[key] else { continue }
        reader.report(
          stranger, "'\(key)' does not go with 'table'", suggestion: "remove it: a row is that of the moment")
      }
      return side(table).map { ($0, .table) }
    case (.some(let right), nil):
      let within = reader.required("within", of: fields, example: "within: 30m").flatMap(reader.duration)
      let wait = reader.required("wait", of: fields, example: "wait: 2m").flatMap(reader.duration)
      guard let within, let wait, let right = side(right) else { return nil }
      let lateness = fields["allowed_lateness"].map { reader.duration($0) } ?? within
      return lateness.map { (right, .outcome(within: within, wait: wait, lateness: $0)) }
    }
  }

  /// A source by its name, or with a filter.
  private mutating func side(_ place: Place) -> Join.Side? {
    guard case .mapping = place.node else {
      return reader.text(place, expected: "the name of a source").map { Join.Side($0) }
    }
    guard let fields = reader.fields(place, "a side of a join", keys: ["source", "where"]) else { return nil }
    let source = reader.required("source", of: fields, example: "source: clicks")
      .flatMap { reader.text($0, expected: "the name of a source") }
    let filter = fields["where"].flatMap { expression($0) }
    return source.map { Join.Side($0, where: filter) }
  }

  private func names(_ place: Place) -> [String] {
    reader.elements(place).compactMap { reader.text($0, expected: "the name of a column") }
  }
}
