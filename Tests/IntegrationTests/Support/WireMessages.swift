import FeatureCore
import Processor
import TestSupport

/// The fields of a protobuf message, by number. A reader of its own: the one under test only writes.
struct WireMessage {
  private(set) var numbers: [Int: UInt64] = [:]
  private(set) var bytes: [Int: [UInt8]] = [:]

  init?(_ message: [UInt8]) {
    var rest = message[...]
    while !rest.isEmpty {
      guard let tag = Self.varint(&rest) else { return nil }
      let field = Int(tag >> 3)
      switch tag & 7 {
      case 0:
        guard let value = Self.varint(&rest) else { return nil }
        numbers[field] = value
      case 1:
        guard rest.count >= 8 else { return nil }
        numbers[field] = rest.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(8)
      case 2:
        guard let count = Self.varint(&rest), count <= UInt64(rest.count) else { return nil }
        bytes[field] = Array(rest.prefix(Int(count)))
        rest = rest.dropFirst(Int(count))
      default: return nil
      }
    }
  }

  func text(_ field: Int) -> String { String(decoding: bytes[field] ?? [], as: UTF8.self) }

  private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = rest.popFirst(), shift < 64 {
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}

/// A record of the snapshot topic (message plumbline.Snapshot).
struct Snapshot {
  var view: String
  var key: [UInt8]
  var partition: String
  var position: Int64
  var state: [UInt8]
  var version: UInt64

  init?(_ value: [UInt8]?) {
    guard let message = value.flatMap(WireMessage.init), let state = message.bytes[8] else { return nil }
    view = message.text(1)
    key = message.bytes[2] ?? []
    partition = "\(message.text(3))-\(message.numbers[4] ?? 0)"
    position = Int64(bitPattern: message.numbers[5] ?? 0)
    self.state = state
    version = message.numbers[10] ?? 0
  }
}

/// A record of the dead-letter topic (message plumbline.DeadLetter), but for its explanation.
struct Letter: Hashable {
  var reason: String
  var view: String
  var place: TopicPartition
  var offset: Int64
  var key: [UInt8]
  var payload: [UInt8]

  /// What a letter keeps of a key.
  static func kept(key: [UInt8]) -> [UInt8] { Array(key.prefix(4_096)) }

  /// What a letter keeps of a payload: all of it, or the beginning of one that is larger than a record may be.
  static func kept(_ payload: [UInt8]) -> [UInt8] {
    payload.count <= Limits.recordBytesMax ? payload : Array(payload.prefix(200))
  }
}

extension Letter {
  init?(_ value: [UInt8]?) {
    guard let message = value.flatMap(WireMessage.init) else { return nil }
    self.init(
      reason: message.text(1), view: message.text(3),
      place: TopicPartition(message.text(4), Int32(message.numbers[5] ?? 0)),
      offset: Int64(message.numbers[6] ?? 0), key: message.bytes[7] ?? [], payload: message.bytes[8] ?? [])
  }
}
