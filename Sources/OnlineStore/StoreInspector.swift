public import Processor

/// Reads whole tasks of the store, states and positions together: to verify and to compare. It changes nothing and
/// needs no claim. One thread.
public final class StoreInspector {
  private let keys: StoreKeys
  private let nodes: RedisNodes
  private var commands = CommandBuffer()

  /// An inspector that connects when it is first used.
  public init(_ options: RedisOptions, keys: StoreKeys) {
    self.keys = keys
    nodes = RedisNodes(options, nowMilliseconds: RedisClient.steadyMilliseconds)
  }

  /// The task's position; nil if it has none.
  public func position(_ task: String) throws(StoreError) -> Int64? { try read(task, []).position }

  /// States by their `StateKey`s, and the position that they all have; nil where there is none, and no
  /// byte where it is damaged.
  public func read(
    _ task: String, _ stateKeys: [[UInt8]]
  ) throws(StoreError) -> (position: Int64?, states: [[UInt8]?]) {
    let prefix = keys.statePrefix(task)
    commands.removeAll()
    commands.begin("MGET", arguments: 2 + stateKeys.count)
    commands.append(keys.position(task))
    for key in stateKeys { commands.append(prefix, key) }
    var position: Int64?
    var states: [[UInt8]?] = []
    try nodes.perform(task) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "read states of task \(task)") { _, reply in
        position = reply[0].isNull ? nil : Int64(reply[0].text)
        states = zip(stateKeys, 1..<max(1, reply.count)).map { key, index in
          let value = reply[index]
          if value.isNull { return nil }
          return key.withUnsafeBytes { StateEnvelope.open(value.bytes, key: $0).bytes.map(Array.init) }
        }
      }
    }
    return (position, states)
  }

  /// Calls with the `StateKey`s of every state of a task, some at a time, each at least once: what Redis' SCAN
  /// promises for keys that are there all the time.
  public func scan(_ task: String, _ body: ([[UInt8]]) throws -> Void) throws {
    let prefix = keys.statePrefix(task)
    var cursor: [UInt8] = Array("0".utf8)
    repeat {
      commands.removeAll()
      commands.begin("SCAN", arguments: 6)
      commands.append(cursor)
      commands.append("MATCH")
      commands.append(Self.escaped(prefix) + [UInt8(ascii: "*")])
      commands.append("COUNT")
      commands.append(Int64(StoreLimits.loadKeysPerCommand))
      var found: [[UInt8]] = []
      // Where the task is, is known from a read: a scan is answered by every node.
      try nodes.perform(task) { client throws(StoreError) in
        try client.connect()
        try client.exchange(commands, doing: "list the states of task \(task)") { _, reply in
          cursor = Array(reply[0].bytes)
          found = (0..<reply[1].count).map { Array(reply[1][$0].bytes.dropFirst(prefix.count)) }
        }
      }
      try body(found)
    } while cursor != Array("0".utf8)
  }

  /// A text that Redis' patterns take literally.
  private static func escaped(_ text: [UInt8]) -> [UInt8] {
    text.flatMap { "*?[]\\^".utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
  }
}
