import FeatureCore
import OfflineStore

/// Writes one JSON object a line to a buffer, with nested objects where a name could clash.
struct JSONLine {
  private(set) var bytes: [UInt8] = []
  private var needsComma = false

  /// A line that is open.
  init() { bytes.append(UInt8(ascii: "{")) }

  mutating func add(_ name: String, _ value: FeatureValue) {
    label(name)
    ValueText.appendJSON(value, to: &bytes)
  }

  mutating func add(_ name: String, _ text: String) { add(name, .string(Text(text))) }

  /// Bytes that are text as they usually are, else in hexadecimal under a name that says so.
  mutating func add(_ name: String, bytes value: some Collection<UInt8>) {
    if let text = String(validating: value, as: UTF8.self) { return add(name, text) }
    add("\(name)_hex", hexadecimal(value))
  }

  /// The members of an object that is JSON already.
  mutating func add(membersOf object: UnsafeRawBufferPointer) {
    var members = object.trimmingSpace
    guard members.first == UInt8(ascii: "{"), members.last == UInt8(ascii: "}") else { return }
    members = members.dropFirst().dropLast()
    if needsComma, !members.isEmpty { bytes.append(UInt8(ascii: ",")) }
    needsComma = needsComma || !members.isEmpty
    // Between tokens alone: inside of a text JSON has no bare line feeds.
    for byte in members { bytes.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
  }

  mutating func add(_ name: String, object: (inout JSONLine) -> Void) {
    label(name)
    var inner = JSONLine()
    object(&inner)
    bytes += inner.bytes
    bytes.append(UInt8(ascii: "}"))
  }

  /// A list of objects.
  mutating func add<Item>(
    _ name: String, each items: some Sequence<Item>, _ object: (inout JSONLine, Item) -> Void
  ) {
    label(name)
    bytes.append(UInt8(ascii: "["))
    for (index, item) in items.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      var inner = JSONLine()
      object(&inner, item)
      bytes += inner.bytes
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: "]"))
  }

  mutating func add(_ name: String, _ number: Int) { add(name, .int64(Int64(number))) }

  /// A list of texts.
  mutating func add(_ name: String, texts: [String]) { add(name, .list(texts.map { .string(Text($0)) })) }

  /// One object, printed.
  static func print(_ object: (inout JSONLine) -> Void) {
    var line = JSONLine()
    object(&line)
    StandardOutput.print(String(decoding: line.bytes, as: UTF8.self) + "}")
  }

  /// Ends the line and moves it to a buffer.
  consuming func end(into buffer: inout [UInt8]) {
    buffer += bytes
    buffer += "}\n".utf8
  }

  private mutating func label(_ name: String) {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
    ValueText.appendJSONString(Array(name.utf8), to: &bytes)
    bytes.append(UInt8(ascii: ":"))
  }
}

extension UnsafeRawBufferPointer {
  /// Without what JSON calls white space around it.
  fileprivate var trimmingSpace: Slice<UnsafeRawBufferPointer> {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
    let begin = firstIndex { !isSpace($0) } ?? endIndex
    let end = lastIndex { !isSpace($0) }.map { $0 + 1 } ?? begin
    return self[begin..<end]
  }
}

/// Two digits a byte.
func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
