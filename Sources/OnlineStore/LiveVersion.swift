public import Processor

/// Which version of some definitions readers take: a key of its own in Redis, so that one write switches all of them.
public final class LiveVersion {
  private let name: String
  private let nodes: RedisNodes

  /// The live version of the definitions of a name.
  public init(_ options: RedisOptions, name: String) {
    self.name = name
    nodes = RedisNodes(options, nowMilliseconds: RedisClient.steadyMilliseconds)
  }

  /// The version; nil if none was ever promoted.
  public func read() throws(StoreError) -> Int? {
    let question = LiveQuestion(name: name, expected: nil)
    try nodes.ask(question)
    return question.answer?.version
  }

  /// Switches the readers. Whoever begins to read after this has returned takes the version.
  public func promote(_ version: Int) throws(StoreError) {
    var commands = CommandBuffer()
    commands.begin("SET", arguments: 3)
    commands.append(StoreKeys.live(name: name))
    commands.append(Int64(version))
    try nodes.perform(OnlineReader.liveRoute) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "promote version \(version)") { _, _ in }
    }
  }
}

/// Reads states of whichever version is live. A switch is seen by the next read, and no read sees two versions.
public final class LiveReader {
  /// What to read of a version, in its own terms: versions may name and key things differently.
  public struct Request {
    /// The input that the view is folded from.
    public var source: String
    /// The view.
    public var view: String
    /// The entities.
    public var entityKeys: [[UInt8]]

    /// A request from its parts.
    public init(source: String, view: String, entityKeys: [[UInt8]]) {
      self.source = source
      self.view = view
      self.entityKeys = entityKeys
    }
  }

  private let name: String
  private let readers: [Int: OnlineReader]
  private let nodes: RedisNodes
  /// The version that was live at the last read.
  private var known: Int?

  /// Promotions during one read: an operator doesn't switch faster than that.
  private static let switchesMax = 3

  /// A reader of some versions, one connection for all.
  public init(_ options: RedisOptions, name: String, versions: [Int]) {
    precondition(!versions.isEmpty, "Cannot read no version")
    self.name = name
    let nodes = RedisNodes(options, nowMilliseconds: RedisClient.steadyMilliseconds)
    self.nodes = nodes
    readers = Dictionary(
      versions.map { ($0, OnlineReader(nodes, keys: StoreKeys(name: name, version: $0))) }
    ) { first, _ in first }
  }

  /// Reads from the live version, and returns which that is. `request` says what is wanted of a version. The live version
  /// is asked for in the same round trip as the states, in front of them; after a switch a second trip reads the new
  /// one's. While nothing was ever promoted, a reader of a single version reads that.
  public func read(
    _ request: (Int) throws(StoreError) -> Request, _ body: (Int, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) -> Int {
    for _ in 0..<Self.switchesMax {
      let version = if let known { known } else { try firstVersion() }
      guard let reader = readers[version] else { throw unknown(version) }
      let question = LiveQuestion(name: name, expected: version)
      let request = try request(version)
      try reader.read(
        source: request.source, view: request.view, entityKeys: request.entityKeys, question, body)
      guard let answer = question.answer, answer.version != version else { return version }
      // Never promoted: there is nothing to choose from.
      if answer.version == nil && readers.count == 1 { return version }
      known = answer.version
    }
    throw StoreError(.retry, "the live version of '\(name)' changes faster than it can be read")
  }

  private func firstVersion() throws(StoreError) -> Int {
    let question = LiveQuestion(name: name, expected: nil)
    try nodes.ask(question)
    if let version = question.answer?.version { return version }
    if readers.count == 1, let only = readers.keys.first { return only }
    throw StoreError(
      .fatal,
      "no version of '\(name)' is live, and there are several to choose from: plumb promote one of them")
  }

  private func unknown(_ version: Int) -> StoreError {
    StoreError(
      .fatal,
      "version \(version) of '\(name)' is live, but only \(readers.keys.sorted()) can be read here: add its definitions"
    )
  }
}

/// The question which version is live, and its answer.
final class LiveQuestion {
  struct Answer {
    /// nil: none was ever promoted.
    var version: Int?
  }

  let key: [UInt8]
  private let name: String
  private let expected: Int?
  private(set) var answer: Answer?

  init(name: String, expected: Int?) {
    self.name = name
    self.expected = expected
    key = StoreKeys.live(name: name)
  }

  /// Whether the states that are read are wanted; without a promoted version those of the expected one are.
  var isExpected: Bool { answer.map { $0.version == nil || $0.version == expected } ?? false }

  func take(_ reply: RedisValue) throws(StoreError) {
    if reply.isNull { return answer = Answer(version: nil) }
    guard let version = Int(reply.text) else {
      throw StoreError(
        .fatal,
        "the key '\(name):live' holds no version: another program has written it; plumb promote sets it")
    }
    answer = Answer(version: version)
  }
}

extension RedisNodes {
  /// Asks by itself which version is live.
  func ask(_ question: LiveQuestion) throws(StoreError) {
    var commands = CommandBuffer()
    commands.begin("GET", arguments: 2)
    commands.append(question.key)
    try perform(OnlineReader.liveRoute) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "read the live version") { _, reply throws(StoreError) in
        try question.take(reply)
      }
    }
  }
}
