import EventFiles
import FeatureCore
import Foundation
import Processor
import Replay
import Testing
import TestSupport

/// A worker that reads archives and what is behind them sees one log, whatever it does in between and whatever is archived and deleted
/// meanwhile.
@Suite struct ArchivedEventLogTests {
  private static let topic = "clicks"

  @Test(arguments: 0..<4) func oneLogIsRead(_ share: UInt64) throws {
    let base = UInt64.random(in: 0 ... .max >> 1)
    for seed in base..<(base + 8) {
      let world = try World(seed: seed &+ share << 32)
      try world.run()
      #expect(world.problems.isEmpty, "seed \(seed &+ share << 32): \(world.problems.prefix(3))")
      if !world.problems.isEmpty { return }
    }
  }

  /// A gap between both is told, and so is a topic that was made anew.
  @Test func logsThatDoNotMeetAreRefused() throws {
    let world = try World(seed: 1)
    let name = TopicPartition(Self.topic, 0)
    try world.append(name, 60)
    try world.archive(name)
    let archived = try #require(world.archived[name])
    world.base.partitions[name]?.low = archived + 5
    world.base.partitions[name]?.high = archived + 50
    #expect(throws: LogError.self) { try world.newLog().watermarks(name) }
    world.base.partitions[name]?.low = 0
    world.base.partitions[name]?.high = archived - 1
    #expect(throws: LogError.self) { try world.newLog().watermarks(name) }
    world.base.partitions[name]?.high = archived
    #expect(try world.newLog().watermarks(name) == (0, archived))
  }

  /// A mark of a transaction is where the topic begins now: what was archived before it is not older for that.
  @Test func timesAreFoundBeforeAMark() throws {
    let world = try World(seed: 1)
    let name = TopicPartition(Self.topic, 0)
    let records = [0, 1, 2, 4].map {
      MemoryEventLog.Record(offset: $0, time: 1_000 + 10 * $0, key: nil, value: Array("{}".utf8))
    }
    try world.begin(name, records, archivedTo: 4, low: 3)
    let log = try world.newLog()
    #expect(try log.watermarks(name) == (0, 5))
    #expect(try log.firstOffset(of: name, since: 1_005) == 1)
    #expect(try log.firstOffset(of: name, since: 0) == 0)
    #expect(try log.firstOffset(of: name, since: 1_030) == 4)
    #expect(try log.firstOffset(of: name, since: 1_041) == nil)
  }

  /// Topics, their archive, and a worker that reads both.
  private final class World {
    let base: MemoryEventLog
    private var random: SplitMix64
    private let folder: TemporaryFolder
    private let names: [TopicPartition]
    /// Everything that was ever in a topic.
    private var written: [TopicPartition: [MemoryEventLog.Record]] = [:]
    private(set) var archived: [TopicPartition: Int64] = [:]
    private var places: [TopicPartition: Reading] = [:]
    private var ends: [TopicPartition: Int64] = [:]
    private var isLast = false
    private(set) var problems: [String] = []

    /// What the worker has of a partition: every record below this offset since it went there.
    private struct Reading {
      var next: Int64
      var isPaused = false
    }

    init(seed: UInt64) throws {
      random = SplitMix64(seed: seed)
      base = MemoryEventLog(seed: random.next())
      folder = try TemporaryFolder()
      names = (0..<3).map { TopicPartition(ArchivedEventLogTests.topic, $0) }
      for name in names { base.partitions[name] = .init() }
    }

    func newLog() throws -> ArchivedEventLog<MemoryEventLog> {
      ArchivedEventLog(base, try TopicArchive(folder: folder.url.path), ends: ends)
    }

    private func pick(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }

    // MARK: What happens to the topics

    func append(_ name: TopicPartition, _ count: Int) throws {
      guard var partition = base.partitions[name] else { return }
      for _ in 0..<count {
        // Marks of transactions take offsets.
        let offset = partition.high + (pick(0...5) == 0 ? Int64(pick(1...3)) : 0)
        func bytes() -> [UInt8]? {
          pick(0...5) == 0 ? nil : (0..<pick(0...12)).map { _ in UInt8(pick(0...255)) }
        }
        let record = MemoryEventLog.Record(
          offset: offset, time: pick(0...9) == 0 ? nil : 1_000 + offset / 3 * 10,
          key: bytes(), value: pick(0...1) == 0 ? bytes() : Array(#"{"n":\#(offset)}"#.utf8))
        partition.records.append(record)
        written[name, default: []].append(record)
        partition.high = offset + 1
      }
      if pick(0...2) == 0 { partition.high += Int64(pick(1...2)) }
      base.partitions[name] = partition
    }

    /// A partition with these records, of which the topic has those from `low` on.
    func begin(
      _ name: TopicPartition, _ records: [MemoryEventLog.Record], archivedTo end: Int64, low: Int64
    ) throws {
      written[name] = records
      base.partitions[name]?.high = (records.last?.offset ?? -1) + 1
      try archive(name, to: end)
      base.partitions[name]?.low = low
      base.partitions[name]?.records = records.filter { $0.offset >= low }
    }

    /// As `plumb archive` does: whole segments, up to some offset.
    func archive(_ name: TopicPartition, to wanted: Int64? = nil) throws {
      guard let partition = base.partitions[name], partition.high > archived[name] ?? 0 else { return }
      let writer = try ArchiveWriter(
        folder: ArchivedPartition.folder(folder.url.path, topic: name.topic, partition: name.partition))
      let first = archived[name] ?? 0
      let end =
        wanted
        ?? (pick(0...1) == 0
          ? partition.high : Int64.random(in: (first + 1)...partition.high, using: &random))
      try writer.archive(written[name] ?? [], to: end, first: 0, size: pick(3...20))
      archived[name] = end
    }

    /// Retention deletes what is archived, at the most.
    private func retain(_ name: TopicPartition) {
      guard let end = archived[name], var partition = base.partitions[name], partition.low <= end else {
        return
      }
      partition.low = Int64.random(in: partition.low...end, using: &random)
      partition.records.removeAll { $0.offset < partition.low }
      base.partitions[name] = partition
    }

    // MARK: What the worker does

    /// As a worker at its start, and when an offset is gone: it looks at the log, and goes to an offset of it.
    private func start(_ log: ArchivedEventLog<MemoryEventLog>, _ name: TopicPartition) throws {
      let (low, high) = try log.watermarks(name)
      if low != 0 { problems.append("\(name) begins at \(low)") }
      if pick(0...2) == 0 { try checkTimes(log, name, high) }
      let offset = Int64.random(in: low...max(low, min(high, ends[name] ?? .max)), using: &random)
      try log.assign([(name, offset)])
      if offset < archived[name] ?? 0 { base.partitions[name]?.isFetched = pick(0...1) == 0 }
      places[name] = Reading(next: offset)
    }

    private func checkTimes(
      _ log: ArchivedEventLog<MemoryEventLog>, _ name: TopicPartition, _ high: Int64
    ) throws {
      let time = 1_000 + Int64(pick(-50...Int(high) * 10 + 100))
      let first = (written[name] ?? []).first { $0.time.map { $0 >= time } ?? false }?.offset
      let found = try log.firstOffset(of: name, since: time)
      // It may be earlier, never later.
      if let first, found == nil || found! > first {
        problems.append("\(name): \(String(describing: found)) for time \(time), first is \(first)")
      }
    }

    private func step(_ log: ArchivedEventLog<MemoryEventLog>) throws {
      let name = names[pick(0...2)]
      let reading = places[name]
      switch pick(0...19) {
      case 0 where !isLast: try append(name, pick(1...12))
      case 1 where !isLast: try archive(name)
      case 2 where !isLast: retain(name)
      case 3:
        if reading == nil { try start(log, name) }
      case 4:
        guard reading != nil, pick(0...3) == 0 else { return }
        try log.unassign([name])
        places[name] = nil
      case 5:
        guard reading != nil else { return }
        base.partitions[name]?.isFetched = false
        try log.pause([name])
        places[name]?.isPaused = true
      case 6, 7:
        guard reading?.isPaused == true else { return }
        try log.resume([name])
        places[name]?.isPaused = false
      case 8:
        guard let reading else { return }
        // As after an abort: to where it was before, or to where it is.
        let offset = pick(0...1) == 0 ? reading.next : Int64.random(in: 0...reading.next, using: &random)
        try log.seek(name, to: offset)
        places[name]?.next = offset
      default: try poll(log)
      }
    }

    private func poll(_ log: ArchivedEventLog<MemoryEventLog>) throws {
      let poll: LogPoll
      do throws(LogError) {
        poll = try log.poll(recordsMax: pick(1...20), timeoutMilliseconds: 0)
      } catch {
        guard case .outOfRange(let name) = error.remedy, let reading = places[name] else { throw error }
        // Retention was faster; the archive has it.
        _ = try log.watermarks(name)
        return try log.seek(name, to: reading.next)
      }
      for record in poll.records {
        let name = poll.partitions[record.partition]
        guard let reading = places[name], !reading.isPaused else {
          problems.append("a record of \(name), which isn't read")
          continue
        }
        let found = MemoryEventLog.Record(
          offset: record.offset, time: record.timestampMilliseconds, key: record.key.map(Array.init),
          value: record.value.map(Array.init))
        let expected = next(name, from: reading.next)
        if found != expected {
          problems.append("\(name): \(found) instead of \(String(describing: expected))")
        }
        places[name]?.next = record.offset + 1
      }
      for (name, end) in poll.ends {
        guard let reading = places[name] else {
          problems.append("an end of \(name), which isn't read")
          continue
        }
        if let left = next(name, from: reading.next), left.offset < end {
          problems.append("\(name) is said to be read to \(end), and \(left.offset) was not")
        }
        places[name]?.next = max(reading.next, end)
      }
    }

    /// The first record from an offset on.
    private func next(_ name: TopicPartition, from offset: Int64) -> MemoryEventLog.Record? {
      (written[name] ?? []).first { $0.offset >= offset && $0.offset < ends[name] ?? .max }
    }

    func run() throws {
      for name in names {
        try append(name, pick(0...60))
        // Partition 0 is always archived: without any the folder is no archive.
        if name.partition == 0 { try append(name, 1) }
        if name.partition == 0 || pick(0...3) > 0 { try archive(name) }
        if pick(0...1) == 0 { retain(name) }
        // A replay ends somewhere in the archive; the topics' own ends are the base's matter.
        if let end = archived[name], pick(0...3) == 0 {
          ends[name] = Int64.random(in: 0...end, using: &random)
        }
      }
      base.ends = ends
      let log = try newLog()
      for name in names where pick(0...4) > 0 && ends[name] == nil { try start(log, name) }
      for name in names where ends[name] != nil {
        _ = try log.watermarks(name)
        try log.assign([(name, 0)])
        places[name] = Reading(next: 0)
      }
      for _ in 0..<400 where problems.isEmpty {
        try step(log)
      }
      // Nothing more happens: everything that is left is read.
      isLast = true
      for name in names {
        if places[name] == nil { try start(log, name) }
        if places[name]?.isPaused == true { try log.resume([name]) }
        places[name]?.isPaused = false
      }
      for _ in 0..<10_000 where problems.isEmpty && names.contains(where: isLeft) { try poll(log) }
      for name in names where isLeft(name) {
        problems.append("\(name) is never read further than \(places[name]?.next ?? -1)")
      }
    }

    private func isLeft(_ name: TopicPartition) -> Bool {
      guard let reading = places[name] else { return false }
      return reading.next < min(base.partitions[name]?.high ?? 0, ends[name] ?? .max)
    }
  }
}
