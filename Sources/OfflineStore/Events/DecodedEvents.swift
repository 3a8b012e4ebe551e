import EventFiles
public import FeatureCore

/// Some events of a file, decoded: rows, which records are none and why, and the bytes of a record for whoever asks. Filled and
/// used again and again; one thread at a time.
public final class DecodedEvents {
  /// Rows that come at once: with the texts that they point to, they stay in a core's cache.
  private static let rows = 1024

  /// The rows; their sequences are the numbers of the records.
  public let batch: EventBatch
  /// The file, as whoever reads it calls it.
  public var path = ""
  /// Records that could not be decoded, or elements of them; in the order of the file.
  public private(set) var failures: [(sequence: Int64, failure: DecodeFailure)] = []

  /// The records' bytes, which have no address while nobody has asked for them.
  @exclusivity(unchecked) private var payloads = RecordPayloads()
  private var lines = LineCopies()
  /// What the records and the texts of rows stand in, unless it is `lines`.
  let arena = TextArena()
  /// Writes the record of a row, counted from the first record.
  private var write: ((Int, inout LineBuffer) -> Void)?
  private var buffer = LineBuffer()

  /// No events of a source.
  public init(_ schema: EventSchema) { batch = EventBatch(schema, capacity: Self.rows) }

  /// The records.
  public var count: Int { payloads.count }

  /// Records that it takes.
  var recordsMax: Int { batch.recordsMax }

  /// The bytes of a record, as they stand in the file, or as JSON if it is a table's row. They are valid until others are read.
  public func payload(_ number: Int64) -> UnsafeRawBufferPointer {
    let index = payloads.index(of: number)
    if payloads[index].baseAddress == nil { payloads[index] = written(index) }
    return payloads[index]
  }

  private func written(_ index: Int) -> UnsafeRawBufferPointer {
    guard let write else { preconditionFailure("Cannot write a row of nothing") }
    write(index, &buffer)
    return written(payloads.number(at: index)).bytes
  }

  /// Takes what has been written to the buffer.
  private func written(_ number: Int64) -> (bytes: UnsafeRawBufferPointer, isOversized: Bool) {
    buffer.endEvent(number: number)
    defer { buffer.removeAll() }
    return buffer.withLines { lines in
      let copy = arena.allocate(lines[0].bytes.count)
      copy.copyMemory(from: lines[0].bytes)
      return (UnsafeRawBufferPointer(copy), lines[0].isOversized)
    }
  }

  // MARK: Filling

  /// Forgets the events. `write` is asked for the records of rows of a table.
  func begin(write: ((Int, inout LineBuffer) -> Void)? = nil) {
    batch.removeAll()
    arena.reset()
    failures.removeAll(keepingCapacity: true)
    payloads.removeAll()
    self.write = write
  }

  /// Decodes copies of at most `recordsMax` lines.
  func decode(_ block: LineBlock) {
    lines.take(block)
    lines.withLines { for line in $0 { decode(line.bytes, line.isOversized, line.number) } }
  }

  private func decode(_ bytes: UnsafeRawBufferPointer, _ isOversized: Bool, _ number: Int64) {
    payloads.append(bytes, number: number)
    do throws(DecodeFailure) {
      guard !isOversized else { throw .oversized }
      try batch.append(bytes, sequence: number) { failures.append((number, $0)) }
    } catch {
      failures.append((number, error))
    }
  }

  /// Adds a row of a table. What its texts stand in must stay alive until others are read.
  func add(_ cells: UnsafeBufferPointer<EventCell>, by reader: CellReader, number: Int64) {
    if batch.append(cells, by: reader, sequence: number) {
      payloads.append(UnsafeRawBufferPointer(start: nil, count: 0), number: number)
    } else {
      write?(count, &buffer)
      let (bytes, isOversized) = written(number)
      decode(bytes, isOversized, number)
    }
  }
}

extension EventFileReader {
  /// Decodes the next events, at least one, with the schema that the file was opened with; false at the end. Each time that
  /// `take` gives room for some, these are given back; nil ends the reading.
  public mutating func next(
    take: () -> DecodedEvents?, give: (DecodedEvents) -> Void
  ) throws -> Bool {
    switch form {
    case .csv(let csv) where csv.hasCells: return try csv.next(take: take, give: give)
    case .parquet(let parquet) where parquet.hasCells: return try parquet.next(take: take, give: give)
    case .lines, .array, .csv, .parquet: break
    }
    var isWanted = true
    let isThere = try next { lines in
      var start = 0
      while start < lines.count {
        guard let events = take() else {
          isWanted = false
          return
        }
        let end = min(lines.count, start + events.recordsMax)
        events.begin()
        events.decode(LineBlock(rebasing: lines[start..<end]))
        give(events)
        start = end
      }
    }
    return isThere && isWanted
  }
}
