import FeatureCore

/// Reads the records of the output topics, as Topics/schemas/plumbline.proto declares them; written apart from what
/// writes them.
struct WireReader {
  enum Field {
    case number(UInt64)
    case bytes(ArraySlice<UInt8>)

    var number: UInt64 { if case .number(let value) = self { value } else { 0 } }
    var bytes: [UInt8] { if case .bytes(let value) = self { Array(value) } else { [] } }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var int64: Int64 { Int64(bitPattern: number) }
  }

  private var bytes: ArraySlice<UInt8>

  init(_ bytes: some Collection<UInt8>) { self.bytes = ArraySlice(bytes) }

  /// The fields in order; nil if the bytes are no message.
  static func fields(_ bytes: some Collection<UInt8>) -> [(number: UInt64, field: Field)]? {
    var reader = WireReader(bytes)
    var fields: [(number: UInt64, field: Field)] = []
    while !reader.bytes.isEmpty {
      guard let tag = reader.varint() else { return nil }
      switch tag & 7 {
      case 0:
        guard let value = reader.varint() else { return nil }
        fields.append((tag >> 3, .number(value)))
      case 1:
        guard let raw = reader.take(8) else { return nil }
        fields.append((tag >> 3, .number(raw.reversed().reduce(0) { $0 << 8 | UInt64($1) })))
      case 2:
        guard let count = reader.varint(), let raw = reader.take(Int(clamping: count)) else { return nil }
        fields.append((tag >> 3, .bytes(raw)))
      default: return nil
      }
    }
    return fields
  }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = bytes.popFirst() else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count <= bytes.count else { return nil }
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count)
  }

  /// Message plumbline.Value.
  static func value(_ bytes: [UInt8]) -> FeatureValue? {
    guard let fields = fields(bytes) else { return nil }
    guard let (number, field) = fields.first else { return .null }
    switch number {
    case 1: return .int64(field.int64)
    case 2: return .double(Double(bitPattern: field.number))
    case 3: return .bool(field.number == 1)
    case 4: return .string(Text(utf8: field.bytes))
    case 5: return .timestamp(EventTime(microseconds: field.int64))
    case 6:
      guard let list = Self.fields(field.bytes) else { return nil }
      let values = list.compactMap { value($0.field.bytes) }
      return values.count == list.count ? .list(values) : nil
    default: return nil
    }
  }
}

/// The same of parts with a length.
enum WireWriter {
  static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    var length: [UInt8] = []
    var rest = bytes.count
    repeat {
      length.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    return [number << 3 | 2] + length + bytes
  }
}

/// A snapshot as it was read.
struct ReadSnapshot {
  var view = ""
  var entityKey: [UInt8] = []
  var topic = ""
  var partition: Int32 = 0
  var offset: Int64 = 0
  var asOf: Int64 = 0
  var fingerprint: UInt64 = 0
  var state: [UInt8] = []
  var values: [FeatureValue] = []
  var version: Int64 = 0

  /// nil: the bytes are no snapshot.
  init?(_ bytes: [UInt8]) {
    guard let fields = WireReader.fields(bytes) else { return nil }
    for (number, field) in fields {
      switch number {
      case 1: view = field.text
      case 2: entityKey = field.bytes
      case 3: topic = field.text
      case 4: partition = Int32(truncatingIfNeeded: field.int64)
      case 5: offset = field.int64
      case 6: asOf = field.int64
      case 7: fingerprint = field.number
      case 8: state = field.bytes
      case 11:
        guard let value = WireReader.value(field.bytes) else { return nil }
        values.append(value)
      case 10: version = field.int64
      default: return nil
      }
    }
  }
}

extension LetterIdentity {
  /// nil: the bytes are no dead letter.
  init?(_ bytes: [UInt8]) {
    guard let fields = WireReader.fields(bytes) else { return nil }
    self.init(reason: "", view: "", topic: "", partition: 0, offset: 0, key: [], payload: [], version: 0)
    for (number, field) in fields {
      switch number {
      case 1: reason = field.text
      case 2: break
      case 3: view = field.text
      case 4: topic = field.text
      case 5: partition = Int32(truncatingIfNeeded: field.int64)
      case 6: offset = field.int64
      case 7: key = field.bytes
      case 8: payload = field.bytes
      case 9: version = field.int64
      case 10: headers.append(field.bytes)
      default: return nil
      }
    }
  }
}
