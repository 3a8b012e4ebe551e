/// Decoded events of one source: rows of scalars side by side, and the memory of their unescaped texts.
///
/// A batch exists so that the cache misses of its events overlap; its size changes no result. One owner, one
/// thread, and nothing is called that could come back: so exclusivity needs no check at run time.
public final class EventBatch {
  /// The source's columns.
  public let schema: EventSchema
  /// Rows that fit.
  public let capacity: Int
  /// Rows that are in.
  @exclusivity(unchecked) public private(set) var count = 0

  let width: Int
  let scalars: UnsafeMutablePointer<Scalar>
  private let sequences: UnsafeMutablePointer<Int64>
  private let arena = TextArena()
  @exclusivity(unchecked) private var decoder: EventDecoder

  /// An empty batch of at most `capacity` rows.
  public init(_ schema: EventSchema, capacity: Int) {
    self.schema = schema
    self.capacity = capacity
    width = schema.columns.count
    scalars = .allocate(capacity: width * capacity)
    sequences = .allocate(capacity: capacity)
    decoder = EventDecoder(schema)
  }

  deinit {
    scalars.deallocate()
    sequences.deallocate()
  }

  /// Decodes a record into the next row; nothing is appended if that fails. `sequence` is the record's place
  /// in its log (an offset or a line number). The payload must stay alive until `removeAll`.
  public func append(_ payload: UnsafeRawBufferPointer, sequence: Int64) throws(DecodeFailure) {
    precondition(count < capacity, "Cannot append to a full batch")
    try decoder.decode(payload, into: scalars + count * width, arena: arena)
    sequences[count] = sequence
    count += 1
  }

  /// Takes the latest row back.
  public func removeLast() { count -= 1 }

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
  public func time(_ index: Int) -> Int64 { scalars[index * width + schema.timeColumn].int64 }

  /// The place of a row in its log.
  public func sequence(_ index: Int) -> Int64 { sequences[index] }
}
