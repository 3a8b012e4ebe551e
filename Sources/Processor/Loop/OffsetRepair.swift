/// What to do about a consumer group's offset of one task, beside what the store has of it.
public enum OffsetRepair: Hashable, Sendable {
  /// The offset is right, or the service brings the store to it by itself.
  case keep
  /// The group has none, or one that is behind what was folded: it belongs here.
  case set(Int64)
  /// No offset would be right; what to do instead.
  case refuse(String)

  /// `stored` is the store's position, `committed` the group's offset, `low` and `high` the log's first offset and the one
  /// behind its last.
  public static func make(stored: Int64?, committed: Int64?, low: Int64, high: Int64) -> OffsetRepair {
    guard let stored else { return .keep }
    if stored < 0 {
      return .refuse("its states are being restored; complete plumb replay --into redis first")
    }
    if stored > high { return .refuse(StartDecision.createdAnew(at: stored, high)) }
    if let committed, committed >= stored {
      return committed > high ? .refuse(StartDecision.createdAnew(at: committed, high)) : .keep
    }
    if stored < low {
      return .refuse(
        "the store has folded up to \(stored), and the log begins at \(low): records were deleted before they were folded; "
          + "restore the topic, or use a new version")
    }
    return .set(stored)
  }
}
