/// What a tile keeps for an aggregate that needs more than a few words: a list or a sketch.
///
/// One shape for all of them: `words` holds entries of a fixed size, `bytes` the texts of the entries one after
/// the other (or a sketch's registers). What they mean is the business of the column's accumulator.
struct Cell: Sendable, Equatable {
  var words: ContiguousArray<UInt64> = []
  var bytes: ContiguousArray<UInt8> = []

  /// Inserts a text at a byte offset.
  mutating func insertText(_ text: UnsafeRawBufferPointer, at offset: Int) {
    bytes.insert(contentsOf: text, at: offset)
  }

  /// Borrows a stretch of `bytes`.
  @inline(__always)
  func withText<Result>(
    at offset: Int, count: Int, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)])) }
  }
}

/// A text cut to what a state may hold, at a character boundary.
@inline(__always)
func stateText(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
  guard text.count > Limits.stateTextBytesMax else { return text }
  var end = Limits.stateTextBytesMax
  while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
  return UnsafeRawBufferPointer(rebasing: text[0..<end])
}
