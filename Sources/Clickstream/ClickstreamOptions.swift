/// What a clickstream is like. The same options give the same bytes on any machine.
public struct ClickstreamOptions: Sendable, Hashable {
  /// Everything random comes from it.
  public var seed: UInt64 = 1
  /// People who visit the shop: `u1`, the most active, to `u<users>`.
  public var users = 100_000
  /// What it sells: `i1`, the most shown, to `i<items>`.
  public var items = 20_000
  /// How the items are grouped: `c1` to `c<categories>`; an item is in one.
  public var categories = 50
  /// Event time of the stream's beginning, in milliseconds since the epoch: 2026-01-01T00:00:00Z.
  public var startMilliseconds: Int64 = 1_767_225_600_000
  /// Events in a second of event time, averaged over a day; the first minutes have fewer, for nobody is in the
  /// middle of a visit when the stream begins.
  public var eventsPerSecond = 100.0
  /// User of rank r visits in proportion to 1 / r^exponent. Rounded to a quarter: such powers need only square
  /// roots, which are the same on every machine, unlike `pow`.
  public var userExponent = 0.75
  /// The same for items and how often they are shown.
  public var itemExponent = 1.0
  /// Share of the events that arrive late.
  public var lateShare = 0.01
  /// How late they are at most.
  public var latenessMillisecondsMax: Int64 = 600_000
  /// Share of the lines that repeat, byte for byte, one of the latest 256 good lines.
  public var duplicateShare = 0.002
  /// Share of the lines that are damaged (see `ClickstreamLine.Kind.malformed`), beside the good ones.
  public var malformedShare = 0.001

  /// From when on people like other things, in milliseconds since the epoch; of an `Audience` alone. Nil: never.
  public var shiftMilliseconds: Int64?

  /// Times that a stream can begin at.
  static let times: ClosedRange<Int64> = 0...4_000_000_000_000

  /// The defaults: a shop of medium size.
  public init() {}

  /// Traps on options that mean nothing; whoever takes them from a person checks them first with `mistake`.
  func check() {
    if let mistake { preconditionFailure("Cannot generate a clickstream: \(mistake)") }
  }

  /// What is wrong with the options, if anything.
  public var mistake: String? {
    let shares = [lateShare, duplicateShare, malformedShare]
    let limit = Int(UInt32.max) - 1
    if !(1...limit).contains(users) { return "users must be 1 to \(limit)" }
    if !(1...limit).contains(items) { return "items must be 1 to \(limit)" }
    if !(1...limit).contains(categories) { return "categories must be 1 to \(limit)" }
    if !(0.001...10_000_000).contains(eventsPerSecond) {
      return "the density must be 0.001 to 10000000 events a second"
    }
    if !(0...4).contains(userExponent) || !(0...4).contains(itemExponent) {
      return "exponents must be 0 to 4"
    }
    if !shares.allSatisfy({ (0...1).contains($0) }) { return "shares must be 0 to 1" }
    if duplicateShare + malformedShare > 0.9 { return "too few good lines: at most 0.9 may be bad ones" }
    if !(1...86_400_000).contains(latenessMillisecondsMax) { return "lateness must be 1 ms to 1 d" }
    if !Self.times.contains(startMilliseconds) { return "the start must be between 1970 and 2096" }
    if let shiftMilliseconds, !Self.times.contains(shiftMilliseconds) {
      return "the shift must be between 1970 and 2096"
    }
    return nil
  }
}
