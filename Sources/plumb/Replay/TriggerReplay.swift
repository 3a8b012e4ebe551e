import ArgumentParser
import EventFiles
import EventLog
import FeatureCore
import OfflineStore
import Processor
import Replay
import Verification

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
    try readEvents(paths, source.schema) { path, records in
      for record in records {
        if record.isOversized {
          processor.addOversized(record.bytes, sequence: record.number)
        } else {
          processor.add(record.bytes, sequence: record.number)
        }
      }
      processor.flush()
      try sink.drain(into: letters, path: path)
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
    let (options, report) = (environment.kafka, environment.report)
    let counts = try TopicSurvey(plan, options, report: report).inputPartitions()
    let log = ArchivedLog(environment.archive, topics: TopicLog(options, report: report))
    let topic = Routing(plan).triggerTopic
    let watched = Set(views.map(\.name))
    var records = 0
    for input in Routing(plan).inputs
    where input.views.contains(where: { watched.contains(plan.views[$0].name) }) {
      let count = try counts.partitions(of: input, plan.views[input.views[0]])
      let topics = try ReplayTopics(environment, [input.topic])
      let (starts, ends) = (try topics.offsets(from), try topics.offsets(until))
      for partition in starts.keys.sorted(by: { $0.partition < $1.partition }) {
        let (start, end) = (starts[partition] ?? 0, ends[partition] ?? 0)
        guard start < end else { continue }
        let fold = TaskFold(plan, input, partition.partition, of: count, from: start)
        fold.onDue = { due in
          guard due.topic == topic, let key = due.key, let value = due.value else { return }
          let view = String(decoding: key.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
          if watched.contains(view) { lines.add(value) }
        }
        try log.read(partition, start..<end) { records in
          fold.fold(records)
          try lines.flush()
        }
        records += fold.records
      }
    }
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
