/// The features of a table's view that are values of its last row.
extension ViewCompiler {
  mutating func compileColumn(_ feature: Feature, _ name: String) -> [Output] {
    let place = path.child("features").child(feature.name)
    let before = mistakes.count
    checkTable(at: place.child("column"))
    let columns = source.schema.columns
    guard let column = columns.firstIndex(where: { $0.name == name }) else {
      report(
        place.child("column"), "the column '\(name)' is not a field of source '\(view.source)'",
        Suggestion.didYouMean(name, among: columns.map(\.name)))
      return []
    }
    let type = columns[column].type
    let fallback = feature.fallback.map { $0.value(as: .scalar(type)) } ?? .null
    if fallback == nil {
      report(
        place.child("default"), "the default is not of type \(type.rawValue)",
        "write a value of that type, or remove it")
    }
    guard mistakes.count == before, let fallback else { return [] }
    // The first registers of a program are the source's columns.
    let accumulator = Accumulator(
      kind: type == .string ? .rowText : .rowValue, type: type, value: RegisterIndex(column))
    let (level, index) = slot(for: accumulator, .lifetime)
    return [
      Output(
        name: feature.name, type: .scalar(type),
        origin: .window(level: level, column: index, span: .all, result: .extreme), fallback: fallback)
    ]
  }

  /// A row is whole, and what its key had before is replaced by it: a filter or another entity would leave old values behind.
  private mutating func checkTable(at place: DefinitionPath) {
    guard source.source.isTable else {
      report(
        place, "the source '\(view.source)' is no table, so it has no last row",
        "use { aggregate: last, value: ..., windows: [lifetime] }, or add \"table: true\" to the source")
      return
    }
    if view.filter != nil {
      report(
        path.child("where"), "a view with 'column' takes every row: left out, a row's old values would stay",
        "put 'where' at the aggregates, or into a view of its own")
    }
    if view.entity != [source.source.key ?? ""] {
      report(
        path.child("entity"), "the rows of '\(view.source)' are by '\(source.source.key ?? "")'",
        "use entity: \(source.source.key ?? ""), or a view of its own without 'column'")
    }
  }
}
