/// Tells the events of one partition, or of one source's files, that have come before, by the id that the source names.
/// One owner, one thread.
public final class SeenEvents {
  /// What identifies a record's events.
  public struct Identity: Sendable {
    /// The hash of the id.
    public var id: UInt64
    /// A part of the hash of what else the record says.
    public var content: UInt32
  }

  /// The ids.
  public let window: IDWindow
  private let schema: EventSchema
  private let idColumn: Int
  private let isText: [Bool]
  /// The columns that are read from values: the record's own timestamp differs when it is sent again.
  private let contentColumns: [Int]
  /// Events that had no id.
  @exclusivity(unchecked) public private(set) var withoutID = 0

  /// Nothing seen yet; nil if the source has no rule.
  public init?(_ source: SourcePlan) {
    guard let rule = source.source.duplicates else { return nil }
    schema = source.schema
    guard let column = schema.columns.firstIndex(where: { $0.name == rule.by }) else {
      preconditionFailure("Cannot find the id '\(rule.by)'")
    }
    idColumn = column
    isText = schema.columns.map { $0.type == .string }
    contentColumns = schema.columns.indices.filter {
      if case .json = source.schema.columns[$0].origin { $0 != column } else { false }
    }
    // A window may end within a millisecond, and records' times have none.
    window = IDWindow(within: rule.within / 1_000)
  }

  /// The identity of the events of one record, which are rows of a batch; nil if they have no id.
  public func identity(_ batch: EventBatch, _ rows: Range<Int>) -> Identity? {
    let first = batch.row(rows.lowerBound)
    guard first[idColumn].isValue else {
      withoutID += 1
      return nil
    }
    let id = isText[idColumn] ? Hash64.hash(first[idColumn].text) : Hash64.hash(first[idColumn].bits)
    var content: UInt64 = 0
    for row in rows { content = mix(batch.row(row), content) }
    return Identity(id: id, content: UInt32(truncatingIfNeeded: content >> 32))
  }

  @inline(__always)
  private func mix(_ row: UnsafePointer<Scalar>, _ seed: UInt64) -> UInt64 {
    var hash = seed
    for column in contentColumns {
      let scalar = row[column]
      let part: UInt64
      if !scalar.isValue {
        part = 0x9E37_79B1_85EB_CA87 &+ scalar.bits
      } else {
        part = isText[column] ? Hash64.hash(scalar.text) : scalar.bits
      }
      hash = (hash ^ part) &* 0xC2B2_AE3D_27D4_EB4F
      hash ^= hash &>> 29
    }
    return hash &* 0x9E37_79B1_85EB_CA87
  }

  /// Judges the rows from `first` on, the events of one record of a file: their event time stands in for the record's.
  /// Takes them out of the batch if they have come before; nil if they have no id, or are none.
  public func sift(_ batch: EventBatch, from first: Int) -> IDWindow.Verdict? {
    guard first < batch.count else { return nil }
    let microseconds = batch.time(first)
    window.advance(to: microseconds >= 0 ? microseconds / 1_000 : (microseconds - 999) / 1_000)
    guard let identity = identity(batch, first..<batch.count) else { return nil }
    let verdict = window.note(identity.id, content: identity.content)
    if verdict != .new { batch.removeRows(from: first) { _ in false } }
    return verdict
  }

  /// What is wrong with a record whose id has come with another content.
  public var conflict: DecodeFailure { DecodeFailure(.conflictingDuplicate, column: idColumn, offset: 0) }
}
