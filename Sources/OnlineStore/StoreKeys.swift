/// The names of everything that Plumbline keeps in Redis.
///
/// | key | value |
/// |---|---|
/// | `<name>:<version>:{<source>.<partition>}:s:<view>:<entity key>` | the state's bytes |
/// | `<name>:<version>:{<source>.<partition>}:p` | the task's position, in decimal |
/// | `<name>:<version>:{<source>.<partition>}:e` | the task's epoch, in decimal |
/// | `<name>:<version>:m` | `StoreMetadata` |
///
/// What stands in braces is the hash tag: Redis Cluster keeps all keys of a task in one slot. Names hold no `:`
/// and no brace, so the layout is unambiguous whatever bytes an entity key has.
public struct StoreKeys: Hashable, Sendable {
  private let prefix: String

  /// The keys of one version of a definitions file.
  public init(name: String, version: Int) {
    precondition(!name.utf8.contains { Self.separators.contains($0) }, "Cannot prefix keys with '\(name)'")
    prefix = "\(name):\(version):"
  }

  /// The task of a partition: the hash tag, and what the port calls a task.
  public static func task(source: String, partition: Int32) -> String {
    precondition(!source.utf8.contains { separators.contains($0) }, "Cannot name a task after '\(source)'")
    return "\(source).\(partition)"
  }

  /// The key of the metadata.
  public var metadata: [UInt8] { Array("\(prefix)m".utf8) }
  /// The key of a task's position.
  public func position(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:p".utf8) }
  /// The key of a task's epoch.
  public func epoch(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:e".utf8) }
  /// What stands before the `StateKey` of each state of a task.
  public func statePrefix(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:s:".utf8) }

  private static let separators = Array(":{}".utf8)
}
