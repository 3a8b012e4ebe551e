import FeatureCore
public import Processor

/// Reads states for serving. The bytes are what `ViewPlan` evaluates.
///
/// One connection, used from one thread at a time. It reads only; it needs no claim.
public final class OnlineReader {
  private let keys: StoreKeys
  private let endpoint: RedisOptions.Endpoint
  private var client: RedisClient
  private var commands = CommandBuffer()
  private var metadata: StoreMetadata?

  /// A reader that connects when it is first used. `nowMilliseconds` is a steady clock; it only spaces attempts to
  /// connect.
  public init(_ options: RedisOptions, keys: StoreKeys, nowMilliseconds: (() -> Int64)? = nil) {
    self.keys = keys
    endpoint = options.endpoint
    client = RedisClient(options, nowMilliseconds: nowMilliseconds ?? RedisClient.steadyMilliseconds)
  }

  /// Reads the metadata anew: after a source got more partitions, or to see the fingerprint.
  @discardableResult
  public func refresh() throws(StoreError) -> StoreMetadata {
    try client.connect()
    commands.removeAll()
    commands.begin("GET", arguments: 2)
    commands.append(keys.metadata)
    var found: StoreMetadata?
    var isMissing = false
    try client.exchange(commands, doing: "read the metadata") { _, reply in
      isMissing = reply.isNull
      found = StoreMetadata(reply.bytes)
    }
    guard let found else {
      let place =
        "read the metadata at \(endpoint): key \(String(decoding: keys.metadata, as: UTF8.self))"
      throw StoreError(
        .fatal,
        isMissing
          ? "\(place) is missing: check name and version, or start a worker, which writes it"
          : "\(place) has a format that this program does not know: use the workers' version")
    }
    metadata = found
    return found
  }

  /// Writes the metadata. A worker does so when it starts.
  public func publish(_ metadata: StoreMetadata) throws(StoreError) {
    try client.connect()
    commands.removeAll()
    commands.begin("SET", arguments: 3)
    commands.append(keys.metadata)
    commands.append(metadata.encoded)
    try client.exchange(commands, doing: "write the metadata") { _, _ in }
    self.metadata = metadata
  }

  /// Reads the states of entities, in their order; nil where there is none. `source` is the one that the view is folded
  /// from. The bytes are valid during the call of `body`.
  public func read(
    source: String, view: String, entityKeys: [[UInt8]], _ body: (Int, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) {
    let partitions = try partitions(of: source)
    try client.connect()
    var start = 0
    while start < entityKeys.count {
      let end = min(start + StoreLimits.loadKeysPerCommand, entityKeys.count)
      commands.removeAll()
      // One GET each: keys of several tasks are in several slots, and a key of another type is an error.
      for key in entityKeys[start..<end] { appendGet(source, view, key, partitions) }
      try client.exchange(commands, doing: "read states of view \(view)") { index, reply in
        body(start + index, reply.isNull ? nil : reply.bytes)
      }
      start = end
    }
  }

  private func appendGet(_ source: String, _ view: String, _ key: [UInt8], _ partitions: Int32) {
    key.withUnsafeBytes { bytes in
      let partition = Murmur2.partition(bytes, count: partitions)
      commands.begin("GET", arguments: 2)
      commands.append(
        keys.statePrefix(StoreKeys.task(source: source, partition: partition)),
        StoreKeys.stateKey(view: view, entityKey: bytes))
    }
  }

  private func partitions(of source: String) throws(StoreError) -> Int32 {
    let metadata = if let metadata { metadata } else { try refresh() }
    guard let count = metadata.partitions[source] else {
      throw StoreError(
        .fatal, "the metadata names no source '\(source)', only \(metadata.partitions.keys.sorted())")
    }
    return count
  }
}
