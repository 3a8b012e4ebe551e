import FeatureCore

/// Builds a JSON text.
struct JSONText {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 512) { bytes.reserveCapacity(capacity) }

  /// What is JSON already.
  mutating func raw(_ text: StaticString) {
    bytes += UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
  }
  mutating func raw(_ text: [UInt8]) { bytes += text }

  mutating func number(_ value: some BinaryInteger) { ValueText.appendInteger(Int64(value), to: &bytes) }

  mutating func string(_ text: String) {
    var text = text
    text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
  }

  mutating func string(_ text: Text) { text.utf8.withUnsafeBytes { string($0) } }

  private mutating func string(_ text: UnsafeRawBufferPointer) {
    ValueText.appendJSONString(text, to: &bytes)
  }

  /// Elements between brackets.
  mutating func list<Element>(_ elements: some Sequence<Element>, _ write: (inout JSONText, Element) -> Void)
  {
    bytes.append(UInt8(ascii: "["))
    var isFirst = true
    for element in elements {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      write(&self, element)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  /// How values are written.
  enum Style {
    /// Timestamps in RFC 3339; integers that a double can't hold as strings.
    case native
    /// Timestamps in whole seconds; an empty list is null, since Feast's client can't read one.
    case feast
  }

  mutating func value(_ value: FeatureValue, _ style: Style) {
    switch value {
    case .null: raw("null")
    case .bool(let value): raw(value ? "true" : "false")
    case .double(let value): bytes += value.description.utf8
    case .string(let text): string(text)
    case .int64(let number):
      let isExact = number.magnitude <= 1 << 53
      if style == .native && !isExact { string("\(number)") } else { self.number(number) }
    case .timestamp(let time):
      switch style {
      case .native: string(RFC3339.format(time))
      case .feast: number(floorSeconds(time.microseconds))
      }
    case .list(let values):
      if values.isEmpty && style == .feast { return raw("null") }
      list(values) { $0.value($1, style) }
    }
  }

  private func floorSeconds(_ microseconds: Int64) -> Int64 {
    let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return rest < 0 ? seconds - 1 : seconds
  }
}
