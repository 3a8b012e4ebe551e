import FeatureCore

/// The rows that training data is made for: their columns are kept, in order, and their entities and times go to the
/// lanes of a join.
///
/// A row is: `beginRow`, a value for each of `columns` in any way of adding one, the declared columns into `row`, `endRow`.
final class SpineTable {
  let path: String
  let columns: [String]
  /// The columns of entity keys, and the time.
  let schema: EventSchema
  /// By column, its index in the schema, or -1.
  let declared: [Int]
  private(set) var types: [SpineColumnType]
  /// By row: `columns.count` values, then its time.
  let rows: RowStore
  /// The declared columns of the row. Texts may be in the arena.
  let row: UnsafeMutablePointer<Scalar>
  let arena = TextArena()

  private let lanes: [(lane: JoinLane, entity: [EntityColumn])]
  private let record = ValueBuffer()
  private var column = 0
  /// nil: whatever the times are, they are meant.
  private var guess: UnitGuess?

  /// An empty spine. `types` are those of a typed file; else columns have the types that the views declare, or those of
  /// their values.
  init(
    path: String, columns: [String], types: [FeatureType?]? = nil, time: SpineTime, lanes: [JoinLane],
    added: [String], budget: MemoryBudget
  ) throws(TableError) {
    self.path = path
    self.columns = columns
    try Self.check(columns, path, time.column, lanes, added)
    let schema = try Self.schema(path, time, lanes)
    self.schema = schema
    declared = columns.map { name in schema.columns.firstIndex { $0.name == name } ?? -1 }
    self.types = declared.enumerated().map { column, index in
      if index == schema.timeColumn { return SpineColumnType(.scalar(.timestamp)) }
      if let types { return SpineColumnType(types[column]) }
      // Times that are no rows' times are kept as they are written.
      let type = index < 0 ? nil : schema.columns[index].type
      return SpineColumnType(type == .timestamp ? nil : type.map { .scalar($0) })
    }
    self.lanes = lanes.map { lane in
      let entity = lane.view.entity.map { column in
        guard let index = schema.columns.firstIndex(where: { $0.name == column.name }) else {
          preconditionFailure("Cannot find the entity column '\(column.name)' in the spine")
        }
        return EntityColumn(name: column.name, type: column.type, column: index)
      }
      return (lane, entity)
    }
    guess = time.isAny ? nil : UnitGuess(time.unit)
    rows = RowStore(budget)
    row = .allocate(capacity: schema.columns.count)
  }

  deinit { row.deallocate() }

  var count: Int { rows.count }

  /// The time's column among `columns`.
  var timeColumn: Int? { declared.firstIndex(of: schema.timeColumn) }

  // MARK: Rows

  func beginRow() {
    arena.reset()
    record.removeAll()
    column = 0
    for index in schema.columns.indices { row[index] = .null }
  }

  func append(_ value: FeatureValue) {
    record.append(value)
    column += 1
  }

  func append(text: UnsafeRawBufferPointer) {
    types[column].noteText()
    record.append(text: text)
    column += 1
  }

  func append(literal: UnsafeRawBufferPointer) {
    types[column].note(literal: literal)
    record.append(literal: literal)
    column += 1
  }

  func endRow() throws(TableError) {
    precondition(column == columns.count, "Cannot end a row after \(column) of \(columns.count) columns")
    let time = row[schema.timeColumn].int64
    guess?.note(time)
    for (lane, entity) in lanes {
      // An entity with a null in it, or no key that a state could have: the row belongs to none.
      guard let key = try? EntityKey.make(row, entity, arena: arena) else { continue }
      try lane.add(row: count, key: key, time: time)
    }
    record.append(.timestamp(EventTime(microseconds: time)))
    try rows.append(record.contents)
  }
}

// MARK: Checks

extension SpineTable {
  /// Refuses rows whose times are all in another unit than the source's.
  func checkUnit() throws(TableError) {
    guard let guess, let problem = guess.problem else { return }
    throw TableError(
      path: path, problem: "column '\(schema.columns[schema.timeColumn].name)': \(problem)",
      remedy:
        "write the times in the source's unit or as text, or say any_time: true for its timestamp if they are meant"
    )
  }

  private static func check(
    _ columns: [String], _ path: String, _ timeColumn: String, _ lanes: [JoinLane], _ added: [String]
  ) throws(TableError) {
    guard columns.contains(timeColumn) else {
      let meant = Suggestion.didYouMean(timeColumn, among: columns).map { "; \($0)" } ?? ""
      throw TableError(
        path: path, line: 1, problem: "there is no time column '\(timeColumn)'\(meant)",
        remedy: "name the column of the rows' time with --spine-time")
    }
    for lane in lanes {
      for column in lane.view.entity where !columns.contains(column.name) {
        let meant = Suggestion.didYouMean(column.name, among: columns).map { "; \($0)" } ?? ""
        throw TableError(
          path: path, line: 1, problem: "\(lane.name) needs the column '\(column.name)'\(meant)",
          remedy: "add the column, or choose \(lane.isLabel ? "others with --on" : "other views with --view")"
        )
      }
    }
    if let taken = added.first(where: columns.contains) {
      throw TableError(
        path: path, line: 1, problem: "the column '\(taken)' has the name of one that is added",
        remedy: "rename the column")
    }
  }

  /// The time and every column of an entity, once.
  private static func schema(
    _ path: String, _ time: SpineTime, _ lanes: [JoinLane]
  ) throws(TableError) -> EventSchema {
    var columns = [
      EventSchema.Column(name: time.column, type: .timestamp, unit: time.unit, clock: time.clock)
    ]
    for lane in lanes {
      // A time column that is also part of an entity is declared by the timestamp.
      for column in lane.view.entity where column.name != time.column {
        let column = lane.source.schema.columns[column.column]
        // Wherever the events have it, a table has it in a column of its name.
        let declared = EventSchema.Column(
          name: column.name, type: column.type, unit: column.unit, clock: column.clock, isText: column.isText)
        guard let other = columns.first(where: { $0.name == column.name }) else {
          columns.append(declared)
          continue
        }
        guard other == declared else {
          throw TableError(
            path: path, line: 1,
            problem: "the column '\(column.name)' is \(other.type.rawValue) for one source and "
              + "\(column.type.rawValue) for '\(lane.source.source.name)'",
            remedy: "declare it alike in both, or join their views one after the other")
        }
      }
    }
    return EventSchema(columns: columns, timeColumn: 0)
  }
}
