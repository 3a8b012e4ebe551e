import Parquet

/// Why a table cannot be read or written, where, and what to do about it.
public struct TableError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file as it was named; `-` for the standard input or output.
  public let path: String
  /// The line, from 1; nil if it is about the whole file.
  public let line: Int64?
  /// What happened.
  public let problem: String
  /// What to do.
  public let remedy: String
  /// Whether what the file holds, or is asked of it, is wrong; false if the system refused to open, read or write it.
  public let isMistake: Bool

  /// An error from its parts.
  public init(path: String, line: Int64? = nil, problem: String, remedy: String, isMistake: Bool = true) {
    self.path = path
    self.line = line
    self.problem = problem
    self.remedy = remedy
    self.isMistake = isMistake
  }

  /// One line for people: `file:line: problem; remedy`.
  public var description: String {
    "\(path)\(line.map { ":\($0)" } ?? ""): \(problem); \(remedy)"
  }

  /// Does what may fail for a Parquet file, and tells of it as of any table.
  static func ofParquet<Result: ~Copyable>(
    _ body: () throws(ParquetError) -> Result
  ) throws(TableError) -> Result {
    do throws(ParquetError) {
      return try body()
    } catch {
      throw TableError(
        path: error.path, problem: error.problem, remedy: error.remedy, isMistake: error.isMistake)
    }
  }
}
