import Foundation
import Testing

/// What is said of states that other definitions have made, whose file may be the same.
@Suite struct PromoteTests {
  private static let hasRedis = ["redis-server", "redis-cli"].allSatisfy { name in
    ["/usr/bin", "/usr/local/bin"].contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
  }

  private static let definitions = """
    name: shop
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string }
    views:
      users:
        source: clicks
        entity: user
        features:
          hour:  { aggregate: count, windows: [1h] }
          local: { aggregate: count, windows: [WINDOW] }
    """

  /// Runs `promote` on a store whose metadata has another fingerprint.
  private func promote(_ definitions: String) throws -> Workspace.Result {
    let work = try Workspace()
    try work.write(definitions, to: "d.yaml")
    return try work.shell(
      """
      redis-server --port 0 --unixsocket "$PWD/redis.sock" --save "" --appendonly no > redis.log & redis=$!
      trap 'kill -9 $redis' EXIT
      for _ in {1..600}; do redis-cli -s redis.sock ping > /dev/null 2>&1 && break; sleep 0.05; done
      printf 'plumbline 1\\nfingerprint 1\\npartitions clicks 1\\n' | redis-cli -s redis.sock -x SET shop:1:m > /dev/null
      "$PLUMB" promote 1 -d d.yaml --redis "unix://$PWD/redis.sock" --brokers localhost:1
      """)
  }

  @Test(.enabled(if: hasRedis, "needs redis-server"))
  func otherRulesOfAZoneAreNamed() throws {
    let local = try promote(
      Self.definitions.replacing("WINDOW", with: "{ calendar: today, time_zone: Europe/Berlin }"))
    #expect(local.status != 0)
    #expect(local.error.contains("version 1 was filled by other definitions than d.yaml"), "\(local.error)")
    #expect(local.error.contains("this machine's rules of Europe/Berlin"), "\(local.error)")
    #expect(local.error.contains("install the release of tzdata that made them"), "\(local.error)")
    // No zone is to blame where none matters.
    let utc = try promote(Self.definitions.replacing("WINDOW", with: "24h"))
    #expect(
      utc.error.contains("was filled by other definitions") && !utc.error.contains("tzdata"), "\(utc.error)")
  }
}
