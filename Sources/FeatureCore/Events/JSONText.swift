/// Whole JSON texts, judged as the decoder of events judges them.
public enum JSONText {
  /// Whether the bytes are one JSON value of any kind, in valid UTF-8 and nested no deeper than an event may be.
  public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let text = JSONBytes(bytes), let end = try? text.skipValue(text.skipSpace(0)) else { return false }
    return text.skipSpace(end) == text.count && isFinite(text)
  }

  /// Whether none of the literals stands in a valid text that the decoder lets pass although they are no JSON. Outside of
  /// strings only they have these letters.
  private static func isFinite(_ text: JSONBytes) -> Bool {
    var at = 0
    while at < text.count {
      switch text[at] {
      case Byte.quote: at = (try? text.string(at + 1).end) ?? at
      case UInt8(ascii: "N"), UInt8(ascii: "I"): return false
      default: break
      }
      at += 1
    }
    return true
  }
}
