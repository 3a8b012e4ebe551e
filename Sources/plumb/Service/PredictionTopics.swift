import EventLog
import FeatureServer
import Logging
import Processor

/// The topics that predictions are written to, by the server's one thread for that.
final class PredictionTopics: @unchecked Sendable {
  private let options: KafkaOptions
  private let timeoutMilliseconds: Int
  private let logger: Logger
  private var writer: AcknowledgedWriter?

  init(_ options: KafkaOptions, timeoutMilliseconds: Int, _ logger: Logger) {
    self.options = options
    self.timeoutMilliseconds = timeoutMilliseconds
    self.logger = logger
  }

  /// For each record why it was not acknowledged; nil if it was.
  func write(_ records: [Predictions.Record]) -> [String?] {
    do throws(LogError) {
      let writer = if let writer { writer } else { try makeWriter() }
      let outcomes = writer.write(records.map { .init(topic: $0.topic, key: $0.key, value: $0.value) })
      self.writer = writer.hasDied ? nil : writer
      return outcomes.map { $0?.message }
    } catch {
      return records.map { _ in error.message }
    }
  }

  private func makeWriter() throws(LogError) -> AcknowledgedWriter {
    try AcknowledgedWriter(options, timeoutMilliseconds: timeoutMilliseconds) { [logger] in
      logger.kafka($0, $1)
    }
  }
}
