/// Makes a table's records of the messages of logical replication, in commit order: a row for each insert and update, a
/// deletion for each key that is gone. Pure: the same messages make the same records.
///
/// Times never go back: a row's is its transaction's commit time, or that of the row before if that is later, so that the
/// order of the log is the order of times too.
struct ChangeStream: ~Copyable {
  /// What a message has made.
  enum Outcome: Equatable {
    case nothing
    /// A transaction begins.
    case began
    /// A record: the row.
    case row
    /// A key is gone, at `time`, which is a whole millisecond.
    case deletion(key: [UInt8])
    /// A key has changed: the old one's deletion, then the record.
    case moved(old: [UInt8])
    /// A transaction is whole; everything before the place has been seen.
    case committed(LogSequenceNumber)
  }

  private let table: CapturedTable
  private let writer: PgValueWriter
  private let relationName: String
  private(set) var row: RowText
  private var key: RowText
  /// Where the captured columns stand in a message's rows.
  private var places: [Int] = []
  private var relation: UInt32?
  /// What was committed before this place is in the topic.
  private let after: LogSequenceNumber
  private var isSkipping = false
  private var commitTime: Int64 = 0
  /// The time of the latest record, in microseconds.
  private(set) var time: Int64

  /// A stream behind some progress. `relationName` is `schema.table`.
  init(_ table: CapturedTable, relationName: String, after: LogSequenceNumber, time: Int64) {
    self.table = table
    self.relationName = relationName
    self.after = after
    self.time = time
    writer = PgValueWriter(table: table)
    row = RowText(table)
    key = RowText(table)
  }

  /// Takes a message over.
  mutating func take(_ bytes: UnsafeRawBufferPointer) throws(CaptureError) -> Outcome {
    switch try PgOutputMessage(bytes) {
    case .other: return .nothing
    case .begin(let commit, let commitTime):
      isSkipping = commit < after
      self.commitTime = commitTime
      return .began
    case .commit(let end): return .committed(end)
    case .relation(let relation):
      try note(relation)
      return .nothing
    case .truncate(let relations):
      guard let relation, relations.contains(relation), !isSkipping else { return .nothing }
      throw CaptureError(
        .compare,
        "the table \(relationName) was truncated, which names no rows; its topic has to be compared with the table"
      )
    case .insert(let id, let new):
      guard isWanted(id) else { return .nothing }
      try write(new, nil, bytes)
      return .row
    case .update(let id, let old, let new):
      guard isWanted(id) else { return .nothing }
      var oldKey: [UInt8]?
      if let old { oldKey = try keyBytes(old, bytes) }
      let newKey = try keyBytes(new, bytes)
      let isMoved = oldKey != nil && oldKey != newKey
      if isMoved { advanceToMillisecond() }
      try write(new, old, bytes)
      return isMoved ? .moved(old: oldKey ?? []) : .row
    case .delete(let id, let old):
      guard isWanted(id) else { return .nothing }
      guard let oldKey = try keyBytes(old, bytes) else { throw noKey("a deletion") }
      advanceToMillisecond()
      return .deletion(key: oldKey)
    }
  }

  private func isWanted(_ id: UInt32) -> Bool { id == relation && !isSkipping }

  private mutating func advance() { time = max(time, commitTime) }

  /// A deletion has no row to hold its time, only a record's timestamp, which has milliseconds.
  private mutating func advanceToMillisecond() {
    advance()
    let rest = time % 1_000
    if rest != 0 { time += rest < 0 ? -rest : 1_000 - rest }
  }

  private mutating func note(_ found: PgRelation) throws(CaptureError) {
    guard found.name == relationName else { return }
    relation = found.id
    places = []
    for column in table.columns {
      guard let place = found.columns.firstIndex(where: { $0.name == column.name }) else {
        throw CaptureError(
          .stop,
          "source '\(table.source)': the table \(relationName) has no column '\(column.name)' any more; take the field out of the "
            + "definitions and raise \"version:\", or give the column back. It has: "
            + found.columns.map(\.name).joined(separator: ", "))
      }
      places.append(place)
    }
  }

  /// Writes the new row; what the message leaves out as unchanged comes from the whole old row if it has one.
  private mutating func write(
    _ new: PgTuple, _ old: PgTuple?, _ bytes: UnsafeRawBufferPointer
  ) throws(CaptureError) {
    advance()
    row.begin()
    for (index, place) in places.enumerated() {
      var value = try self.value(new, place)
      if case .unchanged = value, let old, let former = try? self.value(old, place), case .text = former {
        value = former
      }
      switch value {
      case .null: row.null(index)
      case .unchanged: row.kept(index)
      case .text(let range):
        try writer.write(UnsafeRawBufferPointer(rebasing: bytes[range]), index, into: &row)
      }
    }
    if !row.hasKey { throw noKey("a row") }
    row.endContent()
    row.end(at: time)
  }

  private mutating func keyBytes(
    _ tuple: PgTuple, _ bytes: UnsafeRawBufferPointer
  ) throws(CaptureError) -> [UInt8]? {
    guard case .text(let range) = try value(tuple, places[table.key]) else { return nil }
    key.begin()
    try writer.write(UnsafeRawBufferPointer(rebasing: bytes[range]), table.key, into: &key)
    return key.withKey { Array($0) }
  }

  private func value(_ tuple: PgTuple, _ place: Int) throws(CaptureError) -> PgTuple.Value {
    guard tuple.values.indices.contains(place) else {
      throw CaptureError(
        .stop, "PostgreSQL sent a row of \(relationName) with \(tuple.values.count) columns only")
    }
    return tuple.values[place]
  }

  private func noKey(_ what: String) -> CaptureError {
    CaptureError(
      .stop,
      "source '\(table.source)': PostgreSQL sent \(what) of \(relationName) without the key '\(table.columns[table.key].name)'; it "
        + "has to be the table's primary key or replica identity (ALTER TABLE \(relationName) REPLICA IDENTITY FULL)"
    )
  }
}
