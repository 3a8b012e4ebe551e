import FeatureCore
public import Processor

/// What a state stands in, in Redis: behind the position that it was written with, and a checksum over both and its key.
///
/// | bytes | |
/// |---|---|
/// | 1 | 2, the format of the envelope |
/// | 4 | little-endian: the lower half of XXH64 of all that follows, seeded with XXH64 of the `StateKey` |
/// | 8 | little-endian: the task's position of the commit that wrote it |
/// | rest | the state, as in its snapshot |
///
/// The position tells a state of the task's present from one of a past that the task's position has lost; the checksum tells
/// one that memory, a disk or a person has changed.
public enum StateEnvelope {
  static let format: UInt8 = 2
  static let headerBytes = 13

  /// What a value in Redis holds under a `StateKey`.
  public static func open(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> StoredState {
    guard value.count >= headerBytes else { return .damaged("it has \(value.count) bytes") }
    guard value[0] == format else { return .damaged("it begins with \(value[0]), which no state does") }
    let content = UnsafeRawBufferPointer(rebasing: value[5...])
    let stored = UInt32(littleEndian: value.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
    guard stored == checksum(content, key: key) else { return .damaged("its checksum is another") }
    let position = Int64(littleEndian: content.loadUnaligned(as: Int64.self))
    return .state(UnsafeRawBufferPointer(rebasing: content[8...]), position: position)
  }

  /// Appends the value that a state has in Redis.
  static func append(
    _ state: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, position: Int64, to bytes: inout [UInt8]
  ) {
    let start = bytes.count
    bytes.append(format)
    bytes.append(contentsOf: repeatElement(0, count: 4))
    withUnsafeBytes(of: position.littleEndian) { bytes += $0 }
    bytes += state
    let checksum = bytes.withUnsafeBytes {
      self.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 5)...]), key: key)
    }
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: checksum.littleEndian, toByteOffset: start + 1, as: UInt32.self)
    }
  }

  private static func checksum(_ content: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(truncatingIfNeeded: Hash64.hash(content, seed: Hash64.hash(key)))
  }
}

extension StoredState {
  /// The state's bytes; none if there is no state, and no byte, which is no state either, if it is damaged.
  var bytes: UnsafeRawBufferPointer? {
    switch self {
    case .none: nil
    case .state(let bytes, _): bytes
    case .damaged: UnsafeRawBufferPointer(start: nil, count: 0)
    }
  }
}
