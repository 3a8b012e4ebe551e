/// The ids that the records of one partition had in the last while, to tell a record that comes again.
///
/// Time is `latest`: the largest record timestamp so far, which only grows. An id is known for `within` after the last record
/// that had it. What is known at a record follows from the records from `start(of:)` on, so nothing has to be stored. At
/// `idsMax` records the oldest sixtieth of the window is forgotten early, which follows from them as well.
///
/// An id is 64 bits of a hash, in 16 bytes with the time and a part of the content's hash; four of them are a bucket, one
/// line of a processor's cache. Nothing is removed: what has left the window is written over by what comes. An id whose
/// bucket is full goes on to the next one, and leaves a mark that says in which slice of the window: so most of what is new is
/// known to be so after one line. Tables of 1/256 of the ids grow one at a time, each at another filling: no record waits for
/// more. One owner, one thread.
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
    /// 0: nothing has been here.
    var id: UInt64
    /// The lower bits of the time: nothing in a table is older than 2^32 ms.
    var time: UInt32
    /// A part of the content's hash; below it a mark of ids that went on from the bucket.
    var tag: UInt32
  }

  private struct Shard {
    var entries: UnsafeMutablePointer<Entry>
    var buckets: Int
    /// It is made anew when the window has fewer or more records.
    var recordsMin = 0
    var recordsMax: Int
  }

  /// Slices of the window that the limit counts in.
  private static let slices: Int64 = 60
  private static let ringMask = 127
  private static let shardCount = 256
  private static let bucketSize = 4
  private static let bucketsMin = 2
  private static let markMask: UInt32 = 0xFF
  /// More than a core can wait for, few enough to stay in its cache.
  static let touchedMax = 32
  /// A table that grows gets half as much again, and so many hundredths of it are filled then, from the first table to the last.
  private static let (growth, fill) = ((3, 2), (50, 75))

  /// Bytes that an id takes up, about: tables have room for what comes.
  public static let bytesPerID = 2 * MemoryLayout<Entry>.stride

  private let within: Int64
  private let slice: Int64
  private let idsMax: Int
  private let placing: KeyHash
  @exclusivity(unchecked) private var latest = Int64.min
  /// Whether it has been told a time.
  @exclusivity(unchecked) public private(set) var hasTime = false
  /// Records of each slice, in a ring by the slice's number.
  @exclusivity(unchecked) private var counts = ContiguousArray<Int>(repeating: 0, count: ringMask + 1)
  /// The first slice that counts, the slice of `latest`, and the records of all that count.
  @exclusivity(unchecked) private var firstSlice = Int64.min
  @exclusivity(unchecked) private var lastSlice: Int64 = 0 { didSet { mark = Self.mark(of: lastSlice) } }
  /// The mark of the present slice.
  @exclusivity(unchecked) private var mark: UInt32 = 1
  @exclusivity(unchecked) private var total = 0
  /// The largest age of an id that is known, in milliseconds; negative: none is.
  @exclusivity(unchecked) private var ageMax: Int64 = -1
  private let shards: UnsafeMutablePointer<Shard>
  private let places: UnsafeMutablePointer<UnsafePointer<Entry>>
  /// When every table was last known to hold nothing that is older than half of what 32 bits can tell.
  @exclusivity(unchecked) private var cleaned = Int64.min
  /// Keeps the loads that are there to fetch cache lines from being optimised away.
  @exclusivity(unchecked) private var touched: UInt64 = 0

  /// A window of `within` milliseconds that knows the ids of at most about `idsMax` records. `hashSecret` is as in
  /// `StateTable`: it decides where ids stand, and nothing else.
  public init(within: Int64, idsMax: Int = Limits.duplicateIDsMax, hashSecret: UInt64 = 0) {
    self.within = within
    self.idsMax = idsMax
    placing = KeyHash(secret: hashSecret)
    slice = max(1, (within + Self.slices - 1) / Self.slices)
    shards = .allocate(capacity: Self.shardCount)
    places = .allocate(capacity: 2 * Self.touchedMax)
    for index in 0..<Self.shardCount { (shards + index).initialize(to: Self.shard(index, Self.bucketsMin)) }
  }

  deinit {
    for index in 0..<Self.shardCount { shards[index].entries.deallocate() }
    shards.deallocate()
    places.deallocate()
  }

  /// The time, in milliseconds, whose first record is the first that matters at a time.
  public func start(of time: Int64) -> Int64 {
    Self.floorDivide(Self.clamp(time) - within, slice) * slice
  }

  /// A record's timestamp may be anything; what is compared must not overflow.
  private static func clamp(_ time: Int64) -> Int64 { min(max(time, -1 << 60), 1 << 60) }

  /// How far back ids are known, in milliseconds: less than `within` where the limit has been met.
  public var reach: Int64 { hasTime ? max(0, ageMax) : within }

  /// Bytes of the tables.
  public var bytes: Int {
    (0..<Self.shardCount).reduce(0) {
      $0 + shards[$1].buckets * Self.bucketSize * MemoryLayout<Entry>.stride
    }
  }

  // MARK: Time

  /// Goes on to the time of the next record, in milliseconds; an earlier one changes nothing.
  public func advance(to time: Int64) {
    if time > latest { move(to: Self.clamp(time)) } else if !hasTime { move(to: Self.clamp(time)) }
  }

  private func move(to time: Int64) {
    guard hasTime, time - latest <= within else {
      // The first record, or everything has left.
      if hasTime { removeAll() }
      (latest, hasTime, cleaned) = (time, true, time)
      firstSlice = Self.floorDivide(time - within, slice)
      lastSlice = Self.floorDivide(time, slice)
      ageMax = within
      return
    }
    latest = time
    while (lastSlice + 1) * slice <= time { lastSlice += 1 }
    while (firstSlice + 1) * slice <= time - within { dropSlice() }
    ageMax = min(within, latest - firstSlice * slice)
    if time - cleaned > 1 << 31 {
      for index in 0..<Self.shardCount { rebuild(index, for: total) }
      cleaned = time
    }
  }

  private func dropSlice() {
    let place = Int(truncatingIfNeeded: firstSlice) & Self.ringMask
    total -= counts[place]
    counts[place] = 0
    firstSlice += 1
    ageMax = min(within, latest - firstSlice * slice)
  }

  private func removeAll() {
    for place in counts.indices { counts[place] = 0 }
    total = 0
    for index in 0..<Self.shardCount {
      shards[index].entries.deallocate()
      shards[index] = Self.shard(index, Self.bucketsMin)
    }
  }

  @inline(__always)
  private func count() {
    guard lastSlice >= firstSlice else { return }
    counts[Int(truncatingIfNeeded: lastSlice) & Self.ringMask] += 1
    total += 1
    while total > idsMax { dropSlice() }
  }

  @inline(__always)
  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
  }

  // MARK: Ids

  /// Starts loading the places of at most `touchedMax` ids, so that their cache misses overlap.
  func touch(_ identities: UnsafeBufferPointer<SeenEvents.Identity>) {
    precondition(identities.count <= Self.touchedMax, "Cannot touch \(identities.count) places at once")
    var count = 0
    for identity in identities where identity.hasID {
      let key = placing.hash(identity.id)
      let shard = shards + Self.shard(of: key)
      let home = Self.home(key, shard.pointee.buckets)
      places[count] = UnsafePointer(shard.pointee.entries + home * Self.bucketSize)
      // The next bucket is wanted for a third of the ids, and costs little beside its neighbour.
      places[count + 1] = home + 1 < shard.pointee.buckets ? places[count] + Self.bucketSize : places[count]
      count += 2
    }
    // In a loop of its own: the less there is between two loads, the more of them are under way.
    var sum: UInt64 = 0
    for index in 0..<count { sum &+= places[index].pointee.id }
    touched &+= sum
  }

  /// Says what is known of the id of a record of the present time, and remembers the record.
  public func note(_ id: UInt64, content: UInt32) -> Verdict {
    precondition(hasTime, "Cannot note an id before the first record's time")
    let id = id == 0 ? 1 : id
    let key = placing.hash(id)
    let (index, lane) = (Self.shard(of: key), Self.lane(of: key))
    // Behind the verdict: what the limit forgets for the sake of this record is known to it.
    defer { count() }
    if total >= shards[index].recordsMax || total < shards[index].recordsMin { rebuild(index, for: total) }
    while true {
      let shard = shards[index]
      let home = Self.home(key, shard.buckets)
      guard let (place, isFound) = find(id, shard, from: home, lane) else {
        rebuild(index, for: total)
        continue
      }
      mark(shard, from: home, to: place / Self.bucketSize, lane)
      let entry = shard.entries + place
      let old = entry.pointee
      entry.pointee.id = id
      entry.pointee.time = UInt32(truncatingIfNeeded: latest)
      entry.pointee.tag = content & ~Self.markMask | old.tag & Self.markMask
      guard isFound, isKnown(old) else { return .new }
      return (old.tag ^ content) & ~Self.markMask == 0 ? .duplicate : .conflict
    }
  }

  /// The place of an id, or one for it; nil if the table is full.
  @inline(__always)
  private func find(_ id: UInt64, _ shard: Shard, from home: Int, _ lane: Int) -> (place: Int, isFound: Bool)?
  {
    let now = UInt32(truncatingIfNeeded: latest)
    var bucket = home
    var vacant = -1
    repeat {
      let first = bucket * Self.bucketSize
      let entries = shard.entries + first
      // Without branches: nobody can foresee which of them it is.
      var (same, free): (UInt32, UInt32) = (0, 0)
      for place in 0..<Self.bucketSize {
        let entry = entries[place]
        let isFree: UInt32 = (entry.id == 0 ? 1 : 0) | (Int64(now &- entry.time) > ageMax ? 1 : 0)
        same |= (entry.id == id ? 1 : 0) << UInt32(place)
        free |= isFree << UInt32(place)
      }
      if same != 0 { return (first + same.trailingZeroBitCount, true) }
      if vacant < 0, free != 0 { vacant = first + free.trailingZeroBitCount }
      if vacant >= 0, !hasGoneOn(entries + lane) { return (vacant, false) }
      bucket += 1
      if bucket == shard.buckets { bucket = 0 }
    } while bucket != home
    return vacant < 0 ? nil : (vacant, false)
  }

  /// Whether an entry is of the window.
  @inline(__always)
  private func isKnown(_ entry: Entry) -> Bool {
    entry.id != 0 && Int64(UInt32(truncatingIfNeeded: latest) &- entry.time) <= ageMax
  }

  /// Whether an id of the window may have gone on from a full bucket. What was marked longer ago than marks can tell seems to
  /// have been marked lately, which costs time alone: so it is cleared when it is seen in between.
  @inline(__always)
  private func hasGoneOn(_ marked: UnsafeMutablePointer<Entry>) -> Bool {
    let mark = marked.pointee.tag & Self.markMask
    if mark == 0 { return false }
    if Int64(Self.slicesAgo(mark, self.mark)) <= lastSlice - firstSlice { return true }
    marked.pointee.tag &= ~Self.markMask
    return false
  }

  /// 1 to 255 in turn.
  private static func mark(of slice: Int64) -> UInt32 {
    UInt32(truncatingIfNeeded: UInt64(bitPattern: slice &+ 1 << 62) % 255) + 1
  }

  private static func slicesAgo(_ mark: UInt32, _ present: UInt32) -> UInt32 {
    present >= mark ? present - mark : present + 255 - mark
  }

  /// Remembers that an id of the present time went on from a bucket to another.
  @inline(__always)
  private func mark(_ shard: Shard, from home: Int, to last: Int, _ lane: Int) {
    var bucket = home
    while bucket != last {
      let entry = shard.entries + bucket * Self.bucketSize + lane
      entry.pointee.tag = entry.pointee.tag & ~Self.markMask | mark
      bucket += 1
      if bucket == shard.buckets { bucket = 0 }
    }
  }

  // MARK: Tables

  @inline(__always)
  private static func shard(of key: UInt64) -> Int { Int(key >> 56) }

  @inline(__always)
  static func home(_ key: UInt64, _ buckets: Int) -> Int {
    Int(((key & 0xFFFF_FFFF) &* UInt64(buckets)) >> 32)
  }

  /// Which of a bucket's marks are an id's.
  @inline(__always)
  private static func lane(of key: UInt64) -> Int { Int(key >> 32) & (bucketSize - 1) }

  /// An empty table.
  private static func shard(_ index: Int, _ buckets: Int) -> Shard {
    let count = buckets * bucketSize
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<Entry>.stride, alignment: bucketSize * MemoryLayout<Entry>.stride)
    let entries = memory.initializeMemory(
      as: Entry.self, repeating: Entry(id: 0, time: 0, tag: 0), count: count)
    return Shard(entries: entries, buckets: buckets, recordsMax: count * shardCount * filling(index) / 10_000)
  }

  /// How much of a table is filled when it grows, in 10,000ths.
  private static func filling(_ index: Int) -> Int {
    fill.0 * 100 + (fill.1 - fill.0) * 100 * index / shardCount
  }

  /// Makes room for so many records, which are about to come.
  public func reserve(records: Int) {
    // An eighth more: slices are whole, and the limit is never passed.
    let records = min(max(0, min(records, idsMax)) / 8 * 9, idsMax)
    for index in 0..<Self.shardCount where records > shards[index].recordsMax {
      rebuild(index, for: records * Self.growth.1 / Self.growth.0)
    }
  }

  /// Makes a table anew of what has not left the window, with room for half as many records again as there may be.
  @inline(never)
  private func rebuild(_ index: Int, for records: Int) {
    let old = shards[index]
    let places = old.buckets * Self.bucketSize
    var known = 0
    for place in 0..<places where isKnown(old.entries[place]) { known += 1 }
    // Whoever chooses ids could have more than their share in one table.
    let share = records * Self.growth.0 / Self.growth.1 * 10_000 / Self.filling(index) / Self.shardCount
    let room = max(share, known == places ? 2 * known : known)
    let buckets = max(Self.bucketsMin, (room + Self.bucketSize - 1) / Self.bucketSize)
    var new = Self.shard(index, buckets)
    new.recordsMin = buckets == Self.bucketsMin ? 0 : total / 4
    for place in 0..<places where isKnown(old.entries[place]) {
      let entry = old.entries[place]
      let key = placing.hash(entry.id)
      let (home, lane) = (Self.home(key, buckets), Self.lane(of: key))
      guard let (free, _) = find(entry.id, new, from: home, lane) else {
        preconditionFailure("Cannot find room for \(known) ids in \(buckets) buckets")
      }
      mark(new, from: home, to: free / Self.bucketSize, lane)
      new.entries[free].id = entry.id
      new.entries[free].time = entry.time
      new.entries[free].tag = entry.tag & ~Self.markMask | new.entries[free].tag & Self.markMask
    }
    old.entries.deallocate()
    shards[index] = new
  }
}
