/// What stands in a CopyData message of streaming replication
/// (https://www.postgresql.org/docs/15/protocol-replication.html).
enum ReplicationMessage {
  /// A message of the output plugin.
  case data(UnsafeRawBufferPointer)
  /// The server is alive and has come so far; it may want an answer at once.
  case keepalive(end: LogSequenceNumber, wantsAnswer: Bool)

  init(_ bytes: UnsafeRawBufferPointer) throws(CaptureError) {
    var reader = MessageReader(bytes)
    switch try reader.integer(UInt8.self) {
    case UInt8(ascii: "w"):
      _ = try reader.take(24)
      self = .data(reader.rest)
    case UInt8(ascii: "k"):
      let end = LogSequenceNumber(try reader.integer(UInt64.self))
      _ = try reader.integer(UInt64.self)
      self = .keepalive(end: end, wantsAnswer: try reader.integer(UInt8.self) != 0)
    case let kind:
      throw CaptureError(
        .stop, "PostgreSQL sent a replication message of kind \(kind), which this version doesn't know")
    }
  }

  /// The answer that everything before a place is kept for good, and whether the server is to answer in turn; `now` is in
  /// microseconds since 1970.
  static func standbyStatus(_ place: LogSequenceNumber, now: Int64, wantsAnswer: Bool) -> [UInt8] {
    var bytes: [UInt8] = [UInt8(ascii: "r")]
    for _ in 0..<3 { append(place.value, to: &bytes) }
    append(UInt64(bitPattern: now &- PgOutputMessage.epoch), to: &bytes)
    bytes.append(wantsAnswer ? 1 : 0)
    return bytes
  }

  private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}
