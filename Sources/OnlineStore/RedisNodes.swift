import Processor

/// The way to the Redis that has a task: one server, or the nodes of a Redis Cluster.
///
/// All keys of a task are in one slot, so the answer MOVED to any of them tells where the task is. Nothing else is asked
/// of the cluster, and a single server is a cluster that never answers MOVED.
final class RedisNodes {
  /// In place of a task: the metadata's key is in a slot of its own, and no task has an empty name.
  static let metadataRoute = ""

  private let options: RedisOptions
  private let nowMilliseconds: () -> Int64
  private var clients: [RedisOptions.Endpoint: RedisClient] = [:]
  /// Where to ask when nothing is known of a task: the address that was given first, then those learnt.
  private var entrances: [RedisOptions.Endpoint]
  private var entrance = 0
  private var routes: [String: RedisOptions.Endpoint] = [:]

  init(_ options: RedisOptions, nowMilliseconds: @escaping () -> Int64) {
    self.options = options
    self.nowMilliseconds = nowMilliseconds
    entrances = [options.endpoint]
  }

  /// The client of a task, or of a key of its own.
  func client(of task: String) -> RedisClient {
    let endpoint = routes[task] ?? entrances[entrance]
    if let client = clients[endpoint] { return client }
    var options = self.options
    options.endpoint = endpoint
    let client = RedisClient(options, nowMilliseconds: nowMilliseconds)
    clients[endpoint] = client
    return client
  }

  /// Runs a step of a task, anew from its beginning if the task is on another node.
  func perform<Result>(
    _ task: String, _ step: (RedisClient) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    for _ in 0..<StoreLimits.redirectionsMax {
      let client = client(of: task)
      do throws(StoreError) {
        return try step(client)
      } catch {
        guard learn(task, from: client, error) else { throw error }
      }
    }
    throw StoreError(.retry, "task \(task) is sent from node to node: wait until the cluster has settled")
  }

  /// Gives all connections up; the next steps make new ones.
  func drop() { for client in clients.values { client.drop() } }

  /// Takes from a failure where the task is; false if it does not say.
  func learn(_ task: String, from client: RedisClient, _ error: StoreError) -> Bool {
    if let target = client.takeRedirection() {
      routes[task] = target
      if !entrances.contains(target) { entrances.append(target) }
      return true
    }
    guard error.remedy == .retry else { return false }
    // The node may be gone, and another one may have its slots: ask anew, and not the same one.
    if routes.removeValue(forKey: task) == nil { entrance = (entrance + 1) % entrances.count }
    return false
  }
}
