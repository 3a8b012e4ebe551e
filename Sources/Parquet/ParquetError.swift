/// A Parquet file that cannot be read.
public struct ParquetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file as it was named.
  public let path: String
  /// What happened, in which column and near which byte.
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
  public var description: String { "\(path): \(problem); \(remedy)" }
}
