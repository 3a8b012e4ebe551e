import FeatureCore

/// How far a source's task has come, and what of that the logs of joins have been told.
struct JoinMarks {
  /// The joins that the source is a side of.
  let sides: [Routing.JoinSide]
  let topics: [String]
  /// The largest event time folded since the task began.
  private var time: Int64?
  private var toldTime: Int64?
  /// When it was last said that there is nothing to read, in milliseconds; nil: not since there was something.
  private var toldIdle: Int64?
  private var hasNews = false
  /// When the end of the partition was reached, in milliseconds; nil: it has records that were not read.
  private var idleSince: Int64?

  /// Event time that has to pass between two marks, in microseconds.
  static let resolution: Int64 = 1_000_000
  /// How long a partition has no records before it says so, and until it says so again.
  static let idleMilliseconds: Int64 = 10_000

  init(_ input: Routing.Input, _ plan: Plan) {
    let own = input.forwards.filter { $0.side != nil }
    sides = own.compactMap(\.side)
    topics = own.map(\.topic)
  }

  /// Events were folded, up to an offset.
  mutating func note(_ batch: EventBatch, upTo offset: Int64) {
    if sides.isEmpty { return }
    for row in 0..<batch.count { time = max(time ?? .min, batch.time(row)) }
    hasNews = true
    idleSince = nil
  }

  /// Nothing is left to read for now.
  mutating func reachedEnd(at offset: Int64, _ now: Int64) {
    if idleSince == nil { idleSince = now }
  }

  /// What the joins' logs have to be told now; nil if nothing.
  func due(_ now: Int64) -> (time: Int64?, isIdle: Bool)? {
    if sides.isEmpty { return nil }
    if hasNews {
      guard let time else { return nil }
      let isFurther = toldTime.map { time - $0 >= Self.resolution } ?? true
      if toldIdle != nil || isFurther { return (time, false) }
    }
    guard let idleSince, now - (toldIdle ?? idleSince) >= Self.idleMilliseconds else { return nil }
    return (time, true)
  }

  /// They have been told.
  mutating func told(isIdle: Bool, at now: Int64) {
    toldTime = time
    toldIdle = isIdle ? now : nil
    hasNews = false
  }
}
