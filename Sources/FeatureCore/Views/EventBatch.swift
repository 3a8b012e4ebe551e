/// Decoded events of one source: rows of scalars side by side, and the memory of their unescaped texts.
///
/// A batch exists so that the cache misses of its events overlap; its size changes no result. One owner, one
/// thread, and nothing is called that could come back: so exclusivity needs no check at run time.
public final class EventBatch {
  /// The source's columns.
  public let schema: EventSchema
  /// Rows that a caller puts in. A record with more elements makes room for them.
  public let capacity: Int
  /// Records that a caller puts in at once: fewer where each may become many rows.
  public var recordsMax: Int { schema.each == nil ? capacity : max(1, capacity / 16) }
  /// Rows that are in.
  @exclusivity(unchecked) public private(set) var count = 0

  let width: Int
  @exclusivity(unchecked) private(set) var scalars: UnsafeMutablePointer<Scalar>
  @exclusivity(unchecked) private var sequences: UnsafeMutablePointer<Int64>
  private let arena = TextArena()
  @exclusivity(unchecked) private var decoder: EventDecoder
  private let computer: RowComputer?
  /// What the schema has to say for every row.
  private let hasCells: Bool
  private let isPlain: Bool
  private let timeColumn: Int
  /// The time's if there is no key: both have to be there.
  private let keyColumn: Int
  /// Rows that there is memory for.
  @exclusivity(unchecked) private var room: Int

  /// An empty batch of at most `capacity` rows.
  public init(_ schema: EventSchema, capacity: Int) {
    self.schema = schema
    self.capacity = capacity
    room = capacity
    width = schema.columns.count
    scalars = .allocate(capacity: width * capacity)
    sequences = .allocate(capacity: capacity)
    decoder = EventDecoder(schema)
    computer = schema.computations.isEmpty ? nil : RowComputer(schema.computations)
    hasCells = schema.hasCells
    isPlain = schema.isPlain
    timeColumn = schema.timeColumn
    keyColumn = schema.keyColumn ?? schema.timeColumn
  }

  deinit {
    scalars.deallocate()
    sequences.deallocate()
  }

  /// Decodes a record into the next row, or into as many as it has elements, or into none if it changes nothing; nothing is appended if that fails. An element
  /// that can't be used is told to `refuse` and left out. `sequence` is the record's place in its log (an offset or a line
  /// number). The payload must stay alive until `removeAll`, and what `record` refers to.
  public func append(
    _ payload: UnsafeRawBufferPointer, sequence: Int64, record: RecordFields = .none,
    refuse: (DecodeFailure) -> Void = { _ in }
  ) throws(DecodeFailure) {
    guard isPlain else { return try appendOther(payload, sequence, record, refuse) }
    precondition(count < capacity, "Cannot append to a full batch")
    try decoder.decode(payload, record, into: scalars + count * width, arena: arena)
    try finishRow(sequence)
  }

  @inline(__always)
  private func finishRow(_ sequence: Int64) throws(DecodeFailure) {
    if let computer { try computer.run(scalars + count * width, arena: arena) }
    sequences[count] = sequence
    count += 1
  }

  /// Appends a row of a table, as the decoder would read it of a record with these values; false: it may not, and the record has
  /// to be decoded. What texts stand in must stay alive until `removeAll`.
  public func append(
    _ cells: UnsafeBufferPointer<EventCell>, by reader: CellReader, sequence: Int64
  ) -> Bool {
    precondition(hasCells, "Cannot read cells as records with parts")
    precondition(count < capacity, "Cannot append to a full batch")
    let row = scalars + count * width
    row.update(repeating: .null, count: width)
    guard reader.read(cells, into: row), row[timeColumn].isValue, row[keyColumn].isValue
    else { return false }
    if let computer {
      do throws(DecodeFailure) {
        try computer.run(row, arena: arena)
      } catch {
        return false
      }
    }
    sequences[count] = sequence
    count += 1
    return true
  }

  private func appendOther(
    _ payload: UnsafeRawBufferPointer, _ sequence: Int64, _ record: RecordFields,
    _ refuse: (DecodeFailure) -> Void
  ) throws(DecodeFailure) {
    if schema.each != nil { return try appendElements(payload, sequence, record, refuse) }
    precondition(count < capacity, "Cannot append to a full batch")
    let row = scalars + count * width
    if schema.format != .json {
      guard try decoder.decodeChange(payload, record, into: row, arena: arena) else { return }
    } else if payload.isEmpty {
      try decoder.decodeDeletion(record, into: row)
    } else {
      try decoder.decode(payload, record, into: row, arena: arena)
    }
    try finishRow(sequence)
  }

  private func appendElements(
    _ payload: UnsafeRawBufferPointer, _ sequence: Int64, _ record: RecordFields,
    _ refuse: (DecodeFailure) -> Void
  ) throws(DecodeFailure) {
    let first = count
    // Behind the rows: what the elements have in common.
    reserve(count + 1)
    try decoder.decode(payload, record, into: scalars + count * width, arena: arena)
    guard var elements = decoder.elements else { return }
    while true {
      reserve(count + 2)
      let row = scalars + count * width
      (row + width).update(from: row, count: width)
      do throws(DecodeFailure) {
        guard try decoder.next(&elements, payload, into: row, arena: arena) else { return }
        guard elements.index < Limits.elementsMax else {
          count = first
          throw DecodeFailure(.tooManyElements, offset: 0)
        }
        if let computer {
          do throws(DecodeFailure) {
            try computer.run(row, arena: arena)
          } catch {
            throw error.inElement(elements.index)
          }
        }
        sequences[count] = sequence
        count += 1
      } catch {
        if error.reason == .tooManyElements { throw error }
        refuse(error)
        row.update(from: row + width, count: width)
      }
    }
  }

  /// Makes room for so many rows.
  private func reserve(_ rows: Int) {
    if rows <= room { return }
    let larger = max(rows, 2 * room)
    let (rowMemory, sequenceMemory) = (scalars, sequences)
    scalars = .allocate(capacity: width * larger)
    sequences = .allocate(capacity: larger)
    scalars.update(from: rowMemory, count: width * room)
    sequences.update(from: sequenceMemory, count: room)
    rowMemory.deallocate()
    sequenceMemory.deallocate()
    room = larger
  }

  /// Takes rows back, of those from `start` on: the ones for which `isKept` doesn't hold.
  public func removeRows<Failure>(
    from start: Int, unless isKept: (Int) throws(Failure) -> Bool
  ) throws(Failure) {
    var kept = start
    for row in start..<count where try isKept(row) {
      if kept < row {
        (scalars + kept * width).update(from: scalars + row * width, count: width)
        sequences[kept] = sequences[row]
      }
      kept += 1
    }
    count = kept
  }

  /// Empties the batch, and with it every text that its rows held.
  public func removeAll() {
    count = 0
    arena.reset()
  }

  /// The scalars of a row, in the order of `schema.columns`.
  @inline(__always)
  public func row(_ index: Int) -> UnsafePointer<Scalar> { UnsafePointer(scalars + index * width) }

  /// The event time of a row, in microseconds.
  @inline(__always)
  public func time(_ index: Int) -> Int64 { scalars[index * width + timeColumn].int64 }

  /// The place of a row in its log.
  public func sequence(_ index: Int) -> Int64 { sequences[index] }
}
