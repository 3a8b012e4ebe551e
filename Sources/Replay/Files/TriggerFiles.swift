public import FeatureCore
import OfflineStore
import Processor

/// The triggers of some views that would have fired over event files.
public struct TriggerFiles {
  private let plan: Plan
  private let source: SourcePlan
  private let views: [ViewPlan]
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// Of some views of a source.
  public init(
    _ plan: Plan, _ source: SourcePlan, _ views: [ViewPlan],
    progress: @escaping (_ filesCount: Int) -> any FileProgress
  ) {
    self.plan = plan
    self.source = source
    self.views = views
    makeProgress = progress
  }

  /// Folds files. Calls with the value of each trigger's record, as the service writes it, and after some events, when the
  /// triggers of those have been told. Returns how many events were read.
  public func run(
    _ paths: [String], _ letters: DeadLetterFile, onDue: @escaping (UnsafeRawBufferPointer) -> Void,
    afterSome: () throws -> Void
  ) throws -> Int {
    try source.requireLines()
    let writer = TriggerWriter(plan)
    let sink = DeadLetterSink()
    let processor = BatchProcessor(
      source, views: views, hashSecret: .random(in: .min ... .max), deadLetter: sink.collect)
    processor.onFiring = { view, firing in
      var value: [UInt8] = []
      writer.append(firing, of: view, at: nil, to: &value)
      value.withUnsafeBytes(onDue)
    }
    try DecodedFiles(source, progress: makeProgress).forEach(paths) { events in
      processor.fold(
        events.batch, records: events.count, failures: events.failures, payload: events.payload)
      try sink.drain(into: letters, path: events.path)
      try afterSome()
    }
    try source.checkUnit(processor.unitGuess)
    try letters.finish()
    return processor.counts.records
  }
}
