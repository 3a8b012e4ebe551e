import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

/// What tasks send besides snapshots: forwarded records, dead letters and triggers. Each source's tasks are folded again, so what each
/// record causes is known.
extension Verifier {
  /// Adds what is there: the repartition topics, and the letters of this version.
  func collectOutputs(into ledger: OutputLedger) throws {
    for input in routing.inputs where input.isRepartitioned {
      let ends = try log.ends(of: input.topic)
      repartitions[input.topic] = Int32(ends.count)
      for (partition, end) in ends {
        try collect(partition, end) { record in
          if takeMark(record, partition, input) { return }
          addFound(record, partition, to: ledger)
        }
      }
    }
    for join in plan.joins {
      let ends = try log.ends(of: plan.sources[join.source].source.topic)
      if let topic = ends.first?.partition.topic { repartitions[topic] = Int32(ends.count) }
      for (partition, end) in ends {
        try collect(partition, end) { addFound($0, partition, to: ledger) }
      }
    }
    for (partition, end) in try log.ends(of: routing.deadLetterTopic) {
      try collect(partition, end) { addLetter($0, partition, to: ledger) }
    }
    guard isWatched else { return }
    let reader = TriggerReader()
    for (partition, end) in try log.ends(of: routing.triggerTopic) {
      try collect(partition, end) { addTrigger($0, partition, reader, to: ledger) }
    }
  }

  private func addFound(_ record: LogRecord, _ partition: TopicPartition, to ledger: OutputLedger) {
    guard share.contains(record.key.map(Array.init) ?? []) else { return }
    ledger.add(
      .found, topic: partition.topic, partition: partition.partition, key: record.key, value: record.value,
      place: partition, offset: record.offset)
  }

  private func addTrigger(
    _ record: LogRecord, _ partition: TopicPartition, _ reader: TriggerReader, to ledger: OutputLedger
  ) {
    guard let value = record.value, let trigger = reader.read(value) else {
      return report.add(
        Finding(
          subject: .trigger, view: "", entity: [], partition: partition, offset: record.offset,
          difference: "the record is of no trigger (here the position is the record's own)",
          cause: "another program wrote it"))
    }
    guard trigger.version == Int64(plan.version), isShared(record.key) else { return }
    ledger.add(
      .found, topic: partition.topic, partition: 0, key: record.key, value: value, place: partition,
      offset: record.offset)
  }

  /// Whether the entity of a `StateKey` is compared.
  private func isShared(_ key: UnsafeRawBufferPointer?) -> Bool {
    share.contains((key.map(Array.init) ?? []).drop { $0 != UInt8(ascii: ":") }.dropFirst())
  }

  /// Whether there are triggers: else their topic need not be there.
  private var isWatched: Bool { plan.views.contains { !$0.triggers.isEmpty } }

  private func collect(_ partition: TopicPartition, _ end: Int64, _ body: (LogRecord) -> Void) throws {
    progress("reading \(partition)")
    let first = try log.firstOffset(partition)
    guard first < end else { return }
    try log.read(partition, first..<end) { for record in $0 { body(record) } }
  }

  private func addLetter(_ record: LogRecord, _ partition: TopicPartition, to ledger: OutputLedger) {
    guard let value = record.value, var letter = try? Plumbline_DeadLetter(serializedBytes: Array(value))
    else {
      return report.add(
        Finding(
          subject: .deadLetter, view: "", entity: [], partition: partition, offset: record.offset,
          difference: "the record is no dead letter (here the position is the record's own)",
          cause: "another program wrote it"))
    }
    guard letter.version == Int64(plan.version) || letter.version == 0 else { return }
    // Letters once said no version.
    let side = letter.version == 0 ? OutputLedger.Side.foundUnversioned : .found
    letter.version = Int64(plan.version)
    Self.compared(letter).withUnsafeBytes {
      ledger.add(
        side, topic: partition.topic, partition: 0, key: record.key, value: $0, place: partition,
        offset: record.offset)
    }
  }

  /// The bytes by which letters are compared: without the message, which is for people, and which another release of the
  /// program may put in other words.
  private static func compared(_ letter: Plumbline_DeadLetter) -> [UInt8] {
    var letter = letter
    letter.message = ""
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    do {
      return try letter.serializedBytes(options: options)
    } catch { preconditionFailure("Cannot encode a letter that was decoded: \(error)") }
  }

  /// Adds what a record of a task causes.
  func add(_ due: TaskFold.Due, of task: VerifiedTask, _ side: OutputLedger.Side, to ledger: OutputLedger) {
    var partition: Int32 = 0
    if due.topic == routing.triggerTopic {
      guard isShared(due.key) else { return }
    } else if let count = repartitions[due.topic], let key = due.key {
      // Letters lie anywhere: many have no key.
      guard share.contains(key) else { return }
      partition = Murmur2.partition(key, count: count)
    }
    func add(_ value: UnsafeRawBufferPointer?) {
      ledger.add(
        side, topic: due.topic, partition: partition, key: due.key, value: value, place: task.partition,
        offset: due.offset)
    }
    guard due.topic == routing.deadLetterTopic, let bytes = due.value.map(Array.init),
      let letter = try? Plumbline_DeadLetter(serializedBytes: bytes)
    else { return add(due.value) }
    Self.compared(letter).withUnsafeBytes { add($0) }
  }

  /// Reports what doesn't balance.
  func settle(_ ledger: OutputLedger) throws {
    // Retention removes letters after a month, so that none is missed where some are gone.
    var incomplete: Set<String> = []
    for topic in [routing.deadLetterTopic] + (isWatched ? [routing.triggerTopic] : []) {
      let isWhole = try log.ends(of: topic).allSatisfy { try log.firstOffset($0.partition) == 0 }
      if !isWhole { incomplete.insert(topic) }
    }
    try ledger.settle { imbalance in
      let subject = subject(imbalance.topic)
      if imbalance.missing > 0, incomplete.contains(imbalance.topic) { return }
      // What is sent again after a crash.
      if subject != .forward, imbalance.isDue, !expectsEverySnapshot { return }
      report.add(finding(imbalance, subject))
    }
  }

  private func subject(_ topic: String) -> Finding.Subject {
    switch topic {
    case routing.deadLetterTopic: .deadLetter
    case routing.triggerTopic: .trigger
    default: .forward
    }
  }

  private func finding(_ imbalance: OutputLedger.Imbalance, _ subject: Finding.Subject) -> Finding {
    let (difference, cause): (String, String)
    if imbalance.missing > 0 {
      difference =
        switch subject {
        case .deadLetter: "the record can't be used, but \(imbalance.topic) has no letter of it"
        case .trigger: "the record makes a trigger fire, but \(imbalance.topic) has no record of that"
        default: "the record has to be forwarded to \(imbalance.topic), but is not there"
        }
      cause = "somebody deleted it, or the topic was created again"
    } else if imbalance.isDue {
      difference =
        switch subject {
        case .deadLetter: "there are more letters of a record than it calls for (\(-imbalance.missing))"
        case .trigger: "there are more records of a trigger than times that it fired (\(-imbalance.missing))"
        default:
          "there are more records like this than the source's are forwarded as (\(-imbalance.missing))"
        }
      cause = "another program wrote it"
    } else {
      difference =
        switch subject {
        case .deadLetter: "no record of a source calls for this letter"
        case .trigger: "no trigger fires with these values"
        default: "no record of the source is forwarded as this"
        }
      cause = "another program wrote it" + (subject == .forward ? "" : ", or the definitions were changed")
    }
    return Finding(
      subject: subject, view: "", entity: [], partition: imbalance.place,
      offset: imbalance.offset, difference: difference, cause: cause)
  }
}
