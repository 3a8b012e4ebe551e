import ArgumentParser
import EventFiles
import EventLog
import FeatureCore
import Processor

/// A place in topics, as it is written.
enum ReplayPlace: Hashable, ExpressibleByArgument {
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

  init?(argument: String) {
    switch argument {
    case "beginning": self = .beginning
    case "end": self = .end
    case "store": self = .store
    case "offsets": self = .offsets
    default:
      if let named = Self.named(argument) {
        self = .named(named)
      } else if case .time(let milliseconds) = TailStart(argument: argument)?.start {
        self = .time(milliseconds: milliseconds)
      } else {
        return nil
      }
    }
  }

  /// From `clicks-0=100,clicks-1=250`; nil if the text is something else.
  private static func named(_ text: String) -> [TopicPartition: Int64]? {
    var offsets: [TopicPartition: Int64] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.lastIndex(of: "="), let offset = Int64(part[part.index(after: equals)...]),
        let dash = part[..<equals].lastIndex(of: "-"),
        let partition = Int32(part[part.index(after: dash)..<equals]), offset >= 0, partition >= 0,
        offsets.updateValue(offset, forKey: TopicPartition(String(part[..<dash]), partition)) == nil
      else { return nil }
    }
    return offsets
  }
}

/// What topics and their archive hold, and where places are in them.
struct ReplayTopics {
  /// Of each partition: the first offset that can be read, and the one behind the last committed record.
  let bounds: [TopicPartition: ClosedRange<Int64>]
  private let reader: TopicReader
  private let service: ReplayLog
  private let archive: TopicArchive?

  init(_ options: KafkaOptions, _ topics: [String], _ archive: TopicArchive?) throws {
    reader = try TopicReader(options, report: reportKafka)
    service = try ReplayLog(options, ends: [:], report: reportKafka)
    self.archive = archive
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
  func offsets(_ place: ReplayPlace) throws -> [TopicPartition: Int64] {
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
      throw ValidationError("There is no offset \(offset) of \(partition): \(there).")
    }
    let missing = Set(bounds.keys).subtracting(named.keys).map(\.description).sorted()
    guard missing.isEmpty else {
      throw ValidationError(
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
