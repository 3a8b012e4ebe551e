import ArgumentParser
import FeatureCore
import OfflineStore
import Processor
import Replay

/// `plumb replay --triggers`: writes the triggers that would have fired, as the service writes them.
struct TriggerReplay {
  private let plan: Plan
  private let views: [ViewPlan]

  init(_ plan: Plan, _ selection: Selection) throws(ValidationError) {
    self.plan = plan
    views = selection.views.filter { !$0.triggers.isEmpty }
    guard views.isEmpty else { return }
    let names = selection.views.map(\.name).joined(separator: ", ")
    throw ValidationError("No trigger is declared in \(names): add 'triggers' to a view.")
  }

  // MARK: Event files

  /// Folds event files.
  func run(
    _ paths: [String], of source: SourcePlan, out: String, letters: DeadLetterFile
  ) throws -> String {
    try source.requireLines()
    let lines = try TriggerLines(plan, out)
    let sink = DeadLetterSink()
    let processor = BatchProcessor(
      source, views: views, hashSecret: .random(in: .min ... .max), deadLetter: sink.collect)
    processor.onFiring = lines.add
    try DecodedFiles(source, progress: Progress.init).forEach(paths) { events in
      processor.fold(
        events.batch, records: events.count, failures: events.failures, payload: events.payload)
      try sink.drain(into: letters, path: events.path)
      try lines.flush()
    }
    try source.checkUnit(processor.unitGuess)
    try letters.finish()
    return "\(counted(processor.counts.records, "event")), \(lines.summary); \(letters.summary)"
  }

  // MARK: Topics

  /// Folds ranges of the topics that the views fold from, one partition after the other, from nothing.
  func run(
    _ environment: ReplayEnvironment, from: ReplayPlace, until: ReplayPlace, out: String
  ) throws -> String {
    let lines = try TriggerLines(plan, out)
    let records = try TriggerRange(plan, views, environment)
      .run(from: from, until: until, onDue: { lines.add($0) }, afterSome: { try lines.flush() })
    return "\(counted(records, "record")), \(lines.summary)"
  }
}

/// Records of triggers as lines of a file.
private final class TriggerLines {
  private let writer: TriggerWriter
  private var output: LineOutput
  private var count = 0

  init(_ plan: Plan, _ path: String) throws(TableError) {
    let output = try LineOutput(path: path)
    writer = TriggerWriter(plan)
    self.output = output
  }

  func add(_ view: ViewPlan, _ firing: Firing) {
    var value: [UInt8] = []
    writer.append(firing, of: view, at: nil, to: &value)
    value.withUnsafeBytes(add)
  }

  func add(_ value: UnsafeRawBufferPointer) {
    output.buffer += value
    output.buffer.append(UInt8(ascii: "\n"))
    count += 1
  }

  func flush() throws {
    guard try output.flush(unless: { _ in false }) else { throw ExitCode.success }
  }

  var summary: String { counted(count, "trigger fired", "triggers fired") }
}
