/// Deliberate faults of the adapters, to prove that a run would find them.
public struct AdapterFaults: OptionSet, Sendable {
  /// One bit a fault.
  public let rawValue: Int
  /// Faults from their bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The store takes any write, whoever makes it and whatever it builds on.
  public static let noFence = AdapterFaults(rawValue: 1)
  /// The store writes a task's states and its position in two steps.
  public static let tornCommit = AdapterFaults(rawValue: 2)
  /// The group's offsets are committed after the transaction.
  public static let offsetsOutsideTransaction = AdapterFaults(rawValue: 4)
  /// The epoch alone is not checked; the position is.
  public static let noEpoch = AdapterFaults(rawValue: 8)
  /// The position alone is not checked; the epoch is.
  public static let noPosition = AdapterFaults(rawValue: 16)
  /// Of the commands of a load only the first is fenced.
  public static let fencedOnlyFirst = AdapterFaults(rawValue: 32)
  /// The tasks of joins are restored, too, as if snapshots told how far their cursors are.
  public static let joinsRestored = AdapterFaults(rawValue: 64)
}
