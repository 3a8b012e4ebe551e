import EventFiles
import EventLog
public import Processor

/// A place in topics.
public enum ReplayPlace: Hashable, Sendable {
  /// At the first record that there is.
  case beginning
  /// Behind the last committed record that there is.
  case end
  /// Where the states in the store are.
  case store
  /// At the service's committed offsets.
  case offsets
  /// At an offset of each partition.
  case named([TopicPartition: Int64])
  /// At the first record with this Kafka timestamp, in milliseconds since the epoch, or a later one.
  case time(milliseconds: Int64)
}

/// What topics and their archive hold, and where places are in them.
public struct ReplayTopics {
  /// Of each partition: the first offset that can be read, and the one behind the last committed record.
  public let bounds: [TopicPartition: ClosedRange<Int64>]
  private let reader: TopicReader
  private let service: ReplayLog
  private let archive: TopicArchive?

  /// Looks at some topics.
  public init(_ environment: ReplayEnvironment, _ topics: [String]) throws {
    reader = try TopicReader(environment.kafka, report: environment.report)
    service = try ReplayLog(environment.kafka, ends: [:], report: environment.report)
    archive = environment.archive
    var bounds: [TopicPartition: ClosedRange<Int64>] = [:]
    for range in try reader.ranges(of: topics, from: .beginning) {
      let end = range.to ?? range.from
      let archived = try archive?.partition(range.partition)
      if let archived {
        try TopicArchive.checkJoint(
          archived.folder, range.partition, archived.next, begins: range.from, ends: end)
      }
      bounds[range.partition] = min(range.from, archived?.first ?? .max)...end
    }
    self.bounds = bounds
  }

  /// The offset of a place in each partition. Throws if it is none of theirs.
  public func offsets(_ place: ReplayPlace) throws -> [TopicPartition: Int64] {
    switch place {
    case .beginning, .store: bounds.mapValues(\.lowerBound)
    case .end: bounds.mapValues(\.upperBound)
    case .offsets: try committed()
    case .named(let named): try checked(named)
    case .time(let milliseconds): try offsets(at: milliseconds)
    }
  }

  private func committed() throws -> [TopicPartition: Int64] {
    let partitions = bounds.keys.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    var offsets: [TopicPartition: Int64] = [:]
    for (partition, offset) in zip(partitions, try service.groupOffsets(partitions)) {
      // Of a partition without records nothing was ever committed.
      offsets[partition] = offset ?? bounds[partition]?.lowerBound
    }
    return offsets
  }

  private func checked(_ named: [TopicPartition: Int64]) throws -> [TopicPartition: Int64] {
    for (partition, offset) in named where bounds[partition]?.contains(offset) != true {
      let there =
        bounds[partition].map { "it has \($0.lowerBound) to \($0.upperBound)" } ?? "it is not read here"
      throw ReplayError("There is no offset \(offset) of \(partition): \(there).")
    }
    let missing = Set(bounds.keys).subtracting(named.keys).map(\.description).sorted()
    guard missing.isEmpty else {
      throw ReplayError(
        "An offset of each partition is needed; missing: \(missing.joined(separator: ", ")).")
    }
    return named
  }

  private func offsets(at milliseconds: Int64) throws -> [TopicPartition: Int64] {
    let topics = Set(bounds.keys.map(\.topic)).sorted()
    var offsets: [TopicPartition: Int64] = [:]
    for range in try reader.ranges(of: topics, from: .time(milliseconds: milliseconds)) {
      let archived = try archive?.partition(range.partition)
      offsets[range.partition] = try archived?.firstOffset(since: milliseconds) ?? range.from
    }
    return offsets
  }
}

extension ArchivedPartition {
  /// The offset of the first record with a Kafka timestamp, in milliseconds, or a later one; nil if there is none.
  fileprivate func firstOffset(since milliseconds: Int64) throws -> Int64? {
    let cursor = cursor(first..<next, checksFirst: false)
    while let records = try cursor.next() {
      if let found = records.first(where: { $0.timestampMilliseconds ?? .min >= milliseconds }) {
        return found.offset
      }
    }
    return nil
  }
}
