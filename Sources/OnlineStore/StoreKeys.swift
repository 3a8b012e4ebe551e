/// The names of everything that Plumbline keeps in Redis.
///
/// | key | value |
/// |---|---|
/// | `<name>:<version>:{<source>.<partition>}:s:<view>:<entity key>` | the state, in its `StateEnvelope` |
/// | `<name>:<version>:{<source>.<partition>}:p` | the task's position, in decimal |
/// | `<name>:<version>:{<source>.<partition>}:e` | the task's epoch, in decimal |
/// | `<name>:<version>:{<source>.<partition>}:h` | up to when the task has caught up, in microseconds since the epoch |
/// | `<name>:<version>:m` | `StoreMetadata` |
/// | `<name>:live` | the version that readers take, in decimal |
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

  /// The key of the live version's number.
  public static func live(name: String) -> [UInt8] { Array("\(name):live".utf8) }

  /// What every key of the version begins with.
  var versionPrefix: [UInt8] { Array(prefix.utf8) }

  /// The task and the `StateKey` of a state's key; nil for any other key.
  func state(_ key: [UInt8]) -> (task: String, stateKey: [UInt8])? {
    guard let tag = hashTag(key), key[tag.upperBound...].starts(with: "}:s:".utf8) else { return nil }
    return (String(decoding: key[tag], as: UTF8.self), Array(key[(tag.upperBound + 4)...]))
  }

  /// The task that a key is of; nil if it is of none.
  func task(_ key: [UInt8]) -> String? { hashTag(key).map { String(decoding: key[$0], as: UTF8.self) } }

  /// Where a key of the version has its task's name.
  private func hashTag(_ key: [UInt8]) -> Range<Int>? {
    guard key.starts(with: prefix.utf8), let open = key.firstIndex(of: UInt8(ascii: "{")),
      open == prefix.utf8.count, let close = key.firstIndex(of: UInt8(ascii: "}"))
    else { return nil }
    return (open + 1)..<close
  }

  /// The key of the metadata.
  public var metadata: [UInt8] { Array("\(prefix)m".utf8) }
  /// The key of a task's position.
  public func position(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:p".utf8) }
  /// The key of a task's epoch.
  public func epoch(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:e".utf8) }
  /// The key of the time up to which a task has caught up.
  public func heartbeat(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:h".utf8) }
  /// What stands before the `StateKey` of each state of a task.
  public func statePrefix(_ task: String) -> [UInt8] { Array("\(prefix){\(task)}:s:".utf8) }

  private static let separators = Array(":{}".utf8)
}
