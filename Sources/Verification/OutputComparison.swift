import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

/// What tasks send besides snapshots: forwarded records and dead letters. Each source's tasks are folded again, so what each
/// record causes is known.
extension Verifier {
  /// Adds what is there: the repartition topics, and the letters of this version.
  func collectOutputs(into ledger: OutputLedger) throws {
    for input in routing.inputs where input.isRepartitioned {
      let ends = try log.ends(of: input.topic)
      repartitions[input.topic] = Int32(ends.count)
      for (partition, end) in ends {
        try collect(partition, end) { record in
          guard share.contains(record.key.map(Array.init) ?? []) else { return }
          ledger.add(
            .found, topic: partition.topic, partition: partition.partition, key: record.key,
            value: record.value, place: partition, offset: record.offset)
        }
      }
    }
    for (partition, end) in try log.ends(of: routing.deadLetterTopic) {
      try collect(partition, end) { addLetter($0, partition, to: ledger) }
    }
  }

  private func collect(_ partition: TopicPartition, _ end: Int64, _ body: (LogRecord) -> Void) throws {
    progress("reading \(partition)")
    let first = try log.firstOffset(partition)
    guard first < end else { return }
    try log.read(partition, first..<end) { for record in $0 { body(record) } }
  }

  private func addLetter(_ record: LogRecord, _ partition: TopicPartition, to ledger: OutputLedger) {
    var value = record.value.map(Array.init) ?? []
    guard let letter = try? Plumbline_DeadLetter(serializedBytes: value) else {
      return report.add(
        Finding(
          subject: .deadLetter, view: "", entity: [], partition: partition, offset: record.offset,
          difference: "the record is no dead letter (here the position is the record's own)",
          cause: "another program wrote it"))
    }
    guard letter.version == Int64(plan.version) || letter.version == 0 else { return }
    // Letters once said no version; it is their last field.
    if letter.version == 0 {
      var version = Plumbline_DeadLetter()
      version.version = Int64(plan.version)
      value += (try? version.serializedBytes()) ?? []
    }
    value.withUnsafeBytes {
      ledger.add(
        letter.version == 0 ? .foundUnversioned : .found, topic: partition.topic, partition: 0,
        key: record.key, value: $0, place: partition, offset: record.offset)
    }
  }

  /// Adds what a record of a task causes.
  func add(_ due: TaskFold.Due, of task: VerifiedTask, _ side: OutputLedger.Side, to ledger: OutputLedger) {
    var partition: Int32 = 0
    // Letters lie anywhere: many have no key.
    if let count = repartitions[due.topic], let key = due.key {
      guard share.contains(key) else { return }
      partition = Murmur2.partition(key, count: count)
    }
    ledger.add(
      side, topic: due.topic, partition: partition, key: due.key, value: due.value, place: task.partition,
      offset: due.offset)
  }

  /// Reports what doesn't balance.
  func settle(_ ledger: OutputLedger) throws {
    // Retention removes letters after a month, so that none is missed where some are gone.
    let keepsLetters = try log.ends(of: routing.deadLetterTopic).allSatisfy {
      try log.firstOffset($0.partition) == 0
    }
    try ledger.settle { imbalance in
      let isLetter = imbalance.topic == routing.deadLetterTopic
      if isLetter, imbalance.missing > 0, !keepsLetters { return }
      // What is sent again after a crash.
      if isLetter, imbalance.isDue, !expectsEverySnapshot { return }
      report.add(finding(imbalance, isLetter: isLetter))
    }
  }

  private func finding(_ imbalance: OutputLedger.Imbalance, isLetter: Bool) -> Finding {
    let (difference, cause): (String, String)
    if imbalance.missing > 0 {
      difference =
        isLetter
        ? "the record can't be used, but \(imbalance.topic) has no letter of it"
        : "the record has to be forwarded to \(imbalance.topic), but is not there"
      cause = "somebody deleted it, or the topic was created again"
    } else if imbalance.isDue {
      difference =
        isLetter
        ? "there are more letters of a record than it calls for (\(-imbalance.missing))"
        : "there are more records like this than the source's are forwarded as (\(-imbalance.missing))"
      cause = "another program wrote it"
    } else {
      difference =
        isLetter
        ? "no record of a source calls for this letter" : "no record of the source is forwarded as this"
      cause =
        isLetter ? "another program wrote it, or the definitions were changed" : "another program wrote it"
    }
    return Finding(
      subject: isLetter ? .deadLetter : .forward, view: "", entity: [], partition: imbalance.place,
      offset: imbalance.offset, difference: difference, cause: cause)
  }
}
