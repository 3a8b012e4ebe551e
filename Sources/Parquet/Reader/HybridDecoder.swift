/// Reads the RLE/bit-packing hybrid a few values at a time: a run of a billion values takes no memory.
struct HybridDecoder {
  private let bytes: UnsafeRawBufferPointer
  private let width: Int
  private var position = 0
  private var runLeft = 0
  private var runValue: UInt32 = 0
  /// Values of packed groups that are left, and the bit where the next one begins.
  private var packedLeft = 0
  private var packedBit = 0

  /// Width is 0 to 32 bits; the bytes stay valid for as long as this is used.
  init(_ bytes: UnsafeRawBufferPointer, width: Int) {
    self.bytes = bytes
    self.width = width
  }

  /// The next values, all of them at most `maximum`.
  mutating func read(
    into output: UnsafeMutableBufferPointer<UInt32>, maximum: UInt32
  ) throws(FormatProblem) {
    var index = 0
    while index < output.count {
      if runLeft == 0 && packedLeft == 0 { try readHead() }
      let count = min(output.count - index, max(runLeft, packedLeft))
      if runLeft > 0 {
        guard runValue <= maximum else { throw Self.tooLarge(runValue, maximum) }
        output[index..<(index + count)].update(repeating: runValue)
        runLeft -= count
      } else {
        var greatest: UInt32 = 0
        for target in index..<(index + count) {
          let value = packedValue()
          greatest = max(greatest, value)
          output[target] = value
        }
        guard greatest <= maximum else { throw Self.tooLarge(greatest, maximum) }
        packedLeft -= count
      }
      index += count
    }
  }

  private static func tooLarge(_ value: UInt32, _ maximum: UInt32) -> FormatProblem {
    FormatProblem("a level or dictionary index is \(value), beyond the largest, \(maximum)")
  }

  private mutating func readHead() throws(FormatProblem) {
    var head: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < bytes.count, shift < 35 else { throw FormatProblem("levels or indices end early") }
      let byte = bytes[position]
      position += 1
      head |= UInt64(byte & 0x7F) &<< shift
      shift += 7
      if byte & 0x80 == 0 { break }
    }
    let count = Int(head &>> 1)
    guard count > 0 else { throw FormatProblem("levels or indices have an empty run") }
    if head & 1 == 1 {
      // The last group may be cut off where no values follow.
      let valuesStored = width == 0 ? count * 8 : (bytes.count - position) * 8 / width
      packedLeft = min(count * 8, valuesStored)
      guard packedLeft > 0 else { throw FormatProblem("levels or indices end early") }
      packedBit = position * 8
      position = min(position + count * width, bytes.count)
    } else {
      let byteCount = (width + 7) / 8
      guard byteCount <= bytes.count - position else { throw FormatProblem("levels or indices end early") }
      runValue = (0..<byteCount).reduce(0) { $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1) }
      position += byteCount
      runLeft = count
    }
  }

  /// `readHead` has checked that its bits are there.
  @inline(__always)
  private mutating func packedValue() -> UInt32 {
    let start = packedBit / 8
    let mask = (UInt64(1) &<< UInt64(width)) - 1
    let window: UInt64
    if start + 8 <= bytes.count {
      window = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
    } else {
      window = (start..<bytes.count).reduce(0) { $0 | UInt64(bytes[$1]) &<< UInt64(8 * ($1 - start)) }
    }
    defer { packedBit += width }
    return UInt32(truncatingIfNeeded: (window &>> UInt64(packedBit % 8)) & mask)
  }
}
