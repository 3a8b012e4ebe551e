import EventFiles
import FeatureCore
import OfflineStore
import Processor

/// Event files as a join takes them.
struct EventFeed {
  private let plan: Plan

  init(_ plan: Plan) { self.plan = plan }

  /// Adds every event; returns how many there were. An event's place is the count of those before it.
  func add(_ files: [EventArguments.Files], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
    let feed = join.feed()
    var records = 0
    for file in files {
      try readEvents(file.paths) { path, lines in
        for line in lines {
          try add(line, of: path, file.source, order: Int64(records), to: feed, letters)
          records += 1
        }
      }
    }
    return records
  }

  private func add(
    _ line: Line, of path: String, _ source: Int, order: Int64, to feed: JoinFeed, _ letters: DeadLetterFile
  ) throws(TableError) {
    guard !line.isOversized else {
      return try letters.append(.oversized(line.bytes, sequence: line.number), path: path)
    }
    var failures: [DeadLetter] = []
    try feed.add(line.bytes, source: source, order: order) {
      failures.append(DeadLetter($0, plan.sources[source].schema, line.bytes, sequence: line.number))
    }
    for failure in failures { try letters.append(failure, path: path) }
  }
}

extension DeadLetter {
  /// Of an event that a join can't use.
  init(_ failure: EventFailure, _ schema: EventSchema, _ payload: UnsafeRawBufferPointer, sequence: Int64) {
    switch failure {
    case .undecodable(let failure): self.init(failure, schema, payload, sequence: sequence)
    case .unusable(let failure): self.init(failure, payload, sequence: sequence)
    }
  }
}
