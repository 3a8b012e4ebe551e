import FeatureCore

/// Decides which records of an input can be used by any view. It knows the log and the definitions alone, so whoever
/// folds a log decides the same.
struct RecordJudge {
  private let source: SourcePlan
  private let isRepartitioned: Bool

  init(_ plan: Plan, _ input: Routing.Input) {
    source = plan.sources[input.source]
    isRepartitioned = input.isRepartitioned
  }

  /// Replaces the content of a batch by the records that can be used, with their indices as sequences. Returns the
  /// others' dead letters.
  func decode(
    _ records: UnsafeBufferPointer<LogRecord>, into batch: EventBatch
  ) -> [(record: Int, letter: DeadLetter)] {
    batch.removeAll()
    var letters: [(record: Int, letter: DeadLetter)] = []
    for (index, record) in records.enumerated() {
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

  /// An event time later than the record's own by more than the source allows. Records that came through a
  /// repartition topic were judged by their first timestamp.
  private func ahead(
    _ record: LogRecord, _ time: Int64, _ payload: UnsafeRawBufferPointer, _ index: Int
  ) -> DeadLetter? {
    guard let timestamp = record.timestampMilliseconds, !isRepartitioned else { return nil }
    let ahead = time - timestamp * 1000
    guard ahead > source.source.maxAhead else { return nil }
    return DeadLetter(
      sequence: Int64(index), reason: "ahead_of_record", view: nil,
      message:
        "the event time is \(ahead / 1_000_000) s later than the record's timestamp, more than max_ahead "
        + "(\(Duration.text(source.source.maxAhead))); check the producer's clock and the unit of the time",
      payload: payload)
  }
}
