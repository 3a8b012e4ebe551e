import CPipeline
import Foundation

/// A broker in memory and a Redis on a Unix socket, in processes of their own that end with it.
final class Site {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  let plumb: String
  let folder: URL
  let broker: Process
  let redis: Process
  let brokers: String
  let redisPath: String
  let connection: UnsafeMutableRawPointer
  static let partitions = 4

  init(_ options: Options, topics: [String]) throws {
    let plumb = options.plumb
    guard FileManager.default.isExecutableFile(atPath: plumb) else {
      throw Failure(
        description: "no binary at \(plumb): swift build -c release --product plumb, or --plumb PATH")
    }
    self.plumb = plumb
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-service-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    redisPath = folder.appendingPathComponent("redis.sock").path
    redis = try Self.start(
      "/usr/bin/env", ["redis-server", "--port", "0", "--unixsocket", redisPath, "--save", ""],
      output: FileHandle.nullDevice)
    let pipe = Pipe()
    broker = try Self.start(
      plumb,
      [
        "broker", "--port", "0", "--memory-limit", "8192", "--topics",
        topics.map { "\($0):\(Self.partitions)" }.joined(separator: ","),
        "--marker-delay", "\(options.markerDelay)",
      ], output: pipe)
    let line = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
    guard let address = line.split(whereSeparator: \.isWhitespace).last else {
      throw Failure(description: "the broker did not start")
    }
    brokers = String(address)
    let deadline = steadySeconds() + 10
    while !FileManager.default.fileExists(atPath: redisPath) {
      guard steadySeconds() < deadline else { throw Failure(description: "redis-server did not start") }
      usleep(10_000)
    }
    connection = pipeline_redis(redisPath)
  }

  func stop() {
    pipeline_redis_free(connection)
    for process in [broker, redis] {
      process.terminate()
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: folder)
  }

  static func start(_ path: String, _ arguments: [String], output: Any) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = output
    try process.run()
    return process
  }

  /// The values of some keys.
  func get(_ keys: [String]) -> [String?] {
    var values = [String?](repeating: nil, count: keys.count)
    let names = keys.map { strdup($0) }
    defer { names.forEach { free($0) } }
    withUnsafeMutablePointer(to: &values) { values in
      pipeline_redis_mget(connection, names.map { UnsafePointer($0) }, Int32(keys.count), values) {
        context, index, value, _ in
        context!.assumingMemoryBound(to: [String?].self).pointee[Int(index)] = value.map {
          String(cString: $0)
        }
      }
    }
    return values
  }

  /// Records that are folded and stored, over all partitions.
  func progress(_ application: String) -> Int {
    get((0..<Self.partitions).map { "\(application):1:{clicks.\($0)}:p" })
      .reduce(0) { $0 + ($1.flatMap(Int.init) ?? 0) }
  }

  /// Writes the definitions of an application over a topic, and creates its topics.
  func prepare(_ application: String, topic: String, snapshotsHaveValues: Bool = true) throws -> String {
    let path = folder.appendingPathComponent("\(application).yaml").path
    let definitions = Shop.twelveFile(application, topic: topic, snapshotsHaveValues: snapshotsHaveValues)
    try definitions.write(toFile: path, atomically: true, encoding: .utf8)
    let process = try Self.start(
      plumb, ["topics", "apply", "-d", path, "--brokers", brokers], output: FileHandle.nullDevice)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(description: "plumb topics apply failed") }
    return path
  }

  /// Starts the service.
  func run(_ definitions: String, commitInterval: Int = 100, workers: Int = 1) throws -> Process {
    try Self.start(
      plumb,
      [
        "run", "-d", definitions, "--brokers", brokers, "--redis", "unix://\(redisPath)",
        "--commit-interval", "\(commitInterval)", "--workers", "\(workers)",
      ], output: FileHandle.nullDevice)
  }
}
