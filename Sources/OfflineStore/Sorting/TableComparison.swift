import FeatureCore

/// Compares a table with the topic that its rows were written to: which rows are new or different, and which are gone.
///
/// Both sides are sorted by the hash of their key, in memory as far as the budget goes and else on disk; so neither has to
/// come in an order, and memory is bounded by the budget and the rows of one key.
public final class TableComparison {
  /// A row that the topic doesn't have like this; a nil value: a key that the table doesn't have any more.
  public typealias Change = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?)

  private let budget: MemoryBudget
  private let records: RecordSorter
  private let latest: (_ previous: [UInt8]?, _ record: UnsafeRawBufferPointer) -> [UInt8]

  /// What the topic has stands before what the table has.
  private static let current: UInt64 = 1 << 63
  private static let deletion: UInt8 = 0
  private static let row: UInt8 = 1

  /// A comparison in so many bytes of memory; `folder` takes what doesn't fit. `latest` makes what a key's row is after
  /// a record of the topic, as the table would write it, of what it was before.
  public init(
    memoryBytes: Int, folder: String,
    latest: @escaping (_ previous: [UInt8]?, _ record: UnsafeRawBufferPointer) -> [UInt8]
  ) {
    budget = MemoryBudget(limit: memoryBytes, folder: folder)
    records = RecordSorter(budget)
    self.latest = latest
  }

  /// Adds a record of the topic; a key's are added in the order of `sequence`. A nil value deletes.
  public func add(
    known value: UnsafeRawBufferPointer?, key: UnsafeRawBufferPointer, sequence: Int64
  ) throws(TableError) {
    try add(key, value, order: UInt64(bitPattern: sequence) & ~Self.current)
  }

  /// Adds a row of the table.
  public func add(current value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) throws(TableError) {
    try add(key, value, order: Self.current)
  }

  private func add(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, order: UInt64
  ) throws(TableError) {
    let place = SortKey(first: Hash64.hash(key), second: order, third: 0)
    let valueBytes = value?.count ?? 0
    try records.append(place, bytesMax: 5 + key.count + valueBytes) { room in
      room.storeBytes(of: UInt32(key.count), as: UInt32.self)
      room.storeBytes(of: value == nil ? Self.deletion : Self.row, toByteOffset: 4, as: UInt8.self)
      UnsafeMutableRawBufferPointer(start: room + 5, count: key.count).copyMemory(from: key)
      if let value {
        UnsafeMutableRawBufferPointer(start: room + 5 + key.count, count: value.count)
          .copyMemory(from: value)
      }
      return 5 + key.count + valueBytes
    }
  }

  /// A key of which both sides are being read.
  private struct Entity {
    var key: [UInt8]
    var known: [UInt8]?
    var current: [UInt8]?
  }

  /// Calls with every change, in an order that depends on the keys alone, and with `pulse` after every `interval` records,
  /// however many of them change something. Ends the adding. A key that the table has twice is an error of `path`.
  public func forEachChange<Failure: Error>(
    path: String, failure: (TableError) -> Failure, interval: Int = .max,
    pulse: () throws(Failure) -> Void = { () throws(Failure) in }, _ body: (Change) throws(Failure) -> Void
  ) throws(Failure) {
    do throws(TableError) { try records.finish() } catch { throw failure(error) }
    var entities: [Entity] = []
    var hash: UInt64?
    let sorted: SortedRecords
    do throws(TableError) { sorted = try SortedRecords([records]) } catch { throw failure(error) }
    for count in 1... {
      if count % interval == 0 { try pulse() }
      let next: (key: SortKey, payload: UnsafeRawBufferPointer)?
      do throws(TableError) { next = try sorted.next() } catch { throw failure(error) }
      if next?.key.first != hash {
        for entity in entities { try tell(entity, body) }
        entities.removeAll(keepingCapacity: true)
        hash = next?.key.first
      }
      guard let next else { return }
      do throws(TableError) {
        try take(next.payload, isCurrent: next.key.second == Self.current, &entities, path)
      } catch {
        throw failure(error)
      }
    }
  }

  private func take(
    _ record: UnsafeRawBufferPointer, isCurrent: Bool, _ entities: inout [Entity], _ path: String
  ) throws(TableError) {
    let end = 5 + Int(record.loadUnaligned(as: UInt32.self))
    let key = record[5..<end]
    let value = record[4] == Self.row ? UnsafeRawBufferPointer(rebasing: record[end...]) : nil
    var index = entities.count
    for (place, entity) in entities.enumerated() where entity.key.elementsEqual(key) { index = place }
    if index == entities.count { entities.append(Entity(key: Array(key))) }
    guard isCurrent else {
      entities[index].known = value.map { latest(entities[index].known, $0) }
      return
    }
    guard entities[index].current == nil else {
      throw TableError(
        path: path, problem: "two rows have the key '\(Text(key))'",
        remedy: "a table source has one row a key: name a unique column as 'key'")
    }
    entities[index].current = value.map(Array.init)
  }

  private func tell<Failure>(_ entity: Entity, _ body: (Change) throws(Failure) -> Void) throws(Failure) {
    if entity.known == entity.current { return }
    try entity.key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(Failure) -> Void in
      guard let current = entity.current else { return try body((key, nil)) }
      try current.span.bytes.withUnsafeBytes { (value: UnsafeRawBufferPointer) throws(Failure) -> Void in
        try body((key, value))
      }
    }
  }
}

extension Text {
  fileprivate init(_ bytes: Slice<UnsafeRawBufferPointer>) {
    self.init(UnsafeRawBufferPointer(rebasing: bytes))
  }
}
