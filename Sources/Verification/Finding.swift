import FeatureCore
import OfflineStore
public import Processor

/// Something that is not as a fold of the log makes it.
public struct Finding: Hashable, Sendable, CustomStringConvertible {
  /// What is compared with the fold.
  public enum Subject: String, Hashable, Sendable {
    /// A record of the snapshot topic.
    case snapshot
    /// A value in the online store.
    case state
    /// A record of the topic of answers.
    case answer
    /// A record of a repartition topic.
    case forward = "forwarded record"
    /// A record of the dead-letter topic.
    case deadLetter = "dead letter"
    /// A record of the trigger topic.
    case trigger = "trigger record"
  }

  /// What differs.
  public var subject: Subject
  /// The view; empty if it is none's alone.
  public var view: String
  /// The entity key.
  public var entity: [UInt8]
  /// The partition that the view folds from.
  public var partition: TopicPartition
  /// The next offset to fold, at which the two were compared.
  public var offset: Int64
  /// The first feature that differs and both its values, or how else the two differ.
  public var difference: String
  /// Why, probably.
  public var cause: String

  /// One line, whatever bytes an entity key has.
  public var description: String {
    let of = view.isEmpty ? "" : " of view '\(view)', entity '\(Text(utf8: entity))'"
    return Text("\(subject.rawValue)\(of) at \(partition)@\(offset): \(difference); probably \(cause)")
      .escaped
  }
}

/// How two states differ.
struct Difference {
  /// For a person.
  var text: String
  /// Why the found bytes are no state of these definitions; nil if they are one.
  var otherDefinitions: String?

  /// Compares a state's bytes with the state that a fold makes.
  init(_ view: ViewPlan, folded: State, found bytes: [UInt8]) {
    if bytes.isEmpty {
      text = "the value fails its checksum"
      return
    }
    let found: State
    do throws(StateError) {
      found = try bytes.span.bytes.withUnsafeBytes { (bytes) throws(StateError) in try view.decode(bytes) }
    } catch {
      text = "the bytes are no state of this view: \(error)"
      if case .otherDefinitions = error.kind {
        otherDefinitions =
          "the definitions were changed without raising 'version'" + zoneHint(view.fingerprintZones)
      }
      return
    }
    let time = max(folded.asOf, found.asOf)
    let (has, should) = (view.evaluate(found, at: time), view.evaluate(folded, at: time))
    if let index = has.indices.first(where: { !has[$0].isIdentical(to: should[$0]) }) {
      text =
        "feature '\(view.features[index].name)' is \(Self.json(has[index])), but \(Self.json(should[index])) by "
        + "folding the log"
    } else if found.asOf != folded.asOf {
      text = "as_of is \(found.asOf.microseconds) us, but \(folded.asOf.microseconds) us by folding the log"
    } else {
      text = "the states' bytes differ, though every feature is equal at as_of"
    }
  }

  static func json(_ value: FeatureValue) -> String {
    var bytes: [UInt8] = []
    ValueText.appendJSON(value, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
