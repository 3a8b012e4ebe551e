/// How far the streams of a join's two sides are known to have come: a fold of the marks that their tasks write into the
/// log of the join.
///
/// A stream is as far as the slowest of its partitions, of which each has to have been heard of. A partition that says that it
/// has nothing to read is taken to be as far as others were when it said so the time before: it has had that long to read
/// what came with their events. So nobody is held up by it for ever, and a stream that begins again after a silence isn't
/// ahead of partitions that have yet to be read.
public struct JoinClock: Hashable, Sendable {
  /// What is known of a partition of a side.
  struct Partition: Hashable {
    /// How far it is: the largest event time told, or what it is taken for; nil: not known.
    var time: Int64?
    /// How far others were when it last said that there is nothing to read.
    var seen: Int64?
  }

  /// By side; nil: not heard of.
  private(set) var partitions: [[Partition?]] = [[], []]
  /// The event time up to which both streams have come, in microseconds. It never goes back.
  public private(set) var passed = Int64.min

  /// Nothing heard of.
  public init() {}

  /// Takes a mark in: `partition` of `count` of a side's topic has come to `time`, and is idle or not.
  public mutating func note(_ mark: JoinMark) {
    var side = partitions[mark.side.rawValue]
    while side.count < mark.count { side.append(nil) }
    guard side.indices.contains(mark.partition) else { return }
    var partition = side[mark.partition] ?? Partition()
    partition.time = [partition.time, mark.time, mark.isIdle ? partition.seen : nil].compactMap(\.self).max()
    if mark.isIdle { partition.seen = side.compactMap { $0?.time }.max() }
    side[mark.partition] = partition
    partitions[mark.side.rawValue] = side
    guard let left = reached(.left), let right = reached(.right) else { return }
    passed = max(passed, min(left, right))
  }

  /// How far a side's stream has come; nil: it isn't known of every partition.
  private func reached(_ side: JoinPlan.Side) -> Int64? {
    let known = partitions[side.rawValue]
    let times = known.compactMap { $0?.time }
    return times.count < known.count ? nil : times.min()
  }

  /// By how many microseconds the clock is behind the latest left event: 0 or more. Nil without a left event; `.max` as long
  /// as nothing is known of how far one of the streams has come.
  public var lag: Int64? {
    guard let latest = partitions[JoinPlan.Side.left.rawValue].compactMap({ $0?.time }).max() else {
      return nil
    }
    return passed == .min ? .max : max(0, latest - passed)
  }

  mutating func read(_ reader: inout ByteReader) throws(StateError) {
    for side in JoinPlan.Side.allCases {
      let count = try reader.count(atMost: Limits.joinPartitionsMax)
      var read: [Partition?] = []
      for _ in 0..<count {
        let kind = try reader.byte()
        guard kind <= 4 else { throw reader.corrupt("a partition of kind \(kind)") }
        guard kind > 0 else {
          read.append(nil)
          continue
        }
        var partition = Partition()
        if kind > 2 { partition.time = try reader.signed() }
        if kind % 2 == 0 { partition.seen = try reader.signed() }
        read.append(partition)
      }
      partitions[side.rawValue] = read
    }
    passed = try reader.signed()
  }

  func write(to writer: inout ByteWriter) {
    for side in partitions {
      writer.varint(UInt64(side.count))
      for partition in side {
        guard let partition else {
          writer.byte(0)
          continue
        }
        writer.byte((partition.seen == nil ? 1 : 2) + (partition.time == nil ? 0 : 2))
        if let time = partition.time { writer.signed(time) }
        if let seen = partition.seen { writer.signed(seen) }
      }
    }
    writer.signed(passed)
  }
}

/// What a source's task writes into the log of a join: how far its partition has come.
public struct JoinMark: Hashable, Sendable {
  /// The side that the source is of.
  public var side: JoinPlan.Side
  /// The partition of the source's topic.
  public var partition: Int
  /// How many that has.
  public var count: Int
  /// The largest event time of those before `offset`; nil: the task has seen none.
  public var time: Int64?
  /// Whether there was nothing more to read for a while.
  public var isIdle: Bool
  /// The partition's offset up to which everything that takes part has been forwarded.
  public var offset: Int64

  /// A mark from its parts.
  public init(
    side: JoinPlan.Side, partition: Int, count: Int, time: Int64?, isIdle: Bool, offset: Int64
  ) {
    self.side = side
    self.partition = partition
    self.count = count
    self.time = time
    self.isIdle = isIdle
    self.offset = offset
  }
}
