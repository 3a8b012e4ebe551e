// By what a source's events are told apart.
extension PlanCompiler {
  /// Checks a rule for duplicates: the id is one value of the whole record.
  mutating func checkDuplicates(_ source: Source, at path: DefinitionPath) {
    guard let rule = source.duplicates else { return }
    if source.isTable {
      report(path, "a table's records are rows by key: the last of a key counts", "remove 'duplicates'")
    }
    let bounds = Source.Duplicates.withinBounds
    if !bounds.contains(rule.within) {
      report(
        path.child("within"),
        "ids are known for \(Duration.text(bounds.lowerBound)) to \(Duration.text(bounds.upperBound)), not for "
          + Duration.text(rule.within), "duplicates that come later are not told from new events")
    }
    guard let field = source.fields.first(where: { $0.name == rule.by }) else {
      report(
        path.child("by"), "'\(rule.by)' is not a declared field",
        Suggestion.didYouMean(rule.by, among: source.fields.map(\.name)))
      return
    }
    if field.compute == nil, field.type == .double || field.type == .bool {
      report(path.child("by"), "a \(field.type.rawValue) is no id", "use a string, int64 or timestamp field")
    }
    guard let each = source.each.flatMap({ FieldPath($0) }) else { return }
    let place = field.path.flatMap { FieldPath($0) } ?? FieldPath(member: field.name)
    if field.compute != nil || field.isInValue && place.steps(after: each) != nil {
      report(
        path.child("by"),
        "'\(rule.by)' is of an element of '\(each)', and records are told apart, not elements",
        "name a field of the whole record")
    }
  }
}
