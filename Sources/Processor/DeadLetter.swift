public import FeatureCore

/// A record, or a record for one view, that can't be used: what it says, where it stood, and why.
public struct DeadLetter {
  /// The record's place in its log: a line number or an offset.
  public let sequence: Int64
  /// A stable code, such as `wrong_type`, for counting and alerting.
  public let reason: String
  /// The view that can't use it; nil if no view can.
  public let view: String?
  /// What happened, where, and what to do.
  public let message: String
  /// The record as it came, or its beginning if it was oversized. Valid only while the letter is handed over.
  public let payload: UnsafeRawBufferPointer

  /// A letter from its parts.
  public init(
    sequence: Int64, reason: String, view: String?, message: String, payload: UnsafeRawBufferPointer
  ) {
    self.sequence = sequence
    self.reason = reason
    self.view = view
    self.message = message
    self.payload = payload
  }
}

extension DeadLetter {
  /// Of a record in a partition where its key doesn't belong.
  static let wrongPartition = "wrong_partition"
  /// Of a record whose event time is too far ahead.
  static let aheadOfRecord = "ahead_of_record"

  /// Of a left event that came after its outcome was due.
  static let lateForJoin = "late_for_join"
  /// Of a right event whose key has no room.
  static let joinFull = "join_full"

  /// Every reason that there is.
  public static let reasons: [String] =
    (DecodeFailure.Reason.allCases.map(\.rawValue) + ViewFailure.codes
    + [wrongPartition, aheadOfRecord, lateForJoin, joinFull])
    .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }

  /// Of a record that can't be decoded.
  public init(
    _ failure: DecodeFailure, _ schema: EventSchema, _ payload: UnsafeRawBufferPointer, sequence: Int64
  ) {
    guard failure.reason != .oversized else {
      self = .oversized(payload, sequence: sequence)
      return
    }
    self.init(
      sequence: sequence, reason: failure.reason.rawValue, view: nil, message: failure.message(schema),
      payload: payload)
  }

  /// Of a record that a view can't use.
  public init(_ failure: ViewFailure, _ payload: UnsafeRawBufferPointer, sequence: Int64) {
    self.init(
      sequence: sequence, reason: failure.code, view: failure.view, message: failure.message, payload: payload
    )
  }

  /// Of a record that is larger than any record may be; only its beginning is kept, so that the letter isn't.
  public static func oversized(_ beginning: UnsafeRawBufferPointer, sequence: Int64) -> DeadLetter {
    DeadLetter(
      sequence: sequence, reason: DecodeFailure.Reason.oversized.rawValue, view: nil,
      message: "the record is larger than \(Limits.recordBytesMax) bytes",
      payload: UnsafeRawBufferPointer(rebasing: beginning.prefix(Limits.oversizedBytesKept)))
  }
}
