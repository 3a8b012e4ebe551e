import FeatureCore

/// A record of a source that came through a repartition topic: as it was, with what `ProtobufWriter.forwarded` has kept.
struct ForwardedRecord {
  var fields: RecordFields
  var payload: UnsafeRawBufferPointer

  /// Reads a record whose source needs more than values; nil of damaged bytes.
  init?(_ bytes: UnsafeRawBufferPointer) {
    // Forwarded by a version that sent such a source's values alone: no field begins like that.
    if bytes.first == UInt8(ascii: "{") {
      (fields, payload) = (.none, bytes)
      return
    }
    // Swift 6.3's optimiser loses a write to a property in the loop.
    var fields = RecordFields.none
    var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    var at = 0
    while at < bytes.count {
      let tag = bytes[at]
      at += 1
      if tag == 1 << 3 | 1 {
        guard at + 8 <= bytes.count else { return nil }
        fields.timestampMilliseconds = Int64(
          bitPattern: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
        at += 8
        continue
      }
      guard tag == 2 << 3 | 2 || tag == 3 << 3 | 2 || tag == Self.headersTag,
        let length = Self.varint(bytes, &at),
        length <= bytes.count - at
      else { return nil }
      let part = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)])
      switch tag {
      case 2 << 3 | 2: fields.key = part
      case Self.headersTag: fields.headers = RecordHeaders(part)
      default: payload = part
      }
      at += length
    }
    (self.fields, self.payload) = (fields, payload)
  }

  static let headersField: UInt64 = 10
  private static let headersTag = UInt8(headersField) << 3 | 2

  private static func varint(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Int? {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
      guard at < bytes.count else { return nil }
      let byte = bytes[at]
      at += 1
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}
