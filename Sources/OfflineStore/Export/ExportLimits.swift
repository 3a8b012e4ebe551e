/// Where the files of an export end. All rules read the log only, so that whoever exports it again ends them there too.
public struct ExportLimits: Sendable {
  /// Bytes of records in a segment: large enough for few files, small enough to be written again after a crash.
  public var segmentBytes = 128 << 20
  /// Milliseconds of commit time in a segment: a divisor of a day, so that a segment is of one date.
  public var segmentMilliseconds: Int64 = 900_000
  /// Bytes that all open files may hold before they are encoded.
  public var bufferBytes = 256 << 20

  /// The defaults.
  public init() {}

  static let dayMilliseconds: Int64 = 86_400_000
  /// How long after a segment's time records of it are waited for: clocks of writers differ, and transactions take time.
  static let graceMilliseconds: Int64 = 10_000

  /// What is wrong with the limits, for people; nil if nothing.
  public var problem: String? {
    if segmentBytes < 1 { return "a segment has \(segmentBytes) bytes: use 1 or more" }
    if segmentMilliseconds < 1 || Self.dayMilliseconds % segmentMilliseconds != 0 {
      return "a segment's time must divide a day: use 1m, 5m, 15m, 1h, 6h or 1d"
    }
    return nil
  }
}

/// The stretch of one partition of the snapshot topic that becomes a file a view.
struct Segment {
  /// The first offset.
  let first: Int64
  /// The offset behind the last record.
  private(set) var next: Int64
  /// The commit time, in units of `ExportLimits.segmentMilliseconds`.
  let slot: Int64
  private(set) var byteCount = 0

  init(first: Int64, timestamp: Int64, _ limits: ExportLimits) {
    self.first = first
    next = first
    slot = Self.slot(timestamp, limits)
  }

  /// Whether a record belongs to the next segment.
  func isOver(before timestamp: Int64, _ limits: ExportLimits) -> Bool {
    byteCount >= limits.segmentBytes || Self.slot(timestamp, limits) > slot
  }

  mutating func add(offset: Int64, bytes: Int) {
    next = offset + 1
    byteCount += bytes
  }

  /// When no more records of it are to be expected.
  func deadline(_ limits: ExportLimits) -> Int64 {
    (slot + 1) * limits.segmentMilliseconds + ExportLimits.graceMilliseconds
  }

  /// Its time's beginning, in milliseconds.
  func startMilliseconds(_ limits: ExportLimits) -> Int64 { slot * limits.segmentMilliseconds }

  private static func slot(_ timestamp: Int64, _ limits: ExportLimits) -> Int64 {
    let (quotient, remainder) = timestamp.quotientAndRemainder(dividingBy: limits.segmentMilliseconds)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
