/// Why a loop can't go on.
public struct ProcessorError: Error, Sendable, CustomStringConvertible {
  /// What to do.
  public enum Remedy: Hashable, Sendable {
    /// Make a new log (a new member and a new producer) and go on: another one has taken over this one's place.
    case restart
    /// Only a person can help; the message says how.
    case stop
  }

  /// What to do.
  public var remedy: Remedy
  /// What happened, where, and what to do.
  public var description: String

  /// An error from its parts.
  public init(remedy: Remedy, description: String) {
    self.remedy = remedy
    self.description = description
  }
}

/// What interrupts a step.
enum LoopFault: Error {
  case log(LogError)
  case store(StoreError, TopicPartition?)
  case failed(ProcessorError)
  /// The store has states of a task that its position there does not cover.
  case setBack(TopicPartition)

  /// What happened.
  var message: String {
    switch self {
    case .log(let error): error.message
    case .store(let error, _): error.message
    case .failed(let error): error.description
    case .setBack(let partition): "the store's position of \(partition) was set back"
    }
  }

  /// Whether it comes with what is ordinary.
  var isOrdinary: Bool { if case .log(let error) = self { error.isOrdinary } else { false } }

  /// Only a person can help.
  static func stop(_ message: String) -> LoopFault {
    .failed(ProcessorError(remedy: .stop, description: message))
  }
}
