import EventLog
import Processor

/// The events of a test: drawn from a seed, written in transactions, some of them aborted; and what must become of
/// each, known from how it was made.
final class ShopEvents {
  static let definitions = """
    name: shop
    version: 1
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: int64, user: string, item: string, n: int64 }
    views:
      users:
        source: clicks
        entity: user
        emit: commit
        features:
          events: { aggregate: count, windows: [1h, lifetime] }
          total: { aggregate: sum, value: n * 1000000000000, windows: lifetime }
          last: { aggregate: last_k, k: 3, value: item, windows: 24h }
      items:
        source: clicks
        entity: item
        where: n > 1
        emit: event
        features:
          events: { aggregate: count, windows: lifetime }
          quantity: { aggregate: sum, value: n, windows: lifetime }
          buyers: { aggregate: last_k, k: 2, value: user, windows: lifetime }
    """

  /// The values of all committed events; nil is a tombstone.
  private(set) var values: [[UInt8]?] = []
  /// The values of those that are forwarded by item.
  private(set) var forwards: [[UInt8]] = []
  private(set) var letters: [Letter] = []
  private var random: SplitMix64
  private let log: KafkaLog
  private var made = 0

  init(brokers: String, seed: UInt64) throws {
    random = SplitMix64(seed: seed)
    let options = KafkaOptions(
      brokers: brokers, group: "producer", transactionalID: "producer",
      properties: ["producer.linger.ms": "1"])
    log = try KafkaLog(options, topics: ["clicks"]) { _, _ in }
  }

  deinit { log.close(timeoutMilliseconds: 5_000) }

  /// Writes a transaction.
  func produce(_ count: Int) throws {
    try log.begin()
    let isAborted = random.next() % 20 == 0
    for _ in 0..<count {
      let event = make()
      let key = Array("u\(random.next() % 300)".utf8)
      try send(key, event.value(key))
      if !isAborted { note(event, event.value(key)) }
    }
    if isAborted { try log.abort() } else { try log.commit([]) }
  }

  private enum Kind { case good, broken, tombstone, noItem, overflow, ahead }

  private struct Event {
    var kind: Kind
    var id: Int
    var time: Int64
    var item: String
    var n: Int64

    func value(_ user: [UInt8]) -> [UInt8]? {
      if kind == .tombstone { return nil }
      if kind == .broken { return Array("{broken \(id)".utf8) }
      let user = String(decoding: user, as: UTF8.self)
      let item = kind == .noItem ? "null" : "\"\(item)\""
      return Array("{\"id\":\(id),\"ts\":\(time),\"user\":\"\(user)\",\"item\":\(item),\"n\":\(n)}".utf8)
    }
  }

  private func make() -> Event {
    made += 1
    let kind: Kind =
      switch random.next() % 200 {
      case 0: .broken
      case 1: .tombstone
      case 2: .noItem
      case 3: .overflow
      case 4: .ahead
      default: .good
      }
    // Out of order by up to an hour.
    let time = 1_700_000_000_000 + Int64(made) * 500 - Int64(random.next() % 3_600_000)
    let n: Int64 =
      switch kind {
      case .overflow: 99_999_999_999
      case .noItem, .ahead: 3
      default: Int64(random.next() % 5)
      }
    return Event(
      kind: kind, id: made, time: kind == .ahead ? 9_000_000_000_000 : time, item: "i\(random.next() % 200)",
      n: n)
  }

  private func note(_ event: Event, _ value: [UInt8]?) {
    values.append(value)
    let payload = value ?? []
    switch event.kind {
    case .good: break
    case .broken: letters.append(Letter(reason: "malformed_json", view: "", payload: payload))
    case .tombstone: letters.append(Letter(reason: "empty", view: "", payload: payload))
    case .noItem: letters.append(Letter(reason: "missing_key", view: "items", payload: payload))
    case .overflow: letters.append(Letter(reason: "expression_failed", view: "users", payload: payload))
    case .ahead: letters.append(Letter(reason: "ahead_of_record", view: "", payload: payload))
    }
    if event.kind == .good && event.n > 1 || event.kind == .overflow { forwards.append(payload) }
  }

  private func send(_ key: [UInt8], _ value: [UInt8]?) throws {
    try key.withUnsafeBytes { key in
      guard let value else { return try log.send(topic: "clicks", partition: nil, key: key, value: nil) }
      try value.withUnsafeBytes { try log.send(topic: "clicks", partition: nil, key: key, value: $0) }
    }
  }
}
