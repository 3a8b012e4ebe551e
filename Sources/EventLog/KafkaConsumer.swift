import CRDKafka
import CallThread
import Processor

/// A member of the consumer group, or one that reads what it is told to and is no member. Not thread-safe.
final class KafkaConsumer {
  private var handle: KafkaHandle
  private var queue: KafkaQueue?
  private let events: ClientEvents
  private let requestTimeout: Int32
  private var batch: RecordBatch
  private var owned = OwnedPartitions()
  /// A change that was reported and not answered yet: the group waits for it.
  private var unanswered: AssignmentChange?
  /// An error that came with records, and is thrown after them.
  private var heldError: LogError?
  private var waker = FetchWaker()
  private(set) var recordsFetched = 0

  var errors: Int { events.errors }
  var isMember: Bool { events.isMember }
  var silenceMilliseconds: Int64? { events.silenceMilliseconds }

  /// Joins the group for some topics; nil: reads the group's offsets, and joins nothing.
  init(_ options: KafkaOptions, topics: [String]?, events: ClientEvents) throws(LogError) {
    handle = try KafkaHandle(options, topics == nil ? .replay : .consumer, events)
    self.events = events
    requestTimeout = Int32(clamping: options.requestTimeoutMilliseconds)
    batch = RecordBatch(capacity: KafkaDefaults.batchRecords, readsHeaders: options.readsHeaders)
    // Errors and log lines come with the records, so that one call serves everything.
    try LogError.check(rd_kafka_poll_set_consumer(handle.raw), "Polling the consumer")
    guard let raw = rd_kafka_queue_get_consumer(handle.raw) else { throw LogError(.fatal, "Out of memory") }
    queue = KafkaQueue(owning: raw)
    events.waitingQueue = raw
    guard let topics else { return }
    let subscription = PartitionList(topics.map { TopicPartition($0, RD_KAFKA_PARTITION_UA) })
    let attempt = "Subscribing to \(topics.joined(separator: ", "))"
    try LogError.check(rd_kafka_subscribe(handle.raw, subscription.raw), attempt)
  }

  deinit {
    // Messages and queues belong to the client, which goes last.
    batch.removeAll()
    events.waitingQueue = nil
    queue = nil
  }

  // MARK: Records

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    precondition(recordsMax > 0, "Cannot poll for no records")
    guard let queue = queue?.raw else { preconditionFailure("Cannot poll when closed") }
    batch.removeAll()
    if let error = heldError {
      heldError = nil
      throw error
    }
    batch.reserve(recordsMax)
    // librdkafka waits until a batch is full. So: what is there; else the first message, and what is there with it.
    if !batch.fill(from: queue, countMax: recordsMax, timeoutMilliseconds: 0), events.rebalances.isEmpty,
      batch.fill(from: queue, countMax: 1, timeoutMilliseconds: Int32(clamping: timeoutMilliseconds))
    {
      _ = batch.fill(from: queue, countMax: recordsMax, timeoutMilliseconds: 0)
    }
    waker.look(queue, handle, owned.partitions)
    let changes = takeChanges()
    if changes.contains(where: { if case .lost = $0 { true } else { false } }),
      let unknown = events.takeUnknown()
    {
      // Whether the topic is gone for good, whoever joins anew finds out.
      throw LogError(.fenced, "\(unknown): a topic that this member reads may be gone")
    }
    let records = batch.makeRecords { accept($0) }
    recordsFetched += records.count
    if records.isEmpty, changes.isEmpty, let error = heldError {
      heldError = nil
      throw error
    }
    return LogPoll(
      assignments: changes, partitions: owned.partitions, records: records, ends: owned.takeEnds())
  }

  /// The index of a message's partition, if the message is a record that the worker should see.
  private func accept(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> Int? {
    guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
      if let error = meaning(of: message), heldError == nil { heldError = error }
      return nil
    }
    guard let topic = message.pointee.rkt else { return nil }
    return owned.accept(topic, message.pointee.partition, message.pointee.offset)
  }

  /// What a message that is an error means to the worker; nil if nothing.
  private func meaning(of message: UnsafeMutablePointer<rd_kafka_message_t>) -> LogError? {
    let partition = message.pointee.rkt.map { TopicPartition(handle: $0, message.pointee.partition) }
    switch message.pointee.err {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      if let partition { owned.reachedEnd(partition, at: message.pointee.offset) }
      return nil
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      guard let partition, owned.isFetched(partition) else { return nil }
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      // The client leaves the group and joins again; what is lost by it comes as a change of the assignment.
      events.report(.warning, message.errorText)
      return nil
    default: break
    }
    return LogError(reading: message, partition, next: partition.map(owned.next), client: handle.raw)
  }

  // MARK: Assignment

  private func takeChanges() -> [LogAssignment] {
    guard !events.rebalances.isEmpty else { return [] }
    return events.takeRebalances().map { change in
      switch change {
      case .assigned(let partitions):
        unanswered = .assign
        return .assigned(partitions)
      case .revoked(let partitions):
        unanswered = .unassign
        owned.stopReading(partitions)
        return .revoked(partitions)
      case .lost(let partitions):
        unanswered = .unassign
        owned.stopReading(partitions)
        return .lost(partitions)
      case .failed:
        let partitions = owned.partitions
        owned.stopReading(partitions)
        return .lost(partitions)
      }
    }
  }

  /// Fetches partitions from their offsets on, to the end of each that `ends` names.
  func assign(
    _ partitions: [(partition: TopicPartition, offset: Int64)], ends: [TopicPartition: Int64] = [:]
  ) throws(LogError) {
    try AssignmentChange.assign.perform(handle.raw, PartitionList(partitions))
    unanswered = nil
    owned.add(partitions, ends: ends)
  }

  func unassign(_ partitions: [TopicPartition]) throws(LogError) {
    // librdkafka keeps a pause beyond the assignment: the partition would come back and never be fetched.
    try resume(partitions)
    try AssignmentChange.unassign.perform(handle.raw, PartitionList(partitions))
    unanswered = nil
    owned.remove(partitions)
  }

  func pause(_ partitions: [TopicPartition]) throws(LogError) {
    let list = PartitionList(partitions)
    try LogError.check(rd_kafka_pause_partitions(handle.raw, list.raw), "Pausing")
    try list.check("Pausing")
  }

  func resume(_ partitions: [TopicPartition]) throws(LogError) {
    let list = PartitionList(partitions)
    try LogError.check(rd_kafka_resume_partitions(handle.raw, list.raw), "Resuming")
    try list.check("Resuming")
  }

  func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    precondition(owned.isFetched(partition), "Cannot seek in \(partition) when it isn't assigned")
    let list = PartitionList([(partition, offset)])
    let attempt = "Going to offset \(offset) of \(partition)"
    try LogError.check(
      rd_kafka_seek_partitions(handle.raw, list.raw, requestTimeout), attempt, client: handle.raw)
    if list.elements.first?.err == RD_KAFKA_RESP_ERR__STATE {
      // Fetching hasn't begun, or has ended with an error: it has to be started, not moved.
      try restart(partition, at: offset, list)
    } else {
      try list.check(attempt)
    }
    owned.move(partition, to: offset)
  }

  private func restart(
    _ partition: TopicPartition, at offset: Int64, _ list: borrowing PartitionList
  ) throws(LogError) {
    if rd_kafka_rebalance_protocol(handle.raw).map({ String(cString: $0) }) == "EAGER" {
      let all = owned.positions.map { ($0.partition, $0.partition == partition ? offset : $0.offset) }
      return try AssignmentChange.assign.perform(handle.raw, PartitionList(all))
    }
    try AssignmentChange.unassign.perform(handle.raw, list)
    try AssignmentChange.assign.perform(handle.raw, list)
  }

  // MARK: Offsets

  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    let list = PartitionList(partitions)
    let attempt = "Reading the committed offset"
    // With read_committed the library asks for stable offsets, and asks again while a transaction is about to end.
    try LogError.check(rd_kafka_committed(handle.raw, list.raw, requestTimeout), attempt)
    try list.check(attempt)
    return list.elements.map { $0.offset < 0 ? nil : $0.offset }
  }

  func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    (try offset(RD_KAFKA_OFFSET_BEGINNING, of: partition), try offset(RD_KAFKA_OFFSET_END, of: partition))
  }

  func firstOffset(of partition: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64? {
    // Negative times mean other things to brokers.
    try handle.offsets(of: [partition], at: max(0, milliseconds), timeout: requestTimeout)[0]
  }

  private func offset(_ end: Int32, of partition: TopicPartition) throws(LogError) -> Int64 {
    guard let offset = try handle.offsets(of: [partition], at: Int64(end), timeout: requestTimeout)[0] else {
      throw LogError(.retry, "Asking for the first and last offset of \(partition): the broker named none")
    }
    return offset
  }

  func ends(of partitions: [TopicPartition], timeoutMilliseconds: Int) throws(LogError) -> [Int64?] {
    try handle.offsets(
      of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeout: Int32(clamping: timeoutMilliseconds))
  }

  /// How many partitions a topic has; nil if there is no such topic.
  func partitionCount(of topic: String) throws(LogError) -> Int? {
    try handle.description(of: topic, timeout: requestTimeout)?.partitions
  }

  /// How many offsets of a partition are still to be read, as far as the last fetch told.
  func lag(_ partition: TopicPartition) -> Int64? {
    guard owned.isFetched(partition) else { return nil }
    var (low, high) = (Int64(0), Int64(0))
    let code = rd_kafka_get_watermark_offsets(handle.raw, partition.topic, partition.partition, &low, &high)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 else { return nil }
    return max(0, high - owned.next(partition))
  }

  /// Commits offsets without a transaction.
  func commit(_ offsets: borrowing PartitionList) throws(LogError) {
    let attempt = "Committing offsets"
    if rd_kafka_assignment_lost(handle.raw) != 0 { throw Self.lost(attempt) }
    guard let raw = rd_kafka_queue_new(handle.raw) else { throw LogError(.fatal, "Out of memory") }
    let answers = KafkaQueue(owning: raw)
    // Not rd_kafka_commit, which waits without end for a group's coordinator that is away.
    try LogError.check(rd_kafka_commit_queue(handle.raw, offsets.raw, answers.raw, nil, nil), attempt)
    guard let event = rd_kafka_queue_poll(answers.raw, requestTimeout) else {
      throw LogError(.retry, "\(attempt): no answer within \(requestTimeout) ms")
    }
    defer { rd_kafka_event_destroy(event) }
    try LogError.check(rd_kafka_event_error(event), attempt)
    guard let list = rd_kafka_event_topic_partition_list(event) else { return }
    try PartitionList.check(list, attempt)
  }

  /// The membership that the worker's partitions belong to. May be asked by any thread, as the library may.
  func membership() throws(LogError) -> GroupMembership {
    guard let metadata = rd_kafka_consumer_group_metadata(handle.raw) else {
      throw LogError(.fatal, "The consumer is not in a group")
    }
    let membership = GroupMembership(metadata)
    // In this order: a member that has been thrown out has metadata without a name, which brokers accept from
    // anyone (KIP-447), and its loss is known by the time it has lost its name.
    if rd_kafka_assignment_lost(handle.raw) != 0 { throw Self.lost("Committing offsets") }
    return membership
  }

  private static func lost(_ attempt: String) -> LogError {
    LogError(.abort, "\(attempt): the partitions are lost (the group did not hear of this member in time)")
  }

  // MARK: The end

  /// Leaves the group, so that others take over at once. Returns whether it did in time. What is asked of librdkafka 2.0 on the
  /// way has no timeout, and when the brokers come back just then it may never answer: so that is left to a thread of its own.
  func close(until deadline: ContinuousClock.Instant) -> Bool {
    let farewell = Farewell(self)
    let left = Int64((deadline - .now) / .milliseconds(1))
    let isOver = Deadline.run(milliseconds: Int(max(0, left))) { farewell.run(until: deadline) }
    handle.isStuck = !isOver || !farewell.hasLeft
    return !handle.isStuck
  }

  /// A consumer that leaves: its thread has it to itself meanwhile, and for good if it never comes back.
  private final class Farewell: @unchecked Sendable {
    private var consumer: KafkaConsumer?
    private(set) var hasLeft = false

    init(_ consumer: KafkaConsumer) { self.consumer = consumer }

    func run(until deadline: ContinuousClock.Instant) {
      hasLeft = consumer?.leave(until: deadline) ?? false
      // Whoever waits lets go of it last.
      consumer = nil
    }
  }

  private func leave(until deadline: ContinuousClock.Instant) -> Bool {
    batch.removeAll()
    events.isClosing = true
    do throws(LogError) {
      // The group can't go on while it waits for an answer.
      if unanswered == .assign { try AssignmentChange.assign.perform(handle.raw, PartitionList()) }
      if unanswered == .unassign {
        try AssignmentChange.unassign.perform(handle.raw, PartitionList(owned.partitions))
      }
    } catch { events.report(.warning, error.message) }
    awaitFirstRebalance(until: deadline)
    guard let raw = rd_kafka_queue_new(handle.raw) else { return false }
    let farewell = KafkaQueue(owning: raw)
    events.waitingQueue = nil
    queue = nil
    if let error = rd_kafka_consumer_close_queue(handle.raw, farewell.raw) {
      events.report(.warning, LogError(consuming: error, "Leaving the group", client: handle.raw).message)
      return false
    }
    while rd_kafka_consumer_closed(handle.raw) == 0 && ContinuousClock.now < deadline {
      _ = batch.fill(
        from: farewell.raw, countMax: 1, timeoutMilliseconds: KafkaDefaults.closeSliceMilliseconds)
      batch.removeAll()
    }
    return rd_kafka_consumer_closed(handle.raw) != 0
  }

  /// A client that has joined and not been told its share cannot be destroyed: see `KafkaHandle`.
  private func awaitFirstRebalance(until deadline: ContinuousClock.Instant) {
    guard let queue = queue?.raw else { return }
    let wait = ContinuousClock.now + .milliseconds(KafkaDefaults.firstRebalanceTimeoutMilliseconds)
    while !events.hasRebalanced && ContinuousClock.now < min(deadline, wait) {
      _ = batch.fill(from: queue, countMax: 1, timeoutMilliseconds: KafkaDefaults.closeSliceMilliseconds)
      batch.removeAll()
    }
  }
}

/// The name and the generation of a member, as they were.
final class GroupMembership {
  let metadata: OpaquePointer

  init(_ metadata: OpaquePointer) { self.metadata = metadata }

  deinit { rd_kafka_consumer_group_metadata_destroy(metadata) }
}
