import FeatureCore

/// A trigger, named.
public struct TriggerName: Hashable, Sendable {
  /// Its view.
  public var view: String
  /// Its name in the view.
  public var trigger: String

  /// A name from its parts.
  public init(view: String, trigger: String) {
    self.view = view
    self.trigger = trigger
  }
}

/// Firings that were told within a second: many of them at once are a number.
struct ToldFirings {
  var since = Int64.min / 2
  var told = 0
  var untold = 0

  static let toldMax = 10
  static let milliseconds: Int64 = 1_000
}

extension ProcessorLoop {
  /// Sends the triggers that fired while a batch was folded into a view. What is folded again has sent them before.
  func sendFirings(
    of view: WorkerTask.TaskView, _ task: WorkerTask, _ records: UnsafeBufferPointer<LogRecord>
  ) throws(LoopFault) {
    let plan = view.fold.view
    if plan.triggers.isEmpty { return }
    let firings = view.fold.takeFirings()
    if task.isCatchingUp { return }
    for firing in firings {
      let offset = records[Int(task.batch.sequence(firing.row))].offset
      var value: [UInt8] = []
      triggers.append(firing, of: plan, at: (task.partition, offset), to: &value)
      try beginTransaction()
      try onLog { () throws(LogError) in
        try (view.keyPrefix + firing.key).span.bytes.withUnsafeBytes { (key) throws(LogError) in
          try value.span.bytes.withUnsafeBytes { (value) throws(LogError) in
            try log.send(topic: routing.triggerTopic, partition: nil, key: key, value: value)
          }
        }
      }
      let name = TriggerName(view: plan.name, trigger: plan.triggers[firing.trigger].name)
      counts.fired[name, default: 0] += 1
      bytesSinceCommit += value.count
      tell(firing, name, plan)
    }
  }

  private func tell(_ firing: Firing, _ name: TriggerName, _ view: ViewPlan) {
    if now >= toldFirings.since + ToldFirings.milliseconds {
      if toldFirings.untold > 0 { note("triggers have fired \(toldFirings.untold) times more") }
      toldFirings = ToldFirings(since: now)
    }
    guard toldFirings.told < ToldFirings.toldMax else {
      toldFirings.untold += 1
      return
    }
    toldFirings.told += 1
    let values = zip(view.triggers[firing.trigger].features, firing.values).map { index, value in
      var text = Array("\(view.features[index].name) ".utf8)
      ValueText.appendJSON(value, to: &text)
      return String(decoding: text, as: UTF8.self)
    }
    note(
      Text(
        "trigger '\(name.trigger)' of view '\(name.view)' has fired for entity '\(Text(utf8: firing.key))' at "
          + "\(RFC3339.format(firing.at)): \(values.joined(separator: ", ")) (id \(triggers.id(firing, of: view)))"
      ).escaped)
  }
}
