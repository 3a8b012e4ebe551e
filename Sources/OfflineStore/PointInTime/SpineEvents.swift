import FeatureCore

/// Makes rows of those events of a source for which an expression is true. The columns are the source's.
final class SpineEvents {
  private let filter: ViewFold
  private let schema: EventSchema
  private let spine: SpineTable
  /// By column of the spine's schema, that of the events'.
  private let sources: [Int]

  init(_ filter: ViewPlan, _ schema: EventSchema, _ spine: SpineTable) throws(TableError) {
    self.filter = ViewFold(filter)
    self.schema = schema
    self.spine = spine
    var sources: [Int] = []
    for column in spine.schema.columns {
      guard let index = schema.columns.firstIndex(where: { $0.name == column.name }),
        schema.columns[index].type == column.type
      else {
        throw TableError(
          path: spine.path, problem: "the events' column '\(column.name)' is no \(column.type.rawValue)",
          remedy: "declare it alike in the sources that are joined, or choose other views with --view")
      }
      sources.append(index)
    }
    self.sources = sources
  }

  static func types(_ schema: EventSchema) -> [FeatureType] { schema.columns.map { .scalar($0.type) } }

  /// Makes a row of an event, if it is one.
  func add(_ event: UnsafePointer<Scalar>, fail: (ViewFailure) -> Void) throws(TableError) {
    do throws(ViewFailure) {
      guard try filter.takes(event) else { return }
    } catch {
      return fail(error)
    }
    spine.beginRow()
    for (index, column) in schema.columns.enumerated() {
      spine.append(FeatureValue(event[index], column.type))
    }
    for (index, source) in sources.enumerated() { spine.row[index] = event[source] }
    try spine.endRow()
  }
}
