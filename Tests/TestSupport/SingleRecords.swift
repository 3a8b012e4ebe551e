import FeatureCore
public import Processor

/// Records of a processor's source, each of which is decoded and folded before the next one comes.
public struct SingleRecords {
  private let processor: BatchProcessor
  private let batch: EventBatch

  /// Records of a processor that nobody else gives any.
  public init(_ processor: BatchProcessor) {
    self.processor = processor
    batch = EventBatch(processor.source.schema, capacity: 1)
  }

  /// Decodes a record, and folds it.
  public func fold(_ record: UnsafeRawBufferPointer, sequence: Int64 = 0) {
    var failures: [(sequence: Int64, failure: DecodeFailure)] = []
    do throws(DecodeFailure) {
      try batch.append(record, sequence: sequence) { failures.append((sequence, $0)) }
    } catch {
      failures.append((sequence, error))
    }
    processor.fold(batch, records: 1, failures: failures) { _ in record }
    batch.removeAll()
  }
}
