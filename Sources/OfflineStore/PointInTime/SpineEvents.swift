import FeatureCore

/// Lines with events that rows are made of.
public struct RowLines: Sendable {
  private var bytes: [UInt8] = []
  /// Where each line ends.
  private var ends: [Int] = []

  /// No lines.
  public init() {}

  /// Whether there are none.
  public var isEmpty: Bool { ends.isEmpty }

  mutating func append(_ line: UnsafeRawBufferPointer) {
    bytes += line
    ends.append(bytes.count)
  }

  func forEach(_ body: (UnsafeRawBufferPointer) throws(TableError) -> Void) throws(TableError) {
    var start = 0
    for end in ends {
      try bytes.span.bytes.extracting(start..<end).withUnsafeBytes(body)
      start = end
    }
  }
}

/// Makes rows of those events of a source for which an expression is true. The columns are the source's.
final class SpineEvents {
  /// Which events are rows.
  let choice: ViewPlan
  private let filter: ViewFold
  /// The events of one line.
  private let batch: EventBatch
  private let schema: EventSchema
  private let spine: SpineTable
  /// By column of the spine's schema, that of the events'.
  private let sources: [Int]

  init(_ filter: ViewPlan, _ schema: EventSchema, _ spine: SpineTable) throws(TableError) {
    choice = filter
    self.filter = ViewFold(filter)
    self.schema = schema
    batch = EventBatch(schema, capacity: 16)
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

  /// Makes rows of the events of lines, as far as they are rows. What of them can't be used was told when they were chosen.
  func add(_ lines: RowLines) throws(TableError) {
    try lines.forEach { (line) throws(TableError) in
      batch.removeAll()
      try? batch.append(line, sequence: 0) { _ in }
      for index in 0..<batch.count { try add(batch.row(index)) { _ in } }
    }
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
