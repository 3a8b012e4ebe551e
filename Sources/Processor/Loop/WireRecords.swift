import FeatureCore

/// Writes the records of the output topics, as Topics/schemas/plumbline.proto declares them. By hand, since a
/// snapshot is written for every commit of every entity: no message object is made.
struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  func withBytes<Failure>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(Failure) -> Void in
      try body(bytes)
    }
  }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  mutating func field(_ number: UInt64, varint value: UInt64) {
    varint(number << 3)
    varint(value)
  }

  mutating func field(_ number: UInt64, fixed64 value: UInt64) {
    varint(number << 3 | 1)
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func field(_ number: UInt64, bytes value: some Collection<UInt8>) {
    varint(number << 3 | 2)
    varint(UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  mutating func field(_ number: UInt64, text value: String) { field(number, bytes: value.utf8) }

  /// A message inside this one: what `write` writes.
  private mutating func field(_ number: UInt64, _ write: (inout Self) -> Void) {
    varint(number << 3 | 2)
    let start = bytes.count
    // The length comes first, and is known last: nearly always it is one byte.
    bytes.append(0)
    write(&self)
    let length = bytes.count - start - 1
    guard length >= 0x80 else { return bytes[start] = UInt8(length) }
    var prefix = ProtobufWriter()
    prefix.varint(UInt64(length))
    bytes.replaceSubrange(start...start, with: prefix.bytes)
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}

/// The position that a record of an output topic belongs to: the offset behind the last record in it.
struct RecordPosition {
  var partition: TopicPartition
  var offset: Int64
}

extension ProtobufWriter {
  /// A snapshot: message plumbline.Snapshot.
  mutating func snapshot(
    _ view: ViewPlan, version: Int, key: UnsafeRawBufferPointer, at position: RecordPosition,
    asOf: EventTime, state: some Collection<UInt8>, values: [FeatureValue]
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
    for value in values { field(9) { $0.value(value) } }
    field(10, varint: UInt64(bitPattern: Int64(version)))
  }

  /// A dead letter: message plumbline.DeadLetter.
  mutating func deadLetter(_ letter: DeadLetter, at position: RecordPosition, key: UnsafeRawBufferPointer?) {
    removeAll()
    field(1, text: letter.reason)
    field(2, text: letter.message)
    if let view = letter.view { field(3, text: view) }
    field(4, text: position.partition.topic)
    field(5, varint: UInt64(bitPattern: Int64(position.partition.partition)))
    field(6, varint: UInt64(bitPattern: position.offset))
    if let key { field(7, bytes: key) }
    field(8, bytes: letter.payload)
  }

  /// Message plumbline.Value; null is the empty message.
  private mutating func value(_ value: FeatureValue) {
    switch value {
    case .null: break
    case .int64(let number): field(1, varint: UInt64(bitPattern: number))
    case .double(let number): field(2, fixed64: number.bitPattern)
    case .bool(let flag): field(3, varint: flag ? 1 : 0)
    case .string(let text): field(4, bytes: text.utf8)
    case .timestamp(let time): field(5, varint: UInt64(bitPattern: time.microseconds))
    case .list(let values):
      field(6) { list in
        for element in values { list.field(1) { $0.value(element) } }
      }
    }
  }
}
