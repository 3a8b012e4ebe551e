import BrokerCore
import FeatureCore
import Processor

/// Compares everything that a reader can see with what the oracle expects: after each step what must never be, at the
/// end what must be there.
final class Audit {
  private let world: World
  private let broker: SimulatedBroker
  private(set) var deployments: [Deployment] = []
  /// Records of each output partition that have been judged.
  private var judged: [Place: Int] = [:]
  /// Dead letters that are due, and not there yet.
  private var dueLetters: [LetterIdentity: Int] = [:]
  /// Forwarded records that are due by repartition topic and value, with the place of their origin.
  private var dueForwards: [String: [[UInt8]: [(origin: Place, forwarded: TaskOracle.Forwarded)]]] = [:]
  private var lastForward: [Way: Int64] = [:]
  /// Triggers that have fired, and are not there yet.
  private var dueTriggers: [FiredTrigger: (count: Int, version: Int)] = [:]
  /// Positions of the snapshots of each entity.
  private var snapshots: [[UInt8]: [Int64]] = [:]
  private var lastCommitted: [String: [Place: Int64]] = [:]

  /// What records take in the order of their source.
  private struct Way: Hashable {
    var from: Place
    var to: Place
    /// Of a join, which may be of one source with itself.
    var side: Int?
  }

  init(_ world: World, _ broker: SimulatedBroker) {
    self.world = world
    self.broker = broker
  }

  func add(_ deployment: Deployment) { deployments.append(deployment) }

  // MARK: Safety

  /// What must hold after each step.
  func check() {
    broker.syncLogs()
    for deployment in deployments {
      for oracle in deployment.oracles { sync(oracle, deployment) }
      for oracle in deployment.oracles {
        checkStore(deployment, oracle)
        checkOffset(deployment, oracle.place)
      }
    }
    for topic in Set(deployments.flatMap(\.outputTopics)).sorted() {
      for place in broker.places(topic) { judge(place) }
    }
  }

  private func sync(_ oracle: TaskOracle, _ deployment: Deployment) {
    oracle.sync()
    if let disagreement = oracle.disagreement { world.violate("\(oracle.name): \(disagreement)") }
    let due = oracle.takeDue()
    for letter in due.letters { dueLetters[letter, default: 0] += 1 }
    for trigger in due.fired {
      dueTriggers[trigger, default: (0, deployment.plan.version)].count += 1
    }
    for forwarded in due.forwarded {
      dueForwards[forwarded.topic, default: [:]][forwarded.key + forwarded.value, default: []]
        .append((oracle.place, forwarded))
    }
  }

  /// I1 and I4 for the store: its states at its position are the fold up to there, and it is never ahead of the log.
  private func checkStore(_ deployment: Deployment, _ oracle: TaskOracle) {
    guard deployment.redis.changed.remove(oracle.name) != nil,
      let task = deployment.redis.tasks[oracle.name], let position = task.position,
      // Negative while it is being restored: no worker takes its states for whole.
      position >= 0
    else { return }
    let committed = broker.committed(deployment.group, oracle.place)
    if let committed, position > committed, !deployment.isReset(oracle.place) {
      world.violate("the store has \(oracle.name) at \(position), ahead of the group's offset \(committed)")
    }
    // A join's task says from its beginning how far it is.
    if committed == nil, !task.covered.isEmpty, !oracle.isOfJoin {
      world.violate("the store has states of \(oracle.name), of which nothing is committed")
    }
    if !deployment.redis.setBack.contains(oracle.name), task.hasUncovered {
      world.violate("the store has states of \(oracle.name) that its position \(position) does not cover")
    }
    let found = task.covered
    var expected = oracle.states(at: position)
    // What its past has left, or removed, under a position that was set back is never looked for, and written over on the way.
    for (key, state) in task.states where state.position > position { expected[key] = nil }
    guard found != expected else { return }
    let keys = Set(found.keys).union(expected.keys).filter { found[$0] != expected[$0] }
    let names = keys.map { "\(Text(utf8: $0))" }.sorted().joined(separator: ", ")
    world.violate(
      "the store's states of \(oracle.name) at \(position) are not the fold up to there: \(names)")
  }

  /// A group's offset only goes back by a person.
  private func checkOffset(_ deployment: Deployment, _ place: Place) {
    guard let committed = broker.committed(deployment.group, place) else { return }
    let last = lastCommitted[deployment.group]?[place] ?? 0
    if committed < last, !deployment.isReset(place) {
      world.violate("\(deployment.group)'s offset of \(place.logged) went from \(last) back to \(committed)")
    }
    lastCommitted[deployment.group, default: [:]][place] = committed
  }

  private func judge(_ place: Place) {
    let log = broker.log(place)
    while judged[place, default: 0] < log.records.count, world.violation == nil {
      let visible = log.records[judged[place, default: 0]]
      judged[place, default: 0] += 1
      if place.topic == deployments[0].routing.deadLetterTopic {
        judgeLetter(visible, place)
      } else if place.topic == deployments[0].routing.snapshotTopic {
        judgeSnapshot(visible)
      } else if place.topic == deployments[0].routing.triggerTopic {
        judgeTrigger(visible)
      } else {
        judgeForward(visible, place)
      }
    }
  }

  private func judgeLetter(_ visible: VisibleRecord, _ place: Place) {
    guard let letter = LetterIdentity(visible.record.value ?? []) else {
      return world.violate("\(place.logged)@\(visible.offset) is no dead letter")
    }
    guard let due = dueLetters[letter], due > 0 else {
      return world.violate(
        "a dead letter \(dueLetters[letter] == nil ? "was not due" : "came twice"): \(letter)")
    }
    dueLetters[letter] = due - 1
    if visible.record.key ?? [] != letter.key {
      world.violate("\(place.logged)@\(visible.offset) has another key than the record that it is about")
    }
  }

  private func judgeTrigger(_ visible: VisibleRecord) {
    let trigger = FiredTrigger(key: visible.record.key ?? [], value: visible.record.value ?? [])
    guard let due = dueTriggers[trigger], due.count > 0 else {
      return world.violate("a trigger fired twice or should not have: \(trigger)")
    }
    dueTriggers[trigger]?.count -= 1
  }

  private func judgeForward(_ visible: VisibleRecord, _ place: Place) {
    let value = visible.record.value ?? []
    let key = visible.record.key ?? []
    if visible.record.key == nil { return judgeMark(value, place, visible.offset) }
    guard let alike = dueForwards[place.topic]?.removeValue(forKey: key + value),
      let (origin, due) = alike.first
    else {
      return world.violate(
        "a record was forwarded to \(place.logged)@\(visible.offset) twice, or was not due for '\(Text(utf8: key))': "
          + "\(Text(utf8: value))")
    }
    // Two deletions of one moment are alike.
    if alike.count > 1 { dueForwards[place.topic]?[key + value] = Array(alike.dropFirst()) }
    let count = Int32(broker.places(place.topic).count)
    if due.key.withUnsafeBytes({ Murmur2.partition($0, count: count) }) != place.partition {
      world.violate("\(place.logged)@\(visible.offset) is in a partition where its key does not belong")
    }
    // A record with elements is forwarded once for each entity.
    let way = Way(from: origin, to: place, side: due.side)
    if let last = lastForward[way], last > due.offset {
      world.violate("records of \(origin.logged) came to \(place.logged) in another order")
    }
    lastForward[way] = due.offset
  }

  /// A mark says no more than its task has seen: what is not known yet must not pass for gone by. A turn says nothing.
  private func judgeMark(_ value: [UInt8], _ place: Place, _ at: Int64) {
    var numbers: [UInt64: UInt64] = [:]
    for (number, field) in WireReader.fields(value) ?? [] { numbers[number] = field.number }
    if numbers == [11: 1] { return }
    let title = "the mark at \(place.logged)@\(at)"
    let isOfVersion = { (deployment: Deployment) in
      deployment.routing.inputs.contains { $0.topic == place.topic }
    }
    guard let deployment = deployments.first(where: isOfVersion),
      let join = deployment.routing.inputs.first(where: { $0.topic == place.topic })?.join,
      let side = numbers[4].flatMap({ JoinPlan.Side(rawValue: Int($0) - 1) }),
      let partition = numbers[5], let offset = numbers[9]
    else { return world.violate("\(title) is none") }
    let source = deployment.plan.joins[join].source(of: side)
    let topic = deployment.plan.sources[source].source.topic
    guard let oracle = deployment.oracles.first(where: { $0.place == Place(topic, Int32(partition)) }) else {
      return world.violate("\(title) is of a partition that there isn't")
    }
    let latest = oracle.times.last { $0.offset < Int64(bitPattern: offset) }?.latest
    if let time = numbers[7].map({ Int64(bitPattern: $0) }), time > latest ?? .min {
      world.violate("\(title) says \(time), but its partition has come to \(latest ?? .min)")
    }
  }

  /// I2: a snapshot holds the state of its position, and nothing else.
  private func judgeSnapshot(_ visible: VisibleRecord) {
    guard let snapshot = ReadSnapshot(visible.record.value ?? []) else {
      return world.violate("a snapshot is none")
    }
    let key = StateKey.make(view: snapshot.view, snapshot.entityKey)
    let title =
      "the snapshot of \(Text(utf8: key)) at \(snapshot.topic)-\(snapshot.partition)@\(snapshot.offset)"
    let place = Place(snapshot.topic, snapshot.partition)
    let oracle = deployments.lazy.filter { $0.plan.version == snapshot.version }.flatMap(\.oracles).first {
      $0.place == place && $0.views[key]?.fingerprint == snapshot.fingerprint
    }
    guard let oracle, let view = oracle.views[key] else {
      return world.violate("\(title) is of no known state")
    }
    if visible.record.key != key { world.violate("\(title) has another key") }
    guard let bytes = oracle.bytes(key, at: snapshot.offset), bytes == snapshot.state else {
      return world.violate("\(title) holds another state")
    }
    guard let state = bytes.withUnsafeBytes({ try? view.decode($0) }) else {
      return world.violate("\(title) holds a state that can't be decoded")
    }
    if state.asOf.microseconds != snapshot.asOf { world.violate("\(title) has as_of \(snapshot.asOf)") }
    let byName = zip(view.features, view.evaluate(state, at: state.asOf)).sorted {
      $0.0.name.utf8.lexicographicallyPrecedes($1.0.name.utf8)
    }
    let values = view.snapshotsHaveValues ? byName.map(\.1) : []
    if values.count != snapshot.values.count
      || !zip(values, snapshot.values).allSatisfy({ $0.isIdentical(to: $1) })
    {
      world.violate("\(title) has the values \(snapshot.values), not \(values)")
    }
    if let last = snapshots[key]?.last, last >= snapshot.offset {
      world.violate("\(title) comes after the one at \(last)")
    }
    snapshots[key, default: []].append(snapshot.offset)
  }

  // MARK: Completeness

  /// Whether everything has been processed.
  var isComplete: Bool { laggards.isEmpty }

  /// The tasks that have not processed everything, and where they are.
  var laggards: [(name: String, place: String)] {
    broker.syncLogs()
    var found: [(name: String, place: String)] = []
    // What a dead instance has left open hides what comes after it, until it times out.
    if let open = broker.openPlace { found.append((open.logged.description, "has an open transaction")) }
    for deployment in deployments where !deployment.isRetired {
      if deployment.isBereft {
        found.append((deployment.group, "has not seen that its topic is another one"))
      }
      for oracle in deployment.oracles {
        // The marks of transactions are passed, too: retention removes them like records.
        let end = broker.log(oracle.place).end
        let first = broker.log(oracle.place).first
        let committed = broker.committed(deployment.group, oracle.place) ?? first
        let stored = deployment.redis.tasks[oracle.name]?.position ?? first
        if committed < end || stored < committed {
          found.append(("\(deployment.group) \(oracle.name)", "group at \(committed), store at \(stored)"))
        }
      }
    }
    return found
  }

  /// What must hold when everything has been processed: all that is due is there.
  func checkEnd() {
    check()
    let live = deployments.filter { !$0.isRetired }
    let versions = Set(live.map(\.plan.version))
    for (letter, count) in dueLetters where count > 0 && versions.contains(Int(letter.version)) {
      world.violate("a dead letter is missing: \(letter)")
    }
    for (trigger, due) in dueTriggers where due.count > 0 && versions.contains(due.version) {
      world.violate("a trigger is missing: \(trigger)")
    }
    for topic in Set(live.flatMap(\.outputTopics)).sorted() {
      guard let due = dueForwards[topic], !due.isEmpty else { continue }
      world.violate("\(due.count) records are missing in \(topic)")
    }
    for deployment in live {
      for oracle in deployment.oracles {
        for key in oracle.versions.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
          checkSnapshots(of: key, oracle, deployment)
        }
      }
    }
  }

  private func checkSnapshots(of key: [UInt8], _ oracle: TaskOracle, _ deployment: Deployment) {
    guard let view = oracle.views[key], let versions = oracle.versions[key] else { return }
    let expected: [Int64]
    if view.emit == .event {
      expected = versions.map(\.offset)
    } else {
      // One for each commit that changed it.
      let borders = broker.borders[deployment.group]?[oracle.place] ?? []
      var due: [Int64] = []
      for version in versions {
        guard let border = borders.first(where: { $0 >= version.offset }) else { continue }
        if due.last != border { due.append(border) }
      }
      expected = due
    }
    let found = snapshots[key] ?? []
    if found != expected {
      world.violate("snapshots of \(Text(utf8: key)) at \(found), not at \(expected)")
    }
  }
}
