import CRDKafka
import Glibc
public import Processor

extension TopicAdmin {
  /// The offset behind the last record of each partition, of open transactions too.
  public func ends(of partitions: [TopicPartition]) throws(LogError) -> [Int64] {
    let ends = try handle.offsets(of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeout: timeout)
    return try zip(partitions, ends).map { (partition, end) throws(LogError) in
      guard let end else {
        throw LogError(.retry, "Asking for the end of \(partition): the broker named none")
      }
      return end
    }
  }

  /// Who is in a consumer group and stays there: a member with a name that has ended counts as one until its session is over,
  /// so that is waited for.
  public func lastingMembers(of group: String) throws(LogError) -> [String] {
    let deadline = ContinuousClock.now + .milliseconds(sessionMilliseconds + Self.sessionMarginMilliseconds)
    var members = try members(of: group)
    while !members.isEmpty, ContinuousClock.now < deadline {
      usleep(200_000)
      members = try self.members(of: group)
    }
    return members
  }

  /// Brokers look at sessions now and then.
  private static let sessionMarginMilliseconds = 2_000

  /// Who is in a consumer group now, a client's id and host each; empty if nobody is, or there is no such group.
  public func members(of group: String) throws(LogError) -> [String] {
    let attempt = "Asking who is in the consumer group '\(group)'"
    var list: UnsafePointer<rd_kafka_group_list>?
    try LogError.check(rd_kafka_list_groups(handle.raw, group, &list, timeout), attempt)
    guard let list else { throw LogError(.retry, "\(attempt): the brokers did not answer") }
    defer { rd_kafka_group_list_destroy(list) }
    var members: [String] = []
    for found in UnsafeBufferPointer(start: list.pointee.groups, count: Int(list.pointee.group_cnt)) {
      try LogError.check(found.err, attempt)
      for member in UnsafeBufferPointer(start: found.members, count: Int(found.member_cnt)) {
        members.append("\(String(cString: member.client_id)) at \(String(cString: member.client_host))")
      }
    }
    return members
  }
}
