/// The ids that the records of one partition had in the last while, to tell a record that comes again.
///
/// Time is `latest`: the largest record timestamp so far, which only grows. An id is known for `within` after the last record
/// that had it. What is known at a record follows from the records from `start(of:)` on, so nothing has to be stored. At
/// `idsMax` records the oldest sixtieth of the window is forgotten early, which follows from them as well.
///
/// An id is 64 bits of a hash, in 16 bytes with the time and a part of the content's hash. Tables of 1/256 of the ids each
/// are rebuilt one at a time, without what has left the window: no record waits for more. One owner, one thread.
public final class IDWindow {
  /// What is known of an id.
  public enum Verdict: Sendable, Hashable {
    /// No record of the window had it.
    case new
    /// The last record that had it had the same content.
    case duplicate
    /// It had another content.
    case conflict
  }

  private struct Entry {
    /// 0 is an empty place.
    var id: UInt64
    var content: UInt32
    /// The lower bits of the time: what is older than 2^31 ms is not in the table.
    var time: UInt32
  }

  private struct Shard {
    var entries: UnsafeMutablePointer<Entry>
    var capacity: Int
    var count = 0
  }

  /// Slices of the window that the limit counts in.
  private static let slices: Int64 = 60
  private static let ringMask = 127
  private static let shardBits = 8
  private static let capacityMin = 8
  /// A table is rebuilt when four fifths of it are taken, and then has half of them taken.
  private static let fill = (most: (4, 5), fresh: (1, 2))

  /// Bytes that an id takes up at most, about: tables have room for what comes.
  public static let bytesPerID = MemoryLayout<Entry>.stride * fill.fresh.1 / fill.fresh.0 + 1

  private let within: Int64
  private let slice: Int64
  private let idsMax: Int
  @exclusivity(unchecked) private var latest: Int64?
  /// Records of each slice, in a ring by the slice's number.
  @exclusivity(unchecked) private var counts = ContiguousArray<Int>(repeating: 0, count: ringMask + 1)
  /// The first slice that counts, and the records of all that do.
  @exclusivity(unchecked) private var firstSlice = Int64.min
  @exclusivity(unchecked) private var total = 0
  private let shards: UnsafeMutablePointer<Shard>
  /// When every table was last known to hold nothing that is older than half of what 32 bits can tell.
  @exclusivity(unchecked) private var cleaned = Int64.min
  /// Keeps the loads that are there to fetch cache lines from being optimised away.
  @exclusivity(unchecked) private var touched: UInt64 = 0

  /// A window of `within` milliseconds that knows the ids of at most about `idsMax` records.
  public init(within: Int64, idsMax: Int = Limits.duplicateIDsMax) {
    self.within = within
    self.idsMax = idsMax
    slice = Self.slice(within)
    shards = .allocate(capacity: 1 << Self.shardBits)
    for index in 0..<(1 << Self.shardBits) { (shards + index).initialize(to: Self.emptyShard()) }
  }

  deinit {
    for index in 0..<(1 << Self.shardBits) { shards[index].entries.deallocate() }
    shards.deallocate()
  }

  private static func slice(_ within: Int64) -> Int64 { max(1, (within + slices - 1) / slices) }

  /// The time, in milliseconds, whose first record is the first that matters at a time.
  public func start(of time: Int64) -> Int64 {
    Self.floorDivide(Self.clamp(time) - within, slice) * slice
  }

  /// A record's timestamp may be anything; what is compared must not overflow.
  private static func clamp(_ time: Int64) -> Int64 { min(max(time, -1 << 60), 1 << 60) }

  /// How far back ids are known, in milliseconds: less than `within` where the limit has been met.
  public var reach: Int64 {
    guard let latest else { return within }
    return max(0, min(within, latest - firstSlice * slice))
  }

  /// Whether it has been told a time.
  public var hasTime: Bool { latest != nil }

  /// Bytes of the tables.
  public var bytes: Int {
    (0..<(1 << Self.shardBits)).reduce(0) { $0 + shards[$1].capacity * MemoryLayout<Entry>.stride }
  }

  /// Goes on to the time of the next record, in milliseconds; an earlier one changes nothing.
  @inline(__always)
  public func advance(to time: Int64) {
    if let latest, time <= latest { return }
    move(to: Self.clamp(time))
  }

  private func move(to time: Int64) {
    let first = Self.floorDivide(time - within, slice)
    guard let latest, time - latest <= within else {
      // The first record, or everything has left.
      removeAll()
      (self.latest, firstSlice, cleaned) = (time, first, time)
      return
    }
    self.latest = time
    while firstSlice < first { dropSlice() }
    if time - cleaned > 1 << 31 {
      for index in 0..<(1 << Self.shardBits) { rebuild(index) }
      cleaned = time
    }
  }

  private func dropSlice() {
    let place = Int(truncatingIfNeeded: firstSlice) & Self.ringMask
    total -= counts[place]
    counts[place] = 0
    firstSlice += 1
  }

  private func removeAll() {
    for place in counts.indices { counts[place] = 0 }
    total = 0
    for index in 0..<(1 << Self.shardBits) where shards[index].count > 0 {
      shards[index].entries.deallocate()
      shards[index] = Self.emptyShard()
    }
  }

  private static func emptyShard() -> Shard {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacityMin)
    entries.initialize(repeating: Entry(id: 0, content: 0, time: 0), count: capacityMin)
    return Shard(entries: entries, capacity: capacityMin)
  }

  /// Starts loading the place of an id.
  public func touch(_ id: UInt64) {
    let shard = shards + Int(id >> (64 - UInt64(Self.shardBits)))
    touched &+= shard.pointee.entries[Self.home(id, shard.pointee.capacity)].id
  }

  /// Says what is known of the id of a record of the present time, and remembers the record.
  public func note(_ id: UInt64, content: UInt32) -> Verdict {
    guard let latest else { preconditionFailure("Cannot note an id before the first record's time") }
    let index = Int(id >> (64 - UInt64(Self.shardBits)))
    let id = id == 0 ? 1 : id
    let (age, now) = (ageMax(latest), UInt32(truncatingIfNeeded: latest))
    count(latest)
    let (entries, capacity) = (shards[index].entries, shards[index].capacity)
    var place = Self.home(id, capacity)
    while entries[place].id != 0 {
      if entries[place].id == id {
        let old = entries[place]
        entries[place] = Entry(id: id, content: content, time: now)
        guard Int64(now &- old.time) <= age else { return .new }
        return old.content == content ? .duplicate : .conflict
      }
      place += 1
      if place == capacity { place = 0 }
    }
    entries[place] = Entry(id: id, content: content, time: now)
    shards[index].count += 1
    if shards[index].count * Self.fill.most.1 >= capacity * Self.fill.most.0 { rebuild(index) }
    return .new
  }

  /// The largest age of an id that is known, in milliseconds; negative: none is.
  @inline(__always)
  private func ageMax(_ latest: Int64) -> Int64 { min(within, latest - firstSlice * slice) }

  @inline(__always)
  private func count(_ latest: Int64) {
    let number = Self.floorDivide(latest, slice)
    guard number >= firstSlice else { return }
    counts[Int(truncatingIfNeeded: number) & Self.ringMask] += 1
    total += 1
    while total > idsMax { dropSlice() }
  }

  @inline(__always)
  static func home(_ id: UInt64, _ capacity: Int) -> Int {
    Int((((id >> 16) & 0xFFFF_FFFF) &* UInt64(capacity)) >> 32)
  }

  @inline(__always)
  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
  }

  /// Makes a table anew of what has not left the window.
  @inline(never)
  private func rebuild(_ index: Int) {
    guard let latest else { return }
    let old = shards[index]
    let (age, now) = (ageMax(latest), UInt32(truncatingIfNeeded: latest))
    var live = 0
    for place in 0..<old.capacity where old.entries[place].id != 0 {
      if Int64(now &- old.entries[place].time) <= age { live += 1 }
    }
    let capacity = max(Self.capacityMin, live * Self.fill.fresh.1 / Self.fill.fresh.0 + 1)
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    entries.initialize(repeating: Entry(id: 0, content: 0, time: 0), count: capacity)
    for from in 0..<old.capacity where old.entries[from].id != 0 {
      guard Int64(now &- old.entries[from].time) <= age else { continue }
      var place = Self.home(old.entries[from].id, capacity)
      while entries[place].id != 0 {
        place += 1
        if place == capacity { place = 0 }
      }
      entries[place] = old.entries[from]
    }
    old.entries.deallocate()
    shards[index] = Shard(entries: entries, capacity: capacity, count: live)
  }
}
