public import EventLog
public import FeatureCore
public import OfflineStore
import Processor

/// Where the events of a join come from: files, or else topics, as long as they are now.
public struct EventsOfJoin {
  let plan: Plan
  let options: KafkaOptions
  let report: @Sendable (KafkaSeverity, String) -> Void
  private let files: [SourceFiles]
  private let archive: String?
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// Without files the topics are read, from an archive's folder as far as that reaches. `report` hears what the client library
  /// says, from any thread.
  public init(
    _ plan: Plan, files: [SourceFiles], archive: String?, _ options: KafkaOptions,
    progress: @escaping (_ filesCount: Int) -> any FileProgress,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) {
    self.plan = plan
    self.files = files
    self.archive = archive
    self.options = options
    makeProgress = progress
    self.report = report
  }

  /// Adds the events of some sources. Returns how many there were.
  public func add(_ sources: [Int], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
    guard files.isEmpty else {
      for source in sources where !files.contains(where: { $0.source == source }) {
        let name = plan.sources[source].source.name
        throw ReplayError("There are no events of source '\(name)': add --events \(name)=FILE.")
      }
      return try EventFeed(plan, progress: makeProgress).add(files, to: join, letters)
    }
    let feed = try topics()
    try feed.noteLost(sources, to: join)
    return try feed.add(sources, to: join, letters)
  }

  /// The topics, whether there are files or not.
  func topics() throws -> TopicFeed {
    let topics = TopicLog(options, report: report)
    return TopicFeed(plan, ArchivedLog(try archive.map(TopicArchive.init), topics: topics))
  }
}
