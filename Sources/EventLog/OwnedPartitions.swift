import Processor

/// The partitions that a consumer reads, and where it is in each.
struct OwnedPartitions {
  private struct Place: Hashable {
    var topic: OpaquePointer
    var partition: Int32
  }

  private struct Slot {
    /// The first offset that wasn't handed out.
    var next: Int64
    /// False once the group has asked for it back.
    var isRead: Bool
    /// The offset at which reading ends.
    var end: Int64
  }

  /// By index.
  private(set) var partitions: [TopicPartition] = []
  private var slots: [Slot] = []
  /// Offsets below which nothing is left to hand out, and that nobody has been told.
  private var ends: [(partition: TopicPartition, offset: Int64)] = []
  /// Indices by the library's handles, filled as messages come: a record's partition is found without its name.
  private var known: [Place: Int] = [:]
  private var lastPlace: Place?
  private var lastIndex = 0

  var positions: [(partition: TopicPartition, offset: Int64)] {
    zip(partitions, slots).map { ($0, $1.next) }
  }

  /// Takes partitions on, each to be read from an offset, to the end of it that `ends` names, if any.
  mutating func add(
    _ more: [(partition: TopicPartition, offset: Int64)], ends: [TopicPartition: Int64] = [:]
  ) {
    remove(more.map(\.partition))
    for (partition, offset) in more {
      partitions.append(partition)
      slots.append(Slot(next: offset, isRead: true, end: ends[partition] ?? .max))
    }
  }

  /// There is nothing to read at an offset, and nothing before it that is still to come.
  mutating func reachedEnd(_ partition: TopicPartition, at offset: Int64) {
    guard let index = partitions.firstIndex(of: partition) else { return }
    reachedEnd(index, at: offset)
  }

  private mutating func reachedEnd(_ index: Int, at offset: Int64) {
    // The bound first: at the end of what is read, what follows is not to be passed.
    let end = min(offset, slots[index].end)
    guard slots[index].isRead, end >= slots[index].next else { return }
    slots[index].next = end
    // Records behind the bound may keep coming.
    if let last = ends.last, last == (partitions[index], end) { return }
    ends.append((partitions[index], end))
  }

  /// The ends that were reached since it was last asked.
  mutating func takeEnds() -> [(partition: TopicPartition, offset: Int64)] {
    defer { if !ends.isEmpty { ends.removeAll() } }
    return ends
  }

  mutating func remove(_ gone: [TopicPartition]) {
    let gone = Set(gone)
    ends.removeAll { gone.contains($0.partition) }
    let kept = partitions.indices.filter { !gone.contains(partitions[$0]) }
    partitions = kept.map { partitions[$0] }
    slots = kept.map { slots[$0] }
    // A handle may come to stand for another topic once nothing of its topic is assigned.
    known.removeAll(keepingCapacity: true)
    lastPlace = nil
  }

  /// Keeps the partitions, without their records.
  mutating func stopReading(_ leaving: [TopicPartition]) {
    for partition in leaving {
      if let index = partitions.firstIndex(of: partition) { slots[index].isRead = false }
    }
  }

  mutating func move(_ partition: TopicPartition, to offset: Int64) {
    guard let index = partitions.firstIndex(of: partition) else { return }
    slots[index].next = offset
    ends.removeAll { $0.partition == partition }
  }

  func isFetched(_ partition: TopicPartition) -> Bool {
    partitions.firstIndex(of: partition).map { slots[$0].isRead } ?? false
  }

  func next(_ partition: TopicPartition) -> Int64 {
    partitions.firstIndex(of: partition).map { slots[$0].next } ?? 0
  }

  /// The index of a record's partition, if the record is to be handed out; it then counts as handed out.
  mutating func accept(_ topic: OpaquePointer, _ partition: Int32, _ offset: Int64) -> Int? {
    let place = Place(topic: topic, partition: partition)
    if place != lastPlace {
      guard let index = known[place] ?? learn(place) else { return nil }
      lastPlace = place
      lastIndex = index
    }
    // Fetched before a change of the assignment or a seek, and still in the queue.
    guard slots[lastIndex].isRead, offset >= slots[lastIndex].next else { return nil }
    guard offset < slots[lastIndex].end else {
      reachedEnd(lastIndex, at: offset)
      return nil
    }
    slots[lastIndex].next = offset + 1
    return lastIndex
  }

  private mutating func learn(_ place: Place) -> Int? {
    guard let index = partitions.firstIndex(of: TopicPartition(handle: place.topic, place.partition)) else {
      return nil
    }
    known[place] = index
    return index
  }
}
