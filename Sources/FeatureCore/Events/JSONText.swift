/// Whole JSON texts, judged as the decoder of events judges them.
public enum JSONText {
  /// Whether the bytes are one JSON value of any kind, in valid UTF-8 and nested no deeper than an event may be.
  public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let text = JSONBytes(bytes), let end = try? text.skipValue(text.skipSpace(0)) else { return false }
    return text.skipSpace(end) == text.count
  }
}
