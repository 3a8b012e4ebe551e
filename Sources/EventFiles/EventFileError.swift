/// Why an event file cannot be read (on), and what to do about it.
public struct EventFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file as it was named; `-` for the standard input.
  public let path: String
  /// What happened, and at which byte of the file.
  public let problem: String
  /// What to do.
  public let remedy: String
  /// Whether what the file holds is wrong; false if the system refused to open, read or write it.
  public let isMistake: Bool

  /// An error from its parts.
  public init(path: String, problem: String, remedy: String, isMistake: Bool = true) {
    self.path = path
    self.problem = problem
    self.remedy = remedy
    self.isMistake = isMistake
  }

  /// One line for people.
  public var description: String {
    "\(path == "-" ? "standard input" : path): \(problem); \(remedy)"
  }
}
