/// Why a capture can't go on as it is.
public struct CaptureError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What to do.
  public enum Remedy: Sendable, Hashable {
    /// The database is away: connect again, and go on from the progress in the log.
    case retry
    /// Changes between the progress and now can't be had any more: read the table anew and compare it with the topic.
    case compare
    /// Only a person can help.
    case stop
  }

  /// What to do.
  public var remedy: Remedy
  /// What happened, where, and what to do.
  public var description: String

  /// An error from its parts.
  public init(_ remedy: Remedy, _ description: String) {
    self.remedy = remedy
    self.description = description
  }
}
