/// What a field of CSV says.
enum CSVText {
  /// Without the spaces around it.
  static func trimmed(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let start = text.firstIndex { $0 != 0x20 } ?? text.endIndex
    let end = text.lastIndex { $0 != 0x20 }.map { $0 + 1 } ?? start
    return UnsafeRawBufferPointer(rebasing: text[start..<end])
  }

  /// A bool as databases and data frames write it: `true`, `True`, `TRUE`, `t`, `1`.
  static func bool(_ text: UnsafeRawBufferPointer) -> Bool? {
    guard text.count <= 5 else { return nil }
    switch String(decoding: text, as: UTF8.self).lowercased() {
    case "true", "t", "1": return true
    case "false", "f", "0": return false
    default: return nil
    }
  }
}
