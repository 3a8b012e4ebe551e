import FeatureCore

/// Decodes the values of a page, as many at a time as are asked for.
struct PageValues {
  /// Values of one kind: words for all types but strings, which stay where they are in the page.
  struct Block {
    var words: [UInt64] = []
    var texts: [UnsafeRawBufferPointer] = []

    mutating func removeAll() {
      words.removeAll(keepingCapacity: true)
      texts.removeAll(keepingCapacity: true)
    }
  }

  private enum Form {
    case plain
    case dictionary(HybridDecoder)
    case runs(HybridDecoder)
  }

  private let leaf: SchemaLeaf.Readable
  /// Behind the levels. Valid for as long as this is used.
  private let bytes: UnsafeRawBufferPointer
  private var form: Form
  private var position = 0
  /// PLAIN bools: the next bit.
  private var bit = 0

  init(
    _ leaf: SchemaLeaf.Readable, _ encoding: Int32, _ bytes: UnsafeRawBufferPointer
  ) throws(FormatProblem) {
    self.leaf = leaf
    self.bytes = bytes
    switch Encoding(rawValue: encoding) {
    case .plain: form = .plain
    case .plainDictionary, .rleDictionary:
      // A page of nulls may have nothing here.
      let width = bytes.first.map(Int.init) ?? 0
      guard width <= 32 else { throw FormatProblem("dictionary indices of \(width) bits") }
      form = .dictionary(HybridDecoder(UnsafeRawBufferPointer(rebasing: bytes.dropFirst()), width: width))
    case .rle where leaf.physical == .boolean:
      // Behind a size that the page's end makes redundant; a page of nulls may have nothing here.
      form = .runs(HybridDecoder(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(4)), width: 1))
    case let encoding?: throw FormatProblem("the encoding \(encoding) is not supported")
    case nil: throw FormatProblem("the encoding \(encoding) is unknown")
    }
  }

  /// Appends the next values that are not null to a block.
  mutating func read(
    _ count: Int, dictionary: Block, scratch: inout [UInt32], to block: inout Block
  ) throws(FormatProblem) {
    guard count > 0 else { return }
    switch form {
    case .plain: try readPlain(count, to: &block)
    case .dictionary(var decoder):
      let isText = leaf.column.valueType == .string
      let entries = isText ? dictionary.texts.count : dictionary.words.count
      guard entries > 0 else { throw FormatProblem("the dictionary is missing") }
      try Self.decode(&decoder, count, maximum: UInt32(clamping: entries - 1), to: &scratch)
      form = .dictionary(decoder)
      // Taken whole: an append of each would check for room each time.
      if isText {
        block.texts.append(contentsOf: scratch[..<count].lazy.map { dictionary.texts[Int($0)] })
      } else {
        block.words.append(contentsOf: scratch[..<count].lazy.map { dictionary.words[Int($0)] })
      }
    case .runs(var decoder):
      try Self.decode(&decoder, count, maximum: 1, to: &scratch)
      form = .runs(decoder)
      for value in scratch[..<count] { block.words.append(UInt64(value)) }
    }
  }

  static func decode(
    _ decoder: inout HybridDecoder, _ count: Int, maximum: UInt32, to values: inout [UInt32]
  ) throws(FormatProblem) {
    // Typed throws do not pass through withUnsafeMutableBufferPointer of arrays in every release.
    var problem: FormatProblem?
    values.withUnsafeMutableBufferPointer { buffer in
      do throws(FormatProblem) {
        try decoder.read(into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]), maximum: maximum)
      } catch {
        problem = error
      }
    }
    if let problem { throw problem }
  }

  private mutating func readPlain(_ count: Int, to block: inout Block) throws(FormatProblem) {
    switch leaf.physical {
    case .boolean:
      guard bit + count <= bytes.count * 8 else { throw Self.endsEarly }
      for index in bit..<(bit + count) { block.words.append(UInt64(bytes[index / 8] >> (index % 8) & 1)) }
      bit += count
    case .byteArray where leaf.column.valueType != .string:
      for _ in 0..<count { block.words.append(try decimal(try nextText())) }
    case .byteArray:
      for _ in 0..<count { block.texts.append(try nextText()) }
    case .fixedLengthByteArray: try readFixed(count, to: &block)
    case .int32, .float:
      try take(count, size: 4)
      for index in 0..<count {
        let start = position - (count - index) * 4
        let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        block.words.append(try convert(half: bits))
      }
    case .int64, .double:
      try take(count, size: 8)
      for index in 0..<count {
        let start = position - (count - index) * 8
        let bits = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        block.words.append(leaf.conversion == .none ? bits : try convert(word: bits))
      }
    case .int96:
      try take(count, size: 12)
      for index in 0..<count {
        let start = position - (count - index) * 12
        let time = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Int64.self))
        let day = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))
        block.words.append(try convert(nanosecondsOfDay: time, julianDay: day))
      }
    }
  }

  private mutating func readFixed(_ count: Int, to block: inout Block) throws(FormatProblem) {
    if leaf.conversion == .uuid {
      // As texts: the page has been written anew.
      for _ in 0..<count { block.texts.append(try nextText()) }
      return
    }
    try take(count, size: leaf.width)
    for index in 0..<count {
      let start = position - (count - index) * leaf.width
      let value = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + leaf.width)])
      switch leaf.conversion {
      case .float16:
        block.words.append(Self.double(half: UInt16(value[0]) | UInt16(value[1]) << 8).bitPattern)
      case .decimal: block.words.append(try decimal(value))
      default: block.texts.append(value)
      }
    }
  }

  /// IEEE's binary16; not every processor that Swift runs on has a type for it.
  static func double(half bits: UInt16) -> Double {
    let (exponent, fraction) = (Int(bits >> 10 & 0x1F), Double(bits & 0x3FF))
    let magnitude =
      switch exponent {
      case 0: Double(sign: .plus, exponent: -24, significand: fraction)
      case 31: fraction == 0 ? Double.infinity : Double.nan
      default: Double(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
      }
    return bits & 0x8000 == 0 ? magnitude : -magnitude
  }

  /// Two's complement, most significant byte first.
  private func decimal(_ bytes: UnsafeRawBufferPointer) throws(FormatProblem) -> UInt64 {
    guard (1...16).contains(bytes.count) else { throw FormatProblem("a decimal of \(bytes.count) bytes") }
    var value = Int128(Int8(bitPattern: bytes[0]))
    for byte in bytes.dropFirst() { value = value << 8 | Int128(byte) }
    return try decimal(value)
  }

  /// The bits of an integer, or of the nearest double.
  private func decimal(_ value: Int128) throws(FormatProblem) -> UInt64 {
    guard case .decimal(let scale) = leaf.conversion else {
      preconditionFailure("Cannot scale without a scale")
    }
    if leaf.column.valueType == .int64 {
      guard let integer = Int64(exactly: value) else {
        throw FormatProblem("the decimal \(value) does not fit int64", remedy: Self.tooLarge)
      }
      return UInt64(bitPattern: integer)
    }
    // Both are exact there, and so their quotient is rounded once.
    if value.magnitude <= 1 << 53, scale <= 22 { return (Double(value) / Self.powersOfTen[scale]).bitPattern }
    var text = "\(value)e-\(scale)"
    guard let double = text.withUTF8({ NumberText.double(UnsafeRawBufferPointer($0)) }) else {
      throw FormatProblem("the decimal \(text) is no double")
    }
    return double.bitPattern
  }

  private static let tooLarge =
    "cast the column to text or double when the file is written, and declare it so"

  private static let powersOfTen: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20,
    1e21, 1e22,
  ]

  private static var endsEarly: FormatProblem { FormatProblem("a page ends before its values") }

  private mutating func take(_ count: Int, size: Int) throws(FormatProblem) {
    guard count <= (bytes.count - position) / size else { throw Self.endsEarly }
    position += count * size
  }

  private mutating func nextText() throws(FormatProblem) -> UnsafeRawBufferPointer {
    guard bytes.count - position >= 4 else { throw Self.endsEarly }
    let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)))
    position += 4
    guard length <= bytes.count - position else { throw Self.endsEarly }
    let text = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + length)])
    guard leaf.conversion != .none || isUTF8(text) else { throw FormatProblem("a text is not valid UTF-8") }
    position += length
    return text
  }

  private func convert(half bits: UInt32) throws(FormatProblem) -> UInt64 {
    switch leaf.conversion {
    case .unsigned32: UInt64(bits)
    case .float: Double(Float(bitPattern: bits)).bitPattern
    case .date: try Self.microseconds(Int64(Int32(bitPattern: bits)), times: 86_400_000_000)
    case .decimal: try decimal(Int128(Int32(bitPattern: bits)))
    default: UInt64(bitPattern: Int64(Int32(bitPattern: bits)))
    }
  }

  private func convert(word bits: UInt64) throws(FormatProblem) -> UInt64 {
    switch leaf.conversion {
    case .unsigned64:
      guard bits <= UInt64(Int64.max) else {
        throw FormatProblem("the unsigned \(bits) does not fit int64", remedy: Self.tooLarge)
      }
      return bits
    case .decimal: return try decimal(Int128(Int64(bitPattern: bits)))
    case .timestamp(ticks: 1_000): return try Self.microseconds(Int64(bitPattern: bits), times: 1_000)
    case .timestamp(ticks: 1_000_000_000):
      let nanoseconds = Int64(bitPattern: bits)
      return UInt64(bitPattern: nanoseconds / 1_000 - (nanoseconds % 1_000 < 0 ? 1 : 0))
    default: return bits
    }
  }

  private func convert(nanosecondsOfDay time: Int64, julianDay: UInt32) throws(FormatProblem) -> UInt64 {
    // 2440588 is 1970-01-01.
    let midnight = try Self.microseconds(Int64(julianDay) - 2_440_588, times: 86_400_000_000)
    let (sum, overflow) = Int64(bitPattern: midnight).addingReportingOverflow(time / 1_000)
    guard !overflow else { throw FormatProblem("a time does not fit 64-bit microseconds") }
    return UInt64(bitPattern: sum)
  }

  private static func microseconds(_ value: Int64, times factor: Int64) throws(FormatProblem) -> UInt64 {
    let (product, overflow) = value.multipliedReportingOverflow(by: factor)
    guard !overflow else { throw FormatProblem("a time does not fit 64-bit microseconds") }
    return UInt64(bitPattern: product)
  }
}
