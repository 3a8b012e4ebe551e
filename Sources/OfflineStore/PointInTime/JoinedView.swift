public import FeatureCore
import Glibc

/// A view whose features rows get.
public struct JoinedView: Sendable {
  /// Whose features.
  public enum Moment: Sendable, Hashable {
    /// Of the events that are earlier than the row, by event time.
    case happened
    /// Of the snapshot that had been committed before the row's time.
    case served
    /// Both, to be compared. A view that doesn't fold straight from its source says where its events are forwarded to.
    case compared(ForwardedLog?)
  }

  /// The view; its `source` is what events of it are added under.
  public var view: ViewPlan
  /// The view's source.
  public var source: SourcePlan
  /// Whose features.
  public var moment: Moment

  /// A joined view from its parts.
  public init(_ view: ViewPlan, source: SourcePlan, _ moment: Moment = .happened) {
    self.view = view
    self.source = source
    self.moment = moment
  }
}

/// A log to which events are forwarded, keyed by a view's entity.
public struct ForwardedLog: Sendable, Hashable {
  /// By partition, when its first record was written, in microseconds since the epoch, if others before it have been
  /// deleted; else the least number.
  public var begins: [Int64]

  /// A log from its parts.
  public init(begins: [Int64]) { self.begins = begins }

  /// Whether the record of an event that was in its source's log at a time may have been deleted.
  func mayHaveLost(_ key: UnsafeRawBufferPointer, arrived: Int64) -> Bool {
    arrived < begins[Int(Murmur2.partition(key, count: Int32(begins.count)))]
  }
}

/// Where an event is in its source's log.
public struct LogPlace: Sendable, Hashable {
  /// Its offset in its partition.
  public var offset: Int64
  /// The record's timestamp, in milliseconds since the epoch; nil if it has none.
  public var timestampMilliseconds: Int64?

  /// A place from its parts.
  public init(offset: Int64, timestampMilliseconds: Int64?) {
    self.offset = offset
    self.timestampMilliseconds = timestampMilliseconds
  }

  /// The end of its millisecond, in microseconds.
  var arrived: Int64 {
    guard let timestampMilliseconds else { return .min }
    let (end, isLater) = timestampMilliseconds.addingSaturated(1).multipliedReportingOverflow(by: 1_000)
    return isLater ? .max : end
  }
}

/// A label of rows: 1 if one of some events follows the row, else 0.
public struct JoinedLabel: Sendable {
  /// A view of the events, keyed by what they have in common with a row.
  public var view: ViewPlan
  /// Their source.
  public var source: SourcePlan
  /// What events of that source are added under.
  public var sourceIndex: Int
  /// How soon the event follows, in microseconds.
  public var within: Int64

  /// A label from its parts.
  public init(_ view: ViewPlan, source: SourcePlan, index: Int, within: Int64) {
    self.view = view
    self.source = source
    sourceIndex = index
    self.within = within
  }
}

/// The column of a spine that holds the rows' time.
public struct SpineTime: Hashable, Sendable {
  /// The column's name.
  public var column: String
  /// How it is written, where it is a number.
  public var unit: TimeUnit
  /// Whose wall times texts without a zone are; nil: they are errors.
  public var clock: WallClock?

  /// A time column from its parts.
  public init(_ column: String, unit: TimeUnit, clock: WallClock? = nil) {
    self.column = column
    self.unit = unit
    self.clock = clock
  }

  /// Whether times that look like another unit's are meant.
  public var isAny = false

  /// A column that is written like the event time of a source.
  public init(_ column: String, like source: SourcePlan) {
    let time = source.schema.columns[source.schema.timeColumn]
    self.init(column, unit: time.unit ?? source.source.timestamp.unit, clock: time.clock)
    isAny = source.source.timestamp.isAny
  }
}

/// What a join may use. None of it changes a byte of the result.
public struct JoinResources: Sendable {
  /// Bytes of rows and events in memory; what is more goes to temporary files. On top come the output's buffers.
  public var memoryBytes = 64 << 20
  /// The folder of the temporary files, which have no names and vanish with the process.
  public var folder: String
  /// Threads that add events, and that fold them in the end: a power of two.
  public var workers = 1

  /// The defaults; the folder is that of TMPDIR.
  public init() {
    folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
  }
}
