import Processor

/// What Redis' error replies mean for us.
enum RedisFailure {
  /// How the errors that begin with a word are handled.
  struct Rule {
    var code: String
    var remedy: StoreError.Remedy
    var advice: String
  }

  static let rules: [Rule] = [
    Rule(
      code: "NOAUTH", remedy: .fatal, advice: "Redis wants a password: write redis://user:password@host:port"),
    Rule(code: "WRONGPASS", remedy: .fatal, advice: "check user and password in the address (ACL LIST)"),
    Rule(
      code: "NOPERM", remedy: .fatal,
      advice: "the ACL user may not do this: grant '~<name>:* +@read +@write +@transaction +@connection'"),
    Rule(
      code: "WRONGTYPE", remedy: .fatal,
      advice: "another program uses this key: give it another database, or this one another name"),
    Rule(
      code: "MOVED", remedy: .fatal,
      advice: "this is a node of a Redis Cluster, which is not supported: use one primary with replicas"),
    Rule(
      code: "ASK", remedy: .fatal,
      advice: "this is a node of a Redis Cluster, which is not supported: use one primary with replicas"),
    Rule(
      code: "CROSSSLOT", remedy: .fatal,
      advice: "this is a node of a Redis Cluster, which is not supported: use one primary with replicas"),
    Rule(code: "CLUSTERDOWN", remedy: .retry, advice: "the cluster has lost nodes: see CLUSTER INFO"),
    Rule(code: "TRYAGAIN", remedy: .retry, advice: "the cluster is moving slots: wait"),
    Rule(
      code: "READONLY", remedy: .retry,
      advice: "this is a replica: after a failover wait, else give the address of the primary"),
    Rule(code: "MASTERDOWN", remedy: .retry, advice: "the replica has lost its primary: wait, or promote it"),
    Rule(code: "LOADING", remedy: .retry, advice: "Redis is reading its data from disk: wait"),
    Rule(code: "BUSY", remedy: .retry, advice: "a script blocks Redis: wait, or SCRIPT KILL"),
    Rule(
      code: "OOM", remedy: .retry,
      advice: "Redis' memory is full: raise maxmemory (keep maxmemory-policy noeviction)"),
    Rule(
      code: "MISCONF", remedy: .retry, advice: "Redis can't write to its disk: free space, see Redis' log"),
    Rule(code: "NOREPLICAS", remedy: .retry, advice: "too few replicas are connected: start them"),
  ]

  /// The error for an error reply. `doing` says what was attempted.
  static func error(reply: String, doing: String, at endpoint: RedisOptions.Endpoint) -> StoreError {
    let prefix = "\(doing) at \(endpoint): \(reply)"
    if let rule = rule(reply) { return StoreError(rule.remedy, "\(prefix): \(rule.advice)") }
    if reply.hasPrefix("ERR max number of clients") {
      return StoreError(.retry, "\(prefix): raise maxclients, or find who holds connections (CLIENT LIST)")
    }
    return StoreError(.fatal, prefix)
  }

  /// The rule of an error; EXEC quotes its cause.
  private static func rule(_ reply: String) -> Rule? {
    let cause = reply.firstRange(of: "because of: ").map { reply[$0.upperBound...] } ?? reply[...]
    let code = cause.prefix { $0 != " " }
    return rules.first { $0.code == code }
  }
}
