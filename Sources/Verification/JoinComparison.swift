import FeatureCore
import Processor

/// What the source's tasks have written into the logs of joins besides events, and what the tasks of joins keep.
extension Verifier {
  /// Adds the marks of a join's log to those that are compared when their partition is folded; true: the record is one.
  func takeMark(_ record: LogRecord, _ partition: TopicPartition, _ input: Routing.Input) -> Bool {
    guard let join = input.join, record.key == nil else { return false }
    if JoinTurn.isOne(record.payload) { return true }
    guard let mark = JoinMark(record.payload) else {
      report.add(
        Finding(
          subject: .forward, view: "", entity: [], partition: partition, offset: record.offset,
          difference:
            "the record is neither an event of a side nor a mark nor a turn (here the position is the record's own)",
          cause: "another program wrote it"))
      return true
    }
    let source = plan.sources[plan.joins[join].source(of: mark.side)].source
    marks[TopicPartition(source.topic, Int32(mark.partition)), default: []].append(
      VerifiedMark(mark: mark, place: partition, offset: record.offset))
    return true
  }

  /// Compares what a join's task keeps of its keys, and how far it is.
  func verifyStates(of join: JoinPlan, _ task: VerifiedTask, _ fold: TaskFold) throws {
    let keys = fold.joinKeys
    var start = 0
    while start < keys.count {
      let part = Array(keys[start..<min(keys.count, start + Self.statesPerRead)])
      let found = try store.read(task.name, part)
      try follow(task, fold, found.position)
      for (key, bytes) in zip(part, found.states) {
        report.states += 1
        if !fold.agreesOfJoin(key, bytes) { report.add(finding(join, task, fold, key)) }
      }
      start += part.count
    }
    var others: [[UInt8]] = []
    try store.scan(task.name) { keys in others += keys.filter { fold.joinBytes($0) == nil } }
    for start in stride(from: 0, to: others.count, by: Self.statesPerRead) {
      let part = Array(others[start..<min(others.count, start + Self.statesPerRead)])
      let found = try store.read(task.name, part)
      try follow(task, fold, found.position)
      for (key, bytes) in zip(part, found.states) where !fold.agreesOfJoin(key, bytes) {
        report.add(finding(join, task, fold, key))
      }
    }
  }

  private func finding(_ join: JoinPlan, _ task: VerifiedTask, _ fold: TaskFold, _ key: [UInt8]) -> Finding {
    Finding(
      subject: .state, view: join.name, entity: Array(key.drop { $0 != UInt8(ascii: ":") }.dropFirst()),
      partition: task.partition, offset: fold.position,
      difference: "what the store has is not what the join's log makes",
      cause: "another program wrote it, or the store has lost writes")
  }
}

/// A mark, and where it stands.
struct VerifiedMark {
  var mark: JoinMark
  var place: TopicPartition
  var offset: Int64
}

/// Sets what marks say of a partition against how far it had come: what is not known yet must not pass for gone by.
struct MarkComparison {
  private let marks: [VerifiedMark]
  private var next = 0
  private var latest: Int64?

  init(_ marks: [VerifiedMark]) { self.marks = marks.sorted { $0.mark.offset < $1.mark.offset } }

  var isEmpty: Bool { marks.isEmpty }

  /// The next event of the partition.
  mutating func pass(_ offset: Int64, time: Int64, _ report: (Finding) -> Void) {
    finish(upTo: offset, report)
    latest = max(latest ?? .min, time)
  }

  /// Nothing more comes before an offset.
  mutating func finish(upTo offset: Int64, _ report: (Finding) -> Void) {
    while next < marks.count, marks[next].mark.offset <= offset {
      let found = marks[next]
      next += 1
      guard let time = found.mark.time, time > latest ?? .min else { continue }
      let text = { (time: Int64) in RFC3339.format(EventTime(microseconds: time)) }
      report(
        Finding(
          subject: .forward, view: "", entity: [], partition: found.place, offset: found.offset,
          difference:
            "the mark says that its source's partition has come to \(text(time)), but it has only come to "
            + (latest.map(text) ?? "no event"), cause: "another program wrote it"))
    }
  }
}
