/// What the loop tells a person: each change of state once, when it begins and when it is over.
struct Outage {
  enum Port: String { case log, store }

  let port: Port
  let since: Int64
  /// What the server answered last; nil if nothing.
  var answer: String?
  /// Whether a person was told of it.
  var isTold = false
}

/// An abort that was told; the same cause again is only counted for a while.
struct ToldAbort {
  var cause: String
  var time: Int64
  var repeats = 0

  static let silenceMilliseconds: Int64 = 10_000
}

extension ProcessorLoop {
  /// The log is only told of after this long: elections and rebalances pass by themselves.
  private static var patienceMilliseconds: Int64 { 1_000 }

  /// Notes that a port refuses for a time.
  func noteOutage(_ port: Outage.Port, _ message: String, answer: String?) {
    var outage =
      self.outage?.port == port
      ? self.outage ?? Outage(port: port, since: now) : Outage(port: port, since: now)
    let isNews = !outage.isTold || outage.answer != answer
    outage.answer = answer
    if isNews, port == .store || now - outage.since >= Self.patienceMilliseconds {
      outage.isTold = true
      report(
        "\(message); nothing is folded or committed until it succeeds, which is tried again and again; the partitions are kept"
      )
    }
    self.outage = outage
  }

  /// Everything that waited has succeeded.
  func endOutage() {
    guard let outage else { return }
    self.outage = nil
    if outage.isTold {
      note("the \(outage.port.rawValue) works again after \(seconds(since: outage.since)); going on")
    }
  }

  /// Looks for itself whether a store that was away is there, since there may be nothing else to ask it.
  func probe() throws(LoopFault) {
    if outage?.port == .store { try checkStore() }
  }

  /// Tells of an abort.
  func noteAbort(_ cause: String, _ isOrdinary: Bool) {
    if var last = lastAbort, last.cause == cause, now - last.time < ToldAbort.silenceMilliseconds {
      last.repeats += 1
      lastAbort = last
      return
    }
    let repeats = lastAbort.map { $0.repeats } ?? 0
    lastAbort = ToldAbort(cause: cause, time: now)
    (isOrdinary ? note : report)(
      "aborted a transaction: \(cause); what was folded since the last commit is read again"
        + (repeats > 0 ? " (the abort before came \(repeats + 1) times)" : ""))
  }

  /// Tells where tasks begin, and of what is folded again.
  func noteBegins(_ tasks: [WorkerTask]) {
    for task in tasks where task.isCatchingUp {
      let reason =
        task.beginsAnew
        ? "the store has no position of it that its states are at" : "the store is behind the log"
      note(
        "\(task.partition) begins at \(task.position) of \(task.published), since \(reason): what lies between is folded again, "
          + "and not sent")
    }
    let others = tasks.filter { !$0.isCatchingUp }
    if !others.isEmpty { note("began \(names(others.map { "\($0.partition)@\($0.position)" }))") }
  }

  /// Tells that the store has what it lacked of a task.
  func noteRecovery(of task: WorkerTask) {
    note(
      "\(task.partition) is complete at \(task.position) again: everything from \(task.start) on was folded again in "
        + seconds(since: task.began))
  }

  func seconds(since time: Int64) -> String {
    let tenths = (now - time) / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }

  /// Some names, as many as a person reads.
  func names(_ names: [String]) -> String {
    let shown = names.prefix(50).joined(separator: ", ")
    return names.count > 50 ? "\(shown) and \(names.count - 50) more" : shown
  }
}
