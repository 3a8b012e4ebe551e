public import Processor

extension StoreError {
  /// Whether Redis is there and reads its data after a start.
  public var saysLoading: Bool { message.contains(": LOADING ") }
}

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
      advice: "the ACL user may not do this: see the ACL line in docs/operations.md, which grants it"),
    Rule(
      code: "WRONGTYPE", remedy: .fatal,
      advice: "another program uses this key: give it another database, or this one another name"),
    // Handled before anyone sees it, unless it names no address.
    Rule(code: "MOVED", remedy: .retry, advice: "the slot is on another node: see CLUSTER NODES"),
    Rule(code: "ASK", remedy: .retry, advice: "the cluster is moving the slot: wait"),
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
  static func error(reply: String, doing: String, at place: String) -> StoreError {
    let prefix = "\(doing) at \(place): \(reply)"
    if let rule = rule(reply) { return StoreError(rule.remedy, "\(prefix): \(rule.advice)") }
    if reply.hasPrefix("ERR max number of clients") {
      return StoreError(.retry, "\(prefix): raise maxclients, or find who holds connections (CLIENT LIST)")
    }
    return StoreError(.fatal, prefix)
  }

  /// The address of `MOVED 3999 10.0.0.7:6379`; a node that does not know its own name leaves the host out.
  static func redirection(reply: String, from endpoint: RedisOptions.Endpoint) -> RedisOptions.Endpoint? {
    let words = reply.split(separator: " ")
    guard words.count == 3, words[0] == "MOVED", let colon = words[2].lastIndex(of: ":"),
      let port = Int32(words[2][words[2].index(after: colon)...])
    else { return nil }
    if colon > words[2].startIndex { return .tcp(host: String(words[2][..<colon]), port: port) }
    guard case .tcp(let host, _) = endpoint else { return nil }
    return .tcp(host: host, port: port)
  }

  /// The rule of an error; EXEC quotes its cause.
  private static func rule(_ reply: String) -> Rule? {
    let cause = reply.firstRange(of: "because of: ").map { reply[$0.upperBound...] } ?? reply[...]
    let code = cause.prefix { $0 != " " }
    return rules.first { $0.code == code }
  }
}
