/// The positions of a task whose states are being restored, which is not done yet: negative and ascending, so that every
/// write is one that the store can tell from the one before, and no worker folds on top of states of different ages.
public enum RestoringPosition {
  /// The first of them.
  public static let first: Int64 = -(1 << 62)
}

extension ProcessorLoop {
  /// Steps until the store has everything that the group has committed in `count` partitions; false if it was told to
  /// stop before. For a log that only has those partitions and only reads up to the group's offsets: nothing is sent.
  public func catchUp(
    _ count: Int, now: () -> Int64, isStopping: () -> Bool, observe: () -> Void
  ) throws(ProcessorError) -> Bool {
    while !isStopping() {
      try step(now: now())
      // Claimed again, it would be taken from a service that can do the rest by itself.
      if counts.fenced > 0 {
        throw ProcessorError(
          remedy: .stop,
          description:
            "another owner has claimed a task: a service or a second replay has been started; whoever "
            + "came last goes on from where this one was")
      }
      observe()
      let isComplete = tasks.count == count && !tasks.values.contains(where: \.isCatchingUp)
      if isComplete && held == nil { return true }
    }
    _ = try finish(now: now())
    return false
  }
}
