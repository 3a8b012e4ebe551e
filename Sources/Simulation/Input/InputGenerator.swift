import BrokerCore
import FeatureCore
import Processor

/// The producers of the sources' topics.
struct InputGenerator {
  private var draws: SplitMix64
  private let sources: [Source]
  private var lastId = 0
  private var latestTime: [Int64]
  /// Milliseconds of event time between two events, so that windows expire in some runs and never in others.
  private let pace: Int
  private let entities: Int
  /// Draws what is sent again; nil: nothing is.
  private var resends: SplitMix64?
  private var attempts = 0
  /// Draws the headers of sources that read some.
  private var headers: SplitMix64
  /// Draws how Debezium tells of the rows of tables that it writes.
  private var changes: ChangeGenerator
  /// Draws the times of elements that have their own.
  private var elementTimes: SplitMix64
  /// The last records of each source.
  private var sent: [[Record]]

  init(
    _ random: SplitMix64, _ sources: [Source], resends: SplitMix64?, headers: SplitMix64, changes: SplitMix64,
    elements: SplitMix64
  ) {
    self.changes = ChangeGenerator(draws: changes)
    elementTimes = elements
    self.resends = resends
    self.headers = headers
    sent = sources.map { _ in [] }
    var draws = random
    pace = draws.pick([10, 1000, 30_000, 600_000, 7_200_000])
    entities = draws.pick([2, 5, 9])
    self.draws = draws
    self.sources = sources
    latestTime = sources.map { _ in World.epochMilliseconds - 365 * 86_400_000 }
  }

  /// The next event, and its source's index. Faults of the input are drawn from the world.
  mutating func next(_ world: World) -> (source: Int, record: Record) {
    var (source, record) = made(world)
    if sources[source].fields.contains(where: { $0.header != nil }) { record.headers = drawnHeaders() }
    guard var draws = resends else { return (source, record) }
    if draws.oneIn(3), !sent[source].isEmpty {
      record = draws.pick(sent[source])
      // Nothing that is declared, so that the audit can tell them apart.
      attempts += 1
      if let value = record.value, value.last == UInt8(ascii: "}") {
        record.value = value.dropLast() + Array(",\"try\":\(attempts)}".utf8)
      }
      // Now and then a producer uses an id again.
      if draws.oneIn(5) { record.value = record.value.map { replace("price", by: "77", in: $0) } }
    } else {
      if draws.oneIn(8) { record.value = record.value.map { replace("id", by: "null", in: $0) } }
      sent[source].append(record)
      if sent[source].count > 8 { sent[source].removeFirst() }
    }
    // Clocks of producers differ.
    record.timestamp = world.wallClock - Int64(draws.below(4_000)) + (draws.oneIn(20) ? 30_000 : 0)
    resends = draws
    return (source, record)
  }

  /// Those that a source reads among others, now and then none, null, several or one of another type.
  private mutating func drawnHeaders() -> [Record.Header] {
    let price = "\(Double(headers.below(1000)) / 100)"
    return switch headers.below(8) {
    case 0: []
    case 1: [.init("price", nil)]
    case 2: [.init("price", Array("cheap".utf8)), .init("trace", nil)]
    case 3: [.init("price", [0xFF]), .init("price", Array(price.utf8))]
    default: [.init("trace", Array("a1".utf8)), .init("price", Array(price.utf8))]
    }
  }

  /// A value with another value of a member.
  private func replace(_ name: String, by other: String, in value: [UInt8]) -> [UInt8] {
    let label = "\"\(name)\":"
    let parts = String(decoding: value, as: UTF8.self).split(separator: label, maxSplits: 1)
    guard parts.count == 2 else { return value }
    return Array((parts[0] + label + other + parts[1].drop { $0 != "," && $0 != "}" }).utf8)
  }

  private mutating func made(_ world: World) -> (source: Int, record: Record) {
    let index = draws.below(sources.count)
    lastId += 1
    let time = time(index, world)
    let hot = world.strikes(.hotKeys)
    let user = "u\(hot ? 0 : draws.below(entities))"
    var item = "i\(hot ? 0 : draws.below(entities))"
    // Longer than a state keeps of one, or than a key may be.
    if world.strikes(.longTexts) {
      item += String(repeating: "é", count: world.draws.pick([150, 150, 2_100]))
    }
    let price = Double(draws.below(1000)) / 100
    var value =
      "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":\(draws.below(5)),\"price\":\(price),\"id\":\(lastId)}"
    if sources[index].each != nil {
      let hasTimes = sources[index].fields.contains { $0.name == "ts" }
      value = elements(time, user, price, isMalformed: world.strikes(.malformed), hasTimes: hasTimes)
    } else if world.strikes(.malformed) {
      value = malformed(time, user, item)
    }
    if world.strikes(.oversized) {
      value =
        "{\"ts\":\(time),\"id\":\(lastId),\"pad\":\"\(String(repeating: "x", count: TopicKind.recordBytesMax))\"}"
    }
    let key = sources[index].key == "item" ? item : user
    if sources[index].format != .json {
      world.coverage.hit(.changed)
      let row: String? = draws.oneIn(6) ? nil : value
      return (index, changes.record(of: row, key, time, sources[index], timestamp: world.wallClock))
    }
    if sources[index].isTable {
      if draws.oneIn(6) {
        return (index, Record(key: Array(key.utf8), value: nil, timestamp: world.wallClock))
      }
      if draws.oneIn(4) { value = unchanged(time, user, item) }
    }
    let isKeyed = sources[index].key != nil
    return (
      index,
      Record(key: isKeyed ? Array(key.utf8) : nil, value: Array(value.utf8), timestamp: world.wallClock)
    )
  }

  /// A row of which the database hasn't sent all again.
  private mutating func unchanged(_ time: Int64, _ user: String, _ item: String) -> String {
    let kept = draws.pick(["\"n\"", "\"price\"", "\"n\",\"price\""])
    return
      "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":null,\"id\":\(lastId),\"_kept\":[\(kept)]}"
  }

  /// A record of several events, or of none.
  private mutating func elements(
    _ time: Int64, _ user: String, _ price: Double, isMalformed: Bool, hasTimes: Bool
  ) -> String {
    var parts = (0..<draws.below(4)).map { _ in
      "{\"n\":\(draws.below(9)),\"item\":\"i\(draws.below(entities))\"\(hasTimes ? elementTime(time, isMalformed) : "")}"
    }
    var end = "}"
    if isMalformed {
      switch draws.below(4) {
      case 0: parts.append("{\"n\":\"many\",\"item\":\"i0\"}")
      case 1: parts.insert("7", at: 0)
      case 2: parts.append("{\"n\":3,\"item\":null\(hasTimes ? elementTime(time, isMalformed) : "")}")
      default: end = ""
      }
    }
    let list = parts.joined(separator: ",")
    return
      "{\"ts\":\(time),\"parts\":[\(list)],\"user\":\"\(user)\",\"price\":\(price),\"id\":\(lastId)\(end)"
  }

  /// The member of an element's time: about the record's, none, or far in the future.
  private mutating func elementTime(_ time: Int64, _ isMalformed: Bool) -> String {
    if isMalformed, elementTimes.oneIn(3) {
      return elementTimes.oneIn(2) ? "" : ",\"ts\":9000000000000"
    }
    return ",\"ts\":\(time - Int64(elementTimes.below(elementTimes.pick([1, pace, 20 * pace]))))"
  }

  private mutating func time(_ index: Int, _ world: World) -> Int64 {
    let latest = latestTime[index]
    if world.strikes(.duplicateTimes) { return latest }
    if world.strikes(.outOfOrder) {
      return latest - Int64(draws.below(pace * draws.pick([2, 20, 200]) + 1))
    }
    latestTime[index] = latest + Int64(draws.below(pace + 1))
    return latestTime[index]
  }

  private mutating func malformed(_ time: Int64, _ user: String, _ item: String) -> String {
    switch draws.below(8) {
    case 0: "{broken \(lastId)"
    case 1: "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":null,\"n\":3,\"price\":1,\"id\":\(lastId)}"
    case 2: "{\"ts\":\(time),\"user\":null,\"item\":\"\(item)\",\"n\":3,\"price\":1,\"id\":\(lastId)}"
    case 3: "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":\"many\",\"id\":\(lastId)}"
    // Overflows where a view multiplies it.
    case 4: "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":9000000000000,\"id\":\(lastId)}"
    // Far in the future.
    case 5: "{\"ts\":9000000000000,\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":3,\"id\":\(lastId)}"
    // Perhaps not where its key belongs.
    case 6: "{\"ts\":\(time),\"user\":\"u3\",\"item\":\"i3\",\"n\":3,\"price\":1,\"id\":\(lastId)}"
    default: ""
    }
  }
}
