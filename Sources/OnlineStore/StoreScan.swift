import Processor

/// Goes through the keys of a version, a slice at a time, on the server or on every master of a cluster.
final class StoreScan {
  private let options: RedisOptions

  /// Keys that one SCAN looks at: Redis does nothing else meanwhile, about a millisecond.
  private static let keysPerSlice: Int64 = 1_000

  init(_ options: RedisOptions) { self.options = options }

  /// Calls with the keys that begin with a prefix, and the client of the node that has them. A key that is there all the
  /// time comes at least once.
  func forEachSlice(
    of prefix: [UInt8], _ body: (RedisClient, [[UInt8]]) throws(StoreError) -> Void
  ) throws(StoreError) {
    for endpoint in try masters() {
      let client = client(endpoint)
      var cursor = "0"
      repeat {
        let (next, keys) = try slice(client, cursor, Self.pattern(prefix))
        if !keys.isEmpty { try body(client, keys) }
        cursor = next
      } while cursor != "0"
    }
  }

  private func slice(
    _ client: RedisClient, _ cursor: String, _ pattern: [UInt8]
  ) throws(StoreError) -> (cursor: String, keys: [[UInt8]]) {
    var commands = CommandBuffer()
    commands.begin("SCAN", arguments: 6)
    commands.append(cursor)
    commands.append("MATCH")
    commands.append(pattern)
    commands.append("COUNT")
    commands.append(Self.keysPerSlice)
    var next = "0"
    var keys: [[UInt8]] = []
    try client.connect()
    try client.exchange(commands, doing: "go through the keys") { _, reply in
      next = reply[0].text
      keys = (0..<reply[1].count).map { Array(reply[1][$0].bytes) }
    }
    return (next, keys)
  }

  /// A pattern that only texts with the prefix match.
  private static func pattern(_ prefix: [UInt8]) -> [UInt8] {
    prefix.flatMap { "*?[]\\".utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] } + [UInt8(ascii: "*")]
  }

  private func masters() throws(StoreError) -> [RedisOptions.Endpoint] {
    let client = client(options.endpoint)
    var commands = CommandBuffer()
    commands.begin("INFO", arguments: 2)
    commands.append("cluster")
    var isCluster = false
    try client.connect()
    try client.exchange(commands, doing: "read INFO cluster") { _, reply in
      isCluster = reply.text.contains("cluster_enabled:1")
    }
    guard isCluster else { return [options.endpoint] }
    commands.removeAll()
    commands.begin("CLUSTER", arguments: 2)
    commands.append("SLOTS")
    var found: [RedisOptions.Endpoint] = []
    try client.exchange(commands, doing: "read CLUSTER SLOTS") { _, reply in
      for index in 0..<reply.count {
        let node = reply[index][2]
        let endpoint = endpoint(host: node[0].isNull ? "" : node[0].text, port: node[1].integer)
        if !found.contains(endpoint) { found.append(endpoint) }
      }
    }
    return found
  }

  /// A node that does not know its own name leaves the host out.
  private func endpoint(host: String, port: Int64) -> RedisOptions.Endpoint {
    if host.isEmpty, case .tcp(let own, _) = options.endpoint {
      return .tcp(host: own, port: Int32(clamping: port))
    }
    return .tcp(host: host, port: Int32(clamping: port))
  }

  private func client(_ endpoint: RedisOptions.Endpoint) -> RedisClient {
    var options = options
    options.endpoint = endpoint
    return RedisClient(options, nowMilliseconds: RedisClient.steadyMilliseconds)
  }
}

extension RedisClient {
  /// Removes keys that this node has; their memory is freed in the background. One command each: in a cluster they are in
  /// different slots.
  func unlink(_ keys: some Sequence<[UInt8]>) throws(StoreError) {
    var commands = CommandBuffer()
    for key in keys {
      commands.begin("UNLINK", arguments: 2)
      commands.append(key)
    }
    if commands.count == 0 { return }
    try connect()
    try exchange(commands, doing: "remove keys") { _, _ in }
  }
}
