public import FeatureCore
public import OfflineStore
import Processor

/// What a verification of answers has compared, and found.
public struct ServedReport: Sendable {
  /// Records folded.
  public var records = 0
  /// What views said in answers, compared with a fold.
  public var answers = 0
  /// Rows whose derived columns were computed again.
  public var derived = 0
  /// Answers of other versions of the definitions, by version: left out.
  public var otherVersions: [Int64: Int] = [:]
  /// How many comparisons failed.
  public var failures = 0
  /// The first of them.
  public var findings: [Finding] = []

  mutating func add(_ finding: Finding) {
    failures += 1
    if findings.count < VerificationReport.findingsMax { findings.append(finding) }
  }
}

/// Folds the source log again, and computes every answer of the topic of answers anew: each value has to be the one that
/// was given, bit for bit.
///
/// Answers are sorted by the positions of their states, on disk where they don't fit; memory holds the states of one task
/// at a time. It works beside a running service.
public final class ServedVerifier<Log: VerifiedLog> {
  private let plan: Plan
  private let routing: Routing
  private let log: Log
  private let share: EntityShare
  private let resources: JoinResources
  private let progress: (String) -> Void
  private var report = ServedReport()

  /// A verification. `share` are the entities that are compared.
  public init(
    _ plan: Plan, log: Log, share: EntityShare = EntityShare(), resources: JoinResources = JoinResources(),
    progress: @escaping (String) -> Void
  ) {
    self.plan = plan
    routing = Routing(plan)
    self.log = log
    self.share = share
    self.resources = resources
    self.progress = progress
  }

  /// Compares everything. Throws what keeps it from comparing.
  public func run() throws -> ServedReport {
    report = ServedReport()
    let tasks = try routing.inputs.flatMap { input in
      let ends = try log.ends(of: input.topic)
      return ends.map { partition, end in VerifiedTask(input, partition, of: Int32(ends.count), cut: end) }
    }
    let (byPosition, byRow) = (DiskSort(resources), DiskSort(resources))
    try collect(tasks, byPosition, byRow)
    try compareViews(tasks, byPosition)
    try compareDerived(byRow)
    return report
  }

  // MARK: Reading

  private func collect(_ tasks: [VerifiedTask], _ byPosition: DiskSort, _ byRow: DiskSort) throws {
    let indices = Dictionary(uniqueKeysWithValues: tasks.enumerated().map { ($1.partition, UInt64($0)) })
    for (partition, end) in try log.ends(of: routing.servedTopic) {
      progress("reading \(partition)")
      let first = try log.firstOffset(partition)
      guard first < end else { continue }
      try log.read(partition, first..<end) { records in
        for record in records {
          guard let value = record.value else { continue }
          guard let served = ServedRecord(value) else {
            report.add(
              finding(
                key: record.key.map(Array.init) ?? [], at: partition, record.offset,
                "the record is no answer (here the position is the record's own)", "another program wrote it")
            )
            continue
          }
          try collect(served, value, indices, byPosition, byRow)
        }
      }
    }
  }

  private func collect(
    _ served: ServedRecord, _ bytes: UnsafeRawBufferPointer, _ tasks: [TopicPartition: UInt64],
    _ byPosition: DiskSort, _ byRow: DiskSort
  ) throws {
    guard served.version == Int64(plan.version) else {
      return report.otherVersions[served.version, default: 0] += 1
    }
    if !served.service.isEmpty {
      try byRow.add(Hash64.hash(served.requestID), UInt64(bitPattern: served.row), bytes)
    }
    guard !served.view.isEmpty, share.contains(served.entityKey) else { return }
    guard !served.topic.isEmpty else {
      // There was no state: it is the fold of nothing that answered.
      return compare(served, with: nil)
    }
    let place = TopicPartition(text(served.topic), Int32(truncatingIfNeeded: served.partition))
    guard let task = tasks[place] else {
      return report.add(
        finding(
          served, "no view folds from \(place)",
          "the definitions or the topics were changed without raising 'version'"))
    }
    try byPosition.add(task, UInt64(bitPattern: served.offset), bytes)
  }

  // MARK: Views

  private func compareViews(_ tasks: [VerifiedTask], _ answers: DiskSort) throws {
    var fold: (index: UInt64, fold: TaskFold)?
    while let (index, position, bytes) = try answers.next() {
      guard let served = ServedRecord(bytes) else { preconditionFailure("Cannot read an answer twice") }
      let task = tasks[Int(index)]
      if fold?.index != index {
        report.records += fold?.fold.records ?? 0
        fold = (index, try begin(task))
      }
      guard let fold = fold?.fold else { continue }
      guard position <= UInt64(task.cut ?? 0) else {
        report.add(
          finding(
            served, "the log ends at \(task.cut ?? 0)", "the topic was created anew, or the answer was forged"
          ))
        continue
      }
      let offset = Int64(position)
      if offset > fold.position { try log.read(task.partition, fold.position..<offset) { fold.fold($0) } }
      fold.skip(to: offset)
      compare(served, with: fold)
    }
    report.records += fold?.fold.records ?? 0
  }

  private func begin(_ task: VerifiedTask) throws -> TaskFold {
    progress("folding \(task.partition)")
    let first = try log.firstOffset(task.partition)
    guard first == 0 else {
      throw VerificationError(
        "\(task.partition) begins at offset \(first): the records before it are gone, so nothing can be folded from "
          + "the beginning; verify from an archive")
    }
    return TaskFold(plan, task.input, task.partition.partition, of: task.partitionCount, from: 0)
  }

  private func compare(_ served: ServedRecord, with fold: TaskFold?) {
    report.answers += 1
    let name = text(served.view)
    guard let view = plan.view(name) else {
      return report.add(finding(served, "there is no such view", "the definitions were changed"))
    }
    guard view.fingerprint == served.fingerprint, let values = served.values(view) else {
      return report.add(
        finding(
          served, "it was made by another definition of the view",
          "the definitions were changed without raising 'version'"))
    }
    let index = fold?.views.firstIndex { $0 === view }
    if fold != nil, index == nil {
      return report.add(finding(served, "the view does not fold from there", "the answer was forged"))
    }
    let state = index.flatMap { fold?.state($0, Array(served.entityKey)) }
    if let difference = difference(served, view, values, state) {
      report.add(
        finding(
          served, difference,
          "a record is missing from the log or was added to it, another program wrote to Redis, or the answer was forged"
        ))
    }
  }

  /// The first difference of what was answered from what a state says; nil if there is none.
  private func difference(
    _ served: ServedRecord, _ view: ViewPlan, _ values: [FeatureValue], _ state: State?
  ) -> String? {
    let asOf = state?.asOf ?? EventTime(microseconds: 0)
    guard asOf == served.asOf else {
      return "as_of is \(served.asOf.microseconds) us, but \(asOf.microseconds) us by folding the log"
    }
    var expected = view.evaluate(state, at: served.evaluatedAt)
    if let service = plan.service(text(served.service)),
      let read = service.reads.first(where: { plan.views[$0.view] === view })
    {
      expected = service.current(read, expected, served)
    }
    guard let index = values.indices.first(where: { !values[$0].isIdentical(to: expected[$0]) }) else {
      return nil
    }
    return
      "feature '\(view.features[index].name)' is \(Difference.json(values[index])), but "
      + "\(Difference.json(expected[index])) by folding the log"
  }

  // MARK: Derived columns

  private func compareDerived(_ rows: DiskSort) throws {
    var row: [[UInt8]] = []
    var place: (UInt64, UInt64)?
    while let (hash, number, bytes) = try rows.next() {
      if let place, place != (hash, number) {
        compareDerived(row)
        row = []
      }
      place = (hash, number)
      row.append(Array(bytes))
    }
    compareDerived(row)
  }

  /// Compares the derived columns of the rows of one hash and number: nearly always one row's.
  private func compareDerived(_ messages: [[UInt8]]) {
    var rest = messages[...]
    while let first = rest.first {
      let isOfFirst = { (message: [UInt8]) in Self.name(message) == Self.name(first) }
      withRecords(rest.filter(isOfFirst)) { compareDerived(row: $0) }
      rest = rest.filter { !isOfFirst($0) }[...]
    }
  }

  /// What tells rows apart: an id may have come twice, with another time.
  private static func name(_ message: [UInt8]) -> [[UInt8]] {
    message.withUnsafeBytes { bytes in
      guard let served = ServedRecord(bytes) else { return [] }
      return [
        Array(served.requestID), Array(served.service), Array("\(served.requestedAt.microseconds)".utf8),
      ]
    }
  }

  private func withRecords(_ messages: [[UInt8]], _ body: ([ServedRecord]) -> Void) {
    func add(_ index: Int, _ records: [ServedRecord]) {
      guard index < messages.count else { return body(records) }
      messages[index].withUnsafeBytes { bytes in
        if let served = ServedRecord(bytes) { add(index + 1, records + [served]) }
      }
    }
    add(0, [])
  }

  private func compareDerived(row: [ServedRecord]) {
    guard let computed = row.first(where: { $0.view.isEmpty }) else { return }
    guard let service = plan.service(text(computed.service)) else {
      return report.add(finding(computed, "there is no such service", "the definitions were changed"))
    }
    // What has been dropped can't be compared, and neither can what was made of it.
    guard row.count == service.records(of: computed) else { return }
    var features: [[FeatureValue]] = []
    for read in service.reads {
      let view = plan.views[read.view]
      guard let served = row.first(where: { view.name.utf8.elementsEqual($0.view) }) else {
        // The entity has a null in it.
        features.append(view.features.map { _ in .null })
        continue
      }
      // That it was made by another definition has been said.
      guard served.fingerprint == view.fingerprint, let values = served.values(view)
      else { return }
      features.append(values)
    }
    let columns = service.columns.enumerated().filter {
      if case .derived = $0.element.origin { true } else { false }
    }
    guard let inputs = computed.inputs(service.service.inputs.map { .scalar($0.type) }),
      let values = computed.values(columns.map(\.element.type))
    else {
      return report.add(
        finding(computed, "it was made by another definition of the service", "the service was changed since")
      )
    }
    report.derived += 1
    let expected = service.values(features: features, inputs: inputs, at: computed.requestedAt)
    for (value, column) in zip(values, columns) where !value.isIdentical(to: expected[column.offset]) {
      return report.add(
        finding(
          computed,
          "'\(column.element.name)' is \(Difference.json(value)), but \(Difference.json(expected[column.offset])) by "
            + "computing it again", "the service's expressions were changed since, or the answer was forged"))
    }
  }

  // MARK: Findings

  private func finding(_ served: ServedRecord, _ difference: String, _ cause: String) -> Finding {
    let view = served.view.isEmpty ? text(served.service) : text(served.view)
    return Finding(
      subject: .answer, view: view, entity: Array(served.entityKey),
      partition: TopicPartition(text(served.topic), Int32(truncatingIfNeeded: served.partition)),
      offset: served.offset,
      difference: "request \(text(served.requestID)), row \(served.row): \(difference)",
      cause: cause)
  }

  private func finding(
    key: [UInt8], at partition: TopicPartition, _ offset: Int64, _ difference: String, _ cause: String
  ) -> Finding {
    Finding(
      subject: .answer, view: "", entity: key, partition: partition, offset: offset, difference: difference,
      cause: cause)
  }

  private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
}
