import BrokerCore
import FeatureCore
import Processor

/// What makes two records of triggers the same: key and value, but for the range of the data.
struct FiredTrigger: Hashable, CustomStringConvertible {
  let key: [UInt8]
  let value: String

  init(key: [UInt8], value: [UInt8]) {
    self.key = key
    let text = String(decoding: value, as: UTF8.self)
    guard let begin = text.firstRange(of: "\"data\":{"),
      let end = text[begin.upperBound...].firstIndex(of: "}")
    else {
      self.value = text
      return
    }
    self.value = String(text[..<begin.lowerBound]) + text[text.index(after: end)...]
  }

  var description: String { "'\(Text(utf8: key))' \(value)" }
}

/// The rule of triggers said a second time and as plainly as possible: at each hop boundary, one after the other, what the
/// condition names is evaluated on the state before the event. Conditions are features themselves.
final class TriggerWatch {
  private struct Watched: Hashable {
    var view: String
    var entity: [UInt8]
    var trigger: Int
  }

  private let writer: TriggerWriter
  private var runs: [Watched: Int] = [:]
  private var fired: [Watched: Int64] = [:]

  init(_ plan: Plan) { writer = TriggerWriter(plan) }

  /// What fires because of an event of a time, in an entity of a state that it is not folded into yet.
  func closed(
    by time: Int64, _ state: State, _ view: ViewPlan, _ entity: [UInt8],
    at record: (place: Place, offset: Int64)
  ) -> [FiredTrigger] {
    var found: [FiredTrigger] = []
    for index in view.triggers.indices {
      let watched = Watched(view: view.name, entity: entity, trigger: index)
      guard let (at, values) = fire(watched, view, state, by: time) else { continue }
      let firing = Firing(
        trigger: index, key: entity, at: at, asOf: state.asOf, from: nil, values: values)
      var value: [UInt8] = []
      let partition = Processor.TopicPartition(record.place.topic, record.place.partition)
      writer.append(firing, of: view, at: (partition, record.offset), to: &value)
      found.append(FiredTrigger(key: StateKey.make(view: view.name, entity), value: value))
    }
    return found
  }

  private func fire(
    _ watched: Watched, _ view: ViewPlan, _ state: State, by time: Int64
  ) -> (at: EventTime, values: [FeatureValue])? {
    let trigger = view.triggers[watched.trigger]
    let every = trigger.clock.every
    let asOf = state.asOf.microseconds
    // The sources' times are after 1970.
    var at = asOf / every * every
    while at + every <= time {
      at += every
      if let last = fired[watched] {
        guard let again = trigger.clock.againAfter else { return nil }
        if at < last + again { continue }
      }
      let named = view.values(of: trigger, in: state, at: EventTime(microseconds: at))
      runs[watched] = named == [.bool(true)] ? runs[watched, default: 0] + 1 : 0
      if runs[watched] == trigger.clock.hops {
        runs[watched] = 0
        fired[watched] = at
        return (EventTime(microseconds: at), named)
      }
    }
    return nil
  }
}
