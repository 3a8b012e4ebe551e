import Foundation
import Testing

/// README.md followed from top to bottom with copy and paste, in one shell.
@Suite struct ReadmeTests {
  private static let hasRedis = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].contains(
    where: FileManager.default.isExecutableFile)

  let work: Workspace

  init() throws { work = try Workspace() }

  /// The shell's blocks behind a heading.
  private static func blocks(_ heading: String) throws -> [String] {
    let text = try String(contentsOf: Workspace.root.appendingPathComponent("README.md"), encoding: .utf8)
    guard let start = text.range(of: "\n## \(heading)\n") else {
      throw Workspace.Missing(description: "README.md has no heading '\(heading)'.")
    }
    let section = text[start.upperBound...]
    let end = section.range(of: "\n## ")?.lowerBound ?? section.endIndex
    return section[..<end].components(separatedBy: "```").enumerated().compactMap { index, part in
      index % 2 == 1 && part.hasPrefix("sh\n") ? String(part.dropFirst(3)) : nil
    }
  }

  private static func freePorts(_ count: Int) throws -> [Int] {
    var sockets: [Int32] = []
    defer { for descriptor in sockets { close(descriptor) } }
    return try (0..<count).map { _ in
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      sockets.append(descriptor)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
          bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
        }
      }
      guard isBound else { throw Workspace.Missing(description: "There is no free port.") }
      return Int(UInt16(bigEndian: address.sin_port))
    }
  }

  /// Runs blocks as they are but for: where the binary and the folder are, fewer events, other ports, an end of what has
  /// none. Each command must succeed.
  private func follow(_ blocks: [String], then check: String) throws -> Workspace.Result {
    let ports = try Self.freePorts(3)
    var script = """
      set -e
      # In the background it is the process that is stopped in the end.
      plumb() { if (( BASH_SUBSHELL > 0 )); then exec "$PLUMB" "$@"; else "$PLUMB" "$@"; fi; }
      watch() { timeout -s INT 8 "$PLUMB" watch "$@" || [ $? = 124 ]; }
      # A test's thread may have blocked the other signals, and a mask is inherited.
      trap 'kill -KILL $(jobs -p) 2> /dev/null || true; wait' EXIT
      export PLUMB_BROKERS=127.0.0.1:\(ports[0]) PLUMB_REDIS=redis://127.0.0.1:\(ports[1])

      """
    for block in blocks {
      for line in block.split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix("alias plumb=") || line.hasPrefix("cd ") { continue }
        script +=
          line.replacing("1000000", with: "30000").replacing("9092", with: "\(ports[0])")
          .replacing("6379", with: "\(ports[1])").replacing("9464", with: "\(ports[2])")
          .replacing("/tmp/broker", with: "broker")
          .replacing("plumb watch", with: "watch") + "\n"
      }
    }
    try work.write(script + check, to: "readme.sh")
    return try work.run("/usr/bin/timeout", ["--signal=KILL", "240", "/bin/bash", "readme.sh"])
  }

  @Test(.enabled(if: hasRedis, "needs redis-server"))
  func tablesBecomeFeatures() throws {
    let blocks = try Self.blocks("Tables")
    #expect(blocks.count == 1)
    let result = try follow(blocks, then: "")
    #expect(result.status == 0, "\(result.output.suffix(2_000)) \(result.error.suffix(4_000))")
    #expect(
      result.output.contains(#/"user_id":"u1".*"country":"[A-Z]{2}","tier":"[a-z]+",.*"account_days":\d+/#),
      "\(result.output)")
  }

  @Test(.enabled(if: hasRedis, "needs redis-server"))
  func everyCommandSucceeds() throws {
    let blocks = try Self.blocks("Five minutes")
    #expect(blocks.count == 7)
    let result = try follow(
      blocks,
      then: """
        # The answer of an entity that has events by now.
        for _ in {1..100}; do
          plumb get -d features.yaml user_activity user_id=u1 > answer.json
          if grep -q '"as_of":"' answer.json; then break; fi
          sleep 0.3
        done
        """)
    #expect(result.status == 0, "\(result.output.suffix(2_000)) \(result.error.suffix(4_000))")
    let users = try work.read("users.csv")
    #expect(users.hasPrefix("user_id,clicks_1h,clicks_24h,clicks_7d,views_24h,spend_30d,spend_lifetime,"))
    let answer = try work.read("answer.json")
    #expect(answer.contains("\"user_id\":\"u1\"") && answer.contains("\"as_of\":\"2"), "\(answer)")
    #expect(FileManager.default.fileExists(atPath: work.url.appendingPathComponent("training.parquet").path))
  }
}
