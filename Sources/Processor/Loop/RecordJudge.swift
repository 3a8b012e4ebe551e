public import FeatureCore

/// Decides which records of an input can be used by any view. It knows the log and the definitions alone, so whoever
/// folds a log decides the same.
public struct RecordJudge {
  private let source: SourcePlan
  private let isRepartitioned: Bool

  /// A judge of the records of an input.
  public init(_ plan: Plan, _ input: Routing.Input) {
    source = plan.sources[input.source]
    isRepartitioned = input.isRepartitioned
  }

  /// Replaces the content of a batch by the records that can be used, with their indices as sequences. Returns the
  /// others' dead letters. The records of `leftOut`, by index, are passed over.
  public func decode(
    _ records: UnsafeBufferPointer<LogRecord>, into batch: EventBatch, leavingOut leftOut: Set<Int> = []
  ) -> [(record: Int, letter: DeadLetter)] {
    batch.removeAll()
    var letters: [(record: Int, letter: DeadLetter)] = []
    for (index, record) in records.enumerated() where leftOut.isEmpty || !leftOut.contains(index) {
      let payload = record.payload
      do throws(DecodeFailure) {
        try batch.append(payload, sequence: Int64(index))
        if let letter = ahead(record, batch.time(batch.count - 1), payload, index) {
          batch.removeLast()
          letters.append((index, letter))
        }
      } catch {
        letters.append((index, DeadLetter(error, source.schema, payload, sequence: Int64(index))))
      }
    }
    return letters
  }

  /// The records of a batch that a view would fold although their key's place is another of the topic's `count`
  /// partitions: two tasks would each have a part of the entity's state, and readers would look for it elsewhere.
  public func misplaced(
    _ batch: EventBatch, _ records: UnsafeBufferPointer<LogRecord>, in partition: TopicPartition,
    of count: Int32, _ folds: [ViewFold]
  ) -> [(record: Int, letter: DeadLetter)] {
    var letters: [(record: Int, letter: DeadLetter)] = []
    for index in 0..<batch.count {
      let row = batch.row(index)
      for fold in folds {
        // What the view can't use is told when it is folded.
        guard let isTaken = try? fold.takes(row), isTaken, let key = try? fold.key(of: row) else { continue }
        let place = Murmur2.partition(key, count: count)
        if place == partition.partition { continue }
        let record = Int(batch.sequence(index))
        letters.append((record, letter(Text(key), at: place, not: partition, records[record], record)))
        break
      }
    }
    return letters
  }

  private func letter(
    _ key: Text, at place: Int32, not partition: TopicPartition, _ record: LogRecord, _ index: Int
  ) -> DeadLetter {
    DeadLetter(
      sequence: Int64(index), reason: DeadLetter.wrongPartition, view: nil,
      message:
        "the key '\(key)' belongs in partition \(place) of '\(partition.topic)', not in \(partition.partition); if the "
        + "topic's producers don't place keys by murmur2, say \"partitioner: unknown\" for the source "
        + "'\(source.source.name)'; if the topic has got more partitions, raise \"version:\"",
      payload: record.payload)
  }

  /// An event time later than the record's own by more than the source allows. Records that came through a
  /// repartition topic were judged by their first timestamp.
  private func ahead(
    _ record: LogRecord, _ time: Int64, _ payload: UnsafeRawBufferPointer, _ index: Int
  ) -> DeadLetter? {
    guard let timestamp = record.timestampMilliseconds, !isRepartitioned else { return nil }
    // A record's timestamp may be anything; what microseconds can't tell lies too far away to be compared.
    let (recordTime, isFar) = timestamp.multipliedReportingOverflow(by: 1_000)
    let (distance, isFarther) = time.subtractingReportingOverflow(recordTime)
    let ahead = isFar || isFarther ? (time > timestamp ? .max : .min) : distance
    guard ahead > source.source.maxAhead else { return nil }
    return DeadLetter(
      sequence: Int64(index), reason: DeadLetter.aheadOfRecord, view: nil,
      message:
        "the event time is \(ahead / 1_000_000) s later than the record's timestamp, more than max_ahead "
        + "(\(Duration.text(source.source.maxAhead))); check the producer's clock and the unit of the time",
      payload: payload)
  }
}
