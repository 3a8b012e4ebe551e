import FeatureCore

/// What a log no longer holds of its beginning, because retention or somebody else has deleted it.
public struct LostRecords: Sendable {
  /// What the records of a log are keyed by, and so which partition those of an entity are in.
  public enum Key: Sendable {
    /// Something else: an entity's may have been in any partition.
    case other
    /// The entity.
    case entity
    /// This, then the entity.
    case prefixed([UInt8])
  }

  /// By partition, the latest event time that a lost record may have, in microseconds since the epoch; the least number
  /// where the log is whole.
  private let until: [Int64]
  private let latest: Int64
  private let key: Key
  /// Which records are lost, for people.
  public let description: String

  /// What is lost of a log; nil if it is whole. `description` goes on after "some rows need".
  public init?(until: [Int64], key: Key, description: String) {
    guard let latest = until.max(), latest > .min else { return nil }
    self.until = until
    self.latest = latest
    self.key = key
    self.description = description
  }

  /// The latest event time that a lost record of an entity may have.
  func until(_ entity: UnsafeRawBufferPointer) -> Int64 {
    switch key {
    case .other: latest
    case .entity: until[Int(Murmur2.partition(entity, count: Int32(until.count)))]
    case .prefixed(let prefix):
      (prefix + entity).withUnsafeBytes { until[Int(Murmur2.partition($0, count: Int32(until.count)))] }
    }
  }
}

/// Rows that what is left of the logs isn't enough for.
public struct LackingRows: Hashable, Sendable {
  /// How many.
  public internal(set) var count = 0
  /// The time of the latest, in microseconds since the epoch.
  public internal(set) var latest = Int64.min

  mutating func add(rowAt time: Int64) {
    count += 1
    latest = max(latest, time)
  }

  mutating func add(_ other: Self) {
    count += other.count
    latest = max(latest, other.latest)
  }
}

/// What a lane has found to be lacking.
struct LaneLacks {
  /// Rows that need events that are lost.
  var events = LackingRows()
  /// Rows that need snapshots that are lost.
  var snapshots = LackingRows()
  /// Rows before the first snapshot of the view.
  var unserved = LackingRows()

  mutating func add(_ other: Self) {
    events.add(other.events)
    snapshots.add(other.snapshots)
    unserved.add(other.unserved)
  }
}

extension JoinLane {
  /// What rows lack, if they lack something: an error each.
  func lackErrors(rows: Int) -> [TableError] {
    let others = "--allow-missing makes rows of what is left"
    var errors: [TableError] = []
    func add(_ lacking: LackingRows, _ problem: String, _ remedies: (_ latest: String) -> String) {
      guard lacking.count > 0 else { return }
      let latest = RFC3339.format(EventTime(microseconds: lacking.latest))
      errors.append(
        TableError(
          path: name, problem: "\(lacking.count) of \(rows) rows, the latest of \(latest), \(problem)",
          remedy: "\(remedies(latest)); \(others)", isMistake: false))
    }
    add(lacks.events, "need events that are no longer in the log: \(lostEvents?.description ?? "")") {
      "read them from an archive (--archive), leave the rows up to \($0) out, or choose other views (--view)"
    }
    add(lacks.snapshots, "need snapshots that are no longer in the log: \(lostSnapshots?.description ?? "")")
    {
      "read an export that has them (--snapshots), leave the rows up to \($0) out, or choose other views (--view)"
    }
    let first =
      firstSnapshot == .max
      ? "there is no snapshot of these definitions"
      : "the first snapshot is of \(RFC3339.format(EventTime(microseconds: firstSnapshot)))"
    add(lacks.unserved, "are of a time when nothing had been served: \(first)") {
      "leave the rows up to \($0) out, or use --as happened"
    }
    return errors
  }
}

/// How long what is lost of an entity matters: as the entity's events or snapshots pass in order of time.
struct LossWatch {
  private let view: ViewPlan
  private let gap: Int64?
  /// The last event; before it the latest time that a lost one may have.
  private var previous = Int64.min
  private var isSessionKnown = false

  init(_ view: ViewPlan) {
    self.view = view
    gap = view.longestSessionGap
  }

  /// Begins another entity.
  mutating func reset(lostUntil lost: Int64) {
    previous = lost
    isSessionKnown = false
  }

  /// Takes notice of an event that is not lost.
  mutating func add(eventAt time: Int64) {
    guard let gap else { return }
    // Two that are further apart are never in one session: what was lost is in none from here on.
    if previous.addingSaturated(gap) < time { isSessionKnown = true }
    previous = max(previous, time)
  }

  /// Whether a row may need an event that is lost.
  func lacksEvents(rowAt time: Int64, lostUntil lost: Int64) -> Bool {
    if view.sees(eventAt: lost, from: time) { return true }
    guard let gap, !isSessionKnown else { return false }
    return time <= previous.addingSaturated(gap)
  }
}
