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
    try describe(group, "Asking who is in the consumer group '\(group)'") { found in
      Self.members(of: found).map { member in
        let client = rd_kafka_MemberDescription_client_id(member).map { String(cString: $0) } ?? ""
        let host = rd_kafka_MemberDescription_host(member).map { String(cString: $0) } ?? ""
        return "\(client) at \(host)"
      }
    }
  }

  /// What each member of a consumer group has; nil while the group shares its partitions out, or if nobody is in it.
  public func shares(of group: String) throws(LogError) -> [GroupShare]? {
    try describe(group, "Asking who has which partitions in the consumer group '\(group)'") { found in
      guard rd_kafka_ConsumerGroupDescription_state(found) == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE else {
        return nil
      }
      return Self.members(of: found).map(GroupShare.init)
    }
  }

  /// Calls with what the brokers say of a group.
  private func describe<Result>(
    _ group: String, _ attempt: String, _ body: (OpaquePointer) -> Result
  ) throws(LogError) -> Result {
    let queue = try newQueue()
    let name = strdup(group)
    defer { free(name) }
    var names: [UnsafePointer<CChar>?] = [UnsafePointer(name)]
    rd_kafka_DescribeConsumerGroups(handle.raw, &names, 1, nil, queue.raw)
    let event = try AdminEvent(polling: queue, timeout, attempt)
    var count = 0
    let result = rd_kafka_event_DescribeConsumerGroups_result(event.raw)
    let groups = rd_kafka_DescribeConsumerGroups_result_groups(result, &count)
    guard let groups, count == 1, let found = groups[0] else {
      throw LogError(.retry, "\(attempt): the brokers did not answer")
    }
    if let error = rd_kafka_ConsumerGroupDescription_error(found) {
      let code = rd_kafka_error_code(error)
      if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw LogError(code, attempt) }
    }
    return body(found)
  }

  private static func members(of group: OpaquePointer) -> [OpaquePointer] {
    (0..<rd_kafka_ConsumerGroupDescription_member_count(group)).compactMap {
      rd_kafka_ConsumerGroupDescription_member(group, $0)
    }
  }
}

extension GroupShare {
  fileprivate init(_ member: OpaquePointer) {
    let name =
      rd_kafka_MemberDescription_group_instance_id(member) ?? rd_kafka_MemberDescription_consumer_id(member)
    var partitions: [TopicPartition] = []
    if let assignment = rd_kafka_MemberDescription_assignment(member),
      let list = rd_kafka_MemberAssignment_partitions(assignment)
    {
      partitions = UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt)).map {
        TopicPartition(String(cString: $0.topic), $0.partition)
      }
    }
    self.init(member: name.map { String(cString: $0) } ?? "", partitions: partitions)
  }
}

/// Has a consumer group share its partitions out anew.
public enum GroupRebalance {
  /// Joins the group of some options as a visitor without a name, which reads a topic that the group's members don't read, so that no
  /// partition moves for it; and leaves again, so that it keeps none.
  public static func ask(
    _ options: KafkaOptions, reading topic: String, timeoutMilliseconds: Int,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    var options = options
    options.groupInstance = nil
    let events = ClientEvents(.consumer, options, log: report)
    let visitor = try KafkaConsumer(options, topics: [topic], events: events)
    let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
    var failure: LogError?
    while !events.hasRebalanced, failure == nil, ContinuousClock.now < deadline {
      do throws(LogError) { _ = try visitor.poll(recordsMax: 1, timeoutMilliseconds: 50) } catch {
        if error.remedy != .retry { failure = error }
      }
    }
    let hasJoined = events.hasRebalanced
    _ = visitor.close(until: max(deadline, .now + .milliseconds(timeoutMilliseconds / 2)))
    if let failure { throw failure }
    if !hasJoined {
      throw LogError(
        .retry, "Joining the group '\(options.group)': no share within \(timeoutMilliseconds) ms")
    }
  }
}
