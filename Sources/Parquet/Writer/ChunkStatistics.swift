import FeatureCore

/// Bounds of the values of a column chunk, as `Statistics` and `ColumnOrder` of parquet.thrift define them.
struct ChunkStatistics: Hashable {
  /// A bound in PLAIN encoding, without a length.
  struct Bound: Hashable {
    var bytes: [UInt8]
    /// Whether it is a value of the column; a longer text is cut.
    var isExact = true
  }

  var nullCount: Int
  /// nil without values; and without numbers, where all are NaN.
  var minimum: Bound?
  var maximum: Bound?

  /// Bytes of a text in a bound: enough to tell row groups apart, small in the footer.
  static let textBytesMax = 64

  /// `distinct` are the values to look at, if that is fewer than all.
  init(_ values: ColumnValues, distinct: [UInt32]?, nullCount: Int) {
    self.nullCount = nullCount
    guard values.count > 0 else { return }
    switch values.type {
    // Nobody looks for bytes.
    case .string where values.isBinary: break
    case .string: setBounds(texts: values, distinct: distinct)
    case .double: setBounds(doubles: values.words)
    case .int64, .timestamp: setBounds(integers: values.words)
    case .bool:
      minimum = Bound(bytes: [values.words.allSatisfy { $0 == 1 } ? 1 : 0])
      maximum = Bound(bytes: [values.words.contains(1) ? 1 : 0])
    }
  }

  private mutating func setBounds(integers words: UnsafeBufferPointer<UInt64>) {
    var least = Int64.max
    var greatest = Int64.min
    for word in words {
      least = min(least, Int64(bitPattern: word))
      greatest = max(greatest, Int64(bitPattern: word))
    }
    minimum = Bound(bytes: littleEndianBytes(UInt64(bitPattern: least)))
    maximum = Bound(bytes: littleEndianBytes(UInt64(bitPattern: greatest)))
  }

  /// NaN is in no bound, and a zero is the one that leaves room for the other.
  private mutating func setBounds(doubles words: UnsafeBufferPointer<UInt64>) {
    var least = Double.infinity
    var greatest = -Double.infinity
    var hasNumber = false
    for word in words {
      let value = Double(bitPattern: word)
      guard !value.isNaN else { continue }
      hasNumber = true
      if value < least { least = value }
      if value > greatest { greatest = value }
    }
    guard hasNumber else { return }
    minimum = Bound(bytes: littleEndianBytes((least == 0 ? -0.0 : least).bitPattern))
    maximum = Bound(bytes: littleEndianBytes((greatest == 0 ? 0.0 : greatest).bitPattern))
  }

  private mutating func setBounds(texts values: ColumnValues, distinct: [UInt32]?) {
    var least = values.text(0)
    var greatest = least
    let compare = { (text: UnsafeRawBufferPointer) in
      if compareBytes(text, least) < 0 { least = text }
      if compareBytes(text, greatest) > 0 { greatest = text }
    }
    if let distinct {
      for index in distinct { compare(values.text(Int(index))) }
    } else {
      for index in 0..<values.count { compare(values.text(index)) }
    }
    minimum = Self.lowerBound(least)
    maximum = Self.upperBound(greatest)
  }

  /// A text that is not greater.
  static func lowerBound(_ text: UnsafeRawBufferPointer) -> Bound {
    let cut = prefix(text)
    return Bound(bytes: cut, isExact: cut.count == text.count)
  }

  /// A text that is not less; nil if a long text is made of the last code point only.
  static func upperBound(_ text: UnsafeRawBufferPointer) -> Bound? {
    let cut = prefix(text)
    guard cut.count < text.count else { return Bound(bytes: cut) }
    var scalars = Array(String(decoding: cut, as: UTF8.self).unicodeScalars)
    while let last = scalars.popLast() {
      guard let next = successor(last) else { continue }
      var bytes = [UInt8]()
      for scalar in scalars + [next] { bytes.append(contentsOf: UTF8.encode(scalar)!) }
      return Bound(bytes: bytes, isExact: false)
    }
    return nil
  }

  /// The order of bytes is that of code points.
  private static func successor(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    // Between U+D7FF and U+E000 are the surrogates, which are not text.
    scalar.value == 0xD7FF ? "\u{E000}" : Unicode.Scalar(scalar.value + 1)
  }

  /// At most `textBytesMax` bytes, cut before a character.
  private static func prefix(_ text: UnsafeRawBufferPointer) -> [UInt8] {
    guard text.count > textBytesMax else { return [UInt8](text) }
    var end = textBytesMax
    while end > 0 && text[end] & 0xC0 == 0x80 { end -= 1 }
    return [UInt8](text[..<end])
  }
}

private func littleEndianBytes(_ word: UInt64) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: word &>> (8 * UInt64($0))) }
}
