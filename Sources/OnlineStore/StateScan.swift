public import Processor

/// Every state of a version, in no order, while its service may be writing.
public final class StateScan {
  private let options: RedisOptions
  private let keys: StoreKeys

  /// A scan of one version's states.
  public init(_ options: RedisOptions, keys: StoreKeys) {
    self.options = options
    self.keys = keys
  }

  /// Calls with some states at a time, of all views or of some, each with its `StateKey`; a damaged one has no bytes. A state comes at least once; twice only if Redis resizes its
  /// table meanwhile.
  public func forEachSlice(
    of views: Set<String>? = nil,
    _ body: ([(stateKey: [UInt8], state: [UInt8])]) throws(StoreError) -> Void
  ) throws(StoreError) {
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      let names = found.compactMap { key in keys.state(key).map { (key: key, stateKey: $0.stateKey) } }
        .filter { name in views.map { $0.contains(StateKey.view(of: name.stateKey)) } ?? true }
      if names.isEmpty { return }
      var commands = CommandBuffer()
      for name in names {
        commands.begin("GET", arguments: 2)
        commands.append(name.key)
      }
      var states: [(stateKey: [UInt8], state: [UInt8])] = []
      try client.connect()
      try client.exchange(commands, doing: "read states") { index, reply in
        let key = names[index].stateKey
        let state =
          reply.isNull ? nil : key.withUnsafeBytes { StateEnvelope.open(reply.bytes, key: $0).bytes }
        if let state { states.append((key, Array(state))) }
      }
      try body(states)
    }
  }
}
