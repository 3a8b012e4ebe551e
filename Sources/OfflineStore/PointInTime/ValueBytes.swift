import FeatureCore

/// A column's value in one row of a spine.
enum SpineField: Hashable {
  case value(FeatureValue)
  /// JSON that is no string: a number, a bool, an array, an object. Its text is kept as it is.
  case literal(Text)
}

private enum Tag: UInt8 {
  case null, int64, double, bool, string, timestamp, list, literal
}

/// Values as bytes, one behind the other, for this process alone.
final class ValueBuffer {
  @exclusivity(unchecked) private var memory = GrowingBytes()

  /// The bytes, until the next change.
  var contents: UnsafeRawBufferPointer { memory.bytes }

  func removeAll() { memory.count = 0 }

  func append(_ value: FeatureValue) {
    switch value {
    case .null: append(Tag.null)
    case .int64(let value): append(.int64, UInt64(bitPattern: value))
    case .double(let value): append(.double, value.bitPattern)
    case .bool(let value): append(.bool, value ? 1 : 0)
    case .timestamp(let time): append(.timestamp, UInt64(bitPattern: time.microseconds))
    case .string(let text): text.utf8.withUnsafeBytes { append(text: $0) }
    case .list(let elements):
      append(.list, UInt64(elements.count))
      for element in elements { append(element) }
    }
  }

  func append(text: UnsafeRawBufferPointer) { append(.string, text) }

  func append(literal: UnsafeRawBufferPointer) { append(.literal, literal) }

  private func append(_ tag: Tag, _ bytes: UnsafeRawBufferPointer) {
    append(tag, UInt64(bytes.count))
    reserve(bytes.count)
    UnsafeMutableRawBufferPointer(start: memory.end, count: bytes.count).copyMemory(from: bytes)
    memory.count += bytes.count
  }

  private func append(_ tag: Tag, _ word: UInt64) {
    append(tag)
    memory.end.storeBytes(of: word, as: UInt64.self)
    memory.count += 8
  }

  private func append(_ tag: Tag) {
    reserve(9)
    memory.end.storeBytes(of: tag.rawValue, as: UInt8.self)
    memory.count += 1
  }

  private func reserve(_ bytes: Int) {
    if !memory.hasRoom(bytes) { memory.grow(to: max(256, (memory.count + bytes) * 2)) }
  }
}

/// Reads what a `ValueBuffer` holds.
struct ValueParser {
  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func value() -> FeatureValue {
    guard case .value(let value) = field() else { preconditionFailure("Cannot read JSON as a value") }
    return value
  }

  mutating func field() -> SpineField {
    guard let tag = Tag(rawValue: bytes[at]) else {
      preconditionFailure("Cannot read a value of kind \(bytes[at])")
    }
    at += 1
    switch tag {
    case .null: return .value(.null)
    case .int64: return .value(.int64(Int64(bitPattern: word())))
    case .double: return .value(.double(Double(bitPattern: word())))
    case .bool: return .value(.bool(word() == 1))
    case .timestamp: return .value(.timestamp(EventTime(microseconds: Int64(bitPattern: word()))))
    case .string: return .value(.string(text()))
    case .literal: return .literal(text())
    case .list: return .value(.list((0..<Int(word())).map { _ in value() }))
    }
  }

  private mutating func word() -> UInt64 {
    defer { at += 8 }
    return bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
  }

  private mutating func text() -> Text {
    let count = Int(word())
    defer { at += count }
    return Text(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)]))
  }
}
