import Glibc

/// Bytes that grow at the end and are not zeroed first.
struct ByteBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  init() {
    capacity = 256
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  /// Valid until the buffer grows, is emptied or goes away.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  mutating func removeAll() { count = 0 }

  /// Makes room for that many more bytes.
  @inline(__always)
  mutating func reserve(_ additional: Int) {
    if capacity - count < additional { grow(additional) }
  }

  private mutating func grow(_ additional: Int) {
    let larger = max(2 * capacity, count + additional)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    moved.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = moved
    capacity = larger
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    reserve(1)
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  /// The value's bytes, least significant first.
  @inline(__always)
  mutating func append<Word: FixedWidthInteger & BitwiseCopyable>(word: Word) {
    reserve(MemoryLayout<Word>.size)
    base.storeBytes(of: word.littleEndian, toByteOffset: count, as: Word.self)
    count += MemoryLayout<Word>.size
  }

  /// ULEB128.
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  mutating func append(_ other: UnsafeRawBufferPointer) {
    guard let start = other.baseAddress else { return }
    reserve(other.count)
    (base + count).copyMemory(from: start, byteCount: other.count)
    count += other.count
  }

  /// Overwrites four bytes that were appended before.
  mutating func replace(at offset: Int, with value: UInt32) {
    precondition(offset + 4 <= count, "Cannot replace bytes behind the end")
    base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
  }

  /// Room for `countMax` bytes, of which `fill` says how many it has written; what it throws appends nothing.
  mutating func append<Failure: Error>(
    atMost countMax: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    reserve(countMax)
    let added = try fill(UnsafeMutableRawBufferPointer(start: base + count, count: countMax))
    precondition(added >= 0 && added <= countMax, "Cannot append \(added) bytes in the room of \(countMax)")
    count += added
  }
}

/// Byte order: negative, zero or positive.
@inline(__always)
func compareBytes(_ lhs: UnsafeRawBufferPointer, _ rhs: UnsafeRawBufferPointer) -> Int {
  let common = min(lhs.count, rhs.count)
  if common > 0, let left = lhs.baseAddress, let right = rhs.baseAddress {
    let difference = memcmp(left, right, common)
    if difference != 0 { return Int(difference) }
  }
  return lhs.count - rhs.count
}
