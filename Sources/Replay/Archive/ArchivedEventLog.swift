import EventFiles
public import EventLog
public import Processor

/// A worker's log whose partitions are read from an archive where that has them, and from the topics where it ends. For
/// the worker it is one log that reaches back to the archive's first offset; without an archive it is its base.
///
/// The base is assigned every partition, since a group counts on that, and pauses those that are read from the archive.
public final class ArchivedEventLog<Base: EventLogPort>: EventLogPort {
  /// The log of the topics.
  public let base: Base
  private let archive: TopicArchive?
  /// Where reading ends; without an end it goes on in the topic.
  private let ends: [TopicPartition: Int64]
  /// As of the last look at a partition's watermarks.
  private var known: [TopicPartition: ArchivedPartition] = [:]
  /// The partitions that are read from the archive now.
  private var places: [TopicPartition: Place] = [:]
  private var paused: Set<TopicPartition> = []
  /// The partitions of `places` in the order of their turns.
  private var turns: [TopicPartition] = []
  private var isBaseNext = true
  /// What the last poll gave out.
  private var given = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: 0)

  private struct Place {
    let archived: ArchivedPartition
    let cursor: ArchiveCursor
    /// The offset behind the last record that was handed out.
    var next: Int64
    /// What the cursor gave and was not handed out yet.
    var rest = UnsafeBufferPointer<ArchivedRecord>(start: nil, count: 0)[...]
    /// There is no more, here or in the topic.
    var hasEnded = false
  }

  /// A log of an archive and what is behind it.
  public init(_ base: Base, _ archive: TopicArchive?, ends: [TopicPartition: Int64] = [:]) {
    self.base = base
    self.archive = archive
    self.ends = ends
  }

  deinit { given.deallocate() }

  // MARK: Records

  /// See `EventLogPort`. The base and each partition of the archive take turns.
  public func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    let turn = turns.firstIndex { !paused.contains($0) && places[$0]?.hasEnded == false }
    if turn == nil || isBaseNext {
      let poll = try base.poll(
        recordsMax: recordsMax, timeoutMilliseconds: turn == nil ? timeoutMilliseconds : 0)
      isBaseNext = false
      if turn == nil || !poll.assignments.isEmpty || !poll.records.isEmpty { return withoutArchived(poll) }
    }
    isBaseNext = true
    guard let turn else { preconditionFailure("Cannot read without a partition") }
    let partition = turns.remove(at: turn)
    turns.append(partition)
    return try read(partition, recordsMax)
  }

  /// What was fetched before the base paused a partition comes again when the archive has been read.
  private func withoutArchived(_ poll: LogPoll) -> LogPoll {
    if places.isEmpty { return poll }
    let archived = poll.partitions.map { places[$0] != nil }
    var poll = poll
    poll.ends.removeAll { places[$0.partition] != nil }
    if archived.contains(true) { poll.records = keep(poll.records.filter { !archived[$0.partition] }) }
    return poll
  }

  private func read(_ partition: TopicPartition, _ recordsMax: Int) throws(LogError) -> LogPoll {
    guard var place = places[partition] else { preconditionFailure("Cannot read \(partition) here") }
    if place.rest.isEmpty {
      guard let more = try onArchive({ () throws(EventFileError) in try place.cursor.next() }) else {
        let end = try leave(partition, place)
        return LogPoll(
          assignments: [], partitions: [], records: keep([]), ends: [(partition: partition, offset: end)])
      }
      place.rest = more[...]
    }
    let taken = place.rest.prefix(recordsMax)
    place.rest = place.rest.dropFirst(taken.count)
    place.next = taken.last.map { $0.offset + 1 } ?? place.next
    places[partition] = place
    return LogPoll(
      assignments: [], partitions: [partition], records: keep(taken.map { LogRecord($0, partition: 0) }),
      ends: [])
  }

  private func keep(_ records: [LogRecord]) -> UnsafeBufferPointer<LogRecord> {
    if records.count > given.count {
      given.deallocate()
      given = .allocate(capacity: records.count)
    }
    _ = given.initialize(from: records)
    return UnsafeBufferPointer(rebasing: given[..<records.count])
  }

  /// The archive has no more of a partition: its topic goes on, unless what is wanted ends here. Returns the offset that
  /// nothing is left below.
  private func leave(_ partition: TopicPartition, _ place: Place) throws(LogError) -> Int64 {
    if let end = ends[partition], end <= place.archived.next {
      places[partition]?.hasEnded = true
      return end
    }
    try goOnInTopic(partition, at: place.archived.next)
    return place.archived.next
  }

  private func goOnInTopic(_ partition: TopicPartition, at offset: Int64) throws(LogError) {
    if !paused.contains(partition) { try base.resume([partition]) }
    try base.seek(partition, to: offset)
    forget([partition])
  }

  // MARK: Partitions

  /// See `EventLogPort`.
  public func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    let found = partitions.map { place($0.partition, at: $0.offset) }
    try base.assign(
      zip(partitions, found).map { ($0.partition, $1?.archived.next ?? $0.offset) })
    for (partition, place) in zip(partitions, found) {
      if let place { try enter(partition.partition, place) }
    }
  }

  /// See `EventLogPort`.
  public func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    if let place = places[partition], place.next == offset, !place.hasEnded { return }
    if let place = place(partition, at: offset) { return try enter(partition, place) }
    if places[partition] != nil { return try goOnInTopic(partition, at: offset) }
    try base.seek(partition, to: offset)
  }

  /// The place of an offset in the archive; nil if that doesn't cover it.
  private func place(_ partition: TopicPartition, at offset: Int64) -> Place? {
    guard let archived = known[partition], offset >= archived.first, offset < archived.next else {
      return nil
    }
    let end = max(offset, min(archived.next, ends[partition] ?? .max))
    // What is folded can't be taken back: a segment is looked at whole before.
    return Place(
      archived: archived, cursor: archived.cursor(offset..<end, checksFirst: true), next: offset)
  }

  private func enter(_ partition: TopicPartition, _ place: Place) throws(LogError) {
    places[partition] = place
    if !turns.contains(partition) { turns.append(partition) }
    try base.pause([partition])
  }

  private func forget(_ partitions: [TopicPartition]) {
    for partition in partitions { places[partition] = nil }
    turns.removeAll(where: partitions.contains)
  }

  /// See `EventLogPort`.
  public func unassign(_ partitions: [TopicPartition]) throws(LogError) {
    try base.unassign(partitions)
    forget(partitions)
    paused.subtract(partitions)
  }

  /// See `EventLogPort`.
  public func pause(_ partitions: [TopicPartition]) throws(LogError) {
    try base.pause(partitions)
    paused.formUnion(partitions)
  }

  /// See `EventLogPort`.
  public func resume(_ partitions: [TopicPartition]) throws(LogError) {
    try base.resume(partitions.filter { places[$0] == nil })
    paused.subtract(partitions)
  }

  /// See `EventLogPort`. With the archive the log reaches further back. An error if there is a gap between the two.
  public func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    let marks = try base.watermarks(partition)
    let archived = try onArchive { () throws(EventFileError) in
      let found = try archive?.partition(partition)
      if let found {
        try TopicArchive.checkJoint(
          found.folder, partition, found.next, begins: marks.low, ends: marks.high)
      }
      return found
    }
    known[partition] = archived
    return (min(marks.low, archived?.first ?? .max), marks.high)
  }

  /// See `EventLogPort`. The archive has no index of times: what the topic has no more of is read through, unless the topic has an
  /// older record too, before which everything is taken to be older still.
  public func firstOffset(of partition: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64?
  {
    let found = try base.firstOffset(of: partition, since: milliseconds)
    guard let archived = known[partition] else { return found }
    // Not the first offset: marks of transactions, and records that were compacted away, have one, and no time.
    if let found, let first = try base.firstOffset(of: partition, since: 0), first < found { return found }
    let low = try base.watermarks(partition).low
    let cursor = archived.cursor(
      archived.first..<max(archived.first, min(low, archived.next)), checksFirst: false)
    while let records = try onArchive({ () throws(EventFileError) in try cursor.next() }) {
      if let first = records.first(where: { $0.timestampMilliseconds.map { $0 >= milliseconds } ?? false }) {
        return first.offset
      }
    }
    return found
  }

  private func onArchive<Result>(_ body: () throws(EventFileError) -> Result) throws(LogError) -> Result {
    do throws(EventFileError) { return try body() } catch { throw LogError(.fatal, "\(error)") }
  }

  // MARK: The base's

  /// See `EventLogPort`. The logs of joins are not archived.
  public func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    try base.read(partition, cursor: cursor, from: offset, recordsMax: recordsMax)
  }

  /// See `EventLogPort`.
  public func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    try base.committed(partitions)
  }
  /// See `EventLogPort`.
  public func begin() throws(LogError) { try base.begin() }

  /// See `EventLogPort`.
  public func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    try base.send(topic: topic, partition: partition, key: key, value: value)
  }

  /// See `EventLogPort`.
  public func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool { try base.startCommit(offsets, changes) }

  /// See `EventLogPort`.
  public func finishCommit(waiting: Bool) throws(LogError) -> Bool { try base.finishCommit(waiting: waiting) }

  /// See `EventLogPort`.
  public func abort() throws(LogError) { try base.abort() }
  /// See `EventLogPort`.
  @discardableResult
  public func close(timeoutMilliseconds: Int) -> Bool { base.close(timeoutMilliseconds: timeoutMilliseconds) }
}

extension ArchivedEventLog where Base == KafkaLog {
  /// As `KafkaLog.lag`: what is still to be read of the archive, and of the topic behind it.
  public func lag(_ partition: TopicPartition) -> Int64? {
    let ahead = places[partition].map { $0.archived.next - $0.next } ?? 0
    return base.lag(partition).map { $0 + ahead }
  }
}
