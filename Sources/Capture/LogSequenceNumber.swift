/// A place in PostgreSQL's write-ahead log, in bytes from its beginning. Written as PostgreSQL does: `16/B374D848`.
public struct LogSequenceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The place.
  public var value: UInt64

  /// A place from its bytes.
  public init(_ value: UInt64) { self.value = value }

  /// From PostgreSQL's text; nil for anything else.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let high = UInt32(parts[0], radix: 16), let low = UInt32(parts[1], radix: 16)
    else { return nil }
    value = UInt64(high) << 32 | UInt64(low)
  }

  /// PostgreSQL's text.
  public var description: String {
    String(value >> 32, radix: 16, uppercase: true) + "/"
      + String(value & 0xFFFF_FFFF, radix: 16, uppercase: true)
  }

  /// Earlier in the log.
  public static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
}
