/// Why bytes are not a state of a view.
public struct StateError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kinds.
  public enum Kind: Hashable, Sendable {
    /// The first byte names a format that this version does not know.
    case unknownFormat(UInt8)
    /// The state belongs to other definitions.
    case otherDefinitions(found: UInt64, expected: UInt64, zones: [String] = [])
    /// The bytes end too early, go on too long, or are not the canonical encoding of any state.
    case corrupt(String)
  }

  /// What is wrong.
  public var kind: Kind
  /// Byte offset at which it was noticed.
  public var offset: Int

  /// What happened, where, and what to do.
  public var description: String {
    switch kind {
    case .unknownFormat(let format):
      "state format \(format) is not known to this version; read it with the version that wrote it, or newer"
    case .otherDefinitions(let found, let expected, let zones):
      "the state was written by other definitions (fingerprint \(fingerprintText(found)), expected "
        + "\(fingerprintText(expected))); use those, or raise 'version' and replay" + zoneHint(zones)
    case .corrupt(let reason):
      "corrupt state at byte \(offset): \(reason); rebuild it by replay"
    }
  }
}

/// What other definitions may be if nobody has changed the file: rules of its time zones. Follows a message; empty without zones.
public func zoneHint(_ zones: [String]) -> String {
  if zones.isEmpty { return "" }
  return
    ". If the file is the same, this machine's rules of \(zones.joined(separator: ", ")) are not those that the states were made "
    + "by: install the release of tzdata that made them"
}

/// A fingerprint as people see it: 16 hexadecimal digits.
public func fingerprintText(_ fingerprint: UInt64) -> String {
  let digits = String(fingerprint, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

/// Writes the primitives of the state format into memory of its own, which starts on the caller's stack and moves
/// to the heap when it is outgrown: no byte is appended to an array by itself.
struct ByteWriter: ~Copyable {
  /// Most states are smaller.
  static let stackBytes = 1024

  private var base: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private var count = 0
  private var isOnHeap = false

  /// A writer into borrowed memory.
  private init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
    guard let base = memory.baseAddress else { preconditionFailure("Cannot write into no memory") }
    self.base = base
    capacity = memory.count
  }

  /// A writer that begins with some bytes, on the heap: for parts of a state by themselves.
  init(bytes: [UInt8]) {
    capacity = max(bytes.count, 64)
    base = .allocate(capacity: capacity)
    isOnHeap = true
    raw(bytes)
  }

  deinit { if isOnHeap { base.deallocate() } }

  /// What has been written.
  var bytes: [UInt8] { Array(UnsafeBufferPointer(start: base, count: count)) }

  /// Appends what `body` writes to an array.
  static func append(to bytes: inout [UInt8], _ body: (inout ByteWriter) -> Void) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: stackBytes) { memory in
      var writer = ByteWriter(memory)
      body(&writer)
      bytes.append(contentsOf: UnsafeBufferPointer(start: writer.base, count: writer.count))
    }
  }

  @inline(__always)
  mutating func byte(_ value: UInt8) {
    reserve(1)
    put(value)
  }

  /// LEB128, as in Protobuf.
  @inline(__always)
  mutating func varint(_ value: UInt64) {
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      put(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    put(UInt8(truncatingIfNeeded: rest))
  }

  /// Zigzag LEB128, as Protobuf's sint64.
  @inline(__always)
  mutating func signed(_ value: Int64) { varint(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

  /// 8 bytes, little-endian.
  @inline(__always)
  mutating func fixed(_ value: UInt64) {
    reserve(8)
    UnsafeMutableRawPointer(base + count).storeBytes(of: value.littleEndian, as: UInt64.self)
    count += 8
  }

  /// Bytes as they are.
  mutating func raw(_ values: some Collection<UInt8>) {
    reserve(values.count)
    for value in values { put(value) }
  }

  /// Writes where there is room.
  @inline(__always)
  private mutating func put(_ value: UInt8) {
    base[count] = value
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
    if isOnHeap { base.deallocate() }
    base = larger
    isOnHeap = true
  }
}

/// Reads the primitives of the state format; every fault is an error, never a trap.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  func corrupt(_ reason: String) -> StateError { StateError(kind: .corrupt(reason), offset: offset) }

  mutating func byte() throws(StateError) -> UInt8 {
    guard offset < bytes.count else { throw corrupt("the bytes end too early") }
    defer { offset += 1 }
    return bytes[offset]
  }

  /// A LEB128 number in its shortest form.
  mutating func varint() throws(StateError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      guard shift < 63 || next <= 1 else { throw corrupt("a number does not fit 64 bits") }
      value |= UInt64(next & 0x7F) << shift
      if next < 0x80 {
        guard next != 0 || shift == 0 else { throw corrupt("a number is not in its shortest form") }
        return value
      }
      shift += 7
    }
  }

  mutating func signed() throws(StateError) -> Int64 {
    let value = try varint()
    return Int64(bitPattern: (value >> 1) ^ (0 &- (value & 1)))
  }

  mutating func fixed() throws(StateError) -> UInt64 {
    guard offset + 8 <= bytes.count else { throw corrupt("the bytes end too early") }
    defer { offset += 8 }
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  mutating func raw(_ count: Int) throws(StateError) -> UnsafeRawBufferPointer {
    guard count <= bytes.count - offset else { throw corrupt("the bytes end too early") }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
  }

  /// A count of things that each take at least one byte: so no forged count can ask for much memory.
  mutating func count(atMost limit: Int) throws(StateError) -> Int {
    let value = try varint()
    guard value <= UInt64(limit), value <= UInt64(bytes.count - offset) else {
      throw corrupt("a count of \(value) is too large")
    }
    return Int(value)
  }
}
