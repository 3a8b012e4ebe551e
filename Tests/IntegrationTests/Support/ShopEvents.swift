import FeatureCore
import Foundation
import TestSupport

/// Events drawn from a seed, written in transactions, some of them aborted.
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

  var written: [WrittenEvent] { producer.written }
  private let producer: EventProducer
  private var random: SplitMix64
  private var made = 0

  init(_ site: Site, seed: UInt64) throws {
    random = SplitMix64(seed: seed)
    producer = try EventProducer(site)
  }

  /// Writes a transaction, of which one in twenty is aborted unless that is not wanted.
  func produce(_ count: Int, isSure: Bool = false) throws {
    let isAborted = random.next() % 20 == 0 && !isSure
    try producer.produce((0..<count).map { _ in make() }, isAborted: isAborted)
  }

  /// Writes an event of a user that is two minutes ahead of its record.
  func produceAhead(user: String) throws {
    made += 1
    let time = Int64(Date().timeIntervalSince1970 * 1_000) + 120_000
    var event = WrittenEvent(
      key: Array(user.utf8),
      value: Array("{\"id\":\(made),\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"i0\",\"n\":2}".utf8))
    event.forwards = [(input: "clicks.by-item", key: Array("i0".utf8))]
    try producer.produce([event], isAborted: false)
  }

  /// Writes transactions of random sizes, at random distances, until a time is over.
  func produce(milliseconds: UInt64) throws {
    let end = ContinuousClock.now + .milliseconds(Int64(milliseconds))
    while ContinuousClock.now < end {
      try produce(1 + Int(random.next() % 40))
      usleep(UInt32(random.next() % 50_000))
    }
  }

  private enum Kind { case good, broken, tombstone, noItem, overflow, ahead, misplaced }

  private func make() -> WrittenEvent {
    made += 1
    let kind: Kind =
      switch random.next() % 200 {
      case 0: .broken
      case 1: .tombstone
      case 2: .noItem
      case 3: .overflow
      case 4: .ahead
      case 5: .misplaced
      default: .good
      }
    let user = "u\(random.next() % 300)"
    // Out of order by up to an hour.
    let near = 1_700_000_000_000 + Int64(made) * 500 - Int64(random.next() % 3_600_000)
    let time = kind == .ahead ? 9_000_000_000_000 : near
    let item = "i\(random.next() % 200)"
    let few = Int64(random.next() % 5)
    func value(_ item: String, _ n: Int64) -> [UInt8] {
      Array("{\"id\":\(made),\"ts\":\(time),\"user\":\"\(user)\",\"item\":\(item),\"n\":\(n)}".utf8)
    }
    var event = WrittenEvent(key: Array(user.utf8), value: value("\"\(item)\"", few))
    let forward = (input: "clicks.by-item", key: Array(item.utf8))
    switch kind {
    case .good: if few > 1 { event.forwards = [forward] }
    case .broken:
      event.value = Array("{broken \(made)".utf8)
      event.refusals = [("malformed_json", "")]
    case .tombstone:
      // Nothing but the key tells it from others.
      event.key = Array("gone-\(made)".utf8)
      event.value = nil
      event.refusals = [("empty", "")]
    case .noItem:
      event.value = value("null", 3)
      event.refusals = [("missing_key", "items")]
    case .overflow:
      event.value = value("\"\(item)\"", 99_999_999_999)
      event.forwards = [forward]
      event.refusals = [("expression_failed", "users")]
    case .ahead:
      event.value = value("\"\(item)\"", 3)
      event.refusals = [("ahead_of_record", "")]
    case .misplaced:
      let place = event.key.withUnsafeBytes { Murmur2.partition($0, count: Site.partitions) }
      event.partition = (place + 1) % Site.partitions
      event.refusals = [("wrong_partition", "")]
    }
    return event
  }
}
