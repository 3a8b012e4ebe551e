import FeatureCore

/// Writes the records of the output topics, as Topics/schemas/plumbline.proto declares them. By hand, since a
/// snapshot is written for every commit of every entity: no message object is made, and no byte appended to an array.
struct ProtobufWriter: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>
  private var capacity = 1024
  private var count = 0

  init() { base = .allocate(capacity: capacity) }

  deinit { base.deallocate() }

  /// What has been written.
  var bytes: [UInt8] { Array(UnsafeBufferPointer(start: base, count: count)) }

  func withBytes<Failure>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try body(UnsafeRawBufferPointer(start: base, count: count))
  }

  mutating func removeAll() { count = 0 }

  @inline(__always)
  mutating func field(_ number: UInt64, varint value: UInt64) {
    varint(number << 3)
    varint(value)
  }

  @inline(__always)
  mutating func field(_ number: UInt64, fixed64 value: UInt64) {
    varint(number << 3 | 1)
    reserve(8)
    UnsafeMutableRawPointer(base + count).storeBytes(of: value.littleEndian, as: UInt64.self)
    count += 8
  }

  mutating func field(_ number: UInt64, bytes value: UnsafeRawBufferPointer) {
    varint(number << 3 | 2)
    varint(UInt64(value.count))
    reserve(value.count)
    UnsafeMutableRawBufferPointer(start: base + count, count: value.count).copyMemory(from: value)
    count += value.count
  }

  mutating func field(_ number: UInt64, text value: String) {
    var value = value
    value.withUTF8 { field(number, bytes: UnsafeRawBufferPointer($0)) }
  }

  /// A message inside this one: what `write` writes.
  @inline(__always)
  private mutating func field(_ number: UInt64, _ write: (inout Self) -> Void) {
    varint(number << 3 | 2)
    // The length comes first, and is known last: nearly always it is one byte.
    reserve(1)
    count += 1
    let start = count
    write(&self)
    let length = count - start
    if length < 0x80 { base[start - 1] = UInt8(length) } else { insertLength(length, at: start) }
  }

  /// Moves a message so that a length of more than the byte in front of it has room.
  private mutating func insertLength(_ length: Int, at start: Int) {
    let size = (UInt64.bitWidth - length.leadingZeroBitCount + 6) / 7
    reserve(size - 1)
    UnsafeMutableRawPointer(base + start + size - 1).copyMemory(from: base + start, byteCount: length)
    count = start - 1
    // There is room: nothing is moved while the message lies beyond `count`.
    varint(UInt64(length))
    count += length
  }

  @inline(__always)
  private mutating func varint(_ value: UInt64) {
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      base[count] = UInt8(truncatingIfNeeded: rest) | 0x80
      count += 1
      rest >>= 7
    }
    base[count] = UInt8(truncatingIfNeeded: rest)
    count += 1
  }

  @inline(__always)
  private mutating func reserve(_ room: Int) {
    if capacity - count < room { grow(room) }
  }

  @inline(never)
  private mutating func grow(_ room: Int) {
    capacity = max(2 * capacity, count + room)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    larger.update(from: base, count: count)
    base.deallocate()
    base = larger
  }
}

/// The position that a record of an output topic belongs to: the offset behind the last record in it.
struct RecordPosition {
  var partition: TopicPartition
  var offset: Int64
}

extension ProtobufWriter {
  /// A snapshot: message plumbline.Snapshot. The values are in the order of the view's features; nil leaves them out.
  mutating func snapshot(
    _ view: ViewPlan, version: Int, key: UnsafeRawBufferPointer, at position: RecordPosition,
    asOf: EventTime, state: UnsafeRawBufferPointer, values: [FeatureValue]?
  ) {
    removeAll()
    field(1, text: view.name)
    field(2, bytes: key)
    field(3, text: position.partition.topic)
    field(4, varint: UInt64(bitPattern: Int64(position.partition.partition)))
    field(5, varint: UInt64(bitPattern: position.offset))
    field(6, varint: UInt64(bitPattern: asOf.microseconds))
    field(7, fixed64: view.fingerprint)
    field(8, bytes: state)
    field(10, varint: UInt64(bitPattern: Int64(version)))
    if let values {
      for index in view.featuresByName { field(11) { $0.value(values[index]) } }
    }
  }

  /// A record on its way to another partition whose views read more of it than its value.
  mutating func forwarded(_ record: LogRecord, _ schema: EventSchema) {
    removeAll()
    if let timestamp = record.timestampMilliseconds { field(1, fixed64: UInt64(bitPattern: timestamp)) }
    if let key = record.key { field(2, bytes: key) }
    field(3, bytes: record.payload)
    if let headers = record.headers, !schema.headerNames.isEmpty {
      field(ForwardedRecord.headersField) { list in
        Self.forEachDeclared(schema, headers) { name, value in list.header(1, name, value) }
      }
    }
  }

  /// The headers that a source reads, and no others: those of tracing would be carried for nobody.
  private static func forEachDeclared(
    _ schema: EventSchema, _ headers: RecordHeaders,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
  ) {
    for name in schema.headerNames {
      name.utf8.withUnsafeBytes { name in
        if let value = headers.last(name) { body(name, value) }
      }
    }
  }

  /// A message of a name and a value, as an entry of a map is.
  private mutating func header(
    _ number: UInt64, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
  ) {
    field(number) {
      $0.field(1, bytes: name)
      $0.field(2, bytes: value)
    }
  }

  /// A dead letter: message plumbline.DeadLetter.
  mutating func deadLetter(
    _ letter: DeadLetter, version: Int, at position: RecordPosition, key: UnsafeRawBufferPointer?,
    _ schema: EventSchema? = nil, headers: RecordHeaders? = nil
  ) {
    removeAll()
    field(1, text: letter.reason)
    field(2, text: letter.message)
    if let view = letter.view { field(3, text: view) }
    field(4, text: position.partition.topic)
    field(5, varint: UInt64(bitPattern: Int64(position.partition.partition)))
    field(6, varint: UInt64(bitPattern: position.offset))
    if let key { field(7, bytes: key) }
    field(8, bytes: letter.payload)
    field(9, varint: UInt64(bitPattern: Int64(version)))
    guard let headers, let schema else { return }
    // As with the key: the letter has to fit into a record.
    Self.forEachDeclared(schema, headers) { name, value in
      header(10, name, UnsafeRawBufferPointer(rebasing: value.prefix(Limits.entityKeyBytesMax)))
    }
  }

  /// Message plumbline.Value; null is the empty message.
  private mutating func value(_ value: FeatureValue) {
    switch value {
    case .null: break
    case .int64(let number): field(1, varint: UInt64(bitPattern: number))
    case .double(let number): field(2, fixed64: number.bitPattern)
    case .bool(let flag): field(3, varint: flag ? 1 : 0)
    case .string(let text): text.utf8.withUnsafeBytes { field(4, bytes: $0) }
    case .timestamp(let time): field(5, varint: UInt64(bitPattern: time.microseconds))
    case .list(let values):
      field(6) { list in
        for element in values { list.field(1) { $0.value(element) } }
      }
    }
  }
}
