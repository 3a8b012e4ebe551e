public import FeatureCore
public import OfflineStore
public import Processor

/// Folds event files, and writes every entity's features at a time: `plumb replay --features-at`.
public struct FeaturesReplay {
  private let source: SourcePlan
  private let view: ViewPlan
  private let time: EventTime?
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// A replay for a view of a source. Without a time it is the largest event time folded.
  public init(
    _ source: SourcePlan, _ view: ViewPlan, at time: EventTime?,
    progress: @escaping (_ filesCount: Int) -> any FileProgress
  ) {
    self.source = source
    self.view = view
    self.time = time
    makeProgress = progress
  }

  /// Returns what was folded, and how many entities have a row; the file is there if it does.
  public func run(
    _ paths: [String], out: String, format: FeatureTableFormat, letters: DeadLetterFile
  ) throws -> (counts: RunCounts, entities: Int) {
    try source.requireLines()
    var writer = try FeatureTable(path: out, format: format, columns: view.tableColumns())
    let sink = DeadLetterSink()
    let processor = BatchProcessor(
      source, views: [view], until: time ?? EventTime(microseconds: .max),
      hashSecret: .random(in: .min ... .max), deadLetter: sink.collect)
    try DecodedFiles(source, progress: makeProgress).forEach(paths) { events in
      processor.fold(
        events.batch, records: events.count, failures: events.failures, payload: events.payload)
      try sink.drain(into: letters, path: events.path)
    }
    try source.checkUnit(processor.unitGuess)
    let counts = processor.counts
    // Without any event there is no time to evaluate at, and no entity either.
    if let at = time ?? counts.asOf {
      try processor.forEachState(0) { key, state in
        guard let entity = EntityKey.values(of: key, view.entity) else {
          preconditionFailure("Cannot read a key that was made by this view")
        }
        try writer.write(entity + view.evaluate(state, at: at))
      }
    }
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try writer.finish()
    return (counts, processor.entityCount(0))
  }
}
