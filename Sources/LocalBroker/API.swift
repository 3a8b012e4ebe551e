/// The requests this broker answers, by Kafka's keys.
enum API: Int16, CaseIterable {
  case produce = 0
  case fetch = 1
  case listOffsets = 2
  case metadata = 3
  case offsetCommit = 8
  case offsetFetch = 9
  case findCoordinator = 10
  case joinGroup = 11
  case heartbeat = 12
  case leaveGroup = 13
  case syncGroup = 14
  case describeGroups = 15
  case listGroups = 16
  case apiVersions = 18
  case createTopics = 19
  case deleteTopics = 20
  case deleteRecords = 21
  case initProducerId = 22
  case addPartitionsToTxn = 24
  case addOffsetsToTxn = 25
  case endTxn = 26
  case txnOffsetCommit = 28
  case describeConfigs = 32
  case createPartitions = 37
  case deleteGroups = 42

  /// The versions answered, and the first one with compact encodings.
  ///
  /// Produce is said to begin at 0, and answers its first three versions with an error: librdkafka takes
  /// compression for unsupported otherwise (Kafka 4 does the same).
  var range: (versions: ClosedRange<Int16>, flexibleFrom: Int16) {
    switch self {
    case .produce: (0...8, 9)
    case .fetch: (4...11, 12)
    case .listOffsets: (1...7, 6)
    case .metadata: (0...9, 9)
    case .offsetCommit: (2...8, 8)
    case .offsetFetch: (1...7, 6)
    case .findCoordinator: (0...3, 3)
    case .joinGroup: (0...7, 6)
    case .heartbeat: (0...4, 4)
    case .leaveGroup: (0...4, 4)
    case .syncGroup: (0...5, 4)
    case .describeGroups: (0...5, 5)
    case .listGroups: (0...4, 3)
    case .apiVersions: (0...3, 3)
    case .createTopics: (0...4, 5)
    case .deleteTopics: (0...3, 4)
    case .deleteRecords: (0...2, 2)
    case .initProducerId: (0...4, 2)
    case .addPartitionsToTxn: (0...3, 3)
    case .addOffsetsToTxn: (0...3, 3)
    case .endTxn: (0...3, 3)
    case .txnOffsetCommit: (0...3, 3)
    case .describeConfigs: (0...2, 4)
    case .createPartitions: (0...1, 2)
    case .deleteGroups: (0...1, 2)
    }
  }
}
