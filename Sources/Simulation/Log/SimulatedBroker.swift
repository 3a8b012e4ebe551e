import BrokerCore
import Processor

/// The broker of a run: the real one's state machine, with the clients' background threads beside it.
final class SimulatedBroker {
  let core: Broker
  let world: World
  private(set) var logs: [Place: VisibleLog] = [:]
  private var consumers: [SimulatedConsumer] = []
  private var waiting: [UInt64: SimulatedConsumer] = [:]
  private var lastToken: UInt64 = 0
  /// Commits of all groups.
  private(set) var commits = 0
  /// What each group has committed, in order: the borders of its commits.
  private(set) var borders: [String: [Place: [Int64]]] = [:]
  /// Bytes of a record that a topic takes, and whether it is the client that refuses more, as it is handed over.
  struct RecordBound {
    var bytes: Int
    var isOfClient: Bool
  }
  /// Of topics for which somebody has configured that; and when it was last put right.
  private(set) var recordBounds: [String: RecordBound] = [:]
  private(set) var lastRaised = Int64.min
  /// What transactions have committed, whose marks may be still to come.
  private var decided: [String: [Place: Int64]] = [:]

  static let sessionMilliseconds: Int32 = 1000
  static let rebalanceMilliseconds: Int32 = 2500
  static let transactionMilliseconds: Int32 = 2000

  init(_ world: World) {
    self.world = world
    var limits = BrokerLimits()
    limits.sessionTimeoutMin = 1
    core = Broker(
      limits: limits, markerDelay: world.strikes(.lateMarks) ? world.draws.pick([20, 60, 100]) : 0)
    core.start(now: 1)
  }

  func createTopic(_ name: String, partitions: Int32, recordBytesMax: Int = TopicKind.recordBytesMax) {
    if core.topics[name] != nil { return }
    do throws(KafkaError) {
      try core.createTopic(
        name, partitions: partitions, configs: ["max.message.bytes": "\(recordBytesMax)"])
    } catch { preconditionFailure("Cannot create \(name): \(error)") }
    for index in 0..<partitions { addLog(Place(name, index)) }
  }

  /// Deletes a topic and creates it again. What was in it the audit still knows.
  func recreate(_ topic: String) {
    let places = places(topic)
    for place in places { log(place).sync() }
    let settings = core.topics[topic]?.settings
    _ = try? core.deleteTopic(topic)
    createTopic(topic, partitions: Int32(places.count), recordBytesMax: settings?.maxMessageBytes ?? 0)
  }

  /// Lets a topic take no records that are larger.
  func limit(_ topic: String, _ bound: RecordBound) { recordBounds[topic] = bound }

  /// Whether a record is larger than that.
  func refuses(_ record: Record, _ topic: String, atClient: Bool) -> Bool {
    guard let bound = recordBounds[topic], bound.isOfClient == atClient else { return false }
    return (record.key?.count ?? 0) + (record.value?.count ?? 0) > bound.bytes
  }

  /// Puts that right; false if there is nothing to.
  func raiseLimits() -> Bool {
    if recordBounds.isEmpty { return false }
    recordBounds = [:]
    lastRaised = world.now
    return true
  }

  /// Gives a topic another partition.
  func addPartition(_ topic: String) -> Place {
    let place = Place(topic, Int32(places(topic).count))
    do throws(KafkaError) {
      try core.createPartitions(topic, partitions: place.partition + 1)
    } catch { preconditionFailure("Cannot add a partition to \(topic): \(error)") }
    addLog(place)
    return place
  }

  private func addLog(_ place: Place) {
    guard let partition = core.partition(place) else { preconditionFailure("Cannot find \(place)") }
    logs[place] = VisibleLog(place, partition)
  }

  func partitionCount(_ topic: String) -> Int32 { Int32(core.topics[topic]?.partitions.count ?? 0) }

  func places(_ topic: String) -> [Place] {
    (0..<partitionCount(topic)).map { Place(topic, $0) }
  }

  func log(_ place: Place) -> VisibleLog {
    guard let log = logs[place] else { preconditionFailure("Cannot find \(place)") }
    return log
  }

  func syncLogs() { for log in logs.values { log.sync() } }

  /// A partition in which a transaction is open.
  var openPlace: Place? {
    logs.keys.sorted().first { place in
      core.partition(place).map { $0.lastStableOffset < $0.nextOffset } ?? false
    }
  }

  /// The sum of all partitions' ends.
  var ends: Int64 { logs.keys.reduce(0) { $0 + (core.partition($1)?.nextOffset ?? 0) } }

  func committed(_ group: String, _ place: Place) -> Int64? {
    let marked = (try? core.committedOffset(group, place, requireStable: false))?.offset
    return [marked, decided[group]?[place]].compactMap { $0 }.max()
  }

  /// A person has moved an offset.
  func forgetCommit(_ group: String, _ place: Place) { decided[group]?[place] = nil }

  /// Notes where a group's commit ended.
  func noteCommit(_ group: String, _ offsets: [(place: Place, offset: Int64)]) {
    commits += 1
    for (place, offset) in offsets {
      decided[group, default: [:]][place] = offset
      if let last = borders[group]?[place]?.last, last >= offset { continue }
      borders[group, default: [:]][place, default: []].append(offset)
    }
  }

  /// Lets a partition begin above 0, as if retention had been at work before.
  func startAbove(_ place: Place, records: Int) {
    for _ in 0..<records { produce(Record(key: nil, value: nil, timestamp: world.wallClock), to: place) }
    _ = try? core.deleteRecords(place, before: Int64(records))
    log(place).restart()
  }

  func produce(_ record: Record, to place: Place) {
    let batch = RecordBatch.encode([record])
    do throws(KafkaError) {
      _ = try core.produce(place, batch: batch, now: world.wallClock)
    } catch { preconditionFailure("Cannot produce: \(error)") }
  }

  // MARK: Background threads

  func add(_ consumer: SimulatedConsumer) { consumers.append(consumer) }
  func remove(_ consumer: SimulatedConsumer) { consumers.removeAll { $0 === consumer } }

  func token(for consumer: SimulatedConsumer) -> UInt64 {
    lastToken += 1
    waiting[lastToken] = consumer
    return lastToken
  }

  /// Lets time pass, and everybody's heartbeats out.
  func advance() {
    core.advance(now: world.wallClock)
    deliver()
    consumers.removeAll(where: \.life.isDead)
    for consumer in consumers where !consumer.life.isSuspended { consumer.tick() }
    deliver()
  }

  private func deliver() {
    for reply in core.takeReplies() {
      let token =
        switch reply {
        case .join(let token, _): token
        case .sync(let token, _): token
        }
      waiting.removeValue(forKey: token)?.receive(reply)
    }
  }
}
