import EventFiles
import FeatureCore
import Foundation
import Processor
import Replay
import Simulation
import Testing
import TestSupport

/// What a simulated service has folded, whatever befell it, is folded once more from an archive and what is behind that, as
/// `plumb replay --into redis --archive` does it: every state is the service's, byte for byte.
@Suite struct ArchivedRunTests {
  @Test(arguments: 0..<4) func statesAreThoseOfTheService(_ share: UInt64) throws {
    let base = UInt64.random(in: 0 ... .max >> 3) + share << 61
    var tasks = 0
    for seed in base..<(base + 20) {
      let simulation = Simulation(seed: seed)
      try #require(simulation.run().violation == nil, "plumb simulate --seed \(seed) --trace")
      for (index, remains) in simulation.remains().enumerated()
      where remains.tasks.contains(where: \.isOfSource) {
        let replay = try ArchivedRun(remains, seed: seed ^ UInt64(index) << 1)
        try replay.run()
        #expect(replay.problems.isEmpty, "seed \(seed), version \(remains.plan.version)")
        if !replay.problems.isEmpty { return }
        tasks += remains.tasks.count
      }
    }
    #expect(tasks > 20, "from seed \(base)")
  }
}

/// A store that is filled once more.
private final class ArchivedRun {
  private let remains: Remains
  private let folder: TemporaryFolder
  private let store: MemoryStateStore
  private var random: SplitMix64
  private var base: MemoryEventLog
  private var archived: [TopicPartition: Int64] = [:]
  private var lows: [TopicPartition: Int64] = [:]
  private var now: Int64 = 0
  private(set) var problems: [String] = []

  private static let stepsMax = 50_000

  init(_ remains: Remains, seed: UInt64) throws {
    self.remains = remains
    random = SplitMix64(seed: seed)
    folder = try TemporaryFolder()
    store = MemoryStateStore(seed: random.next())
    base = MemoryEventLog(seed: random.next())
    // From where the log begins, and not from the first offset that there could be.
    for task in remains.tasks where task.first > 0 { store.tasks[task.name] = .init(position: task.first) }
    for task in remains.tasks { lows[task.partition] = task.first }
    // An archiver begins with each partition of a topic.
    for task in remains.tasks where task.isOfSource {
      for number in 0...task.partition.partition {
        _ = try writer(TopicPartition(task.partition.topic, number))
      }
    }
    for task in remains.tasks where pick(0...3) > 0 { try change(task) }
  }

  private func pick(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }

  // MARK: The log

  private func records(_ task: Remains.Task) -> [MemoryEventLog.Record] {
    task.records.map {
      MemoryEventLog.Record(
        offset: $0.offset, time: $0.timestampMilliseconds, key: $0.key, value: $0.value, headers: $0.headers)
    }
  }

  /// More of a source is archived, and retention deletes what is, or some of it.
  private func change(_ task: Remains.Task) throws {
    let end = archived[task.partition] ?? task.first
    guard task.isOfSource, task.committed > task.first else { return }
    if end < task.committed {
      let next = pick(0...1) == 0 ? task.committed : .random(in: (end + 1)...task.committed, using: &random)
      try writer(task.partition).archive(records(task), to: next, first: task.first, size: pick(1...20))
      archived[task.partition] = next
    }
    let low = Int64.random(in: (lows[task.partition] ?? 0)...(archived[task.partition] ?? 0), using: &random)
    lows[task.partition] = low
    base.partitions[task.partition]?.low = low
    base.partitions[task.partition]?.records.removeAll { $0.offset < low }
  }

  private func writer(_ name: TopicPartition) throws -> ArchiveWriter {
    try ArchiveWriter(
      folder: ArchivedPartition.folder(folder.url.path, topic: name.topic, partition: name.partition))
  }

  private func newBase() -> MemoryEventLog {
    let base = MemoryEventLog(seed: random.next())
    for task in remains.tasks {
      let low = lows[task.partition] ?? 0
      base.partitions[task.partition] = MemoryEventLog.Partition(
        records: records(task).filter { $0.offset >= low }, low: low, high: task.committed)
      base.ends[task.partition] = task.committed
    }
    base.assignments = [.assigned(remains.tasks.map(\.partition))]
    return base
  }

  // MARK: The worker

  private var limits: WorkerLimits {
    var limits = WorkerLimits()
    limits.pollRecordsMax = pick(1...20)
    limits.batchRecords = pick(1...7)
    limits.commitFoldsMax = pick(1...40)
    limits.commitIntervalMilliseconds = Int64(pick(1...300))
    limits.cachedStatesMax = [2, 3, 6, 100][pick(0...3)]
    limits.cachedBytesMax = [1_000, 1 << 30][pick(0...1)]
    limits.lookBackRecords = Int64(limits.pollRecordsMax)
    limits.hashSecret = random.next()
    return limits
  }

  private func newLoop() throws -> ProcessorLoop<ArchivedEventLog<MemoryEventLog>, MemoryStateStore> {
    base = newBase()
    return ProcessorLoop(
      remains.plan,
      log: ArchivedEventLog(base, try TopicArchive(folder: folder.url.path), ends: base.ends),
      store: store, limits: limits, partitions: remains.partitions, now: now)
  }

  private func tick() -> Int64 {
    now += Int64(pick(0...50))
    return now
  }

  /// Fills it; at first it is killed once or twice, or told to end, and goes on from where it was.
  func run() throws {
    for _ in 0..<pick(0...2) {
      let loop = try newLoop()
      var left = pick(0...60)
      if pick(0...1) == 0 {
        for _ in 0..<left { try loop.step(now: tick()) }
      } else {
        _ = try catchUp(loop) {
          left -= 1
          return left < 0
        }
      }
    }
    var steps = 0
    let isComplete = try catchUp(newLoop()) {
      steps += 1
      return steps > Self.stepsMax
    }
    if !isComplete { problems.append("not everything was folded in \(Self.stepsMax) steps") }
    for task in remains.tasks { compare(task) }
  }

  private func catchUp(
    _ loop: ProcessorLoop<ArchivedEventLog<MemoryEventLog>, MemoryStateStore>, _ isStopping: () -> Bool
  ) throws -> Bool {
    var failure: (any Error)?
    let isComplete = try loop.catchUp(
      remains.tasks.count, now: tick, isStopping: { failure != nil || isStopping() }
    ) {
      guard let task = remains.tasks.randomElement(using: &random) else { return }
      // A pause came too late for what was fetched.
      if base.partitions[task.partition]?.isPaused == true {
        base.partitions[task.partition]?.isFetched = pick(0...1) == 0
      }
      guard pick(0...9) == 0 else { return }
      do { try change(task) } catch { failure = error }
    }
    if let failure { throw failure }
    return isComplete
  }

  private func compare(_ task: Remains.Task) {
    let found = store.tasks[task.name]
    let name = "\(task.name) of \(task.partition)"
    if found?.position ?? task.first != task.committed || task.position ?? task.first != task.committed {
      problems.append(
        "\(name) is at \(String(describing: found?.position)), the service at \(String(describing: task.position)) of \(task.committed)"
      )
    }
    let states = (found?.states ?? [:]).mapValues(\.bytes)
    for key in Set(states.keys).union(task.states.keys) where states[key] != task.states[key] {
      problems.append("\(name) has another state of \(String(decoding: key, as: UTF8.self))")
    }
  }
}
