import FeatureCore
import Foundation
import Processor
import TestSupport

@testable import OnlineStore

/// The Redis of a test: one server, or a cluster of three.
final class Redis {
  enum Kind {
    /// One server that forgets everything when it ends.
    case memory
    /// One server with an append-only file, synced every second.
    case appendOnly
    /// Three masters on loopback, each with a third of the slots.
    case cluster
    /// A primary and a replica, which three sentinels watch; everybody speaks TLS and shows a certificate.
    case sentinels
  }

  let nodes: [RedisNode]
  /// What watches the nodes, and whom to ask instead of them.
  private(set) var sentinels: Sentineled?

  init(_ kind: Kind, in folder: URL) throws {
    switch kind {
    case .memory: nodes = [try RedisNode(folder, "redis", ["--appendonly", "no"])]
    case .appendOnly:
      let settings = ["--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes"]
      nodes = [try RedisNode(folder, "redis", settings)]
    case .cluster: nodes = try Self.cluster(in: folder)
    case .sentinels:
      let sentinels = try Sentineled(in: folder)
      self.sentinels = sentinels
      nodes = [sentinels.primary]
    }
  }

  /// Any node, or the sentinels; the rest is found from there.
  var url: String { nodes[0].url }

  /// Stops it without ending it, or lets it go on.
  func freeze(_ isFrozen: Bool) { for node in nodes { node.freeze(isFrozen) } }

  /// kill -9.
  func kill() {
    sentinels?.kill()
    for node in nodes { node.kill() }
  }

  /// Starts it on what its files hold, after `kill`.
  func start() throws { for node in nodes { try node.start() } }

  /// Cuts bytes off the end of the append-only file, as a machine that loses power does. Returns how many of them
  /// there were.
  func losePower(bytes: Int) throws -> Int { try nodes[0].truncate(bytes) }

  /// Forgets everything.
  func clear() throws { for node in nodes { try node.ask("FLUSHALL", []) } }

  /// Everything that it holds, but for heartbeats: they tell when something was true, and nothing of the log.
  func contents() throws -> [[UInt8]: [UInt8]] {
    var contents: [[UInt8]: [UInt8]] = [:]
    for node in nodes { contents.merge(try node.values(matching: "*")) { $1 } }
    return contents.filter { !$0.key.suffix(3).elementsEqual("}:h".utf8) }
  }

  /// Everything that it holds, with states as they are in their snapshots; no byte of those that are damaged.
  func states() throws -> [[UInt8]: [UInt8]] {
    var contents = try contents()
    for (key, value) in contents {
      guard let start = key.firstRange(of: Array("}:s:".utf8))?.upperBound else { continue }
      contents[key] = key[start...].withUnsafeBytes { key in
        value.withUnsafeBytes { value in
          if case .state(let bytes, _) = StateEnvelope.open(value, key: key) { Array(bytes) } else { [] }
        }
      }
    }
    return contents
  }

  /// Writes a value as somebody else would; not in a cluster.
  func set(_ key: [UInt8], _ value: [UInt8]) throws { try nodes[0].ask("SET", bytes: [key, value]) }

  /// Writes a state as a commit at some position would; not in a cluster.
  func set(_ key: [UInt8], state: [UInt8], at position: Int64) throws {
    guard let start = key.firstRange(of: Array("}:s:".utf8))?.upperBound else {
      throw Failure("no state's key")
    }
    var value: [UInt8] = []
    key[start...].withUnsafeBytes { key in
      state.withUnsafeBytes { StateEnvelope.append($0, key: key, position: position, to: &value) }
    }
    try set(key, value)
  }

  /// Deletes a key as somebody else would; not in a cluster.
  func delete(_ key: [UInt8]) throws { try nodes[0].ask("DEL", bytes: [key]) }

  /// The positions of some tasks, nil where there is none.
  func positions(_ keys: StoreKeys, _ tasks: [String]) throws -> [Int64?] {
    var values: [[UInt8]: [UInt8]] = [:]
    for node in nodes { values.merge(try node.values(matching: "*:p")) { $1 } }
    return tasks.map { task in
      values[keys.position(task)].flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
    }
  }

  // MARK: Cluster

  /// The node that has a key, by its index.
  func node(of key: [UInt8]) throws -> Int {
    for (index, node) in nodes.enumerated() where try node.has(key) { return index }
    throw Failure("no node has the slot of \(String(decoding: key, as: UTF8.self))")
  }

  /// Moves the slot of a key from the node that has it to the next one, with all its keys, one after the other.
  func moveSlot(of key: [UInt8]) throws {
    let source = try node(of: key)
    let (from, to) = (nodes[source], nodes[(source + 1) % nodes.count])
    var slot = ""
    try from.ask("CLUSTER", bytes: [Array("KEYSLOT".utf8), key]) { slot = "\($0.integer)" }
    let names = try [from, to].map { node in
      var name = ""
      try node.ask("CLUSTER", ["MYID"]) { name = $0.text }
      return name
    }
    try to.ask("CLUSTER", ["SETSLOT", slot, "IMPORTING", names[0]])
    try from.ask("CLUSTER", ["SETSLOT", slot, "MIGRATING", names[1]])
    while true {
      var keys: [[UInt8]] = []
      try from.ask("CLUSTER", ["GETKEYSINSLOT", slot, "10"]) { reply in
        keys = (0..<reply.count).map { Array(reply[$0].bytes) }
      }
      if keys.isEmpty { break }
      let head = ["127.0.0.1", to.port, "", "0", "5000", "KEYS"].map { Array($0.utf8) }
      try from.ask("MIGRATE", bytes: head + keys)
    }
    for node in [to, from] { try node.ask("CLUSTER", ["SETSLOT", slot, "NODE", names[1]]) }
  }

  private static func cluster(in folder: URL) throws -> [RedisNode] {
    let ports = try FreePorts.find(6)
    let nodes = try (0..<3).map { index in
      try RedisNode(
        folder, "redis-\(index)",
        [
          "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", "\(ports[3 + index])",
          "--cluster-node-timeout", "30000", "--cluster-config-file", "nodes-\(index).conf",
        ], port: ports[index])
    }
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")]
    for (node, slots) in zip(nodes, slots) {
      try node.ask("CLUSTER", ["ADDSLOTSRANGE", slots.0, slots.1])
      try nodes[0].ask(
        "CLUSTER", ["MEET", "127.0.0.1", node.port, "\(ports[3 + nodes.firstIndex { $0 === node }!])"])
    }
    try waitUntil("the cluster is up") {
      try nodes.allSatisfy { node in
        var info = ""
        try node.ask("CLUSTER", ["INFO"]) { info = $0.text }
        return info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
      }
    }
    return nodes
  }
}

/// One redis-server.
final class RedisNode {
  let url: String
  let port: String
  private let options: RedisOptions
  private let folder: URL
  private let name: String
  private let arguments: [String]
  private let process: RedisProcess

  /// On a Unix socket, or on a port of the loopback address. Its files are in the folder.
  convenience init(_ folder: URL, _ name: String, _ settings: [String], port: Int32 = 0) throws {
    var arguments =
      ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder.path, "--save", ""] + settings
    let socket = folder.appendingPathComponent("s").path
    if port == 0 { arguments += ["--unixsocket", socket] }
    try self.init(
      folder, name, port: port, url: port == 0 ? "unix://\(socket)" : "redis://127.0.0.1:\(port)", arguments)
    try start()
  }

  /// With these arguments; it is not started. Without any it is only asked: somebody else runs what is at the address.
  init(_ folder: URL, _ name: String, port: Int32 = 0, url: String, _ arguments: [String] = []) throws {
    self.folder = folder
    self.name = name
    self.port = "\(port)"
    self.url = url
    options = try RedisOptions(url: url)
    self.arguments = arguments
    process = RedisProcess(log: folder.appendingPathComponent("\(name).log"))
  }

  /// Whether it has the slot of a key: the others send elsewhere.
  func has(_ key: [UInt8]) throws -> Bool {
    do {
      try ask("EXISTS", bytes: [key])
      return true
    } catch let error as StoreError {
      guard error.message.contains("MOVED") else { throw error }
      return false
    }
  }

  /// Starts it so that it reads its file for ever, until it is told to hurry.
  func startLoading() throws {
    let slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    try process.start(arguments + slow, until: "redis-server loads") { process.text.contains("Loading RDB") }
  }

  func start() throws { try process.start(arguments) { (try? ask("PING", []) { _ in }) != nil } }

  func kill() { process.kill() }

  func freeze(_ isFrozen: Bool) { process.freeze(isFrozen) }

  func truncate(_ bytes: Int) throws -> Int {
    let files = folder.appendingPathComponent("appendonlydir")
    let names = try FileManager.default.contentsOfDirectory(atPath: files.path)
    guard let name = names.first(where: { $0.hasSuffix(".incr.aof") }) else {
      throw Failure("no AOF: \(names)")
    }
    let file = try FileHandle(forUpdating: files.appendingPathComponent(name))
    let size = try file.seekToEnd()
    let cut = min(UInt64(bytes), size)
    try file.truncate(atOffset: size - cut)
    try file.close()
    return Int(cut)
  }

  /// The keys of a pattern, and their values.
  func values(matching pattern: String) throws -> [[UInt8]: [UInt8]] {
    var keys: [[UInt8]] = []
    try ask("KEYS", [pattern]) { reply in keys = (0..<reply.count).map { Array(reply[$0].bytes) } }
    // One by one: in a cluster they are in many slots.
    var commands = CommandBuffer()
    for key in keys {
      commands.begin("GET", arguments: 2)
      commands.append(key)
    }
    var values: [[UInt8]: [UInt8]] = [:]
    try exchange(commands) { index, reply in values[keys[index]] = Array(reply.bytes) }
    return values
  }

  func ask(_ name: StaticString, _ arguments: [String], _ body: (RedisValue) -> Void = { _ in }) throws {
    try ask(name, bytes: arguments.map { Array($0.utf8) }, body)
  }

  func ask(_ name: StaticString, bytes arguments: [[UInt8]], _ body: (RedisValue) -> Void = { _ in }) throws {
    var command = CommandBuffer()
    command.begin(name, arguments: 1 + arguments.count)
    for argument in arguments { command.append(argument) }
    try exchange(command) { _, reply in body(reply) }
  }

  /// Over a connection of its own.
  private func exchange(_ commands: CommandBuffer, _ body: (Int, RedisValue) -> Void) throws {
    let client = RedisClient(options, nowMilliseconds: RedisClient.steadyMilliseconds)
    try client.connect()
    try client.exchange(commands, doing: "ask") { index, reply in body(index, reply) }
  }
}
