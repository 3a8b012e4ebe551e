import BrokerCore
public import FeatureCore
public import Processor

/// What a version of the service has when a run is over, for whoever folds its log by another way.
public struct Remains {
  /// A record as a reader of committed records sees it.
  public struct Record: Hashable, Sendable {
    /// Its offset.
    public var offset: Int64
    /// Its time, in milliseconds since the epoch.
    public var timestampMilliseconds: Int64
    /// Its key.
    public var key: [UInt8]?
    /// Its value; null is a tombstone.
    public var value: [UInt8]?
    /// Its headers, as `RecordHeaders` reads them.
    public var headers: [UInt8]?
  }

  /// A task: what it has read, and what the store has of it.
  public struct Task {
    /// Its name in the store.
    public var name: String
    /// What it reads.
    public var partition: Processor.TopicPartition
    /// Whether its topic is a source's, and so may be archived.
    public var isOfSource: Bool
    /// Everything that was there to be read in the run, also what retention has removed.
    public var records: [Record]
    /// Where that begins.
    public var first: Int64
    /// What the group has committed.
    public var committed: Int64
    /// Where it is in the store.
    public var position: Int64?
    /// Its states there, by their keys.
    public var states: [[UInt8]: [UInt8]]
  }

  /// Its definitions.
  public var plan: Plan
  /// Partitions of its inputs by name.
  public var partitions: [String: Int32]
  /// Its tasks of which something is committed.
  public var tasks: [Task]
}

extension Simulation {
  /// What the versions have that were alive to the end.
  public func remains() -> [Remains] {
    live.filter { !$0.isBereft && !$0.isOutgrown }.map { deployment in
      Remains(plan: deployment.plan, partitions: deployment.partitions, tasks: deployment.remainingTasks)
    }
  }
}

extension Deployment {
  fileprivate var remainingTasks: [Remains.Task] {
    oracles.compactMap { oracle in
      guard let committed = broker.committed(group, oracle.place) else { return nil }
      let log = broker.log(oracle.place)
      let task = redis.tasks[oracle.name]
      return Remains.Task(
        name: oracle.name, partition: oracle.place.logged,
        isOfSource: !oracle.input.isRepartitioned && !oracle.isOfJoin,
        records: log.records.map { visible in
          Remains.Record(
            offset: visible.offset, timestampMilliseconds: visible.record.timestamp, key: visible.record.key,
            value: visible.record.value, headers: visible.record.encodedHeaders)
        }, first: log.first, committed: committed, position: task?.position, states: task?.covered ?? [:])
    }
  }
}
