import FeatureCore

/// Finds snapshots that an at-least-once writer has written again after a crash: their position is not behind the latest
/// one of their entity.
///
/// Remembers this segment's entities and the last segment's, so what it finds is a function of the log from the last
/// segment's beginning on.
struct RepeatFilter {
  /// 128 bits of what names a state.
  private struct Identity: Hashable {
    let high: UInt64
    let low: UInt64
  }

  private var current: [Identity: Int64] = [:]
  private var previous: [Identity: Int64] = [:]

  /// Whether the record is not a repeat; remembers it.
  mutating func takes(_ record: SnapshotRecord) -> Bool {
    // Two versions have snapshots of their own, also of a view that is the same in both.
    let version = UInt64(bitPattern: record.version)
    var seed = Hash64.hash(record.view, seed: record.fingerprint ^ (version &* 0x9E37_79B9_7F4A_7C15))
    seed = Hash64.hash(record.topic, seed: seed &+ UInt64(bitPattern: record.partition))
    let identity = Identity(
      high: Hash64.hash(record.entityKey, seed: seed), low: Hash64.hash(record.entityKey, seed: ~seed))
    let known = current[identity] ?? -1
    let isNew = record.offset > max(known, previous[identity] ?? -1)
    // Repeats too, so that a segment's memory is made of that segment alone.
    current[identity] = max(known, record.offset)
    return isNew
  }

  mutating func segmentEnded() {
    swap(&previous, &current)
    current.removeAll(keepingCapacity: true)
  }
}
