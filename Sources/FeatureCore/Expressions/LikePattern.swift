/// SQL's LIKE: `%` stands for any code points, `_` for exactly one. Without ESCAPE no character is special;
/// with it, the escape character makes the next one stand for itself.
enum LikePattern {
  typealias Bytes = UnsafeRawBufferPointer

  private static let anyRun = UInt8(ascii: "%")
  private static let anyOne = UInt8(ascii: "_")

  /// What a constant pattern without `_` comes down to: cheaper instructions than `like`.
  enum Simple: Equatable {
    case equals([UInt8])
    case startsWith([UInt8])
    case endsWith([UInt8])
    case contains([UInt8])
  }

  /// The escape character of a text; nil unless it is one ASCII character.
  static func escape(_ text: Bytes) -> UInt8? {
    text.count == 1 ? text[0] : nil
  }

  /// Whether every escape character has something to escape.
  static func isWellFormed(_ pattern: Bytes, escape: UInt8?) -> Bool {
    guard let escape else { return true }
    var offset = 0
    while offset < pattern.count {
      if pattern[offset] == escape {
        offset += 1
        if offset == pattern.count { return false }
      }
      offset += 1
    }
    return true
  }

  /// Whether a whole text matches a well-formed pattern. When a part after `%` fails, `%` takes one more code
  /// point; only the last `%` ever has to, so the time is at most text times pattern.
  static func matches(_ text: Bytes, _ pattern: Bytes, escape: UInt8?) -> Bool {
    var at = 0
    var next = 0
    var retry: (at: Int, next: Int)?
    while at < text.count || next < pattern.count {
      if next < pattern.count, pattern[next] == anyRun, escape != anyRun {
        next += 1
        retry = (at, next)
        continue
      }
      if at < text.count, let (textEnd, patternEnd) = step(text, at, pattern, next, escape) {
        at = textEnd
        next = patternEnd
        continue
      }
      guard let last = retry, last.at < text.count else { return false }
      at = afterCodePoint(text, last.at)
      next = last.next
      retry = (at, next)
    }
    return true
  }

  /// Matches one `_` or one byte; nil if it doesn't match.
  private static func step(
    _ text: Bytes, _ at: Int, _ pattern: Bytes, _ next: Int, _ escape: UInt8?
  ) -> (Int, Int)? {
    guard next < pattern.count else { return nil }
    if pattern[next] == escape { return text[at] == pattern[next + 1] ? (at + 1, next + 2) : nil }
    if pattern[next] == anyOne { return (afterCodePoint(text, at), next + 1) }
    return text[at] == pattern[next] ? (at + 1, next + 1) : nil
  }

  private static func afterCodePoint(_ text: Bytes, _ at: Int) -> Int {
    var end = at + 1
    while end < text.count, !TextOperations.startsCodePoint(text[end]) { end += 1 }
    return end
  }

  /// The simple form of a well-formed pattern, if it has one.
  static func simple(_ pattern: Bytes, escape: UInt8?) -> Simple? {
    var literal: [UInt8] = []
    var startsOpen = false
    var endsOpen = false
    var offset = 0
    while offset < pattern.count {
      var byte = pattern[offset]
      offset += 1
      if byte == escape {
        byte = pattern[offset]
        offset += 1
      } else if byte == anyOne {
        return nil
      } else if byte == anyRun {
        if literal.isEmpty { startsOpen = true } else { endsOpen = true }
        continue
      }
      // Text after an inner % makes two parts.
      if endsOpen { return nil }
      literal.append(byte)
    }
    switch (startsOpen, endsOpen) {
    case (false, false): return .equals(literal)
    case (false, true): return .startsWith(literal)
    // "%" alone matches everything, as every text ends with nothing.
    case (true, false): return .endsWith(literal)
    case (true, true): return .contains(literal)
    }
  }
}
