/// The RLE/bit-packing hybrid of levels and dictionary indices (parquet-format, Encodings.md, RLE = 3).
enum HybridEncoder {
  /// Shorter runs cost more as a run than packed with their neighbours.
  private static let runMin = 8

  /// The least width that holds every value up to `maximum`; 1 for 0, because not every reader expects width 0.
  static func width(of maximum: Int) -> Int { max(1, Int.bitWidth - maximum.leadingZeroBitCount) }

  /// Appends values of at most `width` bits, 1 to 32.
  static func append<Value: FixedWidthInteger & UnsignedInteger>(
    _ values: UnsafeBufferPointer<Value>, width: Int, to output: inout ByteBuffer
  ) {
    var packedStart = 0
    var index = 0
    while index < values.count {
      let run = runLength(values, from: index)
      guard run >= runMin else {
        // Packed values come in groups of 8; only the last group may be filled up.
        index = min(index + 8, values.count)
        continue
      }
      appendPacked(UnsafeBufferPointer(rebasing: values[packedStart..<index]), width: width, to: &output)
      appendRun(UInt32(values[index]), count: run, width: width, to: &output)
      index += run
      packedStart = index
    }
    appendPacked(UnsafeBufferPointer(rebasing: values[packedStart...]), width: width, to: &output)
  }

  @inline(__always)
  private static func runLength<Value: FixedWidthInteger>(
    _ values: UnsafeBufferPointer<Value>, from start: Int
  ) -> Int {
    let value = values[start]
    var end = start + 1
    while end < values.count && values[end] == value { end += 1 }
    return end - start
  }

  private static func appendRun(_ value: UInt32, count: Int, width: Int, to output: inout ByteBuffer) {
    output.append(varint: UInt64(count) << 1)
    for byte in 0..<((width + 7) / 8) { output.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
  }

  private static func appendPacked<Value: FixedWidthInteger & UnsignedInteger>(
    _ values: UnsafeBufferPointer<Value>, width: Int, to output: inout ByteBuffer
  ) {
    guard !values.isEmpty else { return }
    let groups = (values.count + 7) / 8
    output.append(varint: UInt64(groups) << 1 | 1)
    let end = output.count + groups * width
    output.reserve(groups * width + 8)
    var bits: UInt64 = 0
    var bitCount = 0
    for value in values {
      bits |= UInt64(value) &<< UInt64(bitCount)
      bitCount += width
      if bitCount >= 32 {
        output.append(word: UInt32(truncatingIfNeeded: bits))
        bits &>>= 32
        bitCount -= 32
      }
    }
    while output.count < end {
      output.append(UInt8(truncatingIfNeeded: bits))
      bits &>>= 8
    }
  }
}
