/// Tells the events of one partition, or of one source's files, that have come before, by the id that the source names.
/// One owner, one thread.
public final class SeenEvents {
  /// What identifies a record's events.
  public struct Identity: Sendable {
    /// The hash of the id.
    public var id: UInt64 = 0
    /// The place of the record in its log, as the batch has it.
    public var sequence: Int64
    /// A part of the hash of what else the record says.
    public var content: UInt32 = 0
    /// Whether it has an id.
    public var hasID = false
  }

  /// The ids.
  public let window: IDWindow
  private let schema: EventSchema
  private let idColumn: Int
  private let isIDText: Bool
  /// The columns that are read from values: the record's own timestamp differs when it is sent again.
  private let contentColumns: ContiguousArray<(column: Int, isText: Bool)>
  /// Of contents: equal ones must be equal wherever they are read.
  private let contentHash = KeyHash(secret: 0)
  private var found: UnsafeMutablePointer<Identity>
  private var room = 256
  /// Events that had no id.
  @exclusivity(unchecked) public private(set) var withoutID = 0

  /// Nothing seen yet; nil if the source has no rule. `hashSecret` is as in `StateTable`.
  public init?(_ source: SourcePlan, hashSecret: UInt64 = 0) {
    guard let rule = source.source.duplicates else { return nil }
    schema = source.schema
    guard let column = schema.columns.firstIndex(where: { $0.name == rule.by }) else {
      preconditionFailure("Cannot find the id '\(rule.by)'")
    }
    idColumn = column
    isIDText = schema.columns[column].type == .string
    let columns = schema.columns
    contentColumns = ContiguousArray(
      columns.indices.filter {
        if case .json = columns[$0].origin { $0 != column } else { false }
      }.map { ($0, columns[$0].type == .string) })
    // A window may end within a millisecond, and records' times have none.
    window = IDWindow(within: rule.within / 1_000, hashSecret: hashSecret)
    found = .allocate(capacity: room)
  }

  deinit { found.deallocate() }

  /// What identifies the records of a batch from a row on, in their order: valid until the next call.
  public func identify(_ batch: EventBatch, from first: Int) -> UnsafeBufferPointer<Identity> {
    if batch.count > room {
      found.deallocate()
      room = batch.count
      found = .allocate(capacity: room)
    }
    var (row, count) = (first, 0)
    while row < batch.count {
      let sequence = batch.sequence(row)
      var end = row + 1
      while end < batch.count, batch.sequence(end) == sequence { end += 1 }
      (found + count).initialize(to: identity(batch, row..<end, sequence))
      count += 1
      row = end
    }
    return UnsafeBufferPointer(start: found, count: count)
  }

  private func identity(_ batch: EventBatch, _ rows: Range<Int>, _ sequence: Int64) -> Identity {
    let first = batch.row(rows.lowerBound)
    guard first[idColumn].isValue else {
      withoutID += 1
      return Identity(sequence: sequence)
    }
    let id = isIDText ? Hash64.hash(first[idColumn].text) : Hash64.hash(first[idColumn].bits)
    var content: UInt64 = 0
    for row in rows { content = mix(batch.row(row), content) }
    return Identity(
      id: id, sequence: sequence, content: UInt32(truncatingIfNeeded: content >> 32), hasID: true)
  }

  @inline(__always)
  private func mix(_ row: UnsafePointer<Scalar>, _ seed: UInt64) -> UInt64 {
    var hash = seed
    for (column, isText) in contentColumns {
      let scalar = row[column]
      if !scalar.isValue {
        hash = contentHash.mix(hash, 0x9E37_79B1_85EB_CA87 &+ scalar.bits)
      } else if isText {
        // With the length: some texts are the same in the words that are read of them.
        hash = contentHash.mix(hash ^ UInt64(scalar.length), scalar.text)
      } else {
        hash = contentHash.mix(hash, scalar.bits)
      }
    }
    return hash
  }

  /// Says what is known of one of some identities, which are judged in their order, each at the time of its record; nil
  /// if it has no id.
  public func judge(_ identities: UnsafeBufferPointer<Identity>, _ index: Int) -> IDWindow.Verdict? {
    if index % IDWindow.touchedMax == 0 {
      let end = min(index + IDWindow.touchedMax, identities.count)
      window.touch(UnsafeBufferPointer(rebasing: identities[index..<end]))
    }
    let identity = identities[index]
    return identity.hasID ? window.note(identity.id, content: identity.content) : nil
  }

  /// Takes the events of a file's records that have come before out of a batch: their event time stands in for the record's.
  /// Tells the places of those with another content; returns how many records there were.
  public func sift(_ batch: EventBatch, conflict: (Int64) -> Void) -> Int {
    let identities = identify(batch, from: 0)
    var (next, duplicates) = (0, 0)
    var isKept = true
    batch.removeRows(from: 0) { row in
      guard next < identities.count, batch.sequence(row) == identities[next].sequence else { return isKept }
      let microseconds = batch.time(row)
      window.advance(to: microseconds >= 0 ? microseconds / 1_000 : (microseconds - 999) / 1_000)
      let verdict = judge(identities, next) ?? .new
      next += 1
      isKept = verdict == .new
      if !isKept { duplicates += 1 }
      if verdict == .conflict { conflict(batch.sequence(row)) }
      return isKept
    }
    return duplicates
  }

  /// What is wrong with a record whose id has come with another content.
  public var conflict: DecodeFailure { DecodeFailure(.conflictingDuplicate, column: idColumn, offset: 0) }
}
