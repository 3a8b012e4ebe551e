/// What one member of a consumer group has.
public struct GroupShare: Hashable, Sendable {
  /// The name that it keeps over a restart; one without a name is called what the brokers call it.
  public var member: String
  /// Its partitions.
  public var partitions: [TopicPartition]

  /// A share from its parts.
  public init(member: String, partitions: [TopicPartition]) {
    self.member = member
    self.partitions = partitions
  }
}

/// Notices partitions that no member of a consumer group has although the group is at rest.
///
/// Members with names that give partitions up one by one make that possible: one that is asked for a partition and killed
/// before it has given it up comes back under its name to what else it had, without a rebalance (KIP-345); and nobody asks
/// for the rebalance that would have handed the partition on, since that was its part (KIP-429). Until something else makes
/// the group share out anew, nobody reads the partition.
public struct OwnerlessPartitions {
  /// What was found.
  public enum Finding: Hashable, Sendable {
    /// Every partition has an owner, or the group is at work.
    case none
    /// These have had none for so long that the group has to share out anew.
    case lasting([TopicPartition])
    /// Those that were told of have owners, after so many milliseconds.
    case over(milliseconds: Int64)
  }

  private let partitions: [TopicPartition]
  private let patience: Int64
  /// What has had no owner, and since when, in milliseconds; it is waited for from `rest` on.
  private var ownerless: (partitions: [TopicPartition], since: Int64, rest: Int64)?
  /// How often it was told in a row.
  private var told = 0

  /// Between two tellings of partitions that stay without an owner, in times of the patience.
  private static let tellingsApartMax: Int64 = 32

  /// Looks after some partitions. A rebalance has its second part within `patienceMilliseconds`.
  public init(_ partitions: [TopicPartition], patienceMilliseconds: Int64) {
    self.partitions = partitions
    patience = patienceMilliseconds
  }

  /// Looks at who has what at a monotonic time in milliseconds; nil: the group is sharing out, or there is none.
  public mutating func look(_ shares: [GroupShare]?, now: Int64) -> Finding {
    guard let shares else {
      ownerless?.rest = now
      return .none
    }
    let owned = Set(shares.flatMap(\.partitions))
    let found = partitions.filter { !owned.contains($0) }
    guard !found.isEmpty else {
      defer { (ownerless, told) = (nil, 0) }
      guard let ownerless, told > 0 else { return .none }
      return .over(milliseconds: now - ownerless.since)
    }
    guard let before = ownerless, before.partitions == found else {
      ownerless = (found, ownerless?.since ?? now, now)
      return .none
    }
    guard now - before.rest >= patience * min(1 << Int64(min(told, 62)), Self.tellingsApartMax) else {
      return .none
    }
    ownerless?.rest = now
    told += 1
    return .lasting(found)
  }
}
