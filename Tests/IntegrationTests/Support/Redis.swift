import FeatureCore
import Foundation
import Processor

@testable import OnlineStore

/// A redis-server of a test, on a Unix socket.
final class Redis {
  static let executable = [
    "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server",
  ]
  .first { FileManager.default.isExecutableFile(atPath: $0) }

  private let process: ChildProcess
  private let socket: String

  var url: String { "unix://\(socket)" }

  init(in folder: URL) throws {
    guard let executable = Self.executable else { throw Failure("redis-server is missing") }
    socket = folder.appendingPathComponent("s").path
    process = try ChildProcess(
      executable,
      ["--port", "0", "--unixsocket", socket, "--dir", folder.path, "--save", "", "--appendonly", "no"],
      log: folder.appendingPathComponent("redis.log"))
    try waitUntil("redis-server answers") { (try? keys()) != nil }
  }

  /// Stops it without ending it, or lets it go on.
  func freeze(_ isFrozen: Bool) { process.signal(isFrozen ? SIGSTOP : SIGCONT) }

  /// Everything that it holds.
  func contents() throws -> [[UInt8]: [UInt8]] {
    let keys = try keys()
    if keys.isEmpty { return [:] }
    var commands = CommandBuffer()
    commands.begin("MGET", arguments: 1 + keys.count)
    for key in keys { commands.append(key) }
    var contents: [[UInt8]: [UInt8]] = [:]
    try ask(commands) { reply in
      for (index, key) in keys.enumerated() { contents[key] = Array(reply[index].bytes) }
    }
    return contents
  }

  /// The positions of some tasks, nil where there is none.
  func positions(_ keys: StoreKeys, _ tasks: [String]) throws -> [Int64?] {
    var commands = CommandBuffer()
    commands.begin("MGET", arguments: 1 + tasks.count)
    for task in tasks { commands.append(keys.position(task)) }
    var positions: [Int64?] = []
    try ask(commands) { reply in
      positions = tasks.indices.map { reply[$0].isNull ? nil : Int64(reply[$0].text) }
    }
    return positions
  }

  private func keys() throws -> [[UInt8]] {
    var commands = CommandBuffer()
    commands.begin("KEYS", arguments: 2)
    commands.append("*")
    var keys: [[UInt8]] = []
    try ask(commands) { reply in keys = (0..<reply.count).map { Array(reply[$0].bytes) } }
    return keys
  }

  /// One command over a connection of its own.
  private func ask(_ command: CommandBuffer, _ body: (RedisValue) -> Void) throws {
    let client = RedisClient(
      RedisOptions(.unix(path: socket)), nowMilliseconds: RedisClient.steadyMilliseconds)
    try client.connect()
    try client.exchange(command, doing: "ask") { _, reply in body(reply) }
  }
}
