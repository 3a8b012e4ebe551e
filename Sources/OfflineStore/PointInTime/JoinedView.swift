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
  /// How it is written, where it is an integer.
  public var unit: TimeUnit

  /// A time column from its parts.
  public init(_ column: String, unit: TimeUnit) {
    self.column = column
    self.unit = unit
  }
}

/// What a join may use. None of it changes a byte of the result.
public struct JoinResources: Sendable {
  /// Bytes of rows and events in memory; what is more goes to temporary files. On top come the output's buffers.
  public var memoryBytes = 128 << 20
  /// The folder of the temporary files, which have no names and vanish with the process.
  public var folder: String
  /// Threads that add events, and that fold them in the end: a power of two.
  public var workers = 1

  /// The defaults; the folder is that of TMPDIR.
  public init() {
    folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
  }
}
