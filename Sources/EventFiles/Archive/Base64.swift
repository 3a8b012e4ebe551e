/// RFC 4648's base64, with padding.
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let padding = UInt8(ascii: "=")
  /// By the letter; 255 is none.
  private static let values: [UInt8] = {
    var values = [UInt8](repeating: 255, count: 256)
    for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
    return values
  }()

  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var group: UInt32 = 0
      for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
      for index in 0..<4 {
        text.append(index <= count ? alphabet[Int(group >> (18 - 6 * UInt32(index)) & 63)] : padding)
      }
    }
  }

  /// The bytes; nil if the text is not what `append` makes.
  static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    for start in stride(from: 0, to: text.count, by: 4) {
      let isLast = start + 4 == text.count
      let pads = isLast ? (2..<4).count { text[start + $0] == padding } : 0
      var group: UInt32 = 0
      for index in 0..<4 {
        let value = index < 4 - pads ? values[Int(text[start + index])] : 0
        guard value != 255 else { return nil }
        group = group << 6 | UInt32(value)
      }
      for index in 0..<(3 - pads) {
        bytes.append(UInt8(truncatingIfNeeded: group >> (16 - 8 * UInt32(index))))
      }
    }
    return bytes
  }
}
