public import Processor

/// Reads what many requests wait for: states with the positions of their tasks, in one round trip a node. One thread.
///
/// A task's position is read by the same command as its states, so that a state is exactly the fold up to it.
public final class BatchReader {
  /// A state to read.
  public struct Lookup: Sendable {
    /// The task that holds it.
    public var task: String
    /// The view.
    public var view: String
    /// The entity.
    public var key: [UInt8]

    /// A lookup from its parts.
    public init(task: String, view: String, key: [UInt8]) {
      self.task = task
      self.view = view
      self.key = key
    }
  }

  /// What was found.
  public struct Found: Sendable {
    /// The state's bytes; nil if there is none.
    public var state: [UInt8]?
    /// The task's position; nil if it has never committed, negative while its states are restored.
    public var position: Int64?
    /// Why it could not be read; then nothing is known of it.
    public var failure: StoreError?
  }

  private let name: String
  private let nodes: RedisNodes
  private var keys: [Int: StoreKeys] = [:]
  private var commands = CommandBuffer()
  /// Exchanges with nodes so far.
  public private(set) var roundTrips = 0

  /// A reader of the definitions of a name. It connects when it is first used.
  public init(_ options: RedisOptions, name: String) {
    self.name = name
    nodes = RedisNodes(options, nowMilliseconds: RedisClient.steadyMilliseconds)
  }

  /// What a read tells besides the states.
  public struct Outcome: Sendable {
    /// The states, in the order of the lookups.
    public var found: [Found]
    /// The version that was live when they were read; nil if none was ever promoted.
    public var live: Int?
  }

  /// Nodes that have answered since they last failed.
  private var answering: Set<ObjectIdentifier> = []

  /// The keys of one task, by their indices among the lookups.
  private struct Pending {
    var task: String
    var indices: [Int]
  }

  /// What is sent to a node in one go.
  private struct Exchange {
    var batch: [Pending]
    var client: RedisClient
    /// Whether the node is asked for the live version as well.
    var asks: Bool
  }

  /// A read that has not been completed.
  private final class Read {
    let version: Int
    let lookups: [Lookup]
    let question: LiveQuestion
    var outcome: Outcome
    var pending: [Pending]
    var redirectionsLeft: Int
    /// What waits for its replies.
    var sent: Exchange?

    init(name: String, version: Int, _ lookups: [Lookup]) {
      self.version = version
      self.lookups = lookups
      outcome = Outcome(found: [Found](repeating: Found(), count: lookups.count))
      pending = BatchReader.byTask(lookups)
      question = LiveQuestion(name: name, expected: version)
      redirectionsLeft = pending.count + StoreLimits.redirectionsMax
    }
  }

  private var open: Read?

  /// Reads states of a version, and which version is live. Throws if nobody can tell that; a node that is away fails the
  /// states that it has. A connection that was lost while nobody used it is made anew at once: reading twice does no harm. A node
  /// that doesn't answer in time is asked once.
  public func read(version: Int, _ lookups: [Lookup]) throws(StoreError) -> Outcome {
    open = Read(name: name, version: version, lookups)
    guard let outcome = try finish() else { preconditionFailure("Cannot leave a read that may block") }
    return outcome
  }

  /// Begins a read if one exchange with one node answers it, over a connection that is there; then `finish` completes it. False:
  /// nothing has happened. Never waits.
  public func begin(version: Int, _ lookups: [Lookup]) -> Bool {
    let knowing = nodes.client(of: OnlineReader.liveRoute)
    guard knowing.isConnected, !lookups.isEmpty else { return false }
    let read = Read(name: name, version: version, lookups)
    guard read.pending.allSatisfy({ nodes.client(of: $0.task) === knowing }) else { return false }
    let exchange = Exchange(batch: read.pending, client: knowing, asks: true)
    do throws(StoreError) { try send(exchange, read) } catch { return false }
    read.sent = exchange
    open = read
    return true
  }

  /// Whether what was begun is answered within some milliseconds, or the connection has ended.
  public func isAnswered(withinMilliseconds limit: Int32) -> Bool {
    open?.sent?.client.hasReply(withinMilliseconds: limit) ?? true
  }

  /// Completes what was begun. Unless it `mayBlock`, nothing is sent again or elsewhere: nil says that this is needed, and that
  /// another call has to do it.
  public func finish(mayBlock: Bool = true) throws(StoreError) -> Outcome? {
    guard let read = open else { preconditionFailure("Cannot finish what has not begun") }
    while !read.pending.isEmpty {
      guard mayBlock || read.sent != nil else { return nil }
      try perform(read)
    }
    if read.question.answer == nil {
      guard mayBlock else { return nil }
      try ask(read.question)
    }
    open = nil
    read.outcome.live = read.question.answer?.version
    return read.outcome
  }

  /// What to send next.
  private func next(_ read: Read) throws(StoreError) -> Exchange {
    // On the node that knows the live version, the question costs no round trip of its own: that one comes first.
    let knowing = nodes.client(of: OnlineReader.liveRoute)
    let asks = read.question.answer == nil && read.pending.contains { nodes.client(of: $0.task) === knowing }
    if read.question.answer == nil && !asks { try ask(read.question) }
    let client = asks ? knowing : nodes.client(of: read.pending[0].task)
    return Exchange(
      batch: read.pending.filter { nodes.client(of: $0.task) === client }, client: client, asks: asks)
  }

  /// Exchanges with one node, unless that has been sent already.
  private func perform(_ read: Read) throws(StoreError) {
    let sent = read.sent
    read.sent = nil
    let exchange = if let sent { sent } else { try next(read) }
    let (batch, client) = (exchange.batch, exchange.client)
    var done = 0
    let start = RedisClient.steadyMilliseconds()
    do throws(StoreError) {
      if sent == nil { try send(exchange, read) }
      let first = exchange.asks ? 1 : 0
      try client.receive(first + batch.count, doing: "read states") { index, reply throws(StoreError) in
        if index < first { return try read.question.take(reply) }
        take(reply, batch[index - first], read.lookups, into: &read.outcome)
        done += 1
      }
      answering.insert(ObjectIdentifier(client))
    } catch {
      let isOfQuestion = exchange.asks && read.question.answer == nil
      let route = isOfQuestion ? OnlineReader.liveRoute : batch[min(done, batch.count - 1)].task
      let isRedirected = nodes.learn(route, from: client, error) && read.redirectionsLeft > 0
      // What has been waited for isn't waited for twice.
      let hasWaited =
        2 * (RedisClient.steadyMilliseconds() - start) > Int64(client.options.commandTimeoutMilliseconds)
      let hasAnswered = answering.remove(ObjectIdentifier(client)) != nil
      let isRepeated = error.remedy == .retry && hasAnswered && !hasWaited
      if isRedirected { read.redirectionsLeft -= 1 }
      if !isRedirected && !isRepeated {
        if isOfQuestion { throw error }
        for index in batch.dropFirst(done).flatMap(\.indices) { read.outcome.found[index].failure = error }
        done = batch.count
      }
    }
    let finished = Set(batch.prefix(done).map { $0.indices[0] })
    read.pending.removeAll { finished.contains($0.indices[0]) }
  }

  private func ask(_ question: LiveQuestion) throws(StoreError) {
    roundTrips += 1
    try nodes.ask(question)
  }

  /// Lookups by task, in commands of a bounded size.
  private static func byTask(_ lookups: [Lookup]) -> [Pending] {
    var pending: [Pending] = []
    var open: [String: Int] = [:]
    for (index, lookup) in lookups.enumerated() {
      if let place = open[lookup.task], pending[place].indices.count < StoreLimits.loadKeysPerCommand {
        pending[place].indices.append(index)
      } else {
        open[lookup.task] = pending.count
        pending.append(Pending(task: lookup.task, indices: [index]))
      }
    }
    return pending
  }

  private func send(_ exchange: Exchange, _ read: Read) throws(StoreError) {
    try exchange.client.connect()
    commands.removeAll()
    if exchange.asks {
      commands.begin("GET", arguments: 2)
      commands.append(read.question.key)
    }
    let keys = keys(of: read.version)
    for pending in exchange.batch {
      commands.begin("MGET", arguments: 2 + pending.indices.count)
      commands.append(keys.position(pending.task))
      let prefix = keys.statePrefix(pending.task)
      for index in pending.indices {
        let lookup = read.lookups[index]
        commands.append(prefix, lookup.key.withUnsafeBytes { StateKey.make(view: lookup.view, $0) })
      }
    }
    roundTrips += 1
    try exchange.client.send(commands, doing: "read states")
  }

  private func take(
    _ reply: RedisValue, _ pending: Pending, _ lookups: [Lookup], into outcome: inout Outcome
  ) {
    guard reply.count == 1 + pending.indices.count else { return }
    let position = reply[0].isNull ? nil : Int64(reply[0].text)
    for (place, index) in pending.indices.enumerated() {
      let value = reply[1 + place]
      let key = lookups[index].key.withUnsafeBytes { StateKey.make(view: lookups[index].view, $0) }
      let state =
        value.isNull
        ? nil : key.withUnsafeBytes { StateEnvelope.open(value.bytes, key: $0).bytes.map(Array.init) }
      outcome.found[index] = Found(state: state, position: position)
    }
  }

  private func keys(of version: Int) -> StoreKeys {
    if let known = keys[version] { return known }
    let made = StoreKeys(name: name, version: version)
    keys[version] = made
    return made
  }

  // MARK: What changes seldom

  /// The version that is live; nil if none was ever promoted.
  public func live() throws(StoreError) -> Int? {
    let question = LiveQuestion(name: name, expected: nil)
    try nodes.ask(question)
    return question.answer?.version
  }

  /// The metadata of a version; nil if no worker of it has ever started.
  public func metadata(version: Int) throws(StoreError) -> StoreMetadata? {
    try OnlineReader(nodes, keys: keys(of: version)).stored()
  }

  /// Up to when each of some tasks has caught up with its partition, in microseconds since the epoch; nil where no worker
  /// has said so, or where it can't be read: then with what failed first. See `Heartbeats`.
  public func heartbeats(version: Int, tasks: [String]) -> (times: [Int64?], failure: StoreError?) {
    var times: [Int64?] = []
    var failure: StoreError?
    for task in tasks {
      commands.removeAll()
      commands.begin("GET", arguments: 2)
      commands.append(keys(of: version).heartbeat(task))
      var time: Int64?
      do throws(StoreError) {
        try nodes.perform(task) { client throws(StoreError) in
          try client.connect()
          try client.exchange(commands, doing: "read the heartbeat of task \(task)") { _, reply in
            time = reply.isNull ? nil : Int64(reply.text)
          }
        }
      } catch {
        failure = failure ?? error
      }
      times.append(time)
    }
    return (times, failure)
  }
}
