public import Capture
public import EventLog
public import Processor

/// The log of a capture in Kafka: its rows, and a topic of how far each topic is captured.
public final class KafkaCaptureLog: CaptureLog {
  private let options: KafkaOptions
  private let progressTopic: String
  private let writer: TransactionWriter
  private let isStopping: () -> Bool
  private let report: @Sendable (KafkaSeverity, String) -> Void

  private static let pollRecords = 10_000
  private static let pollMilliseconds = 1_000
  /// Attempts of a commit whose answer didn't come; each waits for a transaction's time.
  private static let commitAttempts = 3

  /// Fences whoever captured the same topic before. `isStopping` ends the reading of a topic; `report` may be called from any
  /// thread.
  public init(
    _ options: KafkaOptions, progressTopic: String, isStopping: @escaping () -> Bool,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    self.options = options
    self.progressTopic = progressTopic
    self.isStopping = isStopping
    self.report = report
    writer = try TransactionWriter(options, report: report)
  }

  /// See `CaptureLog`.
  public func progress(of topic: String) throws(CaptureFault) -> CaptureProgress? {
    var progress: CaptureProgress?
    let key = Array(topic.utf8)
    try forEachRecord(of: progressTopic) { (recordKey, value, _) throws(CaptureFault) in
      guard let recordKey, recordKey.elementsEqual(key) else { return }
      progress = value.flatMap { CaptureProgress(record: $0) }
    }
    return progress
  }

  /// See `CaptureLog`.
  public func forEachRecord(
    of topic: String,
    _ body: (_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ sequence: Int64)
      throws(CaptureFault) ->
      Void
  ) throws(CaptureFault) {
    let reader: TopicReader
    do throws(LogError) {
      reader = try TopicReader(options, report: report)
      try reader.open(try reader.ranges(of: [topic], from: .beginning))
    } catch { throw .log(error) }
    while true {
      let poll: LogPoll?
      do throws(LogError) {
        poll = try reader.poll(recordsMax: Self.pollRecords, timeoutMilliseconds: Self.pollMilliseconds)
      } catch { throw .log(error) }
      guard let poll else { return }
      if isStopping() { throw .stopping }
      for record in poll.records { try body(record.key, record.value, record.offset) }
    }
  }

  /// See `CaptureLog`.
  public func begin() throws(LogError) { try writer.begin() }

  /// See `CaptureLog`.
  public func send(
    topic: String, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?, timestampMilliseconds: Int64?
  ) throws(LogError) {
    try writer.send(topic: topic, key: key, value: value, timestampMilliseconds: timestampMilliseconds)
  }

  /// See `CaptureLog`.
  public func commit(_ progress: CaptureProgress, of topic: String) throws(LogError) {
    let key = Array(topic.utf8)
    try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(LogError) -> Void in
      try progress.record.span.bytes.withUnsafeBytes {
        (value: UnsafeRawBufferPointer) throws(LogError) -> Void in
        try writer.send(topic: progressTopic, key: key, value: value)
      }
    }
    for attempt in 1... {
      do throws(LogError) {
        return try writer.commit()
      } catch {
        guard error.remedy == .retry, attempt < Self.commitAttempts else { throw error }
      }
    }
  }
}
