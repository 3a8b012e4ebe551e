import Foundation
import Processor
import TestSupport

@testable import OnlineStore

/// A redis-server of a test: on a Unix socket in a folder of its own, killed when the test lets go of it.
final class RedisServer {
  static var isAvailable: Bool { RedisProcess.executable != nil }

  let folder: URL
  /// The text of a file of settings, which the server may change.
  private let configuration: String?
  private let process: RedisProcess

  var socket: String { folder.appendingPathComponent("s").path }
  var options: RedisOptions { RedisOptions(.unix(path: socket)) }

  /// Starts a server and waits until it answers.
  init(_ arguments: [String] = ["--save", "", "--appendonly", "no"], configuration: String? = nil) throws {
    self.configuration = configuration
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-redis-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    process = RedisProcess(log: folder.appendingPathComponent("redis.log"))
    try start(arguments)
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Starts the server again on its data. `isReady` tells from the answer to PING.
  func start(_ arguments: [String], isReady: @escaping (String) -> Bool = { $0 == "PONG" }) throws {
    try? FileManager.default.removeItem(atPath: socket)
    let file = folder.appendingPathComponent("redis.conf")
    if let configuration { try Data(configuration.utf8).write(to: file) }
    let own = ["--port", "0", "--unixsocket", socket, "--dir", folder.path]
    try process.start((configuration == nil ? [] : [file.path]) + own + arguments) {
      do {
        return isReady(try self.ask("PING").first.flatMap { $0 } ?? "")
      } catch let error as StoreError {
        return isReady(error.message)
      }
    }
  }

  /// kill -9.
  func kill() { process.kill() }

  /// Stops the process without ending it, or lets it go on.
  func pause(_ isPaused: Bool) { process.freeze(isPaused) }

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
    guard let self else { throw Failure(message) }
    return self
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
