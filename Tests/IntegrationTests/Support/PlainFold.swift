import FeatureCore
import Processor

/// What one task must have made: its records folded one after the other, without caches, batches or a table, and
/// every snapshot compared with the state at its position.
struct PlainFold {
  /// The last state of each entity, by `<view>:<entity key>`.
  private(set) var states: [[UInt8]: [UInt8]] = [:]
  private(set) var problems: [String] = []

  private struct Entity {
    let view: ViewPlan
    var state: State?
    /// Its snapshots in the order of the log, and how many of them have been compared.
    var snapshots: ArraySlice<Snapshot>
  }

  private var entities: [[UInt8]: Entity] = [:]
  private var snapshots: [[UInt8]: [Snapshot]]

  private let partition: Int32

  /// `snapshots` are those of the task, by the key of their record.
  init(_ place: Site.Input, of plan: Plan, _ records: [Record], snapshots: [[UInt8]: [Snapshot]]) {
    self.snapshots = snapshots
    partition = place.partition.partition
    let input = place.input
    let source = plan.sources[input.source]
    let folds = input.views.map { ViewFold(plan.views[$0]) }
    let batch = EventBatch(source.schema, capacity: 1)
    for record in records {
      batch.removeAll()
      (record.value ?? []).withUnsafeBytes { bytes in
        guard (try? batch.append(bytes, sequence: 0)) != nil else { return }
        let isAhead = batch.time(0) > record.timestamp * 1000 + source.source.maxAhead
        if !input.isRepartitioned && isAhead { return }
        for fold in folds { self.fold(batch, fold, record.offset) }
      }
    }
    finish()
  }

  private mutating func fold(_ batch: EventBatch, _ fold: ViewFold, _ offset: Int64) {
    guard (try? fold.takes(batch.row(0))) == true, let key = try? fold.key(of: batch.row(0)),
      Murmur2.partition(key, count: Site.partitions) == partition
    else { return }
    let name = Array("\(fold.view.name):".utf8) + key
    var entity =
      entities.removeValue(forKey: name)
      ?? Entity(view: fold.view, snapshots: (snapshots.removeValue(forKey: name) ?? [])[...])
    compare(name, &entity, through: offset)
    _ = try? fold.fold(batch.row(0), time: batch.time(0), into: &entity.state)
    if fold.view.emit == .event, entity.snapshots.first?.position != offset + 1 {
      problems.append("\(Text(utf8: name)): no snapshot of the event at \(offset)")
    }
    entities[name] = entity
  }

  /// Compares the snapshots up to a position, which come before the next event.
  private mutating func compare(_ name: [UInt8], _ entity: inout Entity, through position: Int64) {
    while let snapshot = entity.snapshots.first, snapshot.position <= position {
      entity.snapshots.removeFirst()
      if snapshot.state != entity.state.map({ entity.view.encode($0) }) {
        problems.append(
          "\(Text(utf8: name)): the snapshot at \(snapshot.position) is not the fold up to there")
      }
    }
  }

  private mutating func finish() {
    for (name, var entity) in entities {
      guard let state = entity.state else { continue }
      if entity.snapshots.isEmpty {
        problems.append("\(Text(utf8: name)): no snapshot of its last state")
      }
      compare(name, &entity, through: .max)
      states[name] = entity.view.encode(state)
    }
    problems += snapshots.keys.map { "a snapshot of \(Text(utf8: $0)), which has no state" }
  }
}
