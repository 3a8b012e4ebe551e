/// Where a newly assigned task begins, from what the log and the store know of it.
///
/// The log is committed first, then the store, so the store is never ahead: what it lacks up to the log's
/// offset is folded again without sending anything.
enum StartDecision: Equatable {
  /// Nothing is known of the task: store `offset` before the first fold, so that a later look finds where it began.
  case new(offset: Int64)
  /// Fold from `offset`; below `published` nothing is sent.
  case fold(from: Int64, published: Int64)
  /// Only a person can help.
  case stop(String)

  /// `stored` is the store's position, `committed` the group's offset, `low` and `high` the log's first offset and the
  /// one behind its last.
  static func make(
    _ task: String, stored: Int64?, committed: Int64?, low: Int64, high: Int64
  ) -> StartDecision {
    if let stored, stored < 0 {
      return .stop(
        "task \(task): its states are being restored, or that was interrupted; complete it: \(restoration), or with "
          + "--from beginning instead")
    }
    switch (stored, committed) {
    case (nil, nil): return .new(offset: low)
    // Begun, but nothing was committed yet.
    case (let stored?, nil) where stored == low: return .fold(from: low, published: low)
    case (let stored?, nil):
      if stored > high { return .stop("task \(task): \(createdAnew(at: stored, high))") }
      return .stop(
        "task \(task): the store is at offset \(stored), but the consumer group has no offset: it has expired (a group "
          + "without members forgets its offsets, after 7 days by default) or was deleted; \(repair)")
    case (nil, let committed?):
      guard low == 0 else {
        return .stop(
          "task \(task): the store has lost its states, and the log begins at \(low), so they can't be folded "
            + "again; stop the service and restore them from their snapshots: \(restoration), or with --archive DIR"
        )
      }
      return checked(task, from: 0, committed, low, high)
    case (let stored?, let committed?):
      guard stored <= committed else {
        if stored > high { return .stop("task \(task): \(createdAnew(at: stored, high))") }
        return .stop(
          "task \(task): the store is at offset \(stored), ahead of the consumer group's \(committed): the group's offsets "
            + "were set back; \(repair), or fold everything anew with a new version")
      }
      return checked(task, from: stored, committed, low, high)
    }
  }

  /// Records of another log: no offset of it continues what was folded.
  static func createdAnew(at folded: Int64, _ high: Int64) -> String {
    "what was folded reaches to offset \(folded), but the log ends at \(high): the topic was deleted and created anew; raise "
      + "'version:' and fill that with plumb run --until end"
  }

  private static let repair = "set it, for all partitions at once: plumb offsets -d FILE --set-to-store"
  private static let restoration = "plumb replay -d FILE --into redis --from-snapshots"

  private static func checked(
    _ task: String, from: Int64, _ committed: Int64, _ low: Int64, _ high: Int64
  ) -> StartDecision {
    guard committed >= low else {
      return .stop(
        "task \(task): the next record to fold is \(committed), but the log begins at \(low): records were "
          + "deleted before they were folded; give an archive that has them (--archive DIR), restore the topic, or use a "
          + "new version")
    }
    guard from >= low else {
      return .stop(
        "task \(task): the store is at offset \(from), behind the consumer group's \(committed), but the log begins "
          + "at \(low); stop the service and restore the states from their snapshots: \(restoration)")
    }
    guard committed <= high else {
      return .stop("task \(task): \(createdAnew(at: committed, high))")
    }
    return .fold(from: from, published: committed)
  }
}
