// Where a source's fields stand in its records.
extension PlanCompiler {
  /// Checks the paths of the fields, each alone and against each other.
  mutating func checkPaths(_ source: Source, at path: DefinitionPath) {
    let before = mistakes.count
    let each = source.each.flatMap { checkedPath($0, at: path.child("each")) }
    var places: [(name: String, path: FieldPath, place: DefinitionPath)] = []
    let undeclared = source.fields.contains { $0.name == source.timestamp.field } || source.timestamp.isRecord
    for field in source.fields where field.isInValue {
      let place = path.child("fields").child(field.name)
      if let text = field.path {
        guard let own = checkedPath(text, at: place.child("path")) else { continue }
        places.append((field.name, own, place.child("path")))
      } else {
        checkPlainName(field.name, at: place)
        places.append((field.name, FieldPath(member: field.name), place))
      }
    }
    if !undeclared {
      let place = path.child("timestamp").child("field")
      checkPlainName(source.timestamp.field, at: place)
      places.append((source.timestamp.field, FieldPath(member: source.timestamp.field), place))
    }
    if let each { places.append(("", each, path.child("each"))) }
    guard mistakes.count == before else { return }
    for (index, field) in places.enumerated() {
      for other in places[..<index] where other.name != field.name { checkPair(field, other, each) }
    }
    if let key = source.key, let each, let own = places.first(where: { $0.name == key })?.path,
      own.steps(after: each) != nil
    {
      report(
        path.child("key"), "'\(key)' is a field of an element, and a topic is partitioned by its records",
        "leave 'key' out, or name a field of the whole record")
    }
  }

  private mutating func checkedPath(_ text: String, at place: DefinitionPath) -> FieldPath? {
    guard let path = FieldPath(text) else {
      report(
        place, "'\(text)' is no path", "write names and positions, such as user.id, items[0].sku or \"a.b\".c"
      )
      return nil
    }
    if text.hasPrefix("$."), path.steps.count > 1 {
      let rest = text.dropFirst(2)
      report(
        place, "'\(text)' begins like JSONPath: it would look for a member named '$'",
        "write \(rest), or \"$\".\(rest) if there is such a member")
      return nil
    }
    guard path.steps.count <= Limits.pathStepsMax else {
      report(place, "the path has \(path.steps.count) steps", "use at most \(Limits.pathStepsMax)")
      return nil
    }
    if path.steps.contains(where: {
      if case .element(let index) = $0 { index >= Limits.elementsMax } else { false }
    }) {
      report(place, "the path goes beyond element \(Limits.elementsMax - 1)", "use each: for long arrays")
      return nil
    }
    return path
  }

  /// A name without a path is that of a member of the record. One that looks like a path is nearly always meant as one.
  private mutating func checkPlainName(_ name: String, at place: DefinitionPath) {
    guard name.contains(where: { $0 == "." || $0 == "[" }), let path = FieldPath(name), path.steps.count > 1
    else { return }
    let short = path.steps.reversed().lazy.compactMap { step -> String? in
      if case .member(let name) = step { name } else { nil }
    }.first
    report(
      place, "a field named '\(name)' would never be there: a name is that of a member of the record",
      "write \(short ?? "name"): { path: \(name), type: ... }, or { path: '\"\(name)\"', type: ... } if the member has this name"
    )
  }

  /// Two fields can't have one place, and what is read whole can't be taken apart.
  private mutating func checkPair(
    _ field: (name: String, path: FieldPath, place: DefinitionPath),
    _ other: (name: String, path: FieldPath, place: DefinitionPath), _ each: FieldPath?
  ) {
    let isEach = field.name.isEmpty
    if let rest = other.path.steps(after: field.path) ?? field.path.steps(after: other.path) {
      // The elements are taken apart: that is what 'each' is for.
      if isEach, other.path.steps(after: field.path) != nil { return }
      if rest.isEmpty {
        report(
          field.place, "'\(field.name)' and '\(other.name)' are read from the same place, \(field.path)",
          "remove one, or compute it from the other: { compute: \"\(other.name)\" }")
      } else {
        let (whole, part) = field.path.steps.count < other.path.steps.count ? (field, other) : (other, field)
        report(
          field.place, "\(whole.path) is read whole, and \(part.path) is a part of it", "remove one of them")
      }
      return
    }
    let (steps, others) = (field.path.steps, other.path.steps)
    guard let index = zip(steps, others).enumerated().first(where: { $1.0 != $1.1 })?.offset else { return }
    switch (steps[index], others[index]) {
    case (.member, .element), (.element, .member):
      report(
        field.place,
        "\(field.path) takes for an object what \(other.path) takes for an array, or the reverse",
        "write [0] for the first element of an array, and .name for a member of an object")
    default: break
    }
  }
}
