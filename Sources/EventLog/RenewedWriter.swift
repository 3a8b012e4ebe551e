public import Processor

/// An `AcknowledgedWriter` that is made with the first records, and anew when its client has died. One thread at a time.
public final class RenewedWriter: @unchecked Sendable {
  private let make: () throws(LogError) -> AcknowledgedWriter
  private var writer: AcknowledgedWriter?

  /// Parameters are as for `AcknowledgedWriter`.
  public init(
    _ options: KafkaOptions, timeoutMilliseconds: Int,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) {
    make = { () throws(LogError) in
      try AcknowledgedWriter(options, timeoutMilliseconds: timeoutMilliseconds, report: report)
    }
  }

  /// For each record why it was not acknowledged; nil if it was.
  public func write(_ records: [AcknowledgedWriter.Record]) -> [LogError?] {
    do throws(LogError) {
      let writer = if let writer { writer } else { try make() }
      let outcomes = writer.write(records)
      self.writer = writer.hasDied ? nil : writer
      return outcomes
    } catch {
      return records.map { _ in error }
    }
  }
}
