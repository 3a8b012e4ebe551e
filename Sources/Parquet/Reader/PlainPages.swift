/// Writes the values of a page as PLAIN has them (parquet-format, Encodings.md): all other encodings but dictionaries and runs.
enum PlainPages {
  /// Values of a block: writers have 128 or some thousands. More would let a few bytes stand for anything.
  private static let blockValuesMax = 1 << 16
  private static let bytesMax = 1 << 30

  /// Whether pages in the encoding are written anew.
  static func areMade(of encoding: Int32) -> Bool {
    switch Encoding(rawValue: encoding) {
    case .deltaBinaryPacked, .deltaLengthByteArray, .deltaByteArray, .byteStreamSplit: true
    default: false
    }
  }

  /// Appends at most `countMax` values.
  static func make(
    _ leaf: SchemaLeaf.Readable, _ encoding: Int32, _ bytes: UnsafeRawBufferPointer, countMax: Int,
    to output: inout ByteBuffer
  ) throws(FormatProblem) {
    // A page of nulls may have nothing here.
    if bytes.isEmpty { return }
    switch (Encoding(rawValue: encoding), leaf.physical) {
    case (.deltaBinaryPacked, .int32):
      var deltas = try DeltaDecoder(bytes, countMax: countMax, blockValuesMax: blockValuesMax)
      while let value = try deltas.next() { output.append(word: Int32(truncatingIfNeeded: value)) }
    case (.deltaBinaryPacked, .int64):
      var deltas = try DeltaDecoder(bytes, countMax: countMax, blockValuesMax: blockValuesMax)
      while let value = try deltas.next() { output.append(word: value) }
    case (.deltaLengthByteArray, .byteArray): try texts(bytes, prefixes: nil, countMax, leaf, to: &output)
    case (.deltaByteArray, .byteArray), (.deltaByteArray, .fixedLengthByteArray):
      var deltas = try DeltaDecoder(bytes, countMax: countMax, blockValuesMax: blockValuesMax)
      var prefixes: [Int64] = []
      while let value = try deltas.next() { prefixes.append(value) }
      let rest = UnsafeRawBufferPointer(rebasing: bytes[deltas.position...])
      try texts(rest, prefixes: prefixes, countMax, leaf, to: &output)
    case (.byteStreamSplit, .float), (.byteStreamSplit, .int32): try split(bytes, width: 4, to: &output)
    case (.byteStreamSplit, .double), (.byteStreamSplit, .int64): try split(bytes, width: 8, to: &output)
    case (.byteStreamSplit, .fixedLengthByteArray): try split(bytes, width: leaf.width, to: &output)
    case (let encoding?, let physical):
      throw FormatProblem("the encoding \(encoding) of \(physical) is not supported")
    case (nil, _): throw FormatProblem("the encoding \(encoding) is unknown")
    }
  }

  /// Lengths, then the bytes of all; with prefixes, how much each takes from the one before.
  private static func texts(
    _ bytes: UnsafeRawBufferPointer, prefixes: [Int64]?, _ countMax: Int, _ leaf: SchemaLeaf.Readable,
    to output: inout ByteBuffer
  ) throws(FormatProblem) {
    var deltas = try DeltaDecoder(bytes, countMax: countMax, blockValuesMax: blockValuesMax)
    var lengths: [Int64] = []
    while let value = try deltas.next() { lengths.append(value) }
    guard prefixes == nil || prefixes?.count == lengths.count else {
      throw FormatProblem("a page has not as many prefixes as suffixes")
    }
    var position = deltas.position
    // Where the text before begins in the output, and its length.
    var (before, beforeCount) = (output.count, 0)
    let isFixed = leaf.physical == .fixedLengthByteArray
    for (index, length) in lengths.enumerated() {
      let prefix = prefixes?[index] ?? 0
      guard length >= 0, length <= Int64(bytes.count - position), prefix >= 0, prefix <= Int64(beforeCount),
        output.count + Int(length) + Int(prefix) + 4 <= bytesMax
      else { throw FormatProblem("a page has a text beyond its end") }
      let count = Int(prefix + length)
      guard !isFixed || count == leaf.width else { throw FormatProblem("a value has a wrong length") }
      if !isFixed { output.append(word: UInt32(count)) }
      let start = output.count
      output.reserve(count)
      output.append(UnsafeRawBufferPointer(rebasing: output.bytes[before..<(before + Int(prefix))]))
      output.append(UnsafeRawBufferPointer(rebasing: bytes[position..<(position + Int(length))]))
      position += Int(length)
      (before, beforeCount) = (start, count)
    }
  }

  /// The first bytes of all values, then the second ones.
  private static func split(
    _ bytes: UnsafeRawBufferPointer, width: Int, to output: inout ByteBuffer
  ) throws(FormatProblem) {
    guard width > 0, bytes.count % width == 0 else { throw FormatProblem("a page ends inside a value") }
    let count = bytes.count / width
    output.reserve(bytes.count)
    for value in 0..<count { for byte in 0..<width { output.append(bytes[byte * count + value]) } }
  }

  /// Appends the texts of UUIDs, as PLAIN has texts.
  static func texts(ofUUIDs bytes: UnsafeRawBufferPointer, to output: inout ByteBuffer) throws(FormatProblem)
  {
    guard bytes.count % 16 == 0, bytes.count <= bytesMax / 3 else {
      throw FormatProblem("a page ends inside a value")
    }
    let digits = Array("0123456789abcdef".utf8)
    for start in stride(from: 0, to: bytes.count, by: 16) {
      output.append(word: UInt32(36))
      for index in 0..<16 {
        if [4, 6, 8, 10].contains(index) { output.append(UInt8(ascii: "-")) }
        output.append(digits[Int(bytes[start + index] >> 4)])
        output.append(digits[Int(bytes[start + index] & 15)])
      }
    }
  }
}

/// DELTA_BINARY_PACKED: blocks of differences, in miniblocks of bits.
struct DeltaDecoder {
  private let bytes: UnsafeRawBufferPointer
  /// Behind what has been read; once all values are, behind the encoding.
  private(set) var position = 0
  private let miniblocks: Int
  private let miniblockValues: Int
  private var left: Int
  private var isFirst = true
  private var value: Int64 = 0
  private var least: Int64 = 0
  private var widths: Range<Int> = 0..<0
  private var width = 0
  private var bit = 0
  private var leftInMiniblock = 0

  init(_ bytes: UnsafeRawBufferPointer, countMax: Int, blockValuesMax: Int) throws(FormatProblem) {
    self.bytes = bytes
    var position = 0
    let block = try Self.varint(bytes, &position)
    let miniblocks = try Self.varint(bytes, &position)
    let count = try Self.varint(bytes, &position)
    let first = try Self.varint(bytes, &position)
    guard block > 0, block <= UInt64(blockValuesMax), miniblocks > 0, miniblocks <= block,
      block % miniblocks == 0, (block / miniblocks) % 8 == 0
    else { throw FormatProblem("a page has blocks of \(block) differences in \(miniblocks)") }
    guard count <= UInt64(countMax) else {
      throw FormatProblem("a page has more values than its header says")
    }
    self.miniblocks = Int(miniblocks)
    miniblockValues = Int(block / miniblocks)
    left = Int(count)
    value = Self.unzigzag(first)
    self.position = position
  }

  mutating func next() throws(FormatProblem) -> Int64? {
    guard left > 0 else { return nil }
    left -= 1
    if isFirst {
      isFirst = false
      return value
    }
    if leftInMiniblock == 0 { try beginMiniblock() }
    leftInMiniblock -= 1
    value = value &+ least &+ Int64(bitPattern: take())
    return value
  }

  private mutating func beginMiniblock() throws(FormatProblem) {
    if widths.isEmpty {
      least = Self.unzigzag(try Self.varint(bytes, &position))
      guard miniblocks <= bytes.count - position else { throw Self.endsEarly }
      widths = position..<(position + miniblocks)
      position += miniblocks
    }
    width = Int(bytes[widths.lowerBound])
    widths = widths.dropFirst()
    // Behind the last value, miniblocks are neither there nor do their widths mean anything.
    if left + 1 <= miniblockValues { widths = widths.upperBound..<widths.upperBound }
    guard width <= 64, width * miniblockValues / 8 <= bytes.count - position else { throw Self.endsEarly }
    bit = position * 8
    position += width * miniblockValues / 8
    leftInMiniblock = miniblockValues
  }

  /// The next bits; `beginMiniblock` has checked that they are there.
  private mutating func take() -> UInt64 {
    guard width > 0 else { return 0 }
    let start = bit / 8
    let shift = UInt64(bit % 8)
    bit += width
    var low: UInt64 = 0
    for index in 0..<min(8, bytes.count - start) { low |= UInt64(bytes[start + index]) &<< UInt64(8 * index) }
    low &>>= shift
    if Int(shift) + width > 64 { low |= UInt64(bytes[start + 8]) &<< (64 - shift) }
    return width == 64 ? low : low & ((1 &<< UInt64(width)) - 1)
  }

  private static var endsEarly: FormatProblem { FormatProblem("a page ends before its values") }

  private static func unzigzag(_ value: UInt64) -> Int64 {
    Int64(bitPattern: value &>> 1) ^ -Int64(bitPattern: value & 1)
  }

  private static func varint(
    _ bytes: UnsafeRawBufferPointer, _ position: inout Int
  ) throws(FormatProblem) -> UInt64 {
    var (value, shift): (UInt64, UInt64) = (0, 0)
    while position < bytes.count, shift < 70 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) &<< (shift & 63)
      shift += 7
      if byte & 0x80 == 0 { return value }
    }
    throw endsEarly
  }
}
