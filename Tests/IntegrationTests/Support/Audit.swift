import FeatureCore
import OnlineStore
import Processor

/// Everything that a site holds once it is quiet, compared with what one fold of its log makes.
struct Audit {
  private let site: Site
  private let inputs: [[Record]]
  private let snapshots: [[Record]]
  private let letters: [Record]

  /// Waits until everything that was written is processed, then reads it all.
  init(_ site: Site, seconds: Double) throws {
    self.site = site
    var found: [[Record]] = []
    var last = ""
    try waitUntil("everything is processed: \(last) \(site.complaints())", seconds: seconds) {
      let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let (positions, committed) = try Self.positions(site, reader)
      last = "stored \(positions), committed \(committed)"
      guard positions == committed, !positions.contains(nil) else { return false }
      found = try reader.read(site.inputs.map(\.partition))
      let ends = found.map { $0.last.map { $0.offset + 1 } }
      last += ", ends \(ends)"
      return ends == committed
    }
    inputs = found
    let reader = try KafkaAuditor(brokers: site.brokers, group: "audit")
    snapshots = try reader.read((0..<Site.partitions).map { TopicPartition(site.routing.snapshotTopic, $0) })
    letters = try reader.read([TopicPartition(site.routing.deadLetterTopic, 0)])[0]
  }

  /// Of each input partition: the store's position, and the group's.
  static func positions(
    _ site: Site, _ reader: KafkaAuditor
  ) throws -> (stored: [Int64?], committed: [Int64?]) {
    // The store first: it is behind the log or equal, never ahead.
    let stored = try site.redis.positions(site.keys, site.inputs.map(\.task))
    return (stored, try reader.committed(site.inputs.map(\.partition)))
  }

  var summary: String {
    "\(inputs.joined().count) input records, \(snapshots.joined().count) snapshots, \(letters.count) dead letters"
  }

  /// Records that the service wrote in vain: a reader of committed records doesn't see them.
  func abortedRecords() throws -> Int {
    let reader = try KafkaAuditor(brokers: site.brokers, group: "audit", isolation: "read_uncommitted")
    let all = try reader.read((0..<Site.partitions).map { TopicPartition(site.routing.snapshotTopic, $0) })
    return all.joined().count - snapshots.joined().count
  }

  /// Whatever is not as it must be.
  func problems(_ events: ShopEvents) throws -> [String] {
    let source = zip(site.inputs, inputs).filter { !$0.0.input.isRepartitioned }.flatMap(\.1)
    let forwarded = zip(site.inputs, inputs).filter { $0.0.input.isRepartitioned }.flatMap(\.1)
    let states = try expectedStates()
    return difference("written events", source.map(\.value), events.values)
      + difference("forwarded events", forwarded.map(\.value), events.forwards)
      + difference("dead letters", letters.map { Letter($0.value) }, events.letters)
      + (try checkStore(states)) + checkSnapshots(states) + checkLetterPositions()
  }

  // MARK: States

  /// The states of every task: key as in Redis, and bytes.
  private func expectedStates() throws -> [[UInt8]: [UInt8]] {
    var all: [[UInt8]: [UInt8]] = [:]
    for (place, records) in zip(site.inputs, inputs) {
      for (key, state) in try fold(place.input, records) {
        all[site.keys.statePrefix(place.task) + key] = state
      }
    }
    return all
  }

  /// One record after the other, without caches, batches or a table.
  private func fold(_ input: Routing.Input, _ records: [Record]) throws -> [[UInt8]: [UInt8]] {
    let source = site.plan.sources[input.source]
    let batch = EventBatch(source.schema, capacity: 1)
    var states: [[UInt8]: (view: ViewPlan, state: State?)] = [:]
    let folds = input.views.map { ViewFold(site.plan.views[$0]) }
    for record in records {
      batch.removeAll()
      (record.value ?? []).withUnsafeBytes { bytes in
        guard (try? batch.append(bytes, sequence: 0)) != nil else { return }
        let isAhead = batch.time(0) > record.timestamp * 1000 + source.source.maxAhead
        if !input.isRepartitioned && isAhead { return }
        for fold in folds {
          guard let key = try? fold.key(of: batch.row(0)) else { continue }
          let name = Array("\(fold.view.name):".utf8) + key
          _ = try? fold.fold(
            batch.row(0), time: batch.time(0), into: &states[name, default: (fold.view, nil)].state)
        }
      }
    }
    return states.compactMapValues { entry in entry.state.map { entry.view.encode($0) } }
  }

  /// The store holds the states, byte for byte, and nothing else but its own bookkeeping.
  private func checkStore(_ states: [[UInt8]: [UInt8]]) throws -> [String] {
    var found = try site.redis.contents()
    var problems: [String] = []
    for key in site.inputs.flatMap({ [site.keys.position($0.task), site.keys.epoch($0.task)] })
      + [site.keys.metadata]
    {
      if found.removeValue(forKey: key) == nil { problems.append("\(Text(utf8: key)) is missing") }
    }
    for (key, state) in states {
      guard let stored = found.removeValue(forKey: key) else {
        problems.append("\(Text(utf8: key)) is missing")
        continue
      }
      if stored != state { problems.append("\(Text(utf8: key)) differs from the fold of the log") }
    }
    return problems + found.keys.map { "\(Text(utf8: $0)) should not be there" }
  }

  // MARK: Topics

  /// Each state's last snapshot holds its bytes; the positions of an entity's snapshots ascend, so none is there twice.
  private func checkSnapshots(_ states: [[UInt8]: [UInt8]]) -> [String] {
    var problems: [String] = []
    var last: [[UInt8]: Snapshot] = [:]
    for record in snapshots.joined() {
      guard let snapshot = Snapshot(record.value) else {
        problems.append("a snapshot that can't be read")
        continue
      }
      let key = Array("\(snapshot.view):".utf8) + snapshot.key
      if record.key != key { problems.append("a snapshot of \(Text(utf8: key)) under another key") }
      if let before = last[key],
        before.partition != snapshot.partition || before.position >= snapshot.position
      {
        problems.append(
          "\(Text(utf8: key)): a snapshot at \(snapshot.partition) \(snapshot.position) after one at "
            + "\(before.partition) \(before.position)")
      }
      last[key] = snapshot
    }
    var missing = last
    for (key, state) in states {
      // Behind the hash tag and ":s:".
      let end = key.firstIndex(of: UInt8(ascii: "}")) ?? 0
      let name = Array(key[(end + 4)...])
      if missing.removeValue(forKey: name)?.state != state {
        problems.append("the last snapshot of \(Text(utf8: name)) is not its state")
      }
    }
    return problems + missing.keys.map { "a snapshot of \(Text(utf8: $0)), which has no state" }
  }

  /// No record has two letters for one reason: tombstones can be told apart by their place alone.
  private func checkLetterPositions() -> [String] {
    let places = letters.compactMap { $0.value.flatMap(WireMessage.init) }.map {
      "\($0.text(4))-\($0.numbers[5] ?? 0)@\($0.numbers[6] ?? 0) \($0.text(1)) \($0.text(3))"
    }
    return Set(places).count == places.count ? [] : ["two dead letters of one record"]
  }

  private func difference<Value: Hashable>(_ what: String, _ found: [Value], _ expected: [Value]) -> [String]
  {
    var counts: [Value: Int] = [:]
    for value in found { counts[value, default: 0] += 1 }
    for value in expected { counts[value, default: 0] -= 1 }
    let extra = counts.values.filter { $0 > 0 }.reduce(0, +)
    let missing = counts.values.filter { $0 < 0 }.reduce(0, -)
    return extra + missing == 0 ? [] : ["\(what): \(extra) too many, \(missing) missing of \(expected.count)"]
  }
}
