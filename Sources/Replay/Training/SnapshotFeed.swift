public import EventLog
public import FeatureCore
public import OfflineStore
import Processor

/// Where snapshots come from.
public enum SnapshotFeed {
  /// The topic, as long as it is now. `report` hears what the client library says, from any thread.
  case topic(KafkaOptions, report: @Sendable (KafkaSeverity, String) -> Void)
  /// A folder that an export with states wrote to.
  case export(folder: String)

  /// Adds every snapshot of some views.
  public func add(to join: TrainingJoin, _ plan: Plan, _ views: [ViewPlan]) throws {
    switch self {
    case .export(let folder):
      let export = try ExportedSnapshots(folder: folder, version: plan.version)
      join.note(lostSnapshots: { view in export.lost(maxAhead: plan.sources[view.source].source.maxAhead) })
      for view in views {
        try export.read(view) { (snapshot, time) throws(TableError) in
          try join.add(snapshot, committedMilliseconds: time)
        }
      }
    case .topic(let options, let report):
      let reader = try TopicReader(options, report: report)
      let ranges = try reader.ranges(of: [Routing(plan).snapshotTopic], from: .beginning)
      try reader.open(ranges)
      var begins = [Int64?](repeating: nil, count: ranges.count)
      while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) {
        for record in poll.records {
          let place = Int(poll.partitions[record.partition].partition)
          begins[place] = begins[place] ?? record.timestampMilliseconds.map { $0 * 1_000 }
          guard let snapshot = record.value.flatMap(SnapshotRecord.init) else { continue }
          try join.add(snapshot, committedMilliseconds: record.timestampMilliseconds ?? 0)
        }
      }
      let log = LogBegins(
        zip(ranges, begins).map { range, time in
          LogBegins.Partition(name: "\(range.partition)", first: range.from, time: time ?? .max)
        })
      join.note(lostSnapshots: { view in
        log.lost(
          maxAhead: plan.sources[view.source].source.maxAhead, key: .prefixed(Array("\(view.name):".utf8)))
      })
    }
  }
}
