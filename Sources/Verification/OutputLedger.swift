import FeatureCore
import Glibc
import Processor

/// Sets the records that are due in topics against those that are there, as multisets: on disk, in buckets by hash, so that
/// memory holds one bucket at a time.
final class OutputLedger {
  /// What an entry says of a record.
  enum Side: UInt32 {
    /// It must be there.
    case due
    /// It may be there: its cause lies behind the store's position.
    case allowed
    case found
    /// It is there, and another version may have sent it: of its like one is enough, and any number is allowed.
    case foundUnversioned
  }

  /// Records that are alike, as far as they don't balance.
  struct Imbalance {
    /// Their topic.
    var topic: String
    /// How many are due and not there; negative: there and not due.
    var missing: Int
    /// Whether any like it are due at all.
    var isDue: Bool
    /// Where one of them was found, or the record that causes it.
    var place: TopicPartition
    var offset: Int64
  }

  private struct Entry {
    var hash: UInt64
    var check: UInt64
    var offset: Int64
    var place: UInt32
    var side: UInt32
  }

  private static let bucketsCount = 256

  private let path: String
  private var buckets: [UnsafeMutablePointer<FILE>] = []
  /// The topics that records are in, and the partitions that entries tell of.
  private var topics: [String: UInt64] = [:]
  private var topicNames: [String] = []
  private var places: [TopicPartition] = []
  private var placeIndices: [TopicPartition: UInt32] = [:]
  /// The first failure: a `Due` comes where nothing can be thrown.
  private var failure: SpillError?

  /// A ledger in files of a folder, which go with it.
  init(folder: String) throws(SpillError) {
    path = folder
    for index in 0..<Self.bucketsCount {
      let name = "\(folder)/\(index).ledger"
      guard let file = fopen(name, "w+") else { throw SpillError(name) }
      buckets.append(file)
      // Open it stays, and gone it is whatever happens.
      unlink(name)
    }
  }

  deinit { for file in buckets { fclose(file) } }

  /// Adds a record of a partition of a topic. `place` and `offset` are its own if it was found, else of what causes it.
  func add(
    _ side: Side, topic: String, partition: Int32, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?, place: TopicPartition, offset: Int64
  ) {
    let topic = number(topic)
    var head = [topic, UInt64(bitPattern: Int64(partition)), UInt64(bitPattern: Int64(key?.count ?? -1))]
    for bytes in [key, value] {
      head.append(bytes == nil ? 0 : 1)
      head.append(bytes.map { Hash64.hash($0) } ?? 0)
      head.append(bytes.map(Self.otherHash) ?? 0)
    }
    let hash = head.withUnsafeBytes { Hash64.hash($0) }
    let check = head.reversed().withUnsafeBytes { Hash64.hash($0) }
    // The topic stands in the lowest bits, so that an imbalance can name it.
    let entry = Entry(
      hash: hash, check: check & ~0xFFFF | topic, offset: offset, place: index(of: place), side: side.rawValue
    )
    let written = withUnsafeBytes(of: entry) {
      fwrite($0.baseAddress, 1, $0.count, buckets[Int(hash >> 56)])
    }
    if written != MemoryLayout<Entry>.size, failure == nil { failure = SpillError(path) }
  }

  /// A hash that is independent of the first: of the bytes from the last to the first.
  private static func otherHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    Array(bytes.reversed()).withUnsafeBytes { Hash64.hash($0) }
  }

  private func number(_ topic: String) -> UInt64 {
    if let known = topics[topic] { return known }
    precondition(topicNames.count < 0xFFFF, "Cannot keep books of \(topicNames.count) topics")
    topics[topic] = UInt64(topicNames.count)
    topicNames.append(topic)
    return UInt64(topicNames.count - 1)
  }

  private func index(of place: TopicPartition) -> UInt32 {
    if let known = placeIndices[place] { return known }
    placeIndices[place] = UInt32(places.count)
    places.append(place)
    return UInt32(places.count - 1)
  }

  // MARK: Balance

  private struct Like: Hashable {
    var hash: UInt64
    var check: UInt64
  }

  private struct Sum {
    var due = 0
    var allowed = 0
    var found = 0
    var unversioned = 0
    /// The cause of the first that is due, and the last that was found.
    var cause: (place: UInt32, offset: Int64) = (0, 0)
    var last: (place: UInt32, offset: Int64) = (0, 0)

    mutating func add(_ entry: Entry, _ side: Side) {
      switch side {
      case .due:
        if due == 0 { cause = (entry.place, entry.offset) }
        due += 1
      case .allowed: allowed += 1
      case .found:
        found += 1
        last = (entry.place, entry.offset)
      case .foundUnversioned:
        if found == 0 { last = (entry.place, entry.offset) }
        unversioned += 1
      }
    }

    /// How many are missing; negative: too many.
    var missing: Int {
      if due > found + unversioned { return due - found - unversioned }
      if found > due + allowed { return due + allowed - found }
      return due + allowed == 0 ? -unversioned : 0
    }
  }

  private func imbalance(_ like: Like, _ sum: Sum) -> Imbalance? {
    if sum.missing == 0 { return nil }
    let (place, offset) = sum.missing > 0 ? sum.cause : sum.last
    return Imbalance(
      topic: topicNames[Int(like.check & 0xFFFF)], missing: sum.missing, isDue: sum.due + sum.allowed > 0,
      place: places[Int(place)], offset: offset)
  }

  /// Calls with everything that doesn't balance.
  func settle(_ body: (Imbalance) -> Void) throws(SpillError) {
    if let failure { throw failure }
    for file in buckets {
      var sums: [Like: Sum] = [:]
      guard fseek(file, 0, SEEK_SET) == 0 else { throw SpillError(path) }
      var entry = Entry(hash: 0, check: 0, offset: 0, place: 0, side: 0)
      while withUnsafeMutableBytes(of: &entry, { fread($0.baseAddress, 1, $0.count, file) })
        == MemoryLayout<Entry>.size
      {
        guard let side = Side(rawValue: entry.side) else { throw SpillError(path) }
        sums[Like(hash: entry.hash, check: entry.check), default: Sum()].add(entry, side)
      }
      guard ferror(file) == 0, fseek(file, 0, SEEK_END) == 0 else { throw SpillError(path) }
      let imbalances = sums.compactMap { imbalance($0, $1) }
      for imbalance in imbalances.sorted(by: { ($0.topic, $0.offset) < ($1.topic, $1.offset) }) {
        body(imbalance)
      }
    }
  }
}
