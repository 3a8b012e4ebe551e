public import FeatureCore

/// Decides which records of an input can be used by any view. It knows the log and the definitions alone, so whoever
/// folds a log decides the same.
public struct RecordJudge {
  private let source: SourcePlan
  private let isRepartitioned: Bool
  /// Whether the values hold more of the records than their values.
  private let isForwarded: Bool
  /// The entity that the records of a repartition topic are keyed by.
  private let entity: [EntityColumn]
  private let arena = TextArena()

  /// A judge of the records of an input.
  public init(_ plan: Plan, _ input: Routing.Input) {
    source = plan.sources[input.source]
    isRepartitioned = input.isRepartitioned
    isForwarded = input.isRepartitioned && source.schema.forwardsRecord
    entity = input.views.first.map { plan.views[$0].entity } ?? []
  }

  /// A judge of the records of a source's topic.
  public init(_ source: SourcePlan) {
    self.source = source
    isRepartitioned = false
    isForwarded = false
    entity = []
  }

  /// Replaces the content of a batch by the records that can be used, with their indices as sequences. Returns the
  /// others' dead letters. The records of `leftOut`, by index, are passed over.
  public func decode(
    _ records: UnsafeBufferPointer<LogRecord>, into batch: EventBatch, leavingOut leftOut: Set<Int> = []
  ) -> [(record: Int, letter: DeadLetter)] {
    batch.removeAll()
    var letters: [(record: Int, letter: DeadLetter)] = []
    for (index, record) in records.enumerated() where leftOut.isEmpty || !leftOut.contains(index) {
      var payload = record.payload
      var fields = RecordFields(
        timestampMilliseconds: record.timestampMilliseconds, key: record.key, headers: record.headers)
      if isForwarded {
        // What the source's task has written can be read.
        guard let forwarded = ForwardedRecord(payload) else { continue }
        (payload, fields) = (forwarded.payload, forwarded.fields)
      }
      let first = batch.count
      do throws(DecodeFailure) {
        try batch.append(payload, sequence: Int64(index), record: fields) {
          // The source's task has sent this one.
          if isRepartitioned { return }
          letters.append((index, DeadLetter($0, source.schema, payload, sequence: Int64(index))))
        }
      } catch {
        letters.append((index, DeadLetter(error, source.schema, payload, sequence: Int64(index))))
        continue
      }
      if isRepartitioned {
        guard source.schema.each != nil else { continue }
        removeStrangers(batch, from: first, record)
        // Those that the source's task has refused, which it has told.
        guard source.schema.hasElementTimes else { continue }
        batch.removeRows(from: first) { !refuses(batch.time($0), fields) }
        continue
      }
      batch.removeRows(from: first) { row in
        let time = batch.time(row)
        guard let letter = ahead(record, time, payload, index) ?? wrongUnit(record, time, payload, index)
        else {
          return true
        }
        letters.append((index, letter))
        return false
      }
    }
    return letters
  }

  /// Whether an event is none by the time of its record, as its source's task decides.
  func refuses(_ time: Int64, _ fields: RecordFields) -> Bool {
    let record = LogRecord(
      partition: 0, offset: 0, timestampMilliseconds: fields.timestampMilliseconds, key: nil, value: nil)
    return ahead(record, time, record.payload, 0) != nil || wrongUnit(record, time, record.payload, 0) != nil
  }

  /// Of a forwarded record only the elements count whose entity it was forwarded for.
  private func removeStrangers(_ batch: EventBatch, from first: Int, _ record: LogRecord) {
    batch.removeRows(from: first) { row in
      arena.reset()
      guard let key = record.key, let own = try? EntityKey.make(batch.row(row), entity, arena: arena) else {
        return false
      }
      return own.elementsEqual(key)
    }
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
        // It is left out as a whole.
        if letters.last?.record == record { break }
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

  /// An event time of January 1970 that would be near the record's own in a larger unit.
  private func wrongUnit(
    _ record: LogRecord, _ time: Int64, _ payload: UnsafeRawBufferPointer, _ index: Int
  ) -> DeadLetter? {
    let timestamp = source.source.timestamp
    guard !timestamp.isAny, let milliseconds = record.timestampMilliseconds,
      let recordTime = EventTime(milliseconds, .milliseconds)?.microseconds,
      let fitting = UnitGuess.fitting(time, timestamp.unit, recordTime: recordTime)
    else { return nil }
    return DeadLetter(
      sequence: Int64(index), reason: "wrong_unit", view: nil,
      message:
        "the event time is \(RFC3339.format(EventTime(microseconds: time))); read in \(fitting.unit.rawValue) instead of "
        + "\(timestamp.unit.rawValue) it would be \(RFC3339.format(EventTime(microseconds: fitting.time))), near the record's "
        + "timestamp: correct the unit of '\(timestamp.field)', or say \"any_time: true\" if it is meant",
      payload: payload)
  }

  /// An event time later than the record's own by more than the source allows. Records that came through a
  /// repartition topic were judged by their first timestamp.
  private func ahead(
    _ record: LogRecord, _ time: Int64, _ payload: UnsafeRawBufferPointer, _ index: Int
  ) -> DeadLetter? {
    guard let timestamp = record.timestampMilliseconds else { return nil }
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
