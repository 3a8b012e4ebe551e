import EventFiles
public import FeatureCore
public import OfflineStore
import Processor
import Synchronization

/// The event files of one source, in log order.
public struct SourceFiles: Sendable {
  /// Its index in the plan.
  public var source: Int
  /// Files, or folders of archived topics.
  public var paths: [String]

  /// Files from their parts.
  public init(source: Int, paths: [String]) {
    self.source = source
    self.paths = paths
  }
}

/// Hears how far some files are read.
public protocol FileProgress: Sendable {
  /// Of the file with an index some more records have been read; of its bytes so many, if it is known of how many.
  mutating func update(file: Int, records: Int, bytesRead: Int64, totalBytes: Int64?)
  /// Every file is read.
  func finish()
}

/// Event files as a join takes them: threads take turns in reading, and work on their blocks at the same time.
public struct EventFeed {
  private let plan: Plan
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// Files of a plan's sources.
  public init(_ plan: Plan, progress: @escaping (_ filesCount: Int) -> any FileProgress) {
    self.plan = plan
    makeProgress = progress
  }

  /// Adds every event; returns how many there were. An event's place is the count of those before it.
  public func add(_ files: [SourceFiles], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
    let plan = plan
    let all = try files.flatMap { file in
      try file.paths.flatMap(EventFile.all).map {
        EventBlocks.File(file: $0, source: file.source, schema: plan.sources[file.source].schema)
      }
    }
    let blocks = EventBlocks(all, letters, makeProgress(all.count))
    nonisolated(unsafe) let join = join
    let guesses = Mutex([UnitGuess](plan.sources.map { UnitGuess($0.source.timestamp.unit) }))
    // What has come before is told in the order of the log.
    let workers = plan.sources.contains { $0.source.duplicates != nil } ? 1 : join.workers
    try Threads.run(workers) { worker in
      do {
        let feed = join.feed(worker: worker, of: workers)
        var lines = LineCopies()
        while let block = try blocks.next(&lines) {
          let schema = plan.sources[block.source].schema
          var failures: [KeptLetter] = []
          let rows = try lines.withLines { lines throws(TableError) in
            try feed.add(lines, source: block.source, order: block.order) { line, failure in
              failures.append(
                KeptLetter(DeadLetter(failure, schema, line.bytes, sequence: line.number), path: block.path))
            }
          }
          try blocks.finish(block, failures, rows)
          if worker == 0 { for rows in blocks.takeRows() { try join.add(rows) } }
        }
        guesses.withLock { guesses in
          for source in guesses.indices {
            if let guess = feed.unitGuess(source: source) { guesses[source].note(guess) }
          }
        }
      } catch {
        blocks.stop()
        throw error
      }
    }
    for rows in blocks.takeRows() { try join.add(rows) }
    for (source, guess) in zip(plan.sources, guesses.withLock { $0 }) { try source.checkUnit(guess) }
    return blocks.recordCount
  }
}

extension SourcePlan {
  /// Refuses a source that lines of files can't be events of.
  public func requireLines() throws(ReplayError) {
    guard schema.needsRecord else { return }
    throw ReplayError(
      "Source '\(source.name)' reads timestamps, keys or headers of a topic's records, which event files don't have: read its "
        + "topic.")
  }

  /// Refuses event files whose times are all in another unit than the declared one.
  public func checkUnit(_ guess: UnitGuess) throws(TableError) {
    guard !source.timestamp.isAny, let problem = guess.problem else { return }
    throw TableError(
      path: "source '\(source.name)'", problem: problem,
      remedy:
        "correct the unit of '\(source.timestamp.field)', or say any_time: true if these times are meant")
  }
}

extension DeadLetter {
  /// Of an event that a join can't use.
  init(_ failure: EventFailure, _ schema: EventSchema, _ payload: UnsafeRawBufferPointer, sequence: Int64) {
    switch failure {
    case .oversized: self = .oversized(payload, sequence: sequence)
    case .undecodable(let failure): self.init(failure, schema, payload, sequence: sequence)
    case .unusable(let failure): self.init(failure, payload, sequence: sequence)
    }
  }
}

/// The blocks of event files, for several threads; their dead letters are written in the order of the files, and rows are handed
/// out in it.
private final class EventBlocks: Sendable {
  struct File {
    var file: EventFile
    var source: Int
    var schema: EventSchema
  }

  struct Block {
    var path: String
    var source: Int
    /// The place of its first event.
    var order: Int64
    /// Among all blocks.
    var number: Int
  }

  fileprivate struct Input: ~Copyable {
    let files: [File]
    var reader: EventFileReader?
    var file = 0
    var blocks = 0
    var records = 0
    var progress: any FileProgress
    var isStopped = false
  }

  private struct Output {
    let letters: DeadLetterFile
    /// The next block that is written, and what there is of later ones.
    var next = 0
    var waiting: [Int: (letters: [KeptLetter], rows: RowLines)] = [:]
    /// Rows to be handed out.
    var rows: [RowLines] = []
  }

  private let inputLock = Mutex(())
  /// Only under its lock.
  nonisolated(unsafe) private var input: Input
  private let outputLock = Mutex(())
  /// Only under its lock.
  nonisolated(unsafe) private var output: Output

  init(_ files: [File], _ letters: DeadLetterFile, _ progress: any FileProgress) {
    input = Input(files: files, reader: nil, progress: progress)
    output = Output(letters: letters)
  }

  var recordCount: Int { inputLock.withLock { _ in input.records } }

  /// Lets other threads end.
  func stop() { inputLock.withLock { _ in input.isStopped = true } }

  /// Reads the next block; nil behind the last.
  func next(_ lines: inout LineCopies) throws -> Block? {
    try inputLock.withLock { _ in try input.next(&lines) }
  }

  /// Takes the letters and rows of a block. Every block is finished once.
  func finish(_ block: Block, _ letters: [KeptLetter], _ rows: RowLines) throws(TableError) {
    try outputLock.withLock { (_) throws(TableError) in
      output.waiting[block.number] = (letters, rows)
      while let (letters, rows) = output.waiting.removeValue(forKey: output.next) {
        for letter in letters { try letter.append(to: output.letters) }
        if !rows.isEmpty { output.rows.append(rows) }
        output.next += 1
      }
    }
  }

  /// The rows of blocks before which every block is finished, and which were not handed out; in their order.
  func takeRows() -> [RowLines] {
    outputLock.withLock { _ in
      defer { output.rows = [] }
      return output.rows
    }
  }
}

extension EventBlocks.Input {
  mutating func next(_ lines: inout LineCopies) throws -> EventBlocks.Block? {
    while !isStopped, file < files.count {
      if reader == nil { reader = try EventFileReader(files[file].file, files[file].schema) }
      var count = 0
      if try reader?.next({ block in
        count = block.count
        lines.take(block)
      }) == true {
        progress.update(
          file: file, records: count, bytesRead: reader?.bytesRead ?? 0, totalBytes: reader?.totalBytes)
        defer {
          records += count
          blocks += 1
        }
        return EventBlocks.Block(
          path: files[file].file.path, source: files[file].source, order: Int64(records), number: blocks)
      }
      reader = nil
      file += 1
    }
    progress.finish()
    return nil
  }
}
