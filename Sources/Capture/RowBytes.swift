/// Bytes that are written one behind the other into memory of their own, which grows and is used again: nothing is allocated
/// for a row.
struct RowBytes: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private(set) var count = 0

  private static let firstBytes = 512

  init() {
    capacity = Self.firstBytes
    base = .allocate(capacity: Self.firstBytes)
  }

  deinit { base.deallocate() }

  /// Calls with what has been written.
  @inline(__always)
  borrowing func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: base, count: count))
  }

  mutating func removeAll() { count = 0 }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    reserve(1)
    base[count] = byte
    count += 1
  }

  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    reserve(bytes.count)
    UnsafeMutableRawPointer(base + count).copyMemory(from: source, byteCount: bytes.count)
    count += bytes.count
  }

  @inline(__always)
  mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// An integer in decimal digits.
  mutating func append(integer: Int64) {
    let digitsMax = 20
    reserve(digitsMax)
    if integer < 0 { append(UInt8(ascii: "-")) }
    let start = count
    var rest = integer.magnitude
    repeat {
      base[count] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      count += 1
      rest /= 10
    } while rest > 0
    var written = UnsafeMutableBufferPointer(start: base + start, count: count - start)
    written.reverse()
  }

  private static let digits = StaticString("0123456789abcdef")

  /// A JSON string of valid UTF-8: control characters by their numbers, so that one text has one spelling.
  mutating func append(quoted text: UnsafeRawBufferPointer) {
    // As many as it can have: each byte escaped as `\u00xx`, and the quotes.
    reserve(2 + 6 * text.count)
    var end = base + count
    end[0] = UInt8(ascii: "\"")
    end += 1
    for byte in text {
      if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        end[0] = byte
        end += 1
        continue
      }
      end[0] = UInt8(ascii: "\\")
      guard byte < 0x20 else {
        end[1] = byte
        end += 2
        continue
      }
      (end[1], end[2], end[3]) = (UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"))
      end[4] = Self.digits.utf8Start[Int(byte >> 4)]
      end[5] = Self.digits.utf8Start[Int(byte & 15)]
      end += 6
    }
    end[0] = UInt8(ascii: "\"")
    count = end + 1 - base
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
