import BrokerCore
import FeatureCore

/// The producers of the sources' topics.
struct InputGenerator {
  private var draws: SplitMix64
  private let sources: [Source]
  private var lastId = 0
  private var latestTime: [Int64]
  /// Milliseconds of event time between two events, so that windows expire in some runs and never in others.
  private let pace: Int
  private let entities: Int

  init(_ random: SplitMix64, _ sources: [Source]) {
    var draws = random
    pace = draws.pick([10, 1000, 30_000, 600_000, 7_200_000])
    entities = draws.pick([2, 5, 9])
    self.draws = draws
    self.sources = sources
    latestTime = sources.map { _ in World.epochMilliseconds - 365 * 86_400_000 }
  }

  /// The next event, and its source's index. Faults of the input are drawn from the world.
  mutating func next(_ world: World) -> (source: Int, record: Record) {
    let index = draws.below(sources.count)
    lastId += 1
    let time = time(index, world)
    let hot = world.strikes(.hotKeys)
    let user = "u\(hot ? 0 : draws.below(entities))"
    let item = "i\(hot ? 0 : draws.below(entities))"
    let price = Double(draws.below(1000)) / 100
    var value =
      "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"n\":\(draws.below(5)),\"price\":\(price),\"id\":\(lastId)}"
    if sources[index].each != nil {
      value = elements(time, user, price, isMalformed: world.strikes(.malformed))
    } else if world.strikes(.malformed) {
      value = malformed(time, user, item)
    }
    let key = sources[index].key == "item" ? item : user
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
  private mutating func elements(_ time: Int64, _ user: String, _ price: Double, isMalformed: Bool) -> String
  {
    var parts = (0..<draws.below(4)).map { _ in
      "{\"n\":\(draws.below(9)),\"item\":\"i\(draws.below(entities))\"}"
    }
    var end = "}"
    if isMalformed {
      switch draws.below(4) {
      case 0: parts.append("{\"n\":\"many\",\"item\":\"i0\"}")
      case 1: parts.insert("7", at: 0)
      case 2: parts.append("{\"n\":3,\"item\":null}")
      default: end = ""
      }
    }
    let list = parts.joined(separator: ",")
    return
      "{\"ts\":\(time),\"parts\":[\(list)],\"user\":\"\(user)\",\"price\":\(price),\"id\":\(lastId)\(end)"
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
