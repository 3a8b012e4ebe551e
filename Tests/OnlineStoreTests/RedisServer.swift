import Foundation
import Processor

@testable import OnlineStore

/// A redis-server of a test: on a Unix socket in a folder of its own, killed when the test lets go of it.
final class RedisServer {
  static let executable = [
    "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server",
  ]
  .first { FileManager.default.isExecutableFile(atPath: $0) }
  static var isAvailable: Bool { executable != nil }

  let folder: URL
  /// The text of a file of settings, which the server may change.
  private let configuration: String?
  private var process: Process?

  var socket: String { folder.appendingPathComponent("s").path }
  var options: RedisOptions { RedisOptions(.unix(path: socket)) }

  /// Starts a server and waits until it answers.
  init(_ arguments: [String] = ["--save", "", "--appendonly", "no"], configuration: String? = nil) throws {
    self.configuration = configuration
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-redis-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    try start(arguments)
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(at: folder)
  }

  struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
  }

  /// Starts the server again on its data. `isReady` tells from the answer to PING.
  func start(_ arguments: [String], isReady: @escaping (String) -> Bool = { $0 == "PONG" }) throws {
    try? FileManager.default.removeItem(atPath: socket)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try Self.executable.unwrapped("redis-server is missing"))
    let file = folder.appendingPathComponent("redis.conf")
    if let configuration { try Data(configuration.utf8).write(to: file) }
    process.arguments =
      (configuration == nil ? [] : [file.path]) + [
        "--port", "0", "--unixsocket", socket, "--dir", folder.path,
      ]
      + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    self.process = process
    try waitUntil("redis-server answers") {
      guard process.isRunning else { throw Failure("redis-server ended with \(process.terminationStatus)") }
      do {
        return isReady(try self.ask("PING").first.flatMap { $0 } ?? "")
      } catch let error as StoreError {
        return isReady(error.message)
      }
    }
  }

  /// kill -9.
  func kill() {
    guard let process else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    self.process = nil
  }

  /// Stops the process without ending it, or lets it go on.
  func pause(_ isPaused: Bool) {
    if let process { Foundation.kill(process.processIdentifier, isPaused ? SIGSTOP : SIGCONT) }
  }

  /// The answer to a command: one value, or those of an array; nil is Redis' nil. Over a connection of its own.
  @discardableResult
  func ask(_ name: StaticString, _ arguments: [String] = []) throws -> [String?] {
    let client = RedisClient(options, nowMilliseconds: RedisClient.steadyMilliseconds)
    try client.connect()
    var commands = CommandBuffer()
    commands.begin(name, arguments: 1 + arguments.count)
    for argument in arguments { commands.append(argument) }
    var answer: [String?] = []
    try client.exchange(commands, doing: "\(name)") { _, reply in
      answer =
        reply.kind == .array ? (0..<reply.count).map { Self.text(reply[$0]) } : [Self.text(reply)]
    }
    return answer
  }

  private static func text(_ value: RedisValue) -> String? {
    switch value.kind {
    case .null: nil
    case .integer: String(value.integer)
    default: value.text
    }
  }
}

extension Optional {
  func unwrapped(_ message: String) throws -> Wrapped {
    guard let self else { throw RedisServer.Failure(message) }
    return self
  }
}

/// Waits for a condition, at most 20 seconds.
func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
  let deadline = Date(timeIntervalSinceNow: 20)
  while try !condition() {
    guard Date() < deadline else { throw RedisServer.Failure("waited in vain until \(what)") }
    usleep(2_000)
  }
}

let storeKeys = StoreKeys(name: "shop", version: 1)
let task = "clicks.3"

func key(_ entity: String) -> [UInt8] {
  Array(entity.utf8).withUnsafeBytes { StateKey.make(view: "v", $0) }
}

func states(_ values: [String: String]) -> KeyedStates {
  KeyedStates(values.sorted { $0.key < $1.key }.map { (key($0.key), Array($0.value.utf8)) })
}

extension RedisStateStore {
  func loadTexts(
    _ task: String, _ entities: [String], epoch: Int64 = 1, at position: Int64?
  ) throws -> [String?] {
    var texts = [String?](repeating: "never called", count: entities.count)
    try load(task, epoch: epoch, position: position, ByteStrings(entities.map(key))) { index, state in
      texts[index] = state.bytes.map { String(decoding: $0, as: UTF8.self) }
    }
    return texts
  }
}

/// What a call of the store throws; nil if it succeeds.
func failure(_ body: () throws -> Void) -> StoreError? {
  do {
    try body()
    return nil
  } catch {
    return error as? StoreError ?? StoreError(.fatal, "not a StoreError: \(error)")
  }
}
