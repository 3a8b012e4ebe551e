import FeatureCore
import OnlineStore
import Processor
import TestSupport

/// Everything that a site holds once it is quiet, compared with what was written and with one fold of its log.
struct Audit {
  private let site: Site
  private let inputs: [(place: Site.Input, records: [Record])]
  private let snapshots: [[Record]]
  private let letters: [Record]

  /// Waits until everything that was written is processed, then reads it all.
  init(_ site: Site, seconds: Double) throws {
    self.site = site
    var found: [[Record]] = []
    var last = ""
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let everything = try KafkaAuditor(brokers: site.brokers, group: site.group, isolation: "read_uncommitted")
    let topics = site.inputs.map(\.partition) + site.writtenPartitions
    try waitUntil("everything is processed: \(last)\n\(site.logs)", seconds: seconds) {
      // Who has ended by itself won't process anything.
      if !site.complaints().isEmpty { throw Failure("\(site.complaints())\n\(site.logs)") }
      let (positions, committed) = try Self.positions(site, reader)
      last = "stored \(positions), committed \(committed)"
      // A partition without records is begun, and nothing is committed of it.
      guard positions == committed.map({ $0 ?? 0 }) else { return false }
      // The transaction of a process that is gone hides what is behind it until its time is over.
      let ends = (try reader.ends(topics), try everything.ends(topics))
      guard ends.0 == ends.1 else {
        last += ", readable to \(ends.0) of \(ends.1)"
        return false
      }
      found = try reader.read(site.inputs.map(\.partition))
      // The marks of transactions are passed, too: retention removes them like records.
      let inputs = try reader.ends(site.inputs.map(\.partition))
      last += ", ends \(inputs)"
      return positions == inputs
    }
    inputs = Array(zip(site.inputs, found))
    snapshots = try reader.read(site.snapshotPartitions)
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
    "\(inputs.map(\.records.count).reduce(0, +)) input records, \(snapshots.joined().count) snapshots, "
      + "\(letters.count) dead letters"
  }

  /// Records that the service wrote in vain: a reader of committed records doesn't see them.
  func abortedRecords() throws -> Int {
    let reader = try KafkaAuditor(brokers: site.brokers, group: "audit", isolation: "read_uncommitted")
    return try reader.read(site.snapshotPartitions).joined().count - snapshots.joined().count
  }

  /// Whatever is not as it must be.
  func problems(_ written: [WrittenEvent]) throws -> [String] {
    try checkSource(written) + checkForwards(written) + checkLetters(written) + checkPlaces(written)
      + checkFolds()
  }

  /// Whatever is not as it must be without transactions: snapshots may come again, but each is true.
  func problemsAtLeastOnce(_ written: [WrittenEvent]) throws -> [String] {
    try checkSource(written) + checkFolds(mayRepeat: true)
  }

  private func checkFolds(mayRepeat: Bool = false) throws -> [String] {
    var (snapshots, problems) = readSnapshots(mayRepeat: mayRepeat)
    var states: [[UInt8]: [UInt8]] = [:]
    for (place, records) in inputs {
      let fold = PlainFold(
        place, of: site.plan, records, snapshots: snapshots[place.partition.description] ?? [:])
      problems += fold.problems
      for (name, state) in fold.states { states[site.keys.statePrefix(place.task) + name] = state }
    }
    return problems + (try checkStore(states))
  }

  // MARK: Inputs

  private var sources: [(place: Site.Input, records: [Record])] {
    inputs.filter { !$0.place.input.isRepartitioned }
  }

  private func checkSource(_ written: [WrittenEvent]) -> [String] {
    difference(
      "written events", sources.flatMap(\.records).map(\.identity), written.map(\.identity))
  }

  /// Each event's copies, under the entity's key; those of one partition of the source in its order.
  private func checkForwards(_ written: [WrittenEvent]) -> [String] {
    struct Forward: Hashable {
      var input: String
      var identity: WrittenEvent.Identity
    }
    let expected = written.flatMap { event in
      event.forwards.map {
        Forward(input: $0.input, identity: WrittenEvent.Identity(key: $0.key, value: event.value))
      }
    }
    var origins: [[UInt8]?: (partition: Int32, offset: Int64)] = [:]
    for (place, records) in sources {
      for record in records { origins[record.value] = (place.partition.partition, record.offset) }
    }
    var found: [Forward] = []
    var problems: [String] = []
    for (place, records) in inputs where place.input.isRepartitioned {
      var last: [Int32: Int64] = [:]
      for record in records {
        found.append(Forward(input: place.input.name, identity: record.identity))
        guard let origin = origins[record.value] else { continue }
        if let before = last.updateValue(origin.offset, forKey: origin.partition), before >= origin.offset {
          problems.append("\(place.partition) \(record.offset): a copy of \(origin) behind one of \(before)")
        }
      }
    }
    return problems + difference("forwarded events", found, expected)
  }

  /// Every key where murmur2 puts it, except where the producer chose another partition.
  private func checkPlaces(_ written: [WrittenEvent]) -> [String] {
    let misplaced = Set(written.filter { $0.partition != nil }.map(\.identity))
    return inputs.flatMap { place, records in
      records.filter { record in
        !misplaced.contains(record.identity)
          && (record.key ?? []).withUnsafeBytes { Murmur2.partition($0, count: Site.partitions) }
            != place.partition.partition
      }.map { "\(place.partition) \($0.offset): the key belongs elsewhere" }
    }
  }

  // MARK: Outputs

  /// One letter for each reason, with the place of its record.
  private func checkLetters(_ written: [WrittenEvent]) -> [String] {
    let refused = Dictionary(
      written.filter { !$0.refusals.isEmpty }.map { ($0.identity, $0) },
      uniquingKeysWith: { first, _ in first })
    var expected: [Letter] = []
    for (place, records) in sources {
      for record in records {
        guard let event = refused[record.identity] else { continue }
        expected += event.refusals.map { refusal in
          Letter(
            reason: refusal.reason, view: refusal.view, place: place.partition, offset: record.offset,
            key: Letter.kept(key: record.key ?? []), payload: Letter.kept(record.value ?? []))
        }
      }
    }
    let readable = letters.compactMap { Letter($0.value) }
    return difference("dead letters", readable, expected)
      + (readable.count == letters.count ? [] : ["dead letters that can't be read"])
  }

  /// The snapshots by their task and key, in order; those of a key ascend, so none is there twice, unless they may repeat.
  private func readSnapshots(mayRepeat: Bool) -> (found: [String: [[UInt8]: [Snapshot]]], problems: [String])
  {
    var found: [String: [[UInt8]: [Snapshot]]] = [:]
    var problems: [String] = []
    for record in snapshots.joined() {
      guard let snapshot = Snapshot(record.value) else {
        problems.append("a snapshot that can't be read")
        continue
      }
      let key = Array("\(snapshot.view):".utf8) + snapshot.key
      if record.key != key { problems.append("a snapshot of \(Text(utf8: key)) under another key") }
      let before = found[snapshot.partition]?[key]?.last?.position
      if let before, before >= snapshot.position, !mayRepeat {
        problems.append("\(Text(utf8: key)): a snapshot at \(snapshot.position) after one at \(before)")
        continue
      }
      found[snapshot.partition, default: [:]][key, default: []].append(snapshot)
    }
    let tasks = Set(site.inputs.map(\.partition.description))
    for key in found.keys where mayRepeat { found[key]?.sortAll() }
    problems += found.keys.filter { !tasks.contains($0) }.map { "snapshots of \($0), which nobody reads" }
    return (found, problems)
  }

  /// The store holds the states, byte for byte, and nothing else but its own bookkeeping.
  private func checkStore(_ states: [[UInt8]: [UInt8]]) throws -> [String] {
    var found = try site.redis.states()
    var problems: [String] = []
    let bookkeeping = site.inputs.flatMap { [site.keys.position($0.task), site.keys.epoch($0.task)] }
    for key in bookkeeping + [site.keys.metadata] where found.removeValue(forKey: key) == nil {
      problems.append("\(Text(utf8: key)) is missing")
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

  private func difference<Value: Hashable>(_ what: String, _ found: [Value], _ expected: [Value]) -> [String]
  {
    var counts: [Value: Int] = [:]
    for value in found { counts[value, default: 0] += 1 }
    for value in expected { counts[value, default: 0] -= 1 }
    let extra = counts.filter { $0.value > 0 }
    let missing = counts.filter { $0.value < 0 }
    func told(_ some: [Value: Int]) -> String {
      "\(some.values.map(abs).reduce(0, +)) \(some.keys.first.map { "(such as \("\($0)".prefix(300)))" } ?? "")"
    }
    if extra.isEmpty && missing.isEmpty { return [] }
    return ["\(what): too many \(told(extra)), missing \(told(missing)), of \(expected.count)"]
  }
}

extension [[UInt8]: [Snapshot]] {
  fileprivate mutating func sortAll() {
    for key in keys { self[key]?.sort { $0.position < $1.position } }
  }
}

extension Record {
  var identity: WrittenEvent.Identity { WrittenEvent.Identity(key: key, value: value) }
}
