import Foundation
import TestSupport

@testable import OnlineStore

/// A primary and a replica that three sentinels watch. Everybody speaks TLS and shows a certificate.
final class Sentineled {
  /// How the primary goes.
  enum Loss {
    /// kill -9. It comes back empty.
    case killed
    /// It stops for longer than the sentinels wait, and goes on as if nothing had been.
    case stopped
  }

  private let servers: [RedisNode]
  private let sentinels: [RedisNode]
  /// Whoever is the primary. Not a server of its own.
  let primary: RedisNode

  init(in folder: URL) throws {
    let certificates = try Certificates(in: folder)
    let own = try certificates.issue("redis", for: "DNS:redis.test")
    // Sentinels give addresses, and the certificate is for a name.
    let parameters = "ca_file=\(certificates.authority)&cert_file=\(own.certificate)&key_file=\(own.key)"
    let suffix = "?\(parameters)&server_name=redis.test"
    let ports = try FreePorts.find(5)
    let common = [
      "--port", "0", "--bind", "127.0.0.1", "--tls-cert-file", own.certificate, "--tls-key-file", own.key,
      "--tls-ca-cert-file", certificates.authority, "--tls-replication", "yes",
    ]
    servers = try ports[..<2].map { port in
      try RedisNode(
        folder, "redis-\(port)", port: port, url: "rediss://127.0.0.1:\(port)\(suffix)",
        common + [
          "--tls-port", "\(port)", "--dir", folder.path, "--save", "", "--repl-diskless-sync-delay", "0",
        ])
    }
    sentinels = try ports[2...].map { port in
      let home = folder.appendingPathComponent("sentinel-\(port)")
      try FileManager.default.createDirectory(at: home, withIntermediateDirectories: false)
      let file = home.appendingPathComponent("sentinel.conf")
      try Data(Self.settings(watching: ports[0]).utf8).write(to: file)
      return try RedisNode(
        folder, "sentinel-\(port)", port: port, url: "rediss://127.0.0.1:\(port)\(suffix)",
        [file.path, "--sentinel", "--tls-port", "\(port)", "--dir", home.path] + common)
    }
    let places = ports[2...].map { "127.0.0.1:\($0)" }.joined(separator: ",")
    primary = try RedisNode(folder, "sentinels", url: "rediss+sentinel://\(places)/shop/0\(suffix)")
    for node in servers + sentinels { try node.start() }
    try servers[1].ask("REPLICAOF", ["127.0.0.1", servers[0].port])
    try waitUntil("the sentinels know everyone", seconds: 60) { isWhole() }
  }

  private static func settings(watching port: Int32) -> String {
    """
    sentinel monitor shop 127.0.0.1 \(port) 2
    sentinel down-after-milliseconds shop 500
    sentinel failover-timeout shop 2000
    """
  }

  func kill() { for node in servers + sentinels { node.kill() } }

  /// From now on the replica misses what the primary takes: it can't come back, since the primary has no password.
  func detachReplica() throws {
    let (primary, replica) = try roles()
    try replica.ask("CONFIG", ["SET", "masterauth", "wrong"])
    try primary.ask("CLIENT", ["KILL", "TYPE", "replica"])
  }

  /// Whether the replica's positions are not the primary's.
  func replicaLacksCommits() throws -> Bool {
    let (primary, replica) = try roles()
    return try primary.values(matching: "*:p") != replica.values(matching: "*:p")
  }

  /// Takes the primary away. Returns both, for what follows.
  func lose(_ loss: Loss) throws -> (old: RedisNode, new: RedisNode) {
    let (old, new) = try roles()
    switch loss {
    case .killed: old.kill()
    case .stopped: old.freeze(true)
    }
    return (old, new)
  }

  func isPrimary(_ node: RedisNode) -> Bool { (try? role(node)) == "master" }

  /// Brings the old primary back, which knows nothing of its successor.
  func bringBack(_ old: RedisNode, after loss: Loss) throws {
    try (old === servers[0] ? servers[1] : servers[0]).ask("CONFIG", ["SET", "masterauth", ""])
    switch loss {
    case .killed: try old.start()
    case .stopped: old.freeze(false)
    }
  }

  /// The primary first.
  private func roles() throws -> (RedisNode, RedisNode) {
    try role(servers[0]) == "master" ? (servers[0], servers[1]) : (servers[1], servers[0])
  }

  private func role(_ node: RedisNode) throws -> String {
    var role = ""
    try node.ask("ROLE", []) { role = $0[0].text }
    return role
  }

  /// Whether the replica has what the primary has, and all sentinels know both servers and one another. Who can't be
  /// asked isn't yet: a sentinel that makes a server a replica closes all connections to it.
  func isWhole() -> Bool { (try? everyoneAgrees()) == true }

  private func everyoneAgrees() throws -> Bool {
    let roles = try servers.map(role)
    guard Set(roles) == ["master", "slave"] else { return false }
    let (primary, replica) = try self.roles()
    var state = ""
    try replica.ask("ROLE", []) { reply in state = reply.count > 3 ? reply[3].text : "" }
    let counts = try sentinels.map { sentinel in
      var counts: [Int] = []
      try sentinel.ask("SENTINEL", ["REPLICAS", "shop"]) { counts.append($0.count) }
      try sentinel.ask("SENTINEL", ["SENTINELS", "shop"]) { counts.append($0.count) }
      try sentinel.ask("SENTINEL", ["GET-MASTER-ADDR-BY-NAME", "shop"]) { reply in
        counts.append(reply.count == 2 && reply[1].text == primary.port ? 1 : 0)
      }
      return counts
    }
    return state == "connected" && counts.allSatisfy { $0 == [1, 2, 1] }
  }
}
