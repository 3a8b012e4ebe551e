import FeatureCore
public import Processor

/// Reads states for serving. The bytes are what `ViewPlan` evaluates.
///
/// One connection (to each node of a Redis Cluster), used from one thread at a time. It reads only; it needs no claim.
public final class OnlineReader {
  private let keys: StoreKeys
  private let nodes: RedisNodes
  private var commands = CommandBuffer()
  private var metadata: StoreMetadata?

  /// A reader that connects when it is first used. `nowMilliseconds` is a steady clock; it only spaces attempts to
  /// connect.
  public convenience init(_ options: RedisOptions, keys: StoreKeys, nowMilliseconds: (() -> Int64)? = nil) {
    self.init(
      RedisNodes(options, nowMilliseconds: nowMilliseconds ?? RedisClient.steadyMilliseconds), keys: keys)
  }

  init(_ nodes: RedisNodes, keys: StoreKeys) {
    self.keys = keys
    self.nodes = nodes
  }

  /// Reads the metadata anew: after a source got more partitions, or to see the fingerprint.
  @discardableResult
  public func refresh() throws(StoreError) -> StoreMetadata {
    if let found = try stored() { return found }
    throw StoreError(
      .fatal, "\(readAttempt) is missing: check name and version, or start a worker, which writes it")
  }

  /// Reads the metadata; nil if no worker of this name and version has ever started.
  public func stored() throws(StoreError) -> StoreMetadata? {
    commands.removeAll()
    commands.begin("GET", arguments: 2)
    commands.append(keys.metadata)
    var found: StoreMetadata?
    var isMissing = false
    try nodes.perform(RedisNodes.metadataRoute) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "read the metadata") { _, reply in
        isMissing = reply.isNull
        found = StoreMetadata(reply.bytes)
      }
    }
    if isMissing { return nil }
    guard let found else {
      throw StoreError(
        .fatal, "\(readAttempt) has a format that this program does not know: use the workers' version")
    }
    metadata = found
    return found
  }

  private var readAttempt: String {
    "read the metadata from key \(String(decoding: keys.metadata, as: UTF8.self))"
  }

  /// A task's position: the next offset that its states have not folded; negative while they are restored, nil if there
  /// are none.
  public func position(of task: String) throws(StoreError) -> Int64? {
    commands.removeAll()
    commands.begin("GET", arguments: 2)
    commands.append(keys.position(task))
    var position: Int64?
    try nodes.perform(task) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "read the position of task \(task)") { _, reply in
        position = reply.isNull ? nil : Int64(reply.text)
      }
    }
    return position
  }

  /// Reads the states of entities, each once, in their order unless a Redis Cluster has them on several nodes; nil where
  /// there is none, and no byte, which is no state, where it is damaged. `source` is the one that the view is folded
  /// from. The bytes are valid during the call of `body`.
  public func read(
    source: String, view: String, entityKeys: [[UInt8]], _ body: (Int, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) {
    try read(source: source, view: view, entityKeys: entityKeys, nil, body)
  }

  /// The same, with the version that is live asked for in front of the first states: if that is another one, `body` is
  /// not called.
  func read(
    source: String, view: String, entityKeys: [[UInt8]], _ live: LiveQuestion?,
    _ body: (Int, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) {
    let partitions = try partitions(of: source)
    var pending = entityKeys.indices.map { index in
      let partition = entityKeys[index].withUnsafeBytes { Murmur2.partition($0, count: partitions) }
      return Wanted(index: index, task: StoreKeys.task(source: source, partition: partition))
    }
    var redirectionsLeft = pending.count + StoreLimits.redirectionsMax
    while let first = pending.first {
      let client = nodes.client(of: first.task)
      if let live, live.answer == nil, nodes.client(of: Self.liveRoute) !== client {
        try nodes.ask(live)
      }
      if let live, live.answer != nil, !live.isExpected { return }
      let limit = StoreLimits.loadKeysPerCommand
      let batch = Array(pending.lazy.filter { self.nodes.client(of: $0.task) === client }.prefix(limit))
      var done = 0
      do throws(StoreError) {
        try fetch(batch, view, entityKeys, client, live) { wanted, bytes in
          body(wanted.index, bytes)
          done += 1
        }
      } catch {
        let task = batch[min(done, batch.count - 1)].task
        guard nodes.learn(task, from: client, error), redirectionsLeft > 0 else { throw error }
        redirectionsLeft -= 1
        // What was sent on may be the question for the live version: it is asked by itself then.
        if let live, live.answer == nil { try nodes.ask(live) }
      }
      let finished = Set(batch.prefix(done).map(\.index))
      pending.removeAll { finished.contains($0.index) }
    }
  }

  private struct Wanted {
    var index: Int
    var task: String
  }

  /// One GET each: keys of several tasks are in several slots, and a key of another type is an error.
  private func fetch(
    _ batch: [Wanted], _ view: String, _ entityKeys: [[UInt8]], _ client: RedisClient,
    _ live: LiveQuestion?, _ body: (Wanted, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) {
    try client.connect()
    commands.removeAll()
    let question = live.flatMap { $0.answer == nil ? $0 : nil }
    if let question {
      commands.begin("GET", arguments: 2)
      commands.append(question.key)
    }
    for wanted in batch {
      commands.begin("GET", arguments: 2)
      let stateKey = entityKeys[wanted.index].withUnsafeBytes {
        StateKey.make(view: view, $0)
      }
      commands.append(keys.statePrefix(wanted.task), stateKey)
    }
    let first = question == nil ? 0 : 1
    try client.exchange(commands, doing: "read states of view \(view)") { index, reply throws(StoreError) in
      if index < first {
        try question?.take(reply)
      } else if live?.isExpected ?? true {
        let wanted = batch[index - first]
        let stateKey = StateKey.make(view: view, entityKeys[wanted.index])
        body(
          wanted,
          reply.isNull ? nil : stateKey.withUnsafeBytes { StateEnvelope.open(reply.bytes, key: $0).bytes })
      }
    }
  }

  /// The key of the live version is in a slot of its own, too.
  static let liveRoute = ":live"

  private func partitions(of source: String) throws(StoreError) -> Int32 {
    let metadata = if let metadata { metadata } else { try refresh() }
    guard let count = metadata.partitions[source] else {
      throw StoreError(
        .fatal, "the metadata names no source '\(source)', only \(metadata.partitions.keys.sorted())")
    }
    return count
  }
}
