/// What a capture has done, and how far it is.
public struct CaptureStatus: Sendable, Hashable {
  /// What it is doing.
  public enum Phase: String, Sendable {
    /// Not connected, or waiting to connect again.
    case connecting
    /// Reading the whole table.
    case copying
    /// Following its changes; or the topic was what the table is, and is compared again in a while.
    case following
    /// Reading the whole table again, to compare it with a topic that was what it is.
    case comparing

    /// Whether the topic has what the table had a while ago.
    public var isFollowing: Bool { self == .following || self == .comparing }
    /// Whether the whole table is being read.
    public var isReading: Bool { self == .copying || self == .comparing }
  }

  /// What it is doing.
  public var phase = Phase.connecting
  /// Rows of whole tables that were read.
  public var rowsRead = 0
  /// About how many rows the table has, as the database guesses.
  public var rowsExpected: Int?
  /// Records written, deletions among them.
  public var changes = 0
  /// Deletions written.
  public var deletions = 0
  /// Transactions of the log.
  public var commits = 0
  /// Bytes of the database's log between what it has and what is committed here; nil before anything was received.
  public var lagBytes: UInt64?
  /// Until when the topic has all that was committed in the database, in microseconds since 1970; nil before that is known.
  public var completeUntil: Int64?

  /// Nothing yet.
  public init() {}
}

/// How much a capture does at once.
public struct CaptureLimits: Sendable {
  /// The least time between two commits, and so the longest wait of a change for others that go with it, in milliseconds.
  public var commitIntervalMilliseconds: Int64 = 100
  /// Records of a transaction, beyond which the next end of a database transaction commits it; and of a table and its topic
  /// that are compared while one is open. Each commit waits for the brokers: twenty would be a tenth of a copy's time.
  public var commitRecordsMax = 100_000
  /// Bytes of a transaction of a comparison: of large rows it ends before brokers end it, however slow they are.
  public var commitBytesMax = 16 << 20
  /// Bytes for comparing a table with its topic.
  public var memoryBytes = 256 << 20
  /// Where what doesn't fit is put.
  public var temporaryFolder = "/tmp"
  /// Between two questions whether the database is still there, which tell it how far the topic is, too, in milliseconds.
  public var questionIntervalMilliseconds: Int64 = 1_000
  /// How long the database may say nothing although it is asked, in milliseconds: what PostgreSQL grants itself where it
  /// receives changes (`wal_receiver_timeout`).
  public var answerPatienceMilliseconds: Int64 = 60_000

  /// The defaults.
  public init() {}
}
