import ArgumentParser
import FeatureCore
import OfflineStore
import Parquet
import Processor
import Replay

/// `plumb replay --features-at`: folds the files and writes every entity's features at a time.
struct FeaturesReplay {
  private let source: SourcePlan
  private let view: ViewPlan
  /// nil: the largest event time folded.
  private let time: EventTime?

  init(_ selection: Selection, at text: String) throws(ValidationError) {
    source = selection.source
    view = try selection.onlyView()
    time = try source.time(text)
  }

  func run(
    _ paths: [String], out: String, format: FeatureTableFormat, letters: DeadLetterFile
  ) throws -> String {
    try source.requireLines()
    var writer = try FeatureTable(path: out, format: format, columns: view.tableColumns())
    let sink = DeadLetterSink()
    let processor = BatchProcessor(
      source, views: [view], until: time ?? EventTime(microseconds: .max),
      hashSecret: .random(in: .min ... .max), deadLetter: sink.collect)
    try DecodedFiles(source, progress: Progress.init).forEach(paths) { events in
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
    let entities = counted(processor.entityCount(0), "entity", "entities")
    let duplicates = source.source.duplicates == nil ? "" : ", \(counted(counts.duplicates, "duplicate"))"
    return
      "\(counted(counts.records, "event")), \(entities), \(counts.late) late\(duplicates); \(letters.summary)"
  }
}

extension SourcePlan {
  /// A time as a command is told it; nil for `end`.
  func time(_ text: String) throws(ValidationError) -> EventTime? {
    if text == "end" { return nil }
    var text = text
    let unit = source.timestamp.unit
    let clock = schema.columns[schema.timeColumn].clock
    let parsed = text.withUTF8 { EventTime.parse(UnsafeRawBufferPointer($0), unit: unit, clock: clock) }
    guard let parsed else {
      throw ValidationError("'\(text)' is no time: write \(unit.textForms), or 'end'.")
    }
    return parsed
  }
}
